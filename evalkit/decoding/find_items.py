"""From an answer's text to the raw items in it: fences, prose, wrappers, several values, salvage.

Three readings are tried, each linear in the text: strict JSON; JSON values inside other text;
item by item where the JSON is broken (``loose_json``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from evalkit.decoding.formats.rle import is_rle
from evalkit.decoding.keys import ItemKeys
from evalkit.decoding.loose_json import LooseReader

_JSON_FIRST: Final = frozenset('[{"-0123456789ntf')
_VALUE_START: Final = re.compile(r'\[\s*+(?:[\[{\]]|\Z)|\{\s*+(?:["}]|\Z)')
_OBJECT_START: Final = re.compile(r'\{\s*+"(?!(?:x|y|size|counts)")[^"\\]{0,64}+"\s*+:')
_FRAGMENT: Final = re.compile(r'"(?:mask|box_2d|mask_polygon|polygon|segmentation)"\s*+:')
_STRINGS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_SEPARATORS: Final = re.compile(r"[\s,;]*+")
_EMPTIES: Final = re.compile(r"(?:\{\s*+\}|\[\s*+\])(?:[\s,;]*+(?:\{\s*+\}|\[\s*+\]))*+")
_ANSWER_FENCES: Final = ("", "json", "json5", "jsonc", "javascript", "js", "text")
_MAX_WALK_DEPTH: Final = 64


@dataclass(slots=True)
class RawItem:
    """One object of the answer before its box and mask are read.

    ``cut``: the text ended inside it. ``broken``: it stops at something unreadable.
    """

    members: dict[str, Any]
    cut: bool = False
    broken: bool = False


@dataclass(slots=True)
class FoundItems:
    """What the text holds. ``value_seen``: some JSON value was read, item or not.

    ``empty_list``: a list without elements stood where the items should. ``leftover``: a list
    held elements that are no objects. ``cut``: the text ends inside the JSON.
    """

    items: list[RawItem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    empty_list: bool = False
    value_seen: bool = False
    json_begun: bool = False
    cut: bool = False
    leftover: bool = False
    wrapped_as_asked: bool = False

    def repaired(self, code: str) -> None:
        """Note a repair once."""
        if code not in self.repairs:
            self.repairs.append(code)


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _any_length(digits: str) -> int | float:
    """Integers of thousands of digits are no coordinates: as a float they become infinite."""
    return int(digits) if len(digits) < 18 else float(digits)


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
_STRICT_LONG: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_any_length
)


def _read_strict(text: str, start: int) -> tuple[Any, int] | None:
    """Return the JSON value at ``start`` and its end; None where it is not JSON.

    Refused: NaN, duplicate keys. A very long integer is a float, not an error.
    """
    try:
        return _STRICT.raw_decode(text, start)
    except (json.JSONDecodeError, _DuplicateKey, RecursionError):
        return None
    except ValueError:
        pass
    try:
        return _STRICT_LONG.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def find_items(text: str, keys: ItemKeys) -> FoundItems:
    """Return the raw items of an answer, in order. ``text`` is stripped and not empty."""
    found = FoundItems()
    if text[0] in _JSON_FIRST:
        whole = _read_strict(text, 0)
        if whole is not None and whole[1] == len(text):
            inner = whole[0].strip() if isinstance(whole[0], str) else ""
            if inner.startswith(("[", "{")):
                # JSON written into a JSON string: every level doubles its escapes, so this ends.
                found = find_items(inner, keys)
                found.repaired("wrapper")
                return found
            _walk(whole[0], keys, found)
            return found
    parts = _fenced_parts(text, found)
    for part in parts:
        _read_part(part, keys, found, fenced=bool(parts and part is not text))
    return found


def _fenced_parts(text: str, found: FoundItems) -> list[str]:
    """Return what stands inside code fences, answers before code; the text itself without fences."""
    pieces = text.split("```")
    if len(pieces) == 1:
        return [text]
    inside = [_split_language(piece) for piece in pieces[1::2]]
    json_like = [(language, body) for language, body in inside if _VALUE_START.search(body)]
    chosen = [body for language, body in json_like if language in _ANSWER_FENCES]
    chosen = chosen or [body for _, body in json_like]
    if not chosen or any(_OBJECT_START.search(piece) for piece in pieces[0::2]):
        # Items outside the fence too (or a fence that holds none): read it all as one text.
        found.repaired("fence")
        return [text.replace("```json", " ").replace("```", " ")]
    found.repaired("fence")
    outside = pieces[0::2]
    if len(chosen) != len(inside) or any(piece.strip() for piece in outside):
        found.repaired("prose_around")
    if len(chosen) > 1:
        found.repaired("several_values")
    return chosen


def _split_language(piece: str) -> tuple[str, str]:
    """Return the fence's language word, lower case, and its body."""
    match = re.match(r"[A-Za-z0-9_+-]{0,20}+", piece)
    word = match.group() if match else ""
    return word.lower(), piece[len(word) :]


