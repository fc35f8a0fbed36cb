"""The models that the simulated service knows: families, thinking rules, image tokens.

The facts are the vendor's pages as read on 2026-11-21; they only shape the simulator's answers
(token counts, refusals, which persona stands for a model), never the harness's own behaviour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model of the simulated service.

    ``persona``: who answers where the URL names no persona. ``thinking_budget``: the least and
    the largest budget it accepts, or None where it takes levels only. ``thinking_levels``: what it
    accepts instead. ``default_thoughts``: median thinking tokens where the request sets nothing.
    ``image_tokens``: ``tiles`` (Gemini 2.5) or ``fixed`` (Gemini 3 and later). ``gone``: shut down.
    """

    persona: str
    thinking_budget: tuple[int, int] | None = None
    thinking_levels: tuple[str, ...] = ()
    default_thoughts: int = 0
    image_tokens: str = "fixed"
    gone: bool = False


ALL_LEVELS = ("minimal", "low", "medium", "high")
NO_MINIMAL = ("low", "medium", "high")

MODELS: dict[str, SimulatedModel] = {
    "gemini-2.5-flash": SimulatedModel("png-masks", (0, 24576), (), 700, "tiles"),
    "gemini-2.5-pro": SimulatedModel("png-masks", (128, 32768), (), 1500, "tiles"),
    "gemini-2.5-flash-lite": SimulatedModel("leaked-tokens", (0, 24576), (), 0, "tiles"),
    "gemini-robotics-er-1.5-preview": SimulatedModel("polygons", (0, 24576), (), 400, "tiles", gone=True),
    "gemini-robotics-er-1.6-preview": SimulatedModel("polygons", (0, 24576), (), 400, "tiles", gone=True),
    "gemini-robotics-er-2-preview": SimulatedModel("polygons", (0, 24576), ALL_LEVELS, 400),
    "gemini-3-flash-preview": SimulatedModel("polygon-points", (0, 24576), ALL_LEVELS, 900),
    "gemini-3.1-pro-preview": SimulatedModel("polygon-points", (128, 32768), NO_MINIMAL, 1800),
    "gemini-3.1-flash-lite": SimulatedModel("polygon-points", (0, 24576), ALL_LEVELS, 60),
    "gemini-3.5-flash": SimulatedModel("polygons", (0, 24576), ALL_LEVELS, 900),
    "gemini-3.5-flash-lite": SimulatedModel("polygons", (0, 24576), ALL_LEVELS, 60),
    "gemini-3.6-flash": SimulatedModel("polygon-points", (0, 24576), ALL_LEVELS, 800),
    "gemini-3.8-flash": SimulatedModel("polygon-points", (0, 24576), NO_MINIMAL, 800),
    "gemini-4-argon": SimulatedModel("polygon-points", None, NO_MINIMAL, 1200),
}
"""Developer API ids; Vertex serves the same."""

SEGMENTATION_MODEL = "image-segmentation-001"

LEVEL_THOUGHTS = {"minimal": 0, "low": 250, "medium": 700, "high": 1600}
"""Median thinking tokens of a level: plausible sizes, not measured."""

FIXED_IMAGE_TOKENS = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240, "default": 1120}
"""Gemini 3 image tokens by media resolution (vendor page, read 2026-11-21)."""

TILED_IMAGE_TOKENS = {"low": 64, "medium": 256}
"""Gemini 2.5 image tokens where a media resolution is asked (vendor page, read 2026-11-21)."""

TOKENS_PER_TILE = 258


def image_tokens(model: str, width_px: int, height_px: int, resolution: str = "default") -> int:
    """Return the prompt tokens of one image, by the vendor's published rule (read 2026-11-21).

    Gemini 2.5: 258 where both sides are at most 384 px, else 258 for each crop of
    ``floor(min(width, height) / 1.5)`` px. Later families: a fixed number per resolution.
    """
    known = MODELS.get(model)
    if known is None or known.image_tokens == "fixed":
        return FIXED_IMAGE_TOKENS.get(resolution, FIXED_IMAGE_TOKENS["default"])
    if resolution in TILED_IMAGE_TOKENS:
        return TILED_IMAGE_TOKENS[resolution]
    if max(width_px, height_px) <= 384:
        return TOKENS_PER_TILE
    crop_px = max(1, math.floor(min(width_px, height_px) / 1.5))
    return math.ceil(width_px / crop_px) * math.ceil(height_px / crop_px) * TOKENS_PER_TILE


def text_tokens(text: str) -> int:
    """Return a plausible token count of a text: four characters to a token."""
    return math.ceil(len(text) / 4)
