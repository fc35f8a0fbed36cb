"""What the gate says next: evidence or its absence, what to do, and what is no drift."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from evalkit.comparison.gate.output import kind_of, verdict_junit, verdict_markdown, verdict_text, what_to_do
from evalkit.comparison.gate.verdict import gate_run
from evalkit.storage.run_folder import RunFolder

RULE = {"metric": "giou", "max_drop": 0.02}
DOCUMENTED = [
    "model",
    "dataset",
    "split",
    "sample_id",
    "image_id",
    "expression",
    "tags",
    "trial",
    "outcome",
    "failure",
    "wire_formats",
    "repairs",
    "n_items",
    "intersection",
    "union",
    "iou",
    "box_iou",
    "boundary_iou",
    "gt_area",
    "pred_area",
    "no_target",
    "latency_s",
    "input_tokens",
    "output_tokens",
    "thought_tokens",
    "cost_usd",
    "requested_model",
    "model_version",
    "finish_reason",
    "attempts",
]


@pytest.mark.parametrize(
    ("inconclusive", "kind"), [("warn", "open"), ("fail", "undecided"), ("pass", "pass")]
)
def test_too_little_data_is_not_called_a_regression(
    make_run, make_answers, inconclusive: str, kind: str
) -> None:
    """Eight images decide nothing: the headline says so and the next step is more images."""
    generator = np.random.default_rng(4)
    base = make_run("base", [make_answers("flash", generator.uniform(0.3, 1, 8))])
    rule = RULE | {"inconclusive": inconclusive}
    verdict = gate_run(
        make_run("new", [make_answers("flash", generator.uniform(0.3, 1, 8))], gate=[rule]), base
    )
    assert kind_of(verdict) == kind
    assert ("more images" in what_to_do(verdict)) is (kind != "pass")
    assert ("FAILED: a regression" in verdict_text(verdict)) is False


def test_a_regression_names_the_command_that_shows_it(make_run, make_answers, good_iou) -> None:
    """The next step compares the two folders."""
    base = make_run("base", [make_answers("flash", good_iou)])
    run = make_run("new", [make_answers("flash", good_iou - 0.2)], gate=[RULE])
    assert f"`evalkit compare {base.path} {run.path}`" in verdict_text(gate_run(run, base))


def test_more_of_a_known_failure_is_no_drift(make_run, make_answers, good_iou) -> None:
    """Answers without a format are failures, which have a metric of their own."""
    failing = {share: ["no_json" if k % 20 < share else None for k in range(120)] for share in (1, 4)}
    base = make_run("base", [make_answers("flash", good_iou, failures=failing[1])])
    run = make_run("new", [make_answers("flash", good_iou, failures=failing[4])])
    assert {check.status for check in gate_run(run, base).checks} == {"pass"}


def test_drift_of_one_among_many_models_is_found(make_run, make_answers, good_iou) -> None:
    """Twenty models share the false alarms allowed; one whose format is replaced still fails."""
    names = [f"model-{k}" for k in range(20)]
    base = make_run("base", [make_answers(name, good_iou[:30]) for name in names])
    formats = ["seg_tokens", *["png_data_url"] * 19]
    frames = [
        make_answers(name, good_iou[:30], wire_format=one) for name, one in zip(names, formats, strict=True)
    ]
    failed = [check for check in gate_run(make_run("new", frames), base).checks if check.status == "fail"]
    assert [(check.metric, check.model) for check in failed] == [("format_drift", "model-0")]


def test_rules_that_differ_in_confidence_are_two_test_cases(make_run, make_answers, good_iou) -> None:
    """One JUnit case per rule, also where only the confidence differs."""
    rules = [{"metric": "giou", "min": 0.5}, {"metric": "giou", "min": 0.5, "confidence": 0.99}]
    xml = verdict_junit(gate_run(make_run("run", [make_answers("flash", good_iou)], gate=rules)))
    assert xml.count('<testcase name="giou is at least 0.5') == 2


def test_documented_columns_alone_are_judged(make_run, make_answers, good_iou) -> None:
    """A run that another tool wrote, without fingerprints and extra columns, gates like any other."""
    folders = []
    for name, iou in (("base", good_iou), ("new", good_iou - 0.2)):
        frame = make_answers("flash", iou).reindex(columns=DOCUMENTED)
        frame["wire_formats"] = frame["wire_formats"].map(json.dumps)
        run = make_run(name, [make_answers("flash", iou)], gate=[RULE])
        frame.drop(columns="thought_tokens").to_parquet(run.path / "scores.parquet")
        manifest = {key: run.manifest.to_json()[key] for key in ("config", "status", "simulated")}
        (run.path / "manifest.json").write_text(json.dumps(manifest | {"datasets": []}))
        folders.append(RunFolder(run.path))
    verdict = gate_run(folders[1], folders[0])
    assert [check.metric for check in verdict.checks if check.status == "fail"] == ["giou"]


def test_hostile_names_end_no_cell_and_no_document(make_run, make_answers) -> None:
    """Names are text of others: Markdown shows them as they are, XML without what it has no place for."""
    name = "a|b\n| pass | <img src=x onerror=y> `c` [d](http://e)\x1b\0\ufffe"
    verdict = gate_run(
        make_run("run", [make_answers(name, [0.1] * 12)], gate=[{"metric": "giou", "min": 0.9}])
    )
    document = verdict_markdown(verdict)
    rows = [line for line in document.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(verdict.checks)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)
    assert "<img" not in document
    assert re.search(r"(?<!\\)[`\[]", "".join(rows)) is None
    case = ET.fromstring(verdict_junit(verdict)).find(".//failure")
    assert "<img src=x onerror=y> `c` [d](http://e)\ufffd\ufffd\ufffd" in case.get("message")
