"""The headline table as text: what `evalkit run` and `evalkit score` print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.comparison.decision import decision_lines
from evalkit.metrics.names import metric_of
from evalkit.metrics.reading_words import suspect_results, suspect_words
from evalkit.metrics.table import METRICS, Metric, quality_metric
from evalkit.report.page import MARKER
from evalkit.text_table import text_table
from evalkit.types import SIMULATED_WARNING

if TYPE_CHECKING:
    from evalkit.storage.summary import Summary

OTHER_COLUMNS = ("not run", "p50 s", "tokens", "USD")


def headline_table(summary: Summary) -> str:
    """Return the `all` rows of a summary as an aligned text table; simulated runs say so above it.

    Where a model's answers on a dataset are boxes alone (``task: box``), its models are ranked by boxes, and the columns of
    boxes are shown; those of masks are where any dataset is ranked by masks.
    """
    results = [result for result in summary.results if result["slice"] == "all"]
    shown = _shown(results)
    columns = ("model", "dataset", "n", *(metric.head for metric in shown), *OTHER_COLUMNS)
    rows = [_cells(result, shown) for result in results]
    lines = text_table(columns, rows, "<<" + ">" * (len(columns) - 2), rule=True)
    lines += _data_errors(results)
    lines += [f"\n{suspect_words(result)}" for result in suspect_results(results)]
    if summary.simulated:
        lines.insert(0, f"{SIMULATED_WARNING}\n")
    if not summary.complete:
        lines.append("\nThe run is PARTIAL: some samples were not run. The same command resumes it.")
    return "\n".join(lines)


def decided(report: Path) -> str:
    """Return what the first screen of a report says, as text; ``report``: the path of its ``index.html``."""
    marker = json.loads((report.parent / MARKER).read_text(encoding="utf-8"))
    return "\n".join(decision_lines(marker["decisions"], marker["objections"]))


def _data_errors(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for every row with samples that could not be asked for a fault of the data."""
    return [
        f"{result['model']} on {result['dataset']}: {result['n_data_error']} of {result['n']} samples are in no mean, "
        "their data is missing or damaged (outcome data_error)"
        for result in results
        if result["n_data_error"]
    ]


def _shown(results: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """Return the metrics of the terminal's table, those of masks or of boxes as the datasets are ranked."""
    defined: dict[str, list[set[str]]] = {}
    for result in results:
        names = {metric.name for metric in METRICS if metric.of(result) is not None}
        defined.setdefault(result["dataset"], []).append(names)
    ranked_by = {metric_of(quality_metric(sets)).about for sets in defined.values()} or {"masks"}
    return [
        metric for metric in METRICS if "terminal" in metric.shown and metric.about in {"answers", *ranked_by}
    ]


def _cells(result: Mapping[str, Any], shown: Sequence[Metric]) -> list[str]:
    latency = result["latency_s"] or {}
    tokens = result["tokens"] or {}
    cost = result["cost_usd"]
    return [
        result["model"],
        result["dataset"],
        str(result["n"]),
        *(with_interval(metric.of(result)) for metric in shown),
        str(result["n_not_run"]),
        _number(latency.get("p50"), "{:.2f}"),
        _number(_total(tokens), "{:,.0f}"),
        _cost(cost, result.get("n_cost_unknown", 0)),
    ]


def _cost(cost: float | None, unknown: int) -> str:
    """Return the sum of the known costs, and how many answers it leaves out."""
    if cost is None:
        return "-"
    return f"{cost:.4f}" + (f" + {unknown} unknown" if unknown else "")


def with_interval(number: Mapping[str, float] | None) -> str:
    """Return ``0.712 [0.68, 0.74]``, or ``-`` where the number is undefined."""
    if number is None:
        return "-"
    return f"{number['value']:z.3f} [{number['low']:z.2f}, {number['high']:z.2f}]"


def _total(tokens: Mapping[str, Any]) -> float | None:
    billed = [tokens[kind] for kind in ("input", "output", "thought") if tokens.get(kind) is not None]
    return sum(billed) if billed else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
