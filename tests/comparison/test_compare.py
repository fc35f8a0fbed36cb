"""Comparisons of fabricated runs with known truth."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from evalkit.comparison.compare import compare_runs
from evalkit.comparison.pareto import points_of
from evalkit.comparison.words import comparison_json, comparison_text, verdict
from evalkit.errors import ConfigError, DataError
from evalkit.stats.significance import holm


def test_a_clear_loss_is_called_worse(make_run, make_answers, good_iou) -> None:
    """A model whose IoU is lower by 0.1 everywhere is worse, by 0.1."""
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou - 0.1)])
    comparison = compare_runs([run])
    (pair,) = comparison.pairs
    said = verdict(pair, comparison.tests)
    assert said["code"] == "worse"
    assert pair.whole.primary.difference.value == pytest.approx(-0.1, abs=0.01)
    assert "b is worse than a in gIoU" in said["sentence"]


def test_the_order_of_the_sides_turns_the_sign(make_run, make_answers, good_iou) -> None:
    """--models B A measures A minus B."""
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou * 0.8)])
    forth = compare_runs([run], ["a", "b"]).pairs[0].whole.find("giou")
    back = compare_runs([run], ["b", "a"]).pairs[0].whole.find("giou")
    assert forth.difference.value == pytest.approx(-back.difference.value)
    assert forth.p == pytest.approx(back.p, abs=0.01)


def test_no_difference_says_how_large_one_could_hide(make_run, make_answers, good_iou) -> None:
    """Equal answers are no difference, with the largest that the size leaves open."""
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou)])
    comparison = compare_runs([run])
    said = verdict(comparison.pairs[0], comparison.tests)
    assert said["code"] == "no_difference"
    assert 0.005 < said["at_most"] < 0.03
    assert "no difference in gIoU larger than" in said["sentence"]


def test_no_number_is_a_negative_zero(make_run, make_answers, good_iou) -> None:
    """A difference that rounds to nothing has no sign of its own, in text and in JSON."""
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou - 1e-6)])
    comparison = compare_runs([run])
    told = comparison_text(comparison, 0.02)
    assert "+0.000" in told
    assert re.search(r"-0\.?0*(?![.\d])", told) is None
    assert re.search(r"-0\.0\b(?!\d|e)", json.dumps(comparison_json(comparison, 0.02))) is None


def test_a_verdict_says_how_many_common_answers_it_counts(make_run, make_answers, good_iou) -> None:
    """Where a measure counts a part of the common answers, both numbers are told, and each has its name in JSON."""
    failures = ["no_json" if k < 20 else None for k in range(120)]
    run = make_run("r", [make_answers("a", good_iou, failures=failures), make_answers("b", good_iou)])
    comparison = compare_runs([run])
    (pair,) = comparison.pairs
    counted = replace(pair.whole.find("giou"), n=100, n_images=90)
    part = replace(pair, whole=replace(pair.whole, measured=(counted,)))
    said = verdict(part, 1)
    assert "on the 100 that it counts of 120 common answers on 90 images" in said["sentence"]
    assert (said["n"], said["n_images"]) == (100, 90)
    assert "on 120 common answers on" in verdict(pair, 1)["sentence"]


def test_only_samples_both_answered_are_compared(make_run, make_answers, good_iou) -> None:
    """Rows that one side never answered leave the pair, not only that side."""
    run = make_run("r", [make_answers("a", good_iou, not_run=20), make_answers("b", good_iou)])
    (pair,) = compare_runs([run]).pairs
    assert pair.whole.n == 100
    assert pair.whole.find("giou").difference.value == 0


def test_failure_rates_use_mcnemar(make_run, make_answers, good_iou) -> None:
    """Six failures against none on one-expression images: the exact McNemar value 2 / 2^6."""
    failures = ["no_json" if k < 6 else None for k in range(120)]
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou, failures=failures)])
    found = compare_runs([run]).pairs[0].whole.find("format_failure_rate")
    assert found.test == "exact McNemar"
    assert found.p == pytest.approx(2 / 64)
    assert (found.wins, found.ties, found.losses) == (0, 114, 6)


def test_several_expressions_an_image_use_the_clustered_form(make_run, make_answers, good_iou) -> None:
    """Six failures that all lie in two images are two events."""
    images = [k // 3 for k in range(120)]
    failures = ["no_json" if k < 6 else None for k in range(120)]
    run = make_run(
        "r",
        [
            make_answers("a", good_iou, images=images),
            make_answers("b", good_iou, images=images, failures=failures),
        ],
    )
    found = compare_runs([run]).pairs[0].whole.find("format_failure_rate")
    assert found.test == "exact McNemar, clustered by image"
    assert found.p == pytest.approx(2 / 4)


def test_p_values_are_adjusted_by_family(make_run, make_answers, good_iou) -> None:
    """The three verdicts of three models are one family, all other measures another."""
    run = make_run("r", [make_answers(n, good_iou * f) for n, f in (("a", 1), ("b", 0.99), ("c", 0.9))])
    comparison = compare_runs([run])
    verdicts = [pair.whole.primary for pair in comparison.pairs]
    others = [m for pair in comparison.pairs for m in pair.whole.measured if m.measure != "giou"]
    assert comparison.tests == len(verdicts) == 3
    for family in (verdicts, others):
        assert [m.p_holm for m in family] == pytest.approx(holm([m.p for m in family]))


def test_slices_are_compared_too(make_run, make_answers, good_iou) -> None:
    """A loss that lies in one tag value alone shows there."""
    tags = [{"category": "text" if k % 2 else "ordering"} for k in range(120)]
    worse = np.where(np.arange(120) % 2, good_iou - 0.2, good_iou)
    run = make_run("r", [make_answers("a", good_iou, tags=tags), make_answers("b", worse, tags=tags)])
    slices = {table.slice: table for table in compare_runs([run]).pairs[0].slices}
    assert slices["category=text"].find("giou").difference.value == pytest.approx(-0.2, abs=0.02)
    assert slices["category=ordering"].find("giou").difference.value == 0


def test_flips_name_the_largest_changes_first(make_run, make_answers, good_iou) -> None:
    """The samples that changed most come with both verdicts."""
    failures: list[str | None] = [None] * 120
    failures[7] = "mask_tokens"
    after = good_iou.copy()
    after[3] -= 0.05
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", after, failures=failures)])
    flips = compare_runs([run]).pairs[0].flips
    assert [flip["sample_id"] for flip in flips] == ["s7", "s3"]
    assert flips[0]["outcome_b"] == "mask_tokens"


def test_two_runs_pair_equal_model_names(make_run, make_answers, good_iou) -> None:
    """An old and a new run are compared model by model, new minus old."""
    old = make_run("old", [make_answers("m", good_iou), make_answers("gone", good_iou)])
    new = make_run("new", [make_answers("m", good_iou - 0.1)])
    (pair,) = compare_runs([old, new]).pairs
    assert (pair.a.label, pair.b.label) == ("m @ old", "m @ new")
    assert pair.whole.find("giou").difference.value == pytest.approx(-0.1, abs=0.01)


def test_other_decode_settings_prompts_and_data_are_shown(make_run, make_answers, good_iou) -> None:
    """What was decoded, asked or sampled otherwise is listed with both values."""
    old = make_run("old", [make_answers("m", good_iou)])
    new = make_run(
        "new", [make_answers("m", good_iou)], decode={"threshold": 100}, prompt="polygon", sha256="other"
    )
    settings = {one.setting: (one.a, one.b) for one in compare_runs([old, new]).pairs[0].settings}
    assert settings["decode.threshold"] == (127, 100)
    assert settings["prompt"] == ("google-mask", "polygon")
    assert settings["fingerprint of dataset everyday"] == ("same", "other")
    text = comparison_text(compare_runs([old, new]), 0.02)
    assert "decode.threshold: 127 against 100" in text


def test_another_ground_truth_is_refused(make_run, make_answers, good_iou) -> None:
    """The same sample with another target area means another ground truth: no comparison."""
    changed = make_answers("m", good_iou)
    changed.loc[5, "gt_area"] = 77
    old, new = make_run("old", [make_answers("m", good_iou)]), make_run("new", [changed])
    with pytest.raises(DataError, match=r"sample 's5'.*another gt_area"):
        compare_runs([old, new])


def test_nothing_in_common_is_an_error(make_run, make_answers, good_iou) -> None:
    """Runs on different datasets cannot be paired."""
    old = make_run("old", [make_answers("m", good_iou)])
    new = make_run("new", [make_answers("m", good_iou, dataset="other")])
    with pytest.raises(DataError, match="no sample in common"):
        compare_runs([old, new])


def test_unknown_and_single_models_are_errors(make_run, make_answers, good_iou) -> None:
    """A wrong name lists the nearest; one model alone has nothing to be compared with."""
    run = make_run("r", [make_answers("flash", good_iou), make_answers("pro", good_iou)])
    with pytest.raises(ConfigError, match="Did you mean 'flash'"):
        compare_runs([run], ["flahs", "pro"])
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare_runs([make_run("one", [make_answers("flash", good_iou)])])


def test_json_is_plain_and_says_its_direction(make_run, make_answers, good_iou) -> None:
    """The document serialises without NaN and holds verdict, power, non-inferiority and Pareto."""
    run = make_run(
        "r", [make_answers("a", good_iou), make_answers("b", good_iou - 0.1, cost_usd=0.01)], simulated=True
    )
    document = json.loads(json.dumps(comparison_json(compare_runs([run]), 0.02), allow_nan=False))
    (pair,) = document["pairs"]
    assert document["simulated"] is True
    assert document["difference_is"] == "b - a"
    assert pair["verdict"]["code"] == "worse"
    assert pair["not_worse"]["shown"] is False
    assert pair["power"]["detectable"] > 0
    assert {row["model"]: row["dominated_on_cost_by"] for row in document["pareto"]["everyday"]} == {
        "a": [],
        "b": ["a"],
    }


def test_more_images_are_asked_for_where_a_difference_is_not_shown(make_run, make_answers, good_iou) -> None:
    """A small difference in noisy data comes with the number of images that would show it."""
    noisy = np.clip(good_iou + np.random.default_rng(4).normal(0.01, 0.2, 120), 0, 1)
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", noisy)])
    document = comparison_json(compare_runs([run]), 0.02)
    power = document["pairs"][0]["power"]
    assert document["pairs"][0]["verdict"]["code"] == "no_difference"
    assert power["images_needed_for_the_difference_seen"] > 120


def test_pareto_names_who_dominates() -> None:
    """Dearer and worse is dominated; dearer and better is not; unknown cost is not judged."""
    models = {
        "cheap": {"giou": 0.6, "cost_usd_per_answer": 1.0, "latency_s": 1.0},
        "dear": {"giou": 0.8, "cost_usd_per_answer": 5.0, "latency_s": 1.0},
        "silly": {"giou": 0.5, "cost_usd_per_answer": 5.0, "latency_s": 0.5},
        "unpriced": {"giou": 0.1, "cost_usd_per_answer": None, "latency_s": 9.0},
    }
    points = {point.label: point for point in points_of(models, "giou")}
    assert points["cheap"].dominated_on_cost == ()
    assert points["dear"].dominated_on_cost == ()
    assert points["silly"].dominated_on_cost == ("cheap", "dear")
    assert points["silly"].dominated_on_latency == ()
    assert points["unpriced"].dominated_on_cost == ()
    assert points["cheap"].dominated_on_latency == ("dear",)


def test_a_partial_run_is_said(make_run, make_answers, good_iou) -> None:
    """A comparison of an incomplete run says so before anything else."""
    run = make_run("r", [make_answers("a", good_iou), make_answers("b", good_iou)], status="partial")
    assert "is not complete" in comparison_text(compare_runs([run]), 0.02).splitlines()[0]
