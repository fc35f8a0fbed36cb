"""Cut answers, noise around answers, hostile text: what is there is kept, nothing is made up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from support.random_search import draws

from evalkit.decoding import decode_answer
from evalkit.masks import full_mask
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 48, 64
SQUARE = [[200, 100], [600, 100], [600, 500], [200, 500]]
BOX = [100, 200, 500, 600]


def decode(text, **facts):
    """Decode in a small image."""
    return decode_answer(text, height_px=HEIGHT, width_px=WIDTH, **facts)


@pytest.fixture
def answers(png_item, png_text):
    """Return ten answers of different formats and wrappings."""
    polygon = {"box_2d": BOX, "mask": SQUARE, "label": "cup"}
    points = {"label": "cup", "box_2d": BOX, "mask": [{"x": x, "y": y} for x, y in SQUARE]}
    flat = {"box_2d": BOX, "mask": [v for p in SQUARE for v in p]}
    tokens = {"box_2d": BOX, "mask": "<start_of_mask><seg_3><seg_4>", "label": "x"}
    runs = {"box_px": [1, 2, 30, 40], "mask": {"size": [HEIGHT, WIDTH], "counts": [100, 500, 2472]}}
    small = png_item(mask="data:image/png;base64," + png_text(np.eye(8, dtype=np.uint8) * 255))
    return {
        "png list": f"[{small}, {png_item(box_2d=[1, 2, 900, 800])}]",
        "png fence": f"```json\n[\n  {small},\n  {small}\n]\n```\n",
        "png wrapper": f'{{"count": 2, "masks": [{small}, {small}]}}',
        "polygons": json.dumps([polygon, {**polygon, "box_2d": [500, 600, 100, 200]}]),
        "points": json.dumps({"boxes": [points, points]}, indent=1),
        "flat": json.dumps([flat, flat]),
        "prose": f"There are [1] two:\n{json.dumps([polygon, polygon])}\nthat is all.",
        "tokens": json.dumps([tokens, polygon]),
        "runs": json.dumps([runs]),
        "nested": json.dumps({"a": {"b": [{"c": [polygon]}, {"c": [points]}]}}),
    }  # fmt: skip


NAMES = [
    "png list",
    "png fence",
    "png wrapper",
    "polygons",
    "points",
    "flat",
    "prose",
    "tokens",
    "runs",
    "nested",
]


def fingerprints(decoded) -> list[tuple]:
    """Return what identifies each usable item."""
    return [
        (one.box_px_xyxy, one.mask.x0_px, one.mask.y0_px, one.mask.crop_hw.tobytes())
        for one in decoded.items
        if one.mask is not None
    ]


@pytest.mark.parametrize("name", NAMES)
def test_cut_at_every_byte_an_answer_never_gains_or_loses_an_item(answers, name):
    """Every usable item of a cut answer is one of the whole answer's, and none goes away as text comes."""
    text = answers[name]
    whole, last = set(fingerprints(decode(text))), 0
    assert whole
    for end in range(len(text) + 1):
        got = decode(text[:end])
        found = fingerprints(got)
        assert set(found) <= whole, text[:end][-80:]
        assert len(found) >= last, text[:end][-80:]
        assert got.outcome != "no_target", text[:end][-80:]
        last = len(found)


def test_a_cut_number_is_never_a_coordinate():
    """[100, 200, 300, 4 may have been 4, 40 or 400."""
    for tail in ("4", "40", "400"):
        got = decode('[{"mask": [[1, 2], [300, 4], [500, 600]], "box_2d": [100, 200, 300, ' + tail)
        assert (got.failure, got.items[0].box_px_xyxy) == ("truncated", None)


WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters='[]{}"`'), max_size=60)


@draws(60)
@example(before=",", after="", fenced=False)
@example(before=" ; ", after="", fenced=True)
@example(before="", after=",", fenced=False)
@example(before="\ufeff \ufeff\x1c", after="\ufeff\u3000", fenced=False)
@given(before=WORDS, after=WORDS, fenced=st.booleans())
def test_noise_around_an_answer_changes_no_pixel(before, after, fenced):
    """Prose before and after, with or without a fence; only white space and byte order marks are none."""
    core = json.dumps([{"box_2d": BOX, "mask": SQUARE, "label": "x"}])
    core = f"\n```json\n{core}\n```\n" if fenced else core
    plain, noisy = decode(core), decode(before + core + after)
    assert fingerprints(noisy) == fingerprints(plain)
    blank = all(character.isspace() or character == "\ufeff" for character in before + after)
    assert ("prose_around" in noisy.repairs) != blank


@draws(150)
@given(text=st.text(st.sampled_from(list('[]{}",:0123456789.-eE \\\n<>_`xymaskbox_2dlbtrufn')), max_size=200))
def test_any_soup_of_json_characters_gets_a_verdict(text):
    """No exception, and the verdict is whole."""
    got = decode(text)
    assert got.outcome in ("decoded", "no_target", "format_failure")
    assert (got.failure is None) == (got.outcome != "format_failure")


