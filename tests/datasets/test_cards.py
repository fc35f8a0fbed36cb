"""Cards by name, what an entry overrides, and the choice of whole images."""

import json

import pytest

from evalkit.config.schema import DatasetConfig, RunConfig
from evalkit.datasets import LOADERS, load_samples, resolve_dataset, select_whole_images
from evalkit.datasets.cards import all_cards, card_files, card_protocol, find_card, protocols_of
from evalkit.errors import ConfigError, DataError
from evalkit.metrics.protocols import PROTOCOLS
from evalkit.types import GroundTruth, ImageRef, Sample

CARD = """
name: mine
title: Mine
description: My own
licence: none
source: here
layout: a file
citation: none
format: jsonl
path: mine.jsonl
splits: {val: {expressions: 2}}
default_split: val
protocol: default
"""


def test_every_card_is_complete_and_names_what_exists():
    """All cards parse; their formats, protocols and default splits are known."""
    cards = all_cards()
    assert len(cards) >= 17
    for card in cards:
        assert card.format in LOADERS, card.name
        assert card.protocol in PROTOCOLS, card.name
        assert card.default_split in {"all", *card.splits}, card.name
        assert len(card.description) > 40, card.name


def test_every_format_has_a_card_with_its_default_split():
    """An inline entry without a split takes the card's of its format."""
    without_card = {"jsonl", "csv", "parquet"}
    assert set(LOADERS) - without_card <= set(card_files())


def test_refcoco_counts_agree_with_the_published_totals():
    """Sums that other sources give: 142,210 sentences, 21,586 in val and tests (Ref-L4)."""
    splits = find_card("refcoco").splits
    assert sum(counts.expressions for counts in splits.values()) == 142_210
    assert sum(splits[name].expressions for name in ("val", "testA", "testB")) == 21_586
    plus = find_card("refcoco+").splits
    assert sum(plus[name].expressions for name in ("val", "testA", "testB")) == 21_373
    umd = find_card("refcocog").splits
    assert sum(umd[name].expressions for name in ("val", "test")) == 14_498


def test_unknown_names_list_the_known_and_the_nearest(tmp_path):
    """A slip in a card's name, a format's or an inline entry's is met with the near one."""
    with pytest.raises(ConfigError, match="no dataset card 'refcocoo'. Did you mean 'refcoco'"):
        find_card("refcocoo")
    with pytest.raises(
        ConfigError, match="'grefcoc' is no card and has no `format:`. Did you mean 'grefcoco'"
    ):
        load_samples(DatasetConfig(name="grefcoc"), tmp_path)
    with pytest.raises(ConfigError, match="no format 'jsonll'. Did you mean 'jsonl'"):
        load_samples(DatasetConfig(name="x", format="jsonll"), tmp_path)
    assert card_protocol("no-such-card") is None
    assert card_protocol("reasonseg") == "lisa"


def test_the_protocol_is_that_of_the_card_named_like_the_format():
    """An inline dataset is scored as its format's papers do, whatever its name; its own word goes first."""
    entries = [
        {"name": "mine", "format": "saco", "root": "x"},
        {"name": "saco", "format": "jsonl", "path": "x"},
        {"name": "other", "format": "saco", "root": "x", "protocol": "default"},
        {"name": "grefcoco", "root": "x"},
    ]
    model = {"name": "m", "provider": "python", "function": "whole-image"}
    config = RunConfig.model_validate({"name": "r", "datasets": entries, "models": [model]})
    expected = {"mine": "saco", "saco": "default", "other": "default", "grefcoco": "rela"}
    assert protocols_of(config) == expected


def test_a_card_that_is_not_shipped_says_where_to_get_it(tmp_path):
    """Without root the message has the source and the layout."""
    with pytest.raises(ConfigError, match=r"'refcoco' is not shipped.*lichengunc/refer.*refs\(unc\)\.p"):
        load_samples(DatasetConfig(name="refcoco"), tmp_path)


