"""The pace in virtual time, against an endpoint with a known capacity."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from evalkit.config.models import PaceConfig
from evalkit.errors import GiveUp, RetryLater, StopModel, SystemFault
from evalkit.runner.pace import Attempt, Pace, ask_with_retries, backoff_s
from evalkit.types import Response, Usage


def now() -> float:
    """Return the running loop's virtual time."""
    return asyncio.get_running_loop().time()


@dataclass
class Endpoint:
    """A model that answers after ``latency_s``; ``capacity_per_s`` refills a bucket of ``burst``."""

    latency_s: float = 0.2
    capacity_per_s: float | None = None
    burst: float = 1.0
    fault: SystemFault | None = None
    sent_at: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    refused: int = 0
    in_flight: int = 0
    peak: int = 0
    _bucket: float | None = None
    _filled_at: float = 0.0

    async def ask(self, question: Any) -> Response:
        """Answer, or refuse with a 429 and the seconds until the bucket holds a request again."""
        self.sent_at.append(now())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            delay_s = self._refusal_s()
            await asyncio.sleep(0.02 if delay_s else self.latency_s)
            if delay_s:
                self.refused += 1
                raise RetryLater("429", delay_s=delay_s, rate_limited=True, http_status=429)
            if self.fault is not None:
                raise self.fault
            self.answered_at.append(now())
            return Response("{}", "[]", usage=Usage(1000, 10, 0))
        finally:
            self.in_flight -= 1

    def _refusal_s(self) -> float:
        if self.capacity_per_s is None:
            return 0.0
        filled = self.burst if self._bucket is None else self._bucket
        self._bucket = min(self.burst, filled + (now() - self._filled_at) * self.capacity_per_s)
        self._filled_at = now()
        if self._bucket >= 1:
            self._bucket -= 1
            return 0.0
        return (1 - self._bucket) / self.capacity_per_s


async def ask_many(
    endpoint: Endpoint, limits: PaceConfig, count: int
) -> tuple[list[Any], list[Attempt], float]:
    """Ask ``count`` questions with as many workers as the limits allow; return outcomes, attempts and seconds."""
    pace = Pace(limits, clock=now)
    attempts: list[Attempt] = []
    numbers = iter(range(count))
    outcomes: list[Any] = []

    async def work() -> None:
        for number in numbers:
            try:
                outcomes.append(await ask_with_retries(endpoint, number, pace, attempts.append))
            except SystemFault as fault:
                outcomes.append(fault)

    await asyncio.gather(*(work() for _ in range(limits.concurrency)))
    return outcomes, attempts, now()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Jitter is drawn from a known seed."""
    random.seed(5)


@pytest.mark.parametrize(
    ("capacity_per_s", "burst", "latency_s"),
    [(50.0, 50.0, 0.2), (50.0, 3000.0, 0.2), (5.0, 5.0, 0.05), (20.0, 20.0, 4.0), (2.0, 1.0, 0.5)],
)
def test_storm_of_429s_is_followed_within_15_percent(
    run_jumping: Callable[[Any], Any], capacity_per_s: float, burst: float, latency_s: float
) -> None:
    """In steady state the endpoint serves 85 % of its capacity at least, and no question is lost."""
    endpoint = Endpoint(latency_s, capacity_per_s, burst)
    count = round(burst + 120 * capacity_per_s)
    outcomes, attempts, _ = run_jumping(ask_many(endpoint, PaceConfig(concurrency=96), count))
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert len(attempts) == len(endpoint.sent_at)
    first, last = 30.0, max(endpoint.answered_at) - 10.0
    served = [at for at in endpoint.answered_at if first <= at < last]
    assert len(served) / (last - first) >= 0.85 * capacity_per_s
    # Each worker may be refused twice until the quota is known; later one request in ten at most.
    assert endpoint.refused <= 2 * 96 + 0.1 * len(endpoint.sent_at)


def test_window_opens_slowly_and_holds_its_limit(run_jumping: Callable[[Any], Any]) -> None:
    """Eight requests at first, then twice as many each round trip, never above the limit."""
    endpoint = Endpoint(latency_s=1.0)
    run_jumping(ask_many(endpoint, PaceConfig(concurrency=50), 500))
    assert sum(at < 1.0 for at in endpoint.sent_at) == 8
    assert sum(1.0 <= at < 2.0 for at in endpoint.sent_at) == 16
    assert endpoint.peak == 50


def test_requests_per_minute_are_spread_evenly(run_jumping: Callable[[Any], Any]) -> None:
    """600 a minute are one every tenth of a second, not a burst of 600."""
    endpoint = Endpoint(latency_s=0.3)
    run_jumping(ask_many(endpoint, PaceConfig(concurrency=64, requests_per_minute=600), 100))
    gaps = [after - before for before, after in zip(endpoint.sent_at, endpoint.sent_at[1:], strict=False)]
    assert min(gaps) >= 0.0999


def test_tokens_per_minute_follow_what_answers_report(run_jumping: Callable[[Any], Any]) -> None:
    """At 1,000 tokens an answer, 60,000 tokens a minute are one request a second, once that is known."""
    endpoint = Endpoint(latency_s=0.1)
    run_jumping(ask_many(endpoint, PaceConfig(concurrency=4, tokens_per_minute=60_000), 30))
    gaps = [after - before for before, after in zip(endpoint.sent_at[6:], endpoint.sent_at[7:], strict=False)]
    assert gaps == pytest.approx([1.0] * len(gaps))


def test_delay_of_the_server_is_kept(run_jumping: Callable[[Any], Any]) -> None:
    """A request that was told to wait 53 s is not sent again before."""
    endpoint = Endpoint(capacity_per_s=1 / 53, burst=1)
    run_jumping(ask_many(endpoint, PaceConfig(concurrency=2), 2))
    assert endpoint.sent_at[2] - endpoint.sent_at[1] >= 52.9


def test_a_stop_reaches_everyone_who_waits(run_jumping: Callable[[Any], Any]) -> None:
    """After a day's quota nothing more is sent; workers that sleep or queue end at once."""
    endpoint = Endpoint(latency_s=0.5, fault=StopModel("the day's quota is used up"))
    outcomes, attempts, seconds = run_jumping(ask_many(endpoint, PaceConfig(concurrency=40), 1000))
    assert len(attempts) == len(endpoint.sent_at) == 8
    assert all(isinstance(outcome, StopModel) for outcome in outcomes)
    assert seconds < 1.0