@draws(150)
@given(data=st.data())
def test_one_character_changed_never_breaks_a_neighbour(data):
    """The first of three items stands whatever happens inside the second (quotes and brackets too)."""
    first, second, third = (
        json.dumps({"box_2d": BOX, "mask": [[x, y - n] for x, y in SQUARE], "label": f"n{n}"})
        for n in range(3)
    )
    place = data.draw(st.integers(1, len(second) - 1))
    garbage = data.draw(st.sampled_from(['"', "[", "]", "{", "}", ",", ":", "x", "\\", "7"]))
    changed = second[:place] + garbage + second[place + 1 :]
    wanted = fingerprints(decode(f"[{first}]"))[0]
    assert wanted in fingerprints(decode(f"[{first}, {changed}, {third}]"))


@draws(40)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0.01, 0.99), compressed=st.booleans())
def test_run_lengths_are_read_as_pycocotools_writes_them(seed, density, compressed):
    """Round trip of noise, compressed and not."""
    wanted = np.random.default_rng(seed).random((HEIGHT, WIDTH)) < density
    coded = coco_mask.encode(np.asfortranarray(wanted.astype(np.uint8)))
    counts: object = coded["counts"].decode()
    if not compressed:
        flat = wanted.reshape(-1, order="F")
        edges = np.flatnonzero(np.diff(np.concatenate(([0], flat, [1 - flat[-1]]))))
        counts = np.diff(np.concatenate(([0], edges))).tolist()
    text = json.dumps(
        [{"label": "x", "score": 0.5, "box_px": None, "mask": {"size": [HEIGHT, WIDTH], "counts": counts}}]
    )
    got = decode(text, asked=AskedFormat(wire_format="rle"))
    assert got.strict
    np.testing.assert_array_equal(full_mask(got.mask), wanted)


@pytest.mark.parametrize(
    "counts",
    [[], [5], [-1, 3073], [3072, 10**30], ["a"], None, 5, "", "zzz", "\x00", "o" * 50, [1.5, 3070.5], [float("nan")], "é"],
)  # fmt: skip
def test_run_lengths_that_do_not_cover_the_image_are_a_typed_failure(counts):
    """No crash in C code, no guess."""
    text = json.dumps([{"mask": {"size": [HEIGHT, WIDTH], "counts": counts}}])
    assert decode(text).failure == "wrong_shape"


def test_an_empty_run_length_mask_says_that_nothing_fits():
    """For predictions made elsewhere all background is an answer; a box in pixels is kept as it is."""
    empty = json.dumps([{"mask": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}}])
    assert decode(empty, asked=AskedFormat(wire_format="rle")).outcome == "no_target"
    assert decode(empty).failure == "mask_empty"
    boxed = json.dumps(
        [{"box_px": [3, 4, 30, 40], "mask": {"size": [HEIGHT, WIDTH], "counts": [0, 48, 3024]}}]
    )
    assert decode(boxed).items[0].box_px_xyxy == (3, 4, 30, 40)


HOSTILE = {
    "open lists": "[" * 300_000,
    "open objects": '{"a":' * 60_000,
    "open items": '[{"mask":' * 40_000,
    "nested numbers": '[{"mask":' + "[1," * 100_000,
    "quotes": '"' * 300_000,
    "backslashes": '[{"mask":"' + "\\" * 300_000,
    "digits": '[{"box_2d":[' + "9" * 300_000,
    "points without end": '[{"box_2d":[1,2,3,4],"mask":[' + "[1,2],[3,x4]," * 20_000,
    "fences": "```json\n[1]\n``` " * 20_000,
    "keys": "[{" + ",".join(f'"k{n}":1' for n in range(30_000)) + "}]",
    "spaces": "[" + " " * 300_000,
    "lone surrogates": '[{"box_2d":[1,2,300,400],"label":"\ud800\udfff","mask":"\udc00"}]',
    "control characters": "".join(map(chr, range(32))) * 1000,
    "semicolons": '[{"box_2d":[1,2,3,4],"mask":"data:image/png' + ";a" * 100_000 + '"}]',
    "huge exponent": '[{"box_2d":[1e999,-1e999,1e308,5],"mask":"x"}]',
    "ten thousand items": "[" + '{"box_2d":[1,2,300,400],"mask":[[2,1],[400,1],[400,300]]},' * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gets_a_verdict(name):
    """Depth, length and rubbish are ordinary input."""
    got = decode(HOSTILE[name])
    assert got.outcome in ("decoded", "format_failure")


def test_an_answer_of_tens_of_thousands_of_masks_is_bounded():
    """Beyond the budget items are too_large; those before count."""
    items = [{"box_2d": BOX, "mask": [[200, 100], [600, 100 + n % 7], [600 - n % 5, 500]], "label": str(n)} for n in range(5000)]  # fmt: skip
    got = decode(json.dumps(items))
    codes = {one.failure for one in got.items}
    assert (got.outcome, codes) == ("decoded", {None, "too_large"})


def test_commas_left_over_in_rows_cost_no_point():
    """Every row ends in a comma: passed over and listed."""
    rows = ",".join(f"[{x}, {y},]" for x, y in SQUARE)
    got = decode(f'[{{"box_2d": {BOX}, "mask": [{rows}]}}]')
    assert (got.outcome, got.repairs, got.items[0].repairs) == ("decoded", ("trailing_comma",), ())
