"""Figures of the history page: one metric with its intervals, and the mix of wire formats or failures, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from evalkit.report.bars import kind_colour
from evalkit.report.figures import ACCENT, MUTED, STYLE, WARN, inline_svg, percent, plain_figure, svg_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 8.4
MAX_TICKS = 12
"""Dates that fit below a figure."""


def themed_svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG for the page; ``name`` keeps its ids apart from those of other figures."""
    return inline_svg(svg_text(figure), name)


def metric_figure(
    intervals: Sequence[Mapping[str, float] | None], dates: Sequence[str], shifts: Sequence[int]
) -> Figure | None:
    """Return a metric over the runs with its 95 % intervals; None where no run has it.

    ``shifts``: a dashed line is drawn before each of these runs.
    """
    import matplotlib as mpl

    known = [(place, interval) for place, interval in enumerate(intervals) if interval is not None]
    if not known:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = plain_figure(WIDTH_IN, 2.1)
        for place, interval in known:
            axes.plot(
                [place, place], [interval["low"], interval["high"]], color=ACCENT, linewidth=2, alpha=0.45
            )
        axes.plot(
            [place for place, _ in known],
            [interval["value"] for _, interval in known],
            color=ACCENT,
            marker="o",
            markersize=4,
            linestyle="none",
        )
        axes.set_ylim(
            max(0.0, min(interval["low"] for _, interval in known) - 0.05),
            min(1.0, max(interval["high"] for _, interval in known) + 0.05),
        )
        axes.grid(axis="y")
        _finish(axes, dates, shifts)
    return figure


def mix_figure(
    mixes: Sequence[tuple[Mapping[str, int], int]], dates: Sequence[str], shifts: Sequence[int]
) -> Figure | None:
    """Return stacked shares of the answers by kind, one bar per run; None where no run has any.

    ``mixes``: per run, kind -> answers, and how many answers there were. Several kinds within one answer
    make a bar that is cut at 100 %.
    """
    import matplotlib as mpl

    kinds = _by_frequency([counts for counts, _ in mixes])
    if not kinds:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = plain_figure(WIDTH_IN, 1.5)
        stacks = [stacked_shares(counts, total, kinds) for counts, total in mixes]
        for number, kind in enumerate(kinds):
            colour, striped = kind_colour(kind)
            axes.bar(
                range(len(mixes)),
                [stack[number][1] for stack in stacks],
                bottom=[stack[number][0] for stack in stacks],
                width=0.8,
                color=colour,
                hatch="////" if striped else None,
                edgecolor="white",
                linewidth=0.5,
                label=kind.replace("_", " "),
            )
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(percent)
        _finish(axes, dates, shifts)
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.22), ncols=4, frameon=False, fontsize=9)
    return figure


def stacked_shares(counts: Mapping[str, int], total: int, kinds: Sequence[str]) -> list[tuple[float, float]]:
    """Return (bottom, height) of each kind in a bar of height 1; nothing stands above 1."""
    shares = [counts.get(kind, 0) / total if total else 0.0 for kind in kinds]
    tops = [min(1.0, top) for top in accumulate(shares)]
    return [(below, top - below) for below, top in zip([0.0, *tops], tops, strict=False)]


def _by_frequency(mixes: Sequence[Mapping[str, int]]) -> list[str]:
    """Return the kinds, the most frequent over all runs first."""
    totals = {kind: sum(mix.get(kind, 0) for mix in mixes) for mix in mixes for kind in mix}
    return sorted(totals, key=lambda kind: (-totals[kind], kind))


def _finish(axes: Axes, dates: Sequence[str], shifts: Sequence[int]) -> None:
    """Set the dates below and a dashed line before every shift."""
    for run in shifts:
        axes.axvline(run - 0.5, color=WARN, linewidth=1.6, linestyle=(0, (4, 3)), gid=f"shift-{run}")
    step = -(-len(dates) // MAX_TICKS)
    places: Any = range(0, len(dates), step)
    axes.set_xticks(places, [dates[place][:10] for place in places], fontsize=8)
    axes.set_xlim(-0.6, len(dates) - 0.4)
    axes.tick_params(axis="x", length=0, labelcolor=MUTED)
