"""Everything that goes wrong in answers, one small function each.

``FAILURES`` leave nothing usable; their names are the failure codes that decoding reports, plus
the two ways of being blocked. ``REPAIRABLE`` can be read after a repair; their names are the
repair codes. Every function takes a builder with at least one object.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from evalkit.simulator import encoders
from evalkit.simulator.answer_builder import AnswerBuilder, SimulatedAnswer

RUNAWAY_CHARACTERS = 6000


def _bad_box(builder: AnswerBuilder, **changes: Any) -> SimulatedAnswer:
    """Return the first object with a PNG mask (unless the task is boxes) and a box that is wrong."""
    if builder.encoding != "box_only":
        changes["mask"] = builder.item(builder.objects[0], "png_data_url")["mask"]
    return _with_first(builder, **changes)


def _with_first(builder: AnswerBuilder, **changes: Any) -> SimulatedAnswer:
    """Return the builder's first object alone, with keys changed (None removes a key)."""
    item = {**builder.item(builder.objects[0]), **changes}
    return SimulatedAnswer(builder.text([{key: value for key, value in item.items() if value is not None}]))


def _truncated(builder: AnswerBuilder) -> SimulatedAnswer:
    text = builder.text()
    keys = ('"mask"', '"polygon"', '"path"', '"box_2d"', '"bbox_2d"')
    begins = next(text.index(key) for key in keys if key in text)
    return SimulatedAnswer(text[: begins + 14], finish_reason="MAX_TOKENS")


def _prose(builder: AnswerBuilder) -> SimulatedAnswer:
    label = builder.objects[0].label
    return SimulatedAnswer(f"I can see {label} in the picture, but I cannot draw a segmentation mask for it.")


def _called(builder: AnswerBuilder) -> SimulatedAnswer:
    """Write every box and mask as a call in some programming language: no JSON value."""
    return SimulatedAnswer(re.sub(r'("box_2d": |"mask": )', r"\1decode(", builder.text()))


def _bad_png(builder: AnswerBuilder) -> SimulatedAnswer:
    drawn = builder.objects[0]
    png = encoders.png_bytes(encoders.box_map(drawn.mask_hw, drawn.box))
    damaged = png[:40] + bytes(value ^ 0x5A for value in png[40:])
    return _with_first(builder, mask=encoders.DATA_URL_PREFIX + base64.b64encode(damaged).decode("ascii"))


def _empty_mask(builder: AnswerBuilder) -> SimulatedAnswer:
    side = encoders.MAP_SIDE_PX
    nothing = base64.b64encode(encoders.png_bytes(np.zeros((side, side), dtype=bool))).decode("ascii")
    return _with_first(builder, mask=encoders.DATA_URL_PREFIX + nothing)


def _ambiguous(builder: AnswerBuilder) -> SimulatedAnswer:
    """Write a shape that fills one corner of a box on the diagonal: x and y can be swapped unseen."""
    shape = [[260, 260], [740, 270], [735, 420], [430, 410], [420, 500], [265, 490]]
    return _with_first(builder, box_2d=[250, 250, 750, 750], mask=shape)


