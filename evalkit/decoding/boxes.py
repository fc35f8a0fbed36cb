"""Four numbers that make a box, in the order and the unit that prompt or key state. Pure.

The numbers may be inverted, off the image, or in another unit than stated. What cannot be in the
stated unit is read in another one only where no further reading is possible, and the repair says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.loose_json import LooseList
from evalkit.decoding.settings import DecodeSettings
from evalkit.types import BoxOrder, BoxPx, StatedBox, Unit

NORM: Final = 1000.0
SLACK: Final = 1.02
"""Overshoot of a unit's range that is rounding, not another unit (2 %; our choice)."""
_FAR: Final = 1000.0
"""Overshoot beyond which a box says nothing about this image (one image size; our choice)."""
_NUMBER_TEXT: Final = re.compile(r"\s*-?\d{1,9}(?:\.\d{1,9})?\s*")
_NAMED: Final[tuple[tuple[BoxOrder, tuple[str, ...]], ...]] = (
    ("yxyx", ("ymin", "xmin", "ymax", "xmax")),
    ("yxyx", ("y_min", "x_min", "y_max", "x_max")),
    ("yxyx", ("miny", "minx", "maxy", "maxx")),
    ("yxyx", ("y0", "x0", "y1", "x1")),
    ("yxyx", ("y1", "x1", "y2", "x2")),
    ("yxyx", ("top", "left", "bottom", "right")),
    ("xywh", ("x", "y", "width", "height")),
    ("xywh", ("x", "y", "w", "h")),
    ("xywh", ("left", "top", "width", "height")),
    ("cxcywh", ("cx", "cy", "w", "h")),
    ("cxcywh", ("cx", "cy", "width", "height")),
    ("cxcywh", ("x_center", "y_center", "width", "height")),
)
"""Members that name the corners, and the order they make; names leave nothing to guess."""
_OWN_ORDER: Final[dict[str, BoxOrder]] = {"box_2d": "yxyx", "bbox_2d": "xyxy"}
"""Keys with an order of their own: Gemini's documentation (box_2d) and Qwen's (bbox_2d is x first)."""
_ROUNDINGS: Final[dict[str, tuple[Callable[[float], int], Callable[[float], int]]]] = {
    "truncate": (int, int),
    "round": (round, round),
    "expand": (math.floor, math.ceil),
}

Box = tuple[float, float, float, float]


