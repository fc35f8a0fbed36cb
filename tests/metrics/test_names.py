"""Every name that a comparison or a gate accepts, and what it measures."""

from __future__ import annotations

import pytest

from evalkit.errors import ConfigError
from evalkit.metrics.names import is_share, lower_is_better, measure_name, row_measures
from evalkit.metrics.table import METRICS


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("giou", "giou"),
        ("precision_at.0.5", "precision_at_0.5"),
        ("precision_at 0.9", "precision_at_0.9"),
        ("P@0.7", "precision_at_0.7"),
        ("giou_by_size.small", "giou_by_size_small"),
        ("latency_s.mean", "latency_s"),
        ("tokens.output_mean", "output_tokens"),
        ("miou", "giou"),
        ("mIoU", "giou"),
        ("trials.agreement", "trial_agreement"),
        ("failures.mask_tokens", "failures.mask_tokens"),
    ],
)
def test_spellings(given: str, name: str) -> None:
    """Paths of summary.json and the field's names are accepted."""
    assert measure_name(given) == name


@pytest.mark.parametrize("given", ["gio", "failures.", "precision_at_0.55", ""])
def test_unknown_names_are_errors(given: str) -> None:
    """What is not a metric is refused with the known ones."""
    with pytest.raises(ConfigError, match="is not a metric"):
        measure_name(given)


def test_all_measures_can_be_taken(make_answers, good_iou, make_run) -> None:
    """Every listed measure has columns, and gIoU's are the IoUs over ones."""
    rows = make_run("r", [make_answers("m", good_iou, not_run=3)]).scores()
    found = row_measures(rows, [metric.name for metric in METRICS])
    above, below = found["giou"]
    assert set(found) == {metric.name for metric in METRICS}
    assert above.sum() / below.sum() == pytest.approx(good_iou[3:].mean())
    assert below.sum() == 117


def test_shares_of_codes_are_over_answered_requests(make_answers, good_iou, make_run) -> None:
    """Three failures among 110 answers, ten not run: 3 / 110."""
    failures = ["no_json" if 20 <= k < 23 else None for k in range(120)]
    rows = make_run("r", [make_answers("m", good_iou, failures=failures, not_run=10)]).scores()
    above, below = row_measures(rows, ["failures.no_json"])["failures.no_json"]
    assert (above.sum(), below.sum()) == (3, 110)


def test_directions() -> None:
    """Failures, seconds and dollars are better low; quality is better high."""
    assert lower_is_better("failures.no_json")
    assert lower_is_better("latency_s")
    assert not lower_is_better("giou")
    assert is_share("ciou")
    assert not is_share("cost_usd_per_answer")
