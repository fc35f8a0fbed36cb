"""Contours: the spellings of points share this reading of order, frame and unit.

Models swap ``[x, y]`` and ``[y, x]``, mix the full image with box_2d as the frame, and write pixels
where 0..1000 was asked; the box beside the contour may be the wrong one as well. The two are held
against each other: a contour's extent should be the box. What prompt and key state holds where the
two agree under it. Where they do not, every reading that changes either the points or the box is
tried; the one that fits is taken, and where several fit and give different masks none is. Inside
box_2d a contour spans the whole range both ways in either order: there the prompt's order stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from evalkit.decoding.boxes import NORM, SLACK, Box, ItemBox, box_as, finite, unquoted
from evalkit.decoding.budget import MASK_COST_PX, PixelBudget
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead
from evalkit.decoding.loose_json import LooseList
from evalkit.decoding.rasterise import Ring, fill_pieces
from evalkit.masks import area
from evalkit.types import BoxOrder, CropMask, Unit

MAX_POINTS: Final = 50_000
MARGIN: Final = 0.1
"""Two readings whose fits (0..1) differ by less fit about equally (our choice: contours and boxes
of one answer agree to about 1 % of the image, which moves the fit by up to 0.07)."""
CLEAR_FIT: Final = 0.5
"""A reading that the prompt did not ask for must fit the box at least this well."""
PLAIN_FIT: Final = 0.8
"""Another unit, or a box of another kind, counts only where contour and box agree this plainly."""
LEAST_SHARE: Final = 0.5
"""Share of the smaller of contour and box that must lie in the other for the two to speak of one thing."""
SAME_MASK: Final = 0.9
"""Two masks of at least this IoU count as the same: a wrong choice costs less than the margin."""
_MAX_DROPPED: Final = 0.25
_MAX_DEPTH: Final = 32

Order = Literal["xy", "yx"]


@dataclass(frozen=True, slots=True)
class Contour:
    """Rings as N x 2 raw numbers in the answer's order. ``named``: x and y were named, not ordered.

    ``low`` and ``high``: the smallest and largest first and second number of all points. ``pieces``: how
    many of the rings belong to each piece, its outline before its holes; None where nothing says.
    ``fractions``: a number was written with a point.
    """

    rings: list[Ring]
    low: tuple[float, float]
    high: tuple[float, float]
    named: bool = False
    fractions: bool = False
    pieces: tuple[int, ...] | None = None
    repairs: list[str] = field(default_factory=list)


class Reading(NamedTuple):
    """One way to read a contour: which number comes first, what the numbers span, and their unit."""

    order: Order
    frame: Literal["image", "box"]
    unit: Unit


class _Choice(NamedTuple):
    """A reading with the box it fits; ``box`` None = as it was read before."""

    fit: float
    reading: Reading
    box: ItemBox | None = None


_FIT: Final = attrgetter("fit")


def make_contour(
    rows: Sequence[Sequence[Any]],
    *,
    dropped: int = 0,
    named: bool = False,
    pieces: Sequence[int] | None = None,
) -> Contour:
    """Return the contour of rings of points. Raises ``Unreadable``: polygon_degenerate, too_large.

    ``rows``: per ring its points, each a pair of numbers, or anything else, which is dropped and
    counted with all the points inside it; more than a quarter dropped is no contour any more.
    """
    rings: list[Ring] = []
    kept: list[int] = []
    quoted = fractions = False
    total = sum(len(ring) for ring in rows) + dropped
    if total > MAX_POINTS:
        raise Unreadable("too_large")
    for ring in rows:
        points = [point for point in ring if _is_point(point)]
        if len(points) < len(ring):
            known = len(points)
            points = [point for point in map(_unquoted, ring) if _is_point(point)]
            quoted = quoted or len(points) > known
            lost = sum(_points_in(point) for point in ring if not _is_point(_unquoted(point)))
            dropped, total = dropped + lost, total + lost - (len(ring) - len(points))
        if isinstance(ring, LooseList):
            dropped += ring.dropped
        whole = len({(float(a), float(b)) for a, b in points}) >= 3
        kept.append(int(whole))
        if whole:
            written = np.asarray(points)
            fractions = fractions or written.dtype.kind == "f"
            rings.append(written.astype(np.float64))
    if not rings or dropped > _MAX_DROPPED * total:
        raise Unreadable("polygon_degenerate")
    lows, highs = [ring.min(axis=0).tolist() for ring in rings], [ring.max(axis=0).tolist() for ring in rings]
    low = (min(point[0] for point in lows), min(point[1] for point in lows))
    high = (max(point[0] for point in highs), max(point[1] for point in highs))
    repairs = ["quoted_number"] * quoted + ["bad_point_dropped"] * bool(dropped)
    return Contour(rings, low, high, named, fractions, _kept_pieces(kept, pieces), repairs)


def _kept_pieces(kept: list[int], pieces: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the rings per piece after those without three points are gone; a hole never becomes an outline."""
    if pieces is None:
        return None
    counts, start = [], 0
    for rings in pieces:
        if rings and not kept[start] and any(kept[start : start + rings]):
            raise Unreadable("polygon_degenerate")
        counts.append(sum(kept[start : start + rings]))
        start += rings
    return tuple(count for count in counts if count)


