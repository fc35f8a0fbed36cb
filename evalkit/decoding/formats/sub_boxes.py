"""``sub_boxes``: rows ``[y0, x0, y1, x1]`` whose union is the mask, in the order and unit of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalkit.decoding.boxes import ItemBox, finite, raw_box, read_box
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
    """Return the union of the rows, rounded as boxes are, read as the item's own box is or as the prompt states.

    Raises ``Unreadable`` (mask_empty, too_large; polygon_ambiguous where they lie outside the item's box).
    """
    boxes = [box for row in _rows(value) if (box := _one(row, context)) is not None]
    if not boxes:
        raise Unreadable("mask_empty")
    rects: list[BoxPx] = [box.visible_px_xyxy for box in boxes]
    if context.box is not None and not _inside(boxes, context.box):
        raise Unreadable("polygon_ambiguous")
    repairs = [repair for box in boxes for repair in box.repairs]
    x0_px, y0_px = min(r[0] for r in rects), min(r[1] for r in rects)
    width, height = max(r[2] for r in rects) - x0_px, max(r[3] for r in rects) - y0_px
    context.budget.spend(width * height)
    crop_hw = np.zeros((height, width), dtype=bool)
    for left, top, right, bottom in dict.fromkeys(rects):
        crop_hw[top - y0_px : bottom - y0_px, left - x0_px : right - x0_px] = True
    mask = CropMask(context.height_px, context.width_px, x0_px, y0_px, crop_hw)
    return MaskRead(mask, list(dict.fromkeys(repairs)))


def _one(row: list[float], context: Context) -> ItemBox | None:
    raw = context.box.raw if context.box is not None else None
    order = context.asked.box_order if raw is None or raw.named else raw.order
    try:
        return read_box(raw_box(row, None, "", order, context.asked.unit), context.frame)
    except Unreadable:
        return None


def _inside(boxes: list[ItemBox], whole: ItemBox) -> bool:
    """Return True where half of the rows' area lies in the item's box."""
    y0, x0, y1, x1 = whole.norm_yxyx
    within = total = 0.0
    for box in boxes:
        top, left, bottom, right = box.norm_yxyx
        total += (bottom - top) * (right - left)
        within += max(min(bottom, y1) - max(top, y0), 0) * max(min(right, x1) - max(left, x0), 0)
    return within >= 0.5 * total


FORMAT = WireFormat(
    "sub_boxes",
    "a list of boxes [[y0, x0, y1, x1], ...] whose union is the mask",
    is_sub_boxes,
    read_sub_boxes,
    ("list",),
)
