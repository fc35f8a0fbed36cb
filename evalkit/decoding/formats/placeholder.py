"""``placeholder``: a word, an id, a link, a number or an empty promise where the mask should stand."""

from __future__ import annotations

import re
from typing import Any, Final

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.repetition import runs_away

_GEOMETRY: Final = re.compile(
    r"\s*+(?:SRID=\d++;)?+\s*+(?:(?:multi|compound|curve)?(?:point|linestring|polygon|curve|surface)|"
    r"geometrycollection|circularstring|polyhedralsurface|triangle)s?+\s*+(?:zm?|m)?\s*+\(|"
    r"\s*+<(?:\?xml|svg|path|polygon|polyline|points?|gml)\b",
    re.IGNORECASE,
)
"""How WKT (OGC 06-103r4) and the elements of SVG and GML begin."""
_NUMBER: Final = re.compile(r"[\s,;:()\[\]{}=]*+-?\d++(?:\.\d++)?+")
_FEWEST_NUMBERS: Final = 6
_SHOWN: Final = 2000


def is_placeholder(value: Any) -> bool:
    """Return True for any text, number, yes or no, or object that no other format claimed."""
    return isinstance(value, (str, bool, int, float, dict))


def read_placeholder(value: Any, context: Context) -> MaskRead:
    """Raise: nothing to decode.

    Blank text or ``{}`` is ``mask_empty``, a loop ``repetition``, coordinates in a notation that no format has
    (WKT, an SVG element) ``wrong_shape``, else ``mask_placeholder``.
    """
    del context
    if value == {} or (isinstance(value, str) and not value.strip()):
        raise Unreadable("mask_empty")
    loops = isinstance(value, str) and runs_away(value)
    if not loops and isinstance(value, str) and _is_geometry(value):
        raise Unreadable("wrong_shape")
    raise Unreadable("repetition" if loops else "mask_placeholder")


def _is_geometry(text: str) -> bool:
    """Return True for coordinates in a notation that no format has: by its first word, or mostly numbers."""
    if _GEOMETRY.match(text):
        return True
    begin = text[:_SHOWN]
    numbers = _NUMBER.findall(begin)
    return len(numbers) >= _FEWEST_NUMBERS and 2 * sum(map(len, numbers)) >= len(begin)


FORMAT = WireFormat(
    "placeholder",
    "a word, an id, a link, a number or another object where the mask should stand",
    is_placeholder,
    read_placeholder,
    ("text", "other"),
    needs_box=False,
)