def test_refused_request_is_not_repeated(run_jumping: Callable[[Any], Any]) -> None:
    """GiveUp ends one question and leaves the others alone."""
    endpoint = Endpoint(fault=GiveUp("400"))
    outcomes, attempts, _ = run_jumping(ask_many(endpoint, PaceConfig(concurrency=2), 5))
    assert [type(outcome) for outcome in outcomes] == [GiveUp] * 5
    assert [attempt.kind for attempt in attempts] == ["gave_up"] * 5


def test_a_model_that_refuses_every_question_is_stopped(run_jumping: Callable[[Any], Any]) -> None:
    """The tenth refusal with one status and no answer ends the model, with the server's words."""
    endpoint = Endpoint(fault=GiveUp("m: budget 0 is invalid", http_status=400))
    outcomes, attempts, _ = run_jumping(ask_many(endpoint, PaceConfig(concurrency=2), 1000))
    assert len(attempts) == len(endpoint.sent_at) <= 12
    stops = [str(outcome) for outcome in outcomes if isinstance(outcome, StopModel)]
    assert len(stops) >= 1000 - 12
    assert "budget 0 is invalid" in stops[-1]
    assert "first 10 questions" in stops[-1]


@pytest.mark.parametrize("statuses", [[400] * 9, [400, 403] * 10, [None] * 20])
def test_refusals_that_differ_or_are_few_stop_nothing(statuses: list[int | None]) -> None:
    """Nine alike, two kinds in turn, or a function that raises: each is that question's own."""
    pace = Pace(PaceConfig())
    faults = [pace.refused(GiveUp("no", http_status=status)) for status in statuses]
    assert all(isinstance(fault, GiveUp) for fault in faults)


@pytest.mark.parametrize("earlier", [True, False])
def test_one_answer_shows_that_the_settings_are_accepted(*, earlier: bool) -> None:
    """After an answer, of this session or an earlier one, refusals are of the images and stop nothing."""
    pace = Pace(PaceConfig())
    if earlier:
        pace.ever_answered = True
    else:
        pace.succeeded()
    faults = [pace.refused(GiveUp("no", http_status=400)) for _ in range(50)]
    assert all(isinstance(fault, GiveUp) for fault in faults)


def test_backoff_doubles_up_to_a_minute() -> None:
    """Half a second at first, jittered by half; a 429 without a delay is waited for four times longer."""
    assert all(0.25 <= backoff_s(1) <= 0.75 for _ in range(50))
    assert all(4 <= backoff_s(5) <= 12 for _ in range(50))
    assert all(30 <= backoff_s(20) <= 90 for _ in range(50))
    assert all(1 <= backoff_s(1, rate_limited=True) <= 3 for _ in range(50))
