"""``placeholder``: a word, an id or a link where the mask should stand."""

from __future__ import annotations

from typing import Any

from evalkit.decode.codes import Unreadable
from evalkit.decode.mask_reading import Context, MaskRead
from evalkit.decode.repetition import runs_away


def is_placeholder(value: Any) -> bool:
    """Return True for any text that no other format claimed."""
    return isinstance(value, str)


def read_placeholder(value: str, context: Context) -> MaskRead:
    """Raise: nothing to decode. Blank text is ``mask_empty``, a loop ``repetition``, else ``mask_placeholder``."""
    del context
    if not value.strip():
        raise Unreadable("mask_empty")
    raise Unreadable("repetition" if runs_away(value) else "mask_placeholder")
