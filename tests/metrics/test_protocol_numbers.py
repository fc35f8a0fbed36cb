"""The numbers of evaluators as metrics: names, intervals over images, differences."""

import json

import numpy as np
import pandas as pd
import pytest
from support.protocol_fixtures import values_of

from evalkit.comparison.compare import paired_estimates
from evalkit.errors import ConfigError
from evalkit.metrics.names import (
    estimate_measure,
    measure_name,
    metric_of_rule,
    row_measures,
)
from evalkit.metrics.protocol_numbers import (
    check_numbers,
    metrics_of_rows,
    protocol_columns,
    protocol_intervals,
)
from evalkit.metrics.protocols import PROTOCOLS

N = 120


def saco_rows(seed, skill=0.7):
    """Return scored rows of 120 pairs on 40 images, half of them with objects."""
    random = np.random.default_rng(seed)
    rows = []
    for pair in range(N):
        n_gt = 2 * (pair % 2)
        n_pred = int(random.random() < 0.2) if n_gt == 0 else int(random.integers(0, 4))
        hits = [int(random.binomial(min(n_gt, n_pred), skill * (1 - 0.08 * t))) for t in range(10)]
        hits = list(np.minimum.accumulate(hits))
        counts = {"counted": 1.0, "n_gt": n_gt, "n_pred": n_pred, "found": float(n_pred > 0)}
        counts |= {f"tp_{0.5 + 0.05 * t:.2f}": int(hit) for t, hit in enumerate(hits)}
        rows.append(
            {
                "outcome": "decoded" if n_pred else "no_target",
                "image_id": f"i{pair // 3}",
                "protocol": "saco",
                "no_target": n_gt == 0,
                "protocol_counts": json.dumps(counts),
            }
        )
    return pd.DataFrame(rows)


def test_names_are_accepted_in_any_case():
    """A rule may say cgF1."""
    assert measure_name("protocol.cgf1") == "protocol.cgf1"
    assert metric_of_rule("protocol.cgF1") == "protocol.cgf1"
    assert measure_name("protocol.pr_0.7") == "protocol.pr_0.7"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("protocol.cgf2", "protocol.cgf1"), ("protocol.acccuracy", "protocol.accuracy")],
)
def test_unknown_names_name_the_nearest(name, nearest):
    """The error says what may be meant, under evalkit's own protocols; under one's own nobody can know."""
    with pytest.raises(ConfigError, match=rf"'{name}' is not a metric.*{nearest}"):
        check_numbers([name], ["saco", "default"])
    check_numbers([name], ["saco", "mine:PROTOCOL"])
    assert measure_name(name) == name


def test_a_prefix_alone_is_no_name():
    """A number has to be named."""
    with pytest.raises(ConfigError, match="is not a metric"):
        measure_name("protocol.")


def test_every_number_of_every_protocol_has_a_name():
    """Whatever a protocol returns can be gated."""
    for name, protocol in PROTOCOLS.items():
        if name != "default":
            for key in protocol.keys:
                assert measure_name(f"protocol.{key}") == f"protocol.{key}"


def test_intervals_are_those_of_drawn_images():
    """The bounds of cgF1 are the quantiles of the evaluator's number over drawn images, done the long way."""
    rows = saco_rows(1)
    found = protocol_intervals(rows, PROTOCOLS["saco"], seed=3)
    by_image = [part for _, part in rows.groupby("image_id", sort=False)]
    random = np.random.default_rng(9)
    drawn = [
        values_of("saco", pd.concat([by_image[k] for k in random.integers(0, 40, 40)]))["cgf1"]
        for _ in range(300)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    width = high - low
    assert found["cgf1"].value == values_of("saco", rows)["cgf1"]
    assert found["cgf1"].low == pytest.approx(low, abs=0.15 * width)
    assert found["cgf1"].high == pytest.approx(high, abs=0.15 * width)


def test_metrics_come_from_the_rows_protocol():
    """Value, columns and estimate agree; rows of another protocol have no such number."""
    rows = saco_rows(1)
    value = values_of("saco", rows)["pmf1"]
    above, below = row_measures(rows, ["protocol.pmf1"])["protocol.pmf1"]
    assert above.sum() / below.sum() == pytest.approx(value, abs=1e-12)
    assert estimate_measure(rows, "protocol.pmf1", seed=1).value == pytest.approx(value, abs=1e-12)
    assert "protocol.il_mcc" in metrics_of_rows(rows)
    assert estimate_measure(rows, "protocol.giou", seed=1) is None
    assert row_measures(rows.assign(protocol="default"), ["protocol.pmf1"])["protocol.pmf1"][1].sum() == 0


def test_differences_are_paired():
    """The gap is the difference of the two values."""
    before, after = saco_rows(1), saco_rows(2, skill=0.95)
    names = ["protocol.cgf1", "protocol.il_mcc"]
    images = before["image_id"].to_numpy(dtype=str)
    sides = row_measures(before, names), row_measures(after, names)
    for name, gap in paired_estimates(*sides, images, seed=1).items():
        key = name.removeprefix("protocol.")
        numbers = [values_of("saco", side)[key] for side in (before, after)]
        assert gap.value == pytest.approx(numbers[1] - numbers[0], abs=1e-12)


def test_rows_that_were_not_answered_stand_outside():
    """A row that was not run has zeros in both columns."""
    rows = saco_rows(1)
    rows.loc[0, ["outcome", "protocol_counts"]] = ["not_run", None]
    above, below = protocol_columns(rows, "protocol.cgf1")
    assert (above[0], below[0]) == (0.0, 0.0)
    assert below.sum() == N - 1
