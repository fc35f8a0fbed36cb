"""Contours in 0..1000: the five spellings share this reading of points, order and frame.

Models swap ``[x, y]`` and ``[y, x]`` and mix the full image with box_2d as the frame. The box
tells: a contour's extent should be the box. The prompt's reading holds unless another fits
clearly better; where two fit about equally and give different masks, neither is taken. Inside
box_2d a contour spans 0..1000 both ways in either order: there the prompt's order stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from evalkit.decoding.boxes import NORM, Box, finite, unquoted
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, PixelBudget
from evalkit.decoding.loose_json import LooseList
from evalkit.decoding.rasterise import Ring, fill_rings
from evalkit.masks import area
from evalkit.types import CropMask

MAX_POINTS: Final = 50_000
MARGIN: Final = 0.1
"""Two readings whose fits (0..1) differ by less fit about equally (our choice: contours and boxes
of one answer agree to about 1 % of the image, which moves the fit by up to 0.07)."""
CLEAR_FIT: Final = 0.5
"""A reading that the prompt did not ask for must fit the box at least this well."""
PIXEL_FIT: Final = 0.8
"""Points that could be 0..1000 count as pixels only where the box says so this plainly."""
SAME_MASK: Final = 0.9
"""Two masks of at least this IoU count as the same: a wrong choice costs less than the margin."""
_MAX_DROPPED: Final = 0.25

Frame = Literal["image", "box", "pixel"]


@dataclass(frozen=True, slots=True)
class Contour:
    """Rings as N x 2 raw numbers in the answer's order. ``named``: x and y were named, not ordered.

    ``low`` and ``high``: the smallest and largest first and second number of all points.
    """

    rings: list[Ring]
    low: tuple[float, float]
    high: tuple[float, float]
    named: bool = False
    repairs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a contour: which number comes first, and what 0..1000 spans."""

    order: Literal["xy", "yx"]
    frame: Frame


_PIXELS: Final = (Reading("xy", "pixel"), Reading("yx", "pixel"))


def make_contour(rows: Sequence[Sequence[Any]], *, dropped: int = 0, named: bool = False) -> Contour:
    """Return the contour of rings of points. Raises ``Unreadable``: polygon_degenerate, too_large.

    ``rows``: per ring its points, each a pair of numbers, or anything else, which is dropped and
    counted; more than a quarter dropped is no contour any more.
    """
    rings: list[Ring] = []
    quoted = False
    total = sum(len(ring) for ring in rows) + dropped
    if total > MAX_POINTS:
        raise Unreadable("too_large")
    for ring in rows:
        points = [point for point in ring if _is_point(point)]
        if len(points) < len(ring):
            known = len(points)
            points = [point for point in map(_unquoted, ring) if _is_point(point)]
            quoted = quoted or len(points) > known
        dropped += len(ring) - len(points)
        if isinstance(ring, LooseList):
            dropped += ring.dropped
        if len({(float(a), float(b)) for a, b in points}) >= 3:
            rings.append(np.asarray(points, dtype=np.float64))
    if not rings or dropped > _MAX_DROPPED * total:
        raise Unreadable("polygon_degenerate")
    lows, highs = [ring.min(axis=0).tolist() for ring in rings], [ring.max(axis=0).tolist() for ring in rings]
    low = (min(point[0] for point in lows), min(point[1] for point in lows))
    high = (max(point[0] for point in highs), max(point[1] for point in highs))
    repairs = ["quoted_number"] * quoted + ["bad_point_dropped"] * bool(dropped)
    return Contour(rings, low, high, named, repairs)


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


def read_contour(contour: Contour, context: Context) -> MaskRead:
    """Return the mask under the prompt's reading, or under the one that fits the box clearly better.

    Raises ``Unreadable``: polygon_ambiguous, polygon_degenerate, box_missing (frame ``box``).
    """
    asked = Reading("xy" if contour.named else context.asked.point_order, context.asked.frame)
    if context.box is None:
        if asked.frame == "box":
            raise Unreadable("box_missing")
        if max(contour.high) > NORM and _fits_image(contour, asked.order, context):
            asked = Reading(asked.order, "pixel")
        return _finish(contour, asked, asked, context)
    fits = {reading: _fit(contour, reading, context) for reading in _readings(contour, asked.order, context)}
    asked = asked if asked in fits else max(fits, key=lambda reading: fits[reading])
    best = max(fits.values())
    if fits[asked] >= best - MARGIN:
        chosen = asked
    elif best >= CLEAR_FIT:
        chosen = max(fits, key=lambda reading: fits[reading])
    else:
        raise Unreadable("polygon_ambiguous")
    # Pixels are a way out where 0..1000 fails, never a doubt about an answer that fits without them.
    rivals = [r for r in fits if r not in (chosen, *_PIXELS) and fits[r] > fits[chosen] - MARGIN]
    return _finish(contour, chosen, Reading(asked.order, context.asked.frame), context, rivals)


