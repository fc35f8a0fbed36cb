"""The stored answers of one chunk of samples, each opened once and beside its truth: for what measures a run again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.decoding.answer import OpenedAnswer
from evalkit.decoding.settings import DecodeSettings
from evalkit.metrics.truth import Truth
from evalkit.models import read_body
from evalkit.models.answers import ModelView, model_views, open_response
from evalkit.storage.ledger import Key, KeyState, Ledger
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Sample


@dataclass(frozen=True, slots=True)
class AnswersJob:
    """One chunk of samples of one run; ``settings``: the run's own."""

    run_path: str
    chunk: int
    models: tuple[ModelView, ...]
    trials: int
    settings: DecodeSettings


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One question of a run with its answer, None where it has none to measure (not run, or a data error)."""

    model: ModelView
    sample: Sample
    truth: Truth
    trial: int
    answer: OpenedAnswer | None


def answers_jobs(run: RunFolder) -> list[AnswersJob]:
    """Return the jobs of a whole run, one for each chunk."""
    config = run.config()
    views = model_views(config, list(run.manifest.models) or None)
    return [
        AnswersJob(str(run.path), chunk, views, config.trials, config.decode)
        for chunk in range(run.n_chunks())
    ]


def stored_answers(job: AnswersJob) -> Iterator[StoredAnswer]:
    """Yield every sample with every model and trial, in the order of scores.parquet."""
    run = RunFolder(job.run_path)
    samples = run.sample_chunk(job.chunk)
    with Ledger(run.ledger_path, read_only=True) as ledger:
        states: dict[Key, KeyState] = {}
        for dataset in dict.fromkeys(sample.dataset for sample in samples):
            states |= ledger.states(dataset, [s.sample_id for s in samples if s.dataset == dataset])
    for sample in samples:
        truth = Truth(sample.truth)
        for model in job.models:
            for trial in range(job.trials):
                state = states.get(Key(model.name, sample.dataset, sample.sample_id, trial))
                answer = None
                is_answered = state is not None and state.last.status == "answered"
                if state is not None and is_answered and sample.truth.fault is None:
                    response = read_body(model.provider, state.last.body or "")
                    answer = open_response(response, sample, model.asked)
                yield StoredAnswer(model, sample, truth, trial, answer)
