"""What `evalkit score` does between its arguments and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.decode_options import given_settings
from evalkit.errors import ConfigError

if TYPE_CHECKING:
    from evalkit.scoring.engine import Engine


def score_command(
    run_path: str,
    *,
    decode: Mapping[str, Any],
    protocol: str | None,
    out: Path | None,
    engine: Engine,
    as_json: bool,
) -> None:
    """Re-score stored answers with other settings; print the headline table, or the summary as JSON."""
    from evalkit.progress import Progress
    from evalkit.report.headline import headline_table
    from evalkit.scoring.score import score_run
    from evalkit.storage.run_folder import RunFolder

    run = RunFolder(run_path)
    settings = given_settings(run.config().decode, decode)
    with Progress() as progress:
        scored = score_run(run, decode=settings, protocol=protocol, out=out, engine=engine, progress=progress)
    click.echo(headline_table(scored.summary()), err=as_json)
    click.echo(f"\nscores: {scored.path / 'scores.parquet'}", err=as_json)
    if as_json:
        click.echo(json.dumps(scored.summary().to_json(), indent=1, ensure_ascii=False))


def refuse_settings(given: Mapping[str, Any], option: str) -> None:
    """Raise ``ConfigError`` where settings stand beside an option that measures and takes none."""
    named = {name: value for name, value in given.items() if value is not None}
    if named:
        first = next(iter(named))
        spelled = f"--{first}" if first in ("protocol", "out") else f"--decode.{first}"
        raise ConfigError(
            f"{option} measures the run as it was scored: {spelled} has no meaning beside it. Score with it into a "
            f"folder of its own (--out DIR) and give that folder to {option}"
        )


def sensitivity_command(run_path: str, *, engine: Engine, as_json: bool) -> None:
    """Print gIoU under each decoding convention, then how the boxes agree with the truth under each reading."""
    from evalkit.scoring.sensitivity import readings, readings_table, sensitivity, sensitivity_table

    rows, read = sensitivity(run_path, engine=engine), readings(run_path)
    if as_json:
        click.echo(json.dumps({"conventions": rows, "readings": read}, indent=1, ensure_ascii=False))
    else:
        click.echo("\n\n".join(filter(None, (sensitivity_table(rows), readings_table(read)))))


def sweep_command(run_path: str, *, engine: Engine, as_json: bool) -> None:
    """Measure every threshold; write the numbers and their figures into the run's folder, and show a few.

    The files are written aside and then replaced, under the lock of the folder.
    """
    from evalkit.report.sweep_figure import draw_sweep
    from evalkit.scoring.sweep import SWEEP_FILE, sweep_table, sweep_threshold
    from evalkit.storage.files import aside, write_json
    from evalkit.storage.locks import SHORT_WORK_S, run_lock
    from evalkit.storage.run_folder import RunFolder

    run = RunFolder(run_path)
    stem = run.path / SWEEP_FILE
    with run_lock(run.path, wait_s=SHORT_WORK_S), run.read_as_one(), aside(stem) as stage:
        swept = sweep_threshold(run_path, engine=engine)
        write_json(stage / stem.name, swept)
        files = [stage / stem.name, *draw_sweep(swept, stage)]
        written = [file.replace(run.path / file.name) for file in files]
    click.echo(sweep_table(swept), err=as_json)
    click.echo("\n" + "\n".join(f"written: {path}" for path in written), err=as_json)
    if as_json:
        click.echo(json.dumps(swept, ensure_ascii=False))
