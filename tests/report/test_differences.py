"""Winners are named only where the evidence is there; suspects only where models agree."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evalkit.masks import crop_of, rle_encode
from evalkit.report.answers import DrawnSample, ModelAnswer
from evalkit.report.audit import judge
from evalkit.report.data import load_report
from evalkit.report.differences import (
    Difference,
    difference,
    every_pair,
    iou_table,
    leads,
    real_winners,
)
from evalkit.report.words import verdict
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Decoded, GroundTruth, ImageRef, Interval, Sample


def rows_of(model, ious):
    """Return score rows of one model, one image to a sample."""
    return pd.DataFrame(
        {
            "model": model,
            "sample_id": [str(n) for n in range(len(ious))],
            "image_id": [str(n) for n in range(len(ious))],
            "quality": ious,
            "outcome": "decoded",
        }
    )


def test_a_steady_lead_is_real_and_noise_is_not():
    """A constant lead over 40 images wins; two models that differ by noise alone do not."""
    generator = np.random.default_rng(3)
    base = generator.uniform(0.3, 0.8, 40)
    noise = generator.normal(0, 0.1, 40)
    steady = pd.concat([rows_of("a", base + 0.1), rows_of("b", base)])
    level = pd.concat([rows_of("a", base + noise), rows_of("b", base + noise[::-1])])
    for rows, winner in ((steady, "a"), (level, None)):
        giou = rows.groupby("model")["quality"].mean().to_dict()
        assert real_winners([leads(iou_table(rows), giou, seed=0)]) == [winner]


def test_difference_pairs_common_samples_only():
    """A sample that one model did not answer counts for neither."""
    rows = pd.concat([rows_of("a", [0.9, 0.8, 0.7]), rows_of("b", [0.5, 0.4, 0.3])])
    rows = rows[~((rows["model"] == "b") & (rows["sample_id"] == "0"))]
    found = difference(iou_table(rows), "a", "b", seed=0)
    assert (found.n, found.n_images) == (2, 2)
    assert found.interval.value == pytest.approx(0.4)


def gap(p_value):
    """Return a positive difference with a p-value."""
    return Difference("a", "b", Interval(0.1, 0.01, 0.2), p_value, 10, 10)


def test_many_rows_raise_the_bar():
    """What wins alone does not win among twenty rows (Holm)."""
    assert real_winners([[gap(0.03)]]) == ["a"]
    assert real_winners([[gap(0.03)], *[[gap(0.9)]] * 19]) == [None] * 20
    assert real_winners([[gap(0.0001), gap(0.9)], []]) == [None, None]


def drawn(truth_hw, *answers):
    """Return a sample with the given (label, mask or None for a refusal)."""
    instances = () if truth_hw is None else (rle_encode(truth_hw),)
    truth = GroundTruth(40, 40, instances)
    sample = Sample("d", "s", "1", "1", ImageRef("x"), "thing", truth)
    made = []
    for label, mask_hw in answers:
        if mask_hw is None:
            decoded = Decoded("no_target", None, strict=True)
        else:
            decoded = Decoded("decoded", None, strict=True, mask=crop_of(mask_hw))
        made.append(ModelAnswer(label, {"quality": 0.1}, None, decoded))
    return DrawnSample(sample, tuple(made))


def square(x):
    """Return a 40 x 40 mask with a 10 px square at (x, x)."""
    mask = np.zeros((40, 40), dtype=bool)
    mask[x : x + 10, x : x + 10] = True
    return mask


def test_agreement_against_the_label_is_a_suspect():
    """Two models on one other object are suspects; on two objects they are not."""
    names = {"a": "m1", "b": "m2"}
    nearly = square(20)
    nearly[20] = False
    found = judge(drawn(square(0), ("a", square(20)), ("b", nearly)), names)
    assert found.words == "agree on other pixels"
    assert found.agreement == pytest.approx(0.9)
    assert judge(drawn(square(0), ("a", square(20)), ("b", square(5))), names) is None
    assert judge(drawn(None, ("a", square(20)), ("b", square(20))), names).words.startswith(
        "agree on an object"
    )
    assert judge(drawn(square(0), ("a", None), ("b", None)), names).words == "all say that nothing fits"
    assert judge(drawn(square(0), ("a", None), ("b", square(20))), names) is None


def test_one_model_twice_is_one_witness():
    """Two runs of the same model agreeing say nothing about the label."""
    pair = drawn(square(0), ("a", square(20)), ("b", square(20)))
    assert judge(pair, {"a": "m1", "b": "m1"}) is None


def test_one_lead_is_judged_within_all_datasets(run_folder):
    """A lead that is real alone is not where many datasets were compared; each pair is in the family."""
    data = load_report([RunFolder(run_folder)])
    pairs = every_pair(data)
    assert [len(found) for found in pairs.values()] == [1]
    lead = replace(pairs["shapes"][0], p_value=0.03)
    assert verdict(data, "shapes", {"shapes": [lead]}).headline == "good segments best."
    others = {f"other {number}": [replace(lead, p_value=0.9)] for number in range(3)}
    level = verdict(data, "shapes", {"shapes": [lead], **others})
    assert level.headline == "No clear winner: good leads, but within chance."
    assert "p = 0.12 among this page's 4 comparisons" in level.details[0]
