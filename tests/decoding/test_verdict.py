"""The golden set: one answer of every kind, written by hand, and the verdict a careful person gives it."""

from __future__ import annotations

import base64
import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from evalkit.decoding import FAILURES, REPAIRS, WIRE_FORMATS, decode_answer
from evalkit.masks import full_mask
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 480, 640


def block_png() -> str:
    """Return base64 of a 256 x 256 mask with one rectangle."""
    values = np.zeros((256, 256), dtype=np.uint8)
    values[40:200, 60:220] = 255
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


PNG = block_png()
URL = f"data:image/png;base64,{PNG}"
SQUARE = [[200, 100], [600, 100], [600, 500], [200, 500]]
TOKENS = "<start_of_mask>" + "".join(
    f"<seg_{n}>" for n in (3, 99, 14, 14, 120, 7, 0, 127, 5, 61, 2, 88, 9, 31, 64, 1)
)
PADDED = next(
    b for n in range(60) if (b := base64.b64encode(base64.b64decode(PNG) + bytes(n)).decode()).endswith("=")
)

NOISE = np.random.default_rng(3).integers(0, 256, (64, 64)).astype(np.uint8)
STREAM = io.BytesIO()
Image.fromarray(NOISE).save(STREAM, "PNG")
SAFE_AS_USUAL = base64.b64encode(STREAM.getvalue()).decode("ascii")
SAFE = base64.urlsafe_b64encode(STREAM.getvalue()).decode("ascii")


def item(**changes: object) -> str:
    """Return one item of the documented format with keys changed; ``...`` removes a key."""
    members = {"box_2d": [100, 200, 500, 600], "mask": URL, "label": "cat"} | changes
    return json.dumps({key: value for key, value in members.items() if value is not ...})


A, B = item(), item(label="dog", box_2d=[500, 200, 900, 600])
POLYGON = item(mask=SQUARE)

