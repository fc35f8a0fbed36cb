"""Every fault of the wire, through the real client: the right error, and one row for each request."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.errors import ConfigError, GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models import attempts as attempts_module
from evalkit.models.base import Question
from evalkit.models.google.gemini import GeminiConfig, open_gemini
from evalkit.runner.pace import Attempt, Pace, ask_with_retries
from evalkit.types import Response

SECRET = "AIza-a-key-that-must-never-be-written-anywhere"


def ask_once(entry: GeminiConfig, question: Question, state: Path | None = None) -> Response:
    """Ask one question once and close the model."""

    async def run() -> Response:
        model = open_gemini(entry, find_prompt("google-mask"), directory=Path(), state=state)
        try:
            return await model.ask(question)
        finally:
            await model.close()

    return asyncio.run(run())


def ask_until_answered(
    entry: GeminiConfig, question: Question
) -> tuple[Response | SystemFault, list[Attempt]]:
    """Ask with retries; return what came of it and every attempt that was recorded."""
    attempts: list[Attempt] = []

    async def run() -> Response | SystemFault:
        model = open_gemini(entry, find_prompt("google-mask"), directory=Path(), state=None)
        try:
            return await ask_with_retries(model, question, Pace(entry.limits), attempts.append)
        except SystemFault as fault:
            return fault
        finally:
            await model.close()

    return asyncio.run(run()), attempts


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ({"kind": "rate_limit_minute", "retry_delay_s": 7.5}, RetryLater, 429),
        ({"kind": "rate_limit_day"}, StopModel, 429),
        ({"kind": "internal"}, RetryLater, 500),
        ({"kind": "unavailable"}, RetryLater, 503),
        ({"kind": "deadline"}, RetryLater, 504),
        ({"kind": "not_found"}, StopModel, 404),
        ({"kind": "reset"}, RetryLater, None),
        ({"kind": "truncated_body"}, RetryLater, None),
        ({"kind": "non_json_200"}, RetryLater, 200),
        ({"kind": "empty_body"}, RetryLater, 200),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_each_fault_has_its_error(
    fault: dict[str, Any],
    error: type[SystemFault],
    status: int | None,
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
) -> None:
    """The error's class says what may be done about it; exactly one request was sent."""
    simulator = simulate(fault)
    with pytest.raises(error) as caught:
        ask_once(gemini_entry(simulator.url_for("perfect")), question)
    assert type(caught.value) is error
    assert caught.value.http_status == status
    assert len(simulator.requests) == 1


