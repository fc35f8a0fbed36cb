"""Figures, each as an SVG and a PNG file for papers and slides, and as SVG in the page.

In the page ink and grid follow the theme: their two fixed colours are replaced by CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.decoding.codes import ANSWERED
from evalkit.report.bars import Bar, format_bars, outcome_bars
from evalkit.report.data import ReportData
from evalkit.report.numbers import triple
from evalkit.safe_text import file_part

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evalkit.report.past import PastRuns

INK = "#1d1c1a"
MUTED = "#767168"
GRID = "#dcd8cf"
ACCENT = "#1f5fa8"
WARN = "#9a3412"
THEMED = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--rule)",
    ACCENT: "var(--accent)",
    WARN: "var(--warn)",
}

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
"""A second sign beside colour, for print and for colour blindness."""

NAME_CHARACTERS = 28

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "svg.hashsalt": "evalkit",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
}


@dataclass(frozen=True, slots=True)
class SavedFigure:
    """One figure of the page: inline ``svg``, the files' ``stem``, and ``words`` for who cannot see it."""

    stem: str
    title: str
    words: str
    svg: str


def draw_figures(
    data: ReportData, dataset: str, folder: Path, past: PastRuns | None = None
) -> dict[str, SavedFigure]:
    """Draw and save every figure of one dataset that has data; keys are the figures' kinds."""
    import matplotlib as mpl

    label = data.measure(dataset).label
    with mpl.rc_context(STYLE):
        figures: dict[str, tuple[str, str, Figure | None]] = {
            "outcomes": ("What became of every sample", "", bars_figure(outcome_bars(data, dataset))),
            "wire-formats": ("Wire formats", "", bars_figure(format_bars(data, dataset))),
            "iou-distribution": (
                "How IoU is spread",
                "Histogram of IoU per model; answers that could not be read stand apart, left of zero.",
                iou_figure(data, dataset),
            ),
            "precision-at-iou": (
                "Precision at every IoU threshold",
                "Share of targeted expressions whose IoU reaches the threshold; precision-at-iou.csv has the numbers.",
                precision_figure(data, dataset),
            ),
            "quality-cost": (
                "Quality against cost",
                f"{label} with its 95 % interval against US dollars per 1,000 samples.",
                scatter_figure(data, dataset, _usd_per_thousand, "USD per 1,000 samples"),
            ),
            "quality-latency": (
                "Quality against latency",
                f"{label} with its 95 % interval against the median latency in seconds.",
                scatter_figure(data, dataset, _median_latency, "median latency, seconds"),
            ),
            "history": (
                "Earlier runs",
                f"{label} with its 95 % interval in every run of this config that lies beside this one.",
                None if past is None else history_figure(data, past),
            ),
        }
        made = {}
        for kind, (title, words, figure) in figures.items():
            if figure is not None:
                stem = kind if len(data.datasets) == 1 else f"{file_part(dataset)}-{kind}"
                made[kind] = SavedFigure(stem, title, words, save_figure(figure, folder, stem))
    return made


def save_figure(figure: Figure, folder: Path, stem: str) -> str:
    """Write ``stem.svg`` and ``stem.png`` (200 dots per inch) and return the SVG for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{stem}.png", dpi=200, bbox_inches="tight", facecolor="white")
    text = svg_text(figure)
    (folder / f"{stem}.svg").write_text(text, encoding="utf-8")
    return inline_svg(text, stem)


def svg_text(figure: Figure) -> str:
    """Return a figure as the text of an SVG file, the same for the same figure."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def inline_svg(text: str, stem: str) -> str:
    """Return an SVG file's text for the page: themed, scalable, with ids of its own, hidden from readers.

    Its words stand in the page beside it.
    """
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(?::\w+)?="[^"]*"', "", body)
    width_pt = re.search(r'<svg[^>]*? width="([0-9.]+)pt"', body)
    natural = "" if width_pt is None else f' style="max-width:{float(width_pt[1]) * 1.3:.0f}px"'
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = body.replace("<svg", f'<svg aria-hidden="true" focusable="false"{natural}', 1)
    body = re.sub(r'\bid="', f'id="{stem}-', body)
    body = re.sub(r'(xlink:href=")#', rf"\1#{stem}-", body)
    body = re.sub(r"url\(#", f"url(#{stem}-", body)
    for fixed, variable in THEMED.items():
        body = body.replace(fixed, variable)
    return body