def _read_part(part: str, keys: ItemKeys, found: FoundItems, *, fenced: bool) -> None:
    """Read the JSON values of one piece of text; at the first broken one, go on item by item."""
    position, values, around = 0, 0, False
    while match := _VALUE_START.search(part, position):
        around = around or not _is_gap(part[position : match.start()], between_values=values > 0)
        if empty := _EMPTIES.match(part, match.start()):
            # Passed over in one go: a million of them would cost seconds one by one.
            found.value_seen = found.json_begun = True
            lists = empty.group().count("[")
            found.empty_list = found.empty_list or (lists > 0 and _stands_apart(part, empty))
            position, values = empty.end(), values + lists + empty.group().count("{")
            continue
        read = _read_strict(part, match.start())
        found.json_begun = True
        if read is None:
            _salvage(part, match.start(), keys, found)
            position, values = len(part), values + 1
            break
        _walk(read[0], keys, found)
        position, values = read[1], values + 1
    if values and (around or part[position:].strip()):
        found.repaired("prose_around")
    if values > 1:
        found.repaired("several_values")
    if values == 0 and fenced and part.strip():
        _read_whole_scalar(part.strip(), found)
    if not found.items and not found.empty_list and (match := _FRAGMENT.search(part)):
        _salvage_fragment(part, match.start(), keys, found)


def _is_gap(text: str, *, between_values: bool) -> bool:
    """Return True for text that says nothing: white space and, between two values, what separates them."""
    return _SEPARATORS.fullmatch(text) is not None if between_values else not text.strip()


def _stands_apart(text: str, match: re.Match[str]) -> bool:
    """Return True for brackets that are a value of their own; those of ``argv[]`` or of noise say nothing."""
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return (not before or before in " \t\r\n:") and (not after or after in " \t\r\n,.;")


def _read_whole_scalar(part: str, found: FoundItems) -> None:
    read = _read_strict(part, 0) if part[0] not in "[{" else None
    found.value_seen = found.value_seen or (read is not None and read[1] == len(part))


def _walk(value: Any, keys: ItemKeys, found: FoundItems) -> None:
    """Collect the items of one strict JSON value, from lists and wrappers of any key."""
    found.value_seen = True
    if isinstance(value, dict):
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
        found.items.append(RawItem({"mask": value}))
        found.repaired("single_object")
        return
    for element in value:
        if element == {} and found.items:
            found.leftover = True  # one empty object says that items are empty; a million say no more
        elif isinstance(element, dict) and (keys.is_item(element) or not any(_containers(element))):
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


def _containers(value: Any) -> Iterator[Any]:
    inside = value.values() if isinstance(value, dict) else value
    return (inner for inner in inside if isinstance(inner, (dict, list)))


def _walk_wrapper(value: Any, keys: ItemKeys, found: FoundItems) -> None:
    """Collect items at any depth of objects that are none themselves, in reading order."""
    before = len(found.items)
    labels: list[dict[str, Any]] = []
    empties = _descend(value, keys, found.items, labels)
    if len(found.items) == before and not empties:
        found.items.extend(RawItem(label) for label in labels)
    if len(found.items) > before:
        found.repaired("wrapper")
    elif empties and not labels:
        found.repaired("wrapper")
        found.empty_list = True


