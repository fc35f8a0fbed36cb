"""Each evaluator's rule on cases small enough to do by hand; these stand without any material."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from support.protocol_fixtures import values_of

from evalkit.errors import ConfigError
from evalkit.metrics.protocols import PROTOCOLS, find_protocol
from evalkit.metrics.protocols.boxes import generalised_iou
from evalkit.storage.samples_table import truth_from_json, truth_to_json
from evalkit.types import Decoded, GroundTruth, Item, Polygons

SHAPE = (10, 20)
NOTHING = GroundTruth(*SHAPE)
BY_BOXES = {"gseval-box", "saco", "saco-box", "grec", "ref-l4", "rec", "coco-ap-box"}
FAILURE = Decoded("format_failure", "no_json", strict=False)


def box(x0, x1):
    """Return a mask of columns x0 .. x1 - 1."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, x0:x1] = True
    return mask


@pytest.fixture(scope="module")
def mixed(made):
    """Return four targeted and three no-target pairs with round numbers.

    Targeted: exact (I 100, U 100), half (50, 100), refused (0, 50), failed (0, 50).
    No target: refused, failed, 40 pixels marked.
    """
    return [
        (made.decoded([box(0, 10)]), made.truth([box(0, 10)])),
        (made.decoded([box(0, 5)]), made.truth([box(0, 10)])),
        (made.decoded([]), made.truth([box(0, 5)])),
        (FAILURE, made.truth([box(0, 5)])),
        (made.decoded([]), NOTHING),
        (FAILURE, NOTHING),
        (made.decoded([box(0, 4)]), NOTHING),
    ]


def test_rela_by_hand(made, mixed):
    """No-target rows are in gIoU and their marked pixels in cIoU; a failure is neither kind of right."""
    found = made.numbers("rela", mixed)
    assert found["giou"] == pytest.approx((1 + 0.5 + 0 + 0 + 1 + 0 + 0) / 7)
    assert found["ciou"] == pytest.approx(150 / (100 + 100 + 50 + 50 + 40))
    assert found["n_acc"] == pytest.approx(1 / 3)
    assert found["t_acc"] == pytest.approx(2 / 4)
    assert [found[f"pr_0.{n}"] for n in (7, 8, 9)] == [0.25] * 3


def test_rela_prints_zero_without_no_target_rows(made, mixed):
    """The evaluator's N-acc and T-acc are 0, not undefined, where no row lacks a target."""
    found = made.numbers("rela", mixed[:4])
    assert (found["n_acc"], found["t_acc"]) == (0.0, 0.0)


def test_lisa_by_hand(made, mixed):
    """The mean's epsilon lowers every IoU a little; an empty union is an IoU of 1."""
    found = made.numbers("lisa", mixed)
    wanted = (100 / (100 + 1e-5) + 50 / (100 + 1e-5) + 1) / 7
    assert found["giou"] == pytest.approx(wanted, abs=1e-12)
    assert found["ciou"] == pytest.approx(150 / 340, abs=1e-12)


def test_lisa_leaves_ignored_pixels_out(made):
    """Marked pixels in the ignored region are neither hits nor misses."""
    truth = made.truth([box(0, 10)], ignore=made.truth([box(10, 15)]).instances[0])
    found = made.numbers("lisa", [(made.decoded([box(0, 15)]), truth)])
    assert found["giou"] == pytest.approx(100 / (100 + 1e-5))
    assert found["ciou"] == pytest.approx(1.0)


@pytest.mark.parametrize("stored", [False, True])
def test_lisa_exact_counts_a_doubled_pixel_against_the_prediction(made, stored):
    """Where two polygons overlap, a right prediction is a false positive; clipped it is a hit.

    The overlap survives being stored as run lengths.
    """
    rings = ((0.0, 0, 10, 0, 10, 10, 0, 10), (8.0, 0, 12, 0, 12, 10, 8, 10))
    truth = GroundTruth(*SHAPE, (Polygons(rings),))
    if stored:
        truth = truth_from_json(json.loads(json.dumps(truth_to_json(truth))))
    pairs = [(made.decoded([box(0, 12)]), truth)]
    assert made.numbers("lisa", pairs)["ciou"] == pytest.approx(1.0)
    assert made.numbers("lisa-exact", pairs)["ciou"] == pytest.approx(100 / 120)
    missed = [(made.decoded([]), truth)]
    assert values_of("lisa-exact", made.rows(PROTOCOLS["lisa-exact"], missed))["ciou"] == 0


