"""Settings, pictures and texts -> what google-genai sends. Nothing here reaches a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.images import ImageBytes, read_image
from evalkit.prompts import Prompt
from evalkit.types import ImageRef

if TYPE_CHECKING:
    from google.genai.types import Content, GenerateContentConfig, Part

    from evalkit.config import GenerationConfig

JSON_MIME_TYPE = "application/json"


def content_config(generation: GenerationConfig, prompt: Prompt) -> GenerateContentConfig:
    """Return the request's settings: only what is set, plus what keeps one call one request.

    A response schema (the config's, else the prompt's) implies the JSON mime type.
    """
    from google.genai import types

    schema = generation.response_schema or prompt.response_schema
    mime_type = generation.response_mime_type or (JSON_MIME_TYPE if schema else None)
    settings: dict[str, Any] = {
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        "max_output_tokens": generation.max_output_tokens,
        "response_mime_type": mime_type,
        "response_json_schema": None if schema is None else dict(schema),
        "media_resolution": _request_resolution(generation.media_resolution),
        "thinking_config": _thinking(generation),
        "safety_settings": _safety(generation.safety_settings),
        "system_instruction": generation.system_instruction,
        "service_tier": generation.service_tier,
        "http_options": (
            types.HttpOptions(extra_body=generation.extra_body) if generation.extra_body else None
        ),
    }
    return types.GenerateContentConfig(
        **{key: value for key, value in settings.items() if value is not None},
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        should_return_http_response=True,
    )


def user_turn(image: ImageBytes, text: str, resolution: str | None, uploaded: str | None = None) -> Content:
    """Return one user turn, image first, then the text, as Google advises for single images.

    ``uploaded``: the URI of the image in the Files API, in place of its bytes.
    """
    from google.genai import types

    part_resolution = _part_resolution(resolution)
    if uploaded is not None:
        picture = types.Part(
            file_data=types.FileData(file_uri=uploaded, mime_type=image.mime_type),
            media_resolution=part_resolution,
        )
    else:
        picture = types.Part(
            inline_data=types.Blob(data=image.data, mime_type=image.mime_type),
            media_resolution=part_resolution,
        )
    return types.Content(role="user", parts=[picture, types.Part(text=text)])


def example_turns(prompt: Prompt, directory: Path) -> list[Content]:
    """Return the prompt's examples as turns: picture and question, then the wanted answer.

    Their paths start from ``directory``. Raises ``DataError`` where a picture is missing.
    """
    from google.genai import types

    turns = []
    for example in prompt.examples:
        image = read_image(ImageRef(str(directory / example.image)))
        turns.append(user_turn(image, prompt.render(example.expression), None))
        answer: list[Part] = [types.Part(text=example.answer)]
        turns.append(types.Content(role="model", parts=answer))
    return turns


def _thinking(generation: GenerationConfig) -> Any:
    from google.genai import types

    settings = {
        "thinking_budget": generation.thinking_budget,
        "thinking_level": None if generation.thinking_level is None else generation.thinking_level.upper(),
        "include_thoughts": generation.include_thoughts,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    return types.ThinkingConfig.model_validate(given) if given else None


def _safety(settings: dict[str, str] | None) -> list[Any] | None:
    """Return safety settings; ``harassment: block_none`` and the API's long names are both understood."""
    from google.genai import types

    if settings is None:
        return None
    return [
        types.SafetySetting.model_validate(
            {"category": _with_prefix(category, "HARM_CATEGORY_"), "threshold": threshold.upper()}
        )
        for category, threshold in settings.items()
    ]


def _with_prefix(word: str, prefix: str) -> str:
    return word.upper() if word.upper().startswith(prefix) else prefix + word.upper()


def _request_resolution(resolution: str | None) -> str | None:
    """``ultra_high`` exists per part only; the others hold for the whole request."""
    return None if resolution in (None, "ultra_high") else f"MEDIA_RESOLUTION_{resolution.upper()}"


def _part_resolution(resolution: str | None) -> Any:
    from google.genai import types

    if resolution != "ultra_high":
        return None
    level = types.PartMediaResolutionLevel.MEDIA_RESOLUTION_ULTRA_HIGH
    return types.PartMediaResolution(level=level)
