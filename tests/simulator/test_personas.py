"""Personas answer from the truth, each as well as it can, and fail in every listed way."""

import json
import statistics

import numpy as np
import pytest

from evalkit.errors import ConfigError
from evalkit.masks import truth_mask
from evalkit.simulator import failures, personas, perturbed_masks
from evalkit.simulator.personas import PERSONAS, question_rng
from evalkit.simulator.perturbed_masks import MaskNoise


@pytest.fixture(scope="module")
def ellipses(wire):
    """Sixty samples of one ellipse each, of many sizes."""
    rng = np.random.default_rng(5)
    return [
        wire.make_sample(f"e{n}", f"shape {n}", [wire.disc(*rng.uniform(40, 80, 2), rng.uniform(8, 35))])
        for n in range(60)
    ]


def drawn_ious(name, samples):
    """Return the IoU of what a persona draws with the truth, per sample (0 where it draws nothing)."""
    ious = []
    for sample in samples:
        truth_hw = truth_mask(sample.truth)
        drawn = personas.draw_objects(PERSONAS[name], sample, question_rng(0, name, sample.sample_id))
        union_hw = np.logical_or.reduce([one.mask_hw for one in drawn] or [np.zeros_like(truth_hw)])
        ious.append((union_hw & truth_hw).sum() / (union_hw | truth_hw).sum())
    return ious


def test_personas_differ_in_quality(ellipses):
    """A comparison of personas has something to find; none but perfect is perfect."""
    means = {name: statistics.fmean(drawn_ious(name, ellipses)) for name in PERSONAS}
    assert means["perfect"] == 1.0
    assert means["polygon-points"] > means["png-masks"] > means["polygons"]
    assert all(0.5 < mean < 0.97 for name, mean in means.items() if name != "perfect")


def test_perfect_says_nothing_where_nothing_is(wire):
    """No target: the valid empty list."""
    sample = wire.make_sample("n", "nothing", [])
    answer = personas.answer(PERSONAS["perfect"], sample, 0, question_rng(0))
    assert answer.text == "```json\n[]\n```"


def test_imagined_objects_appear_at_their_rate(wire):
    """A quarter of the no-target answers of png-masks draw something."""
    sample = wire.make_sample("n", "nothing", [])
    drawn = [
        bool(personas.draw_objects(PERSONAS["png-masks"], sample, question_rng(0, turn)))
        for turn in range(400)
    ]
    assert 0.18 < statistics.fmean(drawn) < 0.33


def test_leaked_tokens_dominate_but_some_masks_arrive(wire):
    """70 % tokens, 30 % PNG."""
    sample = wire.make_sample("d", "the disc", [wire.disc(50, 60, 20)])
    texts = [
        personas.answer(PERSONAS["leaked-tokens"], sample, 0, question_rng(0, turn)).text
        for turn in range(200)
    ]
    tokens = sum("<start_of_mask>" in text for text in texts)
    pngs = sum("data:image/png;base64,iVBORw0KGgo" in text for text in texts)
    assert tokens > 1.5 * pngs > 0


def test_mixed_failures_meets_every_failure_and_blemish_in_one_small_dataset(wire):
    """Twice the number of kinds is enough samples, whatever the seed."""
    turns = PERSONAS["mixed-failures"].in_turn
    assert set(turns) - {""} == set(failures.FAILURES) | set(failures.REPAIRABLE)
    sample = wire.make_sample("d", "the disc", [wire.disc(50, 60, 20)])
    first, second = (
        [
            personas.answer(PERSONAS["mixed-failures"], sample, place, question_rng(seed, place))
            for place in range(len(turns))
        ]
        for seed in (1, 2)
    )
    assert sum(one.text is None for one in first) == sum(one.text is None for one in second) == 4
    assert {one.block_reason for one in first} == {None, "PROHIBITED_CONTENT"}


def test_a_steady_hand_changes_nothing_and_an_unsteady_one_is_seeded(wire):
    """Redrawing is the identity without error, and a function of its generator."""
    mask_hw = truth_mask(wire.make_sample("d", "d", [wire.disc(50, 60, 20)]).truth)
    assert (perturbed_masks.perturbed(mask_hw, MaskNoise(), np.random.default_rng(0)) == mask_hw).all()
    shaky = MaskNoise(edge=0.05, wobble=0.3, erosion=0.1)
    once, again = (perturbed_masks.perturbed(mask_hw, shaky, np.random.default_rng(4)) for _ in range(2))
    assert (once == again).all()
    assert (once != mask_hw).any()


def test_erosion_shrinks(wire):
    """A positive erosion draws too small."""
    mask_hw = truth_mask(wire.make_sample("d", "d", [wire.disc(60, 80, 40)]).truth)
    small_hw = perturbed_masks.perturbed(mask_hw, MaskNoise(edge=0.04, erosion=0.3), np.random.default_rng(0))
    assert 0.5 * mask_hw.sum() < small_hw.sum() < mask_hw.sum()


def test_misplaced_objects_keep_their_area(wire):
    """The wrong object has the right shape."""
    mask_hw = truth_mask(wire.make_sample("d", "d", [wire.disc(50, 60, 20)]).truth)
    assert perturbed_masks.displaced(mask_hw, np.random.default_rng(1)).sum() == mask_hw.sum()


def test_tiny_and_border_objects_survive_every_persona(wire):
    """One pixel, a corner, the whole image: an answer each, never an exception."""
    pixel = wire.disc(0, 0, 0)
    whole = wire.disc(60, 80, 200)
    for name, persona in PERSONAS.items():
        for region in (pixel, whole):
            sample = wire.make_sample("t", "thing", [region])
            for place in range(0, 70, 3):
                answer = personas.answer(persona, sample, place, question_rng(place, name))
                assert answer.text is None or answer.text


def test_an_unknown_persona_names_the_nearest(start):
    """url_for checks the name before anything is sent."""
    with pytest.raises(ConfigError, match="Did you mean 'png-masks'"):
        start().url_for("png-mask")


def test_garbled_points_are_invalid_json_with_one_point_lost(wire):
    """As on record, json.loads loses the whole answer."""
    sample = wire.make_sample("d", "the disc", [wire.disc(50, 60, 20)])
    drawn = personas.draw_objects(PERSONAS["perfect"], sample, question_rng(0))
    builder = failures.AnswerBuilder(drawn, "points_xy", "list", question_rng(0))
    text = failures.REPAIRABLE["bad_point_dropped"](builder)
    assert '},": x": ' in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
