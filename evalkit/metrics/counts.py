"""What one answer scores on one sample: pixel counts first, ratios last. Pure.

A row's counts are taken inside the prediction's crop against a ``Truth`` that is built once per
sample and used for every model. How rows become a number is in ``evalkit.metrics.protocols`` (the rules
of published evaluators) and ``evalkit.metrics.summary`` (the rules of evalkit).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evalkit.masks import (
    area,
    crop_intersection,
    intersection_with,
)
from evalkit.metrics.boundary import boundary_radius_px, erode
from evalkit.metrics.truth import FloatBox, Truth, box_of_crop
from evalkit.types import CropMask, Decoded

if TYPE_CHECKING:
    from numpy.typing import NDArray


INSTANCE_MATCH_IOU = 0.5
"""An item and an object are a pair from this IoU on, as in COCO's lowest threshold."""

COUNT_COLUMNS = (
    "intersection",
    "union",
    "iou",
    "box_iou",
    "boundary_iou",
    "gt_area",
    "pred_area",
    "instance_tp",
    "instance_fp",
    "instance_fn",
)
"""What ``count_row`` returns, in the order of scores.parquet."""

Counts = dict[str, int | float | None]


def count_row(decoded: Decoded, truth: Truth, *, boundary: bool = True) -> Counts:
    """Return the columns ``COUNT_COLUMNS`` of one answer on one sample; areas in pixels.

    A format failure or a block is an empty prediction (intersection 0, union = the target's area,
    IoU 0) and on a no-target sample no correct refusal: IoU 0. A refusal (``no_target``) of a
    no-target sample has IoU 1 and counts of 0. Ignored pixels are in no count but ``pred_area``.
    ``box_iou`` compares the union of all returned boxes, whether or not their masks could be
    read, with the truth's box; it and ``boundary_iou`` are None without a target. Mask counts are
    None for an answer of boxes alone, and all is None where nothing was answered.
    """
    if decoded.outcome in ("not_run", "data_error"):
        return dict.fromkeys(COUNT_COLUMNS)
    counts = _mask_counts(decoded, truth, boundary=boundary)
    counts |= _only_pair(decoded, truth, counts) or _instance_counts(decoded, truth)
    if not truth.no_target:
        counts["box_iou"] = _returned_box_iou(decoded, truth)
    return counts


def _mask_counts(decoded: Decoded, truth: Truth, *, boundary: bool) -> Counts:
    counts: Counts = dict.fromkeys(COUNT_COLUMNS)
    counts["gt_area"] = truth.area_px
    if decoded.outcome == "decoded" and decoded.mask is None:
        return counts
    mask = decoded.mask if decoded.outcome == "decoded" else None
    if mask is None:
        refused = decoded.outcome == "no_target" and truth.no_target
        counts |= {"intersection": 0, "union": truth.area_px, "iou": float(refused), "pred_area": 0}
        counts["boundary_iou"] = None if truth.no_target or not boundary else 0.0
        return counts
    intersection, union, pred_area = overlap_counts(mask, truth)
    counts |= {"intersection": intersection, "union": union, "pred_area": pred_area}
    counts["iou"] = intersection / union if union else 0.0
    if boundary and not truth.no_target:
        counts["boundary_iou"] = boundary_iou(mask, truth, pred_area)
    return counts


def overlap_counts(mask: CropMask, truth: Truth) -> tuple[int, int, int]:
    """Return (intersection, union, area of the whole prediction) in pixels; ignored pixels in neither of the first two."""
    pred_area = area(mask)
    intersection = crop_intersection(mask, truth.mask)
    counted = pred_area if truth.ignore_hw is None else pred_area - intersection_with(mask, truth.ignore_hw)
    return intersection, counted + truth.area_px - intersection, pred_area


def boundary_iou(mask: CropMask, truth: Truth, pred_area_px: int) -> float:
    """Return the IoU of the boundaries of prediction and target (Cheng et al., CVPR 2021).

    bowenc0221/boundary-iou-api: boundary_iou/utils/boundary_utils.py, commit 37d25586a677: a
    boundary is the mask minus its erosion, and the image's own border counts. Not the COCO
    variant, which takes the minimum with the mask IoU. ``pred_area_px``: the pixels of ``mask``.
    """
    radius = boundary_radius_px(truth.height_px, truth.width_px)
    core = CropMask(
        mask.height_px, mask.width_px, mask.x0_px + radius, mask.y0_px + radius, erode(mask.crop_hw, radius)
    )
    width_px = pred_area_px - area(core)
    if truth.ignore_hw is not None:
        width_px -= intersection_with(mask, truth.ignore_hw) - intersection_with(core, truth.ignore_hw)
    shared = crop_intersection(mask, truth.boundary) - crop_intersection(core, truth.boundary)
    union = width_px + truth.boundary_area_px - shared
    return shared / union if union else 0.0


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the IoU of two ``(x0, y0, x1, y1)`` boxes in pixels, half open: no pixel is added to a side."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def returned_box(decoded: Decoded) -> FloatBox | None:
    """Return the smallest box that holds every item's box (its mask's where it gave none), in pixels."""
    boxes = [item.box_px_xyxy or box_of_crop(item.mask) for item in decoded.items]
    known = [box for box in boxes if box is not None]
    if not known:
        return box_of_crop(decoded.mask)
    columns = list(zip(*known, strict=True))
    return min(columns[0]), min(columns[1]), max(columns[2]), max(columns[3])


