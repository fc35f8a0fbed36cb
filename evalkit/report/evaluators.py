"""Numbers as a dataset's own evaluator counts them, and published ones that may stand beside them."""

from __future__ import annotations

from pathlib import Path

from evalkit.datasets.published import Reference, references_for_dataset
from evalkit.errors import EvalkitError
from evalkit.report.data import ReportData
from evalkit.report.numbers import cell
from evalkit.report.tables import ReportTable, TableColumn, TableRow, TableSection, stem_of

HELD_AGAINST = ("giou", "ciou", "cgf1", "n_acc", "box_accuracy_0.5")
"""Metrics that published numbers are looked up for."""


def evaluator(data: ReportData, dataset: str) -> TableSection | None:
    """Return the numbers of a dataset's protocol, None under ``default``."""
    found = {
        model.label: result["protocol"]
        for model in data.models
        if (result := data.result(dataset, model.label)) is not None and result.get("protocol")
    }
    if not found:
        return None
    name = str(next(iter(found.values()))["name"])
    keys = list(dict.fromkeys(key for numbers in found.values() for key in numbers if key != "name"))
    columns = tuple(TableColumn(key, key.replace("_", " "), f"as {name} computes it") for key in keys)
    rows = tuple(
        TableRow(label, {key: cell(numbers.get(key), "ratio") for key in keys})
        for label, numbers in found.items()
    )
    table = ReportTable(stem_of(data, dataset, "evaluator"), f"{name} on {dataset}", "Model", columns, rows)
    return TableSection(f"As the evaluator of {name} counts", table)


def published(data: ReportData, dataset: str) -> tuple[Reference, ...]:
    """Return published numbers on the same dataset, split and ground truth, the highest first per metric."""
    from evalkit.datasets import resolve_dataset

    config = data.runs[0].folder.config()
    entry = next((entry for entry in config.datasets if entry.name == dataset), None)
    if entry is None:
        return ()
    try:
        resolved = resolve_dataset(entry, Path(config.directory))
    except EvalkitError:
        return ()  # the card is not on this machine: a report needs the run's folder alone
    return tuple(
        reference for metric in HELD_AGAINST for reference in references_for_dataset(resolved, metric)
    )