def bars_figure(bars: Sequence[Bar]) -> Figure | None:
    """Return horizontal stacked shares, one bar per model with its legend below; None without any."""
    shown = [bar for bar in bars if bar.total]
    if not shown:
        return None
    figure, axes = plain_figure(7.2, 0.5 * len(shown) + 0.9)
    labelled: set[str] = set()
    for place, bar in enumerate(shown):
        left = 0.0
        for segment in bar.segments:
            label = None if segment.key in labelled else segment.words
            labelled.add(segment.key)
            axes.barh(
                place,
                segment.share,
                left=left,
                height=0.62,
                color=segment.colour,
                hatch="////" if segment.striped else None,
                edgecolor="white",
                linewidth=0.5,
                label=label,
            )
            left += segment.share
    axes.set_yticks(range(len(shown)), [short(bar.label) for bar in shown])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(percent)
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.9 / (0.5 * len(shown) + 0.4)), ncols=2, frameon=False)
    return figure


def iou_figure(data: ReportData, dataset: str) -> Figure | None:
    """Return one histogram of IoU per model, side by side; unreadable answers stand left of zero."""
    parts = {model.label: _answered(data, dataset, model.label) for model in data.models}
    shown = [model for model in data.models if len(parts[model.label])]
    if not shown:
        return None
    columns = min(5, len(shown))
    lines = -(-len(shown) // columns)
    figure = _figure(1.9 * columns + 0.6, 1.9 * lines + 0.4)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, model in zip(grid, shown, strict=False):
        rows = parts[model.label]
        failed = ~rows["outcome"].isin(("decoded", "no_target"))
        share = np.full(len(rows), 1 / len(rows))
        axes.hist(
            rows["quality"][~failed],
            bins=np.linspace(0, 1, 21).tolist(),
            weights=share[~failed],
            color=model.colour,
        )
        axes.bar(-0.13, failed.mean(), width=0.06, color=MUTED)
        axes.set_title(short(model.label), loc="left", fontsize=10, color=INK)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xticks([-0.13, 0, 0.5, 1], ["✕", "0", "0.5", "1"])
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel("IoU    (✕ = unreadable or blocked)", fontsize=10, color=MUTED)
    figure.tight_layout()
    return figure


def precision_figure(data: ReportData, dataset: str) -> Figure | None:
    """Return the share of targeted rows with IoU >= t against t."""
    curves = precision_curves(data, dataset)
    if not curves:
        return None
    figure, axes = plain_figure(4.8, 3.4)
    for model in data.models:
        if model.label not in curves:
            continue
        axes.plot(*curves[model.label], color=model.colour, linewidth=1.8, label=short(model.label))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="IoU threshold", ylabel="share reaching it")
    axes.yaxis.set_major_formatter(percent)
    axes.grid(axis="y")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(-0.02, -0.17), ncols=2)
    return figure


def precision_curves(data: ReportData, dataset: str) -> dict[str, tuple[Any, Any]]:
    """Return label -> (thresholds, shares of its answered rows with a target), over 0..1 in steps of 0.01.

    Models without such rows are left out.
    """
    curves = {model.label: _precision_curve(data, dataset, model.label) for model in data.models}
    return {label: curve for label, curve in curves.items() if curve is not None}


def _precision_curve(data: ReportData, dataset: str, label: str) -> tuple[Any, Any] | None:
    rows = _answered(data, dataset, label)
    iou = np.sort(rows["quality"][~rows["no_target"].astype(bool)].to_numpy(dtype=float))
    if iou.size == 0:
        return None
    thresholds = np.round(np.linspace(0, 1, 101), 2)
    reached = iou.size - np.searchsorted(iou, thresholds - 1e-9, side="left")
    return thresholds, reached / iou.size


