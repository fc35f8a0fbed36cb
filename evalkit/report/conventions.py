"""What decoding conventions and wire formats themselves cost: measured for the report where asked for.

Both read stored answers and ground truths again, which takes time on a large run; so the report has
them only with ``--conventions``.
"""

from __future__ import annotations

from itertools import islice

from evalkit.report.data import ReportData
from evalkit.report.numbers import NOTHING, TableCell, cell, signed, triple
from evalkit.report.tables import ReportTable, TableColumn, TableRow, stem_of

CEILING_SAMPLES = 200
"""Samples whose ground truth is sent through every wire format, the first of the run."""


def sensitivity_tables(data: ReportData) -> dict[str, ReportTable]:
    """Return dataset -> how far each decoding convention moves each model's gIoU, paired on its rows."""
    from evalkit.scoring.sensitivity import CONVENTIONS, sensitivity

    found = {}
    for index, run in enumerate(data.runs):
        labels = {model.name: model.label for model in data.models if model.run == index}
        for row in sensitivity(run.folder.path, seed=data.seed):
            if row["model"] in labels:
                found[row["dataset"], labels[row["model"]], row["convention"]] = row["change"]
    columns = tuple(TableColumn(model.label, model.label, "change of gIoU", "up") for model in data.models)
    tables = {}
    for dataset in data.datasets:
        rows = tuple(
            TableRow(name, {c.key: change_cell(found.get((dataset, c.key, name))) for c in columns})
            for name in list(CONVENTIONS)[1:]
        )
        caption = f"Change of gIoU under other decoding conventions on {dataset}"
        tables[dataset] = ReportTable(
            stem_of(data, dataset, "conventions"), caption, "Convention", columns, rows
        )
    return tables


def change_cell(measured: object) -> TableCell:
    """Return a signed number with its interval."""
    value, low, high = triple(measured)
    if value is None or low is None or high is None:
        return TableCell(NOTHING)
    return TableCell(signed(value), f"{signed(low)} to {signed(high)}", value, low, high)


def ceiling_tables(data: ReportData) -> dict[str, ReportTable]:
    """Return dataset -> the best IoU that each wire format can carry on the run's own ground truths."""
    from evalkit.scoring.ceiling import ceilings

    columns = (
        TableColumn("n", "n", "samples with a target"),
        TableColumn("giou", "gIoU", "of the ground truth after a trip through the format", "up"),
        TableColumn("ciou", "cIoU", "the same, summed over pixels", "up"),
        TableColumn("lowest", "Lowest IoU", "of any sample", "up"),
    )
    tables = {}
    for dataset in data.datasets:
        samples = (
            sample
            for chunk in data.runs[0].folder.sample_chunks()
            for sample in chunk
            if sample.dataset == dataset and not sample.truth.no_target and sample.truth.fault is None
        )
        rows = tuple(
            TableRow(
                str(found["format"]).replace("_", " "),
                {
                    "n": cell(found["n"], "count"),
                    "giou": cell(found["giou"], "ratio"),
                    "ciou": cell(found["ciou"], "ratio"),
                    "lowest": cell(found["lowest_iou"], "ratio"),
                },
            )
            for found in ceilings(islice(samples, CEILING_SAMPLES), seed=data.seed)
        )
        caption = f"The best that each wire format can carry on {dataset}"
        tables[dataset] = ReportTable(
            stem_of(data, dataset, "ceilings"), caption, "Wire format", columns, rows
        )
    return tables
