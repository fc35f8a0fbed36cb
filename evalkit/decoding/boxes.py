"""box_2d: four numbers, which may be inverted, out of range or in pixels. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.loose_json import LooseList
from evalkit.decoding.settings import DecodeSettings
from evalkit.types import BoxPx

NORM: Final = 1000.0
_SLACK: Final = 20.0
"""Overshoot of 0..1000 that is rounding, not pixels (2 %; our choice)."""
_FAR: Final = 1000.0
"""Overshoot beyond which a box says nothing about this image (one image size; our choice)."""
_NUMBER_TEXT: Final = re.compile(r"\s*-?\d{1,9}(?:\.\d{1,9})?\s*")
_CORNERS: Final = (
    ("ymin", "xmin", "ymax", "xmax"),
    ("y_min", "x_min", "y_max", "x_max"),
    ("y0", "x0", "y1", "x1"),
    ("y1", "x1", "y2", "x2"),
    ("top", "left", "bottom", "right"),
)
_ROUNDINGS: Final[dict[str, tuple[Callable[[float], int], Callable[[float], int]]]] = {
    "truncate": (int, int),
    "round": (round, round),
    "expand": (math.floor, math.ceil),
}

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ItemBox:
    """One item's box after repairs.

    ``norm_yxyx``: corners in 0..1000, sorted, not clamped. ``place_px_xyxy``: whole pixels, which
    may reach past the image: where a mask inside the box is laid. ``visible_px_xyxy``: its part on
    the image. ``in_pixels``: the answer gave pixels. ``exact_px_xyxy``: the same part with the fractions
    of a box that was given in pixels by predictions made elsewhere, None of all others.
    """

    norm_yxyx: Box
    place_px_xyxy: BoxPx
    visible_px_xyxy: BoxPx
    repairs: tuple[str, ...] = ()
    in_pixels: bool = False
    exact_px_xyxy: Box | None = None


def finite(value: Any) -> bool:
    """Return True for a number that can be a coordinate: no bool, no NaN, not astronomically large."""
    return type(value) in (int, float) and -1e9 < value < 1e9


def unquoted(value: Any) -> Any:
    """Return the number that stands in quotes; anything else as it is."""
    if isinstance(value, str) and len(value) < 40 and _NUMBER_TEXT.fullmatch(value):
        return float(value)
    return value


def read_box(value: Any, height_px: int, width_px: int, settings: DecodeSettings) -> ItemBox:
    """Return the box of ``value``, ``[y0, x0, y1, x1]``. Raises ``Unreadable`` (box_invalid, box_missing).

    0..1000 unless it does not fit: a value past 1020 with all four inside the image's pixels is
    ``pixel_box``; otherwise the part off the image is cut (``box_clamped``).
    """
    if value is None:
        raise Unreadable("box_missing")
    corners, repairs = _four_numbers(value)
    y0, x0, y1, x1 = corners
    in_pixels = _are_pixels(corners, height_px, width_px)
    if in_pixels and (max(y0, y1) > height_px or max(x0, x1) > width_px):
        y0, x0, y1, x1 = x0, y0, x1, y1
        repairs.append("order_swapped")
    if in_pixels:
        repairs.append("pixel_box")
    elif min(corners) < -_FAR or max(corners) > NORM + _FAR:
        raise Unreadable("box_invalid")
    if y0 > y1 or x0 > x1:
        repairs.append("corners_sorted")
        y0, y1, x0, x1 = min(y0, y1), max(y0, y1), min(x0, x1), max(x0, x1)
    if in_pixels:
        return _box_of_px((y0, x0, y1, x1), height_px, width_px, settings, tuple(repairs))
    if min(y0, x0) < 0 or max(y1, x1) > NORM:
        repairs.append("box_clamped")
    norm: Box = (y0, x0, y1, x1)
    place_px = pixel_box(norm, height_px, width_px, settings)
    return ItemBox(norm, place_px, _visible(norm, place_px, height_px, width_px), tuple(repairs))


def _are_pixels(corners: Box, height_px: int, width_px: int) -> bool:
    """Return True for corners that 0..1000 cannot hold and the image's pixels can, in either order."""
    y0, x0, y1, x1 = corners
    if max(corners) <= NORM + _SLACK or min(corners) < 0:
        return False
    tall, wide = max(y0, y1), max(x0, x1)
    return (tall <= height_px and wide <= width_px) or (tall <= width_px and wide <= height_px)


def read_box_px(value: Any, height_px: int, width_px: int) -> ItemBox:
    """Return the box of ``box_px``: ``[x0, y0, x1, y1]`` in pixels, whose fractions stay. Raises ``Unreadable``."""
    if value is None:
        raise Unreadable("box_missing")
    (x0, y0, x1, y1), repairs = _four_numbers(value)
    rounded = DecodeSettings(box_rounding="round")
    box = _box_of_px((y0, x0, y1, x1), height_px, width_px, rounded, tuple(repairs))
    exact = (max(x0, 0), max(y0, 0), min(x1, width_px), min(y1, height_px))
    return replace(box, exact_px_xyxy=exact)


def _box_of_px(
    px_yxyx: Box, height_px: int, width_px: int, settings: DecodeSettings, repairs: tuple[str, ...]
) -> ItemBox:
    """Return a box given in pixels; whole pixels stay what they are."""
    y0, x0, y1, x1 = px_yxyx
    norm: Box = (y0 * NORM / height_px, x0 * NORM / width_px, y1 * NORM / height_px, x1 * NORM / width_px)
    near, far = _ROUNDINGS[settings.box_rounding]
    place_px = (near(x0), near(y0), far(x1), far(y1))
    return ItemBox(norm, place_px, _visible(norm, place_px, height_px, width_px), repairs, in_pixels=True)


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


def _four_numbers(value: Any) -> tuple[Box, list[str]]:
    """Return four finite numbers from a list, named corners or quoted numbers."""
    repairs: list[str] = []
    if isinstance(value, dict):
        names = next((names for names in _CORNERS if all(name in value for name in names)), None)
        value = [value[name] for name in names] if names else None
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
    return (value[0], value[1], value[2], value[3]), repairs


def pixel_box(norm_yxyx: Box, height_px: int, width_px: int, settings: DecodeSettings) -> BoxPx:
    """Return ``(x0, y0, x1, y1)`` in whole pixels of a box in 0..1000, not cut to the image.

    ``truncate`` is ``int(v * size / 1000)``, as Google's cookbook has it (DESIGN 6).
    """
    y0, x0, y1, x1 = norm_yxyx
    exact = (x0 * width_px / NORM, y0 * height_px / NORM, x1 * width_px / NORM, y1 * height_px / NORM)
    near, far = _ROUNDINGS[settings.box_rounding]
    return near(exact[0]), near(exact[1]), far(exact[2]), far(exact[3])
