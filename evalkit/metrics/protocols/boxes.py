"""Box protocols: GREC (several boxes, or none), Ref-L4, and REC by the first box beside the hull of all.

GREC: henghuiding/gRefCOCO: mdetr/datasets/refexp.py ``RefExpEvaluator``, commit 41a8f008006b: boxes with a score
of 0.7 and more (a model without scores counts as 1), paired greedily by the highest generalised IoU from 0.5 on;
the share of rows with F1 = 1; a row without a target is right with no box alone.
Ref-L4: JierunChen/Ref-L4: ref_l4/evaluation.py, commit bae942c852b5: share of rows with IoU above (not at) a
threshold, in single precision; mAcc is its mean over 0.50 .. 0.95.
REC: EvolvingLMMs-Lab/lmms-eval: tasks/refcoco/utils_rec.py, commit 75571cfe0fa3, takes the first box of an answer, in
parts of the image (an IoU of 0.5 in pixels can be just below it there); the box around all boxes stands beside it.

The box of an item without one is its mask's tight box, and so are the targets' own boxes in GREC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.counts import box_iou, returned_box
from evalkit.metrics.protocols.base import Protocol, Statistics, mean, protocol_counts, ratio, share
from evalkit.metrics.truth import box_of_crop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from evalkit.metrics.protocols.base import FloatArray
    from evalkit.metrics.truth import FloatBox, Truth
    from evalkit.types import Decoded, Sample

GREC_SCORE = 0.7
GREC_IOU = 0.5
REF_L4_THRESHOLDS = (0.5, 0.75, 0.9)
REF_L4_MEAN_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
REC_IOU = 0.5


def item_boxes(decoded: Decoded, least_score: float = 0.0) -> list[tuple[float, FloatBox]]:
    """Return (score, box in pixels xyxy) of the items of a readable answer that score enough, no score being 1."""
    found = []
    for item in decoded.items if decoded.outcome == "decoded" else ():
        box = item.box_px_xyxy or box_of_crop(item.mask)
        score = 1.0 if item.score is None else item.score
        if box is not None and score >= least_score:
            found.append((score, box))
    return found


def instance_boxes(truth: Truth) -> list[FloatBox]:
    """Return the tight boxes of the target objects, in pixels xyxy; one without a pixel has none."""
    return [box for crop in truth.instances if (box := box_of_crop(crop)) is not None]


def generalised_iou(a: FloatBox, b: FloatBox) -> float:
    """Return IoU minus the share of the smallest box around both that neither covers, -1..1.

    In single precision and in the order of GREC's ``generalized_box_iou``, so that ties with a threshold fall alike.
    """
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = (np.array(box, dtype=np.float32) for box in (a, b))
    zero = np.float32(0)
    shared = max(min(ax1, bx1) - max(ax0, bx0), zero) * max(min(ay1, by1) - max(ay0, by0), zero)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    hull = (max(ax1, bx1) - min(ax0, bx0)) * (max(ay1, by1) - min(ay0, by0))
    return float(shared / union - (hull - union) / hull) if union > 0 and hull > 0 else 0.0


def count_grec(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return whether F1 is 1 and whether any box was given, 0 or 1 each; a failure counts as no right refusal."""
    del sample
    boxes = [box for _, box in sorted(item_boxes(decoded, GREC_SCORE), reverse=True)]
    if truth.no_target:
        right = not boxes and decoded.outcome in ("decoded", "no_target")
        return {"perfect": float(right), "found": float(not right)}
    wanted = instance_boxes(truth)
    matrix = np.array([[generalised_iou(box, one) for one in wanted] for box in boxes])
    hits = _greedy_hits(matrix.reshape(len(boxes), len(wanted)))
    return {"perfect": float(hits == len(boxes) == len(wanted)), "found": float(bool(boxes))}


def _greedy_hits(matrix: FloatArray) -> int:
    """Return how many pairs the highest values make, each box and each object once, from ``GREC_IOU`` on."""
    hits = 0
    while hits < min(matrix.shape) and matrix.max() >= GREC_IOU:
        row, column = np.unravel_index(int(matrix.argmax()), matrix.shape)
        matrix[row, :], matrix[:, column] = 0.0, 0.0
        hits += 1
    return hits