class Frame(NamedTuple):
    """The image's size, the size it was sent in, all in pixels, and the settings."""

    height_px: int
    width_px: int
    sent_height_px: int
    sent_width_px: int
    settings: DecodeSettings

    def whole(self, unit: Unit) -> tuple[float, float]:
        """Return what the image's width and height are in a unit."""
        if unit == "pixel":
            return self.sent_width_px, self.sent_height_px
        return (NORM, NORM) if unit == "norm1000" else (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class RawBox:
    """Four numbers of an answer with the convention that prompt, key or names state for them.

    ``named``: the answer names what each number is, so that its order is certain. ``prompt_order``: what
    the prompt states, where the key has an order of its own. ``fractions``: a number was written with a point.
    """

    numbers: Box
    order: BoxOrder
    unit: Unit
    prompt_order: BoxOrder
    named: bool = False
    fractions: bool = False
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemBox:
    """One item's box after repairs.

    ``norm_yxyx``: corners in 0..1000, sorted, not clamped. ``place_px_xyxy``: whole pixels, which
    may reach past the image: where a mask inside the box is laid. ``visible_px_xyxy``: its part on
    the image. ``unit``: what the numbers were read in. ``exact_px_xyxy``: the same part with the fractions
    of a box that was given in pixels by predictions made elsewhere, None of all others. ``raw``: what it
    was read from, None where nothing else could be made of it.
    """

    norm_yxyx: Box
    place_px_xyxy: BoxPx
    visible_px_xyxy: BoxPx
    repairs: tuple[str, ...] = ()
    unit: Unit = "norm1000"
    exact_px_xyxy: Box | None = None
    raw: RawBox | None = None


def finite(value: Any) -> bool:
    """Return True for a number that can be a coordinate: no bool, no NaN, not astronomically large."""
    return type(value) in (int, float) and -1e9 < value < 1e9


def unquoted(value: Any) -> Any:
    """Return the number that stands in quotes; anything else as it is."""
    if isinstance(value, str) and len(value) < 40 and _NUMBER_TEXT.fullmatch(value):
        return float(value.strip())  # float() alone refuses some of the blanks that \s and strip() know
    return value


def raw_box(value: Any, key: str | None, asked_key: str, order: BoxOrder, unit: Unit) -> RawBox:
    """Return the four numbers under ``key``. Raises ``Unreadable`` (box_invalid, box_missing).

    ``order`` and ``unit``: what the prompt states, for ``asked_key``. Names of corners win over it, and so
    does the own order of a key that the prompt did not ask for.
    """
    if value is None:
        raise Unreadable("box_missing")
    own = order if key is None or key == asked_key else _OWN_ORDER.get(key, order)
    numbers, named, repairs = _four_numbers(value)
    if named is not None:
        own = named
    elif own != order:
        repairs.append("key_convention")
    fractions = any(type(number) is float for number in numbers)
    return RawBox(numbers, own, unit, order, named is not None, fractions, tuple(repairs))


def stated_box(value: Any) -> StatedBox | None:
    """Return the four numbers as they stand, whatever convention can read them; None where there are not four."""
    try:
        return _four_numbers(value)[0]
    except Unreadable:
        return None


def corner_names(members: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the members that name a box's corners, None where not all four of a set are there."""
    corners = (names for order, names in _NAMED if order == "yxyx")
    return next((names for names in corners if all(name in members for name in names)), None)


def read_box(raw: RawBox, frame: Frame) -> ItemBox:
    """Return the box as it is stated. Raises ``Unreadable`` (box_invalid).

    Numbers of at most 1 with fractions are unit coordinates whatever was stated, at every image size. Under
    ``norm1000`` a value past 1020 with all of them inside the image's pixels is ``pixel_box``.
    """
    unit, order, repairs = raw.unit, raw.order, []
    if unit != "norm1" and max(map(abs, raw.numbers)) <= SLACK:
        if not raw.fractions:
            raise Unreadable("box_invalid")  # thousandths or pixels would be a speck, fractions are not told
        unit = "norm1"
        repairs.append("unit_coordinates")
    elif unit == "norm1000" and (found := _as_pixels(raw, frame)):
        unit = "pixel"
        repairs += ["order_swapped"] * (found != order) + ["pixel_box"]
        order = found
    return box_as(raw, order, unit, frame, repairs)


def _as_pixels(raw: RawBox, frame: Frame) -> BoxOrder | None:
    """Return the order in which numbers that 0..1000 cannot hold are pixels of the image, None for none.

    A box stated as corners that reaches past the image is turned where the other order fits.
    """
    if max(raw.numbers) <= NORM * SLACK or min(raw.numbers) < 0:
        return None
    orders: tuple[BoxOrder, ...] = (raw.order,)
    if raw.order in ("yxyx", "xyxy") and not raw.named:
        orders += ("xyxy" if raw.order == "yxyx" else "yxyx",)
    for order in orders:
        y0, x0, y1, x1 = _corners(raw.numbers, order)
        if max(y0, y1) <= frame.sent_height_px and max(x0, x1) <= frame.sent_width_px:
            return order
    return None


def box_as(raw: RawBox, order: BoxOrder, unit: Unit, frame: Frame, repairs: list[str]) -> ItemBox:
    """Return the box read in one order and unit. Raises ``Unreadable`` (box_invalid)."""
    repairs = [*raw.repairs, *repairs]
    y0, x0, y1, x1 = _corners(raw.numbers, order)
    if order in ("yxyx", "xyxy") and (y0 > y1 or x0 > x1):
        repairs.append("corners_sorted")
        y0, y1, x0, x1 = min(y0, y1), max(y0, y1), min(x0, x1), max(x0, x1)
    wide, high = frame.whole(unit)
    past = max(-x0 / wide, -y0 / high, x1 / wide - 1, y1 / high - 1)
    if past > (_FAR / NORM if unit == "norm1000" else SLACK - 1):
        raise Unreadable("box_invalid")
    if past > 0:
        repairs.append("box_clamped")
    norm: Box = (y0 * NORM / high, x0 * NORM / wide, y1 * NORM / high, x1 * NORM / wide)
    near, far = _ROUNDINGS[frame.settings.box_rounding]
    place_px = (
        near(x0 * frame.width_px / wide),
        near(y0 * frame.height_px / high),
        far(x1 * frame.width_px / wide),
        far(y1 * frame.height_px / high),
    )
    visible = _visible(norm, place_px, frame.height_px, frame.width_px)
    return ItemBox(norm, place_px, visible, tuple(repairs), unit, raw=raw)


def _corners(numbers: Box, order: BoxOrder) -> Box:
    """Return ``(y0, x0, y1, x1)`` of four numbers in an order."""
    a, b, c, d = numbers
    if order == "yxyx":
        return a, b, c, d
    if order == "xyxy":
        return b, a, d, c
    if order == "xywh":
        return b, a, b + d, a + c
    return b - d / 2, a - c / 2, b + d / 2, a + c / 2


def read_box_px(value: Any, height_px: int, width_px: int) -> ItemBox:
    """Return the box of ``box_px``: ``[x0, y0, x1, y1]`` in pixels, whose fractions stay. Raises ``Unreadable``."""
    if value is None:
        raise Unreadable("box_missing")
    (x0, y0, x1, y1), _, repairs = _four_numbers(value)
    norm: Box = (y0 * NORM / height_px, x0 * NORM / width_px, y1 * NORM / height_px, x1 * NORM / width_px)
    place_px = (round(x0), round(y0), round(x1), round(y1))
    exact = (max(x0, 0), max(y0, 0), min(x1, width_px), min(y1, height_px))
    visible = _visible(norm, place_px, height_px, width_px)
    return ItemBox(norm, place_px, visible, tuple(repairs), "pixel", exact)


def _visible(norm_yxyx: Box, place_px: BoxPx, height_px: int, width_px: int) -> BoxPx:
    """Return the part of a box on the image. Raises ``Unreadable`` (box_invalid) where it has no area."""
    y0, x0, y1, x1 = norm_yxyx
    visible = (
        max(place_px[0], 0),
        max(place_px[1], 0),
        min(place_px[2], width_px),
        min(place_px[3], height_px),
    )
    if y0 >= y1 or x0 >= x1 or visible[0] >= visible[2] or visible[1] >= visible[3]:
        raise Unreadable("box_invalid")
    return visible


def _four_numbers(value: Any) -> tuple[Box, BoxOrder | None, list[str]]:
    """Return four finite numbers from a list, named corners or quoted numbers, and the order of named ones."""
    repairs: list[str] = []
    order: BoxOrder | None = None
    if isinstance(value, dict):
        order, names = next(
            ((order, names) for order, names in _NAMED if all(name in value for name in names)), (None, ())
        )
        value = [value[name] for name in names]
        repairs.append("alternate_key")
    elif isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip(" []()")) if len(value) < 100 else None
    if not isinstance(value, list) or len(value) != 4 or (isinstance(value, LooseList) and value.dropped):
        raise Unreadable("box_invalid")
    if any(isinstance(v, str) for v in value):
        value = [unquoted(v) for v in value]
        repairs.append("quoted_number")
    if not all(finite(v) for v in value):
        raise Unreadable("box_invalid")
    return (value[0], value[1], value[2], value[3]), order, repairs
