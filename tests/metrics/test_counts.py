"""One answer on one sample: counts against full-array references, and every empty case."""

import contextlib
import dataclasses
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.ndimage import binary_erosion

from evalkit.masks import crop_of, rle_encode
from evalkit.metrics.boundary import boundary_radius_px, erode
from evalkit.metrics.counts import COUNT_COLUMNS, box_iou, count_row, mask_iou_matrix, matched_ious
from evalkit.metrics.truth import Truth
from evalkit.types import CropMask, Decoded, GroundTruth, Item, Polygons

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)))
MASK_TRIPLES = st.tuples(st.integers(2, 40), st.integers(2, 40)).flatmap(
    lambda shape: st.tuples(*(hnp.arrays(bool, shape) for _ in range(3)))
)


def truth_of(*masks, shape=None, **extra):
    """Return the Truth of full-image instance masks."""
    height, width = shape or masks[0].shape
    return Truth(GroundTruth(height, width, tuple(rle_encode(mask) for mask in masks), **extra))


def decoded_of(*masks, boxes=None):
    """Return the verdict on an answer that marked these full-image masks."""
    boxes = boxes or [None] * len(masks)
    items = tuple(Item(None, box, "rle", mask=crop_of(mask)) for mask, box in zip(masks, boxes, strict=True))
    return Decoded("decoded", None, strict=True, items=items, mask=crop_of(np.any(masks, axis=0)))


def rectangle(shape, x0, y0, x1, y1):
    """Return a mask with one filled rectangle, half open."""
    mask = np.zeros(shape, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@given(MASK_TRIPLES)
def test_counts_equal_full_array_counts(triple):
    """Counting inside crops equals counting full arrays, ignored pixels left out of both."""
    predicted, target, ignore = triple
    target &= ~ignore
    if not predicted.any() or not target.any():
        return
    truth = truth_of(target, ignore=rle_encode(ignore))
    row = count_row(decoded_of(predicted), truth, boundary=False)
    counted = predicted & ~ignore
    assert row["intersection"] == (counted & target).sum()
    assert row["union"] == (counted | target).sum()
    assert row["iou"] == row["intersection"] / row["union"]
    assert row["pred_area"] == predicted.sum()
    assert row["gt_area"] == target.sum()


def naive_boundary(mask, radius):
    """Return the boundary as the reference makes it: erode a zero-padded copy r times by 3x3."""
    padded = np.pad(mask, 1)
    return mask & ~binary_erosion(padded, np.ones((3, 3)), iterations=radius)[1:-1, 1:-1]


@given(MASKS, st.integers(1, 5))
def test_erosion_equals_repeated_3x3_erosion(mask, radius):
    """The separable window gives the pixels that r erosions leave."""
    inner = np.zeros_like(mask)
    height, width = mask.shape
    found = erode(mask, radius)
    if found.size:
        inner[radius : height - radius, radius : width - radius] = found
    assert np.array_equal(mask & ~inner, naive_boundary(mask, radius))


@pytest.mark.parametrize("shape", [(120, 31), (31, 120), (200, 30), (64, 64), (1, 90)])
def test_erosion_of_large_and_turned_masks_equals_repeated_3x3_erosion(shape):
    """No window that reaches past the end of its row counts, whatever the order of the pixels in memory."""
    mask = np.random.default_rng(5).random(shape) > 0.01
    for radius, turned in itertools.product((1, 3, 8, 16), (mask, mask[:, ::-1], np.asfortranarray(mask))):
        inner = np.zeros_like(turned)
        found = erode(turned, radius)
        if found.size:
            inner[radius : shape[0] - radius, radius : shape[1] - radius] = found
        assert np.array_equal(turned & ~inner, naive_boundary(turned, radius))


@given(MASK_TRIPLES, st.booleans())
def test_boundary_iou_equals_the_naive_one(triple, ignoring):
    """Boundary IoU on crops equals full arrays eroded step by step."""
    predicted, target, ignore = triple
    ignore &= ignoring
    target &= ~ignore
    predicted[0, 0] = target[-1, -1] = True
    ignore[-1, -1] = False
    truth = truth_of(target, ignore=rle_encode(ignore) if ignoring else None)
    radius = boundary_radius_px(*target.shape)
    a, b = naive_boundary(predicted, radius) & ~ignore, naive_boundary(target, radius) & ~ignore
    assert count_row(decoded_of(predicted), truth)["boundary_iou"] == (a & b).sum() / (a | b).sum()


def test_boundary_of_solid_shapes_at_photograph_size():
    """At 480 x 640 the boundary is 16 px deep, image borders included."""
    shape = (480, 640)
    assert boundary_radius_px(*shape) == 16
    target, predicted = rectangle(shape, 0, 0, 200, 200), rectangle(shape, 10, 30, 210, 200)
    a, b = naive_boundary(target, 16), naive_boundary(predicted, 16)
    row = count_row(decoded_of(predicted), truth_of(target))
    assert row["boundary_iou"] == (a & b).sum() / (a | b).sum()
    assert a[0, 100]


BOX = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30))


