"""The history as one self-contained HTML page: a chart with shifts drawn and a table per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.comparison.history import Series, quality_of, spelled
from evalkit.comparison.words import measure_words
from evalkit.report.history_chart import mix_chart

WIDTH, HEIGHT = 860, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 34

MIXES = {"wire_formats": "wire formats, share of the answers", "failures": "failures, share of the answers"}
"""Key of a result in summary.json -> title of its chart."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>evalkit history</title>
<style>
:root { color-scheme: light dark; --ink: #1d232b; --soft: #66707c; --line: #d5dae0; --paper: #fff;
  --mark: #2f6db5; --bad: #b3402f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #38414b; --paper: #14181d;
  --mark: #7db0ee; --bad: #ef8d7d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.5rem; }
.banner { border: 2px solid var(--bad); padding: .5rem .8rem; font-weight: 600; }
.shift { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
.chart { margin: .6rem 0 0; color: var(--soft); font-size: .82rem; } svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
</style></head><body>
<h1>History</h1>
{% if simulated %}<p class="banner">Simulated answers: these numbers say nothing about any real model.</p>{% endif %}
<p>{{ n_runs }} runs. A vertical line marks a shift: searched in every complete run, on the samples that all of them
answered; in a month in which nothing changes, {{ "%.0f"|format(level * 100) }} % of the
models show one by chance (more if the page is looked at every night).</p>
{% for one in series %}{% set name = quality[loop.index0] %}
<h2>{{ one.model }} on {{ one.dataset }} <small>({{ one.config }})</small></h2>
{% if one.changes %}<ul class="shift">{% for change in one.changes %}<li>{{ change.words() }}; what changed:
<code>{{ change.command() }}</code></li>{% endfor %}</ul>{% endif %}
{% for chart in charts[loop.index0] %}{{ chart|safe }}{% endfor %}
<div class="scroll"><table><thead><tr><th>started</th><th>{{ words(name) }}</th><th>format failures</th>
<th>wire formats</th><th>failures</th><th>answered by</th><th>USD</th><th></th></tr></thead><tbody>
{% for point in one.points|reverse %}<tr><td>{{ point.when[:16] }}</td>
<td>{{ spelled(point.result[name]) }}</td>
<td>{{ spelled(point.result["format_failure_rate"]) }}</td>
<td>{{ counts(point.result["wire_formats"]) }}</td><td>{{ counts(point.result["failures"]) }}</td>
<td>{{ counts(point.versions) }}</td>
<td>{{ "-" if point.result["cost_usd"] is none else "%.2f"|format(point.result["cost_usd"]) }}</td>
<td>{{ "" if point.complete else "partial " }}{{ point.settings_changed|join("; ") }}</td></tr>
{% endfor %}</tbody></table></div>
{% endfor %}
</body></html>
"""


def history_page(series: Sequence[Series], level: float) -> str:
    """Return the page; newest runs first in the tables, time from left to right in the charts."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    qualities = [series_quality(one) for one in series]
    return environment.from_string(PAGE).render(
        series=list(series),
        quality=qualities,
        charts=[
            [
                *(chart(one, name) for name in (qualities[k], "format_failure_rate")),
                *(mix_of(one, family, title) for family, title in MIXES.items()),
            ]
            for k, one in enumerate(series)
        ],
        simulated=any(p.side.manifest.simulated for one in series for p in one.points),
        n_runs=len({point.side.path for one in series for point in one.points}),
        level=level,
        spelled=spelled,
        counts=counts,
        words=measure_words,
    )


def mix_of(one: Series, family: str, title: str) -> str:
    """Return the chart of the shares of each wire format or failure, run after run."""
    mixes = [
        (point.result.get(family) or {}, int(point.result.get("n_answered") or 0)) for point in one.points
    ]
    shifts = {
        one.points.index(change.after) for change in one.changes if change.measure.startswith(f"{family}.")
    }
    return mix_chart(title, mixes, sorted(shifts))


def series_quality(one: Series) -> str:
    """Return the measure that the first chart shows."""
    return quality_of(*(point.result for point in one.points))


def counts(numbers: Mapping[str, int]) -> str:
    """Return ``png_data_url 118, polygon_pairs 2``."""
    return ", ".join(f"{name} {count}" for name, count in numbers.items()) or "-"


def chart(one: Series, measure: str) -> str:
    """Return an inline SVG of one measure over the runs, with 95 % intervals and shifts; '' without values."""
    intervals: list[Any] = [point.result.get(measure) for point in one.points]
    known = [interval for interval in intervals if interval is not None]
    if not known:
        return ""
    low = max(0.0, min(float(interval["low"]) for interval in known) - 0.05)
    high = min(1.0, max(float(interval["high"]) for interval in known) + 0.05)
    last = max(1, len(intervals) - 1)

    def x(index: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * index / last

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    parts = _frame(one, measure, low, high, y)
    for change in one.changes:
        if change.measure == measure:
            at = x(one.points.index(change.after) - 0.5)
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="var(--bad)" '
                'stroke-width="2" stroke-dasharray="5 4"/>'
            )
    parts += [_mark(x(k), y, interval) for k, interval in enumerate(intervals) if interval is not None]
    label = f"{measure} over {len(intervals)} runs, from {low:.2f} to {high:.2f}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _frame(one: Series, measure: str, low: float, high: float, y: Any) -> list[str]:
    parts = [
        (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="var(--line)"/>'
            f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
        for value in (low, (low + high) / 2, high)
    ]
    first, last = one.points[0].when[:10], one.points[-1].when[:10]
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">{first}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">{last}</text>')
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{measure_words(measure)}</text>'
    )
    return parts


def _mark(x: float, y: Any, interval: Mapping[str, float]) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(interval["low"]):.1f}" y2="{y(interval["high"]):.1f}" '
        f'stroke="var(--mark)" stroke-opacity="0.45" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y(interval["value"]):.1f}" r="3.2" fill="var(--mark)"/>'
    )
