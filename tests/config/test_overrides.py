"""Decode settings are overridden in one way: by option, by ``rescore`` and by ``ek.decode``."""

import pytest
from click.testing import CliRunner

import evalkit as ek
from evalkit.cli.app import main
from evalkit.config.overrides import with_changes
from evalkit.decoding.settings import DecodeSettings
from evalkit.errors import ConfigError


def test_changes_replace_and_the_rest_is_kept():
    """What is not named stays as the run had it."""
    current = DecodeSettings(threshold=3, filter="box")
    assert with_changes(current, {"instances": "first"}) == DecodeSettings(
        threshold=3, filter="box", instances="first"
    )


@pytest.mark.parametrize("command", ["score", "decode"])
def test_every_setting_is_an_option_of_the_commands(command):
    """A new decode setting is an option at once, with its own description."""
    shown = " ".join(CliRunner().invoke(main, [command, "--help"], terminal_width=400).output.split())
    for name, field in DecodeSettings.model_fields.items():
        assert f"--decode.{name} " in shown
        assert field.description[1:] in shown


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("threshold", 300, "less than or equal to 254"),
        ("filter", "sharp", "lanczos"),
        ("box_rounding", "up", "truncate"),
        ("instances", "all", "union"),
        ("token_codebook", "nowhere.npz", "there is no file nowhere.npz"),
        ("formats", "no.such.module:FORMAT", "no.such.module"),
    ],
)
def test_a_wrong_value_is_refused_alike_everywhere(setting, value, words):
    """Option and keyword end in the same error with the values that are allowed."""
    with pytest.raises(ConfigError, match=words):
        ek.decode("[]", size=(4, 4), **{setting: value})
    told = CliRunner().invoke(
        main, ["decode", "-", "--size", "4x4", f"--decode.{setting}", str(value)], input="[]"
    )
    assert told.exit_code == 2
    assert words in told.output


def test_an_unknown_setting_names_the_nearest():
    """A slip of the keyboard is answered with what was meant."""
    with pytest.raises(ConfigError, match="treshold.*threshold"):
        ek.decode("[]", size=(4, 4), treshold=3)