@given(BOX, BOX)
def test_box_iou_equals_coco(a, b):
    """Box IoU of xyxy pixels is pycocotools' of xywh."""
    reference = coco_mask.iou(np.array([a], float), np.array([b], float), [0])[0, 0]
    corners = [(x, y, x + w, y + h) for x, y, w, h in (a, b)]
    assert box_iou(*corners) == pytest.approx(reference, abs=1e-12)


@given(MASK_TRIPLES)
def test_mask_iou_matrix_equals_coco(triple):
    """IoU of every pair of crops is pycocotools' of their run lengths."""
    found = mask_iou_matrix([crop_of(mask) for mask in triple[:2]], [crop_of(mask) for mask in triple])
    rles = [{"size": list(mask.shape), "counts": rle_encode(mask).counts} for mask in triple]
    assert found == pytest.approx(coco_mask.iou(rles[:2], rles, [0] * 3), abs=1e-12)


@given(hnp.arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_matching_beats_every_permutation(matrix):
    """The pairs chosen have the largest sum of all one-to-one choices."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    best = max(
        sum(wide[row, column] for row, column in enumerate(columns))
        for columns in itertools.permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert matched_ious(matrix).sum() == pytest.approx(best)


TARGET = rectangle((20, 30), 5, 5, 15, 15)
EMPTY = Decoded("no_target", None, strict=True)
FAILURE = Decoded("format_failure", "no_json", strict=False)
BLOCKED = Decoded("blocked", None, strict=False)


@pytest.mark.parametrize("decoded", [EMPTY, FAILURE, BLOCKED])
def test_nothing_marked_on_a_target_scores_zero(decoded):
    """A refusal, a failure and a block of a targeted sample: IoU 0, the union is the target."""
    row = count_row(decoded, truth_of(TARGET))
    assert (row["intersection"], row["union"], row["iou"]) == (0, 100, 0.0)
    assert (row["box_iou"], row["boundary_iou"], row["instance_fn"]) == (0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("decoded", "iou", "union"),
    [(EMPTY, 1.0, 0), (FAILURE, 0.0, 0), (BLOCKED, 0.0, 0), (decoded_of(TARGET), 0.0, 100)],
)
def test_without_a_target_only_a_refusal_scores(decoded, iou, union):
    """A failure is not a correct refusal, and a marked region is counted in the union."""
    row = count_row(decoded, truth_of(shape=(20, 30)))
    assert (row["intersection"], row["union"], row["iou"]) == (0, union, iou)
    assert row["box_iou"] is None
    assert row["boundary_iou"] is None


@pytest.mark.parametrize("outcome", ["not_run", "data_error"])
def test_what_was_not_answered_has_no_counts(outcome):
    """System and data errors leave every column null."""
    row = count_row(Decoded(outcome, None, strict=False), truth_of(TARGET))
    assert row == dict.fromkeys(COUNT_COLUMNS)


def test_columns_are_those_of_the_table():
    """Every answer has the same columns in the same order."""
    assert tuple(count_row(decoded_of(TARGET), truth_of(TARGET))) == COUNT_COLUMNS
    assert set(count_row(FAILURE, truth_of(TARGET))) == set(COUNT_COLUMNS)


def test_the_returned_box_is_the_union_of_item_boxes():
    """Boxes of all items make one box, compared with the target's tight box."""
    halves = rectangle((20, 30), 5, 5, 10, 15), rectangle((20, 30), 10, 5, 15, 15)
    row = count_row(decoded_of(*halves, boxes=[(5, 5, 10, 15), (10, 5, 15, 15)]), truth_of(TARGET))
    assert row["box_iou"] == 1.0


def test_the_datasets_own_box_comes_first():
    """Where the dataset has a box, that is what a box is compared with."""
    truth = truth_of(TARGET, box_px_xyxy=(5.0, 5.0, 15.0, 25.0))
    assert count_row(decoded_of(TARGET), truth)["box_iou"] == 0.5


def test_a_right_box_with_an_unreadable_mask_keeps_its_box_score():
    """The box was returned: leaked mask tokens fail the mask, not the box."""
    item = Item("cup", (5, 5, 15, 15), "seg_tokens", failure="mask_tokens")
    row = count_row(Decoded("format_failure", "mask_tokens", strict=False, items=(item,)), truth_of(TARGET))
    assert row["box_iou"] == 1.0
    assert row["iou"] == 0.0


def test_boxes_alone_have_no_mask_counts():
    """Under the box task no pixel is invented; objects are matched by their boxes."""
    item = Item("cup", (5, 5, 15, 15), "box_only")
    row = count_row(Decoded("decoded", None, strict=True, items=(item,)), truth_of(TARGET))
    assert [row[key] for key in ("intersection", "union", "iou", "boundary_iou", "pred_area")] == [None] * 5
    assert (row["box_iou"], row["instance_tp"], row["instance_fp"], row["instance_fn"]) == (1.0, 1, 0, 0)


def test_instances_are_matched_one_to_one():
    """Two items on one object are one hit and one spare; an object without an item is missed."""
    left, right = rectangle((20, 30), 0, 0, 10, 20), rectangle((20, 30), 20, 0, 30, 20)
    row = count_row(decoded_of(left, left), truth_of(left, right))
    assert (row["instance_tp"], row["instance_fp"], row["instance_fn"]) == (1, 1, 1)
    # exactly half of each other's union is still a pair
    half = rectangle((20, 30), 0, 0, 10, 10)
    assert count_row(decoded_of(half), truth_of(left))["instance_tp"] == 1


@given(MASK_TRIPLES, st.booleans())
def test_a_lone_mask_and_a_lone_object_pair_as_any_others_do(triple, ignoring):
    """Their hit is taken from the row's IoU, and is the one that pairing by the matrix of IoUs gives."""
    predicted, target, ignore = triple
    ignore = ignore & ~target if ignoring else np.zeros_like(ignore)
    if not predicted.any() or not target.any():
        return
    truth = truth_of(target, ignore=rle_encode(ignore) if ignore.any() else None)
    shared = (predicted & target).sum() / (predicted | target).sum()
    spare = (predicted & ignore).sum() / predicted.sum() < 0.5
    hit = shared >= 0.5
    lone = decoded_of(predicted)
    for decoded in (dataclasses.replace(lone, mask=lone.items[0].mask), lone):
        row = count_row(decoded, truth, boundary=False)
        assert (row["instance_tp"], row["instance_fn"]) == (hit, not hit)
        assert row["instance_fp"] == (not hit and spare)


def test_a_crop_with_empty_borders_counts_the_same():
    """Crops need not be tight: a crop of the whole image gives the same row."""
    loose = Decoded(
        "decoded",
        None,
        strict=True,
        items=(Item(None, None, "rle", mask=CropMask(20, 30, 0, 0, TARGET)),),
        mask=CropMask(20, 30, 0, 0, TARGET),
    )
    other = truth_of(rectangle((20, 30), 8, 2, 20, 12))
    assert count_row(loose, other) == count_row(decoded_of(TARGET), other)


def test_overlap_is_where_polygons_or_instances_cover_twice():
    """Rings of one polygon instance and instances among each other both double a pixel."""
    rings = Polygons(((0.0, 0, 10, 0, 10, 10, 0, 10), (5.0, 0, 15, 0, 15, 10, 5, 10)))
    truth = Truth(GroundTruth(20, 30, (rings, rle_encode(rectangle((20, 30), 0, 8, 3, 12)))))
    wanted = rectangle((20, 30), 5, 0, 10, 10) | rectangle((20, 30), 0, 8, 3, 10)
    assert np.array_equal(truth.overlap_hw, wanted)


def crowd_truth(crowd_columns):
    """Return a truth of columns 0..9 with a crowd on ``crowd_columns``, both over 10 rows of 40 pixels."""
    target, crowd = np.zeros((10, 40), bool), np.zeros((10, 40), bool)
    target[:, :10] = True
    crowd[:, crowd_columns] = True
    return Truth(GroundTruth(10, 40, (rle_encode(target),), ignore=rle_encode(crowd)))


@pytest.mark.parametrize(
    ("columns", "spare"),
    [
        (slice(20, 30), 0),  # on the crowd
        (slice(15, 25), 0),  # half on the crowd
        (slice(14, 25), 1),  # less than half
        (slice(30, 40), 1),  # beside it
    ],
)
@pytest.mark.parametrize("by_box", [False, True])
def test_an_item_on_a_crowd_is_not_spare(columns, spare, by_box):
    """COCO's rule: half of the item on a crowd takes it out, by masks and by boxes alike."""
    hit, other = np.zeros((10, 40), bool), np.zeros((10, 40), bool)
    hit[:, :10], other[:, columns] = True, True
    crops = [crop_of(hit), crop_of(other)]
    boxes = [(0, 0, 10, 10), (columns.start, 0, columns.stop, 10)]
    items = tuple(
        Item(None, box, "box_only" if by_box else "rle", mask=None if by_box else crop)
        for crop, box in zip(crops, boxes, strict=True)
    )
    mask = None if by_box else crop_of(hit | other)
    row = count_row(Decoded("decoded", None, strict=True, items=items, mask=mask), crowd_truth(slice(20, 30)))
    assert (row["instance_tp"], row["instance_fp"], row["instance_fn"]) == (1, spare, 0)


def test_an_item_that_finds_its_object_counts_on_a_crowd_too():
    """A hit stays a hit where the crowd's region covers it."""
    target = np.zeros((10, 40), bool)
    target[:, :10] = True
    items = (Item(None, None, "rle", mask=crop_of(target)),)
    row = count_row(
        Decoded("decoded", None, strict=True, items=items, mask=crop_of(target)), crowd_truth(slice(0, 40))
    )
    assert (row["instance_tp"], row["instance_fp"], row["instance_fn"]) == (1, 0, 0)


CELL_PX = 20


def moved(mask, random):
    """Return the mask moved by up to three pixels along each axis."""
    return np.roll(mask, tuple(random.integers(-3, 4, 2)), axis=(0, 1))


def crowded_scene(random):
    """Return (targets, crowd or None, items): each object in a cell of its own, so that no two items compete."""
    cells = [
        rectangle(
            (60, 100), column * CELL_PX + 4, row * CELL_PX + 4, column * CELL_PX + 14, row * CELL_PX + 12
        )
        for row in range(3)
        for column in range(4)
    ]
    chosen = [cells[place] for place in random.permutation(len(cells))]
    targets, alarms = chosen[: random.integers(1, 4)], chosen[4 : 4 + random.integers(0, 3)]
    crowd = None
    if alarms and random.random() < 0.8:
        left, top = (int(at.min()) + random.integers(-6, 7) for at in np.nonzero(alarms[0])[::-1])
        left, top = max(0, left), max(0, top)
        crowd = rectangle((60, 100), left, top, left + random.integers(5, 21), top + random.integers(5, 21))
    found = [moved(mask, random) for mask in targets if random.random() < 0.8]
    found += [*alarms, *(rectangle((60, 100), 80 + i, 30, 90 + i, 40) for i in range(random.integers(0, 2)))]
    return targets, crowd, found


def coco_counts(targets, crowd, found, kind):
    """Return (hits, spare, missed) of pycocotools' own matching at IoU 0.5."""
    annotations, results = [], []
    everything = [(mask, 0) for mask in targets] + ([] if crowd is None else [(crowd, 1)])
    for number, (mask, is_crowd) in enumerate(everything, 1):
        region = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        place = {"id": number, "image_id": 1, "category_id": 1, "iscrowd": is_crowd, "area": int(mask.sum())}
        annotations.append(
            place | {"segmentation": region, "bbox": [int(n) for n in coco_mask.toBbox(region)]}
        )
    for mask in found:
        region = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        results.append({"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": region})
        results[-1]["bbox"] = [int(n) for n in coco_mask.toBbox(region)]
        if kind == "bbox":
            del results[-1]["segmentation"]
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1, "height": 60, "width": 100}],
        "categories": [{"id": 1}],
        "annotations": annotations,
        "info": {},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), kind)
        judge.evaluate()
    one = judge.evalImgs[0]
    hits, ignored = one["dtMatches"][0] > 0, one["dtIgnore"][0]
    n_hits = int((hits & ~ignored).sum())
    return n_hits, int((~hits & ~ignored).sum()), len(targets) - n_hits


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_instances_beside_crowds_are_counted_as_pycocotools_does(kind):
    """Hits, spare items and misses of 200 seeded scenes, by masks and by boxes; many items lie on a crowd in part."""
    random, spare_of_crowds = np.random.default_rng(7), 0
    for _ in range(200):
        targets, crowd, found = crowded_scene(random)
        if not found:
            continue
        items = []
        for mask in found:
            ys, xs = np.nonzero(mask)
            box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
            items.append(Item(None, box, "rle", mask=crop_of(mask) if kind == "segm" else None))
        whole = crop_of(np.any(found, axis=0)) if kind == "segm" else None
        truth = truth_of(*targets, ignore=None if crowd is None else rle_encode(crowd))
        row = count_row(Decoded("decoded", None, strict=True, items=tuple(items), mask=whole), truth)
        counted = row["instance_tp"], row["instance_fp"], row["instance_fn"]
        assert counted == coco_counts(targets, crowd, found, kind)
        spare_of_crowds += coco_counts(targets, None, found, kind)[1] - counted[1]
    assert spare_of_crowds > 20