def _readings(contour: Contour, asked_order: Literal["xy", "yx"], context: Context) -> list[Reading]:
    """Return the readings worth comparing; pixels only where 0..1000 is impossible or unlikely."""
    orders: list[Literal["xy", "yx"]] = ["xy"] if contour.named else ["xy", "yx"]
    frames: list[Frame] = ["image", "box"]
    box = context.needed_box()
    if max(contour.high) > 1.02 * NORM or box.in_pixels:
        frames = ["pixel", "image"] if box.in_pixels else ["pixel"]
        if not box.in_pixels and not any(_fits_image(contour, order, context) for order in orders):
            frames = ["image"]
    elif max(_fit(contour, Reading(order, "pixel"), context) for order in orders) >= PIXEL_FIT:
        frames.append("pixel")
    # Inside the box no evidence on the order can exist, so that the asked one is the only reading.
    return [
        Reading(order, frame)
        for order in orders
        for frame in frames
        if frame != "box" or order == asked_order
    ]


def _fits_image(contour: Contour, order: str, context: Context) -> bool:
    """Return True where all points lie on the image when they are read as pixels."""
    x, y = contour.high if order == "xy" else contour.high[::-1]
    return min(contour.low) >= 0 and x <= context.width_px and y <= context.height_px


def _scale(reading: Reading, context: Context) -> tuple[float, float, float, float]:
    """Return ``(x_scale, x_offset, y_scale, y_offset)`` that turn raw numbers into 0..1000 of the image."""
    if reading.frame == "image":
        return 1.0, 0.0, 1.0, 0.0
    if reading.frame == "pixel":
        return NORM / context.width_px, 0.0, NORM / context.height_px, 0.0
    y0, x0, y1, x1 = context.needed_box().norm_yxyx
    return (x1 - x0) / NORM, x0, (y1 - y0) / NORM, y0


def _fit(contour: Contour, reading: Reading, context: Context) -> float:
    """Return how well a contour's extent matches the box: intersection over union, 0..1."""
    x_scale, x_offset, y_scale, y_offset = _scale(reading, context)
    low, high = contour.low, contour.high
    x, y = (0, 1) if reading.order == "xy" else (1, 0)
    extent = (
        low[y] * y_scale + y_offset,
        low[x] * x_scale + x_offset,
        high[y] * y_scale + y_offset,
        high[x] * x_scale + x_offset,
    )
    return _box_iou(extent, context.needed_box().norm_yxyx)


def _box_iou(first: Box, second: Box) -> float:
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    if height <= 0 or width <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return height * width / (areas - height * width)


def _finish(
    contour: Contour, chosen: Reading, asked: Reading, context: Context, rivals: Sequence[Reading] = ()
) -> MaskRead:
    """Rasterise the chosen reading; a rival that fits as well must give the same mask."""
    mask = _rasterise(contour, chosen, context, context.budget)
    for rival in rivals:
        context.budget.spend(0)
        try:
            other = _rasterise(contour, rival, context, PixelBudget(context.height_px * context.width_px * 4))
        except Unreadable:
            continue
        if _mask_iou(mask, other) < SAME_MASK:
            raise Unreadable("polygon_ambiguous")
    repairs = list(contour.repairs)
    if chosen.order != asked.order:
        repairs.append("order_swapped")
    if chosen.frame != asked.frame:
        repairs.append(
            {"box": "frame_box_local", "image": "frame_image", "pixel": "pixel_points"}[chosen.frame]
        )
    return MaskRead(mask, repairs)


def _rasterise(contour: Contour, reading: Reading, context: Context, budget: PixelBudget) -> CropMask:
    x_scale, x_offset, y_scale, y_offset = _scale(reading, context)
    across, down = context.width_px / NORM, context.height_px / NORM
    scale, shift = (x_scale * across, y_scale * down), (x_offset * across, y_offset * down)
    rings = [(ring if reading.order == "xy" else ring[:, ::-1]) * scale + shift for ring in contour.rings]
    return fill_rings(rings, context.height_px, context.width_px, budget)


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
