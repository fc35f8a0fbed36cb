"""One chunk of samples -> rows of scores.parquet: stored answer -> ``decode_answer`` -> counts.

The truth of a sample is rasterised once for all its answers.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.decoding.settings import DecodeSettings
from evalkit.images import sent_size_px
from evalkit.metrics.contour_reading import stated_contours
from evalkit.metrics.counts import count_row
from evalkit.metrics.protocols import find_protocol
from evalkit.metrics.reading import stated_numbers
from evalkit.metrics.trials import agreements
from evalkit.metrics.truth import Truth
from evalkit.models import find_provider, read_body
from evalkit.models.answers import ModelView, decode_response
from evalkit.models.prices import cost_usd, requested_cost_usd
from evalkit.storage.ledger import Key, KeyState, Ledger
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.scores_table import STATED_BOXES, STATED_CONTOURS, scores_schema
from evalkit.types import Decoded, Response, Sample

if TYPE_CHECKING:
    import pyarrow as pa


NOT_ASKED = "not asked yet"


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """One chunk of samples of one run, with every setting: all that a worker needs."""

    run_path: str
    chunk: int
    models: tuple[ModelView, ...]
    trials: int
    settings: DecodeSettings
    protocols: Mapping[str, str]
    boundary: bool


def score_chunk(job: ScoreJob) -> pa.Table:
    """Return the rows of one chunk: every sample with every model and trial."""
    import pyarrow as pa

    run = RunFolder(job.run_path)
    samples = run.sample_chunk(job.chunk)
    with Ledger(run.ledger_path, read_only=True) as ledger:
        states: dict[Key, KeyState] = {}
        for dataset in dict.fromkeys(sample.dataset for sample in samples):
            states |= ledger.states(dataset, [s.sample_id for s in samples if s.dataset == dataset])
    rows = [row for sample in samples for row in _sample_rows(sample, states, job)]
    return pa.Table.from_pylist(rows, schema=scores_schema())


def _sample_rows(sample: Sample, states: Mapping[Key, KeyState], job: ScoreJob) -> Iterator[dict[str, Any]]:
    truth = Truth(sample.truth)
    for model in job.models:
        keys = [Key(model.name, sample.dataset, sample.sample_id, trial) for trial in range(job.trials)]
        scored = [
            score_row(sample, truth, model, trial=key.trial, state=states.get(key), job=job) for key in keys
        ]
        agreeing = agreements([decoded for _, decoded in scored]) if job.trials > 1 else [None]
        for (row, _), agreement in zip(scored, agreeing, strict=True):
            yield row | {"trial_agreement": agreement}


def score_row(
    sample: Sample, truth: Truth, model: ModelView, *, trial: int, state: KeyState | None, job: ScoreJob
) -> tuple[dict[str, Any], Decoded | None]:
    """Return one row of scores.parquet, and the verdict it rests on (None where nothing was answered)."""
    row: dict[str, Any] = {
        "model": model.name,
        "dataset": sample.dataset,
        "split": sample.split,
        "sample_id": sample.sample_id,
        "image_id": sample.image_id,
        "image_path": sample.image.path,
        "expression": sample.expression,
        "tags": json.dumps(dict(sample.tags), ensure_ascii=False, sort_keys=True),
        "trial": trial,
        "no_target": sample.truth.no_target,
        "gt_area": truth.area_px if sample.truth.fault is None else None,
        "requested_model": model.requested_model,
        "attempts": 0 if state is None else state.requests,
    }
    if sample.truth.fault is not None:
        return row | {"outcome": "data_error", "error": sample.truth.fault}, None
    if state is None or state.last.status != "answered":
        is_data_error = state is not None and state.last.status == "data_error"
        error = NOT_ASKED if state is None else state.last.error
        return row | {"outcome": "data_error" if is_data_error else "not_run", "error": error}, None
    response = read_body(model.provider, state.last.body or "")
    decoded = decode_response(response, sample, model.asked, job.settings)
    protocol = find_protocol(job.protocols[sample.dataset])
    counts = protocol.count(decoded, sample, truth)
    row |= _verdict_columns(decoded) | _billing_columns(response, model, state)
    row |= count_row(decoded, truth, boundary=job.boundary)
    sent_px = sent_size_px((truth.width_px, truth.height_px), model.asked.max_side_px)
    row[STATED_BOXES] = stated_numbers(decoded, truth, sent_px)
    row[STATED_CONTOURS] = stated_contours(decoded, truth, sent_px, model.asked)
    return row | {"protocol_counts": None if counts is None else json.dumps(counts)}, decoded


def _verdict_columns(decoded: Decoded) -> dict[str, Any]:
    items = decoded.items
    repairs = [*decoded.repairs, *(repair for item in items for repair in item.repairs)]
    return {
        "outcome": decoded.outcome,
        "failure": decoded.failure,
        "strict": decoded.strict,
        "wire_formats": list(dict.fromkeys(item.wire_format for item in items if item.wire_format)),
        "repairs": list(dict.fromkeys(repairs)),
        "n_items": len(items),
    }


def _billing_columns(response: Response, model: ModelView, state: KeyState) -> dict[str, Any]:
    asked_on = dt.datetime.fromtimestamp(state.last.started_at, dt.UTC).date()
    return {
        "latency_s": state.last.latency_s,
        "input_tokens": response.usage.input_tokens,
        "output_tokens": response.usage.output_tokens,
        "thought_tokens": response.usage.thought_tokens,
        "cost_usd": cost_usd(model.config, response, asked_on),
        "requested_cost_usd": requested_cost_usd(model.config, response, asked_on),
        "model_version": response.model_version,
        "finish_reason": response.finish_reason,
        "simulated": response.simulated or find_provider(model.provider).simulated,
    }
