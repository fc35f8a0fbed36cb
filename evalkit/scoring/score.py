"""Stored answers -> scores.parquet -> summary.json, without a call.

``score_run`` cuts the samples into chunks; ``evalkit.scoring.rows.score_chunk`` turns one into rows.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.datasets.cards import protocols_of
from evalkit.decoding.token_codebook import check_codebook
from evalkit.errors import ConfigError
from evalkit.metrics.protocols import find_protocol
from evalkit.models.answers import model_views
from evalkit.progress import SCORING
from evalkit.scoring.engine import Engine, map_chunks
from evalkit.scoring.rows import ScoreJob, score_chunk
from evalkit.storage.files import write_json
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.run_folder import SCORES, RunFolder
from evalkit.storage.scores_table import scores_schema
from evalkit.storage.summary import SUMMARY, Summary

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig
    from evalkit.decoding.settings import DecodeSettings
    from evalkit.progress import Progress


def score_run(
    run: RunFolder,
    *,
    decode: DecodeSettings | None = None,
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
    config.check_own_parts()
    names = list(run.manifest.models) or [model.name for model in config.models]
    target = run.path if out is None else _refer_to(run, out)
    jobs = _jobs(run, config, names)
    if progress is not None:
        progress.expect(SCORING, run.n_samples() * len(jobs[0].models) * config.trials)
    _write_scores(target / SCORES, jobs, engine, config.dask.get("scheduler"), progress)
    _update_manifest(target, config, run)
    scored = RunFolder(target)
    write_json(target / SUMMARY, summary_of(scored, config).to_json())
    return scored


def _rescored(config: RunConfig, decode: DecodeSettings | None, protocol: str | None) -> RunConfig:
    if protocol is not None:
        find_protocol(protocol)
        datasets = [entry.model_copy(update={"protocol": protocol}) for entry in config.datasets]
        config = config.model_copy(update={"datasets": datasets})
    return config if decode is None else config.model_copy(update={"decode": decode})


def _jobs(run: RunFolder, config: RunConfig, names: list[str]) -> list[ScoreJob]:
    views = model_views(config, names)
    protocols = protocols_of(config)
    return [
        ScoreJob(
            str(run.path),
            chunk,
            views,
            config.trials,
            config.decode,
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


def summary_of(run: RunFolder, config: RunConfig) -> Summary:
    """Return summary.json's content for a scored run."""
    from evalkit.metrics.reading import add_readings
    from evalkit.metrics.summary import summarise
    from evalkit.scoring.routing import routed_answers, unasked_thinking
    from evalkit.version import __version__

    manifest = run.manifest
    scores = run.scores()
    results = summarise(
        scores,
        seed=config.seed,
        protocols=protocols_of(config),
        slices=config.score.slices,
        own_metrics=config.score.metrics,
    )
    add_readings(results, scores, run.stated_boxes(), slices=config.score.slices)
    return Summary(
        evalkit=__version__,
        run=manifest.name,
        status=manifest.status,
        simulated=manifest.simulated,
        routed=tuple(routed_answers(scores)),
        unasked_thinking=tuple(unasked_thinking(scores, config)),
        results=tuple(results),
    )


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
    write_json(out / MANIFEST, replace(run.manifest, ledger=refers).to_json())
    return out


def _update_manifest(target: Path, config: RunConfig, run: RunFolder) -> None:
    manifest = RunFolder(target).manifest
    scored = replace(
        manifest,
        config=config.to_store(),
        simulated=manifest.simulated or _has_simulated_answers(target),
        scored_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        rescored_from=manifest.rescored_from if target == run.path else manifest.name,
    )
    write_json(target / MANIFEST, scored.to_json())


def _has_simulated_answers(target: Path) -> bool:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column = pq.read_table(target / SCORES, columns=["simulated"])["simulated"]
    return bool(pc.any(column).as_py())
