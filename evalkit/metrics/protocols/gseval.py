"""GSEval, by boxes and by masks.

hustvl/GroundingSuite: evaluate_grounding.py, commit ff3ea305df13. Box mode: share of rows whose
box reaches IoU 0.5, no box being wrong. Mask mode: mean IoU over the rows that have a prediction,
a mask without a pixel being one (IoU 0); rows without any mask are left out, so ``share_predicted``
stands beside it: silence looks good here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.protocols.base import Numbers, Protocol, mask_rows, mean, protocol_counts, ratio

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.counts import Truth
    from evalkit.types import Decoded, Sample

SOURCE = "hustvl/GroundingSuite: evaluate_grounding.py, commit ff3ea305df13"
BOX_IOU = 0.5


def aggregate_boxes(rows: pd.DataFrame) -> Numbers:
    """Return accuracy: the share of targeted rows whose returned box has IoU >= 0.5."""
    targeted = rows[~rows["no_target"].to_numpy(dtype=bool)]
    iou = targeted["box_iou"].to_numpy(dtype=np.float64, na_value=np.nan)
    return {"accuracy": mean((iou >= BOX_IOU).astype(float))}


def count_mask(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return whether the answer holds a mask that can be read, with pixels or without one (0 or 1)."""
    del sample, truth
    empty = any(
        item.failure == "mask_empty" and item.wire_format not in (None, "placeholder")
        for item in decoded.items
    )
    return {"predicted": float(decoded.outcome == "decoded" or empty)}


def aggregate_masks(rows: pd.DataFrame) -> Numbers:
    """Return giou and ciou over rows with a mask, and the share of rows that have one."""
    counts = protocol_counts(rows)
    # Rows that an older evalkit scored have no such count: their masks without a pixel are unknown.
    known = counts["predicted"] == 1 if "predicted" in counts else rows["outcome"] == "decoded"
    predicted = rows[known.to_numpy(dtype=bool)]
    masks = mask_rows(predicted)
    shared = ratio(len(predicted), len(rows))
    if masks is None:
        return {"giou": None, "ciou": None, "share_predicted": shared}
    return {
        "giou": mean(masks.iou),
        "ciou": ratio(masks.intersection.sum(), masks.union.sum()),
        "share_predicted": shared,
    }


GSEVAL_BOX = Protocol("gseval-box", SOURCE, aggregate_boxes)
GSEVAL_MASK = Protocol("gseval-mask", SOURCE, aggregate_masks, count_mask)
