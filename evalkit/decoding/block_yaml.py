"""YAML of the kind that models write: keys, dashes and indentation, with lists and objects in brackets.

No anchors, tags, folded text or several documents; a text that has them, or anything else that is not
understood, is no YAML here. Linear in the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

MAX_LINES: Final = 100_000
_MAX_INDENT: Final = 64
_KEY: Final = re.compile(
    r"(?P<quote>[\"']?)(?P<key>[A-Za-z_][\w -]{0,60}?)(?P=quote)\s*+:(?=\s|$)\s*+(?P<rest>.*)", re.DOTALL
)
_NUMBER: Final = re.compile(r"-?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?")
_WORDS: Final[dict[str, Any]] = {"null": None, "~": None, "": None, "true": True, "false": False}
_COMMENT: Final = re.compile(r"(?:\A|\s)#.*\Z")


class NotYaml(Exception):
    """The text is not understood."""


class FlowText(str):
    """A value in brackets, still to be read as JSON in any spelling."""

    __slots__ = ()


def read_block_yaml(text: str) -> Any:
    """Return the lists and objects of a text; values in brackets are ``FlowText``. Raises ``NotYaml``."""
    lines = _lines(text)
    if not lines:
        raise NotYaml
    value, after = _block(lines, 0, lines[0][0])
    if after < len(lines):
        raise NotYaml
    return value


def _lines(text: str) -> list[tuple[int, str]]:
    """Return (indentation, content) per line; a value in brackets is one line, a dash of its own another."""
    found: list[tuple[int, str]] = []
    raw = text.expandtabs(2).splitlines()
    if len(raw) > MAX_LINES:
        raise NotYaml
    waiting: list[str] = []
    depth = 0
    for line in raw:
        content = line.strip()
        if not content or content == "---" or (content[0] == "#" and depth == 0):
            continue
        if depth > 0:
            waiting.append(content)
        else:
            indent = len(line) - len(line.lstrip())
            while content.startswith("- ") or content == "-":
                found.append((indent, "-"))
                rest = content[1:].lstrip()
                indent, content = indent + len(content) - len(rest), rest
            if not content:
                continue
            if indent > _MAX_INDENT:
                raise NotYaml
            waiting, start = [content], indent
        depth += sum(map(content.count, "[{")) - sum(map(content.count, "]}"))
        if depth <= 0:
            found.append((start, " ".join(waiting)))
            waiting, depth = [], 0
    if waiting:
        raise NotYaml
    return found


def _block(lines: list[tuple[int, str]], at: int, indent: int) -> tuple[Any, int]:
    """Return the list, object or scalar that begins at line ``at``, and the line after it."""
    if lines[at][1] == "-":
        return _sequence(lines, at, indent)
    if _KEY.fullmatch(lines[at][1]):
        return _mapping(lines, at, indent)
    return _scalar(lines[at][1]), at + 1


def _sequence(lines: list[tuple[int, str]], at: int, indent: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    while at < len(lines) and lines[at] == (indent, "-"):
        at += 1
        if at < len(lines) and lines[at][0] > indent:
            value, at = _block(lines, at, lines[at][0])
            values.append(value)
        else:
            values.append(None)
    return values, at


def _mapping(lines: list[tuple[int, str]], at: int, indent: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent and (match := _KEY.fullmatch(lines[at][1])):
        key, rest = match["key"], _COMMENT.sub("", match["rest"])
        at += 1
        if key in members:
            raise NotYaml
        if rest:
            members[key] = _scalar(rest)
        elif at < len(lines) and (lines[at][0] > indent or lines[at] == (indent, "-")):
            members[key], at = _block(lines, at, lines[at][0])
        else:
            members[key] = None
    if at < len(lines) and lines[at][0] > indent:
        raise NotYaml
    return members, at


def _scalar(text: str) -> Any:
    text = text.strip()
    if text[:1] in "[{":
        return FlowText(_COMMENT.sub("", text) if text[-1] not in "]}" else text)
    if text[:1] in "|>&*!%@`":
        raise NotYaml
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    text = _COMMENT.sub("", text).strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text) and len(text) < 30:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    return text
