"""A model entry for a bare id: what `evalkit ask` sends and what `evalkit init` writes."""

from __future__ import annotations

from typing import Any

from evalkit.config.models import GenerationConfig
from evalkit.models.known_models import known_models, short_id
from evalkit.models.python import FLOORS

DEFAULT_OUTPUT_TOKENS = 8192


def suggested_entry(name: str) -> dict[str, Any]:
    """Return a model entry for a bare id, with the prompt and settings that suit its family.

    Models with a thinking budget of 0 are asked for PNG masks without thinking, all others for polygons.
    """
    if name in FLOORS:
        return {"name": name, "provider": "python", "function": name}
    known = known_models().get(short_id(name))
    generation: dict[str, Any] = {"max_output_tokens": DEFAULT_OUTPUT_TOKENS}
    prompt = "polygon"
    if known is not None and known.thinking_budget is not None and known.thinking_budget[0] == 0:
        prompt, generation["thinking_budget"] = "google-mask", 0
    elif known is not None and known.thinking_levels:
        generation["thinking_level"] = known.thinking_levels[0]
    settings = GenerationConfig.model_validate(generation).model_dump(exclude_unset=True)
    return {"name": name, "provider": "gemini", "model": name, "prompt": prompt, "generation": settings}
