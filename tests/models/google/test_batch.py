"""gemini-batch against the simulator: keyed results, every state resumed, what fails is left to live calls."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.prompts import find_prompt
from evalkit.errors import ConfigError, RetryLater
from evalkit.images import read_image
from evalkit.models.base import Question
from evalkit.models.google.batch import GeminiBatch, key_of, open_batch, request_digest
from evalkit.models.google.batch_jobs import BatchJob, BatchJobFile
from evalkit.models.google.gemini import GeminiConfig
from evalkit.models.prices import cost_usd
from evalkit.runner.pace import Attempt
from evalkit.simulator.batch_api import BatchStore
from evalkit.simulator.http import Reply
from evalkit.types import Sample


class Killed(BaseException):
    """Stands for kill -9."""


class Session:
    """One process's life: asks in batches, records, may be killed where a test says so."""

    def __init__(self, entry: GeminiConfig, state: Path, samples: list[Sample]) -> None:
        self.entry = entry
        self.state = state
        self.samples = samples
        self.rows: list[tuple[str, Attempt]] = []
        self.notes: list[str] = []
        self.prompt = "Segment {expression}."

    def run(
        self, prepare: Callable[[GeminiBatch], None] = lambda model: None, done: set[str] | None = None
    ) -> None:
        """Ask every sample that is not in ``done``."""

        async def load(sample: Sample, trial: int) -> Question | None:
            prompt = self.prompt.replace("{expression}", sample.expression)
            return Question(sample, prompt, read_image(sample.image), trial)

        def record(sample: Sample, trial: int, sha256: str | None, attempt: Attempt) -> None:
            assert sha256 == read_image(sample.image).sha256
            self.rows.append((sample.sample_id, attempt))

        async def work() -> None:
            model = open_batch(self.entry, find_prompt("google-mask"), directory=Path(), state=self.state)
            prepare(model)
            pairs = [(sample, 0) for sample in self.samples if sample.sample_id not in (done or set())]
            try:
                await model.ask_all(pairs, load, record, note=self.notes.append)
            finally:
                await model.close()

        asyncio.run(work())

    @property
    def answers(self) -> dict[str, Attempt]:
        """Return the answered rows by sample."""
        return {sample_id: attempt for sample_id, attempt in self.rows if attempt.response is not None}


@pytest.fixture
def entry(gemini_entry: Callable[..., GeminiConfig]) -> Callable[..., GeminiConfig]:
    """Return a maker of batch entries that poll fast, three questions a job."""

    def make(base_url: str, **batch: Any) -> GeminiConfig:
        settings = {"poll_s": 0.05, "max_requests": 3} | batch
        return gemini_entry(base_url, provider="gemini-batch", batch=settings)

    return make


def test_results_are_matched_by_key(
    simulate: Callable[..., Any], entry: Callable[..., GeminiConfig], samples: list[Sample], tmp_path: Path
) -> None:
    """Six questions in two jobs, results in another order: each sample gets the answer about itself, at half price."""
    simulator = simulate()
    session = Session(entry(simulator.url_for("perfect")), tmp_path, samples)
    session.run()
    assert set(session.answers) == {sample.sample_id for sample in samples}
    for sample in samples:
        attempt = session.answers[sample.sample_id]
        assert json.loads(attempt.body or "")["key"] == key_of(sample, 0)
        assert attempt.latency_s is None
    assert sum(request.operation == "batch" for request in simulator.requests) == 2
    assert BatchJobFile.load(tmp_path / "batch-m.json").open == []
    attempt = session.answers["s0"]
    assert attempt.response is not None
    usage, today = attempt.response.usage, dt.date(2026, 11, 21)
    full = (usage.input_tokens * 0.30 + (usage.output_tokens + usage.thought_tokens) * 2.50) / 1e6  # type: ignore[operator]
    assert cost_usd(session.entry, attempt.response, today) == pytest.approx(full / 2)


def test_errors_of_lines_are_rows_and_left_to_live_calls(
    simulate: Callable[..., Any], entry: Callable[..., GeminiConfig], samples: list[Sample], tmp_path: Path
) -> None:
    """A failed line is recorded with its error; the others of its job count."""
    simulator = simulate({"kind": "internal", "operation": "batch_line", "samples": ["s1"]})
    session = Session(entry(simulator.url_for("perfect")), tmp_path, samples)
    session.run()
    assert set(session.answers) == {"s0", "s2", "s3", "s4", "s5"}
    failed = [attempt for sample_id, attempt in session.rows if sample_id == "s1"]
    assert [attempt.kind for attempt in failed] == ["gave_up"]
    assert failed[0].error


