"""Chat completions over the same answers: a request read into what was asked, an answer written as a choice.

Names and nesting: platform.openai.com/docs/api-reference/chat, read 2026-11-25.
"""

from __future__ import annotations

import json
from typing import Any

from evalkit.simulator import gemini_wire, wire_errors
from evalkit.simulator import model_table as catalogue
from evalkit.simulator.answering import Responder, TimedMessage
from evalkit.simulator.gemini_wire import ParsedRequest
from evalkit.simulator.http import Call, Reply
from evalkit.simulator.wire_errors import ApiError, bad_argument

OTHER_MODEL = catalogue.SimulatedModel("pixel-polygons", None, catalogue.ALL_LEVELS, 0)
"""Any id that is no Gemini model is served too, as gateways serve what they are configured for."""

FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length", "SAFETY": "content_filter"}

REFUSAL = "I'm sorry, but I can't help with that."


def complete(responder: Responder, call: Call, request: dict[str, Any]) -> TimedMessage:
    """Return the answer to a body of chat completions (camelCase). Raises ``ApiError``."""
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise bad_argument("you must provide a model parameter")
    call.model = model
    known = catalogue.MODELS.get(model, OTHER_MODEL)
    if known.gone:
        raise wire_errors.retired_model(model)
    timed = responder.reply(call, model, known, read_chat(request))
    return TimedMessage(chat_message(timed.message), timed.injected, timed.latency_s)


def read_chat(request: dict[str, Any]) -> ParsedRequest:
    """Return what a request asks. Raises ``ApiError`` where its messages are none, or hold no readable image."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages) or not messages:
        raise bad_argument("Invalid type for 'messages': expected an array of messages.")
    texts, images = [], []
    for message in messages:
        content = message.get("content")
        parts = [{"text": content}] if isinstance(content, str) else content
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict) and "imageUrl" in part:
                images.append(data_url_bytes((part["imageUrl"] or {}).get("url")))
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                texts.append(part["text"])
    return ParsedRequest(
        texts=tuple(texts),
        image=images[-1] if images else None,
        image_sizes_px=tuple(gemini_wire.image_size_px(data) for data in images),
        generation=_generation(request),
    )


def _generation(request: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under Gemini's names."""
    level = request.get("reasoningEffort")
    given = {
        "seed": request.get("seed"),
        "maxOutputTokens": request.get("maxCompletionTokens") or request.get("maxTokens"),
        "thinkingConfig": None if level is None else {"thinkingLevel": level},
    }
    return {key: value for key, value in given.items() if value is not None}


def data_url_bytes(url: Any) -> bytes:
    """Return the bytes of a data URL. Raises ``ApiError`` for anything else."""
    if not isinstance(url, str) or not url.startswith("data:image/") or ";base64," not in url:
        raise bad_argument("Invalid image_url: expected a base64-encoded data URL with an image MIME type.")
    return gemini_wire.decode_base64(url.split(";base64,", 1)[1])


def chat_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a ``generateContent`` answer as a chat completion; a blocked prompt is a refusal."""
    candidate = (message.get("candidates") or [{}])[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    texts = [part["text"] for part in parts if not part.get("thought")]
    refused = "promptFeedback" in message
    usage = message["usageMetadata"]
    thoughts, written = usage.get("thoughtsTokenCount", 0), usage.get("candidatesTokenCount", 0)
    return {
        "id": message["responseId"],
        "object": "chat.completion",
        "model": message["modelVersion"],
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "".join(texts) if texts else None,
                    "refusal": REFUSAL if refused else None,
                },
                "finish_reason": FINISH.get(candidate.get("finishReason", "STOP"), "stop"),
            }
        ],
        "usage": {
            "prompt_tokens": usage["promptTokenCount"],
            "completion_tokens": written + thoughts,
            "total_tokens": usage["promptTokenCount"] + written + thoughts,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thoughts},
        },
    }


def error_reply(error: ApiError) -> Reply:
    """Return an error as chat services answer it: ``{"error": {"message", "type", "code"}}``."""
    facts: list[dict[str, Any]] = error.error.get("details", [])
    delays = [fact["retryDelay"].removesuffix("s") for fact in facts if "retryDelay" in fact]
    status, code = error.http_status, str(error.error["status"]).lower()
    if any(fact.get("reason") == "API_KEY_INVALID" for fact in facts) or code == "permission_denied":
        status, code = (401, "invalid_api_key") if status == 400 else (status, "forbidden")
    elif status == 429:
        code = "rate_limit_exceeded" if delays else "insufficient_quota"
    elif status == 404:
        code = "model_not_found"
    told = {"message": error.error["message"], "type": code, "param": None, "code": code}
    headers = {"retry-after": delays[0]} if delays else {}
    return Reply(status, json.dumps({"error": told}).encode(), headers=headers)
