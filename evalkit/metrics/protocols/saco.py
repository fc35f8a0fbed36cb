"""SA-Co: cgF1 = pmF1 x IL_MCC over image and noun-phrase pairs.

facebookresearch/sam3: sam3/eval/cgf1_eval.py, commit 99d02f28c8d3 (``evaluateImg``, ``accumulate`` and
``_select_best_scoring``). Predictions with a score below 0.5 are dropped (a model without scores
counts as 1). Items and objects are paired by the Hungarian method on mask IoU; per threshold
t = 0.50, 0.55 .. 0.95 a pair with IoU >= t is a hit. With several annotators each pair takes the
one whose mean F1 is best (oracle). Pairs that some annotator did not mark exhaustively are out.

``saco-box`` pairs by boxes, in pixels: the evaluator compares the normalised numbers of its files, which gives the same.

A failed answer is no refusal: on a pair without objects it counts as a false alarm in IL_MCC.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.counts import box_iou, mask_iou_matrix, matched_ious
from evalkit.metrics.protocols.base import Protocol, Statistics, protocol_counts
from evalkit.metrics.protocols.boxes import instance_boxes, item_boxes
from evalkit.stats.resampling import SumStatistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import Decoded, Sample

    Floats = NDArray[np.float64]

# The evaluator's own way to make them: 0.05 steps by addition would miss .6, .7 and others by an ulp.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
SCORE_THRESHOLD = 0.5
RATIO_EPSILON = 1e-4
MCC_EPSILON = 1e-6
KEYS = (
    "cgf1",
    "pmf1",
    "il_mcc",
    *(f"{key}_{at}" for key in ("cgf1", "pmf1", "il_mcc") for at in (0.5, 0.75)),
)


def count(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return one pair's counts against its best annotator.

    ``counted`` (0 or 1: every annotator marked it exhaustively), ``n_gt`` and ``n_pred`` objects,
    ``found`` (1 where anything was marked or the answer failed) and ``tp_0.50`` .. ``tp_0.95``.
    """
    del sample
    annotators = (truth, *truth.alternatives)
    failed = decoded.outcome not in ("decoded", "no_target")
    masks = [
        item.mask
        for item in (decoded.items if decoded.outcome == "decoded" else ())
        if item.mask is not None and (item.score is None or item.score >= SCORE_THRESHOLD)
    ]
    matrices = [mask_iou_matrix(masks, annotator.instances) for annotator in annotators]
    return _counts(matrices, annotators, len(masks), failed=failed)


def count_boxes(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, float]:
    """Return the same by the boxes of items and objects; one without a box has its mask's tight one."""
    del sample
    annotators = (truth, *truth.alternatives)
    boxes = [box for _, box in item_boxes(decoded, SCORE_THRESHOLD)]
    matrices = [
        np.array([[box_iou(box, one) for one in wanted] for box in boxes]).reshape(len(boxes), len(wanted))
        for wanted in map(instance_boxes, annotators)
    ]
    failed = decoded.outcome not in ("decoded", "no_target")
    return _counts(matrices, annotators, len(boxes), failed=failed)


def _counts(
    matrices: Sequence[Floats], annotators: Sequence[Truth], n_predicted: int, *, failed: bool
) -> dict[str, float]:
    """Return the counts against the annotator that agrees best; ``matrices``: IoU (items, objects) of each."""
    scored = [
        (_hits(matrix), len(annotator.source.instances))
        for matrix, annotator in zip(matrices, annotators, strict=True)
    ]
    # The first of equals wins, as in the evaluator's strict comparison.
    hits, n_gt = max(scored, key=lambda pair: _pair_f1(pair[0], pair[1], n_predicted, failed=failed))
    return {
        "counted": float(all(annotator.source.exhaustive for annotator in annotators)),
        "n_gt": n_gt,
        "n_pred": n_predicted,
        "found": float(bool(n_predicted) or (failed and n_gt == 0)),
        **{f"tp_{threshold:.2f}": int(hit) for threshold, hit in zip(IOU_THRESHOLDS, hits, strict=True)},
    }


