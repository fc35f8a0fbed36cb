"""Folders of photographs and masks: who belongs to whom, and what cannot be told."""

import pytest

from evalkit.datasets.folder_pairs import find_pairs, words_of
from evalkit.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Return a short call: names -> a folder with those (empty) files."""

    def call(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return call


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("cup.jpg", "masks/cup.png"),
        ("images/cup.png", "labels/cup.png"),
        ("cup.png", "cup_mask.png"),
        ("cup.jpeg", "cup.png"),
        ("images/cup.webp", "Masks/cup_seg.png"),
        ("cup.JPG", "gt/cup.tif"),
    ],
)
def test_masks_are_found_by_folder_ending_or_kind(image, mask, folder):
    """One stem names a photograph and its mask."""
    (pair,) = find_pairs(folder(image, mask, ".hidden/cup.png", "notes.txt"))
    assert (pair.stem, pair.image, pair.mask) == ("cup", image, mask)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("notes.txt",), "holds no photographs"),
        (("cup.jpg",), "no partner of the same stem: cup.jpg"),
        (("cup.jpg", "masks/cap.png"), "2 pictures have no partner"),
        (("a/cup.jpg", "b/cup.jpg", "masks/cup.png"), "2 photographs are called 'cup'"),
        (("cup.jpg", "masks/cup.png", "cup_mask.png"), "2 masks are called 'cup'"),
    ],
)
def test_what_cannot_be_told_is_refused(names, complaint, folder):
    """The pictures at fault are named."""
    with pytest.raises(DataError, match=complaint):
        find_pairs(folder(*names))


@pytest.mark.parametrize(
    ("stem", "words"),
    [("red-cup_2", "red cup"), ("two blue books", "two blue books"), ("IMG_2041", None), ("0001", None)],
)
def test_a_camera_s_file_name_is_no_expression(stem, words):
    """Only words that describe something are asked."""
    assert words_of(stem) == words
