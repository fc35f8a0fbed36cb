"""Everything that goes wrong in answers, one small function each.

``FAILURES`` leave nothing usable; their names are the failure codes that decoding reports, plus
the two ways of being blocked. ``BLEMISHES`` can be read after a repair; their names are the
repair codes. Every function takes a draft with at least one object.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from evalkit.simulator import encoders as spellings
from evalkit.simulator.drafts import Answer, Draft

RUNAWAY_CHARACTERS = 6000


def _bad_box(draft: Draft, **changes: Any) -> Answer:
    """Return the first object with a PNG mask (unless the task is boxes) and a box that is wrong."""
    if draft.spelling != "box_only":
        changes["mask"] = draft.item(draft.objects[0], "png_data_url")["mask"]
    return _with_first(draft, **changes)


def _with_first(draft: Draft, **changes: Any) -> Answer:
    """Return the draft's first object alone, with keys changed (None removes a key)."""
    item = {**draft.item(draft.objects[0]), **changes}
    return Answer(draft.text([{key: value for key, value in item.items() if value is not None}]))


def _truncated(draft: Draft) -> Answer:
    text = draft.text()
    begins = text.index('"mask"') if '"mask"' in text else text.index('"box_2d"')
    return Answer(text[: begins + 14], finish_reason="MAX_TOKENS")


def _prose(draft: Draft) -> Answer:
    label = draft.objects[0].label
    return Answer(f"I can see {label} in the picture, but I cannot draw a segmentation mask for it.")


def _called(draft: Draft) -> Answer:
    """Write every box and mask as a call in some programming language: no JSON value."""
    return Answer(re.sub(r'("box_2d": |"mask": )', r"\1decode(", draft.text()))


def _bad_png(draft: Draft) -> Answer:
    drawn = draft.objects[0]
    png = spellings.png_bytes(spellings.box_map(drawn.mask_hw, drawn.box))
    damaged = png[:40] + bytes(value ^ 0x5A for value in png[40:])
    return _with_first(draft, mask=spellings.DATA_URL_PREFIX + base64.b64encode(damaged).decode("ascii"))


def _empty_mask(draft: Draft) -> Answer:
    side = spellings.MAP_SIDE_PX
    nothing = base64.b64encode(spellings.png_bytes(np.zeros((side, side), dtype=bool))).decode("ascii")
    return _with_first(draft, mask=spellings.DATA_URL_PREFIX + nothing)


def _ambiguous(draft: Draft) -> Answer:
    """Write a shape that fills one corner of a box on the diagonal: x and y can be swapped unseen."""
    shape = [[260, 260], [740, 270], [735, 420], [430, 410], [420, 500], [265, 490]]
    return _with_first(draft, box_2d=[250, 250, 750, 750], mask=shape)


