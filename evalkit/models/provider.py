"""What a provider is: one record with everything that evalkit has to know of it.

A built-in provider is one file of this package that ends in such a record, and one line of
``evalkit.config.models.PROVIDERS``. One of a package of one's own is the same record, named by
``provider: package.module:NAME`` or declared as an entry point of the group ``evalkit.providers``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evalkit.config.models import ModelEntry, entry_provider
from evalkit.config.prompts import prompt_of
from evalkit.errors import ConfigError
from evalkit.models.bodies import read_text_body
from evalkit.types import AskedFormat, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import PaceConfig
    from evalkit.config.prompts import Prompt
    from evalkit.config.schema import RunConfig
    from evalkit.models.base import LoadQuestion, Model, ModelBudgetProtocol, RecordAttempt
    from evalkit.models.simulated import Simulators
    from evalkit.models.token_estimates import TokenEstimate

EntryT = TypeVar("EntryT", bound=ModelEntry)
ModelT = TypeVar("ModelT", bound="Model")

ANSWER_S = 8.0
"""Assumed seconds until an answer, for the time a run takes."""


@dataclass
class ProviderContext:
    """What opening a model may need: the run, its samples, its folder, and the shared simulators."""

    run: RunConfig
    samples: Sequence[Sample]
    state: Path | None = None
    simulators: Simulators | None = field(default=None)

    @property
    def directory(self) -> Path:
        """The config file's folder."""
        return Path(self.run.directory)


def checks_nothing(entry: ModelEntry, run: RunConfig) -> None:
    """Find nothing that could stop a run before its models are opened."""
    del entry, run


def needs_no_access(entry: ModelEntry) -> None:
    """Ask anybody."""
    del entry


def asked_by_prompt(entry: ModelEntry, run: RunConfig) -> AskedFormat:
    """Return what the entry's prompt asks for; where it has none, masks in any format.

    Raises ``ConfigError`` on an unknown prompt.
    """
    prompt = entry.prompt_setting()
    if prompt is None:
        return AskedFormat(wire_format=None, keys=("mask",))
    return prompt_of(prompt, run).asked


def configured_limits(entry: ModelEntry) -> PaceConfig:
    """Return the pace of the config."""
    return entry.limits


def requested_by_model(entry: ModelEntry) -> str:
    """Return the entry's ``model``, its name where it has no such key."""
    return str(entry.model_dump(include={"model"}).get("model") or entry.name)


def seconds_of_a_service(entry: ModelEntry) -> float:
    """Return the assumed seconds until a service answers."""
    del entry
    return ANSWER_S


def no_background(entry: ModelEntry, model: Model, run: RunConfig) -> dict[str, str]:
    """Know of nothing outside the config that the answers depend on."""
    del entry, model, run
    return {}


def no_warnings(entry: ModelEntry, day: dt.date) -> list[str]:
    """Know of nothing that is wrong with a model or its settings."""
    del entry, day
    return []


@dataclass(frozen=True)
class Batch(Generic[EntryT, ModelT]):
    """How a provider is asked in jobs, whose answers come hours later and at another price.

    ``ask`` asks all questions of a model and returns when its jobs have ended; what they left unanswered is
    asked live. ``hours``: until they end. ``price_share``: of the list price. ``holds`` tells whether a stored
    body came in a job.
    """

    ask: Callable[
        [
            ModelT,
            Sequence[tuple[Sample, int]],
            LoadQuestion,
            RecordAttempt,
            Callable[[str], None],
            ModelBudgetProtocol | None,
        ],
        Awaitable[None],
    ]
    hours: Callable[[EntryT], float]
    price_share: float
    holds: Callable[[str], bool]


@dataclass(frozen=True)
class Provider(Generic[EntryT]):
    """Everything that evalkit knows of one provider.

    ``entry``: the class of its entries in ``models:``. ``open`` returns a model that is ready to be asked;
    ``read_body`` turns a stored body into what ``ask`` returned, without a network or an SDK. ``asked``: what
    answers are measured against. ``check`` raises ``ConfigError`` for what would stop a run at its start and
    sends nothing; ``access`` for a missing key or missing credentials, which a dry run does without. ``requested_model``: the id that is asked for. ``limits``: the pace. ``answer_s``: assumed
    seconds until an answer. ``warnings``: what is known to be wrong on a day. ``estimate_tokens``: (entry,
    prompt, text, width and height in pixels as sent) -> tokens of one request; None where none are counted.
    ``describe`` asks the endpoint what it knows of the model and returns that with the seconds by which our
    clock is ahead, for `evalkit doctor`. ``batch``: how it is asked in jobs, None for live requests alone.

    ``background``: what the answers depend on besides the config and the sample (an endpoint's address, the source of
    a function, the content of a file), by name; an answer is asked for again where one of them has changed.

    ``sends_requests``: False where answers are read from a file. ``needs_image``: whether questions carry the
    photograph. ``priced``: whether an answer has a price; ``billed``: whether anybody pays it.
    ``simulated``: whether the answers say nothing about a real model.
    """

    entry: type[EntryT]
    open: Callable[[EntryT, ProviderContext], Model]
    read_body: Callable[[str], Response] = read_text_body
    asked: Callable[[EntryT, RunConfig], AskedFormat] = asked_by_prompt
    check: Callable[[EntryT, RunConfig], None] = checks_nothing
    access: Callable[[EntryT], None] = needs_no_access
    requested_model: Callable[[EntryT], str] = requested_by_model
    limits: Callable[[EntryT], PaceConfig] = configured_limits
    answer_s: Callable[[EntryT], float] = seconds_of_a_service
    warnings: Callable[[EntryT, dt.date], list[str]] = no_warnings
    background: Callable[[EntryT, Any, RunConfig], Mapping[str, str]] = no_background
    estimate_tokens: Callable[[EntryT, Prompt, str, int, int], TokenEstimate] | None = None
    describe: Callable[[EntryT], Awaitable[tuple[str, float | None]]] | None = None
    batch: Batch[EntryT, Any] | None = None
    sends_requests: bool = True
    needs_image: bool = True
    priced: bool = True
    billed: bool = True
    simulated: bool = False


def find_provider(name: str) -> Provider[Any]:
    """Return the record of the provider that an entry names. Raises ``ConfigError`` where there is none."""
    found = entry_provider(name)
    if not isinstance(found, Provider):
        raise ConfigError(
            f"provider '{name}' is of type {type(found).__name__}: it has to be an evalkit.models.Provider"
        )
    return found
