"""``polygon_chunked``: one flat contour cut into rows, ``[[y, x, y, x], [...]]``."""

from __future__ import annotations

from typing import Any

from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.formats.polygon_flat import read_flat
from evalkit.decoding.loose_json import LooseList


def is_polygon_chunked(value: Any) -> bool:
    """Return True for rows of an even count of numbers, at least one of them too short to be a ring."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(row, list) and row and not len(row) % 2 and all(type(v) in (int, float) for v in row)
            for row in value
        )
    )


def read_polygon_chunked(value: list[Any], context: Context) -> MaskRead:
    """Return the mask of the rows joined to one contour. Raises ``Unreadable``."""
    if isinstance(value, LooseList) and value.dropped:
        raise Unreadable("polygon_degenerate")
    return read_flat([[number for row in value for number in row]], context)


FORMAT = WireFormat(
    "polygon_chunked",
    "one flat contour cut into rows: [[y, x, y, x], [...]]",
    is_polygon_chunked,
    read_polygon_chunked,
    ("list",),
)
