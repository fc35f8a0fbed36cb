"""box_2d: four numbers, which may be inverted, out of range or in pixels. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from evalkit.decode.codes import Unreadable
from evalkit.decode.loose_json import LooseList
from evalkit.types import BoxPx, DecodeSettings

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
    the image. ``in_pixels``: the answer gave pixels.
    """

    norm_yxyx: Box
    place_px_xyxy: BoxPx
    visible_px_xyxy: BoxPx
    repairs: tuple[str, ...] = ()
    in_pixels: bool = False


def finite(value: Any) -> bool:
    """Return True for a number that can be a coordinate: no bool, no NaN, not astronomically large."""
    return type(value) in (int, float) and -1e9 < value < 1e9


def read_box(value: Any, height_px: int, width_px: int, settings: DecodeSettings) -> ItemBox:
    """Return the box of ``value``, ``[y0, x0, y1, x1]``. Raises ``Unreadable`` (box_invalid, box_missing).

    0..1000 unless it does not fit: a value past 1020 with all four inside the image's pixels is
    ``pixel_box``; otherwise the part off the image is cut (``box_clamped``).
    """
    if value is None:
        raise Unreadable("box_missing")
    corners, repairs = _four_numbers(value)
    y0, x0, y1, x1 = corners
    scale_y, scale_x = height_px / NORM, width_px / NORM
    in_pixels = False
    if max(corners) > NORM + _SLACK and min(corners) >= 0:
        if max(y0, y1) <= height_px and max(x0, x1) <= width_px:
            in_pixels = True
        elif max(y0, y1) <= width_px and max(x0, x1) <= height_px:
            in_pixels = True
            y0, x0, y1, x1 = x0, y0, x1, y1
            repairs.append("order_swapped")
    if in_pixels:
        repairs.append("pixel_box")
        y0, x0, y1, x1 = y0 / scale_y, x0 / scale_x, y1 / scale_y, x1 / scale_x
    elif min(corners) < -_FAR or max(corners) > NORM + _FAR:
        raise Unreadable("box_invalid")
    if y0 > y1 or x0 > x1:
        repairs.append("corners_sorted")
        y0, y1, x0, x1 = min(y0, y1), max(y0, y1), min(x0, x1), max(x0, x1)
    if not in_pixels and (min(y0, x0) < 0 or max(y1, x1) > NORM):
        repairs.append("box_clamped")
    return _in_pixels((y0, x0, y1, x1), height_px, width_px, settings, tuple(repairs), in_pixels=in_pixels)


def read_box_px(value: Any, height_px: int, width_px: int) -> ItemBox:
    """Return the box of ``box_px``: ``[x0, y0, x1, y1]`` in pixels. Raises ``Unreadable``."""
    if value is None:
        raise Unreadable("box_missing")
    (x0, y0, x1, y1), repairs = _four_numbers(value)
    norm = (y0 * NORM / height_px, x0 * NORM / width_px, y1 * NORM / height_px, x1 * NORM / width_px)
    return _in_pixels(norm, height_px, width_px, DecodeSettings(box_rounding="round"), tuple(repairs))


def _four_numbers(value: Any) -> tuple[Box, list[str]]:
    """Return four finite numbers from a list, named corners or quoted numbers."""
    repairs: list[str] = []
    if isinstance(value, dict):
        names = next((names for names in _CORNERS if all(name in value for name in names)), None)
        value = [value[name] for name in names] if names else None
        repairs.append("alternate_key")
    elif isinstance(value, str):
        value = value.strip(" []()").split(",") if len(value) < 100 else None
    if not isinstance(value, list) or len(value) != 4 or (isinstance(value, LooseList) and value.dropped):
        raise Unreadable("box_invalid")
    if any(isinstance(v, str) and len(v) < 40 and _NUMBER_TEXT.fullmatch(v) for v in value):
        value = [float(v) if isinstance(v, str) and _NUMBER_TEXT.fullmatch(v) else v for v in value]
        repairs.append("quoted_number")
    if not all(finite(v) for v in value):
        raise Unreadable("box_invalid")
    return (value[0], value[1], value[2], value[3]), repairs


def _in_pixels(
    norm_yxyx: Box,
    height_px: int,
    width_px: int,
    settings: DecodeSettings,
    repairs: tuple[str, ...],
    *,
    in_pixels: bool = False,
) -> ItemBox:
    """Round to whole pixels as the settings say and cut to the image; no area = ``Unreadable``."""
    y0, x0, y1, x1 = norm_yxyx
    place = pixel_box(norm_yxyx, height_px, width_px, settings)
    visible = (max(place[0], 0), max(place[1], 0), min(place[2], width_px), min(place[3], height_px))
    if y0 >= y1 or x0 >= x1 or visible[0] >= visible[2] or visible[1] >= visible[3]:
        raise Unreadable("box_invalid")
    return ItemBox(norm_yxyx, place, visible, repairs, in_pixels)


def pixel_box(norm_yxyx: Box, height_px: int, width_px: int, settings: DecodeSettings) -> BoxPx:
    """Return ``(x0, y0, x1, y1)`` in whole pixels of a box in 0..1000, not cut to the image.

    ``truncate`` is ``int(v * size / 1000)``, as Google's cookbook has it (DESIGN 6).
    """
    y0, x0, y1, x1 = norm_yxyx
    exact = (x0 * width_px / NORM, y0 * height_px / NORM, x1 * width_px / NORM, y1 * height_px / NORM)
    near, far = _ROUNDINGS[settings.box_rounding]
    return near(exact[0]), near(exact[1]), far(exact[2]), far(exact[3])
