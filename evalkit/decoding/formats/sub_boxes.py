"""``sub_boxes``: rows ``[y0, x0, y1, x1]`` whose union is the mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalkit.decoding.boxes import Box, finite, pixel_box
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.types import BoxPx, CropMask


def is_sub_boxes(value: Any) -> bool:
    """Return True for rows of four numbers that each are a box with area, or for one such row bare.

    A chunked contour of rows of four is no such list: a closed contour cannot go down and to the
    right in every row.
    """
    rows = _rows(value)
    return bool(rows) and all(row[0] < row[2] and row[1] < row[3] for row in rows)


def _rows(value: Any) -> list[list[float]]:
    if not isinstance(value, list) or not value:
        return []
    rows = [value] if len(value) == 4 and all(finite(v) for v in value) else value
    good = all(isinstance(row, list) and len(row) == 4 and all(finite(v) for v in row) for row in rows)
    return rows if good else []


def read_sub_boxes(value: Any, context: Context) -> MaskRead:
    """Return the union of the rows, rounded as boxes are. Raises ``Unreadable`` (mask_empty, too_large)."""
    rects: list[BoxPx] = []
    for y0, x0, y1, x1 in _rows(value):
        corners: Box = (max(y0, 0), max(x0, 0), min(y1, 1000), min(x1, 1000))
        left, top, right, bottom = pixel_box(corners, context.height_px, context.width_px, context.settings)
        right, bottom = min(right, context.width_px), min(bottom, context.height_px)
        if left < right and top < bottom:
            rects.append((left, top, right, bottom))
    if not rects:
        raise Unreadable("mask_empty")
    x0_px, y0_px = min(r[0] for r in rects), min(r[1] for r in rects)
    width, height = max(r[2] for r in rects) - x0_px, max(r[3] for r in rects) - y0_px
    context.budget.spend(width * height)
    crop_hw = np.zeros((height, width), dtype=bool)
    for left, top, right, bottom in dict.fromkeys(rects):
        crop_hw[top - y0_px : bottom - y0_px, left - x0_px : right - x0_px] = True
    return MaskRead(CropMask(context.height_px, context.width_px, x0_px, y0_px, crop_hw))


FORMAT = WireFormat(
    "sub_boxes",
    "a list of boxes [[y0, x0, y1, x1], ...] whose union is the mask",
    is_sub_boxes,
    read_sub_boxes,
    ("list",),
)
