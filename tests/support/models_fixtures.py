"""A few samples on disk, config entries and questions for the tests of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evalkit.config.schema import RunConfig
from evalkit.images import read_image
from evalkit.masks import rle_encode
from evalkit.models.base import Question
from evalkit.models.google.gemini import GeminiConfig
from evalkit.types import GroundTruth, ImageRef, Sample


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, project or proxy of the machine reaches a test."""
    for name in (
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Six samples on six noisy 64 x 48 photographs, each with a rectangle as its target."""
    made = []
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
        mask_hw = np.zeros((48, 64), dtype=bool)
        mask_hw[10:30, 5 + number : 40] = True
        truth = GroundTruth(48, 64, (rle_encode(mask_hw),))
        made.append(
            Sample("d", "val", f"s{number}", f"i{number}", ImageRef(str(path)), f"the thing {number}", truth)
        )
    return made


@pytest.fixture
def question(samples: list[Sample]) -> Question:
    """Return the first sample, as it is put to a model."""
    return question_of(samples[0])


def question_of(sample: Sample) -> Question:
    """Return a question about ``sample`` with Google's prompt."""
    return Question(sample, f"Give the segmentation masks for {sample.expression}.", read_image(sample.image))


@pytest.fixture
def gemini_entry() -> Callable[..., GeminiConfig]:
    """Return a maker of ``provider: gemini`` entries."""

    def make(base_url: str | None, **changes: Any) -> GeminiConfig:
        given = {
            "name": "m",
            "provider": "gemini",
            "model": "gemini-2.5-flash",
            "base_url": base_url,
        } | changes
        return GeminiConfig.model_validate(given)

    return make


@pytest.fixture
def run_config() -> Callable[..., RunConfig]:
    """Return a maker of run configs around model entries."""

    def make(*models: dict[str, Any], **changes: Any) -> RunConfig:
        given: dict[str, Any] = {"name": "t", "datasets": [{"name": "d"}], "models": list(models)} | changes
        return RunConfig.model_validate(given)

    return make


@pytest.fixture
def simulate(samples: list[Sample]) -> Iterator[Callable[..., Any]]:
    """Return a starter of simulators of the samples, without latency; all are stopped at the end."""
    from evalkit.simulator import start_simulator

    running = []

    def start(
        *faults: dict[str, Any], latency_s: float = 0.0, of: list[Sample] | None = None, port: int = 0
    ) -> Any:
        simulator = start_simulator(of or samples, faults=faults, latency_s=latency_s, port=port)
        running.append(simulator)
        return simulator

    yield start
    for simulator in running:
        simulator.close()
