"""LISA's gIoU and cIoU, for ReasonSeg and the refer family.

dvlab-research/LISA: train_ds.py ``validate`` and utils/utils.py ``intersectionAndUnionGPU``, commit
3cb2d4301f1a: gIoU is the mean over sentences of I / (U + 1e-5), cIoU is sum I / (sum U + 1e-10);
where U is 0 (nothing to find, nothing marked) the IoU is 1. Ignored pixels are in neither I nor U.

``lisa`` clips overlapping polygons to one mask. ``lisa-exact`` repeats what LISA's histogram does
with refer's summed masks: a truth pixel of 2 or more is no target, yet a prediction on it is in U.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import intersection_with
from evalkit.metrics.counts import overlap_counts
from evalkit.metrics.protocols.base import (
    MaskRows,
    Protocol,
    Statistics,
    mask_rows,
    mean,
    protocol_counts,
    ratio,
)

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

SOURCE = "dvlab-research/LISA: train_ds.py, utils/utils.py, commit 3cb2d4301f1a"
MEAN_EPSILON_PX = 1e-5
SUM_EPSILON_PX = 1e-10


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou with overlapping polygons clipped."""
    return _statistics(mask_rows(rows))


def statistics_exact(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou with LISA's treatment of overlapping polygons."""
    return _statistics(mask_rows(rows, protocol_counts(rows)))


def count_exact(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float] | None:
    """Return intersection and union in pixels against the truth pixels that exactly one polygon covers.

    None for an answer of boxes alone.
    """
    del sample
    if decoded.outcome == "decoded" and decoded.mask is None:
        return None
    doubled_hw = truth.overlap_hw & truth.mask_hw
    single_px = truth.area_px - int(np.count_nonzero(doubled_hw))
    if decoded.mask is None or decoded.outcome != "decoded":
        return {"intersection": 0, "union": single_px}
    intersection, union, _ = overlap_counts(decoded.mask, truth)
    spilled = intersection_with(decoded.mask, doubled_hw)
    # union = counted prediction + target - intersection, and the doubled pixels leave the last two.
    counted = union - truth.area_px + intersection
    return {"intersection": intersection - spilled, "union": counted + single_px - (intersection - spilled)}


def _statistics(masks: MaskRows | None) -> Statistics:
    if masks is None:
        return {}
    iou = masks.intersection / (masks.union + MEAN_EPSILON_PX)
    iou[(masks.union == 0) & masks.empty] = 1.0
    return {"giou": mean(iou), "ciou": ratio(masks.intersection, masks.union_plus(SUM_EPSILON_PX))}


KEYS = ("giou", "ciou")
LISA = Protocol("lisa", SOURCE, statistics, keys=KEYS)
LISA_EXACT = Protocol("lisa-exact", SOURCE, statistics_exact, count_exact, KEYS)
