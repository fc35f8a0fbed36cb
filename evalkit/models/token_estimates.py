"""About how many tokens a question and its answer take, before anything is sent. Pure.

Image tokens follow the vendor's published rule. What a model writes is assumed: the figures below
are typical sizes, not measurements of a model; a run's own usage replaces them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.config.prompts import Prompt
from evalkit.models.known_models import image_tokens, known_models, short_id
from evalkit.types import Usage

if TYPE_CHECKING:
    from evalkit.config.models import PromptedEntry

CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = {"png_data_url": 600, "polygon_pairs": 350, "box_only": 80}
OTHER_ANSWER_TOKENS = 600
THOUGHT_TOKENS = {"minimal": 0, "low": 300, "medium": 800, "high": 2000}
DEFAULT_THOUGHT_TOKENS = 1000
LARGEST_OUTPUT_TOKENS = 65_536


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Tokens of one request: ``image`` and ``text`` go in; ``output`` (thoughts included) comes out.

    ``most_output``: the most that one answer can have.
    """

    image: int
    text: int
    output: int
    most_output: int

    @property
    def usage(self) -> Usage:
        """Return the estimate as the usage a price is multiplied with."""
        return Usage(self.image + self.text, self.output, 0)


def estimate_tokens(
    entry: PromptedEntry, prompt: Prompt, text: str, width_px: int, height_px: int
) -> TokenEstimate:
    """Return the estimate for one question to a Gemini-like entry; the image as it is sent, in pixels."""
    resolution = entry.generation.media_resolution
    per_image = image_tokens(entry.model, width_px, height_px, resolution)
    shown = "".join(example.answer + prompt.render(example.expression) for example in prompt.examples)
    system = entry.generation.system_instruction or ""
    most_output = most_output_tokens(entry)
    return TokenEstimate(
        image=per_image * (1 + len(prompt.examples)),
        text=math.ceil(len(text + shown + system) / CHARACTERS_PER_TOKEN),
        output=min(
            ANSWER_TOKENS.get(prompt.asked.wire_format or "", OTHER_ANSWER_TOKENS) + thought_tokens(entry),
            most_output,
        ),
        most_output=most_output,
    )


def thought_tokens(entry: PromptedEntry) -> int:
    """Return about how many tokens the settings let a model think."""
    generation = entry.generation
    if generation.thinking_budget is not None and generation.thinking_budget >= 0:
        return int(min(generation.thinking_budget, DEFAULT_THOUGHT_TOKENS))
    if generation.thinking_level is not None:
        return THOUGHT_TOKENS.get(generation.thinking_level.lower(), DEFAULT_THOUGHT_TOKENS)
    return 0 if short_id(entry.model).endswith("flash-lite") else DEFAULT_THOUGHT_TOKENS


def most_output_tokens(entry: PromptedEntry) -> int:
    """Return the most tokens one answer can have: the setting, else the model's own limit."""
    if entry.generation.max_output_tokens is not None:
        return int(entry.generation.max_output_tokens)
    known = known_models().get(short_id(entry.model))
    return (known.max_output_tokens if known else None) or LARGEST_OUTPUT_TOKENS
