"""What `evalkit compare`, `gate`, `baseline` and `history` do between their arguments and their exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from evalkit.errors import DataError


def compare_command(
    runs: Sequence[str], names: Sequence[str] | None, *, margin: float, as_json: bool
) -> None:
    """Print the comparison of one run's models or of two runs."""
    from evalkit.comparison.compare import compare_runs
    from evalkit.comparison.words import comparison_json, comparison_text
    from evalkit.errors import ConfigError
    from evalkit.storage.run_folder import RunFolder

    if not 1 <= len(runs) <= 2:
        raise ConfigError(f"compare takes one run or two, and was given {len(runs)}")
    comparison = compare_runs([RunFolder(run) for run in runs], names)
    click.echo(
        _dumps(comparison_json(comparison, margin)) if as_json else comparison_text(comparison, margin)
    )


def gate_command(
    run_path: str,
    *,
    baseline: str | None,
    junit: Path | None,
    markdown: Path | None,
    reports: Path,
    as_json: bool,
) -> int:
    """Print and write the gate's verdict; return the exit code."""
    from evalkit.comparison.baselines import find_baseline
    from evalkit.comparison.gate.output import verdict_json, verdict_junit, verdict_markdown, verdict_text
    from evalkit.comparison.gate.verdict import gate_run
    from evalkit.storage.files import replaced_file
    from evalkit.storage.run_folder import RunFolder

    run = RunFolder(run_path)
    with run.read_as_one():
        verdict = gate_run(run, None if baseline is None else find_baseline(baseline, run, reports))
    for path, text in ((junit, verdict_junit), (markdown, verdict_markdown)):
        if path is not None:
            with replaced_file(path) as written:
                written.write_text(text(verdict), encoding="utf-8")
    click.echo(verdict_text(verdict), err=as_json)
    if as_json:
        click.echo(_dumps(verdict_json(verdict)))
    return verdict.exit_code


def baseline_set_command(name: str, run_path: str, *, reports: Path) -> None:
    """Bless a run and say where its copy lies."""
    from evalkit.comparison.baselines import set_baseline
    from evalkit.storage.run_folder import RunFolder

    made = set_baseline(name, RunFolder(run_path), reports)
    kind = " (simulated: no baseline for live runs)" if made.simulated else ""
    click.echo(f"baseline {made.name} is now version {made.version}, {made.run}{kind}: {made.path}")


def baseline_list_command(*, reports: Path, as_json: bool) -> None:
    """Print every version of every baseline."""
    from evalkit.comparison.baselines import list_baselines

    found = list_baselines(reports)
    if as_json:
        click.echo(_dumps({"baselines": [baseline.to_json() for baseline in found]}))
        return
    if not found:
        click.echo(f"no baselines in {reports}: bless a run with `evalkit baseline set NAME RUN`")
    for baseline in found:
        kind = "  simulated" if baseline.simulated else ""
        click.echo(
            f"{baseline.name}@{baseline.version}  {baseline.blessed_at}  {baseline.run}  "
            f"{', '.join(baseline.models)}{kind}"
        )


def history_command(directory: Path, *, page: Path | None, as_json: bool) -> int:
    """Print the history as a table or JSON, and write its page; return the exit code: 2 where a run had to be left out."""
    from evalkit.comparison.history import history_json, history_text, read_history
    from evalkit.report.history_page import history_page
    from evalkit.stats.shifts import LEVEL
    from evalkit.storage.files import replaced_file

    history = read_history(directory)
    target = directory / "history.html" if page is None and not as_json else page
    if target is not None:
        with replaced_file(target) as written:
            written.write_text(history_page(history, LEVEL), encoding="utf-8")
    if as_json:
        click.echo(_dumps(history_json(directory, history)))
        click.echo("\n".join(history.left_out_words()), err=True, nl=bool(history.left_out))
    else:
        click.echo(f"{history_text(history)}\n\npage: {target}")
    return DataError.exit_code if history.left_out else 0


def _dumps(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
