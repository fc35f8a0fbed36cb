"""Broken JSON: its intact objects one by one, and members that stand without an object around them."""

from __future__ import annotations

import re
from typing import Final

from evalkit.decoding.keys import ItemKeys
from evalkit.decoding.loose_json import LooseReader
from evalkit.decoding.raw_items import FoundItems, RawItem
from evalkit.decoding.walk import descend

OBJECT_START: Final = re.compile(r'\{\s*+"(?!(?:x|y|size|counts)")[^"\\]{0,64}+"\s*+:')
_STRINGS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_TAKEN_BACK: Final = re.compile(r'[\]}][^\[\]{}"]*?[^\W\d_]{2}[^\[\]{}"]*+(\[\s*+)?+\Z')
"""Between two objects: a value closes, words follow, another value may open."""
_NEAR: Final = 2000


def salvage(text: str, start: int, keys: ItemKeys, found: FoundItems, *, ends: bool = False) -> int:
    """Read the objects of a broken text one by one, each from its own opening brace; return where to go on.

    That is the end of the text, or where it ``ends`` a value that begins after this one closed and words followed.
    """
    reader = LooseReader(text)
    position, wrapped, in_list = start, False, text[start] == "["
    before, gaps, last_cut, end = len(found.items), list[str](), False, len(text)
    go_on = end
    while reader.patience > 0 and (match := OBJECT_START.search(text, position)):
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
            descend(loose.members, keys, nested, [])
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


def salvage_fragment(text: str, start: int, keys: ItemKeys, found: FoundItems) -> None:
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