@pytest.mark.parametrize("kind", ["batch_failed", "batch_expired"])
def test_jobs_that_fail_end_without_answers(
    kind: str,
    simulate: Callable[..., Any],
    entry: Callable[..., GeminiConfig],
    samples: list[Sample],
    tmp_path: Path,
) -> None:
    """Nothing is recorded and it is said that the questions are asked live."""
    session = Session(entry(simulate({"kind": kind}).url_for("perfect")), tmp_path, samples)
    session.run()
    assert session.rows == []
    assert "asked live" in session.notes[0]


def test_the_deadline_cancels_a_job(
    simulate: Callable[..., Any], entry: Callable[..., GeminiConfig], samples: list[Sample], tmp_path: Path
) -> None:
    """A job that is still pending after batch.deadline_h is cancelled and given up."""
    simulator = simulate({"kind": "batch_slow", "pending_s": 600, "running_s": 600})
    session = Session(
        entry(simulator.url_for("perfect"), deadline_h=0.0001, max_requests=10), tmp_path, samples
    )
    session.run()
    assert session.rows == []
    assert "deadline_h" in session.notes[0]
    assert any(request.path.endswith(":cancel") for request in simulator.requests)


def _kill_at_upload(model: GeminiBatch) -> None:
    async def kill(job: Any, text: bytes) -> str:
        raise Killed

    model._create_once = kill  # type: ignore[method-assign]


def _kill_after_creation(model: GeminiBatch) -> None:
    create = model._create_once

    async def kill(job: Any, text: bytes) -> str:
        await create(job, text)
        raise Killed

    model._create_once = kill  # type: ignore[method-assign]


def _kill_at_first_poll(model: GeminiBatch) -> None:
    async def kill(*_: Any) -> None:
        raise Killed

    model._look_at = kill  # type: ignore[method-assign]


def _kill_while_collecting(model: GeminiBatch) -> None:
    collect = model._collect

    async def kill(job: Any, remote: Any, by_key: Any, record: Any, model_budget: Any) -> None:
        seen: list[int] = []

        def record_one(*args: Any) -> None:
            if seen:
                raise Killed
            seen.append(1)
            record(*args)

        await collect(job, remote, by_key, record_one, model_budget)

    model._collect = kill  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("kill", "jobs_in_all"),
    [(_kill_at_upload, 2), (_kill_after_creation, 2), (_kill_at_first_poll, 2), (_kill_while_collecting, 2)],
)
def test_a_killed_run_resumes(
    kill: Callable[[GeminiBatch], None],
    jobs_in_all: int,
    simulate: Callable[..., Any],
    entry: Callable[..., GeminiConfig],
    samples: list[Sample],
    tmp_path: Path,
) -> None:
    """Killed while creating, created but not noted, pending, half collected: no question is paid twice or lost."""
    simulator = simulate()
    first = Session(entry(simulator.url_for("perfect")), tmp_path, samples)
    with pytest.raises(Killed):
        first.run(kill)
    second = Session(first.entry, tmp_path, samples)
    second.run(done=set(first.answers))
    assert set(first.answers) | set(second.answers) == {sample.sample_id for sample in samples}
    assert not set(first.answers) & set(second.answers)
    assert sum(request.operation == "batch" for request in simulator.requests) == jobs_in_all


def test_unknown_batch_settings_are_refused(gemini_entry: Callable[..., GeminiConfig]) -> None:
    """A misspelt key names the nearest."""
    entry = gemini_entry("http://127.0.0.1:9", provider="gemini-batch", batch={"pol_s": 1})
    with pytest.raises(ConfigError, match="poll_s"):
        open_batch(entry, find_prompt("google-mask"), directory=Path(), state=None)


