"""The commands compare, gate and baseline: exit codes, JSON alone on stdout, files written."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from evalkit.cli.app import main

DROP = {"metric": "giou", "max_drop": 0.02}


@pytest.fixture
def runs(make_run, make_answers, good_iou):
    """Make a good run, one that lost 0.1, and one that is incomplete."""
    return {
        "good": make_run("good", [make_answers("a", good_iou), make_answers("b", good_iou)], gate=[DROP]),
        "bad": make_run("bad", [make_answers("a", good_iou - 0.1), make_answers("b", good_iou)], gate=[DROP]),
        "cut": make_run("cut", [make_answers("a", good_iou)], gate=[DROP], status="partial"),
    }


def evalkit(*arguments: object):
    """Run a command as a user would."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_compare_prints_a_verdict(runs) -> None:
    """One run, two models: text on stdout, exit code 0."""
    result = evalkit("compare", runs["bad"].path, "--models", "a", "b")
    assert result.exit_code == 0
    assert "b is better than a in gIoU" in result.stdout


def test_compare_json_is_one_document(runs) -> None:
    """Two runs as JSON: every common model, nothing else on stdout."""
    result = evalkit("compare", runs["good"].path, runs["bad"].path, "--json")
    document = json.loads(result.stdout)
    verdicts = {pair["a"]["model"]: pair["verdict"]["code"] for pair in document["pairs"]}
    assert verdicts == {"a": "worse", "b": "no_difference"}


def test_compare_refuses_three_runs_and_unknown_folders(runs, tmp_path) -> None:
    """Usage errors exit 2 with one paragraph and no traceback."""
    three = evalkit("compare", *(run.path for run in runs.values()))
    missing = evalkit("compare", tmp_path / "nothing")
    assert (three.exit_code, missing.exit_code) == (2, 2)
    assert "is not a run folder" in missing.stderr
    assert "Traceback" not in missing.output


@pytest.mark.parametrize(("name", "exit_code"), [("good", 0), ("bad", 1), ("cut", 3)])
def test_gate_exit_codes(runs, name: str, exit_code: int) -> None:
    """0 passed, 1 a regression, 3 incomplete."""
    assert evalkit("gate", runs[name].path, "--baseline", runs["good"].path).exit_code == exit_code


def test_gate_without_its_baseline_exits_2(runs) -> None:
    """A rule that needs a baseline is not skipped."""
    result = evalkit("gate", runs["good"].path)
    assert result.exit_code == 2
    assert "--baseline" in result.stderr


def test_gate_writes_junit_and_markdown(runs, tmp_path) -> None:
    """Both files are written, also where the gate fails; JSON stands alone on stdout."""
    junit, markdown = tmp_path / "out" / "gate.xml", tmp_path / "out" / "gate.md"
    result = evalkit(
        *("gate", runs["bad"].path, "--baseline", runs["good"].path),
        *("--junit", junit, "--markdown", markdown, "--json"),
    )
    assert result.exit_code == 1
    assert json.loads(result.stdout)["outcome"] == "fail"
    assert ET.parse(junit).getroot().find("testsuite").get("failures") == "1"
    assert markdown.read_text().startswith("## evalkit gate FAILED")


def test_baselines_by_name(runs, tmp_path) -> None:
    """Set, list, and gate against the name."""
    reports = tmp_path / "reports"
    assert evalkit("baseline", "set", "stable", runs["good"].path, "--reports", reports).exit_code == 0
    listed = json.loads(evalkit("baseline", "list", "--reports", reports, "--json").stdout)
    assert [(b["name"], b["version"]) for b in listed["baselines"]] == [("stable", 1)]
    gated = evalkit("gate", runs["bad"].path, "--baseline", "stable", "--reports", reports)
    assert gated.exit_code == 1
    assert evalkit("baseline", "set", "stable", runs["cut"].path, "--reports", reports).exit_code == 2
