"""Models by provider: config entry -> ``Model``, and raw body -> ``Response`` without one.

Importing this package loads neither the SDK nor a network library: stored answers are read with
``read_body`` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.prompts import find_prompt
from evalkit.models.google.bodies import read_batch_body, read_gemini_body, read_text_body, read_vertex_body
from evalkit.types import AskedFormat, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import PaceConfig
    from evalkit.config.schema import RunConfig
    from evalkit.models.base import Model
    from evalkit.models.simulated import Simulators


@dataclass
class ProviderContext:
    """What context a model may need: the run, its samples, its folder, and the shared simulators."""

    run: RunConfig
    samples: Sequence[Sample]
    state: Path | None = None
    simulators: Simulators | None = field(default=None)

    @property
    def directory(self) -> Path:
        """The config file's folder."""
        return Path(self.run.directory)


def _open_gemini(entry: Any, context: ProviderContext) -> Model:
    from evalkit.models.google.gemini import open_gemini

    prompt = find_prompt(entry.prompt, context.run.prompts)
    return open_gemini(entry, prompt, directory=context.directory, state=context.state)


def _open_batch(entry: Any, context: ProviderContext) -> Model:
    from evalkit.models.google.batch import open_batch

    prompt = find_prompt(entry.prompt, context.run.prompts)
    return open_batch(entry, prompt, directory=context.directory, state=context.state)


def _open_simulated(entry: Any, context: ProviderContext) -> Model:
    from evalkit.models.simulated import Simulators, open_simulated

    if context.simulators is None:
        context.simulators = Simulators(context.samples, context.run.seed)
    prompt = find_prompt(entry.prompt, context.run.prompts)
    return open_simulated(entry, prompt, context.simulators, directory=context.directory, state=context.state)


def _open_vertex_segmentation(entry: Any, context: ProviderContext) -> Model:
    del context
    from evalkit.models.google.vertex_segmentation import open_vertex_segmentation

    return open_vertex_segmentation(entry)


def _open_python(entry: Any, context: ProviderContext) -> Model:
    from evalkit.models.python import PythonModel

    return PythonModel(entry, context.directory)


def _open_predictions(entry: Any, context: ProviderContext) -> Model:
    from evalkit.models.predictions import PredictionsModel

    return PredictionsModel(entry, context.run, context.samples)


PROVIDERS: dict[str, Callable[[Any, ProviderContext], Model]] = {
    "gemini": _open_gemini,
    "gemini-batch": _open_batch,
    "vertex-segmentation": _open_vertex_segmentation,
    "predictions": _open_predictions,
    "python": _open_python,
    "simulator": _open_simulated,
}

READERS: dict[str, Callable[[str], Response]] = {
    "gemini": read_gemini_body,
    "gemini-batch": read_batch_body,
    "vertex-segmentation": read_vertex_body,
    "predictions": read_text_body,
    "python": read_text_body,
    "simulator": read_gemini_body,
}


@asynccontextmanager
async def open_models(
    entries: Sequence[Any], run: RunConfig, samples: Sequence[Sample], state: Path | None = None
) -> AsyncIterator[list[Model]]:
    """Open every entry, yield the models in order, close them and the simulators.

    ``state``: the run's folder, for what must survive a crash (uploads, batch jobs).
    Raises ``ConfigError`` before anything is sent.
    """
    context = ProviderContext(run, samples, state)
    async with AsyncExitStack() as stack:
        stack.callback(lambda: context.simulators.close() if context.simulators else None)
        models = []
        for entry in entries:
            model = PROVIDERS[entry.provider](entry, context)
            stack.push_async_callback(model.close)
            models.append(model)
        yield models


def check_models(entries: Sequence[Any], run: RunConfig) -> None:
    """Raise ``ConfigError`` for what would stop a run at its start: no key, no such prompt, function or persona.

    Sends and writes nothing.
    """
    for entry in entries:
        CHECKS[entry.provider](entry, run)


def _check_gemini(entry: Any, run: RunConfig) -> None:
    from evalkit.models.google.client import require_access

    find_prompt(entry.prompt, run.prompts)
    require_access(entry.name, entry.base_url, vertexai=entry.vertexai)
    if entry.provider == "gemini-batch":
        from evalkit.models.google.batch import batch_settings

        batch_settings(entry)


def _check_vertex_segmentation(entry: Any, run: RunConfig) -> None:
    del run
    from evalkit.models.google.client import require_access

    require_access(entry.name, entry.base_url, vertexai=True)


def _check_python(entry: Any, run: RunConfig) -> None:
    from evalkit.models.python import find_function

    find_function(entry.function, Path(run.directory))


def _check_simulated(entry: Any, run: RunConfig) -> None:
    from evalkit.models.simulated import require_persona

    find_prompt(entry.prompt, run.prompts)
    require_persona(entry)


def _check_nothing(entry: Any, run: RunConfig) -> None:
    """Predictions are checked against the samples when their file is opened."""
    del entry, run


CHECKS: dict[str, Callable[[Any, RunConfig], None]] = {
    "gemini": _check_gemini,
    "gemini-batch": _check_gemini,
    "vertex-segmentation": _check_vertex_segmentation,
    "predictions": _check_nothing,
    "python": _check_python,
    "simulator": _check_simulated,
}


def read_body(provider: str, body: str) -> Response:
    """Return the answer in a stored body. Pure; raises ``DataError`` where the body is damaged."""
    return READERS[provider](body)


def requested_model(entry: Any) -> str:
    """Return the id that an entry asks for, the yardstick of ``model_version``."""
    for key in ("model", "function", "path"):
        value = getattr(entry, key, None)
        if value is not None:
            return str(value)
    return str(entry.name)


def asked_format(entry: Any, run: RunConfig) -> AskedFormat:
    """Return what an entry's answers are measured against. Raises ``ConfigError`` on an unknown prompt."""
    if entry.provider == "vertex-segmentation":
        return AskedFormat(wire_format="vertex_png", keys=())
    if entry.provider == "python":
        return AskedFormat(wire_format=None, keys=("mask",))
    if entry.provider == "predictions":
        keys = ("mask",) if run.task == "mask" else ("box_px",)
        return AskedFormat(wire_format=None, keys=keys, task=run.task)
    asked = find_prompt(entry.prompt, run.prompts).asked
    return replace(asked, task="box") if run.task == "box" else asked


def limits_of(entry: Any) -> PaceConfig:
    """Return an entry's pace; a function is never asked more than its workers can do at once."""
    limits: PaceConfig = entry.limits
    if entry.provider != "python":
        return limits
    return limits.model_copy(update={"concurrency": min(limits.concurrency, entry.workers)})
