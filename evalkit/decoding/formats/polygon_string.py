"""``polygon_string``: contour points as text, ``"x,y,x,y"``, with or without brackets."""

from __future__ import annotations

import re
from typing import Any, Final

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.formats.polygon_flat import read_flat

_NUMBERS_ONLY: Final = re.compile(r"[\d\s.,;()\[\]\-]++")
_NUMBER: Final = re.compile(r"-?\d++(?:\.\d++)?+")


def is_polygon_string(value: Any) -> bool:
    """Return True for text that holds numbers and their separators alone."""
    return (
        isinstance(value, str) and _NUMBERS_ONLY.fullmatch(value) is not None and any(map(str.isdigit, value))
    )


def read_polygon_string(value: str, context: Context) -> MaskRead:
    """Return the mask of the numbers in the text. Raises ``Unreadable``."""
    numbers = _NUMBER.findall(value)
    if any(len(number) > 30 for number in numbers):
        raise Unreadable("polygon_degenerate")
    return read_flat([[float(number) for number in numbers]], context)


FORMAT = WireFormat(
    "polygon_string",
    'contour points as text: "x,y,x,y"',
    is_polygon_string,
    read_polygon_string,
    ("text",),
)
