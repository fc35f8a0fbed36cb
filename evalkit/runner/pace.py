"""How fast one model is asked: what is in flight, what goes out per minute, and what is tried again.

Two controls, because quotas limit two things. The *window* bounds the requests in flight: it opens
by one with every answer, which doubles it each round trip, and shrinks to 0.8 of itself on a 429.
The *rate* bounds the requests per second: the configured requests and tokens per minute from the
start, and from the second burst of 429s on also 0.95 of what the endpoint served since the last,
raised slowly until the next. Without the rate, one request in flight can already be too many for a
small quota with fast answers.

Plain code rather than a limiter or retry library: the rate changes while requests wait for it, and
every attempt must be a row of the ledger before the next wait begins.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.errors import DataError, GiveUp, RetryLater, StopModel, SystemFault
from evalkit.models.attempts import Attempt, backoff_s
from evalkit.types import Response

if TYPE_CHECKING:
    from evalkit.config.models import PaceConfig
    from evalkit.models.base import Model, Question
    from evalkit.runner.budget import ModelBudget

LOG = logging.getLogger(__name__)

FIRST_WINDOW = 8
"""Requests in flight at the start; doubled each round trip by slow start."""

SHRINK = 0.8
COOL_DOWN_S = 1.0
"""429s that come within this time of a cut belong to the same burst and cut nothing more."""

SERVED_SHARE = 0.95
LEAST_SHARE = 0.8
RAISE_PER_S, RAISE_PER_ANSWER = 1.05, 1.005
LEAST_RATE_PER_S = 0.1

MOST_REFUSALS = 30
"""429s in a row for one question before it is given up: with our own backoff that is about half an hour."""

ALL_REFUSED = 10
"""Questions refused for good with one status, none answered: the settings are at fault, not the questions."""


class Pace:
    """The pace of one model, shared by all its workers. Times come from ``clock`` (seconds)."""

    def __init__(self, limits: PaceConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.window = float(min(FIRST_WINDOW, limits.concurrency))
        self.in_flight = 0
        self.stop_reason: StopModel | None = None
        self.ever_answered = False
        """Whether the model has answered anything, in this session or an earlier one of the run."""
        self._refusals: list[int] = []
        self._stopping = asyncio.Event()
        self._freed = asyncio.Condition()
        self._gate = asyncio.Lock()
        self._bursts = 0
        self._served_rate: float | None = None
        self._cut_at = self._next_at = clock()
        self._served_since_cut = 0
        self._tokens = 0.0
        self._token_answers = 0

    @asynccontextmanager
    async def slot(self, tokens: float | None = None) -> AsyncIterator[None]:
        """Hold one place in the window, entered when the rate allows the next request.

        ``tokens``: what the request will count against tokens per minute; None = the mean so far.
        Raises ``StopModel`` where the model was stopped meanwhile.
        """
        async with self._freed:
            await self._freed.wait_for(
                lambda: self.in_flight < int(self.window) or self.stop_reason is not None
            )
            self._raise_if_stopped()
            self.in_flight += 1
        try:
            await self._turn(tokens)
            yield
        finally:
            self.in_flight -= 1
            async with self._freed:
                if self.stop_reason is not None:
                    self._freed.notify_all()
                else:
                    # Only as many as there are places: waking every waiter each time is quadratic.
                    self._freed.notify(max(1, int(self.window) - self.in_flight))

    async def wait(self, delay_s: float) -> None:
        """Wait ``delay_s`` seconds; raises ``StopModel`` at once where the model is stopped."""
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            return
        self._raise_if_stopped()

    def succeeded(self, tokens: int | None = None) -> None:
        """Count one answer, and its input tokens where they are known."""
        self.ever_answered = True
        self._served_since_cut += 1
        if tokens:
            self._tokens += tokens
            self._token_answers += 1
        self.window = min(float(self.limits.concurrency), self.window + 1.0)

    def rate_limited(self) -> None:
        """Slow down after a 429; the request that drew it waits for the server's delay on its own."""
        now = self.clock()
        since_cut = now - self._cut_at
        if self._bursts > 0 and since_cut < COOL_DOWN_S:
            return
        self._bursts += 1
        if self._bursts > 1:
            self._served_rate = self._next_rate(now)
        self.window = max(1.0, self.window * SHRINK)
        self._cut_at = now
        self._served_since_cut = 0

    def refused(self, fault: GiveUp) -> GiveUp | StopModel:
        """Return ``fault``, or the end of the model where every question so far was refused alike.

        A 400 on one question may be that question's; the same one on the first ``ALL_REFUSED`` and no
        answer ever means settings that the endpoint takes from nobody, not worth asking 10,000 times.
        """
        if self.ever_answered or fault.http_status is None:
            return fault
        self._refusals.append(fault.http_status)
        if len(self._refusals) != ALL_REFUSED or len(set(self._refusals)) > 1:
            return fault
        return StopModel(
            f"{fault}. The first {ALL_REFUSED} questions were all refused with {fault.http_status} and none was "
            "answered, so no more are asked. Correct the model's settings (`generation`, `prompt`, `image`) or "
            "what the key may do, and run again: a new folder where settings change",
            http_status=fault.http_status,
        )

    def stop(self, reason: StopModel) -> None:
        """End the model: nobody who waits will send anything more. To be called while holding a slot."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self._stopping.set()

    def interval_s(self, tokens: float | None = None) -> float:
        """Return the seconds that must lie between this request and the next one."""
        rates = [] if self._served_rate is None else [self._adapted_rate(self.clock())]
        if self.limits.requests_per_minute is not None:
            rates.append(self.limits.requests_per_minute / 60)
        if self.limits.tokens_per_minute is not None:
            if tokens is None:
                tokens = self._tokens / self._token_answers if self._token_answers else 0.0
            if tokens > 0:
                rates.append(self.limits.tokens_per_minute / 60 / tokens)
        return 1 / min(rates) if rates else 0.0

    def _next_rate(self, now: float) -> float:
        """Return the rate after a burst: 0.95 of what was served, but neither above nor far below the last."""
        rate = self._served_since_cut / (now - self._cut_at) * SERVED_SHARE
        if self._served_rate is not None:
            last = self._adapted_rate(now)
            rate = min(max(rate, last * LEAST_SHARE), last * SERVED_SHARE)
        return max(rate, LEAST_RATE_PER_S)

    def _adapted_rate(self, now: float) -> float:
        assert self._served_rate is not None
        raised = min(RAISE_PER_S ** (now - self._cut_at), RAISE_PER_ANSWER**self._served_since_cut)
        return float(self._served_rate * raised)

    async def _turn(self, tokens: float | None) -> None:
        """Wait until the rate allows the next request; one waits at a time, so that a cut holds at once."""
        async with self._gate:
            self._raise_if_stopped()
            ahead_s = self._next_at - self.clock()
            if ahead_s > 0:
                await self.wait(ahead_s)
            self._next_at = max(self._next_at, self.clock()) + self.interval_s(tokens)

    def _raise_if_stopped(self) -> None:
        if self.stop_reason is not None:
            raise StopModel(str(self.stop_reason), http_status=self.stop_reason.http_status)


async def ask_with_retries(
    model: Model,
    question: Question,
    pace: Pace,
    record: Callable[[Attempt], None],
    *,
    model_budget: ModelBudget | None = None,
) -> Response:
    """Ask until there is an answer, at the model's pace; ``record`` gets every request that was sent.

    Waits as long as the server asks for, else a growing, jittered backoff. Raises the last fault when
    ``limits.max_attempts`` have failed (a 429 is no failure of the question: ``MOST_REFUSALS`` of
    them may come), ``GiveUp`` and ``StopModel`` at once. ``model_budget`` sets money aside before each
    request and stops the model where there is none left.
    """
    failures = refusals = 0
    for number in itertools.count(1):
        async with pace.slot():
            reserved_usd = await _set_aside(model_budget, question, pace)
            attempt, fault = await _attempt(model, question, number)
            if model_budget is None:
                record(attempt)
            else:
                counted_usd = model_budget.counted_usd(reserved_usd, attempt.response)
                record(replace(attempt, counted_usd=counted_usd))
                await model_budget.settle(reserved_usd, attempt.response)
            if isinstance(fault, GiveUp):
                fault = pace.refused(fault)
            if isinstance(fault, StopModel):
                pace.stop(fault)
            if attempt.response is not None:
                pace.succeeded(attempt.response.usage.input_tokens)
                return attempt.response
        if not isinstance(fault, RetryLater):
            raise fault or AssertionError("an attempt has a response or a fault")
        if fault.rate_limited:
            pace.rate_limited()
            refusals += 1
        else:
            failures += 1
        if failures >= pace.limits.max_attempts or refusals >= MOST_REFUSALS:
            raise fault
        await pace.wait(_delay_s(fault, refusals if fault.rate_limited else failures))
    raise AssertionError("the loop ends by returning or raising")


def _delay_s(fault: RetryLater, times: int) -> float:
    """Return how long to wait after a fault that came ``times`` times in a row.

    Never less than the server asked for; where it named a delay, our own backoff is halved, as the
    server knows better, but a question that is refused again and again still steps back by itself.
    """
    own_s = backoff_s(times, rate_limited=fault.rate_limited)
    return own_s if fault.delay_s is None else max(fault.delay_s, own_s / 2)


async def _set_aside(model_budget: ModelBudget | None, question: Question, pace: Pace) -> float:
    if model_budget is None:
        return 0.0
    try:
        return await model_budget.reserve(question)
    except StopModel as stop:
        pace.stop(stop)
        raise


async def _attempt(model: Model, question: Question, number: int) -> tuple[Attempt, SystemFault | None]:
    started_at, begun = time.time(), time.perf_counter()
    try:
        response = await model.ask(question)
    except SystemFault as fault:
        latency_s = time.perf_counter() - begun
        return Attempt(
            number, started_at, latency_s, _kind(fault), None, fault.http_status, str(fault), fault.body
        ), fault
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001  (a defect of evalkit or of a user's function costs one row, and says so)
        defect = _unforeseen(error)
        latency_s = time.perf_counter() - begun
        return Attempt(number, started_at, latency_s, "gave_up", None, None, str(defect)), defect
    latency_s = time.perf_counter() - begun
    return Attempt(number, started_at, latency_s, "answered", response, 200, None, response.body), None


def _unforeseen(error: Exception) -> GiveUp:
    """Return the fault of one question for an exception that no part of evalkit expects."""
    LOG.debug("an unforeseen error while asking", exc_info=error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return GiveUp(
        f"evalkit met an error that it does not expect ({type(error).__name__}: {error!s:.200} in {last.name}, "
        f"{last.filename.rpartition('/')[2]}:{last.lineno}). The question counts as not run, the others go on. It is "
        "a defect of evalkit: please report it; --debug shows where it came from"
    )


def _kind(fault: SystemFault) -> str:
    if isinstance(fault, RetryLater):
        return "rate_limited" if fault.rate_limited else "retry"
    return "stopped" if isinstance(fault, StopModel) else "gave_up"
