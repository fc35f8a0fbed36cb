"""`evalkit datasets list|check|show`: what they print, find and draw, and their exit codes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli.app import main
from evalkit.datasets.check import mask_doubt
from evalkit.datasets.regions import checked_rle, read_segmentation
from evalkit.masks import region_rle, rle_encode
from evalkit.types import Polygons


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a call of the command line inside an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["datasets", *arguments])


def write_refcoco(make, tmp_path, photographs=True):
    """Write a small RefCOCO with photographs; returns its root."""
    make.refer(tmp_path, [make.ref(1, 2, "dog", "dog"), make.ref(2, 4, "the dog", image_id=8)])
    if photographs:
        for number in (7, 8):
            make.image(
                tmp_path / f"images/mscoco/images/train2014/COCO_train2014_{number:012}.jpg", 60, 40, "L"
            )
    return str(tmp_path)


def test_list_shows_every_card_and_as_json(run):
    """Text for people, one JSON document for programs."""
    text = run("list")
    assert text.exit_code == 0
    assert "RefCOCO+" in text.stdout
    cards = json.loads(run("list", "--json").stdout)
    assert {"refcoco", "everyday", "saco"} <= {card["name"] for card in cards}


def test_check_says_which_counts_differ(run, make, tmp_path):
    """Other counts than the known are shown with both numbers, an error with --strict; a repeat is a note."""
    arguments = ("check", "refcoco", "--root", write_refcoco(make, tmp_path), "--split", "val")
    result = run(*arguments)
    assert result.exit_code == 0
    assert run(*arguments, "--strict").exit_code == 2
    assert "warning: split val differs: 2 images where 1,500 are known" in result.stdout
    assert "3 expressions where 10,834 are known" in result.stdout
    assert "ok, but the counts differ" in result.stdout
    assert "note: 1 expressions repeat" in result.stdout
    assert "photographs: 2 of 2" in result.stdout


def test_check_of_all_splits_names_those_missing(run, make, tmp_path):
    """Without --split the splits that are not there are named too."""
    document = json.loads(run("check", "refcoco", "--root", write_refcoco(make, tmp_path), "--json").stdout)
    texts = " ".join(finding["text"] for finding in document["datasets"][0]["findings"])
    assert (document["ok"], document["datasets"][0]["differs"]) == (True, True)
    assert document["datasets"][0]["splits"][0]["differs"] == ["expressions", "images", "refs"]
    assert "split testA differs: it is missing" in texts


def kinds(result):
    """Return the kinds of error in a check's JSON."""
    findings = json.loads(result.stdout)["datasets"][0]["findings"]
    return {finding["kind"]: finding["count"] for finding in findings if finding["level"] == "error"}


def test_check_finds_missing_and_resized_photographs(run, make, tmp_path):
    """Counted by photograph, not by expression; a grey photograph is none of them."""
    root = write_refcoco(make, tmp_path)
    (tmp_path / "images/mscoco/images/train2014/COCO_train2014_000000000007.jpg").unlink()
    make.image(tmp_path / "images/mscoco/images/train2014/COCO_train2014_000000000008.jpg", 61, 40)
    found = kinds(run("check", "refcoco", "--root", root, "--split", "val", "--json"))
    assert (found["image_missing"], found["image_size"]) == (1, 1)


def test_check_finds_empty_masks_changed_and_damaged_photographs(run, make, tmp_path):
    """Empty run lengths, another SHA-256 and a file that is no image are told apart."""
    for name in ("a.png", "b.png"):
        make.image(tmp_path / name, 60, 40)
    (tmp_path / "c.png").write_bytes(b"no image")
    empty = rle_encode(np.zeros((40, 60), dtype=bool)).to_json()
    base = {"expression": "x", "mask": empty, "width": 60, "height": 40}
    lines = [{"id": "1", "image": "a.png"}, {"id": "2", "image": "b.png", "image_sha256": "0" * 64}]
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps(base | line) for line in lines))
    found = kinds(run("check", "mine.jsonl", "--json"))
    assert found == {"mask_empty": 2, "image_changed": 1}
    (tmp_path / "mine.jsonl").write_text(json.dumps(base | {"id": "3", "image": "c.png"}))
    result = run("check", "mine.jsonl")
    assert result.exit_code == 2
    assert "cannot be read as an image" in result.stdout


def test_check_of_a_good_file_ends_with_ok(run, make, tmp_path):
    """Exit code 0 and a last line that says so."""
    make.image(tmp_path / "a.png", 60, 40)
    line = {"id": "1", "image": "a.png", "expression": "x", "mask": [make.square]}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line))
    result = run("check", "mine.jsonl")
    assert (result.exit_code, result.stdout.strip().splitlines()[-1].strip()) == (0, "ok")


