"""``provider: simulator``: the real client of a service, pointed at the local server of this run.

One simulator serves all entries that want the same latency and faults; its answers are made from
the ground truth of the run's samples and say nothing about any real model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from evalkit.config.models import PromptedEntry
from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import ConfigError, nearest
from evalkit.models.bodies import json_object
from evalkit.models.google.bodies import read_gemini_body
from evalkit.models.google.gemini import GeminiConfig, GeminiModel, open_gemini
from evalkit.models.moondream import ASKED as MOONDREAM_ASKED
from evalkit.models.moondream import Moondream, MoondreamConfig, open_moondream, read_segment_body
from evalkit.models.openai_bodies import chat_response
from evalkit.models.openai_chat import ChatConfig, ChatModel, open_chat, require_chat_settings
from evalkit.models.openai_chat import check_entry as check_chat
from evalkit.models.provider import Provider, ProviderContext, asked_by_prompt
from evalkit.models.token_estimates import estimate_tokens
from evalkit.types import AskedFormat, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
    from evalkit.simulator import Simulator


class SimulatorConfig(PromptedEntry):
    """A persona of the local Gemini: answers made from the ground truth with seeded errors."""

    provider: Literal["simulator"] = Field(description="the local simulated Gemini")
    persona: str = Field(description="who answers, see the reference of personas")
    model: str = Field(default="gemini-2.5-flash", description="the model id that it is asked as")
    speaks: Literal["gemini", "openai", "moondream"] = Field(
        default="gemini",
        description="whose wire format and client: generateContent, chat completions, or moondream's /segment",
    )
    latency_s: float = Field(default=0.05, ge=0, description="median time of an answer, seconds")
    faults: list[dict[str, Any]] = Field(
        default_factory=list, description="scripted faults, see docs/simulator.md"
    )

    @model_validator(mode="after")
    def _says_what_the_service_knows(self) -> Self:
        if self.speaks == "openai":
            require_chat_settings(self.generation, at_openai=False)
        return self


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
) -> GeminiModel | ChatModel | Moondream:
    """Return a service's model whose endpoint is the local simulator. Raises ``ConfigError`` on an unknown persona."""
    require_persona(entry)
    url = simulators.of(entry).url_for(entry.persona)
    if entry.speaks == "openai":
        return open_chat(_chat_entry(entry, url), prompt, directory=directory)
    if entry.speaks == "moondream":
        return open_moondream(
            MoondreamConfig(
                name=entry.name,
                provider="moondream",
                model=entry.model,
                base_url=f"{url}/v1",
                limits=entry.limits,
            )
        )
    gemini = GeminiConfig(
        name=entry.name,
        provider="gemini",
        model=entry.model,
        base_url=url,
        prompt=entry.prompt,
        generation=entry.generation,
        limits=entry.limits,
    )
    return open_gemini(gemini, prompt, directory=directory, state=state, own_key=False)


def _chat_entry(entry: SimulatorConfig, url: str) -> ChatConfig:
    """Return the entry of ``provider: openai`` that asks the simulator."""
    return ChatConfig(
        name=entry.name,
        provider="openai",
        model=entry.model,
        base_url=f"{url}/v1",
        prompt=entry.prompt,
        generation=entry.generation,
        limits=entry.limits,
    )


def read_simulated_body(body: str) -> Response:
    """Return a stored answer by the service that it is written as."""
    data = json_object(body) or {}
    if "path" in data:
        return read_segment_body(body)
    return chat_response(body, data) if "choices" in data or "error" in data else read_gemini_body(body)


def asked_by_simulator(entry: SimulatorConfig, run: RunConfig) -> AskedFormat:
    """Return what the service is asked for: moondream's own format, else what the prompt says."""
    return MOONDREAM_ASKED if entry.speaks == "moondream" else asked_by_prompt(entry, run)


def require_persona(entry: SimulatorConfig) -> None:
    """Raise ``ConfigError`` where the simulator has no such persona."""
    from evalkit.simulator.personas import PERSONAS

    if entry.persona not in PERSONAS:
        raise ConfigError(
            f"model '{entry.name}': the simulator has no persona '{entry.persona}'.{nearest(entry.persona, PERSONAS)}"
        )


def open_entry(entry: SimulatorConfig, context: ProviderContext) -> GeminiModel | ChatModel | Moondream:
    """Return the model of an entry, its simulator started. Raises ``ConfigError`` on an unknown prompt or persona."""
    if context.simulators is None:
        context.simulators = Simulators(context.samples, context.run.seed)
    prompt = prompt_of(entry.prompt, context.run)
    return open_simulated(entry, prompt, context.simulators, directory=context.directory, state=context.state)


def check_entry(entry: SimulatorConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` on an unknown prompt or persona."""
    prompt_of(entry.prompt, run)
    require_persona(entry)
    if entry.speaks == "openai":
        check_chat(_chat_entry(entry, "http://127.0.0.1"), run)


PROVIDER = Provider(
    entry=SimulatorConfig,
    open=open_entry,
    read_body=read_simulated_body,
    check=check_entry,
    asked=asked_by_simulator,
    answer_s=lambda entry: entry.latency_s,
    background=lambda entry, model, run: model.background(),  # noqa: ARG005
    estimate_tokens=estimate_tokens,
    billed=False,
    simulated=True,
)