def naive_lisa_exact(predicted, summed):
    """Return (I, U) as the histogram does: values outside 0..1 fall out of the truth's bins."""
    output, target = predicted.astype(int), summed
    intersection = ((output == target) & (output == 1)).sum()
    return intersection, (output == 1).sum() + (target == 1).sum() - intersection


def test_lisa_exact_equals_the_histogram(made):
    """Random overlapping instances give the counts of LISA's own arithmetic on summed masks."""
    random = np.random.default_rng(3)
    for _ in range(20):
        instances = [random.random(SHAPE) < 0.3 for _ in range(3)]
        predicted = random.random(SHAPE) < 0.4
        rows = made.rows(PROTOCOLS["lisa-exact"], [(made.decoded([predicted]), made.truth(instances))])
        counts = json.loads(rows["protocol_counts"][0])
        assert (counts["intersection"], counts["union"]) == naive_lisa_exact(
            predicted, np.sum(instances, axis=0)
        )


def test_refzom_by_hand(made, mixed):
    """IoU over targeted rows alone; accuracy over the others alone."""
    found = made.numbers("refzom", mixed)
    assert found["miou"] == pytest.approx(1.5 / 4)
    assert found["oiou"] == pytest.approx(150 / 300)
    assert found["acc"] == pytest.approx(1 / 3)
    assert [found[f"p_0.{n}"] for n in range(5, 10)] == [0.5, 0.25, 0.25, 0.25, 0.25]


def test_refzom_on_its_grid_weighs_pixels_of_every_image_alike(made):
    """On 480 x 480 a small and a large image have the same weight in oIoU."""
    small, large = np.zeros((8, 8), bool), np.zeros((80, 80), bool)
    small[:4], large[:, :40] = True, True
    pairs = [(made.decoded([small]), made.truth([small])), (made.decoded([]), made.truth([large]))]
    assert made.numbers("refzom-480", pairs)["oiou"] == pytest.approx(0.5)
    assert made.numbers("refzom", pairs)["oiou"] == pytest.approx(32 / (32 + 3200))


def test_phrasecut_thresholds_must_be_exceeded(made, mixed):
    """An IoU of exactly 0.5 is not above 0.5."""
    found = made.numbers("phrasecut", mixed[:4])
    assert found["giou"] == pytest.approx(1.5 / 4)
    assert found["ciou"] == pytest.approx(150 / 300)
    assert (found["p_0.3"], found["p_0.5"], found["p_0.9"]) == (0.5, 0.25, 0.25)


def test_converseg_by_hand(made, mixed):
    """An empty union is an IoU of 1, a failed answer is not."""
    found = made.numbers("converseg", mixed)
    assert found["giou"] == pytest.approx(2.5 / 7, abs=1e-9)
    assert found["ciou"] == pytest.approx(150 / 340, abs=1e-9)


def test_gseval_masks_leave_out_rows_without_a_prediction(made, mixed):
    """The mean is over the rows that have a mask, and how many those are stands beside it."""
    found = made.numbers("gseval-mask", mixed[:4])
    assert found["giou"] == pytest.approx(0.75)
    assert found["share_predicted"] == 0.5


def test_gseval_takes_a_mask_without_pixels_for_a_prediction(made):
    """One perfect and one all-zero mask are 0.5, as its evaluator gives; an answer without a mask is left out."""
    empty = Item(None, None, "rle", failure="mask_empty")
    refusal = Decoded("no_target", None, strict=True, items=(empty,))
    png = Item(None, (0, 0, 5, 5), "png_data_url", failure="mask_empty")
    failure = Decoded("format_failure", "mask_empty", strict=False, items=(png,))
    exact = (made.decoded([box(0, 10)]), made.truth([box(0, 10)]))
    for zero in (refusal, failure):
        pairs = [exact, (zero, made.truth([box(0, 10)])), (made.decoded([]), made.truth([box(0, 10)]))]
        found = made.numbers("gseval-mask", pairs)
        assert found["giou"] == 0.5
        assert found["ciou"] == 0.5
        assert found["share_predicted"] == pytest.approx(2 / 3)


