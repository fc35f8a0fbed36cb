"""Bodies of ``generateContent``: reading what was asked, writing what is answered."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalkit.simulator import model_table as catalogue
from evalkit.simulator.answer_builder import SimulatedAnswer
from evalkit.simulator.model_table import SimulatedModel
from evalkit.simulator.wire_errors import bad_argument
from evalkit.types import SIMULATED_ID

CHARACTERS_PER_TOKEN = 4

CALLERS_OWN = (
    "metadata",
    "labels",
    "response_schema",
    "responseSchema",
    "response_json_schema",
    "responseJsonSchema",
)
"""Fields whose content is the caller's: its keys are no field names."""

THOUGHT_SUMMARY = "Looking for the described object, then tracing its outline."

ReadFile = Callable[[str], bytes]
"""File URI -> its bytes; raises ``ApiError`` where there is no such file."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What one request asks.

    ``texts``: its text parts in order. ``image``: the bytes of the last image, None without one.
    ``image_sizes_px``: (width, height) of every image. ``generation``: generationConfig in camelCase.
    """

    texts: tuple[str, ...]
    image: bytes | None
    image_sizes_px: tuple[tuple[int, int], ...]
    generation: dict[str, Any]


def parse_json(body: bytes) -> dict[str, Any]:
    """Return a request body with camelCase keys throughout. Raises ``ApiError`` 400."""
    try:
        parsed = json.loads(body or b"{}")
        folded = fold_keys(parsed)
    except (ValueError, RecursionError) as error:
        raise bad_argument(f"Invalid JSON payload received. {error}") from error
    if not isinstance(parsed, dict):
        raise bad_argument("Invalid JSON payload received. Root element must be a message.")
    assert isinstance(folded, dict)
    return folded


def fold_keys(value: Any) -> Any:
    """Return ``value`` with every key in camelCase: clients mix both spellings in one request."""
    if isinstance(value, dict):
        return {
            re.sub(r"_([a-z])", lambda found: found[1].upper(), str(key)): (
                item if key in CALLERS_OWN else fold_keys(item)
            )
            for key, item in value.items()
        }
    return [fold_keys(item) for item in value] if isinstance(value, list) else value


def decode_base64(text: str) -> bytes:
    """Decode standard or URL-safe base64, padded or not. Raises ``ApiError`` 400."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_argument(f"Invalid value at 'contents.parts.inline_data.data': {error}") from error


def read_request(request: dict[str, Any], read_file: ReadFile) -> ParsedRequest:
    """Return what a ``generateContent`` body (camelCase) asks. Raises ``ApiError``."""
    contents = request.get("contents") or []
    contents = contents if isinstance(contents, list) else [contents]
    if not all(isinstance(content, dict) for content in contents):
        raise bad_argument("Invalid value at 'contents': each content is a message with parts.")
    parts = [part for content in contents for part in content.get("parts") or []]
    if not all(isinstance(part, dict) for part in parts):
        raise bad_argument("Invalid value at 'contents.parts': each part is a message.")
    if not parts:
        raise bad_argument("* GenerateContentRequest.contents: contents is not specified")
    images = [data for part in parts if (data := _image_bytes(part, read_file)) is not None]
    return ParsedRequest(
        texts=tuple(part["text"] for part in parts if isinstance(part.get("text"), str)),
        image=images[-1] if images else None,
        image_sizes_px=tuple(image_size_px(data) for data in images),
        generation=request.get("generationConfig") or {},
    )


def _image_bytes(part: dict[str, Any], read_file: ReadFile) -> bytes | None:
    if "inlineData" in part:
        return decode_base64(part["inlineData"].get("data", ""))
    if "fileData" in part:
        return read_file(part["fileData"].get("fileUri", ""))
    return None


def image_size_px(data: bytes) -> tuple[int, int]:
    """Return (width, height) from an image's header. Raises ``ApiError`` 400 for anything else."""
    from PIL import Image, UnidentifiedImageError

    if data[4:8] == b"ftyp":  # HEIC needs an optional library; only the token count depends on it
        return 1024, 1024
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (UnidentifiedImageError, OSError) as error:
        raise bad_argument("Unable to process input image. Please retry or report.") from error


