"""``decode_answer``: the verdict on one answer. Pure; any text gives a verdict, none an exception."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from evalkit.decoding.api_body import finish_word, read_api_body
from evalkit.decoding.boxes import Frame
from evalkit.decoding.budget import PixelBudget
from evalkit.decoding.context import Context
from evalkit.decoding.find_items import find_items
from evalkit.decoding.formats.png import is_base64, is_data_url
from evalkit.decoding.formats.seg_tokens import holds_tokens, located_objects
from evalkit.decoding.images import AnswerImages
from evalkit.decoding.items import read_item
from evalkit.decoding.keys import ItemKeys, item_keys
from evalkit.decoding.raw_items import FoundItems, RawItem
from evalkit.decoding.repetition import runaway_length
from evalkit.decoding.settings import DecodeSettings
from evalkit.images import sent_size_px
from evalkit.masks import area, crop_union
from evalkit.types import AskedFormat, CropMask, Decoded, Item

BLOCKED_FINISH: Final = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "ESCALATION",
    }
)
"""Finish reasons by which the API says that a policy stopped the answer (Gemini API reference,
``Candidate.FinishReason``, 2026-11)."""

_DEFAULT_ASKED: Final = AskedFormat()
_DEFAULT_SETTINGS: Final = DecodeSettings()
_THINK_BEGIN: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>|\u25c1think\u25b7", re.IGNORECASE)
_THINK_END: Final = re.compile(r"</(?:think|thinking|thought|reasoning)>|\u25c1/think\u25b7", re.IGNORECASE)
_VALUE: Final = re.compile(r"\[\s*+[\[{\]]|\{\s*+[\"'}\w]")
_PIXELS_AT_LEAST: Final = 64_000_000
_IMAGES_AT_LEAST: Final = 20
_NATIVE: Final = frozenset({"rle", "vertex_png"})
"""Formats of predictions and of Vertex, which no prompt asks for."""
_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff"
"""White space of Unicode (U+3000 is the last) and the byte order mark."""
_DATA_URL: Final = re.compile(r"data:image/[\w.+-]{1,40}+;base64,[A-Za-z0-9+/=]*+")


def decode_answer(
    text: str | None,
    *,
    height_px: int,
    width_px: int,
    asked: AskedFormat = _DEFAULT_ASKED,
    settings: DecodeSettings = _DEFAULT_SETTINGS,
    finish_reason: str | None = None,
    block_reason: str | None = None,
    thought_tokens: int | None = None,
) -> Decoded:
    """Return what an answer about an image of ``height_px`` x ``width_px`` says.

    ``asked`` is the prompt's format: the yardstick of ``strict`` and the reading of polygons.
    ``finish_reason``, ``block_reason`` and ``thought_tokens`` are the API's. The wire format is found
    per item; the ground truth is never seen.
    """
    opened = open_answer(
        text,
        height_px=height_px,
        width_px=width_px,
        asked=asked,
        finish_reason=finish_reason,
        block_reason=block_reason,
        thought_tokens=thought_tokens,
    )
    return opened.read(settings)


@dataclass(frozen=True, slots=True)
class OpenedAnswer:
    """One answer whose text was searched once, to be read under any number of settings.

    ``settled``: the verdict where no setting can change it. ``images``: what was opened by a reading before.
    """

    text: str
    found: FoundItems
    keys: ItemKeys
    height_px: int
    width_px: int
    asked: AskedFormat
    finish_reason: str | None = None
    settled: Decoded | None = None
    images: AnswerImages = field(default_factory=AnswerImages)

    def read(self, settings: DecodeSettings) -> Decoded:
        """Return the verdict under ``settings``."""
        if self.settled is not None:
            return self.settled
        budget = PixelBudget(max(_PIXELS_AT_LEAST, _IMAGES_AT_LEAST * self.height_px * self.width_px))
        size_px = (self.width_px, self.height_px)
        sent_width_px, sent_height_px = sent_size_px(size_px, self.asked.max_side_px)
        frame = Frame(self.height_px, self.width_px, sent_height_px, sent_width_px, settings)
        context = Context(
            self.height_px, self.width_px, self.asked, settings, budget, frame, images=self.images
        )
        items = _read_items(self.found.items, self.keys, context)
        verdict = _verdict(self.found, items, self.keys, context)
        return verdict or _failed(
            _why_not(self.text, self.found, items, self.finish_reason), self.found, items
        )


def open_answer(
    text: str | None,
    *,
    height_px: int,
    width_px: int,
    asked: AskedFormat = _DEFAULT_ASKED,
    finish_reason: str | None = None,
    block_reason: str | None = None,
    thought_tokens: int | None = None,
) -> OpenedAnswer:
    """Return an answer with its items found, for ``decode_answer`` under several settings."""
    stripped = (text or "").strip(_BLANKS)
    finish_reason = finish_word(finish_reason)
    keys = item_keys(asked)
    opened = OpenedAnswer(stripped, FoundItems(), keys, height_px, width_px, asked, finish_reason)
    if block_reason is not None or finish_reason in BLOCKED_FINISH:
        return replace(opened, settled=Decoded("blocked", None, strict=False))
    if not stripped:
        return replace(opened, settled=_failed(_without_text(finish_reason, thought_tokens)))
    if body := read_api_body(stripped):
        return open_answer(
            body.text,
            height_px=height_px,
            width_px=width_px,
            asked=asked,
            finish_reason=body.finish_reason or finish_reason,
            block_reason=body.block_reason,
            thought_tokens=body.thought_tokens or thought_tokens,
        )
    spoken, thought = after_thoughts(stripped)
    if not spoken:
        return replace(opened, settled=_failed("truncated" if thought is None else "empty_response"))
    found = find_items(spoken, keys)
    if thought:
        found.repaired("superseded" if _VALUE.search(thought) else "prose_around")
    if not found.items and not found.empty_list:
        found.items += _outside_json(spoken, found)
    return replace(opened, found=found)


def recut(decoded: Decoded, settings: DecodeSettings) -> CropMask | None:
    """Return the prediction of a verdict under another threshold and choice of instances; None: no mask is left.

    ``decoded`` was read at threshold 0, which keeps every mask that a higher one leaves any pixel of.
    """
    masks = [cut for item in decoded.items if item.mask and (cut := _cut(item.mask, settings.threshold))]
    return combine(masks, settings) if masks else None


def _cut(mask: CropMask, threshold: int) -> CropMask | None:
    if mask.levels_hw is None:
        return mask
    crop_hw = mask.levels_hw > threshold
    if not crop_hw.any():
        return None
    return CropMask(mask.height_px, mask.width_px, mask.x0_px, mask.y0_px, crop_hw, mask.levels_hw)


def after_thoughts(text: str) -> tuple[str, str | None]:
    """Return what stands after the thoughts that a model wrote into its answer, and the thoughts.

    Thoughts are drafts whatever they hold. An answer that ends inside them says nothing: ``("", None)``.
    """
    closes = ("<" in text and "</" in text) or "\u25c1/" in text  # quick to tell, and rare
    ends = [match.span() for match in _THINK_END.finditer(text)] if closes else []
    if ends:
        return text[ends[-1][1] :].strip(), text[: ends[-1][0]]
    return ("", None) if _THINK_BEGIN.match(text) else (text, "")


def _failed(code: str, found: FoundItems | None = None, items: tuple[Item, ...] = ()) -> Decoded:
    repairs = tuple(found.repairs) if found else ()
    return Decoded("format_failure", code, strict=False, items=items, repairs=repairs)


def _without_text(finish_reason: str | None, thought_tokens: int | None) -> str:
    """Name an answer without text; tokens cut before the first word left nothing to call truncated."""
    return "thinking_used_budget" if finish_reason == "MAX_TOKENS" and thought_tokens else "empty_response"


def _outside_json(text: str, found: FoundItems) -> list[RawItem]:
    """Find a mask that stands without any JSON: bare base64, a data URL in prose, tokens."""
    bare = text.strip('"`')
    if is_base64(bare) or is_data_url(bare):
        return [RawItem({"mask": bare})]
    if not found.json_begun and (match := _DATA_URL.search(text)):
        if not found.value_seen:
            found.repaired("prose_around")
        return [RawItem({"mask": match.group()})]
    if not holds_tokens(text):
        return []
    located = [RawItem(members, unit="norm1000") for members in located_objects(text)]
    return located or [RawItem({"mask": text})]


def _read_items(raw: Sequence[RawItem], keys: ItemKeys, context: Context) -> tuple[Item, ...]:
    """Read every item; in long answers an item repeated word for word is read once."""
    if len(raw) < 32:
        return tuple(read_item(one, keys, context) for one in raw)
    known: dict[str, Item] = {}
    items: list[Item] = []
    for one in raw:
        spelled = f"{one.cut}{one.broken}{one.members}"
        if spelled not in known:
            known[spelled] = read_item(one, keys, context)
        items.append(known[spelled])
    return tuple(items)


def _verdict(found: FoundItems, items: tuple[Item, ...], keys: ItemKeys, context: Context) -> Decoded | None:
    """Join the items' verdicts to the answer's; None where nothing in it can be used."""
    asked, repairs = context.asked, tuple(found.repairs)
    masks = [item.mask for item in items if item.mask is not None]
    boxed = asked.task == "box" and any(item.box_px_xyxy and not item.failure for item in items)
    if masks or boxed:
        mask = combine(masks, context.settings) if masks else None
        return Decoded("decoded", None, _is_strict(found, items, keys, asked), items, repairs, mask)
    # A network's all-background mask is its way to say that nothing fits.
    empty_rle = asked.wire_format in (None, "rle") and all(
        item.wire_format == "rle" and item.failure == "mask_empty" and item.box_px_xyxy is None
        for item in items
    )
    if (found.empty_list and not items and not found.cut) or (items and empty_rle):
        strict = not (set(found.repairs) - {"fence"} or found.leftover) and _wrapped_as_asked(
            found, keys, asked
        )
        return Decoded("no_target", None, strict, items, repairs)
    return None


def _why_not(text: str, found: FoundItems, items: tuple[Item, ...], finish_reason: str | None) -> str:
    """Name an answer without one usable mask: its first failing item's code, or its own."""
    first = next((item.failure for item in items if item.failure), None)
    # An item cut in the middle of its mask has been searched for a loop already.
    loops = (found.cut or not items) and first != "truncated" and runaway_length(text) * 2 > len(text)
    if first is not None:
        return "repetition" if loops else first
    return _without_items(found, finish_reason, loops=loops)


