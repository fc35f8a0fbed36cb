"""ConverSeg's gIoU and cIoU.

AadSah/ConverSeg: eval.py ``_compute_iou`` and its sums, commit 9eacdd12beed: IoU is 1 where the union is 0,
else I / (U + 1e-10); gIoU is its mean, cIoU is sum I / (sum U + 1e-10); native resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, mean, ratio

if TYPE_CHECKING:
    import pandas as pd

EPSILON_PX = 1e-10


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou, both in 0..1."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    iou = masks.intersection / (masks.union + EPSILON_PX)
    iou[(masks.union == 0) & masks.empty] = 1.0
    return {"giou": mean(iou), "ciou": ratio(masks.intersection, masks.union_plus(EPSILON_PX))}


PROTOCOL = Protocol(
    "converseg", "AadSah/ConverSeg: eval.py, commit 9eacdd12beed", statistics, keys=("giou", "ciou")
)
