"""The headline table as text: what `evalkit run` and `evalkit score` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MASK_COLUMNS = ("gIoU", "cIoU", "P@0.5")
BOX_COLUMNS = ("box acc@0.5", "box IoU")
OTHER_COLUMNS = ("format fail", "strict fail", "not run", "p50 s", "tokens", "USD")


def headline_table(summary: Mapping[str, Any]) -> str:
    """Return the `all` rows of a summary as an aligned text table; simulated runs say so above it.

    Where a model's answers are boxes alone (``task: box``), the columns of boxes stand in place of the masks'.
    """
    results = [result for result in summary["results"] if result["slice"] == "all"]
    boxes = any(result["giou"] is None and result["box_iou"] is not None for result in results)
    columns = ("model", "dataset", "n", *(BOX_COLUMNS if boxes else MASK_COLUMNS), *OTHER_COLUMNS)
    rows = [_cells(result, boxes=boxes) for result in results]
    widths = [max(len(row[i]) for row in [list(columns), *rows]) for i in range(len(columns))]
    lines = [_line(columns, widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(row, widths) for row in rows]
    lines += _data_errors(results)
    if summary["simulated"]:
        lines.insert(0, "SIMULATED ANSWERS: these numbers say nothing about any real model.\n")
    if summary["status"] != "complete":
        lines.append("\nThe run is PARTIAL: some samples were not run. The same command resumes it.")
    return "\n".join(lines)


def _data_errors(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for every row with samples that could not be asked for a fault of the data."""
    return [
        f"{result['model']} on {result['dataset']}: {result['n_data_error']} of {result['n']} samples are in no mean, "
        "their data is missing or damaged (outcome data_error)"
        for result in results
        if result["n_data_error"]
    ]


def _cells(result: Mapping[str, Any], *, boxes: bool) -> list[str]:
    latency = result["latency_s"] or {}
    tokens = result["tokens"] or {}
    cost = result["cost_usd"]
    quality = (
        [result["box_accuracy_0.5"], result["box_iou"]]
        if boxes
        else [result["giou"], result["ciou"], result["precision_at"].get("0.5")]
    )
    return [
        result["model"],
        result["dataset"],
        str(result["n"]),
        *(with_interval(number) for number in quality),
        with_interval(result["format_failure_rate"]),
        with_interval(result["strict_failure_rate"]),
        str(result["n_not_run"]),
        _number(latency.get("p50"), "{:.2f}"),
        _number(_total(tokens), "{:,.0f}"),
        "-" if cost is None else f"{cost:.4f}",
    ]


def with_interval(number: Mapping[str, float] | None) -> str:
    """Return ``0.712 [0.68, 0.74]``, or ``-`` where the number is undefined."""
    if number is None:
        return "-"
    return f"{number['value']:.3f} [{number['low']:.2f}, {number['high']:.2f}]"


def _total(tokens: Mapping[str, Any]) -> float | None:
    billed = [tokens[kind] for kind in ("input", "output", "thought") if tokens.get(kind) is not None]
    return sum(billed) if billed else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*left, *right]).rstrip()