def _descend(value: Any, keys: ItemKeys, items: list[RawItem], labels: list[dict[str, Any]]) -> bool:
    """Walk without recursion; returns whether every list met was empty and there was one."""
    stack: list[tuple[Any, int]] = [(value, 0)]
    empty, solid = False, False
    while stack:
        node, depth = stack.pop()
        if isinstance(node, dict) and keys.is_item(node):
            items.append(RawItem(node))
            continue
        if isinstance(node, list):
            empty, solid = empty or not node, solid or bool(node)
            labels += [
                row for row in node if isinstance(row, dict) and "label" in row and not keys.is_item(row)
            ]
        if depth < _MAX_WALK_DEPTH:
            stack += [(inner, depth + 1) for inner in reversed(list(_containers(node)))]
    return empty and not solid


def _salvage(text: str, start: int, keys: ItemKeys, found: FoundItems) -> None:
    """Read the objects of a broken text one by one, each from its own opening brace."""
    reader = LooseReader(text)
    position, wrapped, in_list = start, False, text[start] == "["
    before, gaps, last_cut = len(found.items), list[str](), False
    while reader.patience > 0 and (match := _OBJECT_START.search(text, position)):
        gap_from, (loose, position) = position, reader.read_object(match.start())
        position = max(position, match.start() + 1)
        gaps.append(text[gap_from : position if loose.opened_list else match.start()])
        last_cut = loose.cut
        if keys.is_item(loose.members) or (
            loose.closed and "label" in loose.members and not loose.opened_list
        ):
            found.items.append(
                RawItem(loose.members, cut=loose.cut, broken=not loose.closed and not loose.cut)
            )
        elif loose.opened_list:
            wrapped = in_list = True
        elif loose.closed:
            nested: list[RawItem] = []
            _descend(loose.members, keys, nested, [])
            found.items += nested
            wrapped = wrapped or bool(nested)
    found.cut = found.cut or last_cut or _is_cut("".join([*gaps, text[position:]]))
    _drop_labels_if_cut(found, keys)
    if wrapped and not (keys.wrapper and f'"{keys.wrapper}"' in text[start : start + 200]):
        found.repaired("wrapper")
    elif not in_list and len(found.items) > before:
        found.repaired("single_object")
    for code in sorted(reader.repairs):
        found.repaired(code)
    if re.search(r"[}\]]\s*+,\s*+\]", text[start:]):
        found.repaired("trailing_comma")
    if len(found.items) > before:
        explained = found.cut or reader.dropped or {"trailing_comma", "raw_newline"} & set(found.repairs)
        found.repaired("truncated_tail") if found.cut else None
        if not explained or any(item.broken for item in found.items):
            found.repaired("salvaged")


def _drop_labels_if_cut(found: FoundItems, keys: ItemKeys) -> None:
    """Keep an object with a label alone as an item only where the answer was not cut."""
    if found.cut:
        found.items = [item for item in found.items if keys.is_item(item.members)]


def _salvage_fragment(text: str, start: int, keys: ItemKeys, found: FoundItems) -> None:
    """Read ``"mask": ...`` that stands without an object around it."""
    reader = LooseReader(text)
    loose, _ = reader.read_object(start, implicit=True)
    if keys.is_item(loose.members):
        # The text ends where the fragment does: that is its shape, not a cut, unless a value was cut.
        cut = any(getattr(value, "cut", False) for value in loose.members.values())
        found.items.append(RawItem(loose.members, cut=cut, broken=not cut))
        found.json_begun, found.cut = True, found.cut or cut
        found.repaired("salvaged")


def _is_cut(around: str) -> bool:
    """Return True where brackets stay open in the text around the items, or a string at its end.

    A quote missing in the middle turns strings inside out: text that ends in a bracket is not cut.
    """
    structure = _STRINGS.sub(_blank, around)
    opened = structure.count("[") + structure.count("{")
    in_string = '"' in structure and not around.rstrip().endswith(("]", "}"))
    return in_string or opened > structure.count("]") + structure.count("}")


def _blank(match: re.Match[str]) -> str:
    whole = match.group()
    return "" if len(whole) > 1 and whole[-1] == '"' else '"'
