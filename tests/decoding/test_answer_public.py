"""The verdict on every answer collected in public, where that collection is at hand."""

from __future__ import annotations

import json

import pytest
from support.shared_data import need_shared

from evalkit.decoding import decode_answer

HEIGHT, WIDTH = 480, 640

BOX_ONLY = ("format_failure", "mask_missing", "box_only")

# id: (outcome, failure, wire format of the items, repairs, usable items)
VERDICTS: dict[str, tuple[str, str | None, str | None, set[str], int]] = {
    "a-cookbook-cupcakes-15": ("decoded", None, "png_data_url", {"fence"}, 15),
    "a-simonw-mask-visualizer": ("decoded", None, "png_data_url", {"wrapper"}, 2),
    "a-anon-clock-380": ("decoded", None, "png_data_url", {"single_object"}, 1),
    "a-anon-dust": ("decoded", None, "png_data_url", {"single_object"}, 1),
    "a-anon-objects": ("format_failure", "box_missing", "png_base64", set(), 0),
    "d-cookbook-boxonly-dcd134": (*BOX_ONLY, {"fence"}, 0),
    "d-cookbook-boxonly-ea33e5": (*BOX_ONLY, set(), 0),
    "d-cookbook-boxonly-6fddbb": (*BOX_ONLY, {"fence"}, 0),
    "d-cookbook-boxonly-a215d0": (*BOX_ONLY, {"fence", "prose_around"}, 0),
    "d-cookbook-boxonly-fa3d14": (*BOX_ONLY, {"fence"}, 0),
    "d-cookbook-boxonly-9c0189": (*BOX_ONLY, {"fence"}, 0),
    "d-roboflow-boxonly": (*BOX_ONLY, {"fence"}, 0),
    "b-cookbook-798-tokens": ("format_failure", "mask_tokens", "seg_tokens", {"salvaged"}, 0),
    "b-forum-146559-tokens": ("format_failure", "mask_tokens", "seg_tokens", {"single_object"}, 0),
    "b-coco-91615": ("format_failure", "mask_tokens", "seg_tokens", set(), 0),
    "b-koala-partial": ("format_failure", "mask_tokens", "seg_tokens", set(), 0),
    "b-csutil-truncated": ("format_failure", "mask_tokens", "seg_tokens", {"wrapper", "truncated_tail"}, 0),
    "b-csutil-missing-root": ("format_failure", "mask_tokens", "seg_tokens", {"wrapper", "truncated_tail"}, 0),
    # The image after the tokens is whole, checksums and all: it is truly there.
    "b-pattern-A": ("decoded", None, "png_data_url", {"tokens_dropped"}, 1),
    "b-pattern-B": ("format_failure", "mask_tokens", "seg_tokens", set(), 0),
    # Without a box nothing speaks against the documented order [x, y] over the full image.
    "c-forum-146559-polygon": ("decoded", None, "polygon_pairs", {"single_object"}, 1),
    "c-rust-fixture-garbled": (
        "decoded", None, "polygon_points", {"bad_point_dropped", "truncated_tail"}, 1,
    ),
    "c-rust-fixture-dict": ("decoded", None, "polygon_points", {"fence"}, 1),
    "c-rust-fixture-empty": ("no_target", None, None, {"fence"}, 0),
    "c-rust-fixture-prose": ("format_failure", "no_json", None, set(), 0),
    "c-vehicle-xy": ("decoded", None, "polygon_pairs", {"wrapper"}, 1),
    # Points that are y first beside a right box, or right ones beside a box that is x first: nothing tells.
    "c-shape-flat": ("format_failure", "polygon_ambiguous", "polygon_flat", set(), 0),
    "c-shape-chunked": ("format_failure", "polygon_ambiguous", "polygon_chunked", set(), 0),
    "c-shape-string": ("format_failure", "polygon_ambiguous", "polygon_string", set(), 0),
    "c-shape-pairs-yx": ("format_failure", "polygon_ambiguous", "polygon_pairs", set(), 0),
    "c-shape-boxlocal": (
        "decoded", None, "polygon_pairs", {"wrapper", "alternate_key", "frame_box_local"}, 1,
    ),
    # The log keeps no count of thought tokens: that thinking used the budget is likely, not said.
    "d-myrvm-maxtokens": ("format_failure", "empty_response", None, set(), 0),
    "d-koala-placeholder": ("format_failure", "mask_placeholder", "placeholder", {"salvaged"}, 0),
    "d-csutil-broken": ("format_failure", "truncated", None, {"wrapper"}, 0),
    "d-csutil-refs": ("format_failure", "mask_placeholder", "placeholder", {"wrapper"}, 0),
    "d-csutil-bool": ("format_failure", "mask_placeholder", "placeholder", {"wrapper"}, 0),
    "d-supervision-433": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-448": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-464": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-974": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-991": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-1009": (*BOX_ONLY, {"fence"}, 0),
    "d-supervision-1084": ("format_failure", "mask_empty", "png_data_url", {"fence"}, 0),
    "e-genai-shape": ("format_failure", "mask_empty", "vertex_png", set(), 0),
    "e-404-unavailable": ("format_failure", "no_json", None, set(), 0),
    "e-access-denied": ("format_failure", "no_json", None, set(), 0),
}  # fmt: skip


def answers() -> dict[str, str]:
    """Return the collected answers by id."""
    text = need_shared("responses.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["id"]: line["raw_text"] for line in lines}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_public_answer_gets_its_verdict(name):
    """Outcome, failure, format, repairs and the number of usable items."""
    outcome, failure, wire_format, repairs, usable = VERDICTS[name]
    got = decode_answer(answers()[name], height_px=HEIGHT, width_px=WIDTH)
    assert (got.outcome, got.failure) == (outcome, failure)
    assert {one.wire_format for one in got.items} - {None} == ({wire_format} if wire_format else set())
    assert {repair for one in got.items for repair in one.repairs} | set(got.repairs) == repairs
    assert sum(one.mask is not None for one in got.items) == usable


def test_no_public_answer_is_left_out():
    """A new line of the collection needs a verdict."""
    assert set(answers()) == set(VERDICTS)