def check_thinking(model: str, known: SimulatedModel, generation: dict[str, Any]) -> None:
    """Raise ``ApiError`` 400 where the model does not take the thinking settings of the request."""
    thinking = generation.get("thinkingConfig") or {}
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise bad_argument("You can only set one of thinking budget and thinking level.")
    if level is not None and str(level).lower() not in known.thinking_levels:
        raise bad_argument(f"Thinking level {level} is not supported for this model: {model}.")
    if budget is None or budget == -1:
        return
    if known.thinking_budget is None:
        raise bad_argument(f"Thinking budget is not supported for this model: {model}. Use thinking level.")
    least, largest = known.thinking_budget
    if not least <= budget <= largest:
        raise bad_argument(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and {largest}."
        )


def thought_tokens(known: SimulatedModel, generation: dict[str, Any], rng: np.random.Generator) -> int:
    """Return how long the model thinks, by the request's settings; 0 where it is switched off."""
    thinking = generation.get("thinkingConfig") or {}
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    median = known.default_thoughts
    if level is not None:
        median = catalogue.LEVEL_THOUGHTS.get(str(level).lower(), median)
    spread = float(rng.lognormal(0.0, 0.4))
    wanted = round(median * spread)
    return min(wanted, budget) if budget is not None and budget >= 0 else wanted


def prompt_tokens(model: str, asked: ParsedRequest) -> dict[str, int]:
    """Return the prompt's tokens by modality; IMAGE is left out where there is none."""
    resolution = str(asked.generation.get("mediaResolution", "default"))
    resolution = resolution.removeprefix("MEDIA_RESOLUTION_").lower()
    tokens = {"TEXT": sum(catalogue.text_tokens(text) for text in asked.texts)}
    if asked.image_sizes_px:
        tokens["IMAGE"] = sum(
            catalogue.image_tokens(model, width, height, resolution) for width, height in asked.image_sizes_px
        )
    return tokens


def answer_body(
    answer: SimulatedAnswer, asked: ParsedRequest, model: str, known: SimulatedModel, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the response message: candidates, usage, version and id, cut at maxOutputTokens."""
    prompt = prompt_tokens(model, asked)
    usage: dict[str, Any] = {
        "promptTokenCount": sum(prompt.values()),
        "promptTokensDetails": [
            {"modality": modality, "tokenCount": count} for modality, count in prompt.items()
        ],
    }
    limit = int(asked.generation.get("maxOutputTokens") or 65536)
    thoughts = min(thought_tokens(known, asked.generation, rng), limit)
    body: dict[str, Any] = {}
    if answer.block_reason is not None:
        thoughts = 0
        body["promptFeedback"] = {"blockReason": answer.block_reason}
    else:
        thoughts = limit if answer.thinking_used_budget else thoughts
        text, finish_reason = _within(answer, limit - thoughts)
        body["candidates"] = [_candidate(text, finish_reason, thoughts, asked.generation)]
        if text:
            usage["candidatesTokenCount"] = catalogue.text_tokens(text)
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    usage["totalTokenCount"] = usage["promptTokenCount"] + thoughts + usage.get("candidatesTokenCount", 0)
    identity = SIMULATED_ID + base64.urlsafe_b64encode(rng.bytes(16)).decode("ascii").rstrip("=")
    return {**body, "usageMetadata": usage, "modelVersion": model, "responseId": identity}


def _within(answer: SimulatedAnswer, tokens_left: int) -> tuple[str | None, str]:
    """Return the text and finish reason after cutting at the tokens that are left."""
    if answer.text is None or catalogue.text_tokens(answer.text) <= tokens_left:
        return answer.text, answer.finish_reason
    return answer.text[: tokens_left * CHARACTERS_PER_TOKEN] or None, "MAX_TOKENS"


def _candidate(
    text: str | None, finish_reason: str, thoughts: int, generation: dict[str, Any]
) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if thoughts and (generation.get("thinkingConfig") or {}).get("includeThoughts"):
        parts.append({"text": THOUGHT_SUMMARY, "thought": True})
    if text is not None:
        parts.append({"text": text})
    content: dict[str, Any] = {"parts": parts} if parts else {}
    if finish_reason == "SAFETY" and not parts:
        return {"finishReason": finish_reason, "index": 0}
    return {"content": {**content, "role": "model"}, "finishReason": finish_reason, "index": 0}
