"""From a request about a sample to the answer's body, for live calls, batch lines and token counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalkit.errors import nearest
from evalkit.simulator import gemini_wire, personas, wire_errors
from evalkit.simulator import model_table as catalogue
from evalkit.simulator.drafts import Answer
from evalkit.simulator.faults import ANSWER_KINDS, Event, Happening, Schedule
from evalkit.simulator.files_api import FileStore
from evalkit.simulator.gemini_wire import Asked
from evalkit.simulator.http import Call
from evalkit.simulator.personas import PERSONAS, question_rng
from evalkit.simulator.sample_index import Entry, SampleIndex

UNKNOWN_QUESTION = "I was shown no picture that this description belongs to."

LATENCY_SPREAD = 0.35
"""Standard deviation of the logarithm of latencies: the slowest of a hundred takes about twice the median."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answered request: the response message, what happened on the way, the latency drawn for it."""

    message: dict[str, Any]
    happening: Happening | None
    latency_s: float


class Speaker:
    """Answers questions about samples; holds no state but the samples, the files and the fault schedule."""

    def __init__(
        self, index: SampleIndex, files: FileStore, schedule: Schedule, seed: int, latency_s: float
    ) -> None:
        self.index = index
        self.files = files
        self.schedule = schedule
        self.seed = seed
        self.latency_s = latency_s

    def speak(self, call: Call, request: dict[str, Any]) -> Spoken:
        """Return the answer to a ``generateContent`` body (camelCase).

        Scripted errors are raised as ``ApiError``; other faults come back in ``happening``.
        """
        model, known = known_model(call, "generateContent")
        asked = gemini_wire.read_request(request, self.files.read_uri)
        gemini_wire.check_thinking(model, known, asked.generation)
        entry = self.index.find(asked.texts, asked.image)
        call.persona = call.persona or known.persona
        call.sample_id = entry.sample.sample_id if entry else None
        question = self._question(call, entry, asked)
        happening = self.meet_fault(call, question)
        rng = question_rng(self.seed, question)
        answer = self._answer(call.persona, entry, rng)
        if happening and happening.kind in ANSWER_KINDS:
            answer = _changed(answer, happening)
        message = gemini_wire.answer_body(answer, asked, model, known, rng)
        if happening:
            _change_message(message, happening)
        return Spoken(message, happening, self.latency(rng))

    def meet_fault(self, call: Call, question: str) -> Happening | None:
        """Return the scripted fault of this request; raise it where it is an error answer."""
        event = Event(call.operation, call.model, call.persona, call.sample_id, question)
        happening = self.schedule.next(event)
        if happening is not None:
            call.fault = happening.kind
            raise_error(happening, call)
        return happening

    def latency(self, rng: np.random.Generator) -> float:
        """Return a seeded latency in seconds around ``latency_s``."""
        return self.latency_s * float(rng.lognormal(0.0, LATENCY_SPREAD))

    def count(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return the body of ``countTokens``."""
        model, _ = known_model(call, "countTokens")
        request = request.get("generateContentRequest") or request
        asked = gemini_wire.read_request(request, self.files.read_uri)
        self.meet_fault(call, "count")
        tokens = gemini_wire.prompt_tokens(model, replace(asked, generation={}))
        return {
            "totalTokens": sum(tokens.values()),
            "promptTokensDetails": [{"modality": key, "tokenCount": count} for key, count in tokens.items()],
        }

    def _question(self, call: Call, entry: Entry | None, asked: Asked) -> str:
        about = (
            f"{entry.sample.dataset}/{entry.sample.split}/{entry.sample.sample_id}"
            if entry
            else " ".join(asked.texts)
        )
        return "\x1f".join((call.model or "", call.persona or "", about, str(asked.generation.get("seed"))))

    def _answer(self, persona: str, entry: Entry | None, rng: np.random.Generator) -> Answer:
        if entry is None:
            return Answer(UNKNOWN_QUESTION)
        return personas.answer(PERSONAS[persona], entry.sample, entry.place, rng)


def known_model(call: Call, method: str) -> tuple[str, catalogue.KnownModel]:
    """Return the model that a path names. Raises ``ApiError`` 404 for unknown and retired ones."""
    model = call.model or ""
    known = catalogue.MODELS.get(model)
    if known is None or (call.version == "v1" and model.endswith("-preview")):
        raise wire_errors.unknown_model(model, call.version, method)
    if known.gone:
        raise wire_errors.retired_model(model)
    return model, known


def check_persona(name: str) -> None:
    """Raise ``ApiError`` 404 for a persona that there is not."""
    if name not in PERSONAS:
        raise wire_errors.not_found(f"persona '{name}'.{nearest(name, PERSONAS)}")


def raise_error(happening: Happening, call: Call) -> None:
    """Raise the ``ApiError`` of an error fault; do nothing for other kinds."""
    model, settings = call.model or "", happening.settings
    match happening.kind:
        case "rate_limit_minute":
            quota = int(settings["requests_per_minute"] or 60)
            raise wire_errors.rate_limited(model, "Minute", quota, settings["retry_delay_s"])
        case "rate_limit_day":
            raise wire_errors.rate_limited(model, "Day", int(settings["requests_per_day"] or 0), None)
        case "internal":
            raise wire_errors.internal()
        case "unavailable":
            raise wire_errors.unavailable()
        case "deadline":
            raise wire_errors.deadline_exceeded()
        case "not_found":
            raise wire_errors.retired_model(model)
        case "forbidden":
            raise wire_errors.forbidden(model)


def _changed(answer: Answer, happening: Happening) -> Answer:
    match happening.kind:
        case "empty":
            return Answer(None)
        case "blocked_prompt":
            return Answer(None, block_reason=happening.settings["block_reason"])
        case "thoughts_only":
            return Answer(None, finish_reason="MAX_TOKENS", thinks_to_the_end=True)
        case "continuation":
            text = answer.text or ""
            return Answer(text[: len(text) // 2], finish_reason="CONTINUATION")
    return answer


def _change_message(message: dict[str, Any], happening: Happening) -> None:
    if happening.kind == "wrong_model_version":
        message["modelVersion"] = happening.settings["model_version"]
    if happening.kind == "continuation":
        message["candidates"][0]["continuationToken"] = f"continue-{message['responseId']}"
    if happening.kind == "thoughts_only":
        content = message["candidates"][0]["content"]
        content["parts"] = [{"text": gemini_wire.THOUGHT_SUMMARY, "thought": True}]