def test_gseval_takes_a_placeholder_for_no_prediction(made):
    """A blank where the mask should stand is no mask."""
    blank = Item(None, (0, 0, 5, 5), "placeholder", failure="mask_empty")
    failure = Decoded("format_failure", "mask_empty", strict=False, items=(blank,))
    found = made.numbers("gseval-mask", [(failure, made.truth([box(0, 10)]))])
    assert (found["giou"], found["share_predicted"]) == (None, 0.0)


def test_refzom_on_its_grid_sees_what_is_empty_there(made):
    """A pixel that falls between the grid's is no mask on the grid, and one in the image."""
    mask = np.zeros((960, 960), bool)
    mask[0, 0] = True
    pairs = [(made.decoded([mask]), GroundTruth(960, 960))]
    assert made.numbers("refzom-480", pairs)["acc"] == 1.0
    assert made.numbers("refzom", pairs)["acc"] == 0.0


def on_evaluators_grid(mask):
    """Return the mask on 480 x 480: the pixel under the middle of each, as Pillow's nearest neighbour takes it."""
    rows, columns = (np.floor((np.arange(480) + 0.5) * size / 480).astype(int) for size in mask.shape)
    return mask[rows][:, columns]


def ris_dmmi_numbers(pairs):
    """Return miou, oiou, acc and p_0.5 of RIS-DMMI's ``evaluate`` (test.py, 753cd600b14d) on (found, wanted or None)."""
    ious, right, intersections, unions = [], [], 0, 0
    for found, wanted in pairs:
        marked = on_evaluators_grid(found)
        if wanted is None:
            right.append(marked.sum() == 0)
            continue
        target = on_evaluators_grid(wanted)
        shared, either = (marked & target).sum(), (marked | target).sum()
        ious.append(0.0 if either == 0 else shared / either)
        intersections, unions = intersections + shared, unions + either
    return np.mean(ious), intersections / unions, np.mean(right), np.mean(np.array(ious) >= 0.5)


def test_refzom_on_its_grid_where_masks_vanish_there(made):
    """Dots of a few pixels, found or wanted, on large images: many have no pixel on the grid."""
    random, pairs, vanished = np.random.default_rng(5), [], [0, 0]

    def dots(shape):
        mask = np.zeros(shape, bool)
        for _ in range(random.integers(1, 3)):
            y, x, size = random.integers(0, shape[0]), random.integers(0, shape[1]), random.integers(1, 4)
            mask[y : y + size, x : x + size] = True
        return mask

    for _ in range(60):
        shape = tuple(random.integers(500, 1500, 2))
        wanted = dots(shape) if random.random() < 0.6 else None
        found = wanted if wanted is not None and random.random() < 0.5 else dots(shape)
        pairs.append((found, wanted))
        vanished[0] += not on_evaluators_grid(found).any()
        vanished[1] += wanted is not None and not on_evaluators_grid(wanted).any()
    assert min(vanished) > 5
    answers = [
        (made.decoded([found]), GroundTruth(*found.shape) if wanted is None else made.truth([wanted]))
        for found, wanted in pairs
    ]
    ours = made.numbers("refzom-480", answers)
    assert [ours[key] for key in ("miou", "oiou", "acc", "p_0.5")] == pytest.approx(
        ris_dmmi_numbers(pairs), abs=1e-12
    )


def test_gseval_boxes_count_null_as_wrong(made, mixed):
    """Accuracy is over all targeted rows: exact, exactly one half, none, none."""
    assert made.numbers("gseval-box", mixed)["accuracy"] == 0.5


def test_default_by_hand(made, mixed):
    """The rules of evalkit itself on the same rows."""
    found = made.numbers("default", mixed)
    assert found["giou"] == pytest.approx(2.5 / 7)
    assert found["ciou"] == pytest.approx(150 / 340)
    assert (found["n_acc"], found["t_acc"]) == (pytest.approx(1 / 3), 0.5)
    assert made.numbers("default", mixed[:4])["n_acc"] is None


