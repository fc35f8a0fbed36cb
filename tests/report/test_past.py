"""What a report adds where a protocol is named or earlier runs lie beside the run."""

import json

import pytest

from evalkit.report import build_report
from evalkit.report.data import load_report
from evalkit.report.evaluators import evaluator
from evalkit.report.figures import pareto_front
from evalkit.report.past import past_runs
from evalkit.storage.run_folder import RunFolder

from .conftest import make_run


@pytest.fixture(scope="module")
def nightly(tmp_path_factory):
    """Return a run under a protocol with an earlier one, another config's and a damaged one beside it."""
    parent = tmp_path_factory.mktemp("nightly")
    today = make_run(parent / "b", protocol="rela")
    for name, changes in (
        ("a", {"started_at": "2026-01-01T00:00:00+00:00", "status": "partial"}),
        ("other", {"name": "another-config"}),
        ("simulated", {"simulated": True}),
        ("rescored", {"ledger": "../b/responses.sqlite"}),
    ):
        (parent / name).mkdir()
        manifest = json.loads((today / "manifest.json").read_text()) | changes
        (parent / name / "manifest.json").write_text(json.dumps(manifest))
        summary = json.loads((today / "summary.json").read_text()) | {"status": manifest["status"]}
        (parent / name / "summary.json").write_text(json.dumps(summary))
    (parent / "broken").mkdir()
    (parent / "broken/manifest.json").write_text("{")
    (parent / "broken/summary.json").write_text("{")
    return today


def test_only_runs_of_the_same_config_are_history(nightly):
    """Another config, a simulated run, a re-scored copy and a damaged folder stay out; time runs down."""
    past = past_runs(load_report([RunFolder(nightly)]), "shapes")
    assert [(row.label, row.note) for row in past.table.rows] == [
        ("2026-01-01 00:00", "partial"), ("2026-01-02 03:04", "")
    ]  # fmt: skip


def test_a_lone_run_has_no_history(run_folder):
    """Without an earlier run there is nothing to show."""
    assert past_runs(load_report([RunFolder(run_folder)]), "shapes") is None


def test_the_evaluators_own_numbers_are_shown(nightly):
    """Under a named protocol its numbers stand in a table of their own, as summary.json has them."""
    data = load_report([RunFolder(nightly)])
    found = evaluator(data, "shapes")
    assert found.heading == "As the evaluator of rela counts"
    numbers = data.result("shapes", "good")["protocol"]
    row = next(row for row in found.table.rows if row.label == "good")
    shown = {
        key: {"value": cell.value, "low": cell.low, "high": cell.high} for key, cell in row.cells.items()
    }
    assert shown == {key: number for key, number in numbers.items() if key != "name"}


def test_default_protocol_needs_no_table(run_folder):
    """The headline table already has the default numbers."""
    assert evaluator(load_report([RunFolder(run_folder)]), "shapes") is None


def test_pareto_front_keeps_what_nothing_beats():
    """A point stays where no cheaper or equal one is better."""
    points = [(1, 0.3), (2, 0.7), (3, 0.6), (2, 0.65), (5, 0.9), (6, 0.9)]
    assert pareto_front(points) == [(1, 0.3), (2, 0.7), (5, 0.9)]


def test_conventions_and_ceilings_on_request(run_folder, tmp_path, monkeypatch):
    """With `conventions` both tables are there: run lengths carry everything, and no change is none."""
    monkeypatch.setattr("evalkit.report.dataset_view.draw_figures", lambda *_: {})
    page = build_report([run_folder], tmp_path / "out", conventions=True)
    ceilings = (page.parent / "tables/ceilings.csv").read_text().splitlines()
    assert ceilings[1].startswith("rle,12.0,1.0,")
    header, *lines = (page.parent / "tables/conventions.csv").read_text().splitlines()
    assert header.startswith("convention,good,good_low,good_high,poor")
    assert "first item" in {line.split(",")[0] for line in lines}
    assert "Change of gIoU under other decoding conventions" in page.read_text()
