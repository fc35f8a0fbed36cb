"""MUSE: LISA's meters over the single targets of a question, each with the mask that is matched to it.

MaverickRen/PixelLM: train_ds.py ``ar_validate`` and utils/matcher.py ``match_pred``, commit ebf07922745a. Masks and
targets of a question are paired by the Hungarian method; a target without a mask and a mask without a target are
paired with nothing. gIoU is the sum of I / (U + 1e-5) over the larger number of masks and targets of each image (all
its questions together), cIoU is sum I / (sum U + 1e-10) over all pairs, so that a mask too many lowers both. A mask
without a pixel takes a target as any other does, and beyond them all it is right about nothing: IoU 1.

The evaluator matches on the logits of 12,544 random points; answers made elsewhere are masks, so they are matched on
their IoU, which differs only where two masks compete for a target. There a mask without a target stays logits while
the matched ones become 0 and 1, and the areas count values in 0..1 alone: a surplus mask whose logits are all above 1
or below 0 has no area and gets IoU 1. Here it is a mask as any other, paired with an empty one, and gets 0: our choice,
since otherwise a number would rise with what a model returns beyond the targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import area, crop_intersection
from evalkit.metrics.counts import mask_iou_matrix, matched_pairs
from evalkit.metrics.protocols.base import Protocol, Statistics, protocol_counts, ratio
from evalkit.metrics.protocols.gseval import holds_empty_mask
from evalkit.metrics.protocols.lisa import MEAN_EPSILON_PX, SUM_EPSILON_PX

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import CropMask, Decoded, Sample

KEYS = ("giou", "ciou")
DISJOINT = -1e-9
"""Worth of a pair of a mask and a target that share nothing: below that of a mask without a pixel, which the
evaluator's costs prefer, and far above minus any IoU."""


def count(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float] | None:
    """Return the masks, the targets and the sums over their pairs of IoU, intersection and union in pixels.

    None for an answer of boxes alone.
    """
    del sample
    readable = decoded.items if decoded.outcome == "decoded" else ()
    masks = [item.mask for item in readable if item.mask is not None]
    if decoded.outcome == "decoded" and not masks:
        return None
    n_empty = sum(holds_empty_mask(item) for item in decoded.items)
    wanted = truth.instances
    shared, unions, surplus = _pairs(masks, n_empty, wanted)
    return {
        "masks": len(masks) + n_empty,
        "targets": len(wanted),
        "iou": float((shared / (unions + MEAN_EPSILON_PX)).sum()) + float((unions == 0).sum()) + surplus,
        "intersection": float(shared.sum()),
        "union": float(unions.sum()),
    }


def _pairs(
    masks: list[CropMask], n_empty: int, wanted: tuple[CropMask, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return intersections and unions of the targets and of the masks without one, and the empty masks left over."""
    matrix = np.zeros((len(masks) + n_empty, len(wanted)))
    overlaps = mask_iou_matrix(masks, wanted)
    matrix[: len(masks)] = np.where(overlaps > 0, overlaps, DISJOINT)
    shared = np.zeros(len(wanted) + len(masks))
    unions = np.array([area(crop) for crop in (*wanted, *masks)], dtype=np.float64)
    rows, columns = matched_pairs(matrix)
    for row, column in zip(rows, columns, strict=True):
        if row < len(masks):
            own = len(wanted) + row
            shared[column] = crop_intersection(masks[row], wanted[column])
            unions[column] += unions[own] - shared[column]
    paired = {int(row) for row in rows}
    kept = [*range(len(wanted)), *(len(wanted) + row for row in range(len(masks)) if row not in paired)]
    surplus = sum(row not in paired for row in range(len(masks), len(matrix)))
    return shared[kept], unions[kept], surplus


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou (over the pairs of masks and targets) and ciou, both in 0..1."""
    counts = protocol_counts(rows)
    # Rows that an older evalkit scored lack the masks without a target: their numbers are unknown.
    if not len(counts) or "masks" not in counts or counts["masks"].isna().any():
        return {}
    masks, targets, iou, shared, union = (
        counts[name].to_numpy(dtype=np.float64)
        for name in ("masks", "targets", "iou", "intersection", "union")
    )
    _, codes = np.unique(rows["image_id"].to_numpy(dtype=str), return_inverse=True)
    more_masks = np.bincount(codes, masks) > np.bincount(codes, targets)
    return {
        "giou": ratio(iou, np.where(more_masks[codes], masks, targets)),
        "ciou": ratio(shared, union + SUM_EPSILON_PX / max(1, len(union)) * (union > 0)),
    }


PROTOCOL = Protocol(
    "muse",
    "MaverickRen/PixelLM: train_ds.py, utils/matcher.py, commit ebf07922745a",
    statistics,
    count,
    KEYS,
)