def test_delay_of_the_server_is_read(
    simulate: Callable[..., Any], gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """RetryInfo's seconds come with the error, and the 429 is marked as such."""
    simulator = simulate({"kind": "rate_limit_minute", "retry_delay_s": 7.5})
    with pytest.raises(RetryLater) as caught:
        ask_once(gemini_entry(simulator.url_for("perfect")), question)
    assert caught.value.delay_s == pytest.approx(7.5, abs=1.0)
    assert caught.value.rate_limited


@pytest.mark.parametrize("fault", [{"kind": "hang"}, {"kind": "trickle", "seconds_per_byte": 0.05}], ids=str)
def test_hang_and_trickle_end_with_the_total_timeout(
    fault: dict[str, Any],
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
) -> None:
    """A body that never ends is cut, and the client still works for the next question."""
    simulator = simulate({**fault, "first": 1})
    entry = gemini_entry(simulator.url_for("perfect"))

    async def run() -> Response:
        model = open_gemini(entry, find_prompt("google-mask"), directory=Path(), state=None)
        # The service refuses deadlines below 10 s, so only our own total timeout is made short.
        model.timeout_s = 0.4
        try:
            with pytest.raises(RetryLater, match=r"within 0\.4 s"):
                await model.ask(question)
            return await model.ask(question)
        finally:
            await model.close()

    assert asyncio.run(run()).text


@pytest.mark.parametrize(
    ("fault", "text", "finish", "block"),
    [
        ({"kind": "continuation"}, True, "CONTINUATION", None),
        ({"kind": "empty"}, False, None, None),
        ({"kind": "blocked_prompt"}, False, None, "PROHIBITED_CONTENT"),
        ({"kind": "thoughts_only"}, False, "MAX_TOKENS", None),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_odd_answers_are_answers(
    fault: dict[str, Any],
    text: bool,
    finish: str | None,
    block: str | None,
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
) -> None:
    """They are stored and judged by the decoder; a continuation is not followed."""
    simulator = simulate(fault)
    response = ask_once(gemini_entry(simulator.url_for("perfect")), question)
    assert (response.text is not None) == text
    assert response.block_reason == block
    if finish is not None:
        assert response.finish_reason == finish
    assert len(simulator.requests) == 1


def test_every_request_is_an_attempt(
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Failed requests and the answer are recorded in order, as many as the simulator counted."""
    monkeypatch.setattr(attempts_module, "FIRST_BACKOFF_S", 0.01)
    simulator = simulate(
        {"kind": "unavailable", "requests": [1]},
        {"kind": "reset", "requests": [2]},
        {"kind": "rate_limit_minute", "retry_delay_s": 0.05, "requests": [3]},
    )
    answer, attempts = ask_until_answered(gemini_entry(simulator.url_for("perfect")), question)
    assert isinstance(answer, Response)
    assert [attempt.kind for attempt in attempts] == ["retry", "retry", "rate_limited", "answered"]
    assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]
    assert attempts[0].http_status == 503
    assert "UNAVAILABLE" in (attempts[0].body or "")
    assert attempts[-1].response is answer
    assert len(simulator.requests) == len(attempts)


def test_attempts_are_limited(
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endpoint that is down is asked ``max_attempts`` times, then the sample is given up."""
    monkeypatch.setattr(attempts_module, "FIRST_BACKOFF_S", 0.01)
    simulator = simulate({"kind": "unavailable"})
    entry = gemini_entry(simulator.url_for("perfect"), limits={"max_attempts": 3})
    fault, attempts = ask_until_answered(entry, question)
    assert isinstance(fault, RetryLater)
    assert len(attempts) == len(simulator.requests) == 3


def test_forbidden_is_not_retried(
    simulate: Callable[..., Any], gemini_entry: Callable[..., GeminiConfig], question: Question
) -> None:
    """A 403 is never sent again."""
    simulator = simulate({"kind": "forbidden"})
    fault, attempts = ask_until_answered(gemini_entry(simulator.url_for("perfect")), question)
    assert isinstance(fault, (GiveUp, StopModel))
    assert len(attempts) == len(simulator.requests) == 1


def test_missing_key_is_said_before_anything_is_sent(gemini_entry: Callable[..., GeminiConfig]) -> None:
    """Without a key, a remote endpoint is a ConfigError at construction that names the variable."""
    with pytest.raises(ConfigError, match="GEMINI_API_KEY"):
        open_gemini(gemini_entry(None), find_prompt("google-mask"), directory=Path(), state=None)


def test_key_reaches_nothing_but_the_header(
    simulate: Callable[..., Any],
    gemini_entry: Callable[..., GeminiConfig],
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Not in logs at DEBUG, errors with their chain, representations, attempts or files."""
    monkeypatch.setenv("GEMINI_API_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    simulator = simulate(
        {"kind": "non_json_200", "body": f"<html>{SECRET}</html>", "requests": [1]},
        {"kind": "internal", "requests": [2]},
    )
    shown: list[str] = []

    async def run() -> None:
        model = open_gemini(
            gemini_entry(simulator.url_for("perfect")),
            find_prompt("google-mask"),
            directory=Path(),
            state=tmp_path,
        )
        assert model.endpoint.client._api_client._http_options.headers["x-goog-api-key"] == SECRET
        for _ in range(2):
            with pytest.raises(RetryLater) as caught:
                await model.ask(question)
            shown.extend([str(caught.value), repr(caught.value), str(caught.value.body)])
            shown.append("".join(traceback.format_exception(caught.value)))
        response = await model.ask(question)
        shown.extend([response.body, repr(response), repr(model), repr(model.endpoint), repr(vars(model))])
        await model.close()

    asyncio.run(run())
    everything = "\n".join(
        [*shown, caplog.text, *(path.read_text("latin-1") for path in tmp_path.rglob("*.json"))]
    )
    assert SECRET not in everything
    assert "[key]" in everything, "the echoed key was blanked out, not merely absent"
