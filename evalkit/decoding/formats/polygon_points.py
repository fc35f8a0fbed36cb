"""``polygon_points``: ``[{"x": .., "y": ..}, ...]``, one ring, a list of rings, or pieces with holes."""

from __future__ import annotations

from typing import Any, Final

from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.contour import make_contour, read_contour
from evalkit.decoding.loose_json import LooseList

_NAMES: Final = frozenset("xyXY")


def is_polygon_points(value: Any) -> bool:
    """Return True for a list that begins with an object of x and y, or a list of such lists."""
    if not isinstance(value, list) or not value:
        return False
    return _is_ring(value) or _is_rings(value) or _is_pieces(value)


def _is_rings(value: list[Any]) -> bool:
    return all(isinstance(ring, list) and bool(ring) and _is_ring(ring) for ring in value)


def _is_pieces(value: list[Any]) -> bool:
    return all(isinstance(piece, list) and bool(piece) and _is_rings(piece) for piece in value)


def _is_ring(value: list[Any]) -> bool:
    named = sum(isinstance(point, dict) and not _NAMES.isdisjoint(point) for point in value)
    return 2 * named > len(value)


def read_polygon_points(value: list[Any], context: Context) -> MaskRead:
    """Return the mask of named points; their names settle the order. Raises ``Unreadable``."""
    pieces = None
    lists = [value]
    rings = [value] if _is_ring(value) else value
    if not _is_ring(value) and not _is_rings(value):
        pieces = [len(piece) for piece in value]
        lists, rings = [value, *value], [ring for piece in value for ring in piece]
    dropped = sum(
        ring.dropped for ring in {id(r): r for r in (*lists, *rings)}.values() if isinstance(ring, LooseList)
    )
    pairs = [[_pair(point) for point in ring] for ring in rings]
    return read_contour(make_contour(pairs, dropped=dropped, named=True, pieces=pieces), context)


def _pair(point: Any) -> Any:
    if not isinstance(point, dict):
        return point if isinstance(point, list) and len(point) != 2 else ()
    return point.get("x", point.get("X")), point.get("y", point.get("Y"))


FORMAT = WireFormat(
    "polygon_points",
    'contour points as [{"x": .., "y": ..}, ...], one ring or a list of rings',
    is_polygon_points,
    read_polygon_points,
    ("list",),
)