def _points_in(value: Any, depth: int = 0) -> int:
    """Return how many points are lost with an element that is none: all that stand inside it, at least one."""
    if isinstance(value, list) and value and depth < _MAX_DEPTH and any(map(_holds_points, value)):
        return sum(_points_in(inner, depth + 1) for inner in value)
    return 1


def _holds_points(value: Any) -> bool:
    return isinstance(value, (list, dict, tuple))


def _unquoted(point: Any) -> Any:
    """Return a point whose numbers stand in quotes as numbers; anything else as it is."""
    if not isinstance(point, (list, tuple)) or not any(isinstance(value, str) for value in point):
        return point
    return tuple(map(unquoted, point))


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, (list, tuple))
        and len(point) == 2
        and finite(point[0])
        and finite(point[1])
        and not (isinstance(point, LooseList) and point.dropped)
    )


def read_contour(contour: Contour, context: Context, *, least_fit: float = 0.0) -> MaskRead:
    """Return the mask under the stated reading, or under the one by which contour and box agree.

    ``least_fit``: how well they must agree where nothing states a frame.
    Raises ``Unreadable``: polygon_ambiguous, polygon_degenerate, wrong_unit, box_missing (frame ``box``).
    """
    context.extents.append((*contour.low, *contour.high))
    stated = _stated(contour, context)
    if context.box is None:
        return _without_box(contour, stated, context)
    choices = [
        _Choice(_fit(contour, reading, context, context.box), reading)
        for reading in _readings(contour, stated, context)
    ]
    best = max(choices, key=_FIT)
    chosen = next((choice for choice in choices if choice.reading == stated), best)
    turned = [] if chosen.fit >= 1 - MARGIN else list(_other_boxes(contour, stated, context))
    top = max(best.fit, *(choice.fit for choice in turned), 0.0)
    if chosen.fit < top - MARGIN:
        chosen, rivals = _by_evidence([c for c in (*choices, *turned) if c.fit >= top - MARGIN], context)
    else:
        # Pixels are a way out where 0..1000 fails, never a doubt about an answer that fits without them.
        rivals = [
            choice
            for choice in choices
            if choice is not chosen
            and choice.reading.unit == stated.unit
            and choice.fit > chosen.fit - MARGIN
        ]
        if not _of_one_thing(contour, chosen.reading, context, context.box):
            raise Unreadable("polygon_ambiguous")
    if chosen.fit < least_fit:
        raise Unreadable("polygon_ambiguous")
    others = [rival.reading for rival in rivals]
    if chosen.box is not None and chosen.reading.unit == "norm1000":
        others += _pixels_too(contour, chosen.reading, context)
    return _finish(contour, chosen, stated, context, others)


def _pixels_too(contour: Contour, reading: Reading, context: Context) -> list[Reading]:
    """Return the reading in pixels where nobody stated a unit for contours and they may be pixels as well."""
    asked = context.asked.wire_format
    told = asked is None or asked.startswith(("polygon", "svg"))
    pixels = Reading(reading.order, "image", "pixel")
    return [] if told or not _in_range(contour, pixels, context, slack=1.0) else [pixels]


def _by_evidence(fitting: list[_Choice], context: Context) -> tuple[_Choice, list[_Choice]]:
    """Return the choice that explains box and contour, and its rivals. Raises ``polygon_ambiguous`` without one.

    A contour as it is stated, beside a box in the prompt's own order, needs no further support: a key
    alone never turns it over.
    """
    best = max(fitting, key=_FIT)
    if best.fit < CLEAR_FIT:
        raise Unreadable("polygon_ambiguous")
    box = context.needed_box()
    if box.raw is not None and "key_convention" in box.raw.repairs:
        by_prompt = _box_in(box.raw.prompt_order, box.unit, context)
        for choice in fitting:
            if choice.box is not None and choice.box == by_prompt:
                return choice, []
    return best, [choice for choice in fitting if choice is not best]


