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
from evalkit.storage.locks import SHORT_WORK_S, run_lock
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.run_folder import SCORES, RunFolder, require_ledger
from evalkit.storage.scores_table import documented_scores, read_stated, scores_schema
from evalkit.storage.scoring_basis import digests_of_files, scoring_basis
from evalkit.storage.scoring_state import UNSCORED, ledger_state, mixed_models, refuse_mixed, scoring_entry
from evalkit.storage.summary import SUMMARY, Summary

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.config.schema import RunConfig
    from evalkit.decoding.settings import DecodeSettings
    from evalkit.metrics.reading import Stated
    from evalkit.progress import Progress
    from evalkit.storage.manifest import Manifest


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
    ledger; None updates ``run``. Holds the lock of the folder that is written. Raises ``ConfigError`` on an unknown
    protocol or an absent codebook, ``DataError`` where the answers are gone, ``FolderInUse`` where another process
    writes the folder.
    """
    with run_lock(run.path if out is None else out, wait_s=SHORT_WORK_S):
        return score_locked(run, decode=decode, protocol=protocol, out=out, engine=engine, progress=progress)


def score_locked(
    run: RunFolder,
    *,
    decode: DecodeSettings | None = None,
    protocol: str | None = None,
    out: Path | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> RunFolder:
    """Do the work of ``score_run`` for a caller who holds the lock of the folder that is written."""
    config = _rescored(run.config(), decode, protocol)
    check_codebook(config.decode.token_codebook)
    config.check_own_parts()
    require_ledger(run.ledger_path.parent, replace(run.manifest, ledger=None))
    names = list(run.manifest.models) or [model.name for model in config.models]
    target = run.path if out is None else _refer_to(run, out)
    jobs = _jobs(run, config, names)
    if progress is not None:
        progress.expect(SCORING, run.n_samples() * len(jobs[0].models) * config.trials)
    state = ledger_state(run.ledger_path)
    beside = target / f"{SCORES}.part"
    _write_scores(beside, jobs, engine, config.dask.get("scheduler"), progress)
    scores = documented_scores(beside)
    _refuse_mixed(RunFolder(target), beside, scores)
    manifest = _scored_manifest(RunFolder(target).manifest, config, scores)
    if target != run.path:
        manifest = replace(manifest, rescored_from=run.manifest.name)
    summary = summary_of(manifest, scores, read_stated(beside), config)
    entry = scoring_entry(state, rows=len(scores), results=len(summary.results))
    basis = scoring_basis(config, names, protocols_of(config), run.samples_path, run.ledger_path)
    _put_in_place(target, replace(manifest, scoring={**entry, **(basis or {})}), summary)
    return RunFolder(target)


def _refuse_mixed(target: RunFolder, written: Path, scores: pd.DataFrame) -> None:
    """Refuse scores in which simulated answers stand beside others; the manifest says whose, for the next session."""
    mixed = mixed_models(scores)
    if mixed:
        written.unlink()
        begun = replace(target.manifest, status="partial", scoring=UNSCORED, mixed=mixed)
        write_json(target.path / MANIFEST, begun.to_json())
    refuse_mixed(target.path, scores)


def _put_in_place(target: Path, manifest: Manifest, summary: Summary) -> None:
    """Replace scores, summary and manifest; a process that ends in between leaves a folder that says so."""
    status = "partial" if manifest.asked_whole else manifest.status
    write_json(target / MANIFEST, replace(manifest, status=status, scoring=UNSCORED).to_json())
    (target / f"{SCORES}.part").replace(target / SCORES)
    write_json(target / SUMMARY, summary.to_json())
    written = {"files": digests_of_files([target / SCORES, target / SUMMARY])}
    entry = {**(manifest.scoring or {}), **written}
    write_json(target / MANIFEST, replace(manifest, scoring=entry).to_json())


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

    with pq.ParquetWriter(path, scores_schema(), compression="zstd") as writer:
        for table in map_chunks(score_chunk, jobs, engine=engine, scheduler=scheduler):
            writer.write_table(table)
            if progress is not None:
                progress.scored(table.num_rows)


def summary_of(manifest: Manifest, scores: pd.DataFrame, stated: Stated | None, config: RunConfig) -> Summary:
    """Return summary.json's content for the rows of a run."""
    from evalkit.metrics.reading import add_readings
    from evalkit.metrics.summary import summarise
    from evalkit.scoring.routing import routed_answers, unasked_thinking
    from evalkit.version import __version__

    results = summarise(
        scores,
        seed=config.seed,
        protocols=protocols_of(config),
        slices=config.score.slices,
        own_metrics=config.score.metrics,
    )
    add_readings(results, scores, stated, slices=config.score.slices)
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
    """Return ``out``, begun as a copy of ``run`` without scores where it is new."""
    if out.exists() and (not out.is_dir() or any(not _is_left_over(entry) for entry in out.iterdir())):
        manifest = out / MANIFEST
        ours = manifest.is_file() and RunFolder(out).ledger_path == run.ledger_path.resolve()
        if not ours or out.resolve() == run.ledger_path.parent.resolve():
            raise ConfigError(
                f"--out {out} exists and is not a re-scored copy of {run.path}: give another folder"
            )
    out.mkdir(parents=True, exist_ok=True)
    refers = os.path.relpath(run.ledger_path.resolve(), out.resolve())
    write_json(out / MANIFEST, replace(run.manifest, ledger=refers, scoring=UNSCORED).to_json())
    return out


def _is_left_over(entry: Path) -> bool:
    """Tell whether a process that ended while it wrote a file left this half of it."""
    return entry.suffix == ".part"


def _scored_manifest(manifest: Manifest, config: RunConfig, scores: pd.DataFrame) -> Manifest:
    return replace(
        manifest,
        config=config.to_store(),
        mixed=(),
        status="complete" if manifest.asked_whole else manifest.status,
        simulated=manifest.simulated or bool((scores["simulated"] == True).any()),  # noqa: E712  null is no
        scored_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
