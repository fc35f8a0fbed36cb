"""COCO, LVIS and panoptic files by class name: crowds, negatives, exhaustiveness, damaged files."""

import re

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import ConfigError, DataError
from evalkit.masks import region_mask, truth_mask


def test_one_sample_per_image_and_class(load, make, tmp_path):
    """Two classes on the first photograph, one on the second; crowds count neither way."""
    make.json(tmp_path / "inst.json", make.coco())
    samples = load("coco", path="inst.json", images="photos")
    assert [sample.sample_id for sample in samples] == ["7:17", "7:18", "8:18"]
    cat, dog, _ = samples
    assert (cat.expression, cat.tags["supercategory"], cat.tags["targets"]) == ("cat", "animal", "one")
    assert dog.image.path == str(tmp_path / "photos/COCO_train2014_000000000007.jpg")
    assert len(dog.truth.instances) == 1
    assert region_mask(dog.truth.ignore, 40, 60).sum() == 5


def test_a_class_with_a_crowd_alone_is_left_out(load, make, tmp_path):
    """Only a crowd region is no target that a model could be scored on."""
    content = make.coco()
    content["annotations"] = [content["annotations"][2]]
    make.json(tmp_path / "inst.json", content)
    assert load("coco", path="inst.json") == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"annotations": None}, "no list 'annotations'"),
        ({"images": None}, "no list 'images'.*not a COCO"),
        ({"categories": []}, "belongs to category 17, which the file does not have"),
        ({"images": []}, "belongs to image 7"),
        (
            {"annotations": [{"id": 1, "image_id": 7, "category_id": 17, "segmentation": []}]},
            "no annotation has a 'segmentation'",
        ),
    ],
)
def test_files_that_are_no_instances_are_refused(change, complaint, load, make, tmp_path):
    """The message names the file and what it lacks."""
    make.json(tmp_path / "inst.json", make.coco(**change))
    with pytest.raises(DataError, match=rf"inst\.json.*{complaint}"):
        load("coco", path="inst.json")


def test_a_missing_path_is_a_config_error(load):
    """`coco` needs a file."""
    with pytest.raises(ConfigError, match="needs `path:`"):
        load("coco", root=".")


def test_lvis_negatives_and_partial_classes(load, make, tmp_path):
    """neg_category_ids make samples without target, not_exhaustive_category_ids mark theirs; names come from coco_url."""
    images = [
        {
            "id": 7,
            "height": 40,
            "width": 60,
            "coco_url": "http://images.cocodataset.org/val2017/000000000007.jpg",
            "neg_category_ids": [19],
            "not_exhaustive_category_ids": [18],
        }
    ]
    content = make.coco(images=images)
    content["annotations"] = content["annotations"][:2]
    content["categories"].append({"id": 19, "name": "baseball_bat"})
    make.json(tmp_path / "lvis.json", content)
    cat, dog, bat = load("lvis", path="lvis.json", images="coco")
    assert cat.image.path == str(tmp_path / "coco/val2017/000000000007.jpg")
    assert (cat.truth.exhaustive, dog.truth.exhaustive) == (True, False)
    assert (bat.expression, bat.truth.no_target, bat.tags["targets"]) == ("baseball bat", True, "none")
    make.json(tmp_path / "lvis.json", make.coco())
    with pytest.raises(DataError, match="COCO, not LVIS"):
        load("lvis", path="lvis.json")


def write_panoptic(make, tmp_path, size=(40, 60)):
    """Write a panoptic file with segments 300 (dog) and 70000 (dog) and 9 (grass), and return its masks."""
    ids = np.zeros(size, dtype=np.uint32)
    ids[2:10, 3:9], ids[20:30, 30:50], ids[35:, :] = 300, 70000, 9
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    (tmp_path / "panoptic_val").mkdir(exist_ok=True)
    Image.fromarray(colours).save(tmp_path / "panoptic_val/7.png")
    segments = [
        {"id": 300, "category_id": 18, "iscrowd": 0, "bbox": [3, 2, 6, 8]},
        {"id": 70000, "category_id": 18, "iscrowd": 0, "bbox": [30, 20, 20, 10]},
        {"id": 9, "category_id": 20, "iscrowd": 0, "bbox": [0, 35, 60, 5]},
    ]
    content = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 40, "width": 60}],
        "annotations": [{"image_id": 7, "file_name": "7.png", "segments_info": segments}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 20, "name": "grass-merged"}],
    }
    make.json(tmp_path / "panoptic_val.json", content)
    return ids


def test_panoptic_segments_are_read_from_their_colours(load, make, tmp_path):
    """Id = R + 256 G + 65536 B; two segments of a class make one sample of two instances."""
    ids = write_panoptic(make, tmp_path)
    dog, grass = load("coco", path="panoptic_val.json")
    assert len(dog.truth.instances) == 2
    assert np.array_equal(truth_mask(dog.truth), (ids == 300) | (ids == 70000))
    assert np.array_equal(truth_mask(grass.truth), ids == 9)
    assert dog.truth.box_px_xyxy == (3.0, 2.0, 50.0, 30.0)


def test_panoptic_masks_that_are_missing_or_of_another_size(load, make, tmp_path):
    """A PNG that cannot be read is the fault of the samples of its image; the message names it."""
    write_panoptic(make, tmp_path, size=(41, 60))
    dog, grass = load("coco", path="panoptic_val.json")
    assert re.search(r"7\.png is 60x41 .* image is 60x40", dog.truth.fault)
    assert dog.truth.fault == grass.truth.fault
    png = tmp_path / "panoptic_val/7.png"
    png.write_bytes(png.read_bytes()[:60])
    assert "7.png" in load("coco", path="panoptic_val.json")[0].truth.fault
    png.unlink()
    missing = load("coco", path="panoptic_val.json")[1].truth.fault
    assert re.search(r"7\.png does not exist.*options\.masks", missing)
