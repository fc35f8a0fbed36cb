"""COCO's average precision of boxes or masks, for answers that list every object with a score.

cocodataset/cocoapi: PythonAPI/pycocotools/cocoeval.py, commit 8c9bcc3cf640 (``evaluateImg``, ``accumulate``): the 100
best items of a row, best first, each paired with the free object of the highest IoU; ten thresholds .50:.95; an
item that finds no object and lies on a crowd counts nothing; precision at 101 recalls, averaged over thresholds and
categories. A model without scores has equal ones, so that its AP hangs on the order of the rows.

A row is one image and one category (the tag ``category`` where it is what was asked for, else all rows are one). Pairs
that the dataset does not ask about are in no row, so their false positives are in no AP; crowds of a row are one region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.masks import box_of
from evalkit.metrics.counts import box_iou, ignored_share, mask_iou_matrix
from evalkit.metrics.protocols.base import Protocol, Statistics, protocol_counts
from evalkit.metrics.protocols.boxes import instance_boxes
from evalkit.metrics.truth import box_of_crop
from evalkit.stats.resampling import grouped_influences

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.protocols.base import BoolArray, FloatArray
    from evalkit.metrics.truth import FloatBox, Truth
    from evalkit.types import Decoded, Item, Sample

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_ITEMS = 100
KEYS = ("ap", "ap_0.5", "ap_0.75")


def count_masks(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, Any] | None:
    """Return one row's scores, hits and ignored items by mask IoU; None for an answer of boxes alone."""
    items = [item for item in _ranked(decoded) if item.mask is not None][:MOST_ITEMS]
    if decoded.outcome == "decoded" and not items:
        return None
    masks = [item.mask for item in items if item.mask is not None]
    ignored = [ignored_share(mask, truth) for mask in masks]
    return _record(items, mask_iou_matrix(masks, truth.instances), ignored, sample, len(truth.instances))


def count_boxes(decoded: Decoded, sample: Sample, truth: Truth) -> dict[str, Any]:
    """Return one row's scores, hits and ignored items by box IoU; an item without a box has its mask's."""
    found = [(item, item.box_px_xyxy or box_of_crop(item.mask)) for item in _ranked(decoded)]
    kept = [(item, box) for item, box in found if box is not None][:MOST_ITEMS]
    wanted = instance_boxes(truth)
    matrix = np.array([[box_iou(box, one) for one in wanted] for _, box in kept])
    ignored = [_share_in_crowd(box, truth) for _, box in kept]
    items = [item for item, _ in kept]
    return _record(items, matrix.reshape(len(kept), len(wanted)), ignored, sample, len(wanted))


def _share_in_crowd(box: FloatBox, truth: Truth) -> float:
    """Return the share of a box that lies in the box of the crowd, 0..1: COCO compares the boxes of both."""
    crowd = None if truth.ignore_hw is None else box_of(truth.ignore_hw)
    if crowd is None:
        return 0.0
    width, height = (
        min(box[2], crowd[2]) - max(box[0], crowd[0]),
        min(box[3], crowd[3]) - max(box[1], crowd[1]),
    )
    own = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, width) * max(0.0, height) / own if own > 0 else 0.0


def _ranked(decoded: Decoded) -> list[Item]:
    """Return the items of a readable answer, best first, equal ones in their order."""
    items = decoded.items if decoded.outcome == "decoded" else ()
    return sorted(items, key=lambda item: -_score(item))


def _score(item: Item) -> float:
    return 1.0 if item.score is None else item.score


def _record(
    items: list[Item], matrix: FloatArray, ignored: list[float], sample: Sample, n_wanted: int
) -> dict[str, Any]:
    """Return a row's detections, best first: score, and at how many of the thresholds it is a hit or left out."""
    hits = np.stack([_hits(matrix, threshold) for threshold in IOU_THRESHOLDS])
    on_crowd = np.array(ignored).reshape(1, -1) >= IOU_THRESHOLDS[:, None]
    category = str(sample.tags.get("category", ""))
    return {
        "category": category if category == sample.expression else "",
        "n_gt": n_wanted,
        "scores": [_score(item) for item in items],
        "hits": hits.astype(int).T.tolist(),
        "ignored": (on_crowd & ~hits).astype(int).T.tolist(),
    }


