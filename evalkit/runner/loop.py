"""The asking: sample -> model -> ledger; it scores nothing and builds no page.

All models are asked side by side, each at its own pace. What the ledger already holds is not asked
again, so the same command resumes a run at the grain of one answer. Nothing but the ledger is
written while answers come in.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError, StopModel, SystemFault
from evalkit.images import read_bytes
from evalkit.models import find_provider, open_models
from evalkit.models.answers import ModelView, decode_response, model_views
from evalkit.models.attempts import Attempt
from evalkit.models.base import Model, Question
from evalkit.models.known_models import thinking_asked_off, was_routed
from evalkit.models.prices import cost_usd
from evalkit.runner.budget import ModelBudget, open_model_budgets
from evalkit.runner.folder import bring_up_to_date
from evalkit.runner.images import ImageCache
from evalkit.runner.pace import Pace, ask_with_retries
from evalkit.runner.prepare import RunPlan
from evalkit.runner.resume import Background, backgrounds_of
from evalkit.storage.ledger import AttemptRow, Key, Ledger
from evalkit.storage.ledger_writer import LedgerWriter
from evalkit.storage.run_folder import LEDGER
from evalkit.types import Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.models import Batch
    from evalkit.progress import Progress


@dataclass(frozen=True, slots=True)
class StoppedModel:
    """A model that was stopped before all its questions were asked, and why."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of the asking. ``unchanged``: the run stands finished as it was, and nothing was written."""

    stopped: tuple[StoppedModel, ...] = ()
    unchanged: bool = False


async def ask_all(plan: RunPlan, progress: Progress) -> Asked:
    """Ask every question that has no answer yet.

    The models are opened first: a missing key or an unknown function ends here, with nothing written.
    """
    views = {view.name: view for view in model_views(plan.config)}
    async with open_models(plan.model_configs, plan.config, plan.samples, plan.out) as models:
        backgrounds = backgrounds_of(plan, models)
        renewal = bring_up_to_date(plan, models, backgrounds)
        for sentence in renewal.told:
            progress.note(sentence)
        if renewal.unchanged:
            return Asked(unchanged=True)
        with Ledger(plan.out / LEDGER) as ledger:
            ledger.remember_backgrounds({name: one.facts for name, one in backgrounds.items()})
            answered = ledger.answered_keys()
            model_budgets = open_model_budgets(plan.model_configs, plan.config, ledger)
        with LedgerWriter(plan.out / LEDGER) as writer:
            asking = [
                ModelRunner(
                    model,
                    entry,
                    plan,
                    writer=writer,
                    progress=progress,
                    view=views[model.name],
                    background=backgrounds[model.name],
                    model_budget=model_budgets.get(model.name),
                )
                for model, entry in zip(models, plan.model_configs, strict=True)
            ]
            # A task group ends every other task before the ledger closes, where one of them fails.
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each.all(answered)) for each in asking]
    return Asked(tuple(stop for stop in (task.result() for task in tasks) if stop is not None))


