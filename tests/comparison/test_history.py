"""A month of nightly runs: what it shows, what it finds, what it leaves out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.comparison.baselines import set_baseline
from evalkit.comparison.history import history_text, read_history
from evalkit.errors import DataError
from evalkit.report.history_page import history_page
from evalkit.storage.files import write_json


@pytest.fixture
def month(make_run, make_answers, good_iou, tmp_path):
    """Make six nights; from the fifth on the masks come back as leaked tokens that cannot be read."""
    for night in range(1, 7):
        jitter = np.random.default_rng(night).normal(0, 0.01, 120)
        drifted = night >= 5
        failures = ["mask_tokens" if drifted and k % 2 else None for k in range(120)]
        rows = make_answers(
            "m",
            np.clip(good_iou + jitter, 0, 1),
            failures=failures,
            wire_format="seg_tokens" if drifted else "png_data_url",
        )
        make_run(f"nightly/2026-11-0{night}", [rows], started_at=f"2026-11-0{night}T02:00:00+00:00")
    return tmp_path / "nightly"


def test_a_month_is_one_series_in_order_of_time(month) -> None:
    """Every night is a point with its interval, failures, formats, version and cost."""
    (series,) = read_history(month).series
    assert [point.when[:10] for point in series.points] == [f"2026-11-0{n}" for n in range(1, 7)]
    first = series.points[0].to_json()
    assert first["wire_formats"] == {"png_data_url": 120}
    assert first["model_versions"] == {"gemini-2.5-flash": 120}
    assert first["metrics"]["giou"]["low"] < first["metrics"]["giou"]["value"]
    assert first["cost_usd"] == pytest.approx(0.12)


def test_a_drift_is_found_where_it_began(month) -> None:
    """PNG to tokens on the fifth night: format, failures and quality shift there and nowhere else."""
    (series,) = read_history(month).series
    measures = {change.measure for change in series.changes}
    assert {"wire_formats.png_data_url", "format_failure_rate", "giou"} <= measures
    assert {change.after.when[:10] for change in series.changes} == {"2026-11-05"}


def test_baselines_and_other_configs_do_not_mix_in(month, make_run, make_answers, good_iou) -> None:
    """A blessed copy is no run of its own; another config is a series of its own."""
    (series,) = read_history(month).series
    set_baseline("good", make_run("nightly/other", [make_answers("m", good_iou)], name="weekly"), month)
    assert [(one.config, len(one.points)) for one in read_history(month).series] == [
        ("nightly", 6),
        ("weekly", 1),
    ]
    assert len(series.points) == 6


def test_partial_runs_are_shown_and_not_searched(make_run, make_answers, good_iou, tmp_path) -> None:
    """A night that stopped early shows its low numbers and is no shift."""
    for night in range(1, 5):
        bad = night == 4
        rows = make_answers("m", good_iou - (0.3 if bad else 0))
        make_run(
            f"n/{night}", [rows], started_at=f"2026-11-0{night}", status="partial" if bad else "complete"
        )
    history = read_history(tmp_path / "n")
    (series,) = history.series
    assert len(series.points) == 4
    assert series.changes == ()
    assert "partial" in history_text(history)


def test_changed_settings_are_said(make_run, make_answers, good_iou, tmp_path) -> None:
    """A night that was decoded otherwise says so at its point."""
    make_run("n/1", [make_answers("m", good_iou)], started_at="2026-11-01")
    make_run("n/2", [make_answers("m", good_iou)], started_at="2026-11-02", decode={"threshold": 100})
    (series,) = read_history(tmp_path / "n").series
    assert series.points[1].settings_changed == ("decode.threshold: 127 against 100",)


def test_nothing_to_show_is_an_error(tmp_path) -> None:
    """A folder without runs says what to give instead."""
    with pytest.raises(DataError, match="holds no scored run"):
        read_history(tmp_path)


def test_the_page_stands_alone_and_draws_the_shift(month) -> None:
    """The page needs nothing from outside and has a line for each shift, also in the mix of formats."""
    page = history_page(read_history(month), 0.01)
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('id="s0-0-shift-') == 1
    assert page.count("shift-") == 3
    assert page.count("<svg") == 4


def test_the_command_prints_a_table_or_json_and_writes_the_page(month) -> None:
    """Table and page by default; one JSON document with --json."""
    plain = CliRunner().invoke(main, ["history", str(month)])
    assert plain.exit_code == 0
    assert "SHIFT" in plain.stdout
    assert (month / "history.html").is_file()
    document = json.loads(CliRunner().invoke(main, ["history", str(month), "--json"]).stdout)
    assert len(document["series"][0]["runs"]) == 6
    assert CliRunner().invoke(main, ["history", str(month / "nowhere")]).exit_code == 2


def test_a_summary_without_the_model_does_not_hide_its_run(
    make_run, make_answers, good_iou, tmp_path
) -> None:
    """What summary.json leaves out is computed from the scores."""
    for night in (1, 2):
        folder = make_run(f"n/{night}", [make_answers("m", good_iou)], started_at=f"2026-11-0{night}")
    write_json(folder.path / "summary.json", folder.summary().to_json() | {"results": []})
    (series,) = read_history(tmp_path / "n").series
    first, second = (point.result["giou"]["value"] for point in series.points)
    assert first == pytest.approx(second)


def test_a_run_that_cannot_be_read_is_left_out_and_named(month) -> None:
    """The others are shown; terminal, JSON, page and exit code say what is missing."""
    for night, field, value in ((2, "started_at", "last week"), (3, "scoring", {})):
        path = month / f"2026-11-0{night}" / "manifest.json"
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps(manifest | {field: value}))
    plain = CliRunner().invoke(main, ["history", str(month)])
    assert plain.exit_code == 2
    assert plain.stdout.count("left out: ") == 2
    assert "2026-11-06" in plain.stdout
    assert "`started_at`" in plain.stdout
    assert "`evalkit score" in plain.stdout
    assert "last week" in (month / "history.html").read_text()
    told = CliRunner().invoke(main, ["history", str(month), "--json"])
    assert told.exit_code == 2
    document = json.loads(told.stdout)
    assert len(document["series"][0]["runs"]) == 4
    assert [one["run"][-10:] for one in document["left_out"]] == ["2026-11-02", "2026-11-03"]


def test_runs_follow_each_other_in_time_whatever_zone_they_name(
    make_run, make_answers, good_iou, tmp_path
) -> None:
    """Times are compared as times, not as text."""
    make_run("n/a", [make_answers("m", good_iou)], started_at="2026-11-02T00:30:00+02:00")
    make_run("n/b", [make_answers("m", good_iou)], started_at="2026-11-01T23:00:00+00:00")
    (series,) = read_history(tmp_path / "n").series
    assert [point.side.path[-1] for point in series.points] == ["a", "b"]
