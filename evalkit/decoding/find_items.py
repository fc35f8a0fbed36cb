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

from evalkit.decoding.block_yaml import FlowText, NotYaml, read_block_yaml
from evalkit.decoding.formats.rle import is_rle
from evalkit.decoding.keys import ItemKeys
from evalkit.decoding.loose_json import LooseReader
from evalkit.decoding.loose_syntax import has_loose_marks, respell, unescaped
from evalkit.types import Unit

_JSON_FIRST: Final = frozenset('[{"-0123456789ntf')
_VALUE_START: Final = re.compile(
    r"\[\s*+(?:[\[{\](]|//|/\*|\Z)|\{\s*+(?:[\"'}\u201c\u201e\u2018]|//|/\*|\#|[A-Za-z_$][\w$]*+\s*+:|\Z)"
)
_STRICT_START: Final = re.compile(r'\{\s*+["}]|\[\s*+(?:\]|\{\s*+["}]|\[)')
_WORD: Final = re.compile(r"[^\W\d_]")
_BOX_NAMED: Final = re.compile(
    r"(?i)(?:box_?2d|\bb?box(?:es)?\b|bounding[_ ]?box(?:es)?)\W{0,12}+(?:[a-z]{1,12}+[^\w\[(]{1,8}+){0,2}(?:[\[(]\s*+)?-?\d"
)
"""A box that is named in the text outside of all values, with numbers after it."""
_YAML_KEY: Final = re.compile(
    r"(?m)^[ \t-]*+'?(?:box_?2d|bbox(?:_2d)?|box|bounding_box|mask\w*+|polygons?|segmentation|contour|points)'?[ \t]*+:(?:\s|$)"
)
"""A line that begins with a key of an item and no bracket before it."""
_YAML_ABOVE: Final = re.compile(
    r"[ \t-]*+[\"']?[A-Za-z_]\w{0,40}+[\"']?[ \t]*+:(?:[^\n.!?]{0,80}+)?\n|[ \t]*+-[ \t]*+\n"
)
"""A line above it that may be of the same YAML: a key, perhaps with a short value."""
_TAKEN_BACK: Final = re.compile(r'[\]}][^\[\]{}"]*?[^\W\d_]{2}[^\[\]{}"]*+(\[\s*+)?+\Z')
"""Between two objects: a value closes, words follow, another value may open."""
_NEAR: Final = 2000
_MOST_BROKEN: Final = 64
"""Broken values of one text that are told apart; the rest of it is read as one."""
_TASK_TOKEN: Final = re.compile(r"<[A-Z_]{4,60}>")
"""Florence's task tokens, the keys of its answers, which are in pixels (its model card)."""
_OBJECT_START: Final = re.compile(r'\{\s*+"(?!(?:x|y|size|counts)")[^"\\]{0,64}+"\s*+:')
_FRAGMENT: Final = re.compile(r'"(?:mask|box_2d|mask_polygon|polygon|segmentation)"\s*+:')
_STRINGS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_SEPARATORS: Final = re.compile(r"[\s,;]*+")
_EMPTIES: Final = re.compile(r"(?:\{\s*+\}|\[\s*+\])(?:[\s,;]*+(?:\{\s*+\}|\[\s*+\]))*+")
_ANSWER_FENCES: Final = ("", "json", "json5", "jsonc", "javascript", "js", "text", "yaml", "yml")
_MAX_WALK_DEPTH: Final = 64


@dataclass(slots=True)
class RawItem:
    """One object of the answer before its box and mask are read.

    ``cut``: the text ended inside it. ``broken``: it stops at something unreadable. ``unit``: that of the
    key it stood under, where that has one of its own.
    """

    members: dict[str, Any]
    cut: bool = False
    broken: bool = False
    unit: Unit | None = None


