"""Answers that say the usual thing unusually: keys, prefixes, wrappings, quotes, single garbled points."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from evalkit.decoding import decode_answer
from evalkit.decoding.loose_json import MAX_DAMAGE
from evalkit.masks import full_mask, rle_encode
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 480, 640
BOX = [200, 100, 800, 600]
RING = [[100, 200], [600, 200], [600, 800], [350, 500], [100, 800]]
HOLE = [[150, 250], [300, 250], [300, 400], [150, 400]]
PAIRS = AskedFormat(wire_format="polygon_pairs")


def png(kind: str = "PNG") -> str:
    """Return base64 of a 64 x 64 image with a white half."""
    values = np.zeros((64, 64), dtype=np.uint8)
    values[:, 32:] = 255
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode("ascii")


URL = f"data:image/png;base64,{png()}"


def decode(answer: object, asked: AskedFormat = PAIRS):
    """Return the verdict on a value written as JSON, or on text as it is."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return decode_answer(text, height_px=HEIGHT, width_px=WIDTH, asked=asked)


def pixels(answer: object) -> np.ndarray:
    """Return the mask of an answer that must decode."""
    got = decode(answer)
    assert got.mask is not None, (got.failure, got.items)
    return full_mask(got.mask)


@pytest.mark.parametrize("key", ["masks", "Mask", "segmentationMask", "mask_data", "outline", "SEGMENTATION"])
@pytest.mark.parametrize("box_key", ["box_2d", "Box_2D", "box-2d", "boundingBox", "bndbox"])
def test_a_key_in_another_spelling_is_the_same_key(key, box_key):
    """Case, ``_``, ``-`` and plurals change nothing but ``strict``."""
    got = decode([{box_key: BOX, key: RING}])
    assert (got.outcome, got.items[0].repairs, got.strict) == ("decoded", ("alternate_key",), False)
    assert np.array_equal(full_mask(got.mask), pixels([{"box_2d": BOX, "mask": RING}]))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [({"masks": []}, "no_target"), ({"masks": [{"box_2d": BOX, "mask": RING}]}, "decoded")],
)
def test_a_plural_key_still_wraps_the_list(answer, outcome):
    """``masks`` is a mask only where its value is one."""
    got = decode(answer)
    assert (got.outcome, got.repairs) == (outcome, ("wrapper",))


@pytest.mark.parametrize(
    ("mask", "repairs"),
    [
        ([[str(x), str(y)] for x, y in RING], ("quoted_number",)),
        ([{"x": str(x), "y": str(y)} for x, y in RING], ("quoted_number",)),
        ([str(value) for point in RING for value in point], ("quoted_number",)),
        ([{"X": x, "Y": y} for x, y in RING], ()),
        ({"points": RING}, ("wrapper",)),
        ({"type": "Polygon", "coordinates": [RING]}, ("wrapper",)),
        ({"size": [64, 64], "polygon": RING}, ("wrapper",)),
        (json.dumps([{"x": x, "y": y} for x, y in RING]), ("wrapper",)),
    ],
)
def test_a_contour_in_another_dress_is_the_same_contour(mask, repairs):
    """Quotes and wrappings are told and cost no pixel."""
    got = decode([{"box_2d": BOX, "mask": mask}])
    assert got.items[0].repairs == repairs
    assert np.array_equal(full_mask(got.mask), pixels([{"box_2d": BOX, "mask": RING}]))


@pytest.mark.parametrize("names", [("exterior", "holes"), ("outer", "interiors")])
def test_holes_named_as_such_are_cut_out(names):
    """An object of a contour and its holes is the list of those rings."""
    got = pixels([{"box_2d": BOX, "mask": {names[0]: RING, names[1]: [HOLE]}}])
    assert np.array_equal(got, pixels([{"box_2d": BOX, "mask": [RING, HOLE]}]))


@pytest.mark.parametrize("value", [RING, [RING, HOLE], [{"x": x, "y": y} for x, y in RING]])
def test_a_bare_contour_needs_no_object(value):
    """The mask alone, without a list of items around it."""
    got = decode(value)
    assert (got.outcome, got.repairs) == ("decoded", ("single_object",))


def test_bare_run_lengths_need_no_object():
    """COCO's object alone is a mask."""
    mask_hw = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask_hw[9:70, 8:90] = True
    assert np.array_equal(pixels(rle_encode(mask_hw).to_json()), mask_hw)


@pytest.mark.parametrize(
    ("prefix", "repairs"),
    [
        ("base64,", {"missing_prefix"}),
        ("image/png;base64,", {"missing_prefix"}),
        ("data:image/png,", {"missing_prefix"}),
        ("data:;base64,", {"missing_prefix"}),
        ("data:image/png;base64,data:image/png;base64,", {"repeated_prefix"}),
    ],
)
def test_a_prefix_in_parts_is_told(prefix, repairs):
    """A part of the prefix, or too much of it, leaves the image as it is."""
    got = decode([{"box_2d": BOX, "mask": prefix + png()}], AskedFormat())
    assert set(got.items[0].repairs) == repairs
    assert np.array_equal(full_mask(got.mask), pixels([{"box_2d": BOX, "mask": URL}]))


@pytest.mark.parametrize("wrapped", [[URL], {"data": URL}, {"format": "png", "size": [64, 64], "data": URL}])
def test_an_image_in_a_list_or_an_object_is_taken_out(wrapped):
    """One image inside is the mask; nothing is chosen."""
    assert np.array_equal(pixels([{"box_2d": BOX, "mask": wrapped}]), pixels([{"box_2d": BOX, "mask": URL}]))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_image_types_are_read(kind):
    """Whatever Pillow reads of the common types, told or not."""
    got = pixels([{"box_2d": BOX, "mask": f"data:image/{kind.lower()};base64,{png(kind)}"}])
    wanted = pixels([{"box_2d": BOX, "mask": URL}])
    assert np.count_nonzero(got & wanted) / np.count_nonzero(got | wanted) > 0.99


