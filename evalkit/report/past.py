"""Earlier runs of the same config that lie beside this one, from their summaries alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError
from evalkit.report.data import ReportData
from evalkit.report.numbers import NOTHING, TableCell, cell
from evalkit.report.tables import ReportTable, TableColumn, TableRow, stem_of
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.summary import SUMMARY

if TYPE_CHECKING:
    from evalkit.storage.manifest import Manifest
    from evalkit.storage.summary import Summary

RUNS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class PastRuns:
    """The ranking metric of every model in the last runs, oldest first, this one included."""

    table: ReportTable


def past_runs(data: ReportData, dataset: str) -> PastRuns | None:
    """Return the runs of one config over time; None for several runs at once, or without an earlier one.

    Runs count as the same config where the manifest's ``name`` is equal and both or neither are
    simulated. Copies that were re-scored are left out.
    """
    if len(data.runs) > 1:
        return None
    own = data.runs[0]
    found = [(own.manifest, own.summary)]
    for path in sorted(own.folder.path.resolve().parent.glob(f"*/{MANIFEST}")):
        other = _read(path.parent)
        if other is not None and path.parent != own.folder.path.resolve() and _same(other[0], own.manifest):
            found.append(other)
    found.sort(key=lambda pair: str(pair[0].started_at))
    labels = [model.label for model in data.models]
    rows = [
        row for manifest, summary in found[-RUNS_SHOWN:] if (row := _row(manifest, summary, data, dataset))
    ]
    if len(rows) < 2:
        return None
    measure = data.measure(dataset).label
    columns = tuple(TableColumn(label, label, measure, "up") for label in labels)
    caption = f"{measure} on {dataset} over time"
    return PastRuns(ReportTable(stem_of(data, dataset, "history"), caption, "Started", columns, tuple(rows)))


def _read(path: Path) -> tuple[Manifest, Summary] | None:
    """Return manifest and summary of a neighbouring folder, None where they cannot be read."""
    if not (path / SUMMARY).is_file():
        return None
    try:
        folder = RunFolder(path)
        return folder.manifest, folder.summary()
    except DataError:
        return None  # a neighbour's damage is not this report's; `evalkit history` names it


def _same(other: Manifest, own: Manifest) -> bool:
    if other.ledger or own.ledger:
        return False
    return (other.name, other.simulated) == (own.name, own.simulated)


def _row(manifest: Manifest, summary: Summary, data: ReportData, dataset: str) -> TableRow | None:
    measure = data.measure(dataset)
    cells = {model.label: TableCell(NOTHING) for model in data.models}
    for result in summary.results:
        if (result["dataset"], result["slice"]) == (dataset, "all") and result["model"] in cells:
            cells[result["model"]] = cell(measure.of(result), "ratio")
    if all(found.value is None for found in cells.values()):
        return None
    when = str(manifest.started_at or NOTHING)[:16].replace("T", " ")
    return TableRow(when, cells, note="" if summary.complete else "partial")
