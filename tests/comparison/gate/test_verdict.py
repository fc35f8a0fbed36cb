"""The gate on fabricated runs: it fails on evidence, passes on evidence, and says when it cannot tell."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from evalkit.comparison.gate.output import verdict_json, verdict_junit, verdict_markdown, verdict_text
from evalkit.comparison.gate.verdict import gate_run
from evalkit.errors import ConfigError

DROP = {"metric": "giou", "max_drop": 0.02}
RISE = {"metric": "format_failure_rate", "max_rise": 0.01}


def check_of(verdict, metric: str):
    """Return the only check of a metric."""
    (check,) = [check for check in verdict.checks if check.metric == metric]
    return check


def test_a_clear_drop_fails(make_run, make_answers, good_iou) -> None:
    """A drop of 0.1 against an allowed 0.02 is a regression: exit code 1."""
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou - 0.1)], gate=[DROP])
    verdict = gate_run(run, base)
    assert check_of(verdict, "giou").status == "fail"
    assert verdict.exit_code == 1


def test_equal_answers_pass(make_run, make_answers, good_iou) -> None:
    """Nothing changed in 120 images: not worse by more than 0.02 is shown, exit code 0."""
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou)], gate=[DROP])
    verdict = gate_run(run, base)
    assert {check.status for check in verdict.checks} == {"pass"}
    assert verdict.exit_code == 0


@pytest.mark.parametrize(("treat", "exit_code"), [("pass", 0), ("warn", 0), ("fail", 1)])
def test_too_little_data_is_inconclusive_and_counts_as_the_rule_says(
    make_run, make_answers, treat: str, exit_code: int
) -> None:
    """Eight noisy images can neither show a drop nor exclude one."""
    before = np.linspace(0.3, 0.9, 8)
    after = np.clip(before + np.array([0.3, -0.3, 0.2, -0.25, 0.1, -0.2, 0.3, -0.3]), 0, 1)
    base = make_run("base", [make_answers("m", before)])
    run = make_run(
        "new",
        [make_answers("m", after)],
        gate=[DROP | {"inconclusive": treat}, {"metric": "format_drift", "max": 1.0}],
    )
    verdict = gate_run(run, base)
    assert check_of(verdict, "giou").status == "inconclusive"
    assert verdict.exit_code == exit_code


def test_a_small_real_drop_within_the_allowance_passes(make_run, make_answers, good_iou) -> None:
    """A certain drop of 0.01 is within an allowed 0.04, however certain.

    Within 0.02 it would be open: 120 images do not exclude that 1 % more of them are lost wholly.
    """
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou - 0.01)], gate=[DROP | {"max_drop": 0.04}])
    check = check_of(gate_run(run, base), "giou")
    assert check.observed.high < 0
    assert check.status == "pass"
    tight = make_run("tight", [make_answers("m", good_iou - 0.01)], gate=[DROP])
    assert check_of(gate_run(tight, base), "giou").status == "inconclusive"


def test_more_failures_fail(make_run, make_answers, good_iou) -> None:
    """A failure rate that rose from 0 to 15 % breaks an allowed rise of 1 %."""
    failures = ["no_json" if k % 7 == 0 else None for k in range(120)]
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou, failures=failures)], gate=[RISE])
    verdict = gate_run(run, base)
    assert check_of(verdict, "format_failure_rate").status == "fail"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"metric": "giou", "min": 0.5}, "pass"),
        ({"metric": "giou", "min": 0.75}, "inconclusive"),
        ({"metric": "giou", "min": 0.9}, "fail"),
        ({"metric": "failures.no_json", "max": 0.3}, "pass"),
        ({"metric": "failures.no_json", "max": 0.02}, "fail"),
        ({"metric": "failures.repetition", "max": 0.0}, "pass"),
        ({"metric": "failures.no_json", "max": 0.0}, "fail"),
        ({"metric": "wire_formats.png_data_url", "min": 0.5}, "pass"),
        ({"metric": "latency_s", "max": 2.0}, "pass"),
        ({"metric": "latency_s.p95", "max": 2.0}, "pass"),
        ({"metric": "latency_s.p50", "max": 1.0}, "fail"),
        ({"metric": "cost_usd", "max": 0.5}, "pass"),
        ({"metric": "cost_usd", "max": 0.1}, "fail"),
        ({"metric": "precision_at_0.5", "min": 0.2}, "pass"),
        ({"metric": "precision_at.0.5", "max": 0.2}, "fail"),
    ],
    ids=lambda value: "-".join(str(v) for v in value.values()) if isinstance(value, dict) else value,
)
def test_absolute_rules_need_no_baseline(make_run, make_answers, good_iou, rule, status: str) -> None:
    """Bounds on any metric, failure code, wire format, percentile and bill."""
    failures = ["no_json" if k % 10 == 0 else None for k in range(120)]
    iou = np.clip(good_iou + (0.75 - np.delete(good_iou, np.arange(0, 120, 10)).mean()), 0, 1) / 0.9
    run = make_run("new", [make_answers("m", iou, failures=failures)], gate=[rule])
    check = next(c for c in gate_run(run).checks if c.metric not in ("not_run", "routing"))
    assert check.status == status


def test_a_rule_on_a_slice_sees_only_the_slice(make_run, make_answers, good_iou) -> None:
    """A drop in one tag value breaks the rule on it and not the one on the other."""
    tags = [{"category": "text" if k % 2 else "ordering"} for k in range(120)]
    after = np.where(np.arange(120) % 2, good_iou - 0.2, good_iou)
    base = make_run("base", [make_answers("m", good_iou, tags=tags)])
    gate = [DROP | {"max_drop": 0.05, "slice": f"category={value}"} for value in ("text", "ordering")]
    verdict = gate_run(make_run("new", [make_answers("m", after, tags=tags)], gate=gate), base)
    statuses = {check.slice: check.status for check in verdict.checks if check.metric == "giou"}
    assert statuses == {"category=text": "fail", "category=ordering": "pass"}


def test_one_rule_covers_every_model_and_dataset(make_run, make_answers, good_iou) -> None:
    """A rule without model and dataset is checked on each, one that names a model on that alone."""
    frames = [make_answers(m, good_iou, dataset=d) for m in ("a", "b") for d in ("x", "y")]
    base = make_run("base", frames)
    run = make_run("new", frames, gate=[DROP, RISE | {"model": "a", "dataset": "y"}])
    verdict = gate_run(run, base)
    assert sum(check.metric == "giou" for check in verdict.checks) == 4
    (only,) = [check for check in verdict.checks if check.metric == "format_failure_rate"]
    assert (only.model, only.dataset) == ("a", "y")


def test_png_to_tokens_is_caught_without_a_rule(make_run, make_answers, good_iou) -> None:
    """A model that returned PNG masks and now returns leaked tokens trips two gates of its own."""
    base = make_run("base", [make_answers("m", good_iou)])
    drifted = make_answers("m", good_iou, wire_format="seg_tokens")
    verdict = gate_run(make_run("new", [drifted]), base)
    drift = check_of(verdict, "format_drift")
    assert drift.status == "fail"
    assert "png_data_url 100.0% -> 0.0%" in drift.detail
    assert verdict.exit_code == 1


def test_a_few_answers_in_another_format_are_no_drift(make_run, make_answers, good_iou) -> None:
    """One answer in 120 in another format is within the 5 % that may change."""
    after = make_answers("m", good_iou)
    after.at[4, "wire_formats"] = ["polygon_pairs"]
    verdict = gate_run(make_run("new", [after]), make_run("base", [make_answers("m", good_iou)]))
    assert check_of(verdict, "format_drift").status == "pass"


def test_new_failure_codes_are_caught(make_run, make_answers, good_iou) -> None:
    """A code that the baseline never had, on eight images, is evidence; on one it is inconclusive."""
    base = make_run("base", [make_answers("m", good_iou)])
    eight = make_answers("m", good_iou, failures=["repetition" if k < 8 else None for k in range(120)])
    once = make_answers("m", good_iou, failures=["repetition" if k < 1 else None for k in range(120)])
    gate = [{"metric": "format_drift", "max": 1.0}]
    assert check_of(gate_run(make_run("eight", [eight], gate=gate), base), "new_failures").status == "fail"
    single = check_of(gate_run(make_run("once", [once], gate=gate), base), "new_failures")
    assert single.status == "inconclusive"
    assert "repetition (1 of 120 answers)" in single.detail


def test_a_known_failure_code_is_not_new(make_run, make_answers, good_iou) -> None:
    """More of a code that was there before is a matter for the rate rules."""
    failures = ["no_json" if k < 3 else None for k in range(120)]
    more = ["no_json" if k < 9 else None for k in range(120)]
    base = make_run("base", [make_answers("m", good_iou, failures=failures)])
    verdict = gate_run(make_run("new", [make_answers("m", good_iou, failures=more)]), base)
    assert check_of(verdict, "new_failures").status == "pass"


def test_routing_fails_unless_allowed(make_run, make_answers, good_iou) -> None:
    """Answers of another model than the one requested fail the gate, or are noted where allowed."""
    routed = make_answers("m", good_iou, version="gemini-3.5-flash-lite")
    floor = {"metric": "giou", "min": 0.1}
    verdict = gate_run(make_run("new", [routed], gate=[floor]))
    assert check_of(verdict, "routing").status == "fail"
    assert "gemini-2.5-flash was answered by gemini-3.5-flash-lite (120 answers)" in verdict_text(verdict)
    allowed = make_run("allowed", [routed], gate=[floor])
    manifest = allowed.manifest.to_json()
    manifest["config"]["models"][0]["allow_routing"] = True
    (allowed.path / "manifest.json").write_text(json.dumps(manifest))
    assert check_of(gate_run(allowed), "routing").status == "pass"


def test_too_many_not_run_is_incomplete(make_run, make_answers, good_iou) -> None:
    """Above limits.max_not_run a run is neither passed nor failed: exit code 3, whatever its scores."""
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou - 0.2, not_run=10)], gate=[DROP])
    verdict = gate_run(run, base)
    assert (verdict.outcome, verdict.exit_code) == ("incomplete", 3)
    few = make_run("few", [make_answers("m", good_iou, not_run=2)], gate=[DROP])
    assert gate_run(few, base).exit_code == 0


def test_a_partial_run_is_incomplete(make_run, make_answers, good_iou) -> None:
    """A run that stopped early exits 3 even where few samples are missing."""
    run = make_run(
        "new", [make_answers("m", good_iou)], status="partial", gate=[{"metric": "giou", "min": 0.1}]
    )
    assert gate_run(run).exit_code == 3


def test_a_gate_without_rules_and_baseline_is_no_pass(make_run, make_answers, good_iou) -> None:
    """There is nothing to judge: an error that says how to add a rule, not a green job."""
    run = make_run("new", [make_answers("m", good_iou)])
    with pytest.raises(ConfigError, match="nothing to judge"):
        gate_run(run)
    assert gate_run(run, make_run("base", [make_answers("m", good_iou)])).exit_code == 0


def test_rules_that_need_a_baseline_say_so(make_run, make_answers, good_iou) -> None:
    """max_drop without --baseline is an error with the way out, not a pass."""
    run = make_run("new", [make_answers("m", good_iou)], gate=[DROP])
    with pytest.raises(ConfigError, match=r"giou falls by at most 0.02.*--baseline"):
        gate_run(run)


@pytest.mark.parametrize(
    ("base", "new", "words"),
    [
        ({"status": "partial"}, {}, "is partial"),
        ({"simulated": True}, {}, "simulated and this run is live"),
        ({}, {"simulated": True}, "live and this run is simulated"),
        ({}, {"decode": {"threshold": 100}}, r"decode.threshold: 127 against 100.*evalkit score"),
        ({}, {"sha256": "other"}, "fingerprint of dataset"),
    ],
    ids=["partial", "simulated", "live", "decode", "dataset"],
)
def test_what_cannot_be_compared_is_refused(make_run, make_answers, good_iou, base, new, words) -> None:
    """A gate never glosses over another decode, another dataset, or simulated against live."""
    baseline = make_run("base", [make_answers("m", good_iou)], **base)
    run = make_run("new", [make_answers("m", good_iou)], gate=[DROP], **new)
    with pytest.raises(ConfigError, match=words):
        gate_run(run, baseline)


def test_another_prompt_is_noted_and_judged(make_run, make_answers, good_iou) -> None:
    """A changed prompt may be what is being tried: it is said, and the rules decide."""
    base = make_run("base", [make_answers("m", good_iou)])
    verdict = gate_run(make_run("new", [make_answers("m", good_iou)], gate=[DROP], prompt="polygon"), base)
    assert any("prompt: google-mask against polygon" in note for note in verdict.notes)
    assert verdict.exit_code == 0


def test_a_new_model_does_not_break_the_gate(make_run, make_answers, good_iou) -> None:
    """A model that the baseline never had is noted; the others are judged."""
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou), make_answers("fresh", good_iou)], gate=[DROP])
    verdict = gate_run(run, base)
    assert any(note.startswith("fresh is not in the baseline") for note in verdict.notes)
    assert verdict.exit_code == 0


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"metric": "gioo", "min": 0.5}, "Did you mean 'giou'"),
        (DROP | {"model": "mm"}, "no model 'mm'"),
        (DROP | {"dataset": "evryday"}, "Did you mean 'everyday'"),
        (DROP | {"slice": "category=txt"}, "no sample has"),
        ({"metric": "latency_s.p95", "max_rise": 1.0}, "percentile"),
    ],
    ids=["metric", "model", "dataset", "slice", "percentile"],
)
def test_wrong_names_in_rules_are_errors(make_run, make_answers, good_iou, rule, words) -> None:
    """A rule that can never apply is an error, not a silent pass."""
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("new", [make_answers("m", good_iou)], gate=[rule])
    with pytest.raises(ConfigError, match=words):
        gate_run(run, base)


def test_many_rules_are_adjusted_together(make_run, make_answers, good_iou) -> None:
    """The same borderline drop fails alone and not among twenty rules."""
    after = np.clip(good_iou + np.random.default_rng(2).normal(-0.041, 0.11, 120), 0, 1)
    base = make_run("base", [make_answers("m", good_iou)])
    run = make_run("alone", [make_answers("m", after)], gate=[DROP])
    many = make_run(
        "many",
        [make_answers("m", after)],
        gate=[DROP] + [{"metric": "giou", "min": 0.1 + k / 100} for k in range(20)],
    )
    alone = check_of(gate_run(run, base), "giou")
    among = next(c for c in gate_run(many, base).checks if c.bound == "max_drop")
    assert alone.p_broken == among.p_broken
    assert 0.001 < alone.p_broken < 0.02
    assert alone.status == "fail"
    assert among.status == "inconclusive"


def test_a_run_against_itself_shows_no_negative_zero(make_run, make_answers, good_iou) -> None:
    """The limit of a mirrored rise is 0, not -0, in every form of the verdict."""
    same = [make_answers("a", good_iou)]
    rules = [{"metric": "giou", "max_drop": 0.02}, {"metric": "format_failure_rate", "max_rise": 0.01}]
    verdict = gate_run(make_run("new", same, gate=rules), make_run("base", same))
    told = verdict_text(verdict), verdict_markdown(verdict), verdict_junit(verdict)
    assert not [text for text in told if re.search(r"-0(?![.\d])", text)]
    assert re.search(r"-0\.0\b(?!\d|e)", json.dumps(verdict_json(verdict))) is None


def test_outputs_agree(make_run, make_answers, good_iou) -> None:
    """Text, JSON, JUnit and Markdown tell the same verdict; JUnit has one test case per rule."""
    frames = [make_answers("a", good_iou), make_answers("b", good_iou)]
    base = make_run("base", frames)
    run = make_run("new", [make_answers("a", good_iou), make_answers("b", good_iou - 0.2)], gate=[DROP, RISE])
    verdict = gate_run(run, base)
    document = json.loads(json.dumps(verdict_json(verdict), allow_nan=False))
    assert document["outcome"] == "fail"
    assert document["passed"] is False
    suite = ET.fromstring(verdict_junit(verdict)).find("testsuite")
    cases = {case.get("name"): case for case in suite}
    assert set(cases) == {check.group for check in verdict.checks}
    assert len(cases) == 2 + 4
    assert cases["giou falls by at most 0.02"].find("failure") is not None
    assert "b on everyday" in cases["giou falls by at most 0.02"].find("failure").get("message")
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")
    assert "## evalkit gate FAILED" in verdict_markdown(verdict)
    assert verdict_text(verdict).splitlines()[1].strip().startswith("fail")


def test_a_total_with_unknown_costs_is_kept_by_nothing(make_run, make_answers, good_iou) -> None:
    """A sum that leaves answers out can break a limit and cannot keep one."""
    rows = make_answers("m", good_iou)
    rows.loc[:4, "cost_usd"] = None
    known = float(rows["cost_usd"].sum())
    for limit, status in ((known / 2, "fail"), (known * 2, "inconclusive")):
        run = make_run(f"r{status}", [rows], gate=[{"metric": "cost_usd", "max": limit}])
        check = check_of(gate_run(run, None), "cost_usd")
        assert check.status == status
        assert "5 more answers of unknown cost" in check.detail