def _without_items(found: FoundItems, finish_reason: str | None, *, loops: bool) -> str:
    """Name an answer in which no item was found."""
    if loops:
        return "repetition"
    if found.cut or finish_reason == "MAX_TOKENS":
        return "truncated"
    if found.unreadable:
        return "malformed_json"
    if found.value_seen and "prose_around" not in found.repairs:
        return "wrong_shape"
    return "malformed_json" if found.json_begun and not found.value_seen else "no_json"


def combine(masks: Sequence[CropMask], settings: DecodeSettings) -> CropMask:
    """Return the prediction: all items, the largest, or the first (``DecodeSettings.instances``)."""
    if settings.instances == "first":
        return masks[0]
    if settings.instances == "largest":
        return max(masks, key=area)
    return crop_union(masks)


def _is_strict(found: FoundItems, items: Sequence[Item], keys: ItemKeys, asked: AskedFormat) -> bool:
    """Return True where the answer is what the prompt asked for: keys, format, no repair but a fence."""
    if set(found.repairs) - {"fence"} or found.leftover or found.cut:
        return False
    native = asked.wire_format in _NATIVE
    for raw, item in zip(found.items, items, strict=True):
        if item.failure or item.repairs:
            return False
        if asked.wire_format not in (None, item.wire_format) and not (asked.task == "box" and not item.mask):
            return False
        if not native and any(raw.members.get(key) is None for key in asked.keys):
            return False
    return _wrapped_as_asked(found, keys, asked)


def _wrapped_as_asked(found: FoundItems, keys: ItemKeys, asked: AskedFormat) -> bool:
    """Return True where the list stands in the object that the prompt asks for, or bare where it asks for none."""
    return asked.wire_format in _NATIVE or keys.wrapper is None or found.wrapped_as_asked
