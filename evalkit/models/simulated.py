"""``provider: simulator``: the real Gemini client, pointed at the local Gemini of this run.

One simulator serves all entries that want the same latency and faults; its answers are made from
the ground truth of the run's samples and say nothing about any real model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.config.models import GeminiConfig, SimulatorConfig
from evalkit.config.prompts import Prompt
from evalkit.errors import ConfigError, nearest
from evalkit.models.google.gemini import GeminiModel, open_gemini
from evalkit.types import Sample

if TYPE_CHECKING:
    from evalkit.simulator import Simulator


class Simulators:
    """The local Geminis of one run, started when first wanted."""

    def __init__(self, samples: Sequence[Sample], seed: int) -> None:
        self.samples = samples
        self.seed = seed
        self.running: dict[str, Simulator] = {}

    def of(self, entry: SimulatorConfig) -> Simulator:
        """Return the simulator with the entry's latency and faults."""
        from evalkit.simulator import start_simulator

        key = json.dumps([entry.latency_s, entry.faults], sort_keys=True)
        if key not in self.running:
            self.running[key] = start_simulator(
                self.samples, seed=self.seed, faults=entry.faults, latency_s=entry.latency_s
            )
        return self.running[key]

    def close(self) -> None:
        """Stop all of them."""
        for simulator in self.running.values():
            simulator.close()
        self.running.clear()


def open_simulated(
    entry: SimulatorConfig, prompt: Prompt, simulators: Simulators, *, directory: Path, state: Path | None
) -> GeminiModel:
    """Return a Gemini model whose endpoint is the local simulator. Raises ``ConfigError`` on an unknown persona."""
    require_persona(entry)
    gemini = GeminiConfig(
        name=entry.name,
        provider="gemini",
        model=entry.model,
        base_url=simulators.of(entry).url_for(entry.persona),
        prompt=entry.prompt,
        generation=entry.generation,
        limits=entry.limits,
    )
    return open_gemini(gemini, prompt, directory=directory, state=state, own_key=False)


def require_persona(entry: SimulatorConfig) -> None:
    """Raise ``ConfigError`` where the simulator has no such persona."""
    from evalkit.simulator.personas import PERSONAS

    if entry.persona not in PERSONAS:
        raise ConfigError(
            f"model '{entry.name}': the simulator has no persona '{entry.persona}'.{nearest(entry.persona, PERSONAS)}"
        )
