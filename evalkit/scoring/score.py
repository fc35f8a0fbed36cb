"""Stored answers -> scores.parquet -> summary.json, without a call.

``score_run`` cuts the samples into chunks, ``score_chunk`` turns one chunk into rows: answer ->
``decode_answer`` -> ``count_row``. The truth of a sample is rasterised once for all its answers.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.decoding import decode_answer
from evalkit.decoding.token_codebook import check_codebook
from evalkit.errors import ConfigError
from evalkit.metrics.counts import Truth, count_row
from evalkit.metrics.protocols import PROTOCOLS, find_protocol
from evalkit.metrics.trials import agreements
from evalkit.models import asked_format, read_body, requested_model
from evalkit.progress import SCORING
from evalkit.scoring.engine import Engine, map_chunks
from evalkit.storage.ledger import Key, KeyState, Ledger
from evalkit.storage.run_folder import MANIFEST, SCORES, SUMMARY, RunFolder, write_json
from evalkit.types import AskedFormat, Decoded, DecodeSettings, Response, Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from evalkit.config.schema import DecodeConfig, RunConfig
    from evalkit.progress import Progress

NOT_ASKED = "not asked yet"


@dataclass(frozen=True, slots=True)
class ModelView:
    """What scoring needs to know of a model: how to read its answers and what they cost."""

    name: str
    provider: str
    requested_model: str
    asked: AskedFormat
    config: Any


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


def score_run(
    run: RunFolder,
    *,
    decode: DecodeConfig | None = None,
    protocol: str | None = None,
    out: Path | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> RunFolder:
    """Score every stored answer of ``run`` and write scores and summary; return the folder written.

    ``decode`` and ``protocol`` replace the run's own. ``out``: a new folder that refers to the same
    ledger; None updates ``run``. Raises ``ConfigError`` on an unknown protocol or an absent codebook.
    """
    config = _rescored(run.config(), decode, protocol)
    check_codebook(config.decode.token_codebook)
    names = run.manifest.get("models") or [model.name for model in config.models]
    target = run.path if out is None else _refer_to(run, out)
    jobs = _jobs(run, config, names)
    if progress is not None:
        progress.expect(SCORING, run.n_samples() * len(jobs[0].models) * config.trials)
    _write_scores(target / SCORES, jobs, engine, config.dask.get("scheduler"), progress)
    _update_manifest(target, config, run)
    scored = RunFolder(target)
    write_json(target / SUMMARY, summary_of(scored, config))
    return scored


def _rescored(config: RunConfig, decode: DecodeConfig | None, protocol: str | None) -> RunConfig:
    if protocol is not None:
        find_protocol(protocol)
        datasets = [entry.model_copy(update={"protocol": protocol}) for entry in config.datasets]
        config = config.model_copy(update={"datasets": datasets})
    return config if decode is None else config.model_copy(update={"decode": decode})


def protocols_of(config: RunConfig) -> dict[str, str]:
    """Return the protocol of each dataset: its own, else the run's, else its card's, else ``default``.

    The card of an inline dataset is the one named like its format.
    """
    from evalkit.datasets.cards import card_protocol

    chosen = {
        entry.name: entry.protocol
        or config.score.protocol
        or card_protocol(entry.format or entry.name)
        or "default"
        for entry in config.datasets
    }
    for name in chosen.values():
        find_protocol(name)
    return chosen


def model_views(config: RunConfig, names: list[str] | None = None) -> tuple[ModelView, ...]:
    """Return what scoring needs of each model, in the config's order."""
    return tuple(
        ModelView(model.name, model.provider, requested_model(model), asked_format(model, config), model)
        for model in config.models
        if names is None or model.name in names
    )


def _jobs(run: RunFolder, config: RunConfig, names: list[str]) -> list[ScoreJob]:
    views = model_views(config, names)
    protocols = protocols_of(config)
    return [
        ScoreJob(
            str(run.path),
            chunk,
            views,
            config.trials,
            config.decode.settings(),
            protocols,
            config.score.boundary,
        )
        for chunk in range(run.n_chunks())
    ]


def _write_scores(
    path: Path, jobs: list[ScoreJob], engine: Engine, scheduler: str | None, progress: Progress | None
) -> None:
    import pyarrow.parquet as pq

    beside = path.with_name(path.name + ".part")
    with pq.ParquetWriter(beside, scores_schema(), compression="zstd") as writer:
        for table in map_chunks(score_chunk, jobs, engine=engine, scheduler=scheduler):
            writer.write_table(table)
            if progress is not None:
                progress.scored(table.num_rows)
    beside.replace(path)


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
        "gt_area": truth.area_px,
        "requested_model": model.requested_model,
        "attempts": 0 if state is None else state.requests,
    }
    if state is None or state.last.status != "answered":
        is_data_error = state is not None and state.last.status == "data_error"
        error = NOT_ASKED if state is None else state.last.error
        return row | {"outcome": "data_error" if is_data_error else "not_run", "error": error}, None
    response = read_body(model.provider, state.last.body or "")
    decoded = decode_response(response, sample, model.asked, job.settings)
    protocol = PROTOCOLS[job.protocols[sample.dataset]]
    counts = protocol.count(decoded, sample, truth)
    row |= _verdict_columns(decoded) | _billing_columns(response, model, state)
    row |= count_row(decoded, truth, boundary=job.boundary)
    return row | {"protocol_counts": None if counts is None else json.dumps(counts)}, decoded


