"""What one answer scores at every threshold, from its grey values counted once. Pure.

A pixel of value v is foreground at every threshold below v. So a histogram of the values, of all pixels and of
those on the target, gives the counts at all thresholds as sums from above: the very counts that
``evalkit.metrics.counts`` takes at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from evalkit.metrics.counts import count_row
from evalkit.metrics.truth import Truth
from evalkit.types import CropMask, Decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Levels = NDArray[np.uint16]

N_THRESHOLDS: Final = 256
"""Thresholds 0..255; at 255 no grey value is foreground."""
ALWAYS: Final = 256
"""The value of pixels that no threshold takes away: those of polygons and run lengths."""


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCounts:
    """Counts of one answer on one sample at thresholds 0..255, each shape (256,), in pixels of the full image.

    ``decoded``: whether any mask is left. Intersection and union are as in ``count_row``.
    """

    intersection: Floats
    union: Floats
    iou: Floats
    decoded: NDArray[np.bool_]


def count_thresholds(decoded: Decoded, truth: Truth, instances: str) -> ThresholdCounts | None:
    """Return the counts of an answer that was read at threshold 0; None for an answer of boxes alone.

    ``instances``: how several items make one prediction, see ``DecodeSettings``.
    """
    masks = [item.mask for item in decoded.items if item.mask is not None]
    if decoded.outcome != "decoded" or not masks:
        counts = count_row(decoded, truth, boundary=False)
        if counts["iou"] is None:
            return None
        intersection, union, iou = (
            np.full(N_THRESHOLDS, float(counts[key] or 0)) for key in ("intersection", "union", "iou")
        )
        return ThresholdCounts(intersection, union, iou, np.zeros(N_THRESHOLDS, dtype=bool))
    if instances == "union":
        area, shared, ignored = _histogram_counts(_highest(masks), truth)
    else:
        area, shared, ignored = _chosen(masks, truth, first=instances == "first")
    union = area - ignored + truth.area_px - shared
    kept = area > 0
    # Without a mask the answer is a format failure: an empty prediction, union = the target.
    union = np.where(kept, union, truth.area_px)
    iou = np.divide(shared, union, out=np.zeros(N_THRESHOLDS), where=union > 0)
    return ThresholdCounts(shared, union, iou, kept)


def counts_of_readings(readings: Iterable[Decoded], truth: Truth) -> ThresholdCounts | None:
    """Return the same of an answer that was read anew at every threshold 0..255."""
    rows = [(decoded, count_row(decoded, truth, boundary=False)) for decoded in readings]
    if any(counts["iou"] is None for _, counts in rows):
        return None
    intersection, union, iou = (
        np.array([counts[key] or 0 for _, counts in rows], dtype=np.float64)
        for key in ("intersection", "union", "iou")
    )
    return ThresholdCounts(intersection, union, iou, np.array([d.outcome == "decoded" for d, _ in rows]))


def _levels(mask: CropMask) -> Levels:
    if mask.levels_hw is None:
        return mask.crop_hw.astype(np.uint16) * np.uint16(ALWAYS)
    return mask.levels_hw.astype(np.uint16)


def _highest(masks: Sequence[CropMask]) -> tuple[int, int, Levels]:
    """Return the highest value of all masks at each pixel around them: (x0, y0, values H x W)."""
    if len(masks) == 1:
        return masks[0].x0_px, masks[0].y0_px, _levels(masks[0])
    x0, y0 = min(mask.x0_px for mask in masks), min(mask.y0_px for mask in masks)
    x1 = max(mask.x0_px + mask.crop_hw.shape[1] for mask in masks)
    y1 = max(mask.y0_px + mask.crop_hw.shape[0] for mask in masks)
    canvas = np.zeros((y1 - y0, x1 - x0), dtype=np.uint16)
    for mask in masks:
        height, width = mask.crop_hw.shape
        top, left = mask.y0_px - y0, mask.x0_px - x0
        window = canvas[top : top + height, left : left + width]
        np.maximum(window, _levels(mask), out=window)
    return x0, y0, canvas


def _histogram_counts(placed: tuple[int, int, Levels], truth: Truth) -> tuple[Floats, Floats, Floats]:
    """Return (area, intersection, ignored pixels), each shape (256,), of values at (x0, y0)."""
    x0, y0, levels = placed
    height, width = levels.shape
    area = _from_above(levels.ravel())
    shared = _from_above(_on(truth.mask, x0, y0, levels))
    if truth.ignore_hw is None:
        return area, shared, np.zeros(N_THRESHOLDS)
    return area, shared, _from_above(levels[truth.ignore_hw[y0 : y0 + height, x0 : x0 + width]])


def _on(target: CropMask, x0: int, y0: int, levels: Levels) -> Levels:
    """Return the values at the target's pixels, flat."""
    height, width = target.crop_hw.shape
    left, top = max(x0, target.x0_px), max(y0, target.y0_px)
    right, bottom = (
        min(x0 + levels.shape[1], target.x0_px + width),
        min(y0 + levels.shape[0], target.y0_px + height),
    )
    if right <= left or bottom <= top:
        return levels[:0, 0]
    part = levels[top - y0 : bottom - y0, left - x0 : right - x0]
    inside = target.crop_hw[
        top - target.y0_px : bottom - target.y0_px, left - target.x0_px : right - target.x0_px
    ]
    return part[inside]


def _from_above(values: Levels) -> Floats:
    """Return how many values lie above each threshold 0..255."""
    histogram = np.bincount(values, minlength=ALWAYS + 1)
    return np.cumsum(histogram[::-1])[::-1][1:].astype(np.float64)


def _chosen(masks: Sequence[CropMask], truth: Truth, *, first: bool) -> tuple[Floats, Floats, Floats]:
    """Return the counts of the first mask that is left at each threshold, or of the largest."""
    counts = [_histogram_counts((mask.x0_px, mask.y0_px, _levels(mask)), truth) for mask in masks]
    areas = np.stack([area for area, _, _ in counts])
    chosen = (areas > 0).argmax(axis=0) if first else areas.argmax(axis=0)
    columns = np.arange(N_THRESHOLDS)
    area, shared, ignored = (np.stack(part)[chosen, columns] for part in zip(*counts, strict=True))
    return area, shared, ignored
