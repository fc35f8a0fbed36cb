"""Tables of the page, and the same tables as CSV, Markdown and LaTeX files. Pure but for writing.

The CSV file holds full precision and every interval; the other two hold what the page shows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.metrics.table import METRICS, Metric
from evalkit.report.data import ReportData
from evalkit.report.numbers import NOTHING, Kind, TableCell, bare, cell, spell, triple
from evalkit.safe_text import csv_cell, file_part, markdown_cell


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column: its heading, what it means, and the direction that is better (None: neither)."""

    key: str
    heading: str
    meaning: str
    better: str | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line: ``label`` is a model or a tag's value; ``best`` are the keys that are marked."""

    label: str
    cells: Mapping[str, TableCell]
    best: frozenset[str] = frozenset()
    group: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table under a file name; ``caption`` stands above it."""

    stem: str
    caption: str
    first: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class TableSection:
    """A table under a heading of its own."""

    heading: str
    table: ReportTable


UNITS: Mapping[str, Kind] = {"seconds": "seconds", "tokens": "count", "usd": "usd"}
"""How a metric's unit is spelled; shares are ratios, and failure rates percentages."""

ANSWERS = TableColumn("n", "n", "answers, of all questions asked; every trial counts")
NOT_RUN = TableColumn(
    "not_run", "Not run", "questions without an answer (network, quota, budget); outside every mean"
)
COST = TableColumn("cost", "Cost", "US dollars of all answers, and of 1,000", "down")


def headline_table(data: ReportData, dataset: str) -> ReportTable:
    """Return the comparison of the models on one dataset, the best first: the metrics that the table of metrics puts here."""
    ranking = data.measure(dataset)
    shown = [
        metric
        for metric in METRICS
        if "page" in metric.shown and (metric.about != "boxes" or ranking.about == "boxes")
    ]
    rows = []
    for model in data.models:
        result = data.result(dataset, model.label)
        if result is not None:
            rows.append(TableRow(model.label, _headline_cells(result, shown)))
    rows.sort(key=lambda row: -(row.cells[ranking.name].value or -1.0))
    columns = (ANSWERS, *(metric_column(metric) for metric in shown), NOT_RUN, COST)
    kept = tuple(column for column in columns if any(row.cells[column.key].text != NOTHING for row in rows))
    return ReportTable(stem_of(data, dataset, "headline"), f"Models on {dataset}", "Model", kept, tuple(rows))


def metric_column(metric: Metric) -> TableColumn:
    """Return the column of a metric; a heading begins with a capital unless it is a sign such as gIoU."""
    head = metric.head if metric.head[1:2].isupper() else metric.head[:1].upper() + metric.head[1:]
    return TableColumn(metric.name, head, metric.meaning, "down" if metric.better == "lower" else "up")


def _headline_cells(result: Mapping[str, Any], shown: Sequence[Metric]) -> dict[str, TableCell]:
    answered, total = int(result["n_answered"]), int(result["n"])
    latency, tokens = result.get("latency_s") or {}, result.get("tokens") or {}
    cells = {metric.name: metric_cell(metric, result) for metric in shown}
    more = {"latency_s": _percentiles(latency), "output_tokens": _thinking(tokens)}
    return {
        **{name: replace(found, more=more.get(name, "")) for name, found in cells.items()},
        "n": TableCell(f"{answered:,}", "" if answered == total else f"of {total:,}", answered),
        "not_run": cell(result["n_not_run"], "count"),
        "cost": _cost(triple(result.get("cost_usd"))[0], answered, int(result.get("n_cost_unknown", 0))),
    }


def metric_cell(metric: Metric, result: Mapping[str, Any]) -> TableCell:
    """Return the cell of a metric of a result of summary.json."""
    share: Kind = "percent" if metric.better == "lower" else "ratio"
    return cell(metric.of(result), UNITS.get(metric.unit, share))


def _percentiles(latency: Mapping[str, Any]) -> str:
    p50, p95 = (cell(latency.get(key), "seconds") for key in ("p50", "p95"))
    return "" if p50.value is None else f"p50 {bare(p50.text)}, p95 {bare(p95.text)}"


