"""A whole generateContent body where an answer's text was expected: what a saved answer often is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ApiBody:
    """The parts of a body that a verdict rests on; None = not in it."""

    text: str | None
    finish_reason: str | None
    block_reason: str | None
    thought_tokens: int | None


def read_api_body(text: str) -> ApiBody | None:
    """Return what a Gemini API body says; None where the text is no such body.

    Thought parts are no answer. ``candidate`` alone, as some logs keep it, counts too.
    """
    if not text.startswith("{") or not ('"candidate' in text or '"promptFeedback"' in text):
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    candidates = body.get("candidates", body.get("candidate"))
    candidate = candidates[0] if isinstance(candidates, list) and candidates else candidates
    feedback = _mapping(body.get("promptFeedback"))
    if not isinstance(candidate, dict) and not feedback:
        return None
    candidate = _mapping(candidate)
    parts = _mapping(candidate.get("content")).get("parts")
    texts = [
        part["text"]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought")
    ]
    thoughts = _mapping(body.get("usageMetadata")).get("thoughtsTokenCount")
    return ApiBody(
        text="".join(texts) if texts else None,
        finish_reason=_word(candidate.get("finishReason")),
        block_reason=_word(feedback.get("blockReason")),
        thought_tokens=thoughts if isinstance(thoughts, int) else None,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
