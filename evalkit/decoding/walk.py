"""From a JSON value to the raw items in it: lists, wrappers of any key, bare contours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from evalkit.decoding.formats.rle import is_rle
from evalkit.decoding.keys import ItemKeys
from evalkit.decoding.raw_items import FoundItems, RawItem
from evalkit.types import Unit

MAX_WALK_DEPTH: Final = 64
_TASK_TOKEN: Final = re.compile(r"<[A-Z_]{2,60}>")
"""Florence's task tokens, the keys of its answers, which are in pixels (its model card)."""


def walk_value(value: Any, keys: ItemKeys, found: FoundItems) -> None:
    """Collect the items of one strict JSON value, from lists and wrappers of any key."""
    found.value_seen = True
    if isinstance(value, dict):
        found.bare = False
        if keys.is_item(value) or is_rle(value):
            found.items.append(RawItem({"mask": value} if is_rle(value) else value))
            found.repaired("single_object")
            return
        if next(_containers(value), None) is None:
            return
        wrapper = "predictions" if _is_vertex_body(value) else keys.wrapper
        inner = value.get(wrapper) if wrapper is not None else None
        if not isinstance(inner, list):
            _walk_wrapper(value, keys, found)
            return
        value, found.wrapped_as_asked = inner, True
    if isinstance(value, list):
        _walk_list(value, keys, found)


def _is_vertex_body(value: dict[str, Any]) -> bool:
    """Return True for the body of Vertex image segmentation, whose wrapper is its own."""
    inner = value.get("predictions")
    return isinstance(inner, list) and all(isinstance(e, dict) and "bytesBase64Encoded" in e for e in inner)


def _walk_list(value: list[Any], keys: ItemKeys, found: FoundItems) -> None:
    if not value:
        found.empty_list = True
    if _is_contour(value):
        found.bare = not found.items
        found.items.append(RawItem({"mask": value}))
        found.repaired("single_object")
        return
    found.bare = False
    for element in value:
        if element == {} and found.items:
            found.leftover = True  # one empty object says that items are empty; a million say no more
        elif isinstance(element, dict) and (
            keys.is_item(element) or not any(inner for _, inner in _containers(element))
        ):
            found.items.append(RawItem(element))
        elif isinstance(element, (dict, list)) and element:
            _walk_wrapper(element, keys, found)
        else:
            found.leftover = True


def _is_contour(value: list[Any]) -> bool:
    """Return True for a contour without the object around it: a ring of three or more points, or rings."""
    return _is_ring(value) or (
        bool(value) and all(isinstance(ring, list) and _is_ring(ring) for ring in value)
    )


def _is_ring(value: list[Any]) -> bool:
    pairs = (row.values() if isinstance(row, dict) and row.keys() == {"x", "y"} else row for row in value)
    return len(value) >= 3 and all(
        not isinstance(row, (str, dict))
        and isinstance(row, Collection)
        and len(row) == 2
        and all(type(v) in (int, float) for v in row)
        for row in pairs
    )


def _containers(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the objects and lists inside a value, each with its key or its place."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    return ((key, inner) for key, inner in inside if isinstance(inner, (dict, list)))


def _walk_wrapper(value: Any, keys: ItemKeys, found: FoundItems) -> None:
    """Collect items at any depth of objects that are none themselves, in reading order."""
    before = len(found.items)
    labels: list[dict[str, Any]] = []
    empties = descend(value, keys, found.items, labels)
    if len(found.items) == before and not empties:
        found.items.extend(RawItem(label) for label in labels)
    if len(found.items) > before:
        found.repaired("wrapper")
    elif empties and not labels:
        found.repaired("wrapper")
        found.empty_list = True


def descend(value: Any, keys: ItemKeys, items: list[RawItem], labels: list[dict[str, Any]]) -> bool:
    """Walk without recursion; returns whether every list met was empty and there was one."""
    stack: list[tuple[Any, int, Unit | None]] = [(value, 0, None)]
    empty, solid = False, False
    while stack:
        node, depth, unit = stack.pop()
        if isinstance(node, dict) and keys.is_item(node):
            items.append(RawItem(node, unit=unit))
            continue
        if isinstance(node, list):
            empty, solid = empty or not node, solid or bool(node)
            labels += [
                row for row in node if isinstance(row, dict) and "label" in row and not keys.is_item(row)
            ]
        if depth < MAX_WALK_DEPTH:
            stack += [
                (inner, depth + 1, "pixel" if isinstance(key, str) and _TASK_TOKEN.fullmatch(key) else unit)
                for key, inner in reversed(list(_containers(node)))
            ]
    return empty and not solid
