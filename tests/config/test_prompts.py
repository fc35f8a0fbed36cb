"""Named prompts, prompts of one's own, and what they ask for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from evalkit.config.models import PromptConfig
from evalkit.config.prompts import find_prompt, prompt_of, prompt_warnings, shipped_prompts, stated_format
from evalkit.config.schema import RunConfig
from evalkit.decoding import WIRE_FORMATS
from evalkit.errors import ConfigError
from evalkit.models import asked_format
from evalkit.types import GroundTruth, ImageRef, Sample

GOOGLE = (
    "Give the segmentation masks for {expression}. Output a JSON list of segmentation masks where each entry "
    'contains the 2D bounding box in the key "box_2d", the segmentation mask in key "mask", and the text label in '
    'the key "label". Use descriptive labels.'
)


def test_google_mask_is_the_documented_wording() -> None:
    """To the letter, with the expression in place."""
    prompt = find_prompt("google-mask")
    assert prompt.text == GOOGLE
    assert prompt.render("the {red} cup").startswith("Give the segmentation masks for the {red} cup. Output")
    assert prompt.asked.wire_format == "png_data_url"
    assert prompt.asked.keys == ("box_2d", "mask", "label")


def test_polygon_prompts_state_order_and_frame() -> None:
    """What the decoder assumes is what the text says."""
    for name in ("polygon", "polygon-boxes-schema"):
        prompt = find_prompt(name)
        assert "x before y" in prompt.text
        assert "0 to 1000 over the full image" in prompt.text
        assert (prompt.asked.point_order, prompt.asked.frame) == ("xy", "image")
    assert find_prompt("polygon-boxes-schema").asked.wrapper == "boxes"
    assert find_prompt("polygon-boxes-schema").response_schema is not None
    assert find_prompt("box-only").asked.task == "box"


def test_every_shipped_prompt_asks_for_a_known_format() -> None:
    """No code that the decoder does not have."""
    assert all(prompt.wire_format in WIRE_FORMATS for prompt in shipped_prompts().values())


def test_own_prompts_win_and_texts_are_prompts() -> None:
    """A run's own prompt of a shipped name replaces it; any text with {expression} will do."""
    own = {"google-mask": PromptConfig(text="Mask {expression}!", wire_format="rle")}
    assert find_prompt("google-mask", own).render("it") == "Mask it!"
    inline = find_prompt('Find {expression} as {"a": [1]}')
    assert inline.render("it") == 'Find it as {"a": [1]}'
    assert inline.asked.wire_format is None


def test_unknown_prompts_name_the_nearest() -> None:
    """The error lists what there is."""
    with pytest.raises(ConfigError, match="Did you mean 'google-mask'"):
        find_prompt("gogle-mask")


def test_a_box_task_asks_for_boxes_unless_a_model_has_its_own_prompt() -> None:
    """Without `prompt:` the box prompt is sent; with one, its masks are still no must."""
    models = [
        {"name": "a", "provider": "gemini", "model": "gemini-2.5-flash"},
        {"name": "b", "provider": "gemini", "model": "gemini-2.5-flash", "prompt": "google-mask"},
        {"name": "c", "provider": "python", "function": "whole-image"},
    ]
    run = RunConfig.model_validate(
        {"name": "r", "task": "box", "datasets": [{"name": "everyday"}], "models": models}
    )
    assert [getattr(model, "prompt", None) for model in run.models] == ["box-only", "google-mask", None]
    assert [asked_format(model, run).task for model in run.models[:2]] == ["box", "box"]
    again = RunConfig.model_validate(run.model_dump(mode="json"))
    assert again.answers_fingerprint() == run.answers_fingerprint()


PIXELS = PromptConfig(text="{expression} in {width} x {height} pixels of {it}", unit="pixel")


@pytest.mark.parametrize(
    ("max_side", "said"), [(None, "1000 x 750"), (100, "100 x 75"), (4000, "1000 x 750")]
)
def test_the_size_of_the_image_as_sent_is_named(max_side, said) -> None:
    """After image.max_side; braces of other words and of the expression itself stay."""
    run = RunConfig.model_validate(
        {
            "name": "n",
            "datasets": [{"name": "everyday"}],
            "models": [{"name": "a", "provider": "python", "function": "whole-image"}],
            "image": {"max_side": max_side},
            "prompts": {"px": PIXELS},
        }
    )
    prompt = prompt_of("px", run)
    sample = Sample("d", "s", "1", "1", ImageRef("x.png"), "the {width}", GroundTruth(750, 1000))
    assert prompt.question_about(sample) == f"the {{width}} in {said} pixels of {{it}}"
    assert prompt.asked.max_side_px == max_side


def test_pixels_without_the_size_are_warned_of() -> None:
    """A model that does not know how many pixels there are can only guess."""
    assert prompt_warnings(find_prompt(PIXELS)) == []
    (warning,) = prompt_warnings(
        find_prompt(PromptConfig(text="{expression}, {width} px wide", unit="pixel"))
    )
    assert "{width} and {height}" in warning
    assert all(prompt_warnings(find_prompt(name)) == [] for name in shipped_prompts())


def test_the_order_of_boxes_is_the_asked_key_s_where_nothing_states_it() -> None:
    """bbox_2d is x first by Qwen's documentation; a prompt may say otherwise."""
    text = "{expression}"
    assert find_prompt(PromptConfig(text=text)).asked.box_order == "yxyx"
    assert find_prompt(PromptConfig(text=text, keys=["bbox_2d", "label"])).asked.box_order == "xyxy"
    assert find_prompt(PromptConfig(text=text, keys=["bbox_2d"], box_order="yxyx")).asked.box_order == "yxyx"


def test_pixels_inside_a_box_are_refused() -> None:
    """Nobody counts them."""
    with pytest.raises(ValidationError, match="frame: box goes with"):
        PromptConfig(text="{expression}", unit="pixel", frame="box")


def test_a_convention_can_be_stated_for_a_single_answer() -> None:
    """With a prompt's other words, or without a prompt; wrong words are told with the nearest."""
    asked = stated_format("polygon", {"unit": "pixel", "box_order": None})
    assert (asked.unit, asked.box_order, asked.wire_format) == ("pixel", "yxyx", "polygon_pairs")
    assert stated_format(None, {}).wire_format == "png_data_url"
    assert stated_format(None, {"frame": "box"}).wire_format is None
    with pytest.raises(ConfigError, match="Did you mean 'cxcywh'"):
        stated_format(None, {"box_order": "cxywh"})
    with pytest.raises(ConfigError, match="Did you mean 'unit'"):
        stated_format(None, {"units": "pixel"})