def _hits(matrix: Floats) -> NDArray[np.int64]:
    """Return the matched pairs per threshold, shape (10,)."""
    matched = matched_ious(matrix)
    hits: NDArray[np.int64] = (matched[:, None] >= IOU_THRESHOLDS).sum(axis=0)
    return hits


def _pair_f1(hits: NDArray[np.int64], n_gt: int, n_pred: int, *, failed: bool) -> float:
    """Return one pair's F1 averaged over the thresholds; a refusal where there is nothing is perfect (infinite)."""
    if n_gt == 0 and n_pred == 0:
        return 0.0 if failed else np.inf
    return float(_f1(hits / (n_pred + RATIO_EPSILON), hits / (n_gt + RATIO_EPSILON)).mean())


def _f1(precision: Floats, recall: Floats) -> Floats:
    return 2 * precision * recall / (precision + recall + RATIO_EPSILON)


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return its numbers: means over the ten thresholds and the values at 0.5 and 0.75 (il_mcc has no threshold)."""
    counts = protocol_counts(rows)
    if not len(counts) or not (counts["counted"] == 1).any():
        return {}
    columns = sum_columns(counts)
    found: Statistics = {"cgf1": SumStatistic(columns, _cgf1), "pmf1": SumStatistic(columns, _pmf1)}
    found["il_mcc"] = SumStatistic(columns, image_level_mcc)
    for name, index in (("0.5", 0), ("0.75", 5)):
        found[f"cgf1_{name}"] = SumStatistic(columns, partial(_cgf1, threshold=index))
        found[f"pmf1_{name}"] = SumStatistic(columns, partial(_pmf1, threshold=index))
        found[f"il_mcc_{name}"] = found["il_mcc"]
    return found


def sum_columns(counts: pd.DataFrame) -> Floats:
    """Return what the numbers are functions of, per pair, (17, pairs); zeros for pairs that are not counted.

    Hits at the ten thresholds; objects; predictions on pairs with objects; pairs that are right to be
    found (hit), missed, false alarms and rightly quiet; pairs.
    """
    counted = counts["counted"].to_numpy(dtype=np.float64)
    present, found = counts["n_gt"].to_numpy() > 0, counts["found"].to_numpy() > 0
    hits = [counts[f"tp_{threshold:.2f}"].to_numpy(dtype=np.float64) for threshold in IOU_THRESHOLDS]
    others = [
        counts["n_gt"].to_numpy(dtype=np.float64),
        counts["n_pred"].to_numpy(dtype=np.float64) * present,
        *(present & found, present & ~found, ~present & found, ~present & ~found),
        np.ones(len(counts)),
    ]
    columns: Floats = np.stack([*hits, *others]) * counted
    return columns


def _pmf1(sums: Floats, threshold: int | None = None) -> Floats:
    """Return pmF1, the mean over the thresholds or at one: hits of all pairs, false positives of pairs with objects."""
    hits, n_wanted, n_predicted = sums[: IOU_THRESHOLDS.size], sums[10], sums[11]
    f1 = _f1(hits / (n_predicted + RATIO_EPSILON), hits / (n_wanted + RATIO_EPSILON))
    found = f1.mean(axis=0) if threshold is None else f1[threshold]
    return np.where(sums[16] > 0, found, np.nan)


def _cgf1(sums: Floats, threshold: int | None = None) -> Floats:
    """Return cgF1: pmF1 times the correlation of the pairs."""
    return _pmf1(sums, threshold) * image_level_mcc(sums)


def image_level_mcc(sums: Floats) -> Floats:
    """Return Matthews' correlation, -1..1, of "there is something" with "something was marked"."""
    hit, miss, alarm, quiet = sums[12:16]
    product = (hit + alarm) * (hit + miss) * (quiet + alarm) * (quiet + miss)
    found = (hit * quiet - alarm * miss) / (np.sqrt(np.maximum(product, 0)) + MCC_EPSILON)
    return np.where(sums[16] > 0, found, np.nan)


SOURCE = "facebookresearch/sam3: sam3/eval/cgf1_eval.py, commit 99d02f28c8d3"
PROTOCOL = Protocol("saco", SOURCE, statistics, count, KEYS)
BOXES = Protocol("saco-box", SOURCE, statistics, count_boxes, KEYS)
