"""``provider: gemini-batch``: the same questions as JSONL jobs of the Batch API, at half the price.

Jobs are submitted, polled, collected by key and remembered in the run's folder: the same command
picks up jobs that a crash left behind, whatever state they are in. What a job does not answer (a
line's own error, a failed or expired job, the deadline) is left to live calls.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import ConfigError, RetryLater, SystemFault, nearest
from evalkit.models.attempts import Attempt, backoff_s
from evalkit.models.base import Question
from evalkit.models.bodies import json_object
from evalkit.models.google.batch_jobs import BatchJob, BatchJobFile
from evalkit.models.google.bodies import is_batch_line, read_batch_body
from evalkit.models.google.gemini import PROVIDER as LIVE
from evalkit.models.google.gemini import GeminiConfig, GeminiModel, check_entry, open_gemini
from evalkit.models.http.calls import MISREAD, guarded
from evalkit.models.provider import Batch, ProviderContext
from evalkit.types import Response, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
    from evalkit.models.base import LoadQuestion, ModelBudgetProtocol, RecordAttempt

SETTINGS = {"poll_s": 30.0, "deadline_h": 24.0, "max_requests": 500, "max_mb": 200.0, "max_open_jobs": 20}
"""Small jobs: large ones have been seen stuck for over a day (googleapis/python-genai#2974)."""

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
GONE = (403, 404)
"""A job or file that was deleted, or is older than the service keeps it (files: 48 h), answers with one of these."""

FILE_TIMEOUT_S = 900.0

Pair = tuple[Sample, int]


class GeminiBatch:
    """A Gemini model that is asked in jobs; ``ask`` is the live call that the rest falls back to."""

    def __init__(self, live: GeminiModel, entry: GeminiConfig, state: Path | None) -> None:
        self.live = live
        self.name = live.name
        self.requested_model = live.requested_model
        self.settings = batch_settings(entry)
        self.file = BatchJobFile.load(
            None if state is None else state / f"batch-{quote(entry.name, safe='')}.json"
        )
        self.reserved_usd: dict[str, float] = {}

    def prompt_for(self, sample: Sample) -> str:
        """Return the text of the question about one sample."""
        return self.live.prompt_for(sample)

    async def ask(self, question: Question) -> Response:
        """Ask live: what a job left unanswered."""
        return await self.live.ask(question)

    async def close(self) -> None:
        """Close the connections; jobs go on, and the same command collects them."""
        await self.live.close()

    async def ask_all(
        self,
        pairs: Sequence[Pair],
        load: LoadQuestion,
        record: RecordAttempt,
        note: Callable[[str], None],
        model_budget: ModelBudgetProtocol | None = None,
    ) -> None:
        """Ask ``pairs`` in jobs and return when every job has ended, also those of earlier sessions.

        Pairs that have no answer then are to be asked live. Raises ``StopModel`` where nothing more
        can be asked; the jobs stay in the file.
        """
        by_key = {key_of(*pair): pair for pair in pairs}
        await self._adopt(note)
        await self._leave_other_questions(by_key, load, note)
        taken = {key for job in self.file.open for key in job.lines}
        waiting = iter([pair for key, pair in by_key.items() if key not in taken])
        more = True
        while more or self.file.open:
            while more and len(self.file.open) < self.settings["max_open_jobs"]:
                more = await self._submit_next(waiting, load, note, model_budget)
            for job in self.file.open:
                await self._look_at(job, by_key, record, note, model_budget)
            if self.file.open:
                await asyncio.sleep(self.settings["poll_s"])

    async def _adopt(self, note: Callable[[str], None]) -> None:
        """Find the jobs whose creation was cut off by a crash; forget those that never came to be."""
        nameless = {job.display_name: job for job in self.file.open if job.name is None}
        if nameless:
            found = await self._call(self._names)
            for display_name, job in nameless.items():
                job.name = found.get(display_name)
                job.done = job.name is None
            self.file.save()
        if self.file.open:
            note(f"{self.name}: {len(self.file.open)} batch jobs of an earlier session are picked up")

    async def _names(self) -> dict[str, str]:
        """Return the service's jobs: the name that we gave -> the name that it gave."""
        listed = await self._client.batches.list()
        return {one.display_name or "": one.name or "" async for one in listed}

    async def _leave_other_questions(
        self, by_key: dict[str, Pair], load: LoadQuestion, note: Callable[[str], None]
    ) -> None:
        """Take out of the jobs of earlier sessions what is asked otherwise now; a job with nothing else is cancelled.

        A job answers the request that it was sent with: prompt, picture, settings, model and endpoint of that day.
        """
        for job in self.file.open:
            others = [
                key for key in job.lines if key in by_key and not await self._asks(job, key, load, by_key)
            ]
            for key in others:
                del job.lines[key]
                job.requests.pop(key, None)
            if others:
                note(
                    f"{self.name}: {len(others)} questions of batch job {job.name} are asked otherwise now: its answers to "
                    "them are left, and they are asked anew"
                )
            if not job.lines:
                await self._cancel(job)
                job.done = True
        self.file.save()

    async def _asks(self, job: BatchJob, key: str, load: LoadQuestion, by_key: dict[str, Pair]) -> bool:
        """Tell whether a job was sent with the request that a question makes now."""
        question = await load(*by_key[key])
        return question is not None and self._digest(self.live.body_of(question)) == job.requests.get(key)

    def _digest(self, request: dict[str, Any]) -> str:
        return request_digest(self.requested_model, self.live.endpoint.address, request)

    async def _submit_next(
        self,
        waiting: Iterator[Pair],
        load: LoadQuestion,
        note: Callable[[str], None],
        model_budget: ModelBudgetProtocol | None,
    ) -> bool:
        """Submit one job of the next questions; tell whether there may be more."""
        text, job, usd, more = await self._next_lines(waiting, load, model_budget)
        if not job.lines:
            return more
        if model_budget is not None:
            if not model_budget.budget.fits(usd):
                note(f"{self.name}: no further batch job fits the budget; what it allows is asked live")
                return False
            await model_budget.budget.reserve(usd)
        self.reserved_usd[job.display_name] = usd
        self.file.jobs.append(job)
        self.file.save()
        try:
            job.name = await self._create(job, text)
        except RetryLater as fault:
            job.done = True
            note(
                f"{self.name}: a batch job of {len(job.lines)} questions was not accepted, they are asked live: {fault}"
            )
        except SystemFault:
            job.done = True
            raise
        finally:
            self.file.save()
        return more

    async def _next_lines(
        self, waiting: Iterator[Pair], load: LoadQuestion, model_budget: ModelBudgetProtocol | None
    ) -> tuple[bytes, BatchJob, float, bool]:
        """Return the next job's file, its record, the money it may cost, and whether more may come."""
        text, usd = io.BytesIO(), 0.0
        job = BatchJob(f"evalkit-{uuid.uuid4().hex}", time.time(), {})
        for sample, trial in waiting:
            question = await load(sample, trial)
            if question is None:
                continue
            key = key_of(sample, trial)
            request = self.live.body_of(question)
            text.write(json.dumps({"key": key, "request": request}).encode() + b"\n")
            job.lines[key] = None if question.image is None else question.image.sha256
            job.requests[key] = self._digest(request)
            usd += 0.0 if model_budget is None else model_budget.next_usd(question)
            if (
                len(job.lines) >= self.settings["max_requests"]
                or text.tell() >= self.settings["max_mb"] * 1e6
            ):
                return text.getvalue(), job, usd, True
        return text.getvalue(), job, usd, False

    async def _create(self, job: BatchJob, text: bytes) -> str:
        """Upload the lines and create the job, trying again where that is worth it; return its name."""
        attempts = self.live.entry.limits.max_attempts
        for number in range(1, attempts + 1):
            try:
                # An answer that was lost on its way leaves a job behind, which is paid for.
                found = await self._call(self._names) if number > 1 else {}
                return found.get(job.display_name) or str(
                    await self._call(lambda: self._create_once(job, text))
                )
            except RetryLater as fault:
                if number == attempts:
                    raise
                await asyncio.sleep(
                    max(fault.delay_s or 0.0, backoff_s(number, rate_limited=fault.rate_limited))
                )
        raise AssertionError("max_attempts is at least 1")

    async def _create_once(self, job: BatchJob, text: bytes) -> str:
        from google.genai import types

        upload = types.UploadFileConfig(mime_type="application/jsonl", display_name=job.display_name)
        file = await self._client.files.upload(file=io.BytesIO(text), config=upload)
        created = await self._client.batches.create(
            model=self.requested_model,
            src=file.name,
            config=types.CreateBatchJobConfig(display_name=job.display_name),
        )
        return str(created.name)

    async def _look_at(
        self,
        job: BatchJob,
        by_key: dict[str, Pair],
        record: RecordAttempt,
        note: Callable[[str], None],
        model_budget: ModelBudgetProtocol | None,
    ) -> None:
        """Collect a job that has ended; cancel one that is past the deadline; leave the others."""
        try:
            remote = await self._call(lambda: self._client.batches.get(name=job.name))
            state = "" if remote.state is None else remote.state.name.removeprefix("JOB_STATE_")
            if state in ("SUCCEEDED", "PARTIALLY_SUCCEEDED"):
                await self._collect(job, remote, by_key, record, model_budget)
        except RetryLater as fault:
            note(f"{self.name}: batch job {job.name} cannot be looked at just now: {fault}")
            state = ""
        except SystemFault as fault:
            if fault.http_status not in GONE:
                raise
            note(
                f"{self.name}: batch job {job.name} or its results are no longer there ({fault.http_status})"
            )
            state = "EXPIRED"
        if state not in ENDED and time.time() - job.submitted_at > self.settings["deadline_h"] * 3600:
            await self._cancel(job)
            state = "CANCELLED"
            note(
                f"{self.name}: batch job {job.name} has passed batch.deadline_h: its questions are asked live"
            )
        if state in ("FAILED", "EXPIRED", "CANCELLED"):
            note(f"{self.name}: batch job {job.name} ended as {state}: its questions are asked live")
        if state in ENDED:
            job.done = True
            self.file.save()
            if model_budget is not None:
                await model_budget.budget.settle(self.reserved_usd.pop(job.display_name, 0.0), 0.0)

    async def _collect(
        self,
        job: BatchJob,
        remote: Any,
        by_key: dict[str, Pair],
        record: RecordAttempt,
        model_budget: ModelBudgetProtocol | None,
    ) -> None:
        """Record every line of a job's results by its key; keys that are answered already are left alone."""
        set_aside_usd = self.reserved_usd.get(job.display_name, 0.0) / max(1, len(job.lines))
        data = await self._call(lambda: self._client.files.download(file=remote.dest.file_name))
        for raw in data.decode("utf-8").splitlines():
            body = self.live.endpoint.secrets.redact_body(raw)
            line = json_object(body) or {}
            key = str(line.get("key"))
            pair = by_key.pop(key, None) if key in job.lines else None
            if pair is None:
                continue
            attempt = attempt_of(body, line, job.submitted_at)
            if model_budget is not None:
                counted_usd = model_budget.counted_usd(set_aside_usd, attempt.response)
                attempt = replace(attempt, counted_usd=counted_usd)
                await model_budget.budget.settle(0.0, counted_usd)
            record(*pair, job.lines[key], attempt)

    async def _cancel(self, job: BatchJob) -> None:
        try:
            await self._call(lambda: self._client.batches.cancel(name=job.name))
        except SystemFault:
            return

    @property
    def _client(self) -> Any:
        return self.live.endpoint.client.aio

    async def _call(self, send: Callable[[], Awaitable[Any]]) -> Any:
        return await guarded(
            send,
            connection=self.live.endpoint,
            model=self.requested_model,
            timeout_s=FILE_TIMEOUT_S,
            misread=MISREAD,
        )


def key_of(sample: Sample, trial: int) -> str:
    """Return the key of a line: the question's own names, whatever characters they have."""
    return json.dumps([sample.dataset, sample.sample_id, trial], ensure_ascii=False)


def request_digest(model: str, address: str, request: dict[str, Any]) -> str:
    """Return a digest of a request with where it goes; whether the service keeps it changes no answer."""
    sent = {name: value for name, value in request.items() if name != "store"}
    return hashlib.sha256(json.dumps([model, address, sent], sort_keys=True).encode()).hexdigest()


def attempt_of(raw: str, line: dict[str, Any], submitted_at: float) -> Attempt:
    """Return one line of a job's results as an attempt; a job's waiting time is no latency of the model."""
    if isinstance(line.get("response"), dict):
        return Attempt(1, submitted_at, None, "answered", read_batch_body(raw), 200, None, raw)
    error = line.get("error")
    said = error.get("message") if isinstance(error, dict) else None
    return Attempt(1, submitted_at, None, "gave_up", None, None, f"batch line: {said or raw[:200]}", raw)


def batch_settings(entry: GeminiConfig) -> dict[str, Any]:
    """Return ``batch:`` of an entry with its defaults. Raises ``ConfigError`` on an unknown key or a wrong type."""
    for key, value in entry.batch.items():
        if key not in SETTINGS:
            raise ConfigError(f"model '{entry.name}': batch has no key '{key}'.{nearest(key, SETTINGS)}")
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise ConfigError(f"model '{entry.name}': batch.{key} is a number above 0, got {value!r}")
    if entry.vertexai:
        raise ConfigError(
            f"model '{entry.name}': gemini-batch speaks the Developer API: leave out `vertexai`"
        )
    return {**SETTINGS, **entry.batch}


def open_batch(entry: GeminiConfig, prompt: Prompt, *, directory: Path, state: Path | None) -> GeminiBatch:
    """Return the model, its jobs of earlier sessions read from ``state``. Raises ``ConfigError``."""
    batch_settings(entry)
    return GeminiBatch(open_gemini(entry, prompt, directory=directory, state=state), entry, state)


def open_entry(entry: GeminiConfig, context: ProviderContext) -> GeminiBatch:
    """Return the model of an entry. Raises ``ConfigError`` on an unknown prompt or without a key."""
    prompt = prompt_of(entry.prompt, context.run)
    return open_batch(entry, prompt, directory=context.directory, state=context.state)


def check_batch_entry(entry: GeminiConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` for what would stop the live model, and on wrong settings of ``batch:``."""
    check_entry(entry, run)
    batch_settings(entry)


def hours_of(entry: GeminiConfig) -> float:
    """Return the hours after which jobs are given up."""
    return float(entry.batch.get("deadline_h", SETTINGS["deadline_h"]))


PRICE_SHARE = 0.5
"""The Batch API costs half (ai.google.dev/gemini-api/docs/batch-api, read 2026-11-21)."""

PROVIDER = replace(
    LIVE,
    open=open_entry,
    read_body=read_batch_body,
    check=check_batch_entry,
    batch=Batch(ask=GeminiBatch.ask_all, hours=hours_of, price_share=PRICE_SHARE, holds=is_batch_line),
)