@pytest.mark.parametrize("value", [True, 7, 0.5, {"id": 3}, {"url": "https://host/m.png"}, ["mask_1"]])
def test_what_is_no_mask_is_a_placeholder(value):
    """Yes, numbers, ids and links, also inside an object."""
    got = decode([{"box_2d": BOX, "mask": value}])
    assert (got.failure, got.items[0].wire_format) == ("mask_placeholder", "placeholder")


def test_a_polygon_beside_a_placeholder_is_the_mask():
    """The asked key holds an id, another one the contour."""
    got = decode([{"box_2d": BOX, "mask": "mask_1", "polygon": RING}])
    assert (got.outcome, got.items[0].repairs) == ("decoded", ("alternate_key",))


@pytest.mark.parametrize(
    "tokens", ["<seg012>" * 16, "<SEG_1><SEG_2>", "<loc0100><loc0200><seg012>", ["<seg_1>", "<seg_2>"]]
)
def test_tokens_in_other_spellings_are_tokens(tokens):
    """PaliGemma's own, capitals, one by one."""
    got = decode([{"box_2d": BOX, "mask": tokens}])
    assert (got.failure, got.items[0].wire_format) == ("mask_tokens", "seg_tokens")


@pytest.mark.parametrize(
    "garbled",
    [
        "[600, 500",
        "600, 500]",
        "[600,, 500]",
        "[600 500]",
        "[6oo, 500]",
        '{"x": 600, y": 500}',
        '{"x": 600, "y 500}',
        '{"x": 600, "y":}',
        '": x": 600, "y": 500}',
    ],
)
def test_one_garbled_point_costs_that_point(garbled):
    """In every way a point can break: one repair, and no talk of a cut answer."""
    named = "x" in garbled
    points = [json.dumps({"x": x, "y": y} if named else [x, y]) for x, y in RING]
    # The point that the garbling runs into goes with it: its own beginning is lost.
    points.insert(3, points[2])
    points.insert(3, garbled)
    got = decode(f'[{{"box_2d": {BOX}, "mask": [{", ".join(points)}], "label": "cup"}}]')
    assert (got.outcome, got.repairs) == ("decoded", ())
    assert got.items[0].repairs == ("bad_point_dropped",)
    assert got.items[0].label == "cup"
    assert np.array_equal(full_mask(got.mask), pixels([{"box_2d": BOX, "mask": RING}]))


def body(text: str | None, **members: object) -> dict[str, object]:
    """Return a generateContent body."""
    parts = {} if text is None else {"parts": [{"text": text}]}
    return {"candidates": [{"content": {"role": "model", **parts}, "finishReason": "STOP"}], **members}


def test_streamed_bodies_are_one_answer():
    """A list of chunks is read as the text that they add up to."""
    text = json.dumps([{"box_2d": BOX, "mask": RING}])
    assert decode([body(text[:30]), body(text[30:])]).strict is True


def test_a_body_without_candidates_is_no_refusal():
    """No candidate is no statement that nothing fits."""
    got = decode({"candidates": [], "usageMetadata": {"promptTokenCount": 9}})
    assert (got.outcome, got.failure) == ("format_failure", "empty_response")


def test_an_image_is_not_taken_out_of_an_object_that_cannot_be_read():
    """Its box is lost, in whatever way nobody can name."""
    got = decode(f"<item box_2d={BOX} mask={URL}>")
    assert got.outcome == "format_failure"


def test_noise_is_given_up_in_bounded_time():
    """More damage than any answer has ends the reading; what came before it stays."""
    item = json.dumps({"box_2d": BOX, "mask": RING, "label": "cup"})
    got = decode(f"[{item}, " + '{"mask":"' * (3 * MAX_DAMAGE))
    assert got.outcome == "decoded"
    assert len(got.items) <= MAX_DAMAGE + 1


def test_images_that_unpack_to_much_are_bounded_together():
    """Many small files of many pixels: the first are read, then the answer is too large."""
    stream = io.BytesIO()
    Image.new("L", (4096, 4096), 255).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    items = [{"box_2d": BOX, "mask": f"data:image/png;base64,{encoded}", "label": str(n)} for n in range(20)]
    failures = [item.failure for item in decode(items).items]
    assert failures[0] is None
    assert failures[-1] == "too_large"


@pytest.mark.parametrize(("unit", "outcome"), [("{}", "format_failure"), ("[]", "no_target")])
def test_a_flood_of_empty_values_is_one_empty_answer(unit, outcome):
    """A hundred thousand empty values make no hundred thousand items."""
    got = decode(unit * 100_000)
    assert (got.outcome, got.items) == (outcome, ())
    assert len(decode(f"[{','.join(['{}'] * 100_000)}]").items) == 1


@pytest.mark.parametrize("text", ["Use argv[] for that.", "\x07q[]\x9fz", "int a[]; then (x[]) and so on"])
def test_brackets_inside_words_do_not_say_that_nothing_fits(text):
    """A pair of brackets that is part of code or noise is no answer."""
    assert decode(text).outcome == "format_failure"


@pytest.mark.parametrize("text", ["No such object. []", "Answer:[]", "[] as nothing fits", "[]."])
def test_brackets_that_stand_apart_say_that_nothing_fits(text):
    """The empty list is the answer, with words around it."""
    assert decode(text).outcome == "no_target"