def test_saco_by_hand(made):
    """pmF1 from hits and false positives on pairs with objects; IL_MCC from pairs."""
    pairs = [
        (made.decoded([box(0, 5), box(10, 15)]), made.truth([box(0, 5)])),  # 1 hit, 1 spare
        (made.decoded([box(0, 5)]), made.truth([box(0, 5), box(8, 12)])),  # 1 hit, 1 missed
        (made.decoded([box(0, 3)]), made.truth([box(0, 5)])),  # IoU 0.6: hit at 0.5 alone
        (made.decoded([box(0, 5)]), NOTHING),  # false alarm: not in pmF1
        (made.decoded([]), NOTHING),
        (made.decoded([]), NOTHING),
    ]
    found = made.numbers("saco", pairs)
    il_mcc = (3 * 2 - 0) / math.sqrt(4 * 3 * 3 * 2)
    assert found["il_mcc"] == pytest.approx(il_mcc, abs=1e-5)
    assert found["pmf1_0.5"] == pytest.approx(2 * 3 / (4 + 4), abs=1e-3)
    assert found["pmf1_0.75"] == pytest.approx(2 * 2 / (4 + 4), abs=1e-3)
    assert found["cgf1_0.5"] == pytest.approx(found["pmf1_0.5"] * found["il_mcc"])
    # 0.50, 0.55 and 0.60 see three hits, the other seven two
    assert found["pmf1"] == pytest.approx((3 * 0.75 + 7 * 0.5) / 10, abs=1e-3)


def test_saco_takes_the_best_annotator(made):
    """The annotator that agrees most gives the counts; one who saw nothing makes silence perfect."""
    narrow, wide = made.truth([box(0, 3)]), made.truth([box(0, 6)])
    truth = GroundTruth(*SHAPE, narrow.instances, alternatives=(wide, NOTHING))
    rows = made.rows(
        PROTOCOLS["saco"], [(made.decoded([box(0, 6)]), truth), (made.decoded([]), truth), (FAILURE, truth)]
    )
    hit, silence, failure = (json.loads(text) for text in rows["protocol_counts"])
    assert hit["tp_0.95"] == 1
    assert (silence["n_gt"], silence["found"]) == (0, 0)
    assert failure["n_gt"] == 1


def test_saco_leaves_out_pairs_that_are_not_exhaustive(made):
    """One annotator's word is enough to leave a pair out."""
    partial = GroundTruth(*SHAPE, made.truth([box(0, 5)]).instances, exhaustive=False)
    truth = GroundTruth(*SHAPE, partial.instances, alternatives=(partial,))
    assert made.numbers("saco", [(made.decoded([box(0, 5)]), truth)])["cgf1"] is None


def test_saco_drops_low_scores_and_counts_failures_as_found(made):
    """A score below 0.5 is no prediction; a failure on an empty pair is a false alarm, not a refusal."""
    rows = made.rows(
        PROTOCOLS["saco"], [(made.decoded([box(0, 5)], [0.49]), made.truth([box(0, 5)])), (FAILURE, NOTHING)]
    )
    low, failure = (json.loads(text) for text in rows["protocol_counts"])
    assert (low["n_pred"], low["found"]) == (0, 0)
    assert (failure["n_pred"], failure["found"]) == (0, 1)


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name not in BY_BOXES])
def test_boxes_alone_have_no_mask_numbers(made, name):
    """A mask protocol on answers without masks is undefined, not zero."""
    item = Item(None, (0, 0, 5, 10), "box_only")
    pairs = [(Decoded("decoded", None, strict=True, items=(item,)), made.truth([box(0, 5)]))]
    numbers = made.numbers(name, pairs)
    of_masks = {key: value for key, value in numbers.items() if key not in ("share_predicted", "box_any")}
    assert of_masks == dict.fromkeys(of_masks)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_no_rows_give_no_numbers(made, name):
    """An empty table is null throughout and keeps its keys."""
    columns = made.rows(PROTOCOLS[name], [(made.decoded([]), NOTHING)]).columns
    numbers = values_of(name, pd.DataFrame(columns=columns))
    assert numbers
    assert set(numbers.values()) == {None}
    assert PROTOCOLS[name].name == name


