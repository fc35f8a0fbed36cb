"""The diagnosis of a run's readings, on boxes whose convention is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evalkit.decoding import decode_answer
from evalkit.masks import rle_encode
from evalkit.metrics.counts import count_row
from evalkit.metrics.reading import CONVENTIONS, Diagnosis, read_boxes, stack_numbers, stated_numbers
from evalkit.metrics.reading_words import suspect_words, yaml_to_set
from evalkit.metrics.truth import Truth
from evalkit.types import AskedFormat, GroundTruth

WIDTH_PX, HEIGHT_PX = 160, 120
ASKED = AskedFormat(task="box", keys=("box_2d",))


def objects(n, seed=0):
    """Return n boxes x0, y0, x1, y1 in whole pixels."""
    generator = np.random.default_rng(seed)
    for _ in range(n):
        width, height = generator.integers(12, 70, 2)
        x, y = generator.integers(0, WIDTH_PX - width), generator.integers(0, HEIGHT_PX - height)
        yield int(x), int(y), int(x + width), int(y + height)


def truth_of(box):
    """Return a rectangle as ground truth."""
    x0, y0, x1, y1 = box
    mask_hw = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=bool)
    mask_hw[y0:y1, x0:x1] = True
    return GroundTruth(HEIGHT_PX, WIDTH_PX, (rle_encode(mask_hw),))


def written(box, order, unit, size_px=(WIDTH_PX, HEIGHT_PX)):
    """Return a box as four numbers in a convention, straight from its definition."""
    span = {"norm1000": (1000, 1000), "norm1": (1, 1), "pixel": size_px}[unit]
    x0, x1 = (v / WIDTH_PX * span[0] for v in box[::2])
    y0, y1 = (v / HEIGHT_PX * span[1] for v in box[1::2])
    return {
        "yxyx": [y0, x0, y1, x1],
        "xyxy": [x0, y0, x1, y1],
        "xywh": [x0, y0, x1 - x0, y1 - y0],
        "cxcywh": [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0],
    }[order]


def reading_of(texts, boxes, *, images=None, asked=ASKED, sent_px=(WIDTH_PX, HEIGHT_PX)):
    """Return the reading of one answer per box."""
    lists, read = [], []
    for text, box in zip(texts, boxes, strict=True):
        truth = Truth(truth_of(box))
        decoded = decode_answer(text, height_px=HEIGHT_PX, width_px=WIDTH_PX, asked=asked)
        lists.append(stated_numbers(decoded, truth, sent_px))
        read.append(count_row(decoded, truth, boundary=False)["box_iou"])
    kept = np.array([n for n, numbers in enumerate(lists) if numbers], dtype=np.intp)
    values = np.array([v for numbers in lists for v in numbers or ()], dtype=np.float64)
    lengths = np.array([len(lists[n]) for n in kept], dtype=np.intp)
    names = np.arange(len(lists)) if images is None else np.array(images)
    return Diagnosis(stack_numbers(values, lengths, kept), np.array(read, float), names.astype(str)).reading()


def answer(numbers):
    """Return a box as a model writes it."""
    return json.dumps([{"box_2d": [round(v, 4) for v in numbers]}])


@pytest.mark.parametrize(("order", "unit"), CONVENTIONS)
def test_every_convention_is_named(order, unit):
    """Forty answers in one convention are best read by it; only another than what was read is suspect."""
    boxes = list(objects(40))
    reading = reading_of([answer(written(box, order, unit)) for box in boxes], boxes)
    assert reading["best"] == f"{order} {unit}"
    assert reading["best_box_iou"] > 0.9
    assert reading["n"] == 40
    assert reading["suspect"] == (reading["box_iou"] < 0.5)
    assert reading["suspect"] or (order, unit) in (("yxyx", "norm1000"), ("yxyx", "norm1"))


def test_pixels_are_those_of_the_image_as_sent():
    """A picture that was sent at half the size is read back by that size."""
    boxes = list(objects(40))
    sent_px = (WIDTH_PX // 2, HEIGHT_PX // 2)
    texts = [answer(written(box, "xyxy", "pixel", sent_px)) for box in boxes]
    reading = reading_of(texts, boxes, sent_px=sent_px)
    assert (reading["best"], reading["suspect"]) == ("xyxy pixel", True)


def test_several_items_count_by_the_box_around_them():
    """Two halves of an object, width and height in place of a corner."""
    boxes = list(objects(40))
    texts = []
    for x0, y0, x1, y1 in boxes:
        middle = (x0 + x1) / 2
        halves = ((x0, y0, middle, y1), (middle, y0, x1, y1))
        texts.append(json.dumps([{"box_2d": written(half, "xywh", "norm1000")} for half in halves]))
    assert reading_of(texts, boxes)["best"] == "xywh norm1000"


def test_contours_stand_in_where_no_item_has_a_box():
    """Points y first, no boxes: the extent tells the order."""
    boxes = list(objects(40))
    texts = []
    for box in boxes:
        y0, x0, y1, x1 = (round(v) for v in written(box, "yxyx", "norm1000"))
        texts.append(json.dumps([{"mask": [[y0, x0], [y0, x1], [y1, x1], [y1, x0]]}]))
    asked = AskedFormat(wire_format="polygon_pairs", keys=("mask",), point_order="xy")
    reading = reading_of(texts, boxes, asked=asked)
    assert (reading["best"], reading["suspect"]) == ("yxyx norm1000", True)


def test_few_images_raise_no_alarm():
    """A hundred answers about five images are five images; ten are enough."""
    boxes = [box for box in objects(5) for _ in range(20)]
    texts = [answer(written(box, "xyxy", "norm1000")) for box in boxes]
    few = reading_of(texts, boxes, images=[n // 20 for n in range(100)])
    assert (few["best"], few["suspect"]) == ("xyxy norm1000", False)
    ten = list(objects(10))
    assert reading_of([answer(written(box, "xyxy", "norm1000")) for box in ten], ten)["suspect"]


def test_a_bad_model_is_no_convention():
    """Boxes that have nothing to do with the objects; and one box that hits more as width and height."""
    boxes = list(objects(60))
    elsewhere = [answer(written(box, "yxyx", "norm1000")) for box in objects(60, seed=1)]
    assert not reading_of(elsewhere, boxes)["suspect"]
    always = reading_of([answer([100, 100, 300, 300])] * 60, boxes)
    assert not always["suspect"]


def test_what_was_read_is_kept_where_two_readings_are_the_same():
    """An object that fills the image, x first or y first: nothing to tell, nothing to say."""
    boxes = [(0, 0, WIDTH_PX, HEIGHT_PX)] * 12
    reading = reading_of([answer([0, 0, 1000, 1000])] * 12, boxes)
    assert reading == {
        "n": 12,
        "box_iou": 1.0,
        "best": "yxyx norm1000",
        "best_box_iou": 1.0,
        "suspect": False,
    }


def test_answers_without_numbers_have_no_reading():
    """Prose, an empty list, a box of three numbers."""
    boxes = list(objects(3))
    reading = reading_of(["no JSON", "[]", '[{"box_2d": [1, 2, 3]}]'], boxes)
    assert reading == {"n": 0, "box_iou": None, "best": None, "best_box_iou": None, "suspect": False}


def test_rows_of_one_model_are_found_among_all():
    """The stated boxes of chosen rows keep their numbers."""
    heads = [
        [0.1, 0.2, 0.3, 0.4, 160.0, 120.0],
        [0.0, 0.0, 1.0, 1.0, 80.0, 60.0],
        [0.5, 0.5, 0.6, 0.6, 10.0, 10.0],
    ]
    lists = [
        heads[0] + [1.0, 2, 3, 4],
        heads[1] + [5.0, 6, 7, 8, 9, 10, 11, 12],
        heads[2] + [13.0, 14, 15, 16],
    ]
    stated = stack_numbers(
        np.array([v for one in lists for v in one]), np.array([10, 14, 10]), np.array([2, 5, 9])
    )
    part = stated.among(np.array([4, 5, 9]))
    assert part.rows.tolist() == [1, 2]
    assert part.truth.tolist() == [heads[1][:4], heads[2][:4]]
    assert part.numbers.tolist() == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
    assert read_boxes(part, "xyxy", "norm1000").tolist() == [
        pytest.approx([0.005, 0.006, 0.011, 0.012]),
        pytest.approx([0.013, 0.014, 0.015, 0.016]),
    ]


def test_the_words_name_the_keys_to_set():
    """What was found, by how much, and the YAML."""
    contours = {"n": 40, "box_iou": 0.0, "stated": "yx image", "best": "xy image", "best_box_iou": 0.9}
    reading = {
        "n": 40,
        "box_iou": 0.143,
        "best": "xyxy pixel",
        "best_box_iou": 0.99,
        "suspect": True,
        "contours": contours,
        "suspect_parts": ["boxes", "contours"],
    }
    result = {"model": "qwen", "dataset": "mine", "reading": reading}
    assert yaml_to_set(result) == "box_order: xyxy, unit: pixel, point_order: xy"
    words = suspect_words(result)
    assert "qwen on mine" in words
    assert "0.143" in words
    assert "0.990" in words
    assert "[x0, y0, x1, y1] in pixels of the image as sent" in words
    assert "[x, y] over the whole image, by 0.900" in words