def _runaway(draft: Draft) -> Answer:
    box = json.dumps(list(draft.objects[0].box))
    start = f'```json\n[\n  {{"box_2d": {box}, "mask": "{spellings.DATA_URL_PREFIX}iVBORw0KGgoAAAANSUhEUgAA'
    return Answer(start + "4+Pj" * (RUNAWAY_CHARACTERS // 4), finish_reason="MAX_TOKENS")


FAILURES: dict[str, Callable[[Draft], Answer]] = {
    "empty_response": lambda _: Answer(None),
    "truncated": _truncated,
    "no_json": _prose,
    "malformed_json": _called,
    "wrong_shape": lambda draft: Answer(json.dumps({"answer": draft.objects[0].label, "found": True})),
    "box_missing": lambda draft: _bad_box(draft, box_2d=None),
    "box_invalid": lambda draft: _bad_box(draft, box_2d=[500, 120, 640]),
    "mask_missing": lambda draft: _with_first(draft, mask=None),
    "mask_tokens": lambda draft: Answer(draft.text(draft.items("seg_tokens"))),
    "mask_placeholder": lambda draft: _with_first(draft, mask="gimme_mask_for_this"),
    "mask_bad_base64": lambda draft: _with_first(draft, mask=spellings.DATA_URL_PREFIX + "iVBORw0K*?!~" * 9),
    "mask_bad_png": _bad_png,
    "mask_empty": _empty_mask,
    "polygon_degenerate": lambda draft: _with_first(draft, mask=[[310, 420], [316, 428]]),
    "polygon_ambiguous": _ambiguous,
    "repetition": _runaway,
    "thinking_used_budget": lambda _: Answer(None, finish_reason="MAX_TOKENS", thinks_to_the_end=True),
    "blocked_prompt": lambda _: Answer(None, block_reason="PROHIBITED_CONTENT"),
    "blocked_answer": lambda _: Answer(None, finish_reason="SAFETY"),
}


def _list_text(draft: Draft) -> str:
    return json.dumps(draft.items(), ensure_ascii=False)


def _png_items(draft: Draft, change: Callable[[str], str]) -> str:
    items = draft.items("png_data_url")
    return draft.text([{**item, "mask": change(item["mask"])} for item in items])


def _corners_swapped(draft: Draft) -> str:
    items = [
        {**item, "box_2d": item["box_2d"][2:] + item["box_2d"][:2]} for item in draft.items("png_data_url")
    ]
    return draft.text(items)


def _second_item_cut(draft: Draft) -> str:
    items = draft.items()
    again = json.dumps(items[-1], ensure_ascii=False)
    return "[" + ", ".join([*(json.dumps(item, ensure_ascii=False) for item in items), again[:30]])


def _raw_newline(draft: Draft) -> str:
    """Break the base64 of the first PNG over two lines, inside the JSON string."""
    text = draft.text(draft.items("png_data_url"))
    middle = text.index(spellings.DATA_URL_PREFIX) + 80
    return text[:middle] + "\n" + text[middle:]


def _box_local(draft: Draft) -> str:
    """Write points in 0..1000 of the item's box in place of the image."""
    items = []
    for drawn in draft.objects:
        y0, x0, y1, x1 = drawn.box
        local = [
            [
                round((x - x0) * 1000 / max(1, x1 - x0)),
                round((y - y0) * 1000 / max(1, y1 - y0)),
            ]
            for x, y in drawn.points()
        ]
        items.append({**draft.item(drawn, "pairs_xy"), "mask": local})
    return draft.text(items)


def _garbled_point(draft: Draft) -> str:
    """Lose the opening of one later point, as a 3.8 Flash answer on record did: ``},": x": 659``."""
    text = draft.text(draft.items("points_xy"))
    start = text.find('}, {"x": ', text.index('{"x": ') + 1)
    return text if start < 0 else text[:start] + '},": x": ' + text[start + len('}, {"x": ') :]


BLEMISHES: dict[str, Callable[[Draft], str]] = {
    "prose_around": lambda draft: (
        f"Here are the masks that you asked for:\n\n{draft.text()}\n\nAnything else?"
    ),
    "wrapper": lambda draft: json.dumps({"masks": draft.items()}, ensure_ascii=False),
    "single_object": lambda draft: json.dumps(draft.item(draft.objects[0]), ensure_ascii=False),
    "alternate_key": lambda draft: draft.text().replace('"box_2d"', '"bounding_box"'),
    "truncated_tail": _second_item_cut,
    "trailing_comma": lambda draft: _list_text(draft)[:-1] + ",]",
    "raw_newline": _raw_newline,
    # a PNG whose length divides by three has no padding to lose
    "base64_padding": lambda draft: _png_items(draft, lambda mask: mask.rstrip("=")),
    "missing_prefix": lambda draft: _png_items(
        draft, lambda mask: mask.removeprefix(spellings.DATA_URL_PREFIX)
    ),
    "corners_sorted": _corners_swapped,
    "order_swapped": lambda draft: draft.text(draft.items("pairs_yx")),
    "frame_box_local": _box_local,
    "bad_point_dropped": _garbled_point,
}
