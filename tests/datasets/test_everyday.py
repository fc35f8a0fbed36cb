"""The bundled dataset: what it holds, that it loads, and that its file is what the sources say."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from scipy import ndimage

from evalkit.config.schema import DatasetConfig
from evalkit.datasets import load_samples
from evalkit.masks import region_mask, truth_mask

EVERYDAY = Path(__file__).parents[2] / "datasets" / "everyday"
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def lines():
    """Return the lines of everyday.jsonl as dictionaries."""
    text = (EVERYDAY / "everyday.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def samples():
    """Return the samples as the card and its loader give them."""
    return list(load_samples(DatasetConfig(name="everyday"), EVERYDAY))


@pytest.fixture(scope="module")
def build():
    """Return the script that writes the file, as a module."""
    spec = importlib.util.spec_from_file_location("everyday_build", EVERYDAY / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_id(samples, sample_id):
    """Return the target mask of one sample (bool, H x W)."""
    return truth_mask(next(s for s in samples if s.sample_id == sample_id).truth)


def test_sources_give_the_file_byte_for_byte(build):
    """The committed file is what build.py computes from the outlines and the expressions."""
    built = build.to_text(build.build_lines())
    assert built.encode() == (EVERYDAY / "everyday.jsonl").read_bytes()


def test_every_group_is_large_enough(lines):
    """Each of the five groups has eight expressions or more, over eight photographs or more."""
    groups = Counter(line["tags"]["group"] for line in lines)
    assert set(groups) == {"relationships", "conditions", "abstract", "text", "language"}
    assert min(groups.values()) >= 8
    assert len(lines) >= 60
    assert len({line["image"] for line in lines}) >= 8


def test_languages_absent_targets_and_several_targets(lines):
    """Four foreign languages, eight no-target and six multi-target expressions, or more."""
    languages = {line["tags"]["language"] for line in lines if line["tags"]["group"] == "language"}
    targets = Counter(line["tags"]["targets"] for line in lines)
    assert "en" not in languages
    assert len(languages) >= 4
    assert targets["none"] >= 8
    assert targets["many"] >= 6


def test_tags_agree_with_the_annotation(samples):
    """`targets` counts the instances; every language other than English is in the language group."""
    for sample in samples:
        count = len(sample.truth.instances)
        assert sample.tags["targets"] == ("none" if not count else "one" if count == 1 else "many")
        assert (sample.tags["language"] != "en") == (sample.tags["group"] == "language")


def test_ids_and_questions_are_unique(lines):
    """No id stands twice, and no photograph is asked the same thing twice."""
    assert len({line["id"] for line in lines}) == len(lines)
    assert len({(line["image"], line["expression"]) for line in lines}) == len(lines)


def test_card_counts_what_is_there(samples):
    """The card loads the file, and the counts it states are right."""
    from evalkit.datasets.cards import find_card

    counts = find_card("everyday").splits["all"]
    assert counts.expressions == len(samples)
    assert counts.images == len({sample.image_id for sample in samples})


def test_masks_have_the_size_of_their_photograph(samples):
    """Every annotation is as large as the photograph that scikit-image ships."""
    for sample in samples:
        with Image.open(sample.image.path) as image:
            assert image.size == (sample.truth.width_px, sample.truth.height_px), sample.sample_id
        assert Path(sample.image.path).parent == PHOTOGRAPHS


def test_masks_are_neither_empty_nor_the_whole_image(samples):
    """A target has pixels, and leaves some of the photograph out."""
    for sample in samples:
        for region in sample.truth.instances:
            share = region_mask(region, sample.truth.height_px, sample.truth.width_px).mean()
            assert 0 < share < 0.9, sample.sample_id


def test_instances_of_one_expression_are_disjoint(samples):
    """Target objects of the same expression share no pixel."""
    for sample in samples:
        masks = [
            region_mask(r, sample.truth.height_px, sample.truth.width_px) for r in sample.truth.instances
        ]
        if masks:
            assert np.sum(masks, axis=0).max() == 1, sample.sample_id


def test_masks_have_no_specks(samples):
    """No target has stray pieces or pinholes under 20 pixels, the mark of a slip in an outline."""
    for sample in samples:
        for region in sample.truth.instances:
            mask = region_mask(region, sample.truth.height_px, sample.truth.width_px)
            for side in (mask, ~mask):
                labels, _ = ndimage.label(side, np.ones((3, 3)))
                assert np.bincount(labels.ravel())[1:].min() >= 20, sample.sample_id


def test_coins_agree_with_an_independent_threshold(samples):
    """The bottom row holds what Otsu's threshold finds in that strip, to an IoU of 0.9."""
    from skimage.filters import threshold_otsu

    strip = np.s_[228:296, :382]
    grey = np.asarray(Image.open(PHOTOGRAPHS / "coins.png"), dtype=float)[strip]
    bright = ndimage.binary_fill_holes(grey > threshold_otsu(grey))
    bright = ndimage.binary_opening(bright, np.ones((7, 7)))
    coins = by_id(samples, "coins-bottom-row")[strip]
    assert (bright & coins).sum() / (bright | coins).sum() > 0.9


def test_largest_coin_is_the_largest(samples):
    """What is called the largest coin has more pixels than every other annotated coin."""
    singles = [s for s in samples if s.image_id == "coins.png"]
    areas = {
        (s.sample_id, i): region_mask(r, s.truth.height_px, s.truth.width_px).sum()
        for s in singles
        for i, r in enumerate(s.truth.instances)
    }
    assert areas["coins-largest", 0] == max(areas.values())


def test_parts_lie_inside_their_whole(samples):
    """Pupils lie in the eyes, the fairing in the rocket, words in their line, emblems on the suit."""
    for part, whole in (
        ("chelsea-pupils", "chelsea-eyes"),
        ("rocket-fairing", "rocket-rocket"),
        ("camera-ear", "camera-man"),
        ("astronaut-hair", "astronaut-person"),
        ("astronaut-patch", "astronaut-person"),
        ("motorcycle_left-maker", "motorcycle_left-tank"),
    ):
        inside = by_id(samples, part)
        assert (inside & by_id(samples, whole)).sum() > 0.98 * inside.sum(), part


def test_things_in_front_are_left_out(samples):
    """The saucer leaves out cup and spoon, the astronaut her helmet, the man his camera."""
    for behind, front in (
        ("coffee-saucer", "coffee-cup-not-saucer"),
        ("coffee-saucer", "coffee-spoon"),
        ("astronaut-person", "astronaut-helmet"),
        ("camera-man", "camera-camcorder"),
        ("motorcycle_left-steered-wheel", "motorcycle_left-fender"),
        ("motorcycle_left-tub", "motorcycle_left-signals"),
    ):
        assert not (by_id(samples, behind) & by_id(samples, front)).any(), (behind, front)
