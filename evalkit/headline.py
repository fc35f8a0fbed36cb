"""The headline table as text: what `evalkit run` and `evalkit score` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "model", "dataset", "n", "gIoU", "cIoU", "P@0.5", "format fail", "strict fail", "not run", "p50 s", "tokens", "USD",
)  # fmt: skip


def headline_table(summary: Mapping[str, Any]) -> str:
    """Return the `all` rows of a summary as an aligned text table; simulated runs say so above it."""
    rows = [_cells(result) for result in summary["results"] if result["slice"] == "all"]
    widths = [max(len(row[i]) for row in [list(COLUMNS), *rows]) for i in range(len(COLUMNS))]
    lines = [_line(COLUMNS, widths), _line(["-" * width for width in widths], widths)]
    lines += [_line(row, widths) for row in rows]
    if summary["simulated"]:
        lines.insert(0, "SIMULATED ANSWERS: these numbers say nothing about any real model.\n")
    if summary["status"] != "complete":
        lines.append("\nThe run is PARTIAL: some samples were not run. The same command resumes it.")
    return "\n".join(lines)


def _cells(result: Mapping[str, Any]) -> list[str]:
    latency = result["latency_s"] or {}
    tokens = result["tokens"] or {}
    cost = result["cost_usd"]
    return [
        result["model"],
        result["dataset"],
        str(result["n"]),
        with_interval(result["giou"]),
        with_interval(result["ciou"]),
        with_interval(result["precision_at"].get("0.5")),
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
