"""SA-Co: cgF1 = pmF1 x IL_MCC over image and noun-phrase pairs.

facebookresearch/sam3: sam3/eval/cgf1_eval.py, commit 99d02f28c8d3 (``evaluateImg``, ``accumulate`` and
``_select_best_scoring``). Predictions with a score below 0.5 are dropped (a model without scores
counts as 1). Items and objects are paired by the Hungarian method on mask IoU; per threshold
t = 0.50, 0.55 .. 0.95 a pair with IoU >= t is a hit. With several annotators each pair takes the
one whose mean F1 is best (oracle). Pairs that some annotator did not mark exhaustively are out.

A failed answer is no refusal: on a pair without objects it counts as a false alarm in IL_MCC.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.counts import mask_iou_matrix, matched_ious
from evalkit.metrics.protocols.base import Numbers, Protocol, protocol_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.truth import Truth
    from evalkit.types import CropMask, Decoded, Sample

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
    scored = [(_hits(masks, annotator), len(annotator.source.instances)) for annotator in annotators]
    # The first of equals wins, as in the evaluator's strict comparison.
    hits, n_gt = max(scored, key=lambda pair: _pair_f1(pair[0], pair[1], len(masks), failed=failed))
    return {
        "counted": float(all(annotator.source.exhaustive for annotator in annotators)),
        "n_gt": n_gt,
        "n_pred": len(masks),
        "found": float(bool(masks) or (failed and n_gt == 0)),
        **{f"tp_{threshold:.2f}": int(hit) for threshold, hit in zip(IOU_THRESHOLDS, hits, strict=True)},
    }


def _hits(masks: Sequence[CropMask], truth: Truth) -> NDArray[np.int64]:
    """Return the matched pairs per threshold, shape (10,)."""
    matched = matched_ious(mask_iou_matrix(masks, truth.instances))
    hits: NDArray[np.int64] = (matched[:, None] >= IOU_THRESHOLDS).sum(axis=0)
    return hits


def _pair_f1(hits: NDArray[np.int64], n_gt: int, n_pred: int, *, failed: bool) -> float:
    """Return one pair's F1 averaged over the thresholds; a refusal where there is nothing is perfect (infinite)."""
    if n_gt == 0 and n_pred == 0:
        return 0.0 if failed else np.inf
    return float(_f1(hits / (n_pred + RATIO_EPSILON), hits / (n_gt + RATIO_EPSILON)).mean())


def _f1(precision: Floats, recall: Floats) -> Floats:
    return 2 * precision * recall / (precision + recall + RATIO_EPSILON)


def aggregate(rows: pd.DataFrame) -> Numbers:
    """Return ``KEYS``: means over the ten thresholds and the values at 0.5 and 0.75 (il_mcc has no threshold)."""
    if len(rows) == 0:
        return dict.fromkeys(KEYS)
    counts = protocol_counts(rows)
    counts = counts[counts["counted"] == 1]
    if len(counts) == 0:
        return dict.fromkeys(KEYS)
    pmf1 = _positive_micro_f1(counts)
    il_mcc = image_level_mcc(counts["n_gt"].to_numpy() > 0, counts["found"].to_numpy() > 0)
    numbers: Numbers = {"cgf1": float((pmf1 * il_mcc).mean()), "pmf1": float(pmf1.mean()), "il_mcc": il_mcc}
    for name, index in (("0.5", 0), ("0.75", 5)):
        at_threshold = float(pmf1[index])
        numbers |= {f"cgf1_{name}": at_threshold * il_mcc, f"pmf1_{name}": at_threshold}
        numbers[f"il_mcc_{name}"] = il_mcc
    return numbers


def _positive_micro_f1(counts: pd.DataFrame) -> Floats:
    """Return pmF1 per threshold: hits of all pairs, false positives of pairs that have objects."""
    hits = np.array([counts[f"tp_{threshold:.2f}"].sum() for threshold in IOU_THRESHOLDS], dtype=np.float64)
    n_predicted = counts["n_pred"][counts["n_gt"] > 0].sum()
    return _f1(hits / (n_predicted + RATIO_EPSILON), hits / (counts["n_gt"].sum() + RATIO_EPSILON))


def image_level_mcc(present: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return Matthews' correlation, -1..1, of "there is something" with "something was marked"."""
    hit, miss = float((present & found).sum()), float((present & ~found).sum())
    alarm, quiet = float((~present & found).sum()), float((~present & ~found).sum())
    product = (hit + alarm) * (hit + miss) * (quiet + alarm) * (quiet + miss)
    return (hit * quiet - alarm * miss) / (math.sqrt(product) + MCC_EPSILON)


PROTOCOL = Protocol(
    "saco", "facebookresearch/sam3: sam3/eval/cgf1_eval.py, commit 99d02f28c8d3", aggregate, count
)