def test_a_job_that_is_no_longer_there_is_left_to_live_calls(
    simulate: Callable[..., Any], entry: Callable[..., GeminiConfig], samples: list[Sample], tmp_path: Path
) -> None:
    """A job that was deleted answers 404: it is given up, and does not stop the model at every resume."""
    simulator = simulate()
    state = tmp_path / "state"
    state.mkdir()
    lines = {key_of(samples[0], 0): read_image(samples[0].image).sha256}
    job = BatchJob("evalkit-x", dt.datetime.now(dt.UTC).timestamp(), lines, "batches/gone")
    BatchJobFile(state / "batch-m.json", [job]).save()
    session = Session(entry(simulator.base_url), state, samples)

    def asked_the_same(model: GeminiBatch) -> None:
        image = read_image(samples[0].image)
        request = model.live.body_of(Question(samples[0], f"Segment {samples[0].expression}.", image))
        digest = request_digest(model.requested_model, model.live.endpoint.address, request)
        model.file.jobs[0].requests = {key_of(samples[0], 0): digest}

    session.run(asked_the_same)
    assert set(session.answers) == {sample.sample_id for sample in samples[1:]}
    assert BatchJobFile.load(state / "batch-m.json").open == []
    assert any("no longer there (404)" in note for note in session.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": {"temperature": 0.7}},
        {"generation": {"extra_body": {"labels": {"a": "b"}}}},
        {"model": "gemini-2.5-pro"},
        {"prompt": "Find {expression} and answer with JSON."},
    ],
)
def test_a_job_of_other_settings_answers_nothing(
    change: dict[str, Any],
    simulate: Callable[..., Any],
    entry: Callable[..., GeminiConfig],
    samples: list[Sample],
    tmp_path: Path,
) -> None:
    """The jobs of a killed session are cancelled where what they ask was changed; the questions go into new ones."""
    simulator = simulate({"kind": "batch_slow", "pending_s": 0.3, "running_s": 0.0})

    def die_after_submitting(model: GeminiBatch) -> None:
        async def look_at(*_: Any) -> None:
            raise Killed

        model._look_at = look_at  # type: ignore[method-assign]

    first = Session(entry(simulator.url_for("perfect")), tmp_path, samples)
    with pytest.raises(Killed):
        first.run(die_after_submitting)
    sent_before = {job.display_name for job in BatchJobFile.load(tmp_path / "batch-m.json").open}
    assert len(sent_before) == 2
    data = first.entry.model_dump(mode="json") | change
    second = Session(GeminiConfig.model_validate(data), tmp_path, samples)
    second.prompt = change.get("prompt", second.prompt)
    second.run()
    assert set(second.answers) == {sample.sample_id for sample in samples}
    assert sum("are asked otherwise now" in note for note in second.notes) == 2
    jobs = BatchJobFile.load(tmp_path / "batch-m.json").jobs
    assert [job.lines for job in jobs if job.display_name in sent_before] == [{}, {}]
    assert sum(request.operation == "batch" for request in simulator.requests) == 4


def test_a_job_whose_requests_are_unchanged_is_collected_whether_they_are_kept_or_not(
    simulate: Callable[..., Any], entry: Callable[..., GeminiConfig], samples: list[Sample], tmp_path: Path
) -> None:
    """`store` changes no answer."""
    simulator = simulate({"kind": "batch_slow", "pending_s": 0.3, "running_s": 0.0})

    def die_after_submitting(model: GeminiBatch) -> None:
        async def look_at(*_: Any) -> None:
            raise Killed

        model._look_at = look_at  # type: ignore[method-assign]

    first = Session(entry(simulator.url_for("perfect")), tmp_path, samples)
    with pytest.raises(Killed):
        first.run(die_after_submitting)
    data = first.entry.model_dump(mode="json")
    data["generation"]["store"] = True
    second = Session(GeminiConfig.model_validate(data), tmp_path, samples)
    second.run()
    assert not any("are asked otherwise now" in note for note in second.notes)
    assert set(second.answers) == {sample.sample_id for sample in samples}
    assert sum(request.operation == "batch" for request in simulator.requests) == 2


def test_a_job_whose_creation_was_not_heard_of_is_found_again(
    simulate: Callable[..., Any],
    entry: Callable[..., GeminiConfig],
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer was lost on its way: the job is there and paid for, and none is made beside it."""
    monkeypatch.setattr("evalkit.models.google.batch.backoff_s", lambda *_, **__: 0.0)
    simulator = simulate()
    session = Session(entry(simulator.url_for("perfect")), tmp_path, samples[:3])

    def lose_the_first_answer(model: GeminiBatch) -> None:
        create_once, lost = model._create_once, iter([True])

        async def create(job: BatchJob, text: bytes) -> str:
            name = await create_once(job, text)
            if next(lost, False):
                raise RetryLater("the connection failed")
            return name

        monkeypatch.setattr(model, "_create_once", create)

    session.run(lose_the_first_answer)
    assert sum(request.operation == "batch" for request in simulator.requests) == 1
    assert set(session.answers) == {"s0", "s1", "s2"}


@pytest.mark.parametrize("body", [b"7", b'{"metadata": 5}', b'{"metadata": {"output": []}}', b'{"name": 5}'])
def test_a_job_of_another_shape_is_looked_at_again(
    body: bytes,
    simulate: Callable[..., Any],
    entry: Callable[..., GeminiConfig],
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a gateway puts in a job's place ends nothing."""
    answer = BatchStore.get
    odd = iter([Reply(body=body)])
    monkeypatch.setattr(BatchStore, "get", lambda self, call: next(odd, None) or answer(self, call))
    session = Session(entry(simulate().url_for("perfect")), tmp_path, samples[:3])
    session.run()
    assert set(session.answers) == {"s0", "s1", "s2"}
    assert any("cannot be looked at just now" in note for note in session.notes)