def test_an_unknown_protocol_lists_the_known_ones():
    """The error names the nearest."""
    with pytest.raises(ConfigError, match=r"'rella'.*Did you mean 'rela'"):
        find_protocol("rella")


def boxes_of(*boxes, scores=None):
    """Return the verdict on an answer of these boxes alone."""
    if not boxes:
        return Decoded("no_target", None, strict=True)
    scores = scores or [None] * len(boxes)
    items = tuple(Item(None, one, "box_only", score=score) for one, score in zip(boxes, scores, strict=True))
    return Decoded("decoded", None, strict=True, items=items)


def test_grec_counts_rows_that_are_right_in_full(made):
    """F1 is 1 only with every object found and none besides; low scores are no boxes."""
    two = made.truth([box(0, 5), box(10, 15)])
    left, right, spare = (0, 0, 5, 10), (10, 0, 15, 10), (16, 0, 20, 10)
    pairs = [
        (boxes_of(left, right), two),  # 1
        (boxes_of(right, left, spare, scores=[0.9, 0.8, 0.69]), two),  # 1: the spare one scores too little
        (boxes_of(left, right, spare), two),  # a false positive
        (boxes_of(left), two),  # a miss
        (boxes_of((0, 0, 5, 4), right), two),  # generalised IoU 0.4
        (boxes_of(), two),
        (boxes_of(), NOTHING),  # 1
        (boxes_of(spare), NOTHING),
        (FAILURE, NOTHING),
        (FAILURE, two),
    ]
    found = made.numbers("grec", pairs)
    assert found["f1"] == pytest.approx(3 / 10)
    assert found["n_acc"] == pytest.approx(1 / 3)
    assert found["t_acc"] == pytest.approx(5 / 7)


def test_grec_takes_distance_off():
    """Two boxes apart have a negative generalised IoU; equal ones 1."""
    assert generalised_iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1.0
    assert generalised_iou((0, 0, 1, 1), (3, 0, 4, 1)) == pytest.approx(-0.5)


def test_ref_l4_thresholds_must_be_exceeded(made):
    """IoU 0.5 exactly is not above 0.5; mAcc is the mean over ten thresholds."""
    target = made.truth([box(0, 10)])
    pairs = [(boxes_of((0, 0, 10, 10)), target), (boxes_of((0, 0, 5, 10)), target), (boxes_of(), target)]
    found = made.numbers("ref-l4", pairs)
    assert found == {"acc_0.5": pytest.approx(1 / 3)} | dict.fromkeys(
        ("acc_0.75", "acc_0.9", "macc"), pytest.approx(1 / 3)
    )
    eight = made.numbers("ref-l4", [(boxes_of((0, 0, 8, 10)), target)])
    assert eight["macc"] == pytest.approx(0.6)  # above .50 .. .75; 0.8 is not above 0.80 in single precision


def test_rec_gives_the_first_box_beside_the_hull(made):
    """A right first box and a wrong second one: the first is right, the hull is not."""
    target = made.truth([box(0, 5)])
    found = made.numbers("rec", [(boxes_of((0, 0, 5, 10), (15, 0, 20, 10)), target), (boxes_of(), target)])
    assert found == {"acc_first": 0.5, "acc_hull": 0.0}


def test_seg_zero_gives_a_right_refusal_nothing(made, mixed):
    """An empty union is an IoU of 0; any box above 0.5 counts in VisionReasoner's."""
    found = made.numbers("vision-reasoner", mixed)
    assert found["giou"] == pytest.approx(1.5 / 7)
    assert found["ciou"] == pytest.approx(150 / 340)
    assert found["box_any"] == pytest.approx(1 / 7)  # exact; the half box is 0.5, which is not above
    # Seg-Zero leaves the right refusal out; the failure on a row without a target stays in.
    left = made.numbers("seg-zero", mixed)
    assert left["giou"] == pytest.approx(1.5 / 6)
    assert left["ciou"] == pytest.approx(150 / 340)


def test_seg_zero_is_undefined_where_every_row_is_left_out(made):
    """Right refusals alone have no mean."""
    assert made.numbers("seg-zero", [(made.decoded([]), NOTHING)])["giou"] is None


