"""``seg_tokens``: leaked ``<start_of_mask><seg_N>...``, for which no public decoder exists."""

from __future__ import annotations

import re
from typing import Any, Final

from evalkit.decode.codes import Unreadable
from evalkit.decode.mask_reading import Context, MaskRead
from evalkit.decode.token_codebook import decode_tokens

_ESCAPED: Final = re.compile(r"(?i)\\u003c(?=start_of_mask|seg_)|&lt;(?=start_of_mask|seg_)")
_TOKEN: Final = re.compile(r"<seg_(\d{1,4})>")
_MARKS: Final = (
    "<start_of_mask",
    "<seg_",
    "u003cstart_of_mask",
    "u003cseg_",
    "&lt;seg_",
    "&lt;start_of_mask",
)


def holds_tokens(text: str) -> bool:
    """Return True where mask tokens stand in the text, plain or escaped, complete or cut."""
    lowered = text[:200_000]
    return any(mark in lowered for mark in _MARKS)


def is_seg_tokens(value: Any) -> bool:
    """Return True for a string with mask tokens in it."""
    return isinstance(value, str) and holds_tokens(value)


def token_numbers(text: str) -> list[int]:
    """Return the N of every complete ``<seg_N>`` in the text, in order."""
    return [int(number) for number in _TOKEN.findall(_ESCAPED.sub("<", text))]


def read_seg_tokens(value: str, context: Context) -> MaskRead:
    """Decode by a proven codebook where the settings name one; else raise ``mask_tokens``."""
    if context.settings.token_codebook is None:
        raise Unreadable("mask_tokens")
    return decode_tokens(token_numbers(value), context)
