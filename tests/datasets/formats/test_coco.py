"""COCO files as other tools write them: read where the meaning is certain, else one error that names the place."""

import copy

import pytest

from evalkit.errors import DataError
from evalkit.masks import truth_mask


def changed(make, **of):
    """Return the file of the fixtures with keys of the image 7, the annotation 2 or the category 18 replaced."""
    content = copy.deepcopy(make.coco())
    for name, number in (("images", 0), ("annotations", 1), ("categories", 1)):
        content[name][number] |= of.get(name, {})
    return content


SAME = {
    "sizes as floats": {"images": {"width": 60.0, "height": 40.0}},
    "sizes as text": {"images": {"width": "60", "height": "40"}},
    "image id as text": {"images": {"id": "7"}},
    "annotation's image id as text": {"annotations": {"image_id": "7"}},
    "annotation's image id as a float": {"annotations": {"image_id": 7.0}},
    "category id as text": {"categories": {"id": "18"}},
    "iscrowd as text": {"annotations": {"iscrowd": "0"}},
    "iscrowd as a truth value": {"annotations": {"iscrowd": False}},
    "a box that is none": {"annotations": {"bbox": [[0.0, 0.0, 20.0, 9.0]]}},
    "a box of nothing": {"annotations": {"bbox": []}},
}


@pytest.mark.parametrize("name", SAME)
def test_other_spellings_of_the_same_are_read_alike(make, load, tmp_path, name):
    """Every sample has the target that it has without the change."""
    make.json(tmp_path / "plain.json", make.coco())
    make.json(tmp_path / "other.json", changed(make, **SAME[name]))
    plain, other = load("coco", path="plain.json"), load("coco", path="other.json")
    areas = [[truth_mask(sample.truth).sum() for sample in samples] for samples in (plain, other)]
    assert areas[0] == areas[1]
    assert [sample.expression for sample in plain] == [sample.expression for sample in other]


REFUSED = {
    "a coordinate that is null": (
        {"annotations": {"segmentation": [[10, 10, 20, None, 20, 20]]}},
        "annotation 2.*None",
    ),
    "a coordinate as text": (
        {"annotations": {"segmentation": [[10, 10, 20, "11", 20, 20]]}},
        "annotation 2.*'11'",
    ),
    "a coordinate that is no number": (
        {"annotations": {"segmentation": [[10, 10, 20, float("nan"), 20, 20]]}},
        "annotation 2.*nan",
    ),
    "an infinite coordinate": (
        {"annotations": {"segmentation": [[10, 10, float("inf"), 11, 20, 20]]}},
        "annotation 2.*inf",
    ),
    "a huge coordinate": (
        {"annotations": {"segmentation": [[10, 10, 2e8, 11, 20, 20]]}},
        "annotation 2.*2e\\+08",
    ),
    "a whole number too large for a float": (
        {"annotations": {"segmentation": [[10, 10, 10**400, 11, 20, 20]]}},
        "annotation 2",
    ),
    "a fraction of a pixel as size": ({"images": {"width": 60.5}}, "image 7.*'width' is 60.5"),
    "no size": ({"images": {"height": None}}, "image 7.*'height' is None"),
    "a size of 0": ({"images": {"height": 0}}, "image 7.*'height' is 0"),
    "an endless size": ({"images": {"height": float("inf")}}, "image 7.*'height' is inf"),
    "two images of one id": ({"images": {"id": 8}}, "two entries of 'images' have the id 8"),
    "two ids that are one": ({"images": {"id": "8"}}, "two entries of 'images' have the id"),
    "a crowd of 2": ({"annotations": {"iscrowd": 2}}, "annotation 2.*'iscrowd' is 2"),
    "an image that is not there": ({"annotations": {"image_id": "seven"}}, "belongs to image seven"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(make, load, tmp_path, name):
    """The message says which image or annotation, and the value."""
    change, words = REFUSED[name]
    make.json(tmp_path / "other.json", changed(make, **change))
    with pytest.raises(DataError, match=words):
        load("coco", path="other.json")


@pytest.mark.parametrize("segmentation", [[], None, {}])
def test_objects_with_a_box_alone_are_told_and_left_out(make, load, tmp_path, caplog, segmentation):
    """The other classes of the same photograph stay; the warning counts what is missing."""
    make.json(tmp_path / "other.json", changed(make, annotations={"segmentation": segmentation}))
    assert [sample.sample_id for sample in load("coco", path="other.json")] == ["7:17", "8:18"]
    assert "1 annotations have a box and no segmentation" in caplog.text
    assert "7:18" in caplog.text


def test_backslashes_part_the_folders_of_a_name(make, load, tmp_path):
    """As a tool on Windows writes them; a name that holds one stays as it is where that file exists."""
    make.image(tmp_path / "shots" / "a.jpg", 60, 40)
    make.json(tmp_path / "other.json", changed(make, images={"file_name": "shots\\a.jpg"}))
    assert load("coco", path="other.json")[0].image.path == str(tmp_path / "shots" / "a.jpg")
    make.image(tmp_path / "shots\\a.jpg", 60, 40)
    assert load("coco", path="other.json")[0].image.path == str(tmp_path / "shots\\a.jpg")
