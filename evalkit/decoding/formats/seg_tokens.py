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

_LOC: Final = re.compile(r"<loc(\d{4})>")
_LOCATED: Final = re.compile(
    r"(?P<places>(?:<loc(?:0\d{3}|10[01]\d|102[0-3])>\s*+){4})(?P<tokens>(?:<seg\d{3}>\s*+)*+)(?P<label>[^<;\n]{0,200}+)"
)
_PLACES: Final = 1024
_CORNERS: Final = ("ymin", "xmin", "ymax", "xmax")


def holds_tokens(text: str) -> bool:
    """Return True where mask tokens stand in the text, plain or escaped, complete or cut."""
    return _MARK.search(text, 0, 200_000) is not None


def located_objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of PaliGemma's own spelling, ``<loc0256>...<seg000>... cat ; <loc...``, as members.

    Four places name ymin, xmin, ymax and xmax in 1024ths of the image (big_vision); 0..1000 is what is returned.
    """
    found = []
    for match in _LOCATED.finditer(text):
        places = [1000 * int(number) / _PLACES for number in _LOC.findall(match["places"])]
        members: dict[str, Any] = {
            "box_2d": dict(zip(_CORNERS, places, strict=True)),
            "label": match["label"].strip(),
        }
        found.append(members | ({"mask": match["tokens"]} if match["tokens"] else {}))
    return found


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
