"""Seg-Zero's and VisionReasoner's rules for ReasonSeg and the refer family.

dvlab-research/Seg-Zero: evaluation_scripts/evaluation_visionreasoner.py and calculate_iou.py, commit 42a33455283b, and
dvlab-research/VisionReasoner: evaluation/evaluation_segmentation.py and calculate_iou_with_bbox.py, commit
a455092a8d57. An IoU is I / U; a failed answer is I = 0, U = the target's area. Where nothing fits and nothing is
marked, Seg-Zero leaves the row out (its ``compute_iou`` returns one number where two are unpacked, which it skips), and
VisionReasoner counts an IoU of 0: neither rewards a right refusal. VisionReasoner's ``bbox_AP`` is the share of rows
any of whose boxes has an IoU above 0.5. Seg-Zero prints gIoU alone; its cIoU here is of the same rows.

Both read the Hugging Face copies of ReasonSeg, whose masks turned ignored pixels into target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.metrics.counts import box_iou
from evalkit.metrics.protocols.base import Protocol, Statistics, mask_rows, mean, protocol_counts, ratio
from evalkit.metrics.protocols.boxes import item_boxes

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

BOX_IOU = 0.5


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou, both in 0..1."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    return {"giou": mean(masks.iou), "ciou": ratio(masks.intersection, masks.union)}


def statistics_of_kept(rows: pd.DataFrame) -> Statistics:
    """Return giou and ciou without the rows where nothing fits and nothing is marked, both in 0..1."""
    masks = mask_rows(rows)
    if masks is None:
        return {}
    kept = ~(masks.empty & (masks.union == 0))
    return {"giou": ratio(masks.iou * kept, kept), "ciou": ratio(masks.intersection, masks.union)}


def count(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return whether any box of a readable answer has an IoU above 0.5 with the target's, 0 or 1."""
    del sample
    wanted = truth.box_px_xyxy
    hit = wanted is not None and any(box_iou(box, wanted) > BOX_IOU for _, box in item_boxes(decoded))
    return {"box_hit": float(hit)}


def statistics_with_boxes(rows: pd.DataFrame) -> Statistics:
    """Return giou, ciou and box_any (the evaluator's bbox_AP), all in 0..1."""
    counts = protocol_counts(rows)
    found = statistics(rows)
    if len(counts) and "box_hit" in counts:
        found["box_any"] = mean(counts["box_hit"].to_numpy(dtype=float))
    return found


SEG_ZERO = Protocol(
    "seg-zero",
    "dvlab-research/Seg-Zero: evaluation_scripts/evaluation_visionreasoner.py, calculate_iou.py, commit 42a33455283b",
    statistics_of_kept,
    keys=("giou", "ciou"),
)
VISION_REASONER = Protocol(
    "vision-reasoner",
    "dvlab-research/VisionReasoner: evaluation/evaluation_segmentation.py, calculate_iou_with_bbox.py, commit a455092a8d57",
    statistics_with_boxes,
    count,
    ("giou", "ciou", "box_any"),
)
