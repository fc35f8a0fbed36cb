"""The results of a run against plain loops over its rows."""

import json

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import ConfigError
from evalkit.metrics.counts import COUNT_COLUMNS
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.summary import summarise
from evalkit.stats.bootstrap import ratio_interval

ANSWERED = {"decoded", "no_target", "format_failure", "blocked"}
RATES = (
    *(
        "giou",
        "giou_decoded",
        "giou_targeted",
        "ciou",
        "boundary_iou",
        "box_accuracy_0.5",
        "box_iou",
        "n_acc",
    ),
    *("t_acc", "instance_f1", "format_failure_rate", "strict_failure_rate", "blocked_rate"),
)
DESIGN_FIELDS = {
    *(
        "model",
        "dataset",
        "slice",
        "n",
        "n_images",
        "n_answered",
        "n_not_run",
        "giou",
        "giou_decoded",
        "ciou",
    ),
    *("precision_at", "box_accuracy_0.5", "n_acc", "t_acc", "format_failure_rate", "strict_failure_rate"),
    *("failures", "wire_formats", "latency_s", "tokens", "cost_usd"),
}


def row(sample_id, outcome="decoded", **changes):
    """Return one row of scores.parquet with the counts that its outcome has."""
    no_target = changes.get("no_target", False)
    target = 0 if no_target else 200
    counts = {
        "intersection": 0,
        "union": target,
        "iou": float(no_target and outcome == "no_target"),
        "box_iou": None if no_target else 0.0,
        "boundary_iou": None if no_target else 0.0,
        "gt_area": target,
        "pred_area": 0,
        "instance_tp": 0,
        "instance_fp": 0,
        "instance_fn": 0 if no_target else 1,
    }
    if outcome in {"not_run", "data_error"}:
        counts = dict.fromkeys(COUNT_COLUMNS)
    return {
        "model": "m",
        "dataset": "d",
        "split": "val",
        "sample_id": sample_id,
        "image_id": sample_id[0],
        "expression": "thing",
        "tags": "{}",
        "trial": 0,
        "outcome": outcome,
        "failure": "no_json" if outcome == "format_failure" else None,
        "strict": outcome in {"decoded", "no_target"},
        "wire_formats": ["rle"] if outcome == "decoded" else [],
        "no_target": no_target,
        "latency_s": 1.0,
        "input_tokens": 100,
        "output_tokens": 10,
        "thought_tokens": None,
        "cost_usd": 0.5,
        "protocol_counts": None,
        **counts,
        **changes,
    }


def hit(sample_id, intersection, union, **changes):
    """Return a decoded row with these counts on a target of 200 pixels."""
    counts = {"intersection": intersection, "union": union, "iou": intersection / union, "pred_area": union}
    return row(sample_id, **counts, **changes)


