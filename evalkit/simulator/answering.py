"""From a request about a sample to the answer's body, for live calls, batch lines and token counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalkit.errors import nearest
from evalkit.simulator import gemini_wire, personas, wire_errors
from evalkit.simulator import model_table as catalogue
from evalkit.simulator.answer_builder import SimulatedAnswer
from evalkit.simulator.faults import ANSWER_KINDS, InjectedFault, RequestEvent, Schedule
from evalkit.simulator.files_api import FileStore
from evalkit.simulator.gemini_wire import ParsedRequest
from evalkit.simulator.http import Call
from evalkit.simulator.personas import PERSONAS, question_rng
from evalkit.simulator.sample_index import IndexedSample, SampleIndex

UNKNOWN_QUESTION = "I was shown no picture that this description belongs to."

LATENCY_SPREAD = 0.35
"""Standard deviation of the logarithm of latencies: the slowest of a hundred takes about twice the median."""


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """An answered request: the response message, what happened on the way, the latency drawn for it."""

    message: dict[str, Any]
    injected: InjectedFault | None
    latency_s: float


class Responder:
    """Answers questions about samples; holds no state but the samples, the files and the fault schedule."""

    def __init__(
        self, index: SampleIndex, files: FileStore, schedule: Schedule, seed: int, latency_s: float
    ) -> None:
        self.index = index
        self.files = files
        self.schedule = schedule
        self.seed = seed
        self.latency_s = latency_s

    def respond(self, call: Call, request: dict[str, Any]) -> TimedMessage:
        """Return the answer to a ``generateContent`` body (camelCase).

        Scripted errors are raised as ``ApiError``; other faults come back in ``injected``.
        """
        model, known = known_model(call, "generateContent")
        asked = gemini_wire.read_request(request, self.files.read_uri)
        gemini_wire.check_thinking(model, known, asked.generation)
        return self.reply(call, model, known, asked)

    def reply(
        self, call: Call, model: str, known: catalogue.SimulatedModel, asked: ParsedRequest
    ) -> TimedMessage:
        """Return the answer to what was asked in whichever wire format, as a ``generateContent`` message."""
        entry = self.index.find(asked.texts, asked.image)
        call.persona = call.persona or known.persona
        call.sample_id = entry.sample.sample_id if entry else None
        question = self._question(call, entry, asked)
        injected = self.inject_fault(call, question)
        rng = question_rng(self.seed, question)
        answer = self._answer(call.persona, entry, rng, asked)
        if injected and injected.kind in ANSWER_KINDS:
            answer = _changed(answer, injected)
        message = gemini_wire.answer_body(answer, asked, model, known, rng)
        if injected:
            _change_message(message, injected)
        return TimedMessage(message, injected, self.latency(rng))

    def inject_fault(self, call: Call, question: str) -> InjectedFault | None:
        """Return the scripted fault of this request; raise it where it is an error answer."""
        event = RequestEvent(call.operation, call.model, call.persona, call.sample_id, question)
        injected = self.schedule.next(event)
        if injected is not None:
            call.fault = injected.kind
            raise_error(injected, call)
        return injected

    def latency(self, rng: np.random.Generator) -> float:
        """Return a seeded latency in seconds around ``latency_s``."""
        return self.latency_s * float(rng.lognormal(0.0, LATENCY_SPREAD))

    def count(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return the body of ``countTokens``."""
        model, _ = known_model(call, "countTokens")
        request = request.get("generateContentRequest") or request
        asked = gemini_wire.read_request(request, self.files.read_uri)
        self.inject_fault(call, "count")
        tokens = gemini_wire.prompt_tokens(model, replace(asked, generation={}))
        return {
            "totalTokens": sum(tokens.values()),
            "promptTokensDetails": [{"modality": key, "tokenCount": count} for key, count in tokens.items()],
        }

    def _question(self, call: Call, entry: IndexedSample | None, asked: ParsedRequest) -> str:
        about = (
            f"{entry.sample.dataset}/{entry.sample.split}/{entry.sample.sample_id}"
            if entry
            else " ".join(asked.texts)
        )
        return "\x1f".join((call.model or "", call.persona or "", about, str(asked.generation.get("seed"))))

    def _answer(
        self, persona: str, entry: IndexedSample | None, rng: np.random.Generator, asked: ParsedRequest
    ) -> SimulatedAnswer:
        if entry is None:
            return SimulatedAnswer(UNKNOWN_QUESTION)
        sent_px = asked.image_sizes_px[-1] if asked.image_sizes_px else None
        return personas.answer(PERSONAS[persona], entry.sample, entry.place, rng, sent_px)


def known_model(call: Call, method: str) -> tuple[str, catalogue.SimulatedModel]:
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


def raise_error(injected: InjectedFault, call: Call) -> None:
    """Raise the ``ApiError`` of an error fault; do nothing for other kinds."""
    model, settings = call.model or "", injected.settings
    match injected.kind:
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
        case "content_filter":
            raise wire_errors.filtered()
        case "no_images":
            raise wire_errors.no_images(model)
        case "forbidden":
            raise wire_errors.forbidden(model)


def _changed(answer: SimulatedAnswer, injected: InjectedFault) -> SimulatedAnswer:
    match injected.kind:
        case "empty":
            return SimulatedAnswer(None)
        case "blocked_prompt":
            return SimulatedAnswer(None, block_reason=injected.settings["block_reason"])
        case "thoughts_only":
            return SimulatedAnswer(None, finish_reason="MAX_TOKENS", thinking_used_budget=True)
        case "continuation":
            text = answer.text or ""
            return SimulatedAnswer(text[: len(text) // 2], finish_reason="CONTINUATION")
    return answer


def _change_message(message: dict[str, Any], injected: InjectedFault) -> None:
    if injected.kind == "wrong_model_version":
        message["modelVersion"] = injected.settings["model_version"]
    if injected.kind == "continuation":
        message["candidates"][0]["continuationToken"] = f"continue-{message['responseId']}"
    if injected.kind == "thoughts_only":
        content = message["candidates"][0]["content"]
        content["parts"] = [{"text": gemini_wire.THOUGHT_SUMMARY, "thought": True}]
