"""The figures of the history page: shares, intervals, shifts, and text that came from data."""

from __future__ import annotations

import pytest

from evalkit.report.history_figures import metric_figure, mix_figure, stacked_shares, themed_svg

DATES = ["2026-11-01T02:00", "2026-11-02T02:00", "2026-11-03T02:00"]


def test_bars_have_the_height_of_their_share() -> None:
    """Three of four answers fill three quarters, the fourth stands on them."""
    assert stacked_shares({"png_data_url": 3, "rle": 1}, 4, ["png_data_url", "rle"]) == [
        (0, 0.75),
        (0.75, 0.25),
    ]


def test_bars_end_at_all_answers() -> None:
    """Answers with two kinds each do not grow out of the figure; a run without answers has no bar."""
    assert sum(height for _, height in stacked_shares({"a": 4, "b": 4}, 4, ["a", "b"])) == pytest.approx(1)
    assert stacked_shares({"no_json": 1}, 0, ["no_json"]) == [(0, 0)]


def test_shifts_are_drawn() -> None:
    """One dashed line for each shift, between the runs it separates."""
    mixes = [({"a": 4}, 4), ({"b": 4}, 4), ({"b": 4}, 4)]
    figure = mix_figure(mixes, DATES, [1])
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [0.5, 0.5]
    assert "shift-1" in themed_svg(figure, "s0")


def test_nothing_to_show_is_no_figure() -> None:
    """Runs without failures have no figure of failures, and runs without the metric none of it."""
    assert mix_figure([({}, 10), ({}, 0)], DATES[:2], []) is None
    assert metric_figure([None, None], DATES[:2], []) is None


def test_a_run_without_the_metric_leaves_a_gap() -> None:
    """Points stand at the place of their run, each with its interval."""
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    figure = metric_figure([interval, None, interval], DATES, [])
    assert list(figure.axes[0].lines[-1].get_xdata()) == [0, 2]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines[:-1]] == [[0.4, 0.6]] * 2


def test_codes_are_escaped_and_colours_follow_the_theme() -> None:
    """A code is text, whatever it says; nothing refers to another address."""
    svg = themed_svg(mix_figure([({"<b>": 1}, 1)], DATES[:1], []), "s0")
    assert "<b>" not in svg
    assert "var(--muted)" in svg
    assert "http" not in svg
