"""A saved API body where an answer's text was expected: which service wrote it, and what it says.

Read are the bodies of generateContent, Interactions, OpenAI's chat and responses, Anthropic's messages and
Ollama; a stream of server-sent events or of JSON lines of them; a line of a batch result; Vertex image
segmentation, and what google-genai dumps of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

_MARKS: Final = re.compile(
    r'"(?:candidates?|promptFeedback|prompt_feedback|usageMetadata|usage_metadata|choices|outputs?|output_text|'
    r"content|delta|message|response|result|generated_masks|generatedMasks|deployedModelId|event_type|"
    r'output_index|path_delta)"\s*+:'
)
_EVENT_BEGIN: Final = re.compile(r"(?:(?:event|id|retry):[^\n]*+\n|:[^\n]*+\n|\s++)*+data:[ \t]*+[\[{]")
_FINISH: Final = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "max_tokens": "MAX_TOKENS",
    "max_output_tokens": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
}
"""Other services' words for what Gemini calls STOP, MAX_TOKENS and SAFETY."""
_CAPITAL: Final = re.compile(r"[A-Z]")
_MOST_EVENTS: Final = 200_000

Mapping = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiBody:
    """The parts of a body that a verdict rests on; None = not in it."""

    text: str | None = None
    finish_reason: str | None = None
    block_reason: str | None = None
    thought_tokens: int | None = None


def read_api_body(text: str) -> ApiBody | None:
    """Return what a saved body says, or the bodies of a stream together; None where the text is neither.

    Thoughts are no answer. Of a service's own fields the Python client's spellings (``finish_reason``)
    are known too. Several answers in one text (two lines of a batch result) are none.
    """
    if not _MARKS.search(text):
        return None
    if _EVENT_BEGIN.match(text):
        return _joined(_events(text))
    if text[0] not in "{[":
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _joined(_lines(text)) if text[0] == "{" and "\n" in text else None
    return _joined(value) if isinstance(value, list) else _read(value)


def _joined(values: Iterable[Any]) -> ApiBody | None:
    """Return the chunks of one stream as one body; None where one of them is no body."""
    chunks: list[ApiBody] = []
    texts: list[str] = []
    for value in values:
        if isinstance(value, dict) and ("custom_id" in value or "key" in value) and chunks:
            return None
        chunk = _read(value)
        if chunk is None:
            return None
        # The last event of some streams repeats the whole answer.
        if chunk.text is not None and not (len(texts) > 1 and chunk.text == "".join(texts)):
            texts.append(chunk.text)
        chunks.append(chunk)
    if not chunks:
        return None
    return ApiBody(
        text="".join(texts) if texts else None,
        finish_reason=next((chunk.finish_reason for chunk in reversed(chunks) if chunk.finish_reason), None),
        block_reason=next((chunk.block_reason for chunk in chunks if chunk.block_reason), None),
        thought_tokens=next(
            (chunk.thought_tokens for chunk in reversed(chunks) if chunk.thought_tokens), None
        ),
    )


def _events(text: str) -> Iterator[Any]:
    """Yield the data of server-sent events (WHATWG HTML, 9.2); one that is cut off yields no body."""
    data: list[str] = []
    for line in [*text.splitlines()[:_MOST_EVENTS], ""]:
        if line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line.strip() and data:
            whole, data = "\n".join(data), []
            if whole != "[DONE]":
                yield _parsed(whole)


def _lines(text: str) -> Iterator[Any]:
    return (_parsed(line) for line in text.splitlines()[:_MOST_EVENTS] if line.strip())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read(body: Any) -> ApiBody | None:
    """Return one body's parts by the first service that knows it; None for any other value."""
    if not isinstance(body, dict):
        return None
    read = next((read for reader in _SERVICES if (read := reader(body)) is not None), None)
    return read if read is not None else _batch_line(body)


def _batch_line(body: Mapping) -> ApiBody | None:
    """Read a line of a batch result: Gemini's and Vertex's ``response``, OpenAI's, Anthropic's ``result``."""
    for name in ("response", "result"):
        inner = body.get(name)
        if isinstance(inner, dict) and not ("content" in inner and "parts" in inner):
            inner = _mapping(inner.get("body")) or _mapping(inner.get("message")) or inner
            return next((read for reader in _SERVICES if (read := reader(inner)) is not None), None)
    return None


def _gemini(body: Mapping) -> ApiBody | None:
    candidates = body.get("candidates", body.get("candidate"))
    candidate = candidates[0] if isinstance(candidates, list) and candidates else candidates
    feedback, usage = _member(body, "promptFeedback"), _member(body, "usageMetadata")
    if not any(isinstance(part, dict) for part in (candidate, feedback, usage)):
        return None
    candidate = _mapping(candidate)
    thoughts = _member(_mapping(usage), "thoughtsTokenCount")
    return ApiBody(
        text=_texts(_mapping(candidate.get("content")).get("parts")),
        finish_reason=_word(_member(candidate, "finishReason")),
        block_reason=_word(_member(_mapping(feedback), "blockReason")),
        thought_tokens=thoughts if isinstance(thoughts, int) else None,
    )


