"""Warnings before a run, who answered, and how many tokens a picture takes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from evalkit.config.models import GenerationConfig
from evalkit.models.known_models import (
    availability,
    generation_warnings,
    image_tokens,
    known_models,
    retirement_warnings,
    thinking_asked_off,
    was_routed,
)

TODAY = dt.date(2026, 11, 21)


@pytest.mark.parametrize(
    ("requested", "answered", "routed"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash", False),
        ("gemini-2.5-flash", "gemini-2.5-flash-001", False),
        ("gemini-2.5-flash", "models/gemini-2.5-flash-preview-09-2026", False),
        ("models/gemini-2.5-flash", "gemini-2.5-flash", False),
        ("gemini-2.5-flash", "gemini-3.5-flash-lite", True),
        ("gemini-3.5-flash", "gemini-3.6-flash", True),
        ("gemini-2.5-pro", "gemini-2.5-proxy", True),
        ("gemini-flash-latest", "gemini-3.8-flash", False),
        ("gemini-2.5-flash", None, False),
        ("gemini-2.5-flash", "gemini-2.5-flash-exp-0827", False),
        ("gemini-2.5-flash", "gemini-2.5-flash-latest", False),
        ("gemini-2.5-flash", "gemini-2.5-flash@20260617", False),
        ("gemini-3.5-flash", "gemini-3.5-flash-lite", True),
        ("gemini-2.5-flash", "gemini-2.5-flash-lite-001", True),
        ("gemini-2.5-flash", "gemini-2.5-flash-image", True),
        ("gemini-2.5-flash", "gemini-2.5-flash-preview-tts", True),
    ],
)
def test_routing_is_seen_in_the_version(requested: str, answered: str | None, routed: bool) -> None:
    """The version must be the id that was asked for, or a revision of it."""
    assert was_routed(requested, answered) is routed


@pytest.mark.parametrize(
    ("model", "settings", "word"),
    [
        ("gemini-2.5-pro", {"thinking_budget": 0}, "cannot be switched off"),
        ("gemini-2.5-flash", {"thinking_budget": 30000}, "outside 0 to 24576"),
        ("gemini-2.5-flash", {"thinking_level": "low"}, "use thinking_budget"),
        ("gemini-4-argon", {"thinking_budget": 0}, "use thinking_level"),
        ("gemini-3.8-flash", {"thinking_level": "minimal"}, "not accepted"),
        ("gemini-3.8-flash", {"temperature": 0.0}, "ignored"),
        ("gemini-2.5-flash", {"max_output_tokens": 100_000}, "above the model's 65536"),
        ("gemini-9-unheard-of", {}, "not in the list"),
    ],
)
def test_settings_a_model_refuses_are_warned_of(model: str, settings: dict[str, Any], word: str) -> None:
    """One clear sentence that names the model."""
    (warning,) = generation_warnings(model, GenerationConfig.model_validate(settings))
    assert word in warning
    assert model in warning


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("gemini-2.5-flash", {"thinking_budget": 0, "temperature": 0.0, "max_output_tokens": 8192}),
        ("gemini-2.5-flash", {"thinking_budget": -1}),
        ("gemini-3.8-flash", {"thinking_level": "low"}),
        ("gemini-3-flash-preview", {"thinking_level": "MINIMAL"}),
    ],
)
def test_good_settings_give_no_warning(model: str, settings: dict[str, Any]) -> None:
    """No noise."""
    assert generation_warnings(model, GenerationConfig.model_validate(settings)) == []


def test_retirements_are_told_in_time() -> None:
    """Past and near events warn, far ones do not; a 404 tells all."""
    assert "gemini-3.5-flash-lite from 2026-12-01" in retirement_warnings("gemini-2.5-flash", TODAY)[0]
    assert "was shut down on 2026-08-31" in retirement_warnings("gemini-robotics-er-1.6-preview", TODAY)[0]
    assert retirement_warnings("gemini-3.1-flash-lite", TODAY) == []
    assert "2027-05-07" in availability("gemini-3.1-flash-lite", TODAY)
    assert availability("gemini-9", TODAY) == ""


def test_every_event_has_a_source() -> None:
    """Dates without a source are rumours."""
    assert all(event.source for known in known_models().values() for event in known.events)


def test_image_tokens_follow_the_published_rule() -> None:
    """2.5: 258 when small, else by tile; later models by media resolution."""
    assert image_tokens("gemini-2.5-flash", 384, 384) == 258
    assert image_tokens("gemini-2.5-flash", 960, 540) == 6 * 258  # tiles of 360 px: 3 x 2
    assert image_tokens("gemini-2.5-flash", 960, 540, "low") == 64
    assert image_tokens("gemini-3.8-flash", 4000, 3000) == 1120
    assert image_tokens("gemini-3.8-flash", 100, 100, "low") == 280


def test_thinking_off_is_a_budget_of_zero() -> None:
    """Unset is not off."""
    assert thinking_asked_off(GenerationConfig(thinking_budget=0))
    assert not thinking_asked_off(GenerationConfig())
