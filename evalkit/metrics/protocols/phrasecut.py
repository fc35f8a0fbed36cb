"""PhraseCut: mean and cumulative mask IoU, and the share of tasks above a threshold.

ChenyunWu/PhraseCutDataset: utils/iou.py ``iou_polygons_masks`` and utils/evaluator.py
``analyze_stats``, commit 276470b7773d: an intersection of 0 is an IoU of 0, and a threshold must be
exceeded. A failure is an empty prediction, as in the evaluator's "Overall" line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, mean, ratio

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou (mean mask IoU), ciou (cumulative) and p_0.3 .. p_0.9, all in 0..1."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    return {
        "giou": mean(masks.iou),
        "ciou": ratio(masks.intersection, masks.union),
        **{f"p_{threshold}": mean(masks.iou > threshold) for threshold in THRESHOLDS},
    }


PROTOCOL = Protocol(
    "phrasecut",
    "ChenyunWu/PhraseCutDataset: utils/iou.py, utils/evaluator.py, commit 276470b7773d",
    statistics,
    keys=("giou", "ciou", *(f"p_{threshold}" for threshold in THRESHOLDS)),
)