def _openai_chat(body: Mapping) -> ApiBody | None:
    """Read chat completions and their chunks (``delta``), and the older completions (``text``)."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        return None
    choice = choices[0] if choices else {}
    message = _mapping(choice.get("message")) or _mapping(choice.get("delta"))
    text = choice.get("text") if isinstance(choice.get("text"), str) else _content(message.get("content"))
    details = _mapping(_mapping(body.get("usage")).get("completion_tokens_details"))
    thoughts = details.get("reasoning_tokens")
    read = ApiBody(
        text, finish_word(choice.get("finish_reason")), None, thoughts if isinstance(thoughts, int) else None
    )
    return replace(read, block_reason="refusal") if message.get("refusal") and not text else read


def _openai_responses(body: Mapping) -> ApiBody | None:
    """Read the Responses API: a whole body, or an event of its stream."""
    kind = body.get("type")
    if isinstance(kind, str) and kind.startswith("response."):
        if kind == "response.output_text.delta":
            return ApiBody(text=_word(body.get("delta")))
        body = _mapping(body.get("response"))
    elif kind is not None:
        return None
    output = body.get("output")
    if not isinstance(output, list) or not all(_mapping(part).get("type") for part in output):
        return ApiBody() if kind is not None else None
    texts = [
        text
        for part in output
        if _mapping(part).get("type") == "message" and (text := _content(part.get("content"))) is not None
    ]
    reason = _mapping(body.get("incomplete_details")).get("reason")
    return ApiBody("".join(texts) if texts else None, finish_word(reason or body.get("status")))


def _interactions(body: Mapping) -> ApiBody | None:
    """Read Google's Interactions: typed outputs or steps, or an event of its stream."""
    if isinstance(body.get("event_type"), str):
        delta = _mapping(body.get("delta"))
        text = _word(delta.get("text")) if delta.get("type", "text") == "text" else None
        return (
            ApiBody(text)
            if text is not None or "outputs" not in _mapping(body.get("interaction"))
            else ApiBody()
        )
    outputs = body.get("outputs")
    if not isinstance(outputs, list) or not all(
        isinstance(_mapping(part).get("type"), str) for part in outputs
    ):
        return None
    return (
        ApiBody(_content(outputs), finish_word(body.get("status"))) if outputs or "status" in body else None
    )


def _messages(body: Mapping) -> ApiBody | None:
    """Read Anthropic's messages, and Ollama's chat and generate."""
    message = body.get("message")
    if isinstance(message, dict) and ("done" in body or "model" in body):
        return ApiBody(_content(message.get("content")), finish_word(body.get("done_reason")))
    if isinstance(body.get("response"), str) and "done" in body:
        return ApiBody(body["response"], finish_word(body.get("done_reason")))
    if body.get("type") == "message" or ("stop_reason" in body and "content" in body):
        return ApiBody(_content(body.get("content")), finish_word(body.get("stop_reason")))
    if body.get("type") == "content_block_delta":
        return ApiBody(_word(_mapping(body.get("delta")).get("text")))
    return ApiBody() if body.get("type") in _ANTHROPIC_EVENTS else None


_ANTHROPIC_EVENTS: Final = frozenset(
    {"message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop", "ping"}
)


def _vertex(body: Mapping) -> ApiBody | None:
    """Read Vertex image segmentation without a prediction, and the Python client's dump of one that has some."""
    if "deployedModelId" in body and body.get("predictions") is None and "error" not in body:
        return ApiBody('{"predictions": []}')
    masks = body.get("generated_masks", body.get("generatedMasks"))
    if not isinstance(masks, list):
        return None
    predictions = [
        {"bytesBase64Encoded": _image(_mapping(mask)), "labels": _mapping(mask).get("labels")}
        for mask in masks
    ]
    return ApiBody(json.dumps({"predictions": predictions}))


def _image(mask: Mapping) -> Any:
    return _member(_mapping(mask.get("mask")), "imageBytes")


_SERVICES: Final[tuple[Callable[[Mapping], ApiBody | None], ...]] = (
    _gemini,
    _openai_chat,
    _openai_responses,
    _interactions,
    _vertex,
    _messages,
)


def _texts(parts: Any) -> str | None:
    """Return the text parts of a Gemini answer that are no thoughts."""
    texts = [
        part["text"]
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought")
    ]
    return "".join(texts) if texts else None


def _content(content: Any) -> str | None:
    """Return a message's text: a string, or its typed text parts; thoughts and tool calls are none."""
    if isinstance(content, str):
        return content
    texts = [
        part["text"]
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict)
        and part.get("type", "text") in ("text", "output_text")
        and isinstance(part.get("text"), str)
    ]
    return "".join(texts) if texts else None


def finish_word(reason: Any) -> str | None:
    """Return a finish reason in Gemini's words; a state that is no reason (``completed``) is left as it is."""
    return _FINISH.get(reason, reason) if isinstance(reason, str) else None


def _member(value: Mapping, name: str) -> Any:
    """Return a member under its JSON name (``finishReason``) or the Python one (``finish_reason``)."""
    return value.get(name, value.get(_CAPITAL.sub(lambda match: f"_{match.group().lower()}", name)))


def _mapping(value: Any) -> Mapping:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    return value.removeprefix("FinishReason.") if isinstance(value, str) else None
