"""`evalkit run --dry-run`: what it needs and what it tells before anything is paid."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli.app import main

CONFIG = """
name: two
datasets:
  - {name: everyday, sample: {size: 5}}
models:
  - {name: one, provider: gemini, model: gemini-3-flash-preview, prompt: polygon}
  - {name: other, provider: gemini, model: gemini-3.8-flash, prompt: polygon}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config of two Gemini models; no key is set."""
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "two.yaml"
    path.write_text(CONFIG)
    return path


def test_a_dry_run_needs_no_key(config: Path) -> None:
    """It says once, for all models, what a run would stop at; the run stops there."""
    dry = CliRunner().invoke(main, ["run", str(config), "--dry-run"])
    assert dry.exit_code == 0
    assert dry.stdout.count("needs an API key") == 1
    assert "The same holds for other" in dry.stdout
    real = CliRunner().invoke(main, ["run", str(config), "--yes"])
    assert real.exit_code == 2
    assert "needs an API key" in real.stderr
    assert not (config.parent / "reports").exists()


def test_whole_images_that_make_a_sample_larger_are_told(config: Path) -> None:
    """`size: 5` takes more than five expressions; `unit: images` takes five images and tells nothing."""
    said = CliRunner().invoke(main, ["run", str(config), "--dry-run"]).stdout
    assert "`sample: {size: 5}` takes" in said
    config.write_text(CONFIG.replace("size: 5", "size: 5, unit: images"))
    counted = CliRunner().invoke(main, ["run", str(config), "--dry-run"]).stdout
    assert "on 5 images" in counted
    assert "`sample:" not in counted
