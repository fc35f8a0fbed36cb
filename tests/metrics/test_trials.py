"""Agreement between repeated questions, against plain loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalkit.masks import crop_of
from evalkit.metrics.trials import agreements, spread_of_trials
from evalkit.types import Decoded


def drawn(mask):
    return Decoded("decoded", None, strict=True, mask=crop_of(mask))


REFUSAL = Decoded("no_target", None, strict=True)
FAILURE = Decoded("format_failure", "no_json", strict=False)


@given(masks=st.lists(hnp.arrays(bool, (6, 7)), min_size=2, max_size=4))
def test_agreement_is_the_mean_pairwise_iou(masks):
    """Each trial against every other, by a loop over full images; two empty masks agree."""

    def iou(a, b):
        union = (a | b).sum()
        return (a & b).sum() / union if union else 1.0

    expected = [np.mean([iou(a, b) for j, b in enumerate(masks) if j != i]) for i, a in enumerate(masks)]
    assert agreements([drawn(mask) for mask in masks]) == pytest.approx(expected)


def test_refusals_agree_with_each_other_and_with_no_mask():
    """Two refusals agree fully, a refusal and a mask not at all; what could not be read is in no pair."""
    full = drawn(np.ones((3, 3), dtype=bool))
    assert agreements([REFUSAL, REFUSAL, full]) == [0.5, 0.5, 0.0]
    assert agreements([full, FAILURE, None]) == [None, None, None]


def test_spread_is_told_between_trials_and_within_samples():
    """Means per trial, their deviation, and the deviation within a sample, pooled over samples."""
    rows = pd.DataFrame(
        {"sample_id": ["a", "a", "b", "b"], "trial": [0, 1, 0, 1], "iou": [0.2, 0.4, 0.6, 0.6]}
    )
    spread = spread_of_trials(rows)
    assert spread["k"] == 2
    assert spread["giou_by_trial"] == pytest.approx([0.4, 0.5])
    assert spread["giou_sd"] == pytest.approx(np.std([0.4, 0.5], ddof=1))
    assert spread["iou_sd_within_sample"] == pytest.approx(np.sqrt((np.var([0.2, 0.4], ddof=1) + 0) / 2))
    assert spread_of_trials(rows[rows.trial == 0]) is None
