"""``png_data_url`` and ``png_base64``: an image inside box_2d, as Gemini 2.5 documents it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from evalkit.decoding.boxes import ItemBox
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.images import crop_mask, is_png_prefix
from evalkit.decoding.repetition import runs_away
from evalkit.types import CropMask

if TYPE_CHECKING:
    from PIL.Image import Image

_PREFIX: Final = re.compile(
    r"\s*+data:\s*+image/[\w.+-]{1,40}+\s*+(?:;[^,;]{0,60}+)*?;\s*+base64\s*+,", re.IGNORECASE
)
_PART_OF_PREFIX: Final = re.compile(
    r"\s*+(?:data:\s*+)?+(?:[\w.+-]{1,40}+/[\w.+-]{1,40}+)?+;?+\s*+(?:base64)?+\s*+,", re.IGNORECASE
)
"""What is left of a prefix where a part of it is missing: ``base64,``, ``data:image/png,``..."""
_EMBEDDED: Final = re.compile(r"data:image/[\w.+-]{1,40}+;base64,")
_BASE64_ONLY: Final = re.compile(r"(?:[A-Za-z0-9+/_%-]{40,}+\s++)*+[A-Za-z0-9+/_%-]++[=\s]*+")
_MAGIC: Final = ("iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD", "Qk")
_LONG: Final = 128
"""Base64 text this long without a space is data and not a word (our choice)."""


def is_data_url(value: Any) -> bool:
    """Return True for a string that begins as an image's data URL, or holds one after mask tokens."""
    return isinstance(value, str) and (_PREFIX.match(value) is not None or _after_tokens(value) is not None)


def is_base64(value: Any) -> bool:
    """Return True for a string that is the base64 of an image by its first bytes, or long enough to be meant so."""
    if not isinstance(value, str):
        return False
    text = _without_part_of_prefix(value).strip()
    if text.startswith(_MAGIC[:4]) or (text.startswith(_MAGIC[4]) and len(text) > _LONG):
        return True
    return len(text) >= _LONG and _BASE64_ONLY.fullmatch(text) is not None


def _without_part_of_prefix(value: str) -> str:
    match = _PART_OF_PREFIX.match(value)
    return value[match.end() :] if match else value


def _after_tokens(value: str) -> int | None:
    """Return where a data URL begins that follows leaked mask tokens in the same string."""
    if "<start_of_mask>" not in value and "<seg_" not in value:
        return None
    match = _EMBEDDED.search(value)
    return match.start() if match else None


def read_data_url(value: str, context: Context) -> MaskRead:
    """Return the mask of a data URL. Raises ``Unreadable``.

    After leaked tokens a complete image counts (``tokens_dropped``); a bad one leaves tokens.
    """
    match = _PREFIX.match(value)
    if match is not None:
        again = _PREFIX.match(value, match.end())
        return _read(value[(again or match).end() :], context, ["repeated_prefix"] if again else [])
    start = _after_tokens(value) or 0
    try:
        return _read(value[value.index(",", start) + 1 :], context, ["tokens_dropped"])
    except Unreadable as error:
        if error.code in ("mask_bad_base64", "mask_bad_png"):
            raise Unreadable("mask_tokens") from error
        raise


def read_base64_image(value: str, context: Context) -> MaskRead:
    """Return the mask of bare base64. Raises ``Unreadable``."""
    asked_prefix = context.asked.wire_format not in (None, "png_base64")
    return _read(_without_part_of_prefix(value), context, ["missing_prefix"] if asked_prefix else [])


def _read(encoded: str, context: Context, repairs: list[str]) -> MaskRead:
    """Decode, open, lay over the box. What cannot be decoded because it loops is ``repetition``."""
    try:
        grey, padded = context.images.open_base64(encoded, context.budget)
    except Unreadable as error:
        bad = error.code in ("mask_bad_base64", "mask_bad_png")
        if bad and runs_away(encoded) and not is_png_prefix(encoded):
            raise Unreadable("repetition") from error
        raise
    box = context.needed_box()
    x0, y0, x1, y1 = box.place_px_xyxy
    context.budget.spend((x1 - x0) * (y1 - y0))
    return MaskRead(_lay(grey, box, context), repairs + padded)


def _lay(grey: Image, box: ItemBox, context: Context) -> CropMask:
    levels = context.images.place(grey, box.place_px_xyxy, box.visible_px_xyxy, context.settings)
    threshold = context.settings.threshold
    return crop_mask(levels, box.visible_px_xyxy, context.height_px, context.width_px, threshold)


DATA_URL = WireFormat(
    "png_data_url",
    "an image as data:image/...;base64, inside box_2d (Gemini 2.5 as documented)",
    is_data_url,
    read_data_url,
    ("text",),
)


BASE64 = WireFormat(
    "png_base64",
    "the same image as bare base64, without the data: prefix",
    is_base64,
    read_base64_image,
    ("text",),
)