def results_of(rows, **settings):
    """Return the results of rows (dicts or a frame)."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    return summarise(frame, **{"seed": 1, "protocols": {}, "slices": None} | settings)


MIXED = [
    hit("a1", 100, 100, box_iou=0.9, boundary_iou=0.5, instance_tp=1, instance_fn=0, latency_s=3.0),
    hit("a2", 50, 100, box_iou=0.5, instance_fp=2),
    row("b1", "format_failure"),
    row("b2", "blocked"),
    row("c1", "no_target"),
    row("c2", "not_run", latency_s=None, cost_usd=None, input_tokens=None, output_tokens=None),
    row("d1", "no_target", no_target=True),
    row("d2", "format_failure", no_target=True, failure="truncated"),
    row("d3", "data_error", latency_s=None, cost_usd=None, input_tokens=None, output_tokens=None),
]


def test_numbers_by_hand():
    """Every rate over answered rows; a failure is neither a refusal nor a find."""
    (found,) = results_of(MIXED)
    value = {name: found[name]["value"] for name in RATES}
    assert value == {
        "giou": pytest.approx(2.5 / 7),
        "giou_decoded": pytest.approx(2.5 / 4),
        "giou_targeted": pytest.approx(1.5 / 5),
        "ciou": pytest.approx(150 / (200 + 600)),
        "boundary_iou": pytest.approx(0.5 / 5),
        "box_accuracy_0.5": pytest.approx(2 / 5),
        "box_iou": pytest.approx(1.4 / 5),
        "n_acc": pytest.approx(1 / 2),
        "t_acc": pytest.approx(2 / 5),
        "instance_f1": pytest.approx(2 / (2 + 2 + 4)),
        "format_failure_rate": pytest.approx(2 / 7),
        "strict_failure_rate": pytest.approx(3 / 7),
        "blocked_rate": pytest.approx(1 / 7),
    }
    assert [found["precision_at"][t]["value"] for t in ("0.5", "0.6", "0.9")] == [0.4, 0.2, 0.2]


def test_counts_by_hand():
    """What was not asked or could not be asked is counted beside the answered rows."""
    (found,) = results_of(MIXED)
    names = ("n", "n_images", "n_answered", "n_not_run", "n_data_error", "n_targeted", "n_no_target")
    assert [found[name] for name in names] == [9, 4, 7, 1, 1, 7, 2]
    assert found["failures"] == {"no_json": 1, "truncated": 1}
    assert found["wire_formats"] == {"rle": 2}
    assert found["outcomes"]["format_failure"] == 2
    assert found["cost_usd"] == 3.5
    assert found["tokens"]["input"] == 700
    assert found["tokens"]["thought"] is None
    assert found["tokens"]["output_mean"]["value"] == 10
    assert found["latency_s"]["mean"]["value"] == pytest.approx(9 / 7)
    assert found["latency_s"]["p50"] == 1.0


def test_fields_are_the_designs_and_json():
    """All promised fields are there, every rate has its interval, and nothing is NaN."""
    (found,) = results_of(MIXED)
    assert set(found) >= DESIGN_FIELDS
    assert "protocol" not in found
    json.dumps(found, allow_nan=False)
    for name in RATES:
        interval = found[name]
        assert set(interval) == {"value", "low", "high"}
        assert interval["low"] <= interval["value"] <= interval["high"]


def test_nothing_answered_is_null_not_zero():
    """A model that never ran has counts and nulls."""
    rows = [row(s, "not_run", latency_s=None, cost_usd=None) for s in ("a1", "b1")]
    (found,) = results_of(rows)
    assert [found[name] for name in RATES] == [None] * len(RATES)
    assert (found["n"], found["n_answered"], found["n_not_run"]) == (2, 0, 2)
    assert found["cost_usd"] is None
    assert found["latency_s"]["p95"] is None
    assert set(found["precision_at"].values()) == {None}


def test_without_no_target_rows_both_accuracies_are_null():
    """There is no T-acc beside a missing N-acc."""
    (found,) = results_of(MIXED[:5])
    assert found["n_acc"] is None
    assert found["t_acc"] is None


def test_boxes_alone_have_box_numbers_only():
    """Under the box task failures do not turn into mask scores of zero."""
    nothing = dict.fromkeys(("intersection", "union", "iou", "boundary_iou", "pred_area"))
    rows = [row("a1", box_iou=0.8, **nothing), row("b1", "format_failure")]
    (found,) = results_of(rows)
    assert found["giou"] is None
    assert found["precision_at"]["0.5"] is None
    assert found["box_accuracy_0.5"]["value"] == 0.5
    assert found["format_failure_rate"]["value"] == 0.5


def test_sizes_follow_coco():
    """Small ends below 32^2 pixels, medium below 96^2."""
    areas = {"a1": 1023, "a2": 1024, "b1": 9215, "b2": 9216}
    rows = [hit(s, 1, number + 1, gt_area=area) for number, (s, area) in enumerate(areas.items())]
    (found,) = results_of(rows)
    by_size = {size: interval["value"] for size, interval in found["giou_by_size"].items()}
    assert by_size == {"small": 1.0, "medium": pytest.approx((1 / 2 + 1 / 3) / 2), "large": 0.25}


def random_rows(n, seed=0):
    """Return a frame of random rows of two models on one dataset."""
    random = np.random.default_rng(seed)
    rows = []
    for model in ("m", "w"):
        for number in range(n):
            outcome = random.choice(
                ["decoded", "decoded", "no_target", "format_failure", "blocked", "not_run"]
            )
            kind = random.choice(["x", "y", "z"])
            union = int(random.integers(1, 400))
            made = row(
                f"{number % 17}-{number}", str(outcome), no_target=bool(random.random() < 0.2), model=model
            )
            made |= {"image_id": str(number % 17), "tags": json.dumps({"kind": kind, "id": str(number)})}
            if outcome == "decoded":
                inside = int(random.integers(0, union + 1))
                made |= {"intersection": inside, "union": union, "iou": inside / union}
            rows.append(made)
    return pd.DataFrame(rows)


def test_random_rows_equal_plain_loops():
    """GIoU, cIoU and the failure rate of every model and slice equal loops over the rows."""
    frame = random_rows(200)
    results = results_of(frame)
    assert [(r["model"], r["slice"]) for r in results] == [
        (model, name) for model in ("m", "w") for name in ("all", "kind=x", "kind=y", "kind=z")
    ]
    for found in results:
        mine = [
            r
            for r in frame.to_dict("records")
            if r["model"] == found["model"]
            and (found["slice"] == "all" or json.loads(r["tags"])["kind"] == found["slice"][-1])
        ]
        answered = [r for r in mine if r["outcome"] in ANSWERED]
        assert found["n"] == len(mine)
        assert found["giou"]["value"] == pytest.approx(sum(r["iou"] for r in answered) / len(answered))
        assert found["ciou"]["value"] == pytest.approx(
            sum(r["intersection"] for r in answered) / sum(r["union"] for r in answered)
        )
        failed = sum(r["outcome"] == "format_failure" for r in answered)
        assert found["format_failure_rate"]["value"] == pytest.approx(failed / len(answered))


def test_intervals_are_those_of_the_statistics_module():
    """The interval of gIoU is the one that asking for it alone gives: images are resampled."""
    frame = random_rows(120)
    found = results_of(frame, slices=[])[0]
    mine = frame[(frame["model"] == "m") & frame["outcome"].isin(ANSWERED)]
    alone = ratio_interval(mine["iou"], np.ones(len(mine)), mine["image_id"], seed=1)
    assert found["giou"]["value"] == pytest.approx(alone.value)
    assert found["giou"]["low"] == pytest.approx(alone.low, abs=1e-9)
    assert found["giou"]["high"] == pytest.approx(alone.high, abs=1e-9)


def test_the_same_seed_gives_the_same_summary():
    """Numbers are a function of the rows and the seed; those of shares of the rows alone."""
    frame = random_rows(60)
    assert results_of(frame) == results_of(frame)
    assert results_of(frame, seed=2)[0]["giou"] == results_of(frame)[0]["giou"]


def test_slices_are_tags_with_few_values():
    """An identifier is no slice unless asked for; a constant neither."""
    frame = random_rows(60)
    assert {r["slice"] for r in results_of(frame)} == {"all", "kind=x", "kind=y", "kind=z"}
    assert {r["slice"] for r in results_of(frame, slices=[])} == {"all"}
    assert len(results_of(frame[frame["model"] == "m"], slices=["id"])) == 61
    assert {r["slice"] for r in results_of(MIXED)} == {"all"}


def test_rows_without_a_tag_are_in_no_slice_of_it():
    """A tag that some rows lack slices the rows that have it."""
    rows = [hit("a1", 1, 2, tags='{"k": "x"}'), hit("b1", 1, 2, tags='{"k": "y"}'), hit("c1", 1, 2)]
    assert {r["slice"]: r["n"] for r in results_of(rows)} == {"all": 3, "k=x": 1, "k=y": 1}


def test_a_protocol_adds_its_numbers_to_its_dataset():
    """Only the dataset that names one has `protocol`, computed on answered rows."""
    rows = [*MIXED, *({**r, "dataset": "e"} for r in MIXED)]
    first, second = results_of(rows, protocols={"e": "rela"})
    assert "protocol" not in first
    assert second["protocol"]["name"] == "rela"
    giou = second["protocol"]["giou"]
    assert giou["value"] == pytest.approx(2.5 / 7)
    assert giou["low"] < giou["value"] < giou["high"]
    assert set(second["protocol"]) == {"name", *PROTOCOLS["rela"].keys}
    with pytest.raises(ConfigError, match="no scoring protocol 'relaa'"):
        results_of(rows, protocols={"e": "relaa"})


def test_a_parquet_round_trip_changes_nothing(tmp_path):
    """Arrow's types (arrays in cells, nullable integers) give the same results."""
    frame = pd.DataFrame(MIXED)
    frame.to_parquet(tmp_path / "s.parquet")
    assert results_of(pd.read_parquet(tmp_path / "s.parquet")) == results_of(frame)


def test_a_sum_with_unknown_costs_says_how_many():
    """Half a dollar each for seven answers, of which two told no usage."""
    rows = [{**r, "cost_usd": None} if r["sample_id"] in ("a1", "b1") else r for r in MIXED]
    (found,) = results_of(rows)
    assert (found["cost_usd"], found["n_cost_unknown"]) == (2.5, 2)
    (nothing,) = results_of([{**r, "cost_usd": None} for r in MIXED])
    assert (nothing["cost_usd"], nothing["n_cost_unknown"]) == (None, 7)
