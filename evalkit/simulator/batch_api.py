"""The Batch API: JSONL or inline requests in, states over time, keyed results in another order."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from evalkit.errors import DataError
from evalkit.simulator.answering import Responder, known_model
from evalkit.simulator.faults import InjectedFault
from evalkit.simulator.files_api import timestamp
from evalkit.simulator.gemini_wire import fold_keys, parse_json
from evalkit.simulator.http import Call, Reply, json_reply
from evalkit.simulator.personas import question_rng
from evalkit.simulator.wire_errors import ApiError, bad_argument, internal, not_found

PENDING_S = 0.1
RUNNING_S = 0.2
"""How long a job stays in each state at least, unless a ``batch_slow`` fault says otherwise."""

TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."


@dataclass(slots=True)
class SimulatedBatchJob:
    """One batch job. ``lines``: ``(key or metadata, request)``; ``results`` are filled while it runs."""

    name: str
    call: Call
    display_name: str
    input_config: dict[str, Any]
    lines: list[dict[str, Any]]
    inline: bool
    created_s: float
    pending_s: float
    running_s: float
    job_fault: str | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    worked: threading.Event = field(default_factory=threading.Event)
    cancelled_s: float | None = None
    responses_file: str | None = None


class BatchStore:
    """All batch jobs; ``clock`` gives Unix seconds, ``closing`` tells work in progress to stop."""

    def __init__(self, responder: Responder, clock: Callable[[], float], closing: threading.Event) -> None:
        self._responder = responder
        self._clock = clock
        self._closing = closing
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._jobs: dict[str, SimulatedBatchJob] = {}

    def create(self, call: Call) -> Reply:
        """``POST /V/models/M:batchGenerateContent``. Raises ``ApiError`` for a malformed batch."""
        _, known = known_model(call, "batchGenerateContent")
        call.persona = call.persona or known.persona
        batch = parse_json(call.incoming.body).get("batch") or {}
        input_config = batch.get("inputConfig") or {}
        lines, inline = self._read_lines(input_config)
        injected = self._responder.inject_fault(call, f"batch {call.model} {len(lines)}")
        job = self._new_job(call, batch, lines, injected, inline=inline)
        threading.Thread(target=self._work, args=(job,), name=job.name, daemon=True).start()
        return json_reply(self._message(job))

    def get(self, call: Call) -> Reply:
        """``GET /V/batches/ID``."""
        job = self._find(call)
        call.model = job.call.model
        self._responder.inject_fault(call, job.name)
        return json_reply(self._message(job))

    def list_all(self, call: Call) -> Reply:
        """``GET /V/batches``: one page holds all."""
        del call
        with self._lock:
            jobs = list(self._jobs.values())
        return json_reply({"operations": [self._message(job) for job in jobs]} if jobs else {})

    def cancel(self, call: Call) -> Reply:
        """``POST /V/batches/ID:cancel``: no effect on a job that has ended."""
        job = self._find(call)
        if self._state(job) in ("PENDING", "RUNNING"):
            job.cancelled_s = self._clock()
        return json_reply({})

    def delete(self, call: Call) -> Reply:
        """``DELETE /V/batches/ID``."""
        job = self._find(call)
        with self._lock:
            self._jobs.pop(job.name, None)
        return json_reply({})

    def _find(self, call: Call) -> SimulatedBatchJob:
        with self._lock:
            job = self._jobs.get(f"batches/{call.name}")
        if job is None:
            raise not_found(f"batches/{call.name}")
        return job

    def _new_job(
        self,
        call: Call,
        batch: dict[str, Any],
        lines: list[dict[str, Any]],
        injected: InjectedFault | None,
        *,
        inline: bool,
    ) -> SimulatedBatchJob:
        settings = injected.settings if injected else {}
        with self._lock:
            job = SimulatedBatchJob(
                name=f"batches/{next(self._numbers):012x}",
                call=call,
                display_name=batch.get("displayName") or "",
                input_config={} if inline else {"fileName": batch["inputConfig"]["fileName"]},
                lines=lines,
                inline=inline,
                created_s=self._clock(),
                pending_s=settings.get("pending_s", PENDING_S),
                running_s=settings.get("running_s", RUNNING_S),
                job_fault=injected.kind if injected else None,
            )
            self._jobs[job.name] = job
        return job

    def _read_lines(self, input_config: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Return the requests, and whether they stood in the call itself."""
        if "fileName" in input_config:
            data = self._responder.files.find(input_config["fileName"]).data
            try:
                lines = [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
            except ValueError as error:
                raise bad_argument(f"Failed to parse the input file: {error}") from error
            if not all(isinstance(line, dict) for line in lines):
                raise bad_argument("Failed to parse the input file: each line is an object.")
            return [
                {"key": line.get("key"), "request": fold_keys(line.get("request") or {})} for line in lines
            ], False
        requests = (input_config.get("requests") or {}).get("requests") or []
        if not requests:
            raise bad_argument("The batch has no requests.")
        return requests, True

    def _work(self, job: SimulatedBatchJob) -> None:
        """Answer every line, then give the results the order of another draw."""
        for line in job.lines:
            if self._closing.is_set() or job.cancelled_s is not None:
                return
            job.results.append(self._answer_line(job, line))
        rng = question_rng(self._responder.seed, "batch", len(job.lines), job.call.model)
        if not job.inline:
            job.results = [job.results[index] for index in rng.permutation(len(job.results))]
        job.worked.set()

    def _answer_line(self, job: SimulatedBatchJob, line: dict[str, Any]) -> dict[str, Any]:
        call = replace(job.call, operation="batch_line", fault=None, sample_id=None)
        result = {"metadata": line["metadata"]} if "metadata" in line else {"key": line.get("key")}
        try:
            timed = self._responder.respond(call, line.get("request") or {})
        except ApiError as error:
            return {**result, "error": error.error}
        except DataError:
            return {**result, "error": internal().error}
        return {**result, "response": timed.message}

    def _state(self, job: SimulatedBatchJob) -> str:
        elapsed_s = self._clock() - job.created_s
        if job.cancelled_s is not None:
            return "CANCELLED"
        if elapsed_s < job.pending_s:
            return "PENDING"
        if elapsed_s < job.pending_s + job.running_s:
            return "RUNNING"
        if job.job_fault in ("batch_failed", "batch_expired"):
            return job.job_fault.removeprefix("batch_").upper()
        return "SUCCEEDED" if job.worked.is_set() else "RUNNING"

    def _message(self, job: SimulatedBatchJob) -> dict[str, Any]:
        """Return the job as the long-running operation that the service shows."""
        state = self._state(job)
        ended = state not in ("PENDING", "RUNNING")
        now_s = self._clock()
        metadata: dict[str, Any] = {
            "@type": TYPE + "GenerateContentBatch",
            "model": f"models/{job.call.model}",
            "displayName": job.display_name,
            "createTime": timestamp(job.created_s),
            "updateTime": timestamp(now_s),
            "batchStats": self._stats(job, state),
            "state": f"BATCH_STATE_{state}",
            "name": job.name,
        }
        if job.input_config:
            metadata["inputConfig"] = job.input_config
        message: dict[str, Any] = {"name": job.name, "metadata": metadata}
        if ended:
            metadata["endTime"] = timestamp(now_s)
            message["done"] = True
        if state == "SUCCEEDED":
            metadata["output"] = self._output(job)
            message["response"] = {"@type": TYPE + "GenerateContentBatchOutput", **metadata["output"]}
        elif ended:
            code = {"FAILED": 13, "EXPIRED": 4, "CANCELLED": 1}[state]
            message["error"] = {"code": code, "message": f"The batch has {state.lower()}."}
        return message

    def _stats(self, job: SimulatedBatchJob, state: str) -> dict[str, str]:
        stats = {"requestCount": len(job.lines)}
        if state == "SUCCEEDED":
            failed = sum("error" in result for result in job.results)
            stats |= {"successfulRequestCount": len(job.results) - failed, "failedRequestCount": failed}
        else:
            stats["pendingRequestCount"] = len(job.lines)
        return {key: str(count) for key, count in stats.items() if count}

    def _output(self, job: SimulatedBatchJob) -> dict[str, Any]:
        if job.inline:
            return {"inlinedResponses": {"inlinedResponses": job.results}}
        with self._lock:
            name = job.responses_file
            if name is None:
                name = job.responses_file = f"files/batch-{job.name.removeprefix('batches/')}"
                text = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in job.results)
                self._responder.files.add(text.encode(), "application/jsonl", name=name, generated=True)
        return {"responsesFile": name}
