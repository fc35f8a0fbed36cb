"""MUSE: LISA's meters over the single targets of a question, each with the mask that is matched to it.

MaverickRen/PixelLM: train_ds.py ``validate`` and utils/matcher.py ``match_pred``, commit ebf07922745a. Masks and
targets are paired by the Hungarian method; gIoU is the mean over targets of I / (U + 1e-5), cIoU is sum I /
(sum U + 1e-10). A target without a mask is missed (I = 0, U = its area); a mask without a target counts nothing.

The evaluator matches on the logits of 12,544 random points; answers made elsewhere are masks, so they are matched
on their IoU, which differs only where two masks compete for a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import area, crop_intersection
from evalkit.metrics.counts import mask_iou_matrix, matched_pairs
from evalkit.metrics.protocols.base import Protocol, Statistics, protocol_counts, ratio
from evalkit.metrics.protocols.lisa import MEAN_EPSILON_PX, SUM_EPSILON_PX

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

KEYS = ("giou", "ciou")


def count(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float] | None:
    """Return the targets and the sums over them of IoU, intersection and union; None for an answer of boxes alone."""
    del sample
    items = decoded.items if decoded.outcome == "decoded" else ()
    masks = [item.mask for item in items if item.mask is not None]
    if decoded.outcome == "decoded" and not masks:
        return None
    wanted = truth.instances
    unions = np.array([area(crop) for crop in wanted], dtype=np.float64)
    shared = np.zeros(len(wanted))
    for row, column in zip(*matched_pairs(mask_iou_matrix(masks, wanted)), strict=True):
        shared[column] = crop_intersection(masks[row], wanted[column])
        unions[column] += area(masks[row]) - shared[column]
    iou = shared / (unions + MEAN_EPSILON_PX)
    return {
        "targets": len(wanted),
        "iou": float(iou.sum()),
        "intersection": float(shared.sum()),
        "union": float(unions.sum()),
    }


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou (over targets) and ciou, both in 0..1."""
    counts = protocol_counts(rows)
    if not len(counts) or "targets" not in counts or counts["targets"].isna().any():
        return {}
    targets, iou, shared, union = (
        counts[name].to_numpy(dtype=np.float64) for name in ("targets", "iou", "intersection", "union")
    )
    return {
        "giou": ratio(iou, targets),
        "ciou": ratio(shared, union + SUM_EPSILON_PX / max(1, len(union)) * (union > 0)),
    }


PROTOCOL = Protocol(
    "muse",
    "MaverickRen/PixelLM: train_ds.py, utils/matcher.py, commit ebf07922745a",
    statistics,
    count,
    KEYS,
)
