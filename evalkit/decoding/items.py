"""One raw object -> one ``Item``: its box, then its mask by whichever wire format claims it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.decoding.boxes import ItemBox, corner_names, raw_box, read_box, read_box_px, stated_box
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, WireFormat
from evalkit.decoding.formats import FORMATS, find_format, own_formats
from evalkit.decoding.formats.seg_tokens import holds_tokens
from evalkit.decoding.formats.vertex_png import read_vertex_png
from evalkit.decoding.images import is_png_prefix
from evalkit.decoding.keys import NATIVE_KEYS, ItemKeys, label_of, score_of
from evalkit.decoding.loose_json import DamagedValue, LooseList
from evalkit.decoding.raw_items import RawItem
from evalkit.decoding.repetition import runs_away
from evalkit.decoding.wrapped_mask import unwrap
from evalkit.types import CropMask, Item


@dataclass(frozen=True, slots=True)
class _MaskReading:
    """What became of one item's mask."""

    wire_format: str | None
    failure: str | None = None
    mask: CropMask | None = None
    repairs: Sequence[str] = ()
    box: ItemBox | None = None


def read_item(raw: RawItem, keys: ItemKeys, context: Context) -> Item:
    """Return the item with its mask or the reason why it has none; never raises."""
    box_key = keys.box_in(raw.members)
    mask_key = _mask_key(raw, keys, own_formats(context.settings.formats))
    spelled = ((box_key, keys.asked_box), (mask_key, keys.asked_mask))
    other = any(key not in (None, asked) and key not in NATIVE_KEYS for key, asked in spelled)
    repairs = ["alternate_key"] * other
    if raw.unit is not None and raw.unit != context.asked.unit:
        context = replace(context, asked=replace(context.asked, unit=raw.unit))
        repairs.append("key_convention")
    box, box_failure = _read_box(raw, box_key, keys, context)
    context = replace(context, box=box, extents=[])
    verdict = _read_mask(raw, mask_key, box_failure, context)
    box = verdict.box or box
    if context.asked.task == "box":
        verdict = _boxes_were_asked(verdict, box_failure)
    repairs += [*(box.repairs if box else ()), *verdict.repairs]
    return Item(
        label=label_of(raw.members),
        box_px_xyxy=(box.exact_px_xyxy or box.visible_px_xyxy) if box else None,
        wire_format=verdict.wire_format,
        repairs=tuple(dict.fromkeys(repairs)),
        failure=verdict.failure,
        mask=verdict.mask if verdict.failure is None else None,
        score=score_of(raw.members),
        stated_box=stated_box(_box_value(raw, box_key)),
        stated_extent=context.extents[0] if context.extents else None,
    )


def _mask_key(raw: RawItem, keys: ItemKeys, own: Sequence[WireFormat]) -> str | None:
    """Return the first mask key that holds more than a placeholder, else the first that holds anything."""
    present = keys.masks_in(raw.members)
    if len(present) < 2:
        return present[0] if present else None
    filled = [key for key in present if raw.members[key] is not None]
    real = (key for key in filled if find_format(raw.members[key], own)[0] not in (None, "placeholder"))
    return next(real, filled[0] if filled else present[0])


def _boxes_were_asked(verdict: _MaskReading, box_failure: str | None) -> _MaskReading:
    """Return the verdict where boxes were asked: no mask is no failure, one that speaks against the box is."""
    doubt = "box_ambiguous" if verdict.failure == "polygon_ambiguous" and box_failure is None else None
    return replace(verdict, failure=box_failure or doubt, wire_format=verdict.wire_format or "box_only")


def _box_value(raw: RawItem, key: str | None) -> Any:
    """Return what stands under the box's key, or the corners that stand as members of their own."""
    names = None if key is not None else corner_names(raw.members)
    return {name: raw.members[name] for name in names} if names else raw.members.get(key or "")


def _read_box(
    raw: RawItem, key: str | None, keys: ItemKeys, context: Context
) -> tuple[ItemBox | None, str | None]:
    value = _box_value(raw, key)
    parts = [value, *value.values()] if isinstance(value, dict) else [value]
    damaged = next((part for part in parts if isinstance(part, DamagedValue)), None)
    if damaged is not None:
        return None, "truncated" if damaged.cut else "malformed_json"
    try:
        if key == "box_px":
            return read_box_px(value, context.height_px, context.width_px), None
        asked = context.asked
        return read_box(raw_box(value, key, keys.asked_box, asked.box_order, asked.unit), context.frame), None
    except Unreadable as error:
        return None, error.code


def _read_mask(raw: RawItem, mask_key: str | None, box_failure: str | None, context: Context) -> _MaskReading:
    """Return the mask by the first wire format that claims it, or the failure."""
    value = raw.members.get(mask_key) if mask_key else None
    if isinstance(value, DamagedValue):
        return _damaged(value)
    if value is None:
        return _without_mask(raw, context)
    own = own_formats(context.settings.formats)
    value, wrapped = unwrap(value, own)
    wire_format, reader = find_format(value, own)
    if mask_key == "bytesBase64Encoded" and isinstance(value, str):
        wire_format, reader = "vertex_png", read_vertex_png
    if reader is None:
        return _MaskReading(None, "mask_empty" if value == [] else "wrong_shape")
    if _needs_box(wire_format, own) and (failure := _box_in_the_way(raw, box_failure)):
        return _MaskReading(wire_format, failure)
    if context.budget.spent:
        return _MaskReading(wire_format, "too_large")
    try:
        read = reader(value, context)
    except Unreadable as error:
        return _MaskReading(wire_format, error.code, repairs=["bad_point_dropped"] * _lost_points(value))
    return _MaskReading(wire_format, None, read.mask, ["wrapper"] * wrapped + read.repairs, read.box)


def _needs_box(wire_format: str | None, own: Sequence[WireFormat]) -> bool:
    """Tell whether a box that cannot be read spoils the mask: a mask of the full image stands without one."""
    known = FORMATS | {one.name: one for one in own}
    return wire_format != "vertex_png" and (wire_format not in known or known[wire_format].needs_box)


def _lost_points(value: Any) -> bool:
    """Return True for a list, or a list of lists, of which elements could not be read."""
    return isinstance(value, LooseList) and any(getattr(part, "dropped", 0) for part in (value, *value))


def _box_in_the_way(raw: RawItem, box_failure: str | None) -> str | None:
    """Return why a box that cannot be read spoils the mask; a missing one may not be needed."""
    if box_failure == "box_missing":
        # The box would settle order and frame: where the item is cut it may have been to come.
        return "truncated" if raw.cut else None
    return box_failure


def _damaged(value: DamagedValue) -> _MaskReading:
    """Name a mask that is cut or garbled by what is left of it."""
    text = value.text or ""
    if holds_tokens(text):
        return _MaskReading("seg_tokens", "mask_tokens")
    wire_format = find_format(text)[0] if len(text) > 20 else None
    wire_format = None if wire_format == "placeholder" else wire_format
    if runs_away(value.tail) and not is_png_prefix(text):
        return _MaskReading(wire_format, "repetition")
    return _MaskReading(wire_format, "truncated" if value.cut else "malformed_json")


def _without_mask(raw: RawItem, context: Context) -> _MaskReading:
    """Name an item without a mask: cut, broken, or complete without one."""
    if raw.cut:
        tails = [value.tail for value in raw.members.values() if isinstance(value, DamagedValue)]
        return _MaskReading(None, "repetition" if any(map(runs_away, tails)) else "truncated")
    wire_format = "box_only" if context.box else None
    return _MaskReading(wire_format, "malformed_json" if raw.broken else "mask_missing")
