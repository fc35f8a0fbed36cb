"""The metrics of ``score.metrics``, which packages of one's own define."""

from __future__ import annotations

from evalkit.metrics.names import metric_of
from evalkit.report.data import ReportData
from evalkit.report.numbers import cell
from evalkit.report.tables import UNITS, ReportTable, TableColumn, TableRow, TableSection, stem_of


def own_metrics(data: ReportData, dataset: str) -> TableSection | None:
    """Return the models' values with their intervals, None where no run names such a metric."""
    found = {
        model.label: result["metrics"]
        for model in data.models
        if (result := data.result(dataset, model.label)) is not None and result.get("metrics")
    }
    metrics = [
        metric_of(name) for name in dict.fromkeys(name for values in found.values() for name in values)
    ]
    if not metrics:
        return None
    columns = tuple(
        TableColumn(one.name, one.head, one.meaning, "up" if one.better == "higher" else "down")
        for one in metrics
    )
    rows = tuple(
        TableRow(
            label, {one.name: cell(values.get(one.name), UNITS.get(one.unit, "ratio")) for one in metrics}
        )
        for label, values in found.items()
    )
    stem = stem_of(data, dataset, "own-metrics")
    table = ReportTable(stem, f"Metrics of this config on {dataset}", "Model", columns, rows)
    return TableSection("Metrics of this config", table)