def decode_response(
    response: Response, sample: Sample, asked: AskedFormat, settings: DecodeSettings
) -> Decoded:
    """Decode one stored answer in the frame of its sample."""
    return decode_answer(
        response.text,
        height_px=sample.truth.height_px,
        width_px=sample.truth.width_px,
        asked=asked,
        settings=settings,
        finish_reason=response.finish_reason,
        block_reason=response.block_reason,
        thought_tokens=response.usage.thought_tokens,
    )


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
    from evalkit.models.prices import cost_usd

    asked_on = dt.datetime.fromtimestamp(state.last.started_at, dt.UTC).date()
    return {
        "latency_s": state.last.latency_s,
        "input_tokens": response.usage.input_tokens,
        "output_tokens": response.usage.output_tokens,
        "thought_tokens": response.usage.thought_tokens,
        "cost_usd": cost_usd(model.config, response, asked_on),
        "model_version": response.model_version,
        "finish_reason": response.finish_reason,
        "simulated": response.simulated,
    }


def summary_of(run: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Return summary.json's content for a scored run."""
    from evalkit.metrics.summary import summarise
    from evalkit.scoring.routing import routed_answers, unasked_thinking
    from evalkit.version import __version__

    manifest = run.manifest
    scores = run.scores()
    results = summarise(scores, seed=config.seed, protocols=protocols_of(config), slices=config.score.slices)
    return {
        "evalkit": __version__,
        "run": manifest["name"],
        "status": manifest["status"],
        "simulated": manifest["simulated"],
        "routed": routed_answers(scores),
        "unasked_thinking": unasked_thinking(scores, config),
        "results": results,
    }


def _refer_to(run: RunFolder, out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        manifest = out / MANIFEST
        ours = manifest.is_file() and RunFolder(out).ledger_path == run.ledger_path.resolve()
        if not ours or out.resolve() == run.ledger_path.parent.resolve():
            raise ConfigError(
                f"--out {out} exists and is not a re-scored copy of {run.path}: give another folder"
            )
    out.mkdir(parents=True, exist_ok=True)
    refers = os.path.relpath(run.ledger_path.resolve(), out.resolve())
    write_json(out / MANIFEST, run.manifest | {"ledger": refers})
    return out


def _update_manifest(target: Path, config: RunConfig, run: RunFolder) -> None:
    manifest = RunFolder(target).manifest
    manifest["config"] = config.model_dump(mode="json")
    manifest["simulated"] = bool(manifest["simulated"]) or _has_simulated_answers(target)
    manifest["scored_at"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    if target != run.path:
        manifest["rescored_from"] = str(manifest["name"])
    write_json(target / MANIFEST, manifest)


def _has_simulated_answers(target: Path) -> bool:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column = pq.read_table(target / SCORES, columns=["simulated"])["simulated"]
    return bool(pc.any(column).as_py())


def scores_schema() -> pa.Schema:
    """Return the columns of scores.parquet, DESIGN 4.3 first, extensions after."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            ("model", text),
            ("dataset", text),
            ("split", text),
            ("sample_id", text),
            ("image_id", text),
            ("expression", text),
            ("tags", text),
            ("trial", count),
            ("outcome", text),
            ("failure", text),
            ("wire_formats", pa.list_(text)),
            ("repairs", pa.list_(text)),
            ("n_items", count),
            ("intersection", count),
            ("union", count),
            ("iou", number),
            ("box_iou", number),
            ("boundary_iou", number),
            ("gt_area", count),
            ("pred_area", count),
            ("instance_tp", count),
            ("instance_fp", count),
            ("instance_fn", count),
            ("no_target", pa.bool_()),
            ("latency_s", number),
            ("input_tokens", count),
            ("output_tokens", count),
            ("thought_tokens", count),
            ("cost_usd", number),
            ("requested_model", text),
            ("model_version", text),
            ("finish_reason", text),
            ("attempts", count),
            ("strict", pa.bool_()),
            ("simulated", pa.bool_()),
            ("error", text),
            ("image_path", text),
            ("protocol_counts", text),
            ("trial_agreement", number),
        ]
    )
