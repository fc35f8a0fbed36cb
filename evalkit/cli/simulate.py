"""``evalkit simulate``: the local Gemini for a person, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from evalkit.simulator.faults import read_faults
from evalkit.simulator.personas import PERSONAS
from evalkit.simulator.server import Simulator, start_simulator
from evalkit.types import Sample

POLL_S = 0.5
"""A wait without a time-out would not let signals through on every platform."""


def simulate_command(
    *,
    port: int,
    faults: str | None,
    config: str | None,
    seed: int | None,
    latency_s: float,
    show: Callable[[str], None],
) -> None:
    """Serve the datasets of ``config`` (the bundled everyday one where None) until interrupted.

    ``show`` prints a line. Raises ``ConfigError`` or ``DataError`` before anything is served.
    """
    samples, run_seed = _samples(config)
    scripted = read_faults(faults) if faults else []
    run_seed = run_seed if seed is None else seed
    with (
        _until_interrupted() as stop,
        start_simulator(samples, seed=run_seed, port=port, faults=scripted, latency_s=latency_s) as simulator,
    ):
        for line in usage(simulator):
            show(line)
        while not stop.wait(POLL_S):
            pass
        show(f"Stopped after {len(simulator.requests)} requests.")


def usage(simulator: Simulator) -> Iterator[str]:
    """Yield the lines that say how to reach a running simulator."""
    yield f"Simulated Gemini at {simulator.base_url} (Ctrl-C stops it). Its answers measure no model."
    yield "In a config, under a model with `provider: gemini`:"
    yield f"    base_url: {simulator.base_url}"
    yield "with any key, for example GEMINI_API_KEY=simulated; the key `invalid` is refused."
    yield "The model's id decides who answers; a base_url of its own picks a persona:"
    for name, persona in PERSONAS.items():
        yield f"    {simulator.url_for(name):<52} {persona.about}"


def _samples(config: str | None) -> tuple[list[Sample], int]:
    """Return every sample of a config's datasets and its seed."""
    from evalkit.config.schema import DatasetConfig
    from evalkit.datasets import load_samples
    from evalkit.datasets.mask_files import with_masks_read
    from evalkit.models.config_file import load_run_config

    if config is None:
        datasets, directory, seed = [DatasetConfig(name="everyday")], Path(), 0
    else:
        run = load_run_config(config)
        datasets, directory, seed = run.datasets, Path(run.directory), run.seed
    samples = (sample for dataset in datasets for sample in load_samples(dataset, directory))
    return [with_masks_read(sample) for sample in samples], seed


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or a polite kill sets."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