# name: (answer, outcome, failure, strict, repairs of the answer and its items, wire formats)
CASES: dict[str, tuple[str, str, str | None, bool, set[str], set[str]]] = {
    "as asked": (f"[{A}, {B}]", "decoded", None, True, set(), {"png_data_url"}),
    "as asked in a fence": (f"```json\n[{A}]\n```\n", "decoded", None, True, {"fence"}, {"png_data_url"}),
    "byte order mark": (f"\ufeff[{A}]", "decoded", None, True, set(), {"png_data_url"}),
    "nothing fits": ("[]", "no_target", None, True, set(), set()),
    "nothing fits, fenced": ("```json\n[]\n```", "no_target", None, True, {"fence"}, set()),
    "nothing fits, wrapped": ('{"boxes": []}', "no_target", None, False, {"wrapper"}, set()),
    "nothing fits, and why": ("There is none. []", "no_target", None, False, {"prose_around"}, set()),
    "no text": ("  \n", "format_failure", "empty_response", False, set(), set()),
    "prose": ("I cannot see a floor.", "format_failure", "no_json", False, set(), set()),
    "prose with brackets": ("As noted in [1] and {2}, no.", "format_failure", "no_json", False, set(), set()),
    "null": ("null", "format_failure", "wrong_shape", False, set(), set()),
    "a number": ("42", "format_failure", "wrong_shape", False, set(), set()),
    "empty object": ("{}", "format_failure", "wrong_shape", False, set(), set()),
    "list of words": ('["cup"]', "format_failure", "wrong_shape", False, set(), set()),
    "python literal": (
        repr([json.loads(A)]), "decoded", None, False, {"loose_syntax"}, {"png_data_url"},
    ),
    "cut at once": ('[{"box_', "format_failure", "truncated", False, set(), set()),
    "cut in a box": (
        '[{"box_2d": [100, 200, 300, 4', "format_failure", "truncated", False, {"truncated_tail"}, set(),
    ),
    "cut after one item": (
        f"[{A}, {B[:300]}", "decoded", None, False, {"truncated_tail"}, {"png_data_url"},
    ),
    "prose before and after": (
        f"Here you are:\n\n[{A}]\n\nAnything else?", "decoded", None, False, {"prose_around"}, {"png_data_url"},
    ),
    "code before the answer": (
        f"```python\nboxes = [{{'a': 1}}]\n```\nSo:\n```json\n[{A}]\n```", "decoded", None, False,
        {"fence", "prose_around"}, {"png_data_url"},
    ),
    "several values": (f"[{A}]\n[{B}]", "decoded", None, False, {"several_values"}, {"png_data_url"}),
    "wrapped": (f'{{"findings": [{A}]}}', "decoded", None, False, {"wrapper"}, {"png_data_url"}),
    "nested deep": (
        f'{{"result": {{"groups": [{{"name": "g", "members": [{A}]}}]}}}}', "decoded", None, False, {"wrapper"},
        {"png_data_url"},
    ),
    "single object": (A, "decoded", None, False, {"single_object"}, {"png_data_url"}),
    "trailing comma": (f"[{A},]", "decoded", None, False, {"trailing_comma"}, {"png_data_url"}),
    "comma lost between items": (f"[{A} {B}]", "decoded", None, False, {"salvaged"}, {"png_data_url"}),
    "quote lost in a label": (
        f"[{A}, {item(label='do')[:-2]}}}, {B}]", "decoded", None, False, {"salvaged"}, {"png_data_url"},
    ),
    "raw newline": (
        f"[{A}]".replace(PNG[:60], PNG[:60] + "\n"), "decoded", None, False, {"raw_newline"}, {"png_data_url"},
    ),
    "NaN in a box": (
        f"[{item(box_2d=[float('nan'), 1, 2, 3])}]", "format_failure", "box_invalid", False, {"salvaged"},
        {"png_data_url"},
    ),
    "a score of five thousand digits": (
        f"[{item(score=7)}]".replace('"score": 7', '"score": ' + "7" * 5000), "decoded", None, True, set(),
        {"png_data_url"},
    ),
    "one key twice": (
        f"[{A}]".replace('"label": "cat"', '"mask": "other"'), "format_failure", "malformed_json", False,
        {"salvaged"}, set(),
    ),
    "other keys": (
        f"[{A}]".replace("box_2d", "bbox").replace('"mask"', '"segmentation"'), "decoded", None, False,
        {"alternate_key"}, {"png_data_url"},
    ),
    "bare base64 mask": (f"[{item(mask=PNG)}]", "decoded", None, False, {"missing_prefix"}, {"png_base64"}),
    "prefix twice": (
        f"[{item(mask='data:image/png;base64,' + URL)}]", "decoded", None, False, {"repeated_prefix"},
        {"png_data_url"},
    ),
    "padding lost": (
        f"[{item(mask='data:image/png;base64,' + PADDED.rstrip('='))}]", "decoded", None, False,
        {"base64_padding"}, {"png_data_url"},
    ),
    "bare base64 answer": (PNG, "format_failure", "box_missing", False, set(), {"png_base64"}),
    "data URL in prose": (
        f"The mask is {URL} as asked.", "format_failure", "box_missing", False, {"prose_around"}, {"png_data_url"},
    ),
    "inverted box": (
        f"[{item(box_2d=[500, 600, 100, 200])}]", "decoded", None, False, {"corners_sorted"}, {"png_data_url"},
    ),
    "box past the edge": (
        f"[{item(box_2d=[-10, 200, 500, 1030])}]", "decoded", None, False, {"box_clamped"}, {"png_data_url"},
    ),
    "box in quotes": (
        f"[{item(box_2d=['100', '200', '500', '600'])}]", "decoded", None, False, {"quoted_number"},
        {"png_data_url"},
    ),
    "box without area": (
        f"[{item(box_2d=[100, 100, 100, 200])}]", "format_failure", "box_invalid", False, set(), {"png_data_url"},
    ),
    "box of three": (f"[{item(box_2d=[1, 2, 3])}]", "format_failure", "box_invalid", False, set(), {"png_data_url"}),
    "box far off": (
        f"[{item(box_2d=[0, 0, 9000, 9000])}]", "format_failure", "box_invalid", False, set(), {"png_data_url"},
    ),
    "no box": (f"[{item(box_2d=...)}]", "format_failure", "box_missing", False, set(), {"png_data_url"}),
    "box only": (f"[{item(mask=...)}]", "format_failure", "mask_missing", False, set(), {"box_only"}),
    "mask null": (f"[{item(mask=None)}]", "format_failure", "mask_missing", False, set(), {"box_only"}),
    "label only": ('[{"label": "cat"}]', "format_failure", "mask_missing", False, set(), set()),
    "empty mask text": (f"[{item(mask='')}]", "format_failure", "mask_empty", False, set(), {"placeholder"}),
    "empty mask list": (f"[{item(mask=[])}]", "format_failure", "mask_empty", False, set(), set()),
    "mask true": (f"[{item(mask=True)}]", "format_failure", "mask_placeholder", False, set(), {"placeholder"}),
    "mask a link": (
        f"[{item(mask='https://host/mask.png')}]", "format_failure", "mask_placeholder", False, set(),
        {"placeholder"},
    ),
    "mask a word, no object": (
        '"mask": "gimme_mask"', "format_failure", "mask_placeholder", False, {"salvaged"}, {"placeholder"},
    ),
    "mask not base64": (
        f"[{item(mask=URL + '!')}]", "format_failure", "mask_bad_base64", False, set(), {"png_data_url"},
    ),
    "mask not an image": (
        f"[{item(mask='data:image/png;base64,aGVsbG8gd29ybGQh')}]", "format_failure", "mask_bad_png", False, set(),
        {"png_data_url"},
    ),
    "mask loops": (
        f"[{item(mask='data:image/png;base64,iVBORw0KGgo' + '4+Pj' * 500)[:-40]}", "format_failure", "repetition",
        False, {"truncated_tail"}, {"png_data_url"},
    ),
    "prose loops": ("and the cup " * 400, "format_failure", "repetition", False, set(), set()),
    "tokens": (f"[{item(mask=TOKENS)}]", "format_failure", "mask_tokens", False, set(), {"seg_tokens"}),
    "tokens without quotes": (
        f"[{item(mask=7)}]".replace('"mask": 7', f'"mask": {TOKENS}'), "format_failure", "mask_tokens", False,
        {"salvaged"}, {"seg_tokens"},
    ),
    "tokens escaped and cut": (
        f"[{item(mask=TOKENS)}".replace("<", "\\u003c")[:140], "format_failure", "mask_tokens", False,
        {"truncated_tail"}, {"seg_tokens"},
    ),
    "tokens alone": (TOKENS, "format_failure", "mask_tokens", False, set(), {"seg_tokens"}),
    "tokens, then a box in the string": (
        f'[{{"mask": "{TOKENS}_box_2d": [1, 2, 3, 4]}}]', "format_failure", "mask_tokens", False, {"salvaged"},
        {"seg_tokens"},
    ),
    "tokens, then a whole image": (
        f"[{item(mask=TOKENS + URL)}]", "decoded", None, False, {"tokens_dropped"}, {"png_data_url"},
    ),
    "tokens, then half an image": (
        f"[{item(mask=TOKENS + URL[:200])}]", "format_failure", "mask_tokens", False, set(), {"png_data_url"},
    ),
    "one broken item among three": (
        f"[{A}, {item(mask=TOKENS)}, {B}]", "decoded", None, False, set(), {"png_data_url", "seg_tokens"},
    ),
    "one garbled point": (
        f"[{POLYGON}]".replace("[600, 500]", "[600, 500], [x7, 510]"), "decoded", None, False,
        {"bad_point_dropped"}, {"polygon_pairs"},
    ),
    "a bracket lost in a contour": (
        f"[{POLYGON}, {A}]".replace("[600, 500]", "600, 500]"), "decoded", None, False,
        {"bad_point_dropped"}, {"png_data_url", "polygon_pairs"},
    ),
    "contour swapped": (
        f"[{item(mask=[[y, x] for x, y in SQUARE], box_2d=[100, 200, 500, 600])}]", "format_failure",
        "polygon_ambiguous", False, set(), {"polygon_pairs"},
    ),
    "contour swapped, corners named": (
        f"[{item(mask=[[y, x] for x, y in SQUARE], box_2d={'ymin': 100, 'xmin': 200, 'ymax': 500, 'xmax': 600})}]",
        "decoded", None, False, {"alternate_key", "order_swapped"}, {"polygon_pairs"},
    ),
    "box x first, points named": (
        f"[{item(mask=[{'x': x, 'y': y} for x, y in SQUARE], box_2d=[200, 100, 600, 500])}]",
        "decoded", None, False, {"box_by_contour"}, {"polygon_points"},
    ),
    "bbox_2d": (
        f"[{item(mask=SQUARE, bbox_2d=[200, 100, 600, 500], box_2d=...)}]", "decoded", None, False,
        {"alternate_key", "key_convention"}, {"polygon_pairs"},
    ),
    "fractions": (
        f"[{item(mask=[[x / 1000, y / 1000] for x, y in SQUARE], box_2d=[0.1, 0.2, 0.5, 0.6])}]", "decoded", None,
        False, {"unit_coordinates"}, {"polygon_pairs"},
    ),
    "contour past every unit": (
        json.dumps([{"mask": [[200, 100], [6000, 100], [6000, 500]]}]), "format_failure", "wrong_unit", False, set(),
        {"polygon_pairs"},
    ),
    "svg path": (
        f"[{item(mask='M 200 100 L 600 100 L 600 500 L 200 500 Z')}]", "decoded", None, False, set(), {"svg_path"},
    ),
    "URL-safe base64": (
        f"[{item(mask='data:image/png;base64,' + SAFE)}]", "decoded", None, False, {"urlsafe_base64"},
        {"png_data_url"},
    ),
    "percent-encoded base64": (
        f"[{item(mask='data:image/png;base64,' + quote(SAFE_AS_USUAL, safe=''))}]", "decoded", None, False,
        {"percent_encoded"}, {"png_data_url"},
    ),
    "taken back": (
        f"First: [{B}]. No, rather: [{A}]", "decoded", None, False, {"prose_around", "superseded"}, {"png_data_url"},
    ),
    "contour in the box": (
        f"[{item(mask=[[0, 0], [1000, 0], [1000, 1000], [0, 1000]])}]", "decoded", None, False,
        {"frame_box_local"}, {"polygon_pairs"},
    ),
    "contour of either order": (
        f"[{item(box_2d=[200, 200, 600, 600], mask=[[200, 200], [600, 200], [600, 300], [200, 600]])}]",
        "format_failure", "polygon_ambiguous", False, set(), {"polygon_pairs"},
    ),
    "contour of two points": (
        f"[{item(mask=SQUARE[:2])}]", "format_failure", "polygon_degenerate", False, set(), {"polygon_pairs"},
    ),
    "contour flat": (
        f"[{item(mask=[v for p in SQUARE for v in p])}]", "decoded", None, False, set(), {"polygon_flat"},
    ),
    "contour named": (
        f"[{item(mask=[{'x': x, 'y': y} for x, y in SQUARE])}]", "decoded", None, False, set(), {"polygon_points"},
    ),
    "contour chunked": (
        f"[{item(mask=[[200, 100, 600, 100], [600, 500, 200, 500]])}]", "decoded", None, False, set(),
        {"polygon_chunked"},
    ),
    "contour as text": (
        f"[{item(mask='200,100,600,100,600,500,200,500')}]", "decoded", None, False, set(), {"polygon_string"},
    ),
    "contour alone": (json.dumps(SQUARE), "decoded", None, False, {"single_object"}, {"polygon_pairs"}),
    "contour of a hundred thousand points": (
        f"[{item(mask=[[n % 1000, n % 997] for n in range(100_000)])}]", "format_failure", "too_large", False, set(),
        {"polygon_pairs"},
    ),
    "sub-boxes": (
        f"[{item(mask=[[100, 200, 300, 400], [200, 300, 500, 600]])}]", "decoded", None, False, set(), {"sub_boxes"},
    ),
    "run lengths of another size": (
        json.dumps([{"mask": {"size": [10, 10], "counts": [50, 50]}}]), "format_failure", "wrong_shape", False,
        set(), {"rle"},
    ),
    "Vertex": (
        json.dumps({"predictions": [{"bytesBase64Encoded": PNG, "labels": [{"label": "cat", "score": 0.5}]}]}),
        "decoded", None, False, set(), {"vertex_png"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_verdict(name):
    """Outcome, failure, strictness, repairs and wire formats are those of the golden set."""
    text, outcome, failure, strict, repairs, wire_formats = CASES[name]
    got = decode_answer(text, height_px=HEIGHT, width_px=WIDTH)
    found = {repair for one in got.items for repair in one.repairs} | set(got.repairs)
    formats = {one.wire_format for one in got.items if one.wire_format}
    assert (got.outcome, got.failure, got.strict, found, formats) == (
        outcome, failure, strict, repairs, wire_formats,
    )  # fmt: skip


def test_every_verdict_is_consistent():
    """An item has a mask or a failure, never both; only known codes appear; masks lie on the image."""
    for text, *_ in CASES.values():
        got = decode_answer(text, height_px=HEIGHT, width_px=WIDTH)
        assert (got.failure is not None) == (got.outcome == "format_failure")
        assert (got.mask is not None) == (got.outcome == "decoded")
        assert got.failure is None or got.failure in FAILURES
        assert set(got.repairs) <= set(REPAIRS)
        for one in got.items:
            assert (one.mask is None) != (one.failure is None)
            assert one.failure is None or one.failure in FAILURES
            assert one.wire_format is None or one.wire_format in WIRE_FORMATS
            assert set(one.repairs) <= set(REPAIRS)
            assert one.mask is None or full_mask(one.mask).shape == (HEIGHT, WIDTH)


def test_the_golden_set_holds_every_failure():
    """A code that no answer reaches would be a promise nobody checks."""
    elsewhere = {"thinking_used_budget", "box_ambiguous"}  # see the tests below and of conventions
    reached = {
        code
        for text, *_ in CASES.values()
        for got in [decode_answer(text, height_px=HEIGHT, width_px=WIDTH)]
        for code in (got.failure, *(one.failure for one in got.items))
    }
    assert set(FAILURES) - reached == elsewhere
    assert set(WIRE_FORMATS) == {code for case in CASES.values() for code in case[5]}
    told = {code for case in CASES.values() for code in case[4]}
    assert set(REPAIRS) - told == {
        "pixel_box",
        "pixel_points",
        "norm1000_points",
        "frame_image",
    }  # see the contours' tests


@pytest.mark.parametrize(
    ("text", "facts", "outcome", "failure"),
    [
        (None, {}, "format_failure", "empty_response"),
        (
            None,
            {"finish_reason": "MAX_TOKENS", "thought_tokens": 900},
            "format_failure",
            "thinking_used_budget",
        ),
        (None, {"finish_reason": "MAX_TOKENS"}, "format_failure", "empty_response"),
        (
            "Let me look at",
            {"finish_reason": "MAX_TOKENS", "thought_tokens": 9},
            "format_failure",
            "truncated",
        ),
        (None, {"block_reason": "OTHER"}, "blocked", None),
        (None, {"finish_reason": "SAFETY"}, "blocked", None),
        ("partial", {"finish_reason": "RECITATION"}, "blocked", None),
        (None, {"finish_reason": "A_REASON_OF_TOMORROW"}, "format_failure", "empty_response"),
    ],
)
def test_what_the_api_says_is_part_of_the_verdict(text, facts, outcome, failure):
    """Blocks, thinking and token limits are told apart from an empty answer."""
    got = decode_answer(text, height_px=HEIGHT, width_px=WIDTH, **facts)
    assert (got.outcome, got.failure, got.strict) == (outcome, failure, False)


def test_a_whole_api_body_is_read_for_its_text_and_reasons():
    """Thought parts are no answer; the finish reason and the usage count."""
    parts = [{"text": "hm [", "thought": True}, {"text": "```json\n"}, {"text": f"[{A}]\n```"}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    assert decode_answer(json.dumps(body), height_px=HEIGHT, width_px=WIDTH).strict
    empty = {"candidates": [{"finishReason": "MAX_TOKENS"}], "usageMetadata": {"thoughtsTokenCount": 5}}
    assert decode_answer(json.dumps(empty), height_px=9, width_px=9).failure == "thinking_used_budget"
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    assert decode_answer(json.dumps(blocked), height_px=9, width_px=9).outcome == "blocked"


BOXES = AskedFormat(wire_format="polygon_pairs", keys=("box_2d", "mask", "label"), wrapper="boxes")


@pytest.mark.parametrize(
    ("text", "asked", "strict", "repairs"),
    [
        (f'{{"boxes": [{POLYGON}]}}', BOXES, True, ()),
        ('{"boxes": []}', BOXES, True, ()),
        ("[]", BOXES, False, ()),
        (f"[{POLYGON}]", BOXES, False, ()),
        (f'{{"items": [{POLYGON}]}}', BOXES, False, ("wrapper",)),
        (f"[{POLYGON}]", AskedFormat(wire_format="polygon_pairs"), True, ()),
        (f"[{POLYGON}]", AskedFormat(wire_format=None), True, ()),
        (f"[{POLYGON}]", AskedFormat(), False, ()),
        (f"[{item(label=...)}]", AskedFormat(keys=("box_2d", "mask", "label")), False, ()),
        (f"[{item(mask=PNG)}]", AskedFormat(wire_format="png_base64"), True, ()),
        (f"[{A}, 5]", AskedFormat(), False, ()),
    ],
)
def test_strict_is_what_the_prompt_asked_for(text, asked, strict, repairs):
    """Keys, format and wrapper are the prompt's; anything else is not strict."""
    got = decode_answer(text, height_px=HEIGHT, width_px=WIDTH, asked=asked)
    assert (got.strict, got.repairs) == (strict, repairs)
    assert got.outcome in ("decoded", "no_target")


def test_a_prompt_s_own_mask_key_is_no_alternate_key():
    """The asked key comes first, also where 'mask' is there as well."""
    asked = AskedFormat(wire_format="polygon_pairs", keys=("box_2d", "mask_polygon"))
    got = decode_answer(
        f"[{item(mask=..., mask_polygon=SQUARE)}]", height_px=HEIGHT, width_px=WIDTH, asked=asked
    )
    assert got.strict


def test_boxes_are_enough_where_boxes_were_asked():
    """A box-only item has no failure then; a bad box still has."""
    asked = AskedFormat(wire_format="box_only", keys=("box_2d", "label"), task="box")
    good = decode_answer(f"[{item(mask=...)}]", height_px=HEIGHT, width_px=WIDTH, asked=asked)
    assert (good.outcome, good.strict, good.items[0].failure, good.mask) == ("decoded", True, None, None)
    assert good.items[0].box_px_xyxy == (128, 48, 384, 240)
    bad = decode_answer(f"[{item(mask=..., box_2d=[1, 2])}]", height_px=HEIGHT, width_px=WIDTH, asked=asked)
    assert (bad.outcome, bad.failure) == ("format_failure", "box_invalid")


def test_labels_and_scores_travel_with_the_item():
    """Lone surrogates are replaced, so that a label can always be printed."""
    text = f"[{item(confidence=0.8)}]".replace("cat", "c\ud800t")
    one = decode_answer(text, height_px=HEIGHT, width_px=WIDTH).items[0]
    assert (one.label, one.score) == ("c?t", 0.8)
