"""Every staged failure and repairable defect is what its name says: the decoder reports the same code."""

import pytest

from evalkit.decoding import decode_answer
from evalkit.simulator import personas
from evalkit.simulator.answer_builder import AnswerBuilder, SimulatedAnswer
from evalkit.simulator.failures import FAILURES, REPAIRABLE
from evalkit.simulator.personas import PERSONAS, question_rng


@pytest.fixture(scope="module")
def sample(wire):
    """One disc whose PNG needs base64 padding."""
    return wire.make_sample("d", "the disc", [wire.disc(50, 70, 22)])


def verdict(sample, answer):
    """Decode an answer with what the service says about it."""
    return decode_answer(
        answer.text,
        height_px=sample.truth.height_px,
        width_px=sample.truth.width_px,
        finish_reason=answer.finish_reason,
        block_reason=answer.block_reason,
        thought_tokens=8192 if answer.thinking_used_budget else None,
    )


def builder_of(sample):
    """Return the errorless builder of a sample."""
    rng = question_rng(0, "mishap")
    return AnswerBuilder(
        personas.draw_objects(PERSONAS["perfect"], sample, rng), "png_data_url", "fence", rng
    )


@pytest.mark.parametrize("name", [name for name in FAILURES if not name.startswith("blocked")])
def test_failures_are_decoded_as_their_code(sample, name):
    """Nothing usable is left, for the reason staged."""
    decoded = verdict(sample, FAILURES[name](builder_of(sample)))
    assert (decoded.outcome, decoded.failure) == ("format_failure", name)


@pytest.mark.parametrize("name", [name for name in FAILURES if name.startswith("blocked")])
def test_blocks_are_no_format_failures(sample, name):
    """A refused prompt and a withheld answer are said by the API."""
    assert verdict(sample, FAILURES[name](builder_of(sample))).outcome == "blocked"


@pytest.mark.parametrize("name", REPAIRABLE)
def test_blemishes_are_repaired_and_recorded(sample, name):
    """One usable mask, the repair on record, the answer not strict."""
    builder = builder_of(sample)
    assert builder.item(builder.objects[0])["mask"].endswith("="), "the sample must need padding"
    decoded = verdict(sample, SimulatedAnswer(REPAIRABLE[name](builder)))
    repairs = {*decoded.repairs, *(repair for item in decoded.items for repair in item.repairs)}
    assert decoded.outcome == "decoded"
    assert name in repairs
    assert not decoded.strict


def test_perfect_answers_are_strict(sample):
    """The reference persona gives what Google's prompt asks for."""
    answer = personas.answer(PERSONAS["perfect"], sample, 0, question_rng(0))
    assert verdict(sample, answer).strict
