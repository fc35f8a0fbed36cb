"""The numbers of a published evaluator in comparisons, gates and the history."""

import numpy as np
import pytest

from evalkit.comparison.compare import compare_runs
from evalkit.comparison.gate.verdict import gate_run
from evalkit.comparison.history import history_text, read_history

RULES = [{"metric": "protocol.pr_0.7", "max_drop": 0.05}, {"metric": "protocol.giou", "min": 0.5}]


@pytest.fixture
def nights(make_run, make_answers, good_iou):
    """Return the maker of two runs under a protocol: the second night loses a third of its IoU."""

    def make(before="rela", after="rela"):
        worse = np.clip(good_iou - 0.33, 0, 1)
        return (
            make_run("one", [make_answers("m", good_iou)], protocol=before, gate=RULES),
            make_run(
                "two",
                [make_answers("m", worse)],
                protocol=after,
                gate=RULES,
                started_at="2026-11-02T02:00:00+00:00",
            ),
        )

    return make


def test_compare_shows_them_with_their_evidence(nights, good_iou):
    """Every number of the protocol is a line, and its difference is that of the values."""
    whole = compare_runs(nights()).pairs[0].whole
    found = whole.find("protocol.pr_0.7")
    worse = np.clip(good_iou - 0.33, 0, 1)
    assert found.difference.value == pytest.approx((worse >= 0.7).mean() - (good_iou >= 0.7).mean(), abs=0.01)
    assert found.difference.high < 0
    assert found.p_holm < 0.05
    assert whole.find("protocol.giou").a.value == pytest.approx(good_iou.mean(), abs=0.01)


def test_different_protocols_are_not_compared(nights):
    """GIoU of one evaluator minus gIoU of another is nobody's number."""
    whole = compare_runs(nights(after="lisa")).pairs[0].whole
    assert not [one.measure for one in whole.measured if one.measure.startswith("protocol.")]


def test_the_gate_judges_them(nights):
    """A fall of Pr@0.7 fails, and so does a gIoU below its least value."""
    before, after = nights()
    verdict = gate_run(after, before)
    status = {(check.metric, check.bound): check.status for check in verdict.checks}
    assert status["protocol.pr_0.7", "max_drop"] == "fail"
    assert status["protocol.giou", "min"] == "fail"
    assert gate_run(before, before).outcome != "fail"


def test_a_number_that_the_protocol_lacks_is_told(nights):
    """The rule is inconclusive, not kept."""
    before, _ = nights(before="lisa")
    checks = [check for check in gate_run(before, before).checks if check.metric == "protocol.pr_0.7"]
    assert [check.status for check in checks] == ["inconclusive"]
    assert "undefined" in checks[0].detail


def test_the_history_follows_them(nights, tmp_path):
    """They stand in the document with their intervals, and the line of a run names the first."""
    nights()
    history = read_history(tmp_path)
    series = history.series
    metrics = series[0].to_json()["runs"][0]["metrics"]
    assert set(metrics["protocol.pr_0.8"]) == {"value", "low", "high"}
    assert "protocol.giou 0.7" in history_text(history)
    assert "protocol.giou" in {change.measure for change in series[0].changes}
