"""Suspects are named only where models agree."""

import numpy as np
import pytest

from evalkit.masks import crop_of, rle_encode
from evalkit.report.answers import AnsweredSample, ModelAnswer
from evalkit.report.audit import judge
from evalkit.types import Decoded, GroundTruth, ImageRef, Sample


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
    return AnsweredSample(sample, tuple(made))


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
