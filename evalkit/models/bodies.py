"""What bodies of every service share. Pure and without an SDK, so that scoring stored answers needs none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evalkit.types import Response

PADDING = "\ufeff\0 \t\r\n"
"""What some gateways put around a sound body: a byte order mark before it, NULs after it."""

MOST_TOKENS = 10_000_000
"""A count above this is no count: no model reads or writes so much in one answer."""


def json_object(body: str) -> dict[str, Any] | None:
    """Return the JSON object that ``body`` holds, None where it holds anything else."""
    try:
        data = json.loads(body.strip(PADDING))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def read_text_body(body: str) -> Response:
    """Return an answer whose body is the very text to decode (``provider: python``)."""
    return Response(body=body, text=encodable(body))


def encodable(text: str) -> str:
    """Return ``text`` with what no file can hold replaced: half of a character's escape, cut off by a limit.

    Halves that follow each other (in two parts of one answer) are the character. The body keeps them all.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def token_count(value: Any) -> int | None:
    """Return a count of tokens, None for what is none (negative, absurd, no number)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def word(value: Any) -> str | None:
    """Return a text that is not empty, else None."""
    return encodable(value) if isinstance(value, str) and value else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object's members, none for any other value."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, none for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` with ``extra`` laid over it, mapping by mapping."""
    result = dict(body)
    for key, value in extra.items():
        below = result.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below or {}, value) if nested else value
    return result
