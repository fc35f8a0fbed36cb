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

from evalkit.report.data import ReportData, tags_of
from evalkit.report.differences import iou_table, leads, real_winners
from evalkit.report.numbers import NOTHING, TableCell, bare, cell, spell, triple


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


HEADLINE = (
    TableColumn("n", "n", "answers, of all questions asked; every trial counts"),
    TableColumn("giou", "gIoU", "mean IoU over expressions; unreadable counts 0", "up"),
    TableColumn("box_iou", "Box IoU", "mean IoU of the returned box", "up"),
    TableColumn(
        "box_accuracy", "Box acc@0.5", "share of targeted expressions with box IoU at least 0.5", "up"
    ),
    TableColumn("ciou", "cIoU", "sum of intersections over sum of unions", "up"),
    TableColumn("p50", "P@0.5", "share of targeted expressions with IoU at least 0.5", "up"),
    TableColumn("format", "Format failures", "answers without one usable mask, after repairs", "down"),
    TableColumn(
        "strict", "Strict failures", "answers that are not exactly what the prompt asked for", "down"
    ),
    TableColumn(
        "not_run", "Not run", "questions without an answer (network, quota, budget); outside every mean"
    ),
    TableColumn(
        "latency", "Latency", "mean seconds until the whole answer, with median and 95th percentile", "down"
    ),
    TableColumn("tokens_in", "Tokens in", "mean input tokens per answer"),
    TableColumn("tokens_out", "Tokens out", "mean output tokens per answer, and the mean of thinking tokens"),
    TableColumn("cost", "Cost", "US dollars of all answers, and of 1,000", "down"),
)


def headline_table(data: ReportData, dataset: str) -> ReportTable:
    """Return the comparison of the models on one dataset, the highest gIoU first."""
    rows = []
    for model in data.models:
        result = data.result(dataset, model.label)
        if result is not None:
            rows.append(TableRow(model.label, _headline_cells(result)))
    rows.sort(key=lambda row: -(row.cells[data.measure(dataset).key].value or -1.0))
    columns = tuple(
        column for column in HEADLINE if any(row.cells[column.key].text != NOTHING for row in rows)
    )
    return ReportTable(
        stem_of(data, dataset, "headline"), f"Models on {dataset}", "Model", columns, tuple(rows)
    )


def _headline_cells(result: Mapping[str, Any]) -> dict[str, TableCell]:
    answered, total = int(result["n_answered"]), int(result["n"])
    latency, tokens = result.get("latency_s") or {}, result.get("tokens") or {}
    cost = triple(result.get("cost_usd"))[0]
    return {
        "n": TableCell(f"{answered:,}", "" if answered == total else f"of {total:,}", answered),
        "giou": cell(result["giou"], "ratio"),
        "box_iou": cell(None if result["giou"] else result.get("box_iou"), "ratio"),
        "box_accuracy": cell(None if result["giou"] else result.get("box_accuracy_0.5"), "ratio"),
        "ciou": cell(result["ciou"], "ratio"),
        "p50": cell((result.get("precision_at") or {}).get("0.5"), "ratio"),
        "format": cell(result["format_failure_rate"], "percent"),
        "strict": cell(result["strict_failure_rate"], "percent"),
        "not_run": cell(result["n_not_run"], "count"),
        "latency": _latency(latency),
        "tokens_in": cell(tokens.get("input_mean"), "count"),
        "tokens_out": _tokens_out(tokens),
        "cost": _cost(cost, answered),
    }


def _latency(latency: Mapping[str, Any]) -> TableCell:
    mean, p50, p95 = (cell(latency.get(key), "seconds") for key in ("mean", "p50", "p95"))
    return mean if p50.value is None else replace(mean, more=f"p50 {bare(p50.text)}, p95 {bare(p95.text)}")


def _cost(cost: float | None, answered: int) -> TableCell:
    total = cell(cost, "usd")
    if not cost or not answered:
        return total
    return replace(total, more=f"{spell(1000 * cost / answered, 'usd')}/1,000")


def _tokens_out(tokens: Mapping[str, Any]) -> TableCell:
    written = cell(tokens.get("output_mean"), "count")
    thought = cell(tokens.get("thought_mean"), "count")
    if not thought.value:
        return written
    return replace(written, more=f"+ {thought.text} thinking")


def tag_table(data: ReportData, dataset: str) -> ReportTable | None:
    """Return gIoU (box IoU without masks) per tag value and model, the best marked only where its lead is real; None without tags."""
    slices = data.slices(dataset)
    if not slices:
        return None
    key, measure = data.measure(dataset).key, data.measure(dataset).name
    columns = tuple(TableColumn(model.label, model.label, measure, "up") for model in data.models)
    rows_all = data.rows(dataset)
    tags_by_text = {text: tags_of(text) for text in rows_all["tags"].unique()}
    families, unmarked = [], []
    for name in slices:
        results = {model.label: data.result(dataset, model.label, name) for model in data.models}
        known = {label: result for label, result in results.items() if result is not None}
        giou = {label: triple(result[key])[0] for label, result in known.items()}
        tag, _, value = name.partition("=")
        texts = [text for text, tags in tags_by_text.items() if tags.get(tag) == value]
        part = rows_all[rows_all["tags"].isin(texts)]
        has_pair = sum(found is not None for found in giou.values()) > 1
        families.append(leads(iou_table(part), giou, seed=data.seed) if has_pair else [])
        cells = {column.key: cell((known.get(column.key) or {}).get(key), "ratio") for column in columns}
        n = max((int(result["n"]) for result in known.values()), default=0)
        unmarked.append((value, cells, tag, f"{n:,}"))
    winners = real_winners(families)
    rows = tuple(
        TableRow(value, cells, frozenset() if winner is None else frozenset({winner}), tag, note)
        for (value, cells, tag, note), winner in zip(unmarked, winners, strict=True)
    )
    return ReportTable(stem_of(data, dataset, "tags"), f"{measure} by tag on {dataset}", "Tag", columns, rows)


def stem_of(data: ReportData, dataset: str, kind: str) -> str:
    """Return the file name of a table: its kind, with the dataset where the report has several."""
    return kind if len(data.datasets) == 1 else f"{dataset}-{kind}"


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
    writer.writerow(heading)
    for row in table.rows:
        line: list[Any] = [f"{row.group}={row.label}" if row.group else row.label]
        for column in table.columns:
            found = row.cells[column.key]
            line.append(found.value)
            if column.key in spans:
                line += [found.low, found.high]
        writer.writerow(["" if value is None else value for value in line])
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
    escaped = [text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for text in cells]
    return "| " + " | ".join(escaped) + " |"


def _row_name(row: TableRow) -> str:
    return f"{row.group}: {row.label}" if row.group else row.label


def _words(shown: TableCell) -> str:
    return f"{shown.text} ({shown.range_text})" if shown.low is not None else shown.text