def statistics_grec(rows: pd.DataFrame) -> Statistics:
    """Return f1 (share of rows with F1 = 1), n_acc and t_acc, all in 0..1."""
    counts = protocol_counts(rows)
    if not len(counts) or "perfect" not in counts:
        return {}
    perfect, found = counts["perfect"].to_numpy() == 1, counts["found"].to_numpy() == 1
    no_target = rows["no_target"].to_numpy(dtype=bool)
    return {"f1": mean(perfect), "n_acc": share(~found, no_target), "t_acc": share(found, ~no_target)}


def single_iou(a: FloatBox, b: FloatBox) -> float:
    """Return the IoU of two boxes in single precision, as Ref-L4's ``bbox_overlaps`` computes it."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = (np.array(box, dtype=np.float32) for box in (a, b))
    zero = np.float32(0)
    shared = max(min(ax1, bx1) - max(ax0, bx0), zero) * max(min(ay1, by1) - max(ay0, by0), zero)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    return float(shared / max(union, np.float32(1e-6)))


def count_ref_l4(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return the IoU in single precision of the box around all boxes of a readable answer."""
    del sample
    returned = returned_box(decoded) if decoded.outcome == "decoded" else None
    wanted = truth.box_px_xyxy
    return {"iou": 0.0 if returned is None or wanted is None else single_iou(wanted, returned)}


def statistics_ref_l4(rows: pd.DataFrame) -> Statistics:
    """Return acc_0.5, acc_0.75, acc_0.9 and macc (the mean over 0.50 .. 0.95) of targeted rows, all in 0..1."""
    counts = protocol_counts(rows)
    if not len(counts) or "iou" not in counts:
        return {}
    iou = counts["iou"].to_numpy(dtype=np.float32)
    targeted = ~rows["no_target"].to_numpy(dtype=bool)
    found: Statistics = {f"acc_{t}": share(iou > np.float32(t), targeted) for t in REF_L4_THRESHOLDS}
    passed = np.mean([iou > np.float32(t) for t in REF_L4_MEAN_THRESHOLDS], axis=0)
    found["macc"] = ratio(passed * targeted, targeted)
    return found


def count_rec(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return the IoU of the first box and of the box around all boxes of a readable answer."""
    del sample
    boxes = [box for _, box in item_boxes(decoded)]
    return {"first": _iou(boxes[:1], truth), "hull": _iou(boxes, truth)}


def _iou(boxes: Sequence[FloatBox], truth: Truth) -> float:
    wanted = truth.box_px_xyxy
    if not boxes or wanted is None:
        return 0.0
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    sides = truth.width_px, truth.height_px, truth.width_px, truth.height_px
    hull, unit = (
        [value / side for value, side in zip(box, sides, strict=True)]
        for box in ((min(x0), min(y0), max(x1), max(y1)), wanted)
    )
    return box_iou(unit, hull)


def statistics_rec(rows: pd.DataFrame) -> Statistics:
    """Return acc_first and acc_hull: shares of targeted rows whose first box, or box around all, has IoU >= 0.5."""
    counts = protocol_counts(rows)
    if not len(counts) or "first" not in counts:
        return {}
    targeted = ~rows["no_target"].to_numpy(dtype=bool)
    return {
        f"acc_{name}": share(counts[name].to_numpy(dtype=np.float64) >= REC_IOU, targeted)
        for name in ("first", "hull")
    }


GREC = Protocol(
    "grec",
    "henghuiding/gRefCOCO: mdetr/datasets/refexp.py, commit 41a8f008006b",
    statistics_grec,
    count_grec,
    ("f1", "n_acc", "t_acc"),
)
REF_L4 = Protocol(
    "ref-l4",
    "JierunChen/Ref-L4: ref_l4/evaluation.py, commit bae942c852b5",
    statistics_ref_l4,
    count_ref_l4,
    (*(f"acc_{t}" for t in REF_L4_THRESHOLDS), "macc"),
)
REC = Protocol(
    "rec",
    "EvolvingLMMs-Lab/lmms-eval: lmms_eval/tasks/refcoco/utils_rec.py, commit 75571cfe0fa3",
    statistics_rec,
    count_rec,
    ("acc_first", "acc_hull"),
)
