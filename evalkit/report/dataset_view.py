"""What the first page says of each dataset and of each run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.comparison.compare import RunComparison
from evalkit.comparison.decision import Decision
from evalkit.datasets.published import Reference
from evalkit.report.bars import Bar, Legend, format_bars, legend, outcome_bars
from evalkit.report.changes import RunChange
from evalkit.report.data import ReportData, RunSource
from evalkit.report.differences import pair_table, tag_table
from evalkit.report.evaluators import published
from evalkit.report.figures import SavedFigure, draw_figures, precision_curves
from evalkit.report.numbers import NOTHING, TableCell
from evalkit.report.past import PastRuns, past_runs
from evalkit.report.repeats import Repeat, repeats
from evalkit.report.sections import sections
from evalkit.report.tables import ReportTable, TableColumn, TableRow, TableSection, headline_table, stem_of
from evalkit.report.words import verdict

ERRORS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One dataset on the first page.

    ``ranking``: the column of the headline that models are ranked by; ``span``: the range of its whiskers.
    """

    name: str
    n: int
    n_images: int
    verdict: Decision
    headline: ReportTable
    ranking: str
    span: tuple[float, float]
    outcomes: list[Bar]
    outcome_legend: list[Legend]
    formats: list[Bar]
    format_legend: list[Legend]
    errors: list[tuple[str, str, int]]
    tags: ReportTable | None
    pairs: ReportTable | None
    figures: dict[str, SavedFigure]
    trials: list[Repeat]
    sections: tuple[TableSection, ...]
    published: tuple[Reference, ...]
    past: PastRuns | None
    tables: list[ReportTable]


def dataset_view(
    data: ReportData,
    dataset: str,
    figures: Path,
    compared: RunComparison,
    changes: Sequence[RunChange] = (),
) -> DatasetView:
    """Return everything the first page says of one dataset; draws its figures into ``figures``.

    ``compared``: ``page_comparison``.
    """
    rows = data.rows(dataset)
    headline, tags = headline_table(data, dataset), tag_table(data, dataset, compared)
    outcomes, formats = outcome_bars(data, dataset), format_bars(data, dataset)
    curve, below = precision_table(data, dataset), sections(data, dataset)
    past, pairs = past_runs(data, dataset), pair_table(data, dataset, compared)
    extra = [part.table for part in (*below, past) if part is not None]
    return DatasetView(
        name=dataset,
        n=rows["sample_id"].nunique(),
        n_images=rows["image_id"].nunique(),
        verdict=verdict(data, dataset, compared, changes),
        headline=headline,
        ranking=data.measure(dataset).name,
        span=_span(headline, data.measure(dataset).name),
        outcomes=outcomes,
        outcome_legend=legend(outcomes),
        formats=formats,
        format_legend=legend(formats),
        errors=_errors(data, dataset),
        tags=tags,
        pairs=pairs,
        figures=draw_figures(data, dataset, figures, past),
        trials=repeats(data, dataset),
        sections=below,
        published=published(data, dataset),
        past=past,
        tables=[table for table in (headline, pairs, tags, curve, *extra) if table is not None],
    )


def _span(headline: ReportTable, key: str) -> tuple[float, float]:
    """Return the range of the intervals with a little room, so that whiskers can be compared."""
    cells = [row.cells[key] for row in headline.rows]
    ends = [end for cell in cells for end in (cell.low, cell.high) if end is not None]
    if not ends:
        return 0.0, 1.0
    room = max(0.02, 0.08 * (max(ends) - min(ends)))
    return max(0.0, min(ends) - room), min(1.0, max(ends) + room)


def _errors(data: ReportData, dataset: str) -> list[tuple[str, str, int]]:
    """Return (model, why, count) of the rows that were not run or whose data was at fault."""
    rows = data.rows(dataset)
    lost = rows[rows["outcome"].isin(("not_run", "data_error"))]
    counts = Counter(zip(lost["model"], lost["error"].fillna("no reason was recorded"), strict=True))
    return [(label, str(error)[:400], count) for (label, error), count in counts.most_common(ERRORS_SHOWN)]


def precision_table(data: ReportData, dataset: str) -> ReportTable | None:
    """Return the curve of precision at every IoU threshold as a table, one row per threshold."""
    curves = precision_curves(data, dataset)
    if not curves:
        return None
    columns = tuple(
        TableColumn(label, label, "share of targeted expressions reaching the threshold") for label in curves
    )
    thresholds = next(iter(curves.values()))[0]
    rows = tuple(
        TableRow(
            f"{threshold:.2f}",
            {
                label: TableCell(f"{shares[place]:.3f}", value=float(shares[place]))
                for label, (_, shares) in curves.items()
            },
        )
        for place, threshold in enumerate(thresholds)
    )
    stem = stem_of(data, dataset, "precision-at-iou")
    return ReportTable(stem, f"Precision at every IoU threshold on {dataset}", "IoU", columns, rows)


def run_view(run: RunSource) -> dict[str, Any]:
    """Return a run's settings as lines for people, and its configuration as text."""
    manifest, config = run.manifest, run.manifest.config
    decode = config.get("decode") or {}
    facts = [
        ("Folder", run.folder.path.name),
        ("Status", run.summary.status),
        ("Asked", f"{manifest.started_at or NOTHING} to {manifest.finished_at or NOTHING}"),
        ("Seed", str(config.get("seed"))),
        ("Trials", str(config.get("trials"))),
        ("Longest image side", f"{(config.get('image') or {}).get('max_side') or 'as in the file'}"),
        ("Decoding", ", ".join(f"{key} {value}" for key, value in decode.items() if value is not None)),
        (
            "Datasets",
            "; ".join(_dataset_line(name, entry) for name, entry in manifest.fingerprints().items()),
        ),
        ("evalkit", str(manifest.evalkit or run.summary.evalkit)),
        (
            "Packages",
            ", ".join(f"{name} {v}" for name, v in manifest.versions.items()) or "\u2013",
        ),
    ]
    if manifest.rescored_from:
        facts.insert(1, ("Re-scored from", manifest.rescored_from))
    if manifest.stopped:
        facts.insert(2, ("Stopped", "; ".join(manifest.stopped)))
    return {
        "name": run.name,
        "facts": [(name, value) for name, value in facts if value],
        "config": json.dumps(config, indent=2, ensure_ascii=False),
    }


def _dataset_line(name: str, entry: Any) -> str:
    if not isinstance(entry, dict):
        return f"{name} {str(entry)[:12]}"
    return f"{name} " + ", ".join(f"{key} {str(value)[:12]}" for key, value in entry.items())