def test_a_card_of_the_working_directory_and_its_overrides(tmp_path, monkeypatch):
    """datasets/NAME.yaml of the working directory counts; split and path of the entry go before the card's."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "mine.yaml").write_text(CARD)
    row = {"image": "a.png", "width": 9, "height": 9, "expression": "x", "mask": [[1, 1, 5, 1, 5, 5]]}
    lines = [json.dumps(row | {"id": n, "split": "val" if n < 2 else "test"}) for n in range(3)]
    (folder / "mine.jsonl").write_text("\n".join(lines))
    assert len(list(load_samples(DatasetConfig(name="mine"), tmp_path))) == 2
    assert len(list(load_samples(DatasetConfig(name="mine", split="all"), tmp_path))) == 3
    (tmp_path / "other.jsonl").write_text(lines[0])
    other = resolve_dataset(DatasetConfig(name="mine", path="other.jsonl"), tmp_path)
    assert other.path == str(tmp_path / "other.jsonl")
    moved = resolve_dataset(DatasetConfig(name="mine", root="elsewhere"), tmp_path)
    assert moved.path == str(tmp_path / "elsewhere/mine.jsonl")


def test_a_broken_card_names_its_line(tmp_path, monkeypatch):
    """Unknown keys and a name that is not the file's are told with file and line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/yours.yaml").write_text(CARD + "licens: x\n")
    with pytest.raises(ConfigError, match=r"yours\.yaml:2: name must be 'yours'") as caught:
        find_card("yours")
    assert "unknown key 'licens'" in str(caught.value)


def test_photographs_of_an_installed_package(tmp_path, monkeypatch):
    """`images: {package, folder}` is the package's folder; a missing package is a clear error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/mine.yaml").write_text(CARD + "images: {package: skimage, folder: data}\n")
    folder = find_card("mine").images_folder()
    assert folder is not None
    assert folder.endswith("skimage/data")
    (tmp_path / "datasets/mine.yaml").write_text(CARD + "images: {package: no_such_package}\n")
    with pytest.raises(ConfigError, match="'no_such_package'.*not installed"):
        find_card("mine").images_folder()


def sample(number, image):
    """Return a bare sample."""
    return Sample("d", "val", str(number), image, ImageRef("x"), "text", GroundTruth(4, 4))


SAMPLES = [sample(number, f"image{number * 7 % 40}") for number in range(200)]


def test_whole_images_are_chosen_in_the_datasets_order():
    """At least the size is reached, no image is cut, the order is kept, the last image could not be spared."""
    chosen = select_whole_images(SAMPLES, 52, seed=3)
    images = {item.image_id for item in chosen}
    assert chosen == [item for item in SAMPLES if item.image_id in images]
    assert 52 <= len(chosen) < 52 + 5


def test_the_choice_depends_on_the_seed_alone():
    """Another order of the file gives the same images; another seed others; a larger size contains the smaller."""
    chosen = {item.sample_id for item in select_whole_images(SAMPLES, 50, seed=3)}
    assert {item.sample_id for item in select_whole_images(reversed(SAMPLES), 50, seed=3)} == chosen
    assert {item.sample_id for item in select_whole_images(SAMPLES, 50, seed=4)} != chosen
    assert {item.sample_id for item in select_whole_images(SAMPLES, 90, seed=3)} > chosen


@pytest.mark.parametrize("size", [None, 200, 1000])
def test_no_size_or_a_large_one_keeps_everything(size):
    """Nothing is dropped or reordered."""
    assert select_whole_images(iter(SAMPLES), size, seed=1) == SAMPLES


def test_ids_that_repeat_are_an_error(make, tmp_path):
    """Two sentences with one key could not be told apart."""
    twice = make.ref(1, 1, "a") | {"sentences": [{"sent_id": 4, "sent": "a"}, {"sent_id": 4, "sent": "b"}]}
    make.refer(tmp_path, [twice])
    with pytest.raises(DataError, match="sample id '1:4' occurs twice"):
        list(load_samples(DatasetConfig(name="x", format="refcoco", root="."), tmp_path))
