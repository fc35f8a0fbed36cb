"""The standard suite is a config that loads, sized as it says."""

from pathlib import Path

import pytest

from evalkit.config.schema import load_config
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.stats.power import detectable_difference

CONFIGS = Path(__file__).parents[2] / "configs"

KNOWN_SPLITS = {
    "refcoco-val": (10_834, 1_500),
    "refcoco+-val": (10_758, 1_500),
    "refcocog-val": (4_896, 1_300),
    "reasonseg-test": (779, 779),
    "converseg-seeded": (1_194, 1_194),
}
"""Expressions and images of whole splits (docs/standard-suite.md)."""


@pytest.fixture
def suite(monkeypatch):
    """Return the config with its three roots set."""
    for name in ("REFER_ROOT", "REASONSEG_ROOT", "CONVERSEG_ROOT"):
        monkeypatch.setenv(name, f"/data/{name}")
    return load_config(CONFIGS / "standard.yaml")


def test_every_dataset_has_a_root_and_a_known_protocol(suite):
    """Nothing is left to a default that could change a paper's number."""
    assert len(suite.datasets) == 8
    assert all(entry.root and entry.split and entry.format for entry in suite.datasets)
    assert {entry.protocol for entry in suite.datasets} <= set(PROTOCOLS) - {"default"}


@pytest.mark.parametrize("name", list(KNOWN_SPLITS))
def test_sizes_tell_three_points(suite, name):
    """The images drawn are enough for a difference of 0.03, to the digit that the docs print."""
    entry = next(entry for entry in suite.datasets if entry.name == name)
    expressions, images = KNOWN_SPLITS[name]
    per_image = expressions / images
    size = entry.sample.size if entry.sample else expressions
    assert size <= expressions
    assert round(detectable_difference(round(size / per_image), per_image), 2) <= 0.03


def test_models_are_those_of_the_gemini_config(suite):
    """Same names, model ids, prompts and generation settings."""
    gemini = load_config(CONFIGS / "gemini.yaml")
    keys = {"limits"}
    assert [model.model_dump(exclude=keys) for model in suite.models] == [
        model.model_dump(exclude=keys) for model in gemini.models
    ]
