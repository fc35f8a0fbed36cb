"""Reading JSON that is cut or garbled: what was complete is kept, nothing is completed.

A recursive descent over one object at a time, linear in the text. Every value says whether it
was damaged; a broken object stops at the damage and the caller looks for the next one from there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

MAX_DEPTH: Final = 32
"""Nesting inside one item; real answers have at most 4 (item, rings, ring, point)."""

MAX_DAMAGE: Final = 4096
"""Damaged places of one answer that are looked past; text with more is noise, and looking costs."""

_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_NUMBER: Final = re.compile(r"-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+")
_WORD: Final = re.compile(r'[^\s"{}\[\],:]++')
_TOKENS: Final = re.compile(r"(?=[^\s\"{}\[\],]{0,40}?(?:<start_of_mask|<seg_))[^\"{}\[\],]*+")
_COORDINATES: Final = re.compile(r"\[[\d.,eE+\-\[\]\s]*+")
_FLAT: Final = re.compile(r"\[[\d.,eE+\-\s]*+\]")
_ROW: Final = re.compile(r'\[[^\[\]{}"]*+\]')
_UNCLOSED_ROW: Final = re.compile(r'\[[^\[\]{}"]*+(?=\[)')
_UNOPENED_ROW: Final = re.compile(r"\]\s*+,\s*+\[\s*+[-\d]")
_FLAT_OBJECT: Final = re.compile(r"\{[^\[\]{}]*+\}")
_OPENING: Final = re.compile(r'\{\s*+"')
_SKIP_GARBAGE: Final = re.compile(r'[^"{}\[\],]*+')
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_WORDS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_DECODER: Final = json.JSONDecoder()
_NESTED_ITEMS: Final = re.compile(r'\[\s*+\{\s*+"(?!(?:x|y)")')


class DamagedValue:
    """Stands for a value that cannot be trusted; ``text`` is what is left of a string, if any.

    ``cut``: the text ended inside it. ``tail``: the end of what was cut, whatever its type.
    """

    __slots__ = ("cut", "tail", "text")

    def __init__(self, *, cut: bool = False, text: str | None = None, tail: str = "") -> None:
        self.cut = cut
        self.text = text
        self.tail = text or tail


class Tokens(str):
    """Unquoted ``<seg_N>`` tokens standing as a value."""

    __slots__ = ()


class LooseList(list[Any]):
    """An array of which ``dropped`` elements could not be read."""

    dropped: int = 0


@dataclass(slots=True)
class LooseObject:
    """One object: members read in full or ``DamagedValue``; ``cut``: the text ended inside it."""

    members: dict[str, Any] = field(default_factory=dict)
    cut: bool = False
    closed: bool = False
    opened_list: bool = False


class LooseReader:
    """Reads objects out of ``text``; ``repairs`` collects what was passed over on the way.

    ``dropped``: elements of arrays were left out, which the items that hold them tell.
    ``patience``: damaged places that will still be looked past.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.repairs: set[str] = set()
        self.dropped = False
        self.patience = MAX_DAMAGE
        self._garbled_until = 0

    def read_object(self, start: int, depth: int = 0, *, implicit: bool = False) -> tuple[LooseObject, int]:
        """Read the object whose ``{`` is at ``start`` (``implicit``: its members begin there).

        Returns it and where to go on: after it, or at the damage that ended it.
        """
        found, position, last_key, comma = LooseObject(), start if implicit else start + 1, None, False
        value_at = position
        while True:
            position = self._space(position)
            mark = self.text[position : position + 1]
            if mark == "":
                found.cut = True
                return found, position
            if mark == "}":
                if comma:
                    self.repairs.add("trailing_comma")
                found.closed = True
                return found, position + 1
            if mark == "," and not comma:
                comma, position = True, position + 1
                continue
            key, after = self._string(position) if mark == '"' else (None, position)
            colon = self._space(after)
            if isinstance(key, str) and self.text[colon : colon + 1] == ":":
                value_at = self._space(colon + 1)
                if depth == 0 and _NESTED_ITEMS.match(self.text, value_at):
                    found.opened_list = True
                    self.patience -= 1
                    return found, value_at + 1
                value, position = self._value(value_at, depth)
                self._keep(found, key, value)
                last_key, comma = key, False
                if isinstance(value, DamagedValue) and value.cut:
                    found.cut = True
                    return found, position
                continue
            if isinstance(key, DamagedValue) or colon >= len(self.text):
                found.cut = True
                return found, len(self.text)
            return self._broken(found, last_key, value_at, position)

    def _broken(
        self, found: LooseObject, last_key: str | None, value_at: int, position: int
    ) -> tuple[LooseObject, int]:
        """End an object at something that is no member; a last value that ran into it is lost."""
        self.patience -= 1
        if last_key is None or isinstance(found.members[last_key], Tokens):
            return found, position  # what stands after leaked tokens changes nothing about them
        # A quote that is missing makes a string swallow the `{` of the next object: go back to it.
        if isinstance(found.members[last_key], str):
            swallowed = self.text.rfind("{", value_at, position)
            opening = _OPENING.match(self.text, swallowed) if swallowed >= 0 else None
            position = swallowed if opening and opening.end() == position else position
            found.members[last_key] = DamagedValue(text=found.members[last_key])
        else:
            found.members[last_key] = DamagedValue()
        return found, position

    @staticmethod
    def _keep(found: LooseObject, key: str, value: Any) -> None:
        """Store a member; a key given twice with different values can be read neither way."""
        known = found.members.get(key, value)
        same = key not in found.members or (type(known) is type(value) and known == value)
        found.members[key] = value if same else DamagedValue()

    def _space(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position

    def _value(self, position: int, depth: int) -> tuple[Any, int]:
        """Read the value at ``position``; what cannot be read is ``DamagedValue`` and passed over."""
        mark = self.text[position : position + 1]
        if mark == "":
            return DamagedValue(cut=True), position
        if depth >= MAX_DEPTH:
            return DamagedValue(), position + 1
        if mark == '"':
            return self._string(position)
        if mark == "[":
            return self._coordinates(position) or self._array(position, depth)
        if mark == "{":
            inner, end = self.read_object(position, depth + 1)
            if inner.cut or not inner.closed:
                return DamagedValue(cut=inner.cut), end
            return inner.members, end
        if tokens := _TOKENS.match(self.text, position):
            return Tokens(tokens.group()), tokens.end()
        return self._scalar(position)

    def _scalar(self, position: int) -> tuple[Any, int]:
        """Read a number or a word. A number that the text ends after may have had more digits."""
        word = _WORD.match(self.text, position)
        if word is None:
            return DamagedValue(), position
        end = word.end()
        if word.group() in _WORDS:
            return _WORDS[word.group()], end
        if (number := _NUMBER.fullmatch(word.group())) and end < len(self.text):
            digits = number.group()
            whole = len(digits) < 18 and digits.lstrip("-").isdigit()
            return (int(digits) if whole else float(digits)), end
        garbage = _SKIP_GARBAGE.match(self.text, end)
        end = garbage.end() if garbage else end
        return DamagedValue(cut=end >= len(self.text)), end

    def _coordinates(self, position: int) -> tuple[Any, int] | None:
        """Read an intact array of numbers at C speed; None where it is not intact.

        Inside an array that failed only single rows are tried, so that no text is read twice over.
        """
        pattern = _FLAT if position < self._garbled_until else _COORDINATES
        run = pattern.match(self.text, position)
        if run is None:
            return None
        try:
            value, length = _DECODER.raw_decode(run.group())
        except (ValueError, RecursionError):
            self._garbled_until = max(self._garbled_until, run.end())
            if run.end() == len(self.text) and run.group().count("[") > run.group().count("]"):
                return DamagedValue(cut=True, tail=self._tail(position)), run.end()
            return None
        if self._row_lost_its_opening(value, position + length - 1):
            self._garbled_until = max(self._garbled_until, run.end())
            return None
        return value, position + length

    def _array(self, start: int, depth: int) -> tuple[Any, int]:
        """Read an array, leaving out elements that cannot be read; cut or misnested = ``DamagedValue``."""
        items, position, comma = LooseList(), start + 1, False
        while True:
            position = self._space(position)
            mark = self.text[position : position + 1]
            if mark == "":
                return DamagedValue(cut=True, tail=self._tail(start)), position
            if mark == "]":
                if self._row_lost_its_opening(items, position):
                    while not isinstance(items[-1], list):
                        items.pop()
                    self._drop(items)
                    position += 1
                    continue
                if comma:
                    self.repairs.add("trailing_comma")
                return items, position + 1
            if mark == "}" or self.patience <= 0:
                return DamagedValue(), position
            if mark == ",":
                comma, position = True, position + 1
                continue
            if mark == ":":
                position = self._lost_object(items, position)
                continue
            value, after = self._element(position, depth)
            if isinstance(value, DamagedValue):
                if value.cut:
                    return DamagedValue(cut=True, tail=self._tail(start)), after
                self._drop(items)
                # Progress is guaranteed: a value that consumed nothing costs one character.
                position, comma = max(after, position + 1), False
                continue
            items.append(value)
            position, comma = after, False

    def _drop(self, items: LooseList) -> None:
        """Count an element of an array that cannot be read."""
        items.dropped += 1
        self.dropped = True
        self.patience -= 1

    def _element(self, position: int, depth: int) -> tuple[Any, int]:
        """Read one element of an array; a garbled row or point is ``DamagedValue`` as a whole."""
        if row := self._row(position):
            return row
        flat = _FLAT_OBJECT.match(self.text, position)
        value, after = self._value(position, depth + 1)
        if flat and (
            isinstance(value, DamagedValue) or any(isinstance(v, DamagedValue) for v in value.values())
        ):
            return DamagedValue(), flat.end()
        return value, after

    def _row_lost_its_opening(self, items: list[Any], closing: int) -> bool:
        """Return True where numbers follow rows before a ``]`` and rows after it: ``[1, 2], 3, 4], [5, 6]``."""
        mixed = bool(items) and isinstance(items[0], list) and isinstance(items[-1], (int, float))
        return mixed and _UNOPENED_ROW.match(self.text, closing) is not None

    def _row(self, position: int) -> tuple[Any, int] | None:
        """Read a closed row such as ``[12, 34]`` inside an array; a garbled one is ``DamagedValue`` as a whole.

        So is one that never closes before the next begins, ``[12, 34, [56, 78]``.
        """
        row = _ROW.match(self.text, position)
        unclosed = None if row else _UNCLOSED_ROW.match(self.text, position)
        if unclosed and any(map(str.isdigit, unclosed.group())):
            return DamagedValue(), unclosed.end()
        if row is None or row.group()[:-1].rstrip().endswith(","):
            return None
        try:
            return _DECODER.decode(row.group()), row.end()
        except ValueError:
            return DamagedValue(), row.end()

    def _tail(self, start: int) -> str:
        """Return the end of the text, from ``start`` on at most: enough to see a loop."""
        return self.text[max(start, len(self.text) - 4096) :]

    def _lost_object(self, items: LooseList, position: int) -> int:
        """Pass over ``": x": 655, "y": 286}``, an object whose opening was garbled away."""
        if items:
            items.pop()
        self._drop(items)
        while position < len(self.text):
            mark = self.text[position]
            if mark in "[]{":
                return position
            if mark == "}":
                return position + 1
            if mark == '"':
                _, position = self._string(position)
            else:
                garbage = _SKIP_GARBAGE.match(self.text, position)
                position = max(position + 1, garbage.end() if garbage else 0)
        return position

    def _string(self, position: int) -> tuple[Any, int]:
        """Read a string; one that never ends is ``DamagedValue`` and keeps its text as evidence."""
        match = _STRING.match(self.text, position)
        end = match.end() if match else position + 1
        raw = self.text[position + 1 : end]
        if self.text[end : end + 1] != '"':
            return DamagedValue(cut=True, text=raw), len(self.text)
        if _CONTROL.search(raw):
            self.repairs.add("raw_newline")
        if "\\" not in raw:
            return raw, end + 1
        try:
            return json.loads(f'"{raw}"', strict=False), end + 1
        except ValueError:
            return DamagedValue(text=raw), end + 1
