"""Bodies of chat completions: what is sent, and what an answer says. Pure and without the SDK.

Names and nesting: platform.openai.com/docs/api-reference/chat, read 2026-11-25; vLLM, SGLang, Ollama, LM Studio,
OpenRouter and LiteLLM speak the same.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.config.models import GenerationConfig
from evalkit.config.prompts import Prompt
from evalkit.errors import DataError
from evalkit.images import ImageBytes, read_image
from evalkit.models.bodies import encodable, json_object, mapping, objects, token_count, word
from evalkit.models.http.errors import error_words
from evalkit.types import SIMULATED_ID, ImageRef, Response, Usage

JsonObject = dict[str, Any]

MOST_USD = 1000.0
"""What is above this is no cost of one answer."""

FILTERED = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "responsibleaipolicyviolation",
        "cyber_policy_violation",
    }
)
"""Codes of an error by which a policy stops a question before a model sees it."""


def chat_settings(generation: GenerationConfig, prompt: Prompt, *, at_openai: bool) -> JsonObject:
    """Return all of a request but its messages and model: only what is set.

    OpenAI bounds answers by ``max_completion_tokens`` and is told whether to keep them; other services know
    ``max_tokens`` alone.
    """
    schema = generation.response_schema or prompt.response_schema
    limit = "max_completion_tokens" if at_openai else "max_tokens"
    settings = {
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        limit: generation.max_output_tokens,
        "reasoning_effort": generation.thinking_level,
        "response_format": response_format(schema, generation.response_mime_type),
        "service_tier": generation.service_tier,
        "store": generation.store if at_openai or generation.store else None,
    }
    return {key: value for key, value in settings.items() if value is not None}


def response_format(schema: Mapping[str, Any] | None, mime_type: str | None) -> JsonObject | None:
    """Return the structured output that is asked for; ``strict`` where the schema allows it, which enforces it."""
    if schema is None:
        return {"type": "json_object"} if mime_type is not None else None
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": _is_closed(schema)},
    }


def _is_closed(schema: Any) -> bool:
    """Tell whether every object of a schema names all its members as required and allows no others."""
    if isinstance(schema, list):
        return all(_is_closed(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    inner = schema.get("properties")
    if isinstance(inner, Mapping):
        closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(inner)
        return closed and all(_is_closed(item) for item in inner.values())
    return schema.get("type") != "object" and all(_is_closed(item) for item in schema.values())


def user_message(image: ImageBytes, text: str, detail: str | None) -> JsonObject:
    """Return one user message: the picture as a data URL, then the text."""
    url = f"data:{image.mime_type};base64,{base64.b64encode(image.data).decode('ascii')}"
    picture = {"url": url} | ({"detail": detail} if detail else {})
    return {
        "role": "user",
        "content": [{"type": "image_url", "image_url": picture}, {"type": "text", "text": text}],
    }


def opening_messages(
    prompt: Prompt, system: str | None, directory: Path, detail: str | None
) -> list[JsonObject]:
    """Return what stands before the question: the system's text, and the prompt's examples with their answers.

    Their paths start from ``directory``. Raises ``DataError`` where a picture is missing.
    """
    messages: list[JsonObject] = [] if system is None else [{"role": "system", "content": system}]
    for example in prompt.examples:
        image = read_image(ImageRef(str(directory / example.image)))
        text = prompt.render(example.expression, (image.width_px, image.height_px))
        messages += [
            user_message(image, text, detail),
            {"role": "assistant", "content": example.answer},
        ]
    return messages


def holds_answer(data: Mapping[str, Any]) -> bool:
    """Tell whether a 200 body is an answer: one choice at least, with a message and without an error of its own."""
    choices = objects(data.get("choices"))
    if not choices or not isinstance(choices[0].get("message"), dict):
        return False
    return not (data.get("error") or choices[0].get("error") or choices[0].get("finish_reason") == "error")


def is_filtered(data: Mapping[str, Any]) -> bool:
    """Tell whether an error says that a policy stopped the question: an answer about it, no fault of the wire."""
    flagged = mapping(mapping(data.get("error")).get("metadata"))
    return bool(error_words(data) & FILTERED) or ("flagged_input" in flagged and "reasons" in flagged)


def read_chat_body(body: str) -> Response:
    """Return the answer in a stored body. Raises ``DataError`` where it is no JSON object."""
    data = json_object(body)
    if data is None:
        raise DataError(f"a stored chat answer is not a JSON object: it begins {body[:60]!r}")
    return chat_response(body, data)


def chat_response(body: str, data: Mapping[str, Any]) -> Response:
    """Return the answer in an already parsed body.

    ``reasoning_content`` and the like are thoughts, which are never decoded. A refusal without an answer, and an error
    of ``is_filtered``, are blocks. ``model_version`` names the upstream provider too where a router tells it.
    """
    choices = objects(data.get("choices"))
    choice = choices[0] if choices else {}
    message = mapping(choice.get("message"))
    text = _text(message.get("content"))
    refused = word(message.get("refusal")) is not None and not text
    blocked = "content_filter" if is_filtered(data) else "refusal" if refused else None
    version, upstream = word(data.get("model")), word(data.get("provider"))
    return Response(
        body=body,
        text=text,
        finish_reason=word(choice.get("finish_reason")),
        block_reason=blocked,
        model_version=f"{version} via {upstream}" if version and upstream else version,
        usage=chat_usage(mapping(data.get("usage"))),
        simulated=(word(data.get("id")) or "").startswith(SIMULATED_ID),
    )


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return encodable(content) or None
    texts = [part["text"] for part in objects(content) if isinstance(part.get("text"), str)]
    return encodable("".join(texts)) or None


def chat_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the billed tokens; ``completion_tokens`` holds the reasoning, which is told apart here.

    Where the total shows that it does not (xAI), or the reasoning alone is more, the two stand side by side.
    """
    read, written = token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens"))
    thought = token_count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    cost_usd = _usd(usage.get("cost"))
    if read is None or written is None:
        return Usage(read, written, thought, all_counted=False, cost_usd=cost_usd)
    apart = thought is not None and (
        thought > written
        or (thought > 0 and token_count(usage.get("total_tokens")) == read + written + thought)
    )
    answered = written if apart else written - (thought or 0)
    return Usage(read, answered, thought, cost_usd=cost_usd)


def _usd(value: Any) -> float | None:
    """Return what a router says that an answer cost, USD; None for what is no sum of money."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_USD:
        return None
    return float(value)
