"""Objects in Python's, JavaScript's or a word processor's spelling -> the JSON that they mean.

Single, smart or no quotes, ``None`` and ``True``, comments, tuples: tokens are respelled one by one and
nothing is completed, so that a cut or garbled text stays as cut or garbled as it was. Linear in the text.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_TOKENS: Final = 200_000
"""Tokens of one value; text with more is noise, and respelling costs."""

_TOKEN: Final = re.compile(
    r"""
    (?P<bracket>[\[\]{}()])
    | (?P<json>"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z))
    | (?P<single>'(?:[^'\\]++|\\.|'(?!\s*+(?:[,:}\])]|\Z)))*+(?:'|\Z))
    | (?P<smart>[\u201c\u201e](?:[^\u201d\u201c]++|[\u201d\u201c](?!\s*+(?:[,:}\])]|\Z)))*+(?:[\u201d\u201c]|\Z)
        | [\u2018\u201a](?:[^\u2019]++|\u2019(?!\s*+(?:[,:}\])]|\Z)))*+(?:\u2019|\Z))
    | (?P<comment>//[^\n]*+ | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+ | \#[^\n]*+)
    | (?P<number>[-+.]*+\d[\w.+-]*+)
    | (?P<key>[A-Za-z_$][\w$]*+(?=\s*+:))
    | (?P<word>[A-Za-z_$][\w$]*+)
    """,
    re.DOTALL | re.VERBOSE,
)
_WORDS: Final = {"None": "null", "undefined": "null", "True": "true", "False": "false"}
_OPENING: Final = {"(": "[", "[": "[", "{": "{"}
_CLOSING: Final = {")": "]", "]": "]", "}": "}"}
_INNER: Final = re.compile(r"\\.|[\"\x00-\x1f]", re.DOTALL)
_MARKS: Final = re.compile(
    r"['\u201c\u201d\u201e\u2018(#]|(?<![\w+/=])//|/\*|\b(?:None|True|False|undefined)\b|[{,]\s*+[A-Za-z_$][\w$]*+\s*+:"
)


class Respelled(NamedTuple):
    """A value as JSON text, where it ends in the original, and whether its brackets close."""

    text: str
    end: int
    closed: bool


def loose_mark(text: str, start: int) -> int | None:
    """Return where, from ``start`` on, something may be another spelling than JSON's; None for nowhere."""
    match = _MARKS.search(text, start)
    return match.start() if match else None


def respell(text: str, start: int) -> Respelled:
    """Return the bracketed value that begins at ``start`` in JSON's spelling, as far as it goes."""
    out: list[str] = []
    position, depth = start, 0
    for count, match in enumerate(_TOKEN.finditer(text, start)):
        if count > MAX_TOKENS:
            break
        out.append(text[position : match.start()])
        token, position = match.group(), match.end()
        kind = match.lastgroup
        if kind == "bracket":
            depth += 1 if token in _OPENING else -1
            out.append(_OPENING.get(token) or _CLOSING[token])
            if depth <= 0:
                return Respelled("".join(out), position, closed=True)
        elif kind in ("single", "smart"):
            out.append(_as_json_string(token))
        elif kind == "key":
            out.append(f'"{token}"')
        elif kind == "word":
            out.append(_WORDS.get(token, token))
        elif kind != "comment":
            out.append(token)
    out.append(text[position:])
    return Respelled("".join(out), len(text), closed=False)


def _as_json_string(token: str) -> str:
    closed = len(token) > 1 and token[-1] in "'\u2019\u201d\u201c"
    inner = _INNER.sub(_escape, token[1:-1] if closed else token[1:])
    return f'"{inner}"' if closed else f'"{inner}'


def _escape(match: re.Match[str]) -> str:
    """Return one character, escaped or not, as a JSON string holds it."""
    mark = match.group()
    if len(mark) == 2:
        return "'" if mark[1] == "'" else mark
    return '\\"' if mark == '"' else f"\\u{ord(mark):04x}"


def unescaped(text: str) -> str | None:
    """Return text that was logged as the inside of a JSON string as it was; None for any other.

    There the first quotation mark is an escaped one.
    """
    first = text.find('"')
    if first < 1 or text[first - 1] != "\\":
        return None
    whole = text.replace("\\\\", "\0")
    for escape, meant in (
        ('\\"', '"'),
        ("\\n", "\n"),
        ("\\r", "\r"),
        ("\\t", "\t"),
        ("\\/", "/"),
        ("\\'", "'"),
    ):
        whole = whole.replace(escape, meant)
    return whole.replace("\0", "\\")
