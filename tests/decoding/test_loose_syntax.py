"""Objects in other spellings are the objects that they mean; drafts are no answers; thoughts neither."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evalkit.decoding import decode_answer
from evalkit.masks import full_mask
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 480, 640
PAIRS = AskedFormat(wire_format="polygon_pairs", keys=("box_2d", "mask", "label"))
BOX = [100, 600, 300, 800]
RING = [[600, 100], [800, 100], [800, 300], [600, 300]]
ITEM = {"box_2d": BOX, "mask": RING, "label": "mug"}
OTHER = {"box_2d": [0, 0, 500, 500], "mask": [[0, 0], [500, 0], [500, 500], [0, 500]], "label": "plate"}
JSON = json.dumps(ITEM)


def decode(text: str):
    """Return the verdict on an answer to a prompt for polygons."""
    return decode_answer(text, height_px=HEIGHT, width_px=WIDTH, asked=PAIRS)


WANTED = full_mask(decode(f"[{JSON}]").mask)

SPELLINGS = {
    "Python": repr(ITEM),
    "Python with an apostrophe": repr(ITEM | {"label": "the mug's"}),
    "single quotes around an apostrophe": repr(ITEM).replace("'mug'", "'the mug's handle'"),
    "Python tuples": repr(ITEM | {"box_2d": tuple(BOX), "mask": [tuple(point) for point in RING]}),
    "Python constants": repr(ITEM | {"score": None, "sure": True, "crowd": False}),
    "JavaScript": f'{{box_2d: {BOX}, mask: {RING}, label: "mug"}}',
    "JavaScript with commas at the end": f"{{box_2d: {BOX}, mask: {RING}, label: 'mug',}}",
    "smart quotes": JSON.replace(' "', " \u201c").replace('{"', "{\u201c").replace('"', "\u201d"),
    "low quotes": JSON.replace(' "', " \u201e").replace('{"', "{\u201e").replace('"', "\u201c"),
    "single smart quotes": JSON.replace(' "', " \u2018").replace('{"', "{\u2018").replace('"', "\u2019"),
    "line comments": JSON.replace(', "mask"', ', // the outline\n "mask"'),
    "a comment first": JSON.replace("{", "{ /* found it */ ", 1),
    "hash comments": JSON.replace(', "mask"', ', # "mask": []\n "mask"'),
    "escaped quotes": JSON.replace('"', '\\"'),
    "escaped quotes and lines": json.dumps(json.dumps(ITEM, indent=1))[1:-1],
    "one word of Python": JSON[:-1] + ', "parent": None}',
}  # fmt: skip


@pytest.mark.parametrize(
    "around", ["{}", "[{}]", "```json\n{}\n```", "```python\n[{}]\n```", "Here: {}", "x = {}"]
)
@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_the_same_object(name, around):
    """The same mask, told by name, whatever stands around it."""
    got = decode(around.replace("{}", SPELLINGS[name]))
    assert got.outcome == "decoded", (got.failure, got.repairs)
    assert "loose_syntax" in got.repairs
    assert not got.strict
    assert np.array_equal(full_mask(got.mask), WANTED)
    assert got.items[0].box_px_xyxy == (384, 48, 512, 144)


@pytest.mark.parametrize("name", SPELLINGS)
def test_cut_in_another_spelling_nothing_is_gained(name):
    """Every prefix gives the object, or a failure; never the contour without its box."""
    text = "[" + SPELLINGS[name] + "]"
    for end in range(0, len(text), 3):
        got = decode(text[:end])
        assert got.outcome != "no_target"
        assert got.mask is None or got.items[0].box_px_xyxy == (384, 48, 512, 144), text[:end]
        assert got.mask is None or np.array_equal(full_mask(got.mask), WANTED), text[:end]


@pytest.mark.parametrize(
    "text",
    [
        f"box_2d = {BOX}\nmask = {RING}",
        f"<box_2d>{BOX}</box_2d><mask>{RING}</mask>",
        f"Detection(box_2d={BOX}, mask={RING}, label='mug')",
        f"{{box_2d -> {BOX}, mask -> {RING}}}",
        f"**box_2d**: {BOX}, **mask**: {RING}",
    ],
)
def test_a_list_inside_an_unreadable_object_is_never_the_answer(text):
    """Its box is part of the answer too."""
    assert decode(text).outcome == "format_failure"


@pytest.mark.parametrize(
    "text",
    [
        f"- box_2d: {BOX}\n  mask: {RING}\n  label: mug\n",
        f"box_2d: {BOX}\nmask: {RING}\nlabel: mug\n",
        "- label: mug\n  box_2d:\n    - 100\n    - 600\n    - 300\n    - 800\n  mask:\n"
        + "".join(f"    - {point}\n" for point in RING),
        f"objects:\n  - box_2d: {BOX}\n    mask: {RING}\n    label: 'mug'\n",
        f"```yaml\n- box_2d: {BOX}\n  mask: {RING}\n  label: mug # the red one\n```",
        f"detections:\n- {{box_2d: {BOX}, mask: {RING}, label: mug}}\n",
    ],
)
def test_yaml_is_read_as_the_objects_that_it_means(text):
    """Block and flow, in a list or alone."""
    got = decode(text)
    assert (got.outcome, got.failure) == ("decoded", None)
    assert "loose_syntax" in got.repairs
    assert np.array_equal(full_mask(got.mask), WANTED)


FIRST, LAST = json.dumps([OTHER]), json.dumps([ITEM])


@pytest.mark.parametrize(
    "text",
    [
        f"First: {FIRST}. Wait, that is the plate. So: {LAST}",
        f"```json\n{FIRST}\n```\nWait, wrong.\n```json\n{LAST}\n```",
        f"```json\n{FIRST}\n```\nWait, wrong: {LAST}",
        f"Attempt {FIRST}\nBetter:\n```json\n{LAST}\n```",
        f"<think>Perhaps {FIRST}?</think>{LAST}",
        f"<think>Perhaps {FIRST}?</think>\n```json\n{LAST}\n```",
        f"I see {FIRST} here.</think>\n\n{LAST}",
        f"Candidates: {FIRST} and {json.dumps([OTHER | {'label': 'cup'}])}; the answer is {LAST}.",
        f"{FIRST[:-2]},}}] was my draft; the answer is {LAST}",
        f"[{OTHER}] no: [{ITEM}]",
        f"{LAST} (corner points: [[0, 0], [10, 0], [10, 10]])\n",
    ],
)
def test_the_last_value_is_the_answer_where_words_stand_between(text):
    """Earlier ones are recorded, and no part of the mask."""
    got = decode(text)
    assert got.outcome == "decoded", (got.failure, got.repairs)
    assert np.array_equal(full_mask(got.mask), WANTED)
    assert "superseded" in got.repairs or "corner" in text
    assert not got.strict


@pytest.mark.parametrize("between", ["\n", "\n\n", ", ", ",\n", " ", ";\n", "\n---\n"])
def test_values_without_words_between_belong_together(between):
    """JSON Lines and lists written one after another."""
    for one, two in ((json.dumps(OTHER), JSON), (FIRST, LAST)):
        got = decode(one + between + two)
        assert [item.label for item in got.items] == ["plate", "mug"]
        assert "several_values" in got.repairs


@pytest.mark.parametrize(
    "text",
    [
        "Candidates: [[100,200],[300,200],[300,400]]. None matches, so the answer is []",
        f"Candidates: {FIRST}. None of them fits: []",
        f"<think>{FIRST} is a plate.</think>[]",
        f"```json\n{FIRST}\n```\nOn second thought nothing fits.\n```json\n[]\n```",
    ],
)
def test_candidates_that_are_all_taken_back_are_no_target(text):
    """The answer is the empty list at the end."""
    assert decode(text).outcome == "no_target"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (f"<think>It may be {FIRST}", "truncated"),
        (f"<think>It may be {FIRST}</think>", "empty_response"),
        (f"<think>It may be {FIRST}</think>I cannot tell.", "no_json"),
    ],
)
def test_a_thought_alone_is_no_answer(text, failure):
    """Cut inside it, or with nothing after it."""
    assert decode(text).failure == failure