def _hits(matrix: FloatArray, threshold: float) -> BoolArray:
    """Return which items find an object, best item first; of equal objects the last is taken, as COCO does."""
    free = np.ones(matrix.shape[1], dtype=bool)
    hits = np.zeros(matrix.shape[0], dtype=bool)
    for item, row in enumerate(matrix):
        reached = np.flatnonzero(free & (row >= min(threshold, 1 - 1e-10)))
        if reached.size:
            best = reached[len(reached) - 1 - int(row[reached][::-1].argmax())]
            free[best], hits[item] = False, True
    return hits


@dataclass(frozen=True, slots=True, eq=False)
class CategoryDetections:
    """The detections of one category, best first: the row of each, hits and ignored ones (thresholds, detections)."""

    rows: NDArray[np.intp]
    hits: BoolArray
    ignored: BoolArray
    n_gt: FloatArray
    """Objects by unit."""

    def average_precision(self, weights: FloatArray, thresholds: slice) -> float:
        """Return AP where the units have ``weights``, nan where no object is left."""
        n_wanted = float(weights @ self.n_gt)
        if n_wanted <= 0:
            return float("nan")
        weight = weights[self.rows]
        hits, ignored = self.hits[thresholds], self.ignored[thresholds]
        found = np.cumsum(hits * weight, axis=1)
        spare = np.cumsum((~hits & ~ignored) * weight, axis=1)
        precision = found / (found + spare + np.spacing(1))
        best_ahead = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        padded = np.concatenate([best_ahead, np.zeros((len(hits), 1))], axis=1)
        places = np.stack([np.searchsorted(recall, RECALLS, side="left") for recall in found / n_wanted])
        return float(np.take_along_axis(padded, places, axis=1).mean())


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """AP over ``thresholds``, the mean over categories, as a statistic of units that can be weighted."""

    categories: tuple[CategoryDetections, ...]
    thresholds: slice
    n_units: int
    draws: int = 199

    def grouped(self, codes: NDArray[np.intp], n_groups: int) -> AveragePrecision:
        """Return the same number of groups of units."""
        grouped = tuple(
            CategoryDetections(
                codes[one.rows],
                one.hits,
                one.ignored,
                np.bincount(codes, weights=one.n_gt, minlength=n_groups).astype(np.float64),
            )
            for one in self.categories
        )
        return AveragePrecision(grouped, self.thresholds, n_groups, self.draws)

    def resampled(self, weights: FloatArray) -> FloatArray:
        """Return AP under each row of ``weights``."""
        return np.array([self._under(row) for row in weights])

    def _under(self, weights: FloatArray) -> float:
        values = [one.average_precision(weights, self.thresholds) for one in self.categories]
        known = [value for value in values if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    def influences(self) -> FloatArray:
        """Return about what each unit adds to AP."""
        return grouped_influences(self)


def statistics(rows: pd.DataFrame) -> Statistics:
    """Return ap (.50:.95), ap_0.5 and ap_0.75, all in 0..1."""
    counts = protocol_counts(rows)
    if not len(counts) or "n_gt" not in counts or counts["n_gt"].isna().any():
        return {}
    places = counts.groupby("category", sort=True).indices
    categories = tuple(_detections(counts, np.asarray(where, dtype=np.intp)) for where in places.values())
    spans = {"ap": slice(0, 10), "ap_0.5": slice(0, 1), "ap_0.75": slice(5, 6)}
    return {key: AveragePrecision(categories, span, len(counts)) for key, span in spans.items()}


def _detections(counts: pd.DataFrame, places: NDArray[np.intp]) -> CategoryDetections:
    parts = counts.iloc[places]
    scores = np.concatenate([np.array(one, dtype=float) for one in parts["scores"]])
    rows = np.repeat(places, [len(one) for one in parts["scores"]])
    hits, ignored = (
        np.concatenate([np.array(one, dtype=bool).reshape(-1, 10) for one in parts[name]]).T
        for name in ("hits", "ignored")
    )
    order = np.argsort(-scores, kind="mergesort")
    n_gt = np.zeros(len(counts))
    n_gt[places] = parts["n_gt"]
    return CategoryDetections(rows[order], hits[:, order], ignored[:, order], n_gt)


SOURCE = "cocodataset/cocoapi: PythonAPI/pycocotools/cocoeval.py, commit 8c9bcc3cf640"
COCO_AP_MASK = Protocol("coco-ap", SOURCE, statistics, count_masks, KEYS)
COCO_AP_BOX = Protocol("coco-ap-box", SOURCE, statistics, count_boxes, KEYS)
