"""``placeholder``: a word, an id, a link, a number or an empty promise where the mask should stand."""

from __future__ import annotations

from typing import Any

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.repetition import runs_away


def is_placeholder(value: Any) -> bool:
    """Return True for any text, number, yes or no, or object that no other format claimed."""
    return isinstance(value, (str, bool, int, float, dict))


def read_placeholder(value: Any, context: Context) -> MaskRead:
    """Raise: nothing to decode. Blank text or ``{}`` is ``mask_empty``, a loop ``repetition``, else ``mask_placeholder``."""
    del context
    if value == {} or (isinstance(value, str) and not value.strip()):
        raise Unreadable("mask_empty")
    loops = isinstance(value, str) and runs_away(value)
    raise Unreadable("repetition" if loops else "mask_placeholder")


FORMAT = WireFormat(
    "placeholder",
    "a word, an id, a link, a number or another object where the mask should stand",
    is_placeholder,
    read_placeholder,
    ("text", "other"),
    needs_box=False,
)
