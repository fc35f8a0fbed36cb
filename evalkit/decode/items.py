"""One raw object -> one ``Item``: its box, then its mask by whichever wire format claims it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evalkit.decode.boxes import ItemBox, read_box, read_box_px
from evalkit.decode.codes import Unreadable
from evalkit.decode.find_items import RawItem
from evalkit.decode.formats import find_format
from evalkit.decode.keys import NATIVE_KEYS, ItemKeys, label_of, score_of
from evalkit.decode.loose_json import Damaged
from evalkit.decode.mask_reading import Context
from evalkit.decode.repetition import runs_away
from evalkit.decode.seg_tokens import holds_tokens
from evalkit.decode.vertex_png import read_vertex_png
from evalkit.types import Item


def read_item(raw: RawItem, keys: ItemKeys, context: Context) -> Item:
    """Return the item with its mask or the reason why it has none; never raises."""
    box_key = next((key for key in keys.box if key in raw.members), None)
    mask_key = _mask_key(raw, keys)
    repairs = [
        "alternate_key"
        for key, asked in ((box_key, keys.asked_box), (mask_key, keys.asked_mask))
        if key not in (None, asked) and key not in NATIVE_KEYS
    ][:1]
    box, box_failure = _read_box(raw.members.get(box_key or ""), box_key, context)
    repairs += box.repairs if box else ()
    item = Item(
        label=label_of(raw.members),
        box_px_xyxy=box.visible_px_xyxy if box else None,
        wire_format=None,
        score=score_of(raw.members),
    )
    context = replace(context, box=box)
    value = raw.members.get(mask_key) if mask_key else None
    return _read_mask(item, raw, mask_key, value, box_failure, repairs, context)


def _mask_key(raw: RawItem, keys: ItemKeys) -> str | None:
    """Return the first mask key that holds something, else the first that is there."""
    present = [key for key in keys.mask if key in raw.members]
    return next((key for key in present if raw.members[key] is not None), present[0] if present else None)


def _read_box(value: Any, key: str | None, context: Context) -> tuple[ItemBox | None, str | None]:
    if isinstance(value, Damaged):
        return None, "truncated" if value.cut else "malformed_json"
    try:
        if key == "box_px":
            return read_box_px(value, context.height_px, context.width_px), None
        return read_box(value, context.height_px, context.width_px, context.settings), None
    except Unreadable as error:
        return None, error.code


def _read_mask(
    item: Item,
    raw: RawItem,
    mask_key: str | None,
    value: Any,
    box_failure: str | None,
    repairs: list[str],
    context: Context,
) -> Item:
    """Fill in the wire format, and the mask or the failure."""
    if isinstance(value, Damaged):
        return replace(item, repairs=tuple(repairs), **_damaged(value, context))
    if value is None:
        return replace(item, repairs=tuple(repairs), **_without_mask(item, raw, box_failure, context))
    wire_format, reader = find_format(value)
    if mask_key == "bytesBase64Encoded" and isinstance(value, str):
        wire_format, reader = "vertex_png", read_vertex_png
    item = replace(item, wire_format=wire_format)
    if context.asked.task == "box" and item.box_px_xyxy is None:
        return replace(item, repairs=tuple(repairs), failure=box_failure)
    try:
        if box_failure is not None and box_failure != "box_missing" and wire_format != "rle":
            raise Unreadable(box_failure)
        if box_failure == "box_missing" and raw.cut and wire_format != "rle":
            # The box, which would settle order and frame, may have been cut off.
            raise Unreadable("truncated")
        if reader is None:
            raise Unreadable("mask_empty" if value == [] else "wrong_shape")
        read = reader(value, context)
    except Unreadable as error:
        failure = None if context.asked.task == "box" else error.code
        return replace(item, repairs=tuple(repairs), failure=failure)
    return replace(item, mask=read.mask, repairs=tuple(dict.fromkeys([*repairs, *read.repairs])))


def _damaged(value: Damaged, context: Context) -> dict[str, Any]:
    """Name a mask that is cut or garbled by what is left of it."""
    text = value.text or ""
    if holds_tokens(text):
        return {"wire_format": "seg_tokens", "failure": "mask_tokens"}
    wire_format = find_format(text)[0] if len(text) > 20 else None
    wire_format = None if wire_format == "placeholder" else wire_format
    if text and runs_away(text):
        return {"wire_format": wire_format, "failure": "repetition"}
    return {"wire_format": wire_format, "failure": "truncated" if value.cut else "malformed_json"}


def _without_mask(item: Item, raw: RawItem, box_failure: str | None, context: Context) -> dict[str, Any]:
    """Name an item without a mask: fine where boxes were asked, else cut, broken or ``mask_missing``."""
    if context.asked.task == "box":
        return {"wire_format": "box_only" if item.box_px_xyxy else None, "failure": box_failure}
    wire_format = "box_only" if item.box_px_xyxy else None
    if raw.cut:
        return {"wire_format": None, "failure": "truncated"}
    return {"wire_format": wire_format, "failure": "malformed_json" if raw.broken else "mask_missing"}
