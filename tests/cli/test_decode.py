"""`evalkit decode`: the verdict to read, as JSON, drawn; user errors are one paragraph."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.masks import rle_decode
from evalkit.types import Rle


@pytest.fixture
def saved(tmp_path, png_item):
    """Return the path of a saved answer."""
    path = tmp_path / "answer.txt"
    path.write_text(f"```json\n[{png_item()}]\n```\n", "utf-8")
    return path


def call(*arguments, **options):
    """Run the command line."""
    return CliRunner().invoke(main, ["decode", *map(str, arguments)], **options)


def test_json_is_one_document_with_the_documented_keys(saved):
    """Masks are run lengths of the full image; an item lists the whole answer's repairs too."""
    result = call(saved, "--size", "640x480", "--json")
    assert result.exit_code == 0
    verdict = json.loads(result.stdout)
    assert {"outcome", "failure", "strict", "items", "mask"} <= set(verdict)
    assert (verdict["outcome"], verdict["failure"], verdict["strict"]) == ("decoded", None, True)
    one = verdict["items"][0]
    assert {"label", "box_px", "wire_format", "repairs", "failure", "mask"} <= set(one)
    assert (one["box_px"], one["repairs"]) == ([128, 48, 384, 240], ["fence"])
    height, width = verdict["mask"]["size"]
    assert (height, width) == (480, 640)
    assert rle_decode(Rle(height, width, verdict["mask"]["counts"].encode())).sum() == 19200


def test_the_verdict_reads_as_words(saved):
    """Outcome, strictness, repairs and items each have their line."""
    text = call(saved, "--size", "640x480").output
    for words in ("outcome   decoded", "strict    yes", "repair    fence", "png_data_url", "'cat'"):
        assert words in text


def test_any_outcome_exits_with_zero(tmp_path):
    """A failure of the answer is no error of the command; bytes that are not UTF-8 are no crash."""
    path = tmp_path / "answer.bin"
    path.write_bytes(b"\xff\xfe not json \xf0")
    result = call(path, "--size", "4x4", "--json")
    assert (result.exit_code, json.loads(result.stdout)["failure"]) == (0, "no_json")


def test_standard_input_and_settings_reach_the_decoder(png_item):
    """FILE - reads what is piped in; a prompt changes what strict means, a setting the mask."""
    text = f"[{png_item()}]"
    verdict = json.loads(call("-", "--size", "640x480", "--json", "--prompt", "polygon", input=text).stdout)
    assert (verdict["outcome"], verdict["strict"]) == ("decoded", False)
    other = call("-", "--size", "641x481", "--json", "--decode.box_rounding", "expand", input=text)
    assert json.loads(other.stdout)["items"][0]["box_px"] == [128, 48, 385, 241]
    cut = call("-", "--size", "4x4", "--json", "--finish-reason", "MAX_TOKENS", input=" ")
    assert json.loads(cut.stdout)["failure"] == "empty_response"


def test_the_overlay_tints_the_mask_on_the_photograph(saved, tmp_path):
    """The size comes from the picture; pixels outside mask and box stay as they were."""
    photograph, overlay = tmp_path / "photo.png", tmp_path / "overlay.png"
    Image.new("RGB", (640, 480), (90, 90, 90)).save(photograph)
    result = call(saved, "--image", photograph, "--overlay", overlay)
    assert result.exit_code == 0
    values = np.asarray(Image.open(overlay))
    assert tuple(values[10, 10]) == (90, 90, 90)
    assert tuple(values[140, 250]) != (90, 90, 90)


def test_the_convention_of_an_answer_can_be_stated(tmp_path):
    """Order, unit and the reduced size reach the decoder."""
    path = tmp_path / "answer.txt"
    path.write_text('[{"box_2d": [100, 150, 500, 600], "mask": "mask_1"}]')
    stated = ["--unit", "pixel", "--box-order", "xyxy", "--max-side", "1024"]
    result = call(path, "--size", "4096x3072", *stated, "--json")
    assert json.loads(result.stdout)["items"][0]["box_px"] == [400, 600, 2000, 2400]
    result = call(path, "--size", "4096x3072", "--unit", "pixels")
    assert result.exit_code == 2
    assert "Did you mean 'pixel'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "640"], "WIDTHxHEIGHT"),
        (["--size", "0x480"], "WIDTHxHEIGHT"),
        ([], "--size"),
        (["--size", "4x4", "--prompt", "polygn"], "Did you mean"),
        (["--size", "4x4", "--decode.filter", "sharp"], "bilinear"),
        (["--size", "4x4", "--overlay", "o.png"], "--image"),
        (["--image", "missing.png"], "does not exist"),
    ],
)
def test_wrong_arguments_are_told_in_one_paragraph(saved, arguments, words):
    """Exit code 2, no traceback, the way out."""
    result = call(saved, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_not_there_is_told(tmp_path):
    """So is a folder."""
    for path in (tmp_path / "none.txt", tmp_path):
        result = call(path, "--size", "4x4")
        assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)
