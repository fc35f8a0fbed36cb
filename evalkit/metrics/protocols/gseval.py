"""GSEval, by boxes and by masks.

hustvl/GroundingSuite: evaluate_grounding.py, commit ff3ea305df13. Box mode: share of rows whose
box reaches IoU 0.5, no box being wrong. Mask mode: mean IoU over the rows that have a prediction,
a mask without a pixel being one (IoU 0); rows without any mask are left out, so ``share_predicted``
stands beside it: silence looks good here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, protocol_counts, ratio, share

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.protocols.base import BoolArray, FloatArray
    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Item, Sample

SOURCE = "hustvl/GroundingSuite: evaluate_grounding.py, commit ff3ea305df13"
BOX_IOU = 0.5


def statistics_boxes(rows: pd.DataFrame) -> Statistics:
    """Return accuracy: the share of targeted rows whose returned box has IoU >= 0.5."""
    iou = rows["box_iou"].to_numpy(dtype=np.float64, na_value=np.nan)
    return {"accuracy": share(iou >= BOX_IOU, ~rows["no_target"].to_numpy(dtype=bool))}


def count_mask(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return whether the answer holds a mask that can be read, with pixels or without one (0 or 1)."""
    del sample, truth
    empty = any(map(holds_empty_mask, decoded.items))
    return {"predicted": float(decoded.outcome == "decoded" or empty)}


def holds_empty_mask(item: Item) -> bool:
    """Tell whether an item holds a mask that can be read and has no pixel; a placeholder is no mask."""
    return item.failure == "mask_empty" and item.wire_format not in (None, "placeholder")


def statistics_masks(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou over rows with a mask, and the share of rows that have one."""
    counts = protocol_counts(rows)
    # Rows that an older evalkit scored have no such count: their masks without a pixel are unknown.
    known = counts["predicted"] == 1 if "predicted" in counts else rows["outcome"] == "decoded"
    predicted = known.to_numpy(dtype=bool)
    shared = share(predicted, np.ones_like(predicted))
    masks = mask_rows(rows[predicted])
    if masks is None:
        return {"share_predicted": shared}
    iou, intersection, union = (
        _at(predicted, values) for values in (masks.iou, masks.intersection, masks.union)
    )
    return {
        "giou": ratio(iou, predicted),
        "ciou": ratio(intersection, union),
        "share_predicted": shared,
    }


def _at(places: BoolArray, values: FloatArray) -> FloatArray:
    """Return ``values`` at the rows of ``places``, 0 elsewhere."""
    spread = np.zeros(places.size)
    spread[places] = values
    return spread


GSEVAL_BOX = Protocol("gseval-box", SOURCE, statistics_boxes, keys=("accuracy",))
GSEVAL_MASK = Protocol(
    "gseval-mask", SOURCE, statistics_masks, count_mask, ("giou", "ciou", "share_predicted")
)