def _returned_box_iou(decoded: Decoded, truth: Truth) -> float:
    returned, wanted = returned_box(decoded), truth.box_px_xyxy
    return 0.0 if returned is None or wanted is None else box_iou(returned, wanted)


def mask_iou_matrix(predicted: Sequence[CropMask], wanted: Sequence[CropMask]) -> NDArray[np.float64]:
    """Return the IoU of every prediction with every object, shape (predictions, objects)."""
    matrix = np.zeros((len(predicted), len(wanted)))
    areas = [area(crop) for crop in wanted]
    for row, crop in enumerate(predicted):
        own_area = area(crop)
        for column, other in enumerate(wanted):
            shared = crop_intersection(crop, other)
            matrix[row, column] = shared / (own_area + areas[column] - shared) if shared else 0.0
    return matrix


def matched_ious(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoUs of the one-to-one pairs that maximise their sum (Hungarian method)."""
    return matrix[matched_pairs(matrix)]


def matched_pairs(matrix: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the one-to-one pairs that maximise the sum of ``matrix``."""
    if matrix.size <= 1:
        only = np.zeros(matrix.size, dtype=np.intp)
        return only, only
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(matrix, maximize=True)
    return np.asarray(rows, dtype=np.intp), np.asarray(columns, dtype=np.intp)


def _only_pair(decoded: Decoded, truth: Truth, counts: Counts) -> Counts | None:
    """Return ``_instance_counts`` of one mask against one object, whose IoU is that of the row; None elsewhere.

    That is nearly every row, and saves counting the same pixels twice.
    """
    is_pair = (
        len(decoded.items) == len(truth.source.instances) == 1
        and decoded.mask is not None
        and decoded.items[0].mask is decoded.mask
        and truth.ignore_hw is None
    )
    if not is_pair:
        return None
    is_hit = int((counts["iou"] or 0.0) >= INSTANCE_MATCH_IOU)
    return {"instance_tp": is_hit, "instance_fp": 1 - is_hit, "instance_fn": 1 - is_hit}


def _instance_counts(decoded: Decoded, truth: Truth) -> Counts:
    """Return matched, spare and missed objects; by masks, or by boxes where the answer has no mask.

    An item that pairs with no object and lies on an ignored region (a crowd) with half of its area or
    more is neither a hit nor spare: cocodataset/cocoapi PythonAPI/pycocotools/cocoeval.py
    ``evaluateImg``, commit 8c9bcc3cf640, with the ignored regions of a sample taken as one. Of a box the ignored
    pixels inside count, where COCO takes those inside the crowd's box: an ignored region may lie scattered.
    """
    n_wanted = len(truth.source.instances)
    items = decoded.items if decoded.outcome == "decoded" else ()
    masks = [item.mask for item in items if item.mask is not None]
    if masks:
        matrix = mask_iou_matrix(masks, truth.instances)
        ignored = np.array([ignored_share(mask, truth) for mask in masks])
    else:
        boxes = [item.box_px_xyxy for item in items if item.box_px_xyxy is not None]
        matrix = _box_iou_matrix(boxes, truth)
        ignored = np.array([ignored_share_of_box(box, truth) for box in boxes])
    rows, columns = matched_pairs(matrix)
    spare = ignored < INSTANCE_MATCH_IOU
    hits = rows[matrix[rows, columns] >= INSTANCE_MATCH_IOU]
    spare[hits] = False
    return {"instance_tp": hits.size, "instance_fp": int(spare.sum()), "instance_fn": n_wanted - hits.size}


def ignored_share(mask: CropMask, truth: Truth) -> float:
    """Return the share of a mask's pixels that are ignored, 0..1."""
    if truth.ignore_hw is None:
        return 0.0
    return intersection_with(mask, truth.ignore_hw) / max(1, area(mask))


def ignored_share_of_box(box: FloatBox, truth: Truth) -> float:
    """Return the share of the pixels in a box, rounded outwards to whole ones, that are ignored, 0..1."""
    if truth.ignore_hw is None:
        return 0.0
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    inside = truth.ignore_hw[top : math.ceil(box[3]), left : math.ceil(box[2])]
    return float(inside.mean()) if inside.size else 0.0


def _box_iou_matrix(boxes: Sequence[FloatBox], truth: Truth) -> NDArray[np.float64]:
    matrix = np.zeros((len(boxes), len(truth.source.instances)))
    if not boxes:
        return matrix
    for column, crop in enumerate(truth.instances):
        wanted = box_of_crop(crop)
        for row, box in enumerate(boxes):
            matrix[row, column] = 0.0 if wanted is None else box_iou(box, wanted)
    return matrix