def _thinking(tokens: Mapping[str, Any]) -> str:
    thought = cell(tokens.get("thought_mean"), "count")
    return f"+ {thought.text} thinking" if thought.value else ""


def _cost(cost: float | None, answered: int, unknown: int) -> TableCell:
    """Return the sum of the known costs, what 1,000 such answers cost, and how many answers it leaves out."""
    total = cell(cost, "usd")
    if cost is None or answered <= unknown:
        return total
    parts = [f"{spell(1000 * cost / (answered - unknown), 'usd')}/1,000"] if cost else []
    parts += [f"+ {unknown:,} of unknown cost"] if unknown else []
    return replace(total, more=", ".join(parts))


def stem_of(data: ReportData, dataset: str, kind: str) -> str:
    """Return the file name of a table: its kind, with the dataset where the report has several."""
    return kind if len(data.datasets) == 1 else f"{file_part(dataset)}-{kind}"


def write_tables(tables: Iterable[ReportTable], folder: Path) -> None:
    """Write each table as ``.csv``, ``.md`` and ``.tex``."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.stem}.csv").write_text(as_csv(table), encoding="utf-8")
        (folder / f"{table.stem}.md").write_text(as_markdown(table), encoding="utf-8")
        (folder / f"{table.stem}.tex").write_text(as_latex(table), encoding="utf-8")


def as_csv(table: ReportTable) -> str:
    """Return full precision: a column per number and, where there is an interval, its two ends."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    spans = {c.key for c in table.columns if any(row.cells[c.key].low is not None for row in table.rows)}
    heading = [table.first.lower()]
    for column in table.columns:
        heading.append(column.key)
        if column.key in spans:
            heading += [f"{column.key}_low", f"{column.key}_high"]
    writer.writerow([csv_cell(text) for text in heading])
    for row in table.rows:
        line: list[Any] = [f"{row.group}={row.label}" if row.group else row.label]
        for column in table.columns:
            found = row.cells[column.key]
            line.append(found.value)
            if column.key in spans:
                line += [found.low, found.high]
        writer.writerow(["" if value is None else csv_cell(value) for value in line])
    return stream.getvalue()


def as_markdown(table: ReportTable) -> str:
    """Return the table for a README or a pull request; the best is bold where its lead is real."""
    lines = [
        _markdown_line([table.first, *(column.heading for column in table.columns)]),
        _markdown_line(["---", *("---:" for _ in table.columns)]),
    ]
    for row in table.rows:
        shown = [
            f"**{_words(row.cells[c.key])}**" if c.key in row.best else _words(row.cells[c.key])
            for c in table.columns
        ]
        lines.append(_markdown_line([_row_name(row), *shown]))
    return "\n".join(lines) + "\n"


def as_latex(table: ReportTable) -> str:
    """Return a ``tabular`` in the booktabs manner; the best is bold where its lead is real."""
    body = []
    for row in table.rows:
        shown = []
        for column in table.columns:
            words = latex_text(_words(row.cells[column.key]))
            shown.append(f"\\textbf{{{words}}}" if column.key in row.best else words)
        body.append(" & ".join([latex_text(_row_name(row)), *shown]) + r" \\")
    heading = " & ".join(latex_text(text) for text in [table.first, *(c.heading for c in table.columns)])
    return "\n".join(
        [
            f"% {latex_text(table.caption)}; needs the package booktabs",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            heading + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u2212": r"$-$",
    "\u2013": "--",
    "\u00a0": "~",
    "\n": " ",
}


def latex_text(text: str) -> str:
    """Return text with everything that LaTeX would interpret escaped."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_cell(text) for text in cells) + " |"


def _row_name(row: TableRow) -> str:
    return f"{row.group}: {row.label}" if row.group else row.label


def _words(shown: TableCell) -> str:
    return f"{shown.text} ({shown.range_text})" if shown.low is not None else shown.text
