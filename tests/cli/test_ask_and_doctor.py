"""evalkit ask and evalkit doctor, against the simulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.models.suggested import suggested_entry
from evalkit.types import Sample

SECRET = "AIza-a-key-that-must-never-be-written-anywhere"


def config_at(path: Path, *models: dict[str, Any]) -> str:
    """Write a config of models and return its path."""
    path.write_text(json.dumps({"name": "t", "datasets": [{"name": "everyday"}], "models": list(models)}))
    return str(path)


def test_ask_shows_verdicts_side_by_side(
    simulate: Callable[..., Any], samples: list[Sample], tmp_path: Path
) -> None:
    """A mask, a failure and a fault: one panel each, the raw answer and the cost in the text."""
    simulator = simulate({"kind": "not_found", "model": "gemini-2.5-pro"})

    def entry(name: str, persona: str, model: str = "gemini-2.5-flash") -> dict[str, Any]:
        return {"name": name, "provider": "gemini", "model": model, "base_url": simulator.url_for(persona)}

    config = config_at(
        tmp_path / "c.yaml",
        entry("good", "perfect"),
        entry("leaky", "leaked-tokens"),
        entry("gone", "perfect", "gemini-2.5-pro"),
    )
    out = tmp_path / "ask.png"
    image = samples[0].image.path
    result = CliRunner().invoke(
        main, ["ask", image, samples[0].expression, "--config", config, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "good: decoded, 1 mask(s), png_data_url" in result.output
    assert "gone: not run" in result.output
    assert "USD" in result.output
    with Image.open(out) as picture:
        assert picture.width == 3 * 64 + 4 * 10


def test_ask_names_models_without_a_config(samples: list[Sample], tmp_path: Path) -> None:
    """Floors need no key; a Gemini id gets the prompt and settings of its family."""
    out = tmp_path / "ask.png"
    image = samples[0].image.path
    result = CliRunner().invoke(
        main, ["ask", image, "it", "--models", "centre-box,whole-image", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "centre-box: decoded" in result.output
    flash, argon = suggested_entry("gemini-2.5-flash"), suggested_entry("gemini-4-argon")
    assert (flash["prompt"], flash["generation"]["thinking_budget"]) == ("google-mask", 0)
    assert (argon["prompt"], argon["generation"]["thinking_level"]) == ("polygon", "low")


def test_ask_without_a_key_says_so(samples: list[Sample], tmp_path: Path) -> None:
    """Exit 2, one paragraph, no picture."""
    out = tmp_path / "ask.png"
    result = CliRunner().invoke(main, ["ask", samples[0].image.path, "it", "--out", str(out)])
    assert result.exit_code == 2
    assert "GEMINI_API_KEY" in result.output
    assert not out.exists()


def test_doctor_finds_endpoint_models_and_clock(
    simulate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model of the config is looked up; the key is named, never shown."""
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    url = simulate().url_for("perfect")
    good = {"name": "good", "provider": "gemini", "model": "gemini-3.8-flash", "base_url": url}
    result = CliRunner().invoke(main, ["doctor", config_at(tmp_path / "c.yaml", good)])
    assert result.exit_code == 0, result.output
    assert "GEMINI_API_KEY set" in result.output
    assert SECRET not in result.output
    assert "knows models/gemini-3.8-flash" in result.output
    assert "clock: within" in result.output
    assert "GB free" in result.output


def test_doctor_fails_on_what_would_stop_a_run(simulate: Callable[..., Any], tmp_path: Path) -> None:
    """A model that does not exist and one without a key: both told, exit 2."""
    url = simulate().url_for("perfect")
    bad = {"name": "bad", "provider": "gemini", "model": "gemini-no-such", "base_url": url}
    keyless = {"name": "keyless", "provider": "gemini", "model": "gemini-3.8-flash"}
    result = CliRunner().invoke(main, ["doctor", config_at(tmp_path / "c.yaml", bad, keyless)])
    assert result.exit_code == 2
    assert "PROBLEM  model bad" in result.output
    assert "PROBLEM  model keyless" in result.output


def test_doctor_without_a_config_needs_no_network() -> None:
    """Versions, key and disk."""
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "google-genai" in result.output
    assert "no GEMINI_API_KEY" in result.output
