"""``polygon_flat``: ``[x, y, x, y, ...]``, or a list of such rings as COCO writes them, or a list of those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.decoding.boxes import finite, unquoted
from evalkit.decoding.codes import Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.contour import make_contour, read_contour
from evalkit.decoding.loose_json import LooseList


def is_polygon_flat(value: Any) -> bool:
    """Return True for a list of numbers, or of rows of six numbers and more (each a ring)."""
    if not isinstance(value, list) or not value:
        return False
    if all(_is_number(v) for v in value):
        return True
    return _are_rows(value) or all(
        isinstance(part, list) and bool(part) and _are_rows(part) for part in value
    )


def _are_rows(value: list[Any]) -> bool:
    return all(isinstance(row, list) and len(row) >= 6 and all(_is_number(v) for v in row) for row in value)


def _is_number(value: Any) -> bool:
    return type(unquoted(value)) in (int, float)


def read_polygon_flat(value: list[Any], context: Context) -> MaskRead:
    """Return the mask of flat coordinates. Raises ``Unreadable``; an odd count tells no pairing."""
    if _is_number(value[0]):
        return read_flat([value], context)
    if all(_are_rows(part) for part in value if isinstance(part, list)) and not _are_rows(value):
        # One list more around the rings, a list per object, as Florence writes them.
        if any(isinstance(part, LooseList) and part.dropped for part in (value, *value)):
            raise Unreadable("polygon_degenerate")
        value = [row for part in value for row in part]
    return read_flat(value, context)


def read_flat(rings: Sequence[Sequence[Any]], context: Context) -> MaskRead:
    """Return the mask of flat rings. Raises ``Unreadable`` (polygon_degenerate on an odd count)."""
    quoted = False
    if any(len(ring) % 2 or (isinstance(ring, LooseList) and ring.dropped) for ring in rings):
        # One number lost shifts every pair after it: which one cannot be known.
        raise Unreadable("polygon_degenerate")
    if any(isinstance(number, str) for ring in rings for number in ring):
        rings, quoted = [[unquoted(number) for number in ring] for ring in rings], True
    if not all(finite(number) for ring in rings for number in ring):
        raise Unreadable("polygon_degenerate")
    contour = make_contour([list(zip(ring[0::2], ring[1::2], strict=True)) for ring in rings])
    contour.repairs.extend(["quoted_number"] * quoted)
    return read_contour(contour, context)


FORMAT = WireFormat(
    "polygon_flat",
    "contour points as one flat list [x, y, x, y, ...], or a list of such rings",
    is_polygon_flat,
    read_polygon_flat,
    ("list",),
)