def scatter_figure(data: ReportData, dataset: str, price: Any, x_label: str) -> Figure | None:
    """Return gIoU with its interval against a price, with the line of models that none beats on both.

    ``price``: result -> number or None. None where fewer than two models have both.
    """
    points = []
    measure = data.measure(dataset)
    for number, model in enumerate(data.models):
        result = data.result(dataset, model.label)
        if result is None:
            continue
        value, low, high = triple(measure.of(result))
        x = price(result)
        if value is not None and x is not None and x > 0:
            points.append((x, value, low, high, model, MARKERS[number % len(MARKERS)]))
    if len(points) < 2:
        return None
    figure, axes = plain_figure(4.8, 3.4)
    for x, value, low, high, model, marker in points:
        if low is not None and high is not None:
            axes.plot([x, x], [low, high], color=model.colour, linewidth=1.4, alpha=0.75)
        axes.plot([x], [value], marker=marker, color=model.colour, markersize=7, linestyle="none")
    front = pareto_front([(x, value) for x, value, *_ in points])
    axes.plot(*zip(*front, strict=True), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    _price_axis(axes, [x for x, *_ in points])
    axes.set(xlabel=x_label, ylabel=measure.label)
    axes.grid(axis="y")
    axes.margins(x=0.12, y=0.12)
    _label_points(figure, axes, [(x, value, short(model.label)) for x, value, _, _, model, _ in points])
    return figure


def _label_points(figure: Figure, axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write names beside their points: on the side that has room, lines of text kept apart."""
    figure.draw_without_rendering()
    place = axes.transData.transform
    middle = axes.get_window_extent().x0 + axes.get_window_extent().width / 2
    line_px = 9 * 1.25 / 72 * figure.dpi
    last = {"left": -np.inf, "right": -np.inf}
    for x, value, label in sorted(points, key=lambda point: point[1]):
        x_px, y_px = place((x, value))
        side = "left" if x_px < middle else "right"
        y_shown = max(y_px, last[side] + line_px)
        last[side] = y_shown
        axes.annotate(
            label,
            (x, value),
            (9 if side == "left" else -9, (y_shown - y_px) * 72 / figure.dpi + 2),
            textcoords="offset points",
            horizontalalignment=side,
            fontsize=9,
        )


def history_figure(data: ReportData, past: PastRuns) -> Figure:
    """Return gIoU of each model over the runs, oldest first, with whiskers."""
    figure, axes = plain_figure(8.4, 2.8)
    for number, model in enumerate(data.models):
        places = [
            place for place, row in enumerate(past.table.rows) if row.cells[model.label].value is not None
        ]
        cells = [past.table.rows[place].cells[model.label] for place in places]
        shift = 0.06 * (number - (len(data.models) - 1) / 2)
        x = [place + shift for place in places]
        axes.plot(
            x, [c.value or 0.0 for c in cells], color=model.colour, marker=MARKERS[number % len(MARKERS)]
        )
        for at, found in zip(x, cells, strict=True):
            if found.low is not None and found.high is not None:
                axes.plot([at, at], [found.low, found.high], color=model.colour, linewidth=1, alpha=0.7)
    axes.set_xticks(range(len(past.table.rows)), [row.label[:10] for row in past.table.rows], rotation=30)
    axes.set_ylabel(past.table.columns[0].meaning)
    axes.grid(axis="y")
    return figure


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (price, quality) that no other beats on both, by rising price."""
    front: list[tuple[float, float]] = []
    for price, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or quality > front[-1][1]:
            front.append((price, quality))
    return front


def _price_axis(axes: Axes, prices: Sequence[float]) -> None:
    """Use a logarithmic axis where prices span more than a factor of eight; plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if max(prices) / min(prices) <= 8:
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _usd_per_thousand(result: Mapping[str, Any]) -> float | None:
    cost, priced = result.get("cost_usd"), int(result.get("n_answered") or 0)
    priced -= int(result.get("n_cost_unknown") or 0)
    return None if cost is None or priced <= 0 else 1000 * float(cost) / priced


def _median_latency(result: Mapping[str, Any]) -> float | None:
    return triple((result.get("latency_s") or {}).get("p50"))[0]


def _answered(data: ReportData, dataset: str, label: str) -> Any:
    rows = data.rows(dataset, label)
    return rows[rows["outcome"].isin(ANSWERED) & rows["quality"].notna()]


def short(label: str) -> str:
    """Return a model's name as a figure has room for it: the middle of a long one left out.

    A space goes before an underscore, which Matplotlib takes for a name to keep out of the legend.
    """
    shown = label if len(label) <= NAME_CHARACTERS else f"{label[: NAME_CHARACTERS - 9]}\u2026{label[-8:]}"
    return f" {shown}" if shown.startswith("_") else shown


def plain_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Return an empty figure of that size (inches) with one pair of axes."""
    figure = _figure(width_in, height_in)
    return figure, figure.add_subplot()


def _figure(width_in: float, height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in))


def percent(value: float, _: object) -> str:
    """Return a share as a tick's label."""
    return f"{100 * value:.0f} %"
