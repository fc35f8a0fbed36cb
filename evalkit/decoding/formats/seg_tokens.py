"""``seg_tokens``: leaked ``<start_of_mask><seg_N>...``, for which no public decoder exists."""

from __future__ import annotations

import re
from typing import Any, Final

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.token_codebook import decode_tokens

_TOKEN: Final = re.compile(r"(?i)(?:<|u003c|&lt;)seg_?(\d{1,4})(?:>|\\?u003e|&gt;)")
_MARK: Final = re.compile(r"(?i)(?:<|u003c|&lt;)(?:start_of_mask|seg_|seg\d|loc\d{4})")
"""Gemini's spelling, and PaliGemma's own (``<loc0123>``, ``<seg012>``), plain or escaped."""


def holds_tokens(text: str) -> bool:
    """Return True where mask tokens stand in the text, plain or escaped, complete or cut."""
    return _MARK.search(text, 0, 200_000) is not None


def is_seg_tokens(value: Any) -> bool:
    """Return True for a string with mask tokens in it."""
    return isinstance(value, str) and holds_tokens(value)


def token_numbers(text: str) -> list[int]:
    """Return the N of every complete ``<seg_N>`` in the text, in order."""
    return [int(number) for number in _TOKEN.findall(text)]


def read_seg_tokens(value: str, context: Context) -> MaskRead:
    """Decode by a proven codebook where the settings name one; else raise ``mask_tokens``."""
    if context.settings.token_codebook is None:
        raise Unreadable("mask_tokens")
    return decode_tokens(token_numbers(value), context)


FORMAT = WireFormat(
    "seg_tokens",
    "leaked <seg_N> mask tokens, for which no decoder is public",
    is_seg_tokens,
    read_seg_tokens,
    ("text",),
    needs_box=False,
)
