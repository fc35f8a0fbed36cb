"""A mask that stands in something the prompt did not ask for: JSON text, a list of one, an object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from evalkit.decoding.context import WireFormat
from evalkit.decoding.formats import claimed_by, find_format
from evalkit.decoding.formats.seg_tokens import holds_tokens

_DEEPEST: Final = 3
_OUTSIDE: Final = ("exterior", "outer", "outline", "contour", "polygon", "points")
_HOLES: Final = ("holes", "interiors", "interior", "inner")
_FEWEST_NUMBERS: Final = 6
"""Numbers of a flat contour; a shorter list beside a mask is its size or its place."""


def unwrap(value: Any, own: Sequence[WireFormat] = ()) -> tuple[Any, bool]:
    """Return the mask inside ``value`` and True, or ``value`` and False where it is none or stands bare.

    ``own``: formats that the run adds; what they claim stands bare.
    An object is opened only where exactly one of its values is in a wire format, so that nothing is chosen.
    """
    if claimed_by(own, value) is not None:
        return value, False
    inside = value
    for _ in range(_DEEPEST):
        opened = _open(inside)
        if opened is None:
            break
        inside = opened
    found = inside is not value and find_format(inside, own)[0] is not None
    return (inside, True) if found else (value, False)


def _open(value: Any) -> Any:
    """Return what stands one level inside; None where there is nothing to open."""
    if isinstance(value, str):
        return _json_inside(value)
    if isinstance(value, list):
        if value and all(isinstance(part, str) and holds_tokens(part) for part in value):
            return "".join(value)
        pieces = [_rings(part) for part in value] if all(isinstance(part, dict) for part in value) else []
        if len(pieces) > 1 and all(pieces):
            return pieces
        bare = len(value) == 1 and isinstance(value[0], (str, dict)) and not find_format(value)[0]
        return value[0] if bare else None
    if isinstance(value, dict) and find_format(value)[0] == "placeholder":
        return _member_inside(value)
    return None


def _json_inside(text: str) -> Any:
    if not text.startswith(("{", "[{", '["')):
        return None
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return inside if isinstance(inside, (dict, list)) else None


def _rings(members: dict[str, Any]) -> list[Any] | None:
    """Return an outline and the holes beside it; None where no outline is named."""
    outside = next((members[key] for key in _OUTSIDE if isinstance(members.get(key), list)), None)
    holes = next((members[key] for key in _HOLES if isinstance(members.get(key), list)), None)
    if not outside or find_format(outside)[0] not in ("polygon_pairs", "polygon_points"):
        return None
    if not holes:
        return [outside]
    nested = isinstance(holes[0], list) and holes[0] and isinstance(holes[0][0], (list, dict))
    return [outside, *(holes if nested else [holes])]


def _member_inside(members: dict[str, Any]) -> Any:
    rings = _rings(members)
    if rings is not None and len(rings) > 1:
        return rings
    masks = [value for value in members.values() if _is_mask(value)]
    return masks[0] if len(masks) == 1 else None


def _is_mask(value: Any) -> bool:
    if isinstance(value, list) and len(value) < _FEWEST_NUMBERS and not any(map(_is_container, value)):
        return False
    return isinstance(value, (str, list, dict)) and find_format(value)[0] not in (None, "placeholder")


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, dict, str))
