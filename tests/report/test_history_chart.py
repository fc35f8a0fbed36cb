"""The stacked bars of the history page: shares, shifts, and text that came from data."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from evalkit.report.history_chart import HEIGHT, mix_chart


def bars_of(chart: str) -> list[tuple[str, float]]:
    """Return (tooltip, height in px) of every bar segment."""
    svg = ET.fromstring(chart[chart.index("<svg") :])
    return [
        (bar.findtext("title") or "", float(bar.get("height", "0"))) for bar in svg.iter("rect") if len(bar)
    ]


def test_bars_have_the_height_of_their_share() -> None:
    """Three of four answers fill three quarters."""
    found = dict(bars_of(mix_chart("wire formats", [({"png_data_url": 3, "rle": 1}, 4)], [])))
    assert found == {
        "png_data_url: 3 of 4": pytest.approx(0.75 * HEIGHT, abs=0.1),
        "rle: 1 of 4": pytest.approx(0.25 * HEIGHT, abs=0.1),
    }


def test_bars_end_at_all_answers() -> None:
    """Answers with two kinds each do not grow out of the chart."""
    heights = [height for _, height in bars_of(mix_chart("wire formats", [({"a": 4, "b": 4}, 4)], []))]
    assert sum(heights) == pytest.approx(HEIGHT, abs=0.1)


def test_shifts_are_drawn() -> None:
    """One dashed line for each shift."""
    mixes = [({"a": 4}, 4), ({"b": 4}, 4), ({"b": 4}, 4)]
    assert mix_chart("wire formats", mixes, [1]).count("stroke-dasharray") == 1


def test_nothing_to_show_is_no_chart() -> None:
    """Runs without failures have no chart of failures, and a run without answers no bar."""
    assert mix_chart("failures", [({}, 10), ({}, 0)], []) == ""
    assert bars_of(mix_chart("failures", [({"no_json": 1}, 0), ({"no_json": 1}, 1)], [])) == [
        ("no_json: 1 of 1", pytest.approx(HEIGHT, abs=0.1))
    ]


def test_codes_are_escaped() -> None:
    """A code is text, whatever it says."""
    assert "<b>" not in mix_chart("failures", [({"<b>": 1}, 1)], [])