def _stated(contour: Contour, context: Context) -> Reading:
    """Return the reading that prompt and names state; fractions of at most 1 are unit coordinates."""
    order: Order = "xy" if contour.named else context.asked.point_order
    unit = context.asked.unit
    if unit != "norm1" and max(map(abs, (*contour.low, *contour.high))) <= SLACK:
        if not contour.fractions and (context.box is None or context.box.unit != "norm1"):
            raise Unreadable("polygon_degenerate")  # a speck in thousandths or pixels, and no fractions
        unit = "norm1"
    return Reading(order, context.asked.frame, unit)


def _without_box(contour: Contour, stated: Reading, context: Context) -> MaskRead:
    """Read a contour as it is stated; there is nothing to hold it against but the image's edges."""
    if stated.frame == "box":
        raise Unreadable("box_missing")
    chosen, rivals = stated, list[Reading]()
    pixels = Reading(stated.order, "image", "pixel")
    if not _in_range(contour, stated, context):
        if stated.unit != "norm1000" or not _in_range(contour, pixels, context, slack=1.0):
            raise Unreadable("wrong_unit")
        chosen = pixels
    elif stated.unit == "norm1000":
        rivals = _pixels_too(contour, stated, context)
    return _finish(contour, _Choice(1.0, chosen), stated, context, rivals)


def _in_range(contour: Contour, reading: Reading, context: Context, *, slack: float = SLACK) -> bool:
    """Return True where the unit can hold all points of a contour in the image's frame."""
    x, y = (0, 1) if reading.order == "xy" else (1, 0)
    wide, high = context.frame.whole(reading.unit)
    over = max(contour.high[x] / wide, contour.high[y] / high)
    under = min(contour.low[x] / wide, contour.low[y] / high)
    return over <= slack and under >= 1 - slack - 1e-9


def _readings(contour: Contour, stated: Reading, context: Context) -> list[Reading]:
    """Return the readings of the points worth comparing; another unit only where it is impossible or plain."""
    box = context.needed_box()
    orders: list[Order] = ["xy"] if contour.named else ["xy", "yx"]
    image = [Reading(order, "image", stated.unit) for order in orders]
    # Inside the box no evidence on the order can exist, so that the asked one is the only reading.
    inside = Reading(stated.order, "box", "norm1000" if stated.unit == "pixel" else stated.unit)
    found = [reading for reading in image if _in_range(contour, reading, context)]
    if _in_range(contour, inside, context):
        found.append(inside)
    if stated.unit == "norm1":
        if not found:
            raise Unreadable("wrong_unit")
        return found
    other: Unit = "norm1000" if stated.unit == "pixel" else "pixel"
    others = [
        reading
        for order in orders
        if _in_range(contour, reading := Reading(order, "image", other), context, slack=1.0)
        and (not found or box.unit == other or _fit(contour, reading, context, box) >= PLAIN_FIT)
    ]
    if box.unit == "pixel" and stated.unit == "norm1000":
        found = [reading for reading in found if reading.frame == "image"]
    return [*others, *found] or _past_the_edge(image, context)


def _past_the_edge(image: list[Reading], context: Context) -> list[Reading]:
    """Return the readings of thousandths that reach past the image, as boxes may; pixels never do."""
    if context.asked.unit != "norm1000":
        raise Unreadable("wrong_unit")
    return image


def _other_boxes(contour: Contour, stated: Reading, context: Context) -> Iterator[_Choice]:
    """Yield the contour as it is stated with the box in every other order and unit that fits it."""
    box = context.needed_box()
    stated = stated._replace(frame="image")  # a contour inside the box fits any box: it tells nothing of it
    if box.raw is None or not _in_range(contour, stated, context):
        return
    orders: tuple[BoxOrder, ...] = ("yxyx", "xyxy", "xywh", "cxcywh")
    for order in (box.raw.order,) if box.raw.named else orders:
        for unit in ("norm1000", "norm1", "pixel"):
            other = _box_in(order, unit, context)
            if other is None or other.norm_yxyx == box.norm_yxyx:
                continue
            fit = _fit(contour, stated, context, other)
            same_kind = unit == box.unit and order in ("yxyx", "xyxy")
            if fit >= (CLEAR_FIT if same_kind else PLAIN_FIT):
                yield _Choice(fit, stated, other)


def _box_in(order: BoxOrder, unit: Unit, context: Context) -> ItemBox | None:
    raw = context.needed_box().raw
    if raw is None:
        return None
    raw = replace(raw, repairs=tuple(repair for repair in raw.repairs if repair != "key_convention"))
    try:
        return box_as(raw, order, unit, context.frame, ["box_by_contour"])
    except Unreadable:
        return None


