"""The history as one self-contained HTML page: figures with shifts drawn and a table per model."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from evalkit.comparison.history import RunHistory, Series, quality_of, spelled
from evalkit.comparison.words import measure_words
from evalkit.report.environment import TEMPLATES, template_environment
from evalkit.report.history_figures import metric_figure, mix_figure, themed_svg

MIXES = {"wire_formats": "wire formats, share of the answers", "failures": "failures, share of the answers"}
"""Key of a result in summary.json -> title of its figure."""


def history_page(history: RunHistory, level: float) -> str:
    """Return the page; newest runs first in the tables, time from left to right in the figures.

    ``level``: share of the models that show a shift by chance.
    """
    series = history.series
    environment = template_environment(
        simulated=any(point.side.manifest.simulated for one in series for point in one.points),
        partial=(),
        made_at="",
    )
    # The page is one file that can be sent on: its style and script stand inside it.
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "theme.js"))
    return environment.get_template("history.html").render(
        series=list(series),
        left_out=history.left_out_words(),
        quality=[series_quality(one) for one in series],
        figures=[figures_of(one, f"s{number}") for number, one in enumerate(series)],
        n_runs=len({point.side.path for one in series for point in one.points}),
        level=level,
        spelled=spelled,
        counts=counts,
        words=measure_words,
        style=Markup(style),  # noqa: S704  evalkit's own files
        script=Markup(script),  # noqa: S704
    )


def figures_of(one: Series, name: str) -> list[tuple[str, str]]:
    """Return (title, SVG) of every figure of one model that has data; ``name`` keeps their ids apart."""
    dates = [point.when for point in one.points]
    figures = {
        measure_words(metric): metric_figure(
            [point.result.get(metric) for point in one.points], dates, shifts_of(one, metric)
        )
        for metric in (series_quality(one), "format_failure_rate")
    }
    for family, title in MIXES.items():
        mixes = [
            (point.result.get(family) or {}, int(point.result.get("n_answered") or 0)) for point in one.points
        ]
        figures[title] = mix_figure(mixes, dates, shifts_of(one, f"{family}."))
    return [
        (title, themed_svg(figure, f"{name}-{number}"))
        for number, (title, figure) in enumerate(figures.items())
        if figure is not None
    ]


def shifts_of(one: Series, metric: str) -> list[int]:
    """Return the runs before which a metric shifted; a name that ends in a dot stands for its whole family."""
    return sorted(
        {
            one.points.index(change.after)
            for change in one.changes
            if change.measure == metric or (metric.endswith(".") and change.measure.startswith(metric))
        }
    )


def series_quality(one: Series) -> str:
    """Return the metric that the first figure shows."""
    return quality_of(*(point.result for point in one.points))


def counts(numbers: Mapping[str, int]) -> str:
    """Return ``png_data_url 118, polygon_pairs 2``."""
    return ", ".join(f"{name} {count}" for name, count in numbers.items()) or "-"
