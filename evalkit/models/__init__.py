"""Models by provider: config entry -> ``Model``, and raw body -> ``Response`` without one.

Importing this package loads neither the SDK nor a network library: stored answers are read with
``read_body`` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import ConfigError
from evalkit.models.provider import Batch, Provider, ProviderContext, find_provider
from evalkit.types import AskedFormat, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry, PaceConfig
    from evalkit.config.schema import RunConfig
    from evalkit.models.base import Model


@asynccontextmanager
async def open_models(
    entries: Sequence[ModelEntry], run: RunConfig, samples: Sequence[Sample], state: Path | None = None
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
            model = find_provider(entry.provider).open(entry, context)
            stack.push_async_callback(model.close)
            models.append(model)
        yield models


def check_models(entries: Sequence[ModelEntry], run: RunConfig) -> None:
    """Raise ``ConfigError`` for what would stop a run at its start: no such prompt, function or persona.

    Sends and writes nothing; keys are not looked at (``check_access``).
    """
    for entry in entries:
        find_provider(entry.provider).check(entry, run)


def check_access(entries: Sequence[ModelEntry]) -> None:
    """Raise one ``ConfigError`` for all entries without a key or credentials for their endpoints. Sends nothing."""
    errors = {}
    for entry in entries:
        try:
            find_provider(entry.provider).access(entry)
        except ConfigError as error:
            errors[entry.name] = str(error)
    if errors:
        first, *others = errors
        more = f" The same holds for {', '.join(others)}" if others else ""
        raise ConfigError(f"{errors[first].rstrip('.')}.{more}".rstrip("."))


def read_body(provider: str, body: str) -> Response:
    """Return the answer in a stored body. Pure; raises ``DataError`` where the body is damaged."""
    return find_provider(provider).read_body(body)


def requested_model(entry: ModelEntry) -> str:
    """Return the id that an entry asks for, the yardstick of ``model_version``."""
    return find_provider(entry.provider).requested_model(entry)


def asked_format(entry: ModelEntry, run: RunConfig) -> AskedFormat:
    """Return what an entry's answers are measured against. Raises ``ConfigError`` on an unknown prompt."""
    asked = find_provider(entry.provider).asked(entry, run)
    prompted = entry.prompt_setting() is not None
    return replace(asked, task="box") if prompted and run.task == "box" else asked


def limits_of(entry: ModelEntry) -> PaceConfig:
    """Return the pace that an entry is asked at."""
    return find_provider(entry.provider).limits(entry)


__all__ = [
    "Batch",
    "Provider",
    "ProviderContext",
    "asked_format",
    "check_access",
    "check_models",
    "find_provider",
    "limits_of",
    "open_models",
    "read_body",
    "requested_model",
]
