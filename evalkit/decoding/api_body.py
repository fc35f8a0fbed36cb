"""A whole generateContent body where an answer's text was expected: what a saved answer often is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

_MARKS: Final = ('"candidate', '"promptFeedback"', '"usageMetadata"', '"prompt_feedback"')
_CAPITAL: Final = re.compile(r"[A-Z]")


@dataclass(frozen=True, slots=True)
class ApiBody:
    """The parts of a body that a verdict rests on; None = not in it."""

    text: str | None
    finish_reason: str | None
    block_reason: str | None
    thought_tokens: int | None


def read_api_body(text: str) -> ApiBody | None:
    """Return what a Gemini API body says, or a list of streamed ones; None where the text is neither.

    Thought parts are no answer. ``candidate`` alone, as some logs keep it, counts too, and so do the
    Python client's spellings (``finish_reason``).
    """
    if text[0] not in "{[" or not any(mark in text for mark in _MARKS):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    chunks = [_read_chunk(chunk) for chunk in (value if isinstance(value, list) else [value])]
    read = [chunk for chunk in chunks if chunk is not None]
    if not read or len(read) != len(chunks):
        return None
    texts = [chunk.text for chunk in read if chunk.text is not None]
    return ApiBody(
        text="".join(texts) if texts else None,
        finish_reason=next((chunk.finish_reason for chunk in reversed(read) if chunk.finish_reason), None),
        block_reason=next((chunk.block_reason for chunk in read if chunk.block_reason), None),
        thought_tokens=next((chunk.thought_tokens for chunk in reversed(read) if chunk.thought_tokens), None),
    )


def _read_chunk(body: Any) -> ApiBody | None:
    """Return one body's parts; None for any other value, an empty ``candidates`` without metadata too."""
    body = _mapping(body)
    candidates = body.get("candidates", body.get("candidate"))
    candidate = candidates[0] if isinstance(candidates, list) and candidates else candidates
    feedback, usage = _member(body, "promptFeedback"), _member(body, "usageMetadata")
    if not any(isinstance(part, dict) for part in (candidate, feedback, usage)):
        return None
    candidate = _mapping(candidate)
    parts = _mapping(candidate.get("content")).get("parts")
    texts = [
        part["text"]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought")
    ]
    thoughts = _member(_mapping(usage), "thoughtsTokenCount")
    return ApiBody(
        text="".join(texts) if texts else None,
        finish_reason=_word(_member(candidate, "finishReason")),
        block_reason=_word(_member(_mapping(feedback), "blockReason")),
        thought_tokens=thoughts if isinstance(thoughts, int) else None,
    )


def _member(value: dict[str, Any], name: str) -> Any:
    """Return a member under its JSON name (``finishReason``) or the Python one (``finish_reason``)."""
    return value.get(name, value.get(_CAPITAL.sub(lambda match: f"_{match.group().lower()}", name)))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
