"""The mix of wire formats, or of failures, of every run as stacked bars for the history page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate

WIDTH, LEFT, RIGHT = 860, 52, 16
TOP, HEIGHT, LEGEND = 14, 90, 24
PALETTE = ("#2f6db5", "#d98a2b", "#4f9a57", "#b3402f", "#7d5ba6", "#8a6d5a", "#c66a9e")
"""Colours of the most frequent kinds; the rest is grey."""

OTHER = "#8d949c"


def mix_chart(title: str, mixes: Sequence[tuple[Mapping[str, int], int]], shifts: Sequence[int]) -> str:
    """Return an inline SVG: one bar per run, the share of its answers by kind; '' where no run has any.

    ``mixes``: per run, kind -> answers, and how many answers there were. Several kinds within one answer
    make a bar that is cut at 100 %. ``shifts``: a line is drawn before each of these runs.
    """
    kinds = _by_frequency([counts for counts, _ in mixes])
    if not kinds:
        return ""
    step = (WIDTH - LEFT - RIGHT) / len(mixes)
    parts = [
        _bar(counts, total, kinds, x=LEFT + step * k, width=min(step * 0.8, 40))
        for k, (counts, total) in enumerate(mixes)
    ]
    parts += [_shift(LEFT + step * at - step * 0.1) for at in shifts]
    parts += [_label(0, "0 %"), _label(1, "100 %"), _legend(kinds)]
    height = TOP + HEIGHT + LEGEND
    label = escape(f"{title} of {len(mixes)} runs: {', '.join(kinds)}")
    return (
        f'<p class="chart">{escape(title)}</p><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


def _by_frequency(mixes: Sequence[Mapping[str, int]]) -> dict[str, str]:
    """Return kind -> colour, the most frequent over all runs first."""
    totals = {kind: sum(mix.get(kind, 0) for mix in mixes) for mix in mixes for kind in mix}
    ordered = sorted(totals, key=lambda kind: (-totals[kind], kind))
    return {kind: PALETTE[k] if k < len(PALETTE) else OTHER for k, kind in enumerate(ordered)}


def _bar(counts: Mapping[str, int], total: int, kinds: Mapping[str, str], *, x: float, width: float) -> str:
    shares = [counts.get(kind, 0) / total if total else 0.0 for kind in kinds]
    tops = [min(1.0, top) for top in accumulate(shares)]
    return "".join(
        f'<rect x="{x:.1f}" width="{width:.1f}" y="{TOP + HEIGHT * (1 - top):.1f}" height="{HEIGHT * (top - below):.1f}" '
        f'fill="{colour}"><title>{escape(kind)}: {counts.get(kind, 0)} of {total}</title></rect>'
        for (kind, colour), below, top in zip(kinds.items(), [0.0, *tops], tops, strict=False)
        if top > below
    )


def _shift(x: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{TOP + HEIGHT}" stroke="var(--bad)" stroke-width="2" '
        'stroke-dasharray="5 4"/>'
    )


def _label(share: float, text: str) -> str:
    return f'<text x="{LEFT - 8}" y="{TOP + HEIGHT * (1 - share) + 4:.1f}" text-anchor="end">{text}</text>'


def _legend(kinds: Mapping[str, str]) -> str:
    y, x, parts = TOP + HEIGHT + 8, LEFT, []
    for kind, colour in kinds.items():
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14}" y="{y + 10}">{escape(kind)}</text>')
        x += 30 + 7 * len(kind)
    return "".join(parts)