class ModelRunner:
    """All questions of one model: a few workers share one iterator, so nothing queues up in memory."""

    def __init__(
        self,
        model: Model,
        entry: ModelEntry,
        plan: RunPlan,
        *,
        writer: LedgerWriter,
        progress: Progress,
        view: ModelView,
        background: Background,
        model_budget: ModelBudget | None = None,
    ) -> None:
        self.model = model
        self.entry = entry
        self.plan = plan
        self.writer = writer
        self.progress = progress
        self.view = view
        self.background = background
        self.model_budget = model_budget
        self.provider = find_provider(entry.provider)
        self.limits = self.provider.limits(entry)
        self.pace = Pace(self.limits)
        self.routed_to: set[str] = set()
        self.thinking_told = False
        self.images = ImageCache(plan.config.image.max_side)
        self.stop: StoppedModel | None = None

    async def all(self, answered: set[Key]) -> StoppedModel | None:
        """Ask what has no answer yet; return why the model stopped early, None where it did not."""
        total = len(self.plan.samples) * self.plan.config.trials
        pending = sum(self._key(*pair) not in answered for pair in self._pairs())
        self.pace.ever_answered = pending < total
        self.progress.expect(self.model.name, total, total - pending)
        if self.provider.batch is not None and pending:
            answered = answered | await self._ask_in_batches(self.provider.batch, answered)
        questions = (pair for pair in self._pairs() if self._key(*pair) not in answered)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.limits.concurrency, pending)):
                group.create_task(self._work(questions))
        return self.stop

    def _pairs(self) -> Iterator[tuple[Sample, int]]:
        return ((sample, trial) for sample in self.plan.samples for trial in range(self.plan.config.trials))

    def _key(self, sample: Sample, trial: int) -> Key:
        return Key(self.model.name, sample.dataset, sample.sample_id, trial)

    async def _work(self, questions: Iterator[tuple[Sample, int]]) -> None:
        for sample, trial in questions:
            if self.stop is not None:
                return
            await self._ask(sample, trial)

    async def _ask_in_batches(self, batch: Batch[Any, Any], answered: set[Key]) -> set[Key]:
        """Ask in the provider's jobs; return the keys that need not be asked live any more."""
        settled: set[Key] = set()

        async def load(sample: Sample, trial: int) -> Question | None:
            question = await self._question(sample, trial)
            if question is None:
                settled.add(self._key(sample, trial))
            return question

        def record(sample: Sample, trial: int, image_sha256: str | None, attempt: Attempt) -> None:
            key = self._key(sample, trial)
            if self._is_of_another_question(sample, image_sha256):
                self.progress.note(
                    f"{self.model.name}: a job answered about an older {sample.sample_id}: asked anew"
                )
                return
            self.writer.add(self._row(sample, trial, attempt, image_sha256))
            self.writer.settle()  # the job's own state must not run ahead of the ledger
            if attempt.response is not None:
                settled.add(key)
                self._show(sample, attempt.response)

        pairs = [pair for pair in self._pairs() if self._key(*pair) not in answered]
        try:
            await batch.ask(self.model, pairs, load, record, self.progress.note, self.model_budget)
        except StopModel as stop:
            self._halt(str(stop))
        except SystemFault as fault:
            self.progress.note(f"{self.model.name}: batch jobs are not possible, asking live: {fault}")
        return settled

    async def _question(self, sample: Sample, trial: int) -> Question | None:
        """Return the question with its image read, None (and a row) where its image or its truth is at fault."""
        if sample.truth.fault is not None:
            self._note_data_error(self._key(sample, trial), sample.truth.fault)
            return None
        try:
            image = await self.images.read(sample) if self.provider.needs_image else None
        except DataError as error:
            self._note_data_error(self._key(sample, trial), str(error))
            return None
        return Question(sample, self.model.prompt_for(sample), image, trial, self.plan.config.seed + trial)

    async def _ask(self, sample: Sample, trial: int) -> None:
        """Ask one question to its end: an answer, a data error or a system error, all in the ledger."""
        question = await self._question(sample, trial)
        if question is None:
            return
        key = self._key(sample, trial)
        image_sha256 = None if question.image is None else question.image.sha256

        def record(attempt: Attempt) -> None:
            self.writer.add(self._row(sample, trial, attempt, image_sha256))

        try:
            response = await ask_with_retries(
                self.model, question, self.pace, record, model_budget=self.model_budget
            )
        except StopModel as stop:
            self._halt(str(stop))
        except SystemFault:
            self.progress.add(self.model.name, "not_run")
        except DataError as error:
            self._note_data_error(key, str(error))
        else:
            await self.writer.settled()
            self._show(sample, response)

    def _row(self, sample: Sample, trial: int, attempt: Attempt, image_sha256: str | None) -> AttemptRow:
        return AttemptRow(
            self._key(sample, trial),
            attempt.number,
            "answered" if attempt.response is not None else "system_error",
            attempt.started_at,
            attempt.latency_s,
            attempt.http_status,
            attempt.error,
            image_sha256,
            attempt.body,
            self.background.question(self.model.prompt_for(sample), image_sha256),
            attempt.counted_usd,
        )

    def _is_of_another_question(self, sample: Sample, image_sha256: str | None) -> bool:
        """Tell whether the photograph has changed since a job was sent that asked about it."""
        return (
            image_sha256 is not None and image_sha256 != hashlib.sha256(read_bytes(sample.image)).hexdigest()
        )

    def _note_data_error(self, key: Key, error: str) -> None:
        now = dt.datetime.now(dt.UTC).timestamp()
        self.writer.add(AttemptRow(key, 1, "data_error", now, error=error))
        self.progress.add(self.model.name, "data_error")

    def _halt(self, reason: str) -> None:
        if self.stop is None:
            self.stop = StoppedModel(self.model.name, reason)
            self.progress.note(f"{self.model.name} stopped: {reason}")

    def _show(self, sample: Sample, response: Response) -> None:
        """Tell the progress what came: decoded for the eyes only, the number comes from scoring."""
        decoded = decode_response(response, sample, self.view.asked, self.plan.config.decode)
        kind = decoded.failure or (None if decoded.outcome in ("decoded", "no_target") else decoded.outcome)
        today = dt.datetime.now(dt.UTC).date()
        self.progress.add(self.model.name, kind, cost_usd(self.entry, response, today))
        self._tell_routing(response)
        self._tell_thinking(response)

    def _tell_thinking(self, response: Response) -> None:
        """Say once that thinking was asked off and is billed all the same."""
        thoughts = response.usage.thought_tokens or 0
        generation = self.entry.generation_setting()
        if thoughts and not self.thinking_told and generation is not None and thinking_asked_off(generation):
            self.thinking_told = True
            self.progress.note(
                f"{self.model.name}: thinking was asked off (thinking_budget: 0), yet {thoughts} thinking tokens were "
                "billed for an answer"
            )

    def _tell_routing(self, response: Response) -> None:
        """Say once that another model answers than the one that was asked."""
        version = response.model_version
        if version not in self.routed_to and was_routed(self.model.requested_model, version):
            self.routed_to.add(str(version))
            self.progress.note(
                f"{self.model.name}: asked {self.model.requested_model}, but {version} answers. The rows are marked, "
                "and the gate refuses them unless the model has `allow_routing: true`"
            )