def _runaway(builder: AnswerBuilder) -> SimulatedAnswer:
    box = json.dumps(list(builder.objects[0].box))
    start = f'```json\n[\n  {{"box_2d": {box}, "mask": "{encoders.DATA_URL_PREFIX}iVBORw0KGgoAAAANSUhEUgAA'
    return SimulatedAnswer(start + "4+Pj" * (RUNAWAY_CHARACTERS // 4), finish_reason="MAX_TOKENS")


FAILURES: dict[str, Callable[[AnswerBuilder], SimulatedAnswer]] = {
    "empty_response": lambda _: SimulatedAnswer(None),
    "truncated": _truncated,
    "no_json": _prose,
    "malformed_json": _called,
    "wrong_shape": lambda builder: SimulatedAnswer(
        json.dumps({"answer": builder.objects[0].label, "found": True})
    ),
    "box_missing": lambda builder: _bad_box(builder, box_2d=None),
    "box_invalid": lambda builder: _bad_box(builder, box_2d=[500, 120, 640]),
    "mask_missing": lambda builder: _with_first(builder, mask=None),
    "mask_tokens": lambda builder: SimulatedAnswer(builder.text(builder.items("seg_tokens"))),
    "mask_placeholder": lambda builder: _with_first(builder, mask="gimme_mask_for_this"),
    "mask_bad_base64": lambda builder: _with_first(
        builder, mask=encoders.DATA_URL_PREFIX + "iVBORw0K*?!~" * 9
    ),
    "mask_bad_png": _bad_png,
    "mask_empty": _empty_mask,
    "polygon_degenerate": lambda builder: _with_first(builder, mask=[[310, 420], [316, 428]]),
    "polygon_ambiguous": _ambiguous,
    "repetition": _runaway,
    "thinking_used_budget": lambda _: SimulatedAnswer(
        None, finish_reason="MAX_TOKENS", thinking_used_budget=True
    ),
    "blocked_prompt": lambda _: SimulatedAnswer(None, block_reason="PROHIBITED_CONTENT"),
    "blocked_answer": lambda _: SimulatedAnswer(None, finish_reason="SAFETY"),
}


def _list_text(builder: AnswerBuilder) -> str:
    return json.dumps(builder.items(), ensure_ascii=False)


def _png_items(builder: AnswerBuilder, change: Callable[[str], str]) -> str:
    items = builder.items("png_data_url")
    return builder.text([{**item, "mask": change(item["mask"])} for item in items])


def _corners_swapped(builder: AnswerBuilder) -> str:
    items = [
        {**item, "box_2d": item["box_2d"][2:] + item["box_2d"][:2]} for item in builder.items("png_data_url")
    ]
    return builder.text(items)


def _second_item_cut(builder: AnswerBuilder) -> str:
    items = builder.items()
    again = json.dumps(items[-1], ensure_ascii=False)
    return "[" + ", ".join([*(json.dumps(item, ensure_ascii=False) for item in items), again[:30]])


def _raw_newline(builder: AnswerBuilder) -> str:
    """Break the base64 of the first PNG over two lines, inside the JSON string."""
    text = builder.text(builder.items("png_data_url"))
    middle = text.index(encoders.DATA_URL_PREFIX) + 80
    return text[:middle] + "\n" + text[middle:]


def _box_local(builder: AnswerBuilder) -> str:
    """Write points in 0..1000 of the item's box in place of the image."""
    items = []
    for drawn in builder.objects:
        y0, x0, y1, x1 = drawn.box
        local = [
            [
                round((x - x0) * 1000 / max(1, x1 - x0)),
                round((y - y0) * 1000 / max(1, y1 - y0)),
            ]
            for x, y in drawn.points()
        ]
        items.append({**builder.item(drawn, "pairs_xy"), "mask": local})
    return builder.text(items)


def _points_swapped(builder: AnswerBuilder) -> str:
    """Write points y first beside a box whose corners are named: the names tell which of the two is turned."""
    corners = ("ymin", "xmin", "ymax", "xmax")
    items = [
        {**builder.item(drawn, "pairs_yx"), "box_2d": dict(zip(corners, drawn.box, strict=True))}
        for drawn in builder.objects
    ]
    return builder.text(items)


def _garbled_point(builder: AnswerBuilder) -> str:
    """Lose the opening of one later point, as a 3.8 Flash answer on record did: ``},": x": 659``."""
    text = builder.text(builder.items("points_xy"))
    start = text.find('}, {"x": ', text.index('{"x": ') + 1)
    return text if start < 0 else text[:start] + '},": x": ' + text[start + len('}, {"x": ') :]


REPAIRABLE: dict[str, Callable[[AnswerBuilder], str]] = {
    "prose_around": lambda builder: (
        f"Here are the masks that you asked for:\n\n{builder.text()}\n\nAnything else?"
    ),
    "wrapper": lambda builder: json.dumps({"masks": builder.items()}, ensure_ascii=False),
    "single_object": lambda builder: json.dumps(builder.item(builder.objects[0]), ensure_ascii=False),
    "alternate_key": lambda builder: builder.text().replace('"box_2d"', '"bounding_box"'),
    "truncated_tail": _second_item_cut,
    "trailing_comma": lambda builder: _list_text(builder)[:-1] + ",]",
    "raw_newline": _raw_newline,
    # a PNG whose length divides by three has no padding to lose
    "base64_padding": lambda builder: _png_items(builder, lambda mask: mask.rstrip("=")),
    "missing_prefix": lambda builder: _png_items(
        builder, lambda mask: mask.removeprefix(encoders.DATA_URL_PREFIX)
    ),
    "corners_sorted": _corners_swapped,
    "order_swapped": _points_swapped,
    "frame_box_local": _box_local,
    "bad_point_dropped": _garbled_point,
}