def _scale(reading: Reading, context: Context, box: ItemBox | None) -> tuple[float, float, float, float]:
    """Return ``(x_scale, x_offset, y_scale, y_offset)`` that turn raw numbers into 0..1000 of the image."""
    wide, high = context.frame.whole(reading.unit)
    if reading.frame == "image":
        return NORM / wide, 0.0, NORM / high, 0.0
    if box is None:
        raise Unreadable("box_missing")
    y0, x0, y1, x1 = box.norm_yxyx
    return (x1 - x0) / wide, x0, (y1 - y0) / high, y0


def _extent(contour: Contour, reading: Reading, context: Context, box: ItemBox) -> Box:
    """Return a contour's extent (y0, x0, y1, x1) in 0..1000 of the image."""
    x_scale, x_offset, y_scale, y_offset = _scale(reading, context, box)
    low, high = contour.low, contour.high
    x, y = (0, 1) if reading.order == "xy" else (1, 0)
    return (
        low[y] * y_scale + y_offset,
        low[x] * x_scale + x_offset,
        high[y] * y_scale + y_offset,
        high[x] * x_scale + x_offset,
    )


def _fit(contour: Contour, reading: Reading, context: Context, box: ItemBox) -> float:
    """Return how well a contour's extent matches a box: intersection over union, 0..1."""
    first, second = _extent(contour, reading, context, box), box.norm_yxyx
    both = _overlap(first, second)
    return both / (_area(first) + _area(second) - both) if both > 0 else 0.0


def _of_one_thing(contour: Contour, reading: Reading, context: Context, box: ItemBox) -> bool:
    """Return True where half of the smaller of contour and box lies in the other: a part, a rough box."""
    extent = _extent(contour, reading, context, box)
    smaller = min(_area(extent), _area(box.norm_yxyx))
    return _overlap(extent, box.norm_yxyx) >= LEAST_SHARE * smaller


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(first: Box, second: Box) -> float:
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    return height * width if height > 0 and width > 0 else 0.0


def _finish(
    contour: Contour, chosen: _Choice, stated: Reading, context: Context, rivals: Sequence[Reading] = ()
) -> MaskRead:
    """Rasterise the chosen reading; a rival that fits as well must give the same mask."""
    reading = chosen.reading
    left_px = context.budget.left_px
    mask = _rasterise(contour, reading, context, context.budget)
    # What a rival may cost: as much as the choice and a full image, so that no size of image hides a rival.
    rival_px = left_px - context.budget.left_px + MASK_COST_PX + context.height_px * context.width_px * 4
    for rival in dict.fromkeys(rivals):
        if rival == reading:
            continue
        context.budget.spend(0)
        try:
            other = _rasterise(contour, rival, context, PixelBudget(rival_px))
        except Unreadable as error:
            if error.code == "too_large":
                raise
            continue
        if _mask_iou(mask, other) < SAME_MASK:
            raise Unreadable("polygon_ambiguous")
    repairs = list(contour.repairs)
    if reading.order != stated.order:
        repairs.append("order_swapped")
    if reading.frame != stated.frame:
        repairs.append("frame_box_local" if reading.frame == "box" else "frame_image")
    if reading.unit != context.asked.unit and not (reading.frame == "box" and reading.unit == "norm1000"):
        repairs.append(_UNIT_REPAIRS[reading.unit])
    return MaskRead(mask, repairs, chosen.box)


_UNIT_REPAIRS: Final[dict[Unit, str]] = {
    "norm1": "unit_coordinates",
    "norm1000": "norm1000_points",
    "pixel": "pixel_points",
}


def _rasterise(contour: Contour, reading: Reading, context: Context, budget: PixelBudget) -> CropMask:
    x_scale, x_offset, y_scale, y_offset = _scale(reading, context, context.box)
    across, down = context.width_px / NORM, context.height_px / NORM
    scale, shift = (x_scale * across, y_scale * down), (x_offset * across, y_offset * down)
    rings = [(ring if reading.order == "xy" else ring[:, ::-1]) * scale + shift for ring in contour.rings]
    return fill_pieces(rings, contour.pieces, context.height_px, context.width_px, budget)


def _mask_iou(first: CropMask, second: CropMask) -> float:
    """Return |A and B| / |A or B| of two crops of one image."""
    x0, y0 = max(first.x0_px, second.x0_px), max(first.y0_px, second.y0_px)
    x1 = min(first.x0_px + first.crop_hw.shape[1], second.x0_px + second.crop_hw.shape[1])
    y1 = min(first.y0_px + first.crop_hw.shape[0], second.y0_px + second.crop_hw.shape[0])
    both = 0
    if x0 < x1 and y0 < y1:
        one, two = (
            crop.crop_hw[y0 - crop.y0_px : y1 - crop.y0_px, x0 - crop.x0_px : x1 - crop.x0_px]
            for crop in (first, second)
        )
        both = int(np.count_nonzero(one & two))
    return both / (area(first) + area(second) - both)