@dataclass(slots=True)
class FoundItems:
    """What the text holds. ``value_seen``: some JSON value was read, item or not.

    ``empty_list``: a list without elements stood where the items should. ``leftover``: a list
    held elements that are no objects. ``cut``: the text ends inside the JSON. ``bare``: its only item is a
    contour without an object around it. ``unreadable``: an object of it cannot be read. ``values``: how many.
    """

    items: list[RawItem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    empty_list: bool = False
    value_seen: bool = False
    json_begun: bool = False
    cut: bool = False
    leftover: bool = False
    wrapped_as_asked: bool = False
    bare: bool = False
    unreadable: bool = False
    values: int = 0

    @property
    def says_something(self) -> bool:
        """True where it may be the answer: objects, or an empty list."""
        return self.empty_list or (bool(self.items) and not self.bare)

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
    """Return the raw items of an answer, in order. ``text`` is stripped and not empty.

    Values with nothing but space and marks between them are one answer; where words stand between
    them the last one is, and the earlier are ``superseded``.
    """
    if text[0] in _JSON_FIRST:
        whole = _read_strict(text, 0)
        if whole is not None and whole[1] == len(text):
            return _of_whole(whole[0], keys)
    if (logged := unescaped(text)) is not None:
        found = find_items(logged.strip(), keys)
        found.repaired("loose_syntax")
        return found
    groups = _Groups()
    parts = _fenced_parts(text, groups)
    for gap, part in parts:
        groups.between(gap)
        if not _read_yaml(part, keys, groups):
            _read_part(part, keys, groups, fenced=part is not text)
    found = groups.answer()
    if not found.items and not found.empty_list and not found.unreadable:
        for _, part in parts:
            if match := _FRAGMENT.search(part):
                _salvage_fragment(part, match.start(), keys, found)
                break
    if found.bare and _BOX_NAMED.search(text):
        # The list belongs to an object that cannot be read, whose box is lost: it is no answer by itself.
        found.items.clear()
        found.unreadable = True
    return found


def _of_whole(value: Any, keys: ItemKeys) -> FoundItems:
    """Return what a text says that is one JSON value."""
    inner = value.strip() if isinstance(value, str) else ""
    if inner.startswith(("[", "{")):
        # JSON written into a JSON string: every level doubles its escapes, so this ends.
        found = find_items(inner, keys)
        found.repaired("wrapper")
        return found
    found = FoundItems()
    _walk(value, keys, found)
    return found


class _Groups:
    """The values of a text, in groups that words separate; the last one that says something is the answer."""

    def __init__(self) -> None:
        self.all = [FoundItems()]
        self.repairs: list[str] = []
        self.broken = 0

    @property
    def last(self) -> FoundItems:
        """The group that values are added to."""
        return self.all[-1]

    def between(self, gap: str) -> None:
        """Note the text before a value: words end the group where it holds a value."""
        if _WORD.search(gap):
            self.noted("prose_around")
            if self.last.values:
                self.all.append(FoundItems())
        elif not _SEPARATORS.fullmatch(gap) or (gap.strip() and not self.last.values):
            self.noted("prose_around")

    def noted(self, code: str) -> None:
        """Note a repair of the answer as a whole."""
        if code not in self.repairs:
            self.repairs.append(code)

    def answer(self) -> FoundItems:
        """Return the group that counts, with what was left aside told."""
        telling = [group for group in self.all if group.says_something]
        bare = [group for group in self.all if group.items]
        chosen = (telling or bare or [self.last])[-1]
        for group in self.all:
            chosen.value_seen = chosen.value_seen or group.value_seen
            chosen.json_begun = chosen.json_begun or group.json_begun
            chosen.unreadable = chosen.unreadable or (group.unreadable and not telling)
        chosen.repairs[:0] = [code for code in self.repairs if code not in chosen.repairs]
        if len(telling or bare) > 1:
            chosen.repaired("superseded")
        if chosen.values > 1:
            chosen.repaired("several_values")
        return chosen


def _fenced_parts(text: str, groups: _Groups) -> list[tuple[str, str]]:
    """Return what stands inside code fences with the text before each, answers before code; else all of it."""
    pieces = text.split("```")
    if len(pieces) == 1:
        return [("", text)]
    inside = [_split_language(piece) for piece in pieces[1::2]]
    json_like = [
        place for place, (_, body) in enumerate(inside) if _VALUE_START.search(body) or _YAML_KEY.search(body)
    ]
    chosen = [place for place in json_like if inside[place][0] in _ANSWER_FENCES] or json_like
    groups.noted("fence")
    if not chosen or any(_OBJECT_START.search(piece) for piece in pieces[0::2]):
        # Items outside the fence too (or a fence that holds none): read it all as one text.
        return [("", _FENCE.sub(" ", text))]
    parts, before = [], 0
    for place in chosen:
        gap = " ".join(pieces[before : 2 * place + 1])
        parts.append((gap, inside[place][1]))
        before = 2 * place + 2
    if any(piece.strip() for piece in pieces[before:]) or len(chosen) != len(inside):
        groups.noted("prose_around")
    return parts


def _split_language(piece: str) -> tuple[str, str]:
    """Return the fence's language word, lower case, and its body."""
    match = re.match(r"[A-Za-z0-9_+-]{0,20}+", piece)
    word = match.group() if match else ""
    return word.lower(), piece[len(word) :]


def _read_part(part: str, keys: ItemKeys, groups: _Groups, *, fenced: bool) -> None:
    """Read the JSON values of one piece of text; at the first broken one, go on item by item."""
    position, read_any = 0, False
    while match := _VALUE_START.search(part, position):
        groups.between(part[position : match.start()])
        read_any = True
        if empty := _EMPTIES.match(part, match.start()):
            # Passed over in one go: a million of them would cost seconds one by one.
            position = _read_empties(part, empty, groups)
            continue
        position = _read_value(part, match.start(), keys, groups)
    rest = part[position:].strip()
    if read_any and rest:
        groups.noted("prose_around")
    if not read_any and fenced and rest:
        _read_whole_scalar(rest, groups.last)


def _read_yaml(part: str, keys: ItemKeys, groups: _Groups) -> bool:
    """Read a piece of text that is YAML in blocks, with prose before it at most; return whether it is."""
    first = _YAML_KEY.search(part)
    if first is None or _VALUE_START.search(part, 0, first.start()):
        return False
    start = first.start()
    while (above := part.rfind("\n", 0, max(start - 1, 0)) + 1) < start and _YAML_ABOVE.match(part, above):
        start = above
    try:
        value = _flow_read(read_block_yaml(part[start:]))
    except NotYaml:
        return False
    groups.between(part[:start])
    groups.last.values += 1
    groups.last.json_begun = True
    groups.last.repaired("loose_syntax")
    _walk(value, keys, groups.last)
    return True


def _flow_read(value: Any, depth: int = 0) -> Any:
    """Return a YAML value with what stands in brackets read too. Raises ``NotYaml``."""
    if depth > _MAX_WALK_DEPTH:
        raise NotYaml
    if isinstance(value, FlowText):
        read = _read_strict(respell(value, 0).text, 0)
        if read is None:
            raise NotYaml
        return read[0]
    if isinstance(value, dict):
        return {key: _flow_read(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_flow_read(inner, depth + 1) for inner in value]
    return value


def _read_empties(part: str, empty: re.Match[str], groups: _Groups) -> int:
    found = groups.last
    found.value_seen = found.json_begun = True
    lists = empty.group().count("[")
    if lists and _stands_apart(part, empty):
        found.empty_list = True
    found.values += lists + empty.group().count("{")
    return empty.end()


def _read_value(part: str, start: int, keys: ItemKeys, groups: _Groups) -> int:
    """Read the value at ``start``, in JSON's spelling or another, or what of it can be read; return its end."""
    found = groups.last
    found.json_begun = True
    found.values += 1
    strict_start = _STRICT_START.match(part, start) is not None
    if strict_start and (read := _read_strict(part, start)) is not None:
        _walk(read[0], keys, found)
        return read[1]
    groups.broken += strict_start
    # Telling why JSON is broken costs the json module a look at all text before: values are read apart so often.
    ends = groups.broken < _MOST_BROKEN
    if strict_start and not (ends and has_loose_marks(part, start)):
        return _salvage(part, start, keys, found, ends=ends)
    respelled = respell(part, start)
    whole = _read_strict(respelled.text, 0) if respelled.closed else None
    if whole is not None:
        found.repaired("loose_syntax")
        _walk(whole[0], keys, found)
        return respelled.end
    if strict_start:
        return _salvage(part, start, keys, found, ends=ends)
    before = len(found.items)
    if respelled.text[:1] == "{" or _OBJECT_START.search(respelled.text):
        _salvage(respelled.text, 0, keys, found)
    if len(found.items) > before:
        found.repaired("loose_syntax")
    else:
        found.unreadable = True
    return respelled.end


def _stands_apart(text: str, match: re.Match[str]) -> bool:
    """Return True for brackets that are a value of their own; those of ``argv[]`` or of noise say nothing."""
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return (not before or before in " \t\r\n:") and (not after or after in " \t\r\n,.;")


_FENCE: Final = re.compile(r"```[A-Za-z0-9_+-]{0,20}+")


def _read_whole_scalar(part: str, found: FoundItems) -> None:
    read = _read_strict(part, 0) if part[0] not in "[{" else None
    found.value_seen = found.value_seen or (read is not None and read[1] == len(part))


def _walk(value: Any, keys: ItemKeys, found: FoundItems) -> None:
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
        if depth < _MAX_WALK_DEPTH:
            stack += [
                (inner, depth + 1, "pixel" if isinstance(key, str) and _TASK_TOKEN.fullmatch(key) else unit)
                for key, inner in reversed(list(_containers(node)))
            ]
    return empty and not solid


def _salvage(text: str, start: int, keys: ItemKeys, found: FoundItems, *, ends: bool = False) -> int:
    """Read the objects of a broken text one by one, each from its own opening brace; return where to go on.

    That is the end of the text, or where it ``ends`` a value that begins after this one closed and words followed.
    """
    reader = LooseReader(text)
    position, wrapped, in_list = start, False, text[start] == "["
    before, gaps, last_cut, end = len(found.items), list[str](), False, len(text)
    go_on = end
    while reader.patience > 0 and (match := _OBJECT_START.search(text, position)):
        if ends and len(found.items) > before:
            near = text[max(position, match.start() - _NEAR) : match.start()]
            if taken_back := _TAKEN_BACK.search(near):
                end = match.start() - len(taken_back[1] or "")
                go_on = position
                break
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
    found.cut = found.cut or last_cut or _is_cut("".join([*gaps, text[position:end]]))
    _drop_labels_if_cut(found, keys)
    if wrapped and not (keys.wrapper and f'"{keys.wrapper}"' in text[start : start + 200]):
        found.repaired("wrapper")
    elif not in_list and len(found.items) > before:
        found.repaired("single_object")
    for code in sorted(reader.repairs):
        found.repaired(code)
    if re.search(r"[}\]]\s*+,\s*+\]", text[start:end]):
        found.repaired("trailing_comma")
    if len(found.items) > before:
        explained = found.cut or reader.dropped or {"trailing_comma", "raw_newline"} & set(found.repairs)
        found.repaired("truncated_tail") if found.cut else None
        if not explained or any(item.broken for item in found.items):
            found.repaired("salvaged")
    return go_on


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