def muse_of(made, questions):
    """Return MUSE's numbers of (image, answer, truth) questions."""
    rows = made.rows(PROTOCOLS["muse"], [(decoded, truth) for _, decoded, truth in questions])
    return values_of("muse", rows.assign(image_id=[image for image, _, _ in questions]))


def test_muse_scores_each_target_with_its_own_mask(made):
    """Two targets, one exact and one half found; a spare mask and a missed target add their areas and no IoU."""
    two = made.truth([box(0, 5), box(10, 20)])
    questions = [
        ("a", made.decoded([box(10, 15), box(0, 5), box(6, 8)]), two),
        ("b", made.decoded([box(0, 5)]), two),
        ("c", made.decoded([]), two),
    ]
    found = muse_of(made, questions)
    assert found["giou"] == pytest.approx((1 + 0.5 + 1) / (3 + 2 + 2), abs=1e-6)
    assert found["ciou"] == pytest.approx((50 + 50 + 50) / (3 * 150 + 20))


def test_muse_takes_the_larger_number_of_masks_and_targets_by_image(made):
    """A spare mask of one question makes up for a missing one of another question about the same image."""
    two = made.truth([box(0, 5), box(10, 20)])
    spare, missing = made.decoded([box(0, 5), box(10, 20), box(6, 8)]), made.decoded([box(0, 5)])
    together = muse_of(made, [("a", spare, two), ("a", missing, two)])
    assert together["giou"] == pytest.approx(3 / 4, abs=1e-6)
    assert muse_of(made, [("a", spare, two), ("b", missing, two)])["giou"] == pytest.approx(3 / 5, abs=1e-6)


def test_muse_counts_masks_without_a_pixel_as_its_evaluator_does(made):
    """One takes a target before a mask that touches none does; one beyond all targets is right about nothing."""
    empty = Item(None, None, "rle", failure="mask_empty")
    one = made.truth([box(0, 5)])
    only = Decoded("no_target", None, strict=True, items=(empty, empty))
    assert muse_of(made, [("a", only, one)])["giou"] == pytest.approx(1 / 2, abs=1e-6)
    stray = made.decoded([box(10, 12)])
    both = Decoded("decoded", None, strict=True, items=(*stray.items, empty), mask=stray.mask)
    found = muse_of(made, [("a", both, one)])
    assert (found["giou"], found["ciou"]) == (0.0, 0.0)


def test_rec_measures_in_parts_of_the_image(made):
    """Half of the target is 0.5 there; a refusal and a failure are boxes of no area."""
    exact, half = made.decoded([box(0, 10)]), made.decoded([box(0, 5)])
    pairs = [(answer, made.truth([box(0, 10)])) for answer in (exact, half, made.decoded([]), FAILURE)]
    assert made.numbers("rec", pairs) == {"acc_first": 0.5, "acc_hull": 0.5}


def test_coco_ap_of_boxes_compares_with_the_box_of_a_crowd(made):
    """A box over the hollow of a ring-shaped crowd is left out, as COCO compares the boxes of both."""
    ring = np.zeros(SHAPE, dtype=bool)
    ring[:, 10:20] = True
    ring[2:8, 12:18] = False
    inside = np.zeros(SHAPE, dtype=bool)
    inside[2:8, 12:18] = True
    truth = made.truth([box(0, 5)], ignore=made.truth([ring]).instances[0])
    answer = made.decoded([inside, box(0, 5)], [0.9, 0.8])
    assert made.numbers("coco-ap-box", [(answer, truth)])["ap"] == pytest.approx(1.0)
    assert made.numbers("coco-ap", [(answer, truth)])["ap"] == pytest.approx(0.5)


def test_saco_by_boxes_equals_saco_by_rectangles(made):
    """Rectangular masks have the IoU of their boxes."""
    pairs = [
        (made.decoded([box(0, 5), box(10, 15)]), made.truth([box(0, 5)])),
        (made.decoded([box(0, 3)]), made.truth([box(0, 5)])),
        (made.decoded([box(0, 5)]), NOTHING),
        (made.decoded([]), NOTHING),
    ]
    assert made.numbers("saco-box", pairs) == pytest.approx(made.numbers("saco", pairs))
