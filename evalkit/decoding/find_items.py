"""From an answer's text to the raw items in it: fences, prose, wrappers, several values, salvage.

Readings are tried in turn, each linear in the text: strict JSON; values inside other text, in JSON's
spelling or another; item by item where the JSON is broken (``salvage``). What a model takes back is told
apart by the words between two values.
"""

from __future__ import annotations

import re
from typing import Any, Final

from evalkit.decoding.block_yaml import FlowText, NotYaml, read_block_yaml
from evalkit.decoding.keys import ItemKeys
from evalkit.decoding.loose_syntax import loose_mark, respell, unescaped
from evalkit.decoding.raw_items import FoundItems
from evalkit.decoding.salvage import OBJECT_START, salvage, salvage_fragment
from evalkit.decoding.strict_json import read_strict
from evalkit.decoding.walk import MAX_WALK_DEPTH, walk_value

_JSON_FIRST: Final = frozenset('[{"-0123456789ntf')
_VALUE_START: Final = re.compile(
    r"\[\s*+(?:[\[{\](]|//|/\*|\Z)|\{\s*+(?:[\"'}\u201c\u201e\u2018]|//|/\*|\#|[A-Za-z_$][\w$]*+\s*+:|\Z)"
)
_STRICT_START: Final = re.compile(r'\{\s*+["}]|\[\s*+(?:\]|\{\s*+["}]|\[)')
_WORD: Final = re.compile(r"[^\W\d_]")
_BOX_NAMED: Final = re.compile(
    r"(?i)(?:box_?2d|\bb?box(?:es)?\b|bounding[_ ]?box(?:es)?)\W{0,12}?(?:[a-z]{1,12}+[^\w\[(]{1,8}?){0,2}?"
    r"(?:[\[(]|[:=>])\s*+-?\d"
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
_MOST_BROKEN: Final = 64
"""Broken values of one text that are told apart; the rest of it is read as one."""
_FRAGMENT: Final = re.compile(r'"(?:mask|box_2d|mask_polygon|polygon|segmentation)"\s*+:')
_SEPARATORS: Final = re.compile(r"[\s,;]*+")
_EMPTIES: Final = re.compile(r"(?:\{\s*+\}|\[\s*+\])(?:[\s,;]*+(?:\{\s*+\}|\[\s*+\]))*+")
_ANSWER_FENCES: Final = ("", "json", "json5", "jsonc", "javascript", "js", "text", "yaml", "yml")
_FENCE: Final = re.compile(r"```[A-Za-z0-9_+-]{0,20}+")


def find_items(text: str, keys: ItemKeys) -> FoundItems:
    """Return the raw items of an answer, in order. ``text`` is stripped and not empty.

    Values with nothing but space and marks between them are one answer; where words stand between
    them the last one is, and the earlier are ``superseded``.
    """
    if text[0] in _JSON_FIRST:
        whole = read_strict(text, 0)
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
                salvage_fragment(part, match.start(), keys, found)
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
    walk_value(value, keys, found)
    return found


class _Groups:
    """The values of a text, in groups that words separate; the last one that says something is the answer."""

    def __init__(self) -> None:
        self.all = [FoundItems()]
        self.repairs: list[str] = []
        self.broken = 0
        self.mark: int | None = -1

    @property
    def last(self) -> FoundItems:
        """The group that values are added to."""
        return self.all[-1]

    def may_be_loose(self, part: str, start: int) -> bool:
        """Return True where anything of a part from ``start`` on may be another spelling than JSON's."""
        if self.mark is not None and self.mark < start:
            self.mark = loose_mark(part, start)
        return self.mark is not None

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
    if not chosen or any(OBJECT_START.search(piece) for piece in pieces[0::2]):
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
    position, read_any, groups.mark = 0, False, -1
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
    value = _VALUE_START.search(part)
    # A key counts before the first value alone; long answers are not searched to their end for one.
    ends = len(part) if value is None else value.start() + 1
    first = _YAML_KEY.search(part, 0, ends)
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
    walk_value(value, keys, groups.last)
    return True


def _flow_read(value: Any, depth: int = 0) -> Any:
    """Return a YAML value with what stands in brackets read too. Raises ``NotYaml``."""
    if depth > MAX_WALK_DEPTH:
        raise NotYaml
    if isinstance(value, FlowText):
        read = read_strict(respell(value, 0).text, 0)
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
    if strict_start and (read := read_strict(part, start)) is not None:
        walk_value(read[0], keys, found)
        return read[1]
    groups.broken += strict_start
    # Telling why JSON is broken costs the json module a look at all text before: values are read apart so often.
    ends = groups.broken < _MOST_BROKEN
    if strict_start and not (ends and groups.may_be_loose(part, start)):
        return salvage(part, start, keys, found, ends=ends)
    respelled = respell(part, start)
    whole = read_strict(respelled.text, 0) if respelled.closed else None
    if whole is not None:
        found.repaired("loose_syntax")
        walk_value(whole[0], keys, found)
        return respelled.end
    if strict_start:
        return salvage(part, start, keys, found, ends=ends)
    before = len(found.items)
    if respelled.text[:1] == "{" or OBJECT_START.search(respelled.text):
        salvage(respelled.text, 0, keys, found)
    if len(found.items) > before:
        found.repaired("loose_syntax")
    else:
        found.unreadable = True
    return respelled.end


def _stands_apart(text: str, match: re.Match[str]) -> bool:
    """Return True for brackets that are a value of their own; those of ``argv[]`` or of noise say nothing."""
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return (not before or before in " \t\r\n:") and (not after or after in " \t\r\n,.;")


def _read_whole_scalar(part: str, found: FoundItems) -> None:
    read = read_strict(part, 0) if part[0] not in "[{" else None
    found.value_seen = found.value_seen or (read is not None and read[1] == len(part))