def test_check_of_a_config_looks_at_every_dataset(run, make, tmp_path):
    """Each dataset of a run is checked; one that cannot be read is a finding among the others."""
    make.image(tmp_path / "a.png", 60, 40)
    line = {"id": "1", "image": "a.png", "expression": "x", "mask": [make.square]}
    (tmp_path / "good.jsonl").write_text(json.dumps(line))
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "run.yaml").write_text(
        "name: r\ndatasets:\n  - {name: good, format: jsonl, path: good.jsonl}\n"
        "  - {name: bad, format: jsonl, path: bad.jsonl}\n"
        "models: [{name: m, provider: python, function: whole-image}]\n"
    )
    result = run("check", "run.yaml", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert [entry["ok"] for entry in document["datasets"]] == [True, False]
    assert "bad.jsonl:1" in document["datasets"][1]["findings"][0]["text"]


def test_grefcoco_release_is_recognised_or_questioned(run, make, tmp_path):
    """A total that is no known release's is told with the releases that are known."""
    make.refer(tmp_path, [make.ref(1, [2], "a")], folder="grefcoco", name="grefs(unc).json")
    for number in (7, 8):
        make.image(tmp_path / f"images/train2014/COCO_train2014_{number:012}.jpg", 60, 40)
    result = run("check", "grefcoco", "--root", str(tmp_path), "--strict")
    assert result.exit_code == 2
    assert "no known release (CVPR 2023: 278,232; journal 2026: 259,859)" in result.stdout


def test_show_outlines_targets_and_copes_with_missing_photographs(run, make, tmp_path):
    """The sheet has the outline's colour; a missing photograph leaves a note and a grey cell."""
    write_refcoco(make, tmp_path)
    (tmp_path / "images/mscoco/images/train2014/COCO_train2014_000000000008.jpg").unlink()
    result = run("show", "refcoco", "--root", str(tmp_path), "--split", "val", "--out", "sheet.png")
    assert result.exit_code == 0, result.output
    assert "sheet.png: 3 of 3 samples" in result.stdout
    assert "does not exist" in result.stderr
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    cyan = (pixels[..., 0] < 60) & (pixels[..., 1] > 200) & (pixels[..., 2] > 230)
    assert cyan.sum() > 200


def test_show_says_which_letters_have_no_font(run, make, tmp_path):
    """Letters that no installed font has are named, with what to install."""
    make.image(tmp_path / "a.png", 60, 40)
    line = {"id": "1", "image": "a.png", "expression": "\U0001f9ff$x_1$ and \ue000", "mask": [make.square]}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line))
    result = run("show", "mine.jsonl", "--out", "sheet.png", "--limit", "1")
    assert result.exit_code == 0, result.output
    assert "have no installed font" in result.stderr


def test_usage_errors(run, make, tmp_path):
    """Unknown names, a root for a config, a folder that is not there: one paragraph and exit code 2."""
    assert run("check", "nothing").exit_code == 2
    result = run(
        "show", "refcoco", "--root", write_refcoco(make, tmp_path), "--split", "val", "--out", "no/sheet.png"
    )
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr


def test_masks_that_look_wrong_are_told_apart():
    """Empty, inverted and speckled masks; a sound one and a small one have nothing to tell."""
    sound = np.zeros((60, 80), dtype=bool)
    sound[10:40, 20:60] = True
    speckled = np.zeros((60, 80), dtype=bool)
    speckled[::2, ::2] = True
    assert mask_doubt(rle_encode(sound)) is None
    assert mask_doubt(rle_encode(sound & speckled)) == "mask_speckled"
    assert mask_doubt(rle_encode(~sound | (sound & ~speckled[::-1]))) == "mask_whole"
    assert mask_doubt(rle_encode(sound & ~sound)) == "mask_empty"
    assert mask_doubt(region_rle(Polygons(((1, 1, 2, 2),)), 40, 60)) == "mask_empty"


def test_run_lengths_as_bytes_and_random_masks_pass_the_check():
    """Counts as text and as bytes are read alike; every mask that pycocotools encodes passes the check."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        mask = rng.random((rng.integers(1, 50), rng.integers(1, 50))) < rng.random()
        rle = rle_encode(mask)
        assert checked_rle(rle.counts, rle.height_px, rle.width_px, "x") == rle
        as_bytes = {"size": [rle.height_px, rle.width_px], "counts": rle.counts}
        assert read_segmentation(as_bytes, rle.height_px, rle.width_px, "x") == rle
