"""``polygon_pairs``: ``[[x, y], ...]``, a list of rings (holes by nesting), or pieces with holes.

Pieces are lists of rings, ``[[outline, hole], [outline]]``, as GeoJSON's MultiPolygon has them: there
the first ring of each is its outline and the others are its holes. In a plain list of rings nothing
says so, and a ring inside another one is a hole.
"""

from __future__ import annotations

from typing import Any

from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.contour import make_contour, read_contour
from evalkit.decoding.loose_json import LooseList


def is_polygon_pairs(value: Any) -> bool:
    """Return True for a list most of whose elements are pairs, or lists of pairs."""
    return (
        isinstance(value, list) and bool(value) and (_is_ring(value) or _is_rings(value) or _is_pieces(value))
    )


def _is_ring(value: list[Any]) -> bool:
    pairs = sum(
        isinstance(row, list) and len(row) == 2 and not isinstance(row[0], (list, dict)) for row in value
    )
    return 2 * pairs > len(value)


def _is_rings(value: list[Any]) -> bool:
    return all(isinstance(ring, list) and bool(ring) and _is_ring(ring) for ring in value)


def _is_pieces(value: list[Any]) -> bool:
    return all(isinstance(piece, list) and bool(piece) and _is_rings(piece) for piece in value)


def read_polygon_pairs(value: list[Any], context: Context) -> MaskRead:
    """Return the mask of pairs. Raises ``Unreadable``."""
    if not _is_ring(value) and not _is_rings(value):
        rings = [ring for piece in value for ring in piece]
        lost = sum(part.dropped for part in (value, *value) if isinstance(part, LooseList))
        return read_contour(
            make_contour(rings, dropped=lost, pieces=[len(piece) for piece in value]), context
        )
    dropped = value.dropped if isinstance(value, LooseList) else 0
    rings = [value] if _is_ring(value) else value
    return read_contour(make_contour(rings, dropped=0 if rings[0] is value else dropped), context)


FORMAT = WireFormat(
    "polygon_pairs",
    "contour points as [[x, y], ...], one ring, a list of rings, or pieces [[ring, hole], [ring]]",
    is_polygon_pairs,
    read_polygon_pairs,
    ("list",),
)
