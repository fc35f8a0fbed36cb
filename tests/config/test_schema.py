"""The run configuration: what is refused, and how it is said."""

import pytest

from evalkit.config.schema import load_config, pick_models
from evalkit.errors import ConfigError

GOOD = """\
name: x
datasets:
  - name: everyday
models:
  - {name: a, provider: gemini, model: gemini-2.5-flash}
"""


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    return str(caught.value)


def test_the_documented_example_is_accepted(tmp_path, monkeypatch):
    """Every key that the documentation shows is known."""
    monkeypatch.setenv("REFCOCO_ROOT", "/data")
    config = load_config(
        write(
            tmp_path,
            """\
name: flash-vs-er
seed: 7
datasets:
  - name: everyday
  - name: refcoco-val
    format: refcoco
    root: ${REFCOCO_ROOT}
    split: val
    sample: {size: 500}
  - {name: mine, format: jsonl, path: mine.jsonl}
models:
  - name: flash-2.5
    provider: gemini
    model: gemini-2.5-flash
    base_url: null
    prompt: google-mask
    generation: {thinking_budget: 0, temperature: 0, max_output_tokens: 8192}
    limits: {concurrency: 64, requests_per_minute: 1000, tokens_per_minute: 1000000}
  - {name: floor, provider: python, function: whole-image}
  - {name: sam3, provider: predictions, path: sam3.jsonl}
image: {max_side: null}
decode: {threshold: 127, box_rounding: truncate, filter: bilinear, instances: union}
score: {protocol: default}
trials: 1
limits: {budget_usd: 20, max_not_run: 0.02}
gate:
  - {metric: giou, max_drop: 0.02}
  - {metric: format_failure_rate, max_rise: 0.01}
""",
        )
    )
    assert config.datasets[1].root == "/data"
    assert config.models[0].generation.temperature == 0
    assert config.directory == str(tmp_path)


def test_all_problems_are_printed_together_with_lines_and_nearest_keys(tmp_path):
    """One reading of the file reports every mistake in it, by line."""
    text = GOOD.replace("name: x", "name: x\nsead: 7\nseed: '7'").replace(
        "model: gemini-2.5-flash}", "model: g, promt: y}"
    )
    message = refusal(tmp_path, text + "decode: {treshold: 3}\nname: again\n")
    lines = message.splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "7", "8", "9"]
    assert "unknown key 'sead'. Did you mean 'seed'?" in lines[0]
    assert "seed: input should be a valid integer, got '7' (str)" in lines[1]
    assert "Did you mean 'prompt'?" in lines[2]
    assert "Did you mean 'threshold'?" in lines[3]
    assert "the key 'name' stands twice" in lines[4]


def test_an_unknown_provider_lists_the_known_ones(tmp_path):
    """A provider that does not exist is answered with those that do."""
    message = refusal(tmp_path, GOOD.replace("provider: gemini", "provider: gemni"))
    assert "run.yaml:5" in message
    assert "vertex-segmentation" in message


def test_two_models_of_one_name_are_refused(tmp_path):
    """Labels are unique, or a table could not be read."""
    assert "two models are called 'a'" in refusal(
        tmp_path, GOOD + "  - {name: a, provider: python, function: whole-image}\n"
    )


def test_a_missing_section_is_named(tmp_path):
    """A config without models says that models are missing."""
    assert "'models' is missing" in refusal(tmp_path, "name: x\ndatasets:\n  - name: everyday\n")


@pytest.mark.parametrize("text", ["", "[]", "just text"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    """An empty file, a list or prose is a clear error in words of the file, not of the code."""
    message = refusal(tmp_path, text)
    assert "run.yaml:1" in message
    assert "RunConfig" not in message


def test_an_own_prompt_must_hold_the_expression(tmp_path):
    """A prompt without {expression} would ask every sample the same."""
    text = GOOD.replace("model: gemini-2.5-flash", "model: m, prompt: {text: 'Segment it.'}")
    assert "{expression}" in refusal(tmp_path, text)


def test_answers_fingerprint_ignores_what_does_not_change_answers(tmp_path):
    """Pace, budget and decoding may change between sessions of one run; prompts may not."""
    first = load_config(write(tmp_path, GOOD)).answers_fingerprint()
    other_pace = GOOD.replace("flash}", "flash, limits: {concurrency: 3}}")
    same = load_config(write(tmp_path, other_pace + "decode: {threshold: 90}\nlimits: {budget_usd: 1}\n"))
    other = load_config(write(tmp_path, GOOD.replace("2.5-flash", "3.6-flash")))
    assert same.answers_fingerprint() == first
    assert other.answers_fingerprint() != first


def test_an_unknown_model_on_the_command_line_suggests_the_nearest(tmp_path):
    """--models with a typo names the model that was meant."""
    config = load_config(write(tmp_path, GOOD.replace("name: a", "name: flash")))
    with pytest.raises(ConfigError, match="Did you mean 'flash'"):
        pick_models(config, ["flahs"])


def test_a_wrong_word_is_told_with_the_nearest(tmp_path) -> None:
    """File, line, the words there are, and the one that was probably meant."""
    prompts = "\nprompts:\n  px: {text: 'In pixels {expression}', unit: pixels, box_order: cxywh}\n"
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, GOOD + prompts))
    assert "'norm1000', 'norm1' or 'pixel', got 'pixels' (str). Did you mean 'pixel'?" in str(caught.value)
    assert "Did you mean 'cxcywh'?" in str(caught.value)
    line = (GOOD + prompts).splitlines().index(
        "  px: {text: 'In pixels {expression}', unit: pixels, box_order: cxywh}"
    ) + 1
    assert f":{line}: prompts.px.unit" in str(caught.value)


@pytest.mark.parametrize("name", ["a\\nb", "a\\x1b[31m", "\\0", "a\\u2028"])
@pytest.mark.parametrize("kept", ["a", "everyday"])
def test_names_are_shown_on_a_line(tmp_path, name: str, kept: str) -> None:
    """A name that moves the cursor or ends a line of a table is refused."""
    text = GOOD.replace(f"name: {kept}", f'name: "{name}"')
    assert "holds a control character or a line break" in refusal(tmp_path, text)


def test_half_characters_are_refused_with_their_line(tmp_path, monkeypatch) -> None:
    """No file and no request can hold one: as an escape, of the environment, as a key."""
    assert "run.yaml:5: the text 'g\\ud800' holds half a character" in refusal(
        tmp_path, GOOD.replace("model: gemini-2.5-flash", 'model: "g\\ud800"')
    )
    monkeypatch.setenv("ODD", "\udcff")
    assert "run.yaml:5: the text '${ODD}' holds half" in refusal(
        tmp_path, GOOD.replace("gemini-2.5-flash", "'${ODD}'")
    )
    assert "run.yaml:6: the key 'p\\ud800' holds half" in refusal(
        tmp_path, GOOD + 'prompts: {"p\\ud800": {}}\n'
    )
