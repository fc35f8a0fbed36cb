"""ReasonSeg, PhraseCut, SA-Co, ConverSeg, MUSE, MMR, RefCOCOm and GSEval: the traps of each."""

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from evalkit.errors import ConfigError, DataError
from evalkit.masks import region_mask, rle_encode, truth_mask
from evalkit.types import MaskFile


def box_ring(x0, y0, x1, y1):
    """Return the corners of a rectangle as points."""
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


@pytest.fixture
def reason(tmp_path, load, make):
    """Return a call that writes one ReasonSeg photograph with these shapes and loads it."""

    def call(*shapes, text=("What cuts bread?", "the knife"), split="val", encoding="utf-8", **more):
        folder = tmp_path / "reason_seg/ReasonSeg" / split
        make.image(folder / "a.jpg", 60, 40)
        record = {
            "text": list(text),
            "is_sentence": True,
            "shapes": [dict(zip(("label", "points"), s, strict=True)) for s in shapes],
        }
        make.json(folder / "a.json", record | more, encoding)
        return load("reasonseg", root=".", split=split)

    return call


LARGE, SMALL = box_ring(5, 5, 40, 30), box_ring(10, 10, 20, 20)


@pytest.mark.parametrize(
    ("shapes", "target_px", "ignored_px"),
    [
        ([("target", LARGE), ("ignore", SMALL)], 36 * 26 - 121, 121),
        ([("ignore", SMALL), ("target", LARGE)], 36 * 26 - 121, 121),
        ([("target", SMALL), ("ignored area", LARGE)], 121, 36 * 26 - 121),
        ([("target", SMALL), ("flag", LARGE), ("FLAG", LARGE)], 121, 0),
        ([("target", SMALL), ("second thing", box_ring(50, 5, 55, 8))], 121 + 24, 0),
    ],
)
def test_smaller_shapes_overwrite_larger_ones(shapes, target_px, ignored_px, reason):
    """Ignore in target, target in ignore, whatever the order; "flag" is dropped; OpenCV's inclusive edges."""
    (sample,) = reason(*shapes)
    ignored = 0 if sample.truth.ignore is None else int(region_mask(sample.truth.ignore, 40, 60).sum())
    assert (int(truth_mask(sample.truth).sum()), ignored) == (target_px, ignored_px)


def test_points_are_cut_to_integers(reason):
    """Fractions are dropped, not rounded."""
    (sample,) = reason(("target", [[10.9, 10.9], [20.9, 10.9], [20.9, 20.9], [10.9, 20.9]]))
    assert truth_mask(sample.truth).sum() == 121
    assert truth_mask(sample.truth)[10:21, 10:21].all()


def test_of_two_equal_shapes_the_earlier_is_drawn_last(reason):
    """As numpy's reversed argsort orders ties in LISA's reader."""
    (sample,) = reason(("target", SMALL), ("ignore", SMALL))
    assert truth_mask(sample.truth).sum() == 121


def test_val_asks_the_first_text_and_train_all(reason):
    """The id is stem:index; is_sentence tells long queries from short ones."""
    (sample,) = reason(("target", SMALL))
    assert (sample.sample_id, sample.expression, sample.tags["query"]) == ("a:0", "What cuts bread?", "long")
    assert [s.sample_id for s in reason(("target", SMALL), split="train")] == ["a:0", "a:1"]


def test_cp1252_files_are_read(reason):
    """A file that is not UTF-8 is Windows-1252."""
    (sample,) = reason(("target", SMALL), text=["the café € left"], encoding="cp1252")
    assert sample.expression == "the café € left"


def test_reasonseg_needs_its_photographs_or_a_size(reason, tmp_path, load):
    """Without the photograph its size is unknown (a data error when asked), unless the file says it."""
    reason(("target", SMALL))
    (tmp_path / "reason_seg/ReasonSeg/val/a.jpg").unlink()
    (sample,) = load("reasonseg", root=".", split="val")
    assert not sample.truth.size_known
    record = json.loads((tmp_path / "reason_seg/ReasonSeg/val/a.json").read_text())
    (tmp_path / "reason_seg/ReasonSeg/val/a.json").write_text(
        json.dumps(record | {"imageWidth": 60, "imageHeight": 40})
    )
    (sample,) = load("reasonseg", root=".", split="val")
    assert (sample.truth.width_px, sample.truth.height_px) == (60, 40)


def test_reasonseg_complaints(reason, tmp_path, load):
    """No target left, a shape without points, a wrong root and a wrong split are told."""
    with pytest.raises(DataError, match="no pixel of a target"):
        reason(("ignore", SMALL))
    with pytest.raises(DataError, match="shape 0"):
        reason(("target", [[1, 2, 3]]))
    with pytest.raises(ConfigError, match="split 'testA' is not in .*val"):
        load("reasonseg", root=".", split="testA")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="looked for train/, val/ or test/.*is empty"):
        load("reasonseg", root="empty")


def test_phrasecut_polygons_are_pillows(load, make, tmp_path):
    """Each instance is what ImageDraw draws on truncated points; polygons of one point are left out."""
    polygon = [[10.7, 10.2], [30.9, 12.4], [22.5, 33.3]]
    task = {
        "task_id": "7__1",
        "image_id": 7,
        "phrase": "white dog",
        "ann_ids": [1, 2],
        "Polygons": [[polygon, [[50.0, 30.0]]], [box_ring(40, 2, 45, 6)]],
        "instance_boxes": [[10, 10, 21, 24], [40, 2, 6, 5]],
    }
    folder = tmp_path / "VGPhraseCut_v0"
    make.json(
        folder / "image_data_split3000.json", [{"image_id": 7, "width": 60, "height": 40, "split": "val"}]
    )
    make.json(folder / "refer_val.json", [task])
    (sample,) = load("phrasecut", root=".", split="val")
    canvas = Image.new("1", (60, 40))
    ImageDraw.Draw(canvas).polygon([(10, 10), (30, 12), (22, 33)], fill=1, outline=1)
    assert np.array_equal(region_mask(sample.truth.instances[0], 40, 60), np.asarray(canvas))
    assert (sample.sample_id, sample.tags["targets"], sample.truth.box_px_xyxy) == (
        "7__1",
        "many",
        (10, 2, 46, 34),
    )
    with pytest.raises(ConfigError, match="split 'val_miniv'"):
        load("phrasecut", root=".", split="val_miniv")


def saco_files(make, tmp_path, annotators="abc"):
    """Write one subset: a positive pair and a negative one, boxes normalised, the second annotator unsure."""
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:20, 15:30] = True
    for letter in annotators:
        pairs = [
            {
                "id": n,
                "file_name": "p.jpg",
                "text_input": text,
                "width": 60,
                "height": 40,
                "is_instance_exhaustive": 1,
            }
            for n, text in ((1, "dog"), (2, "unicorn"))
        ]
        pairs[0]["is_instance_exhaustive"] = 0 if letter == "b" else 1
        entry = {
            "id": 5,
            "image_id": 1,
            "area": 0.0625,
            "bbox": [0.25, 0.25, 0.25, 0.25],
            "category_id": 1,
            "iscrowd": 0,
        }
        content = {"images": pairs, "annotations": [entry | {"segmentation": rle_encode(mask).to_json()}]}
        make.json(tmp_path / f"gold_crowded_merged_{letter}_release_test.json", content)


def test_saco_pairs_negatives_and_annotators(load, make, tmp_path):
    """One photograph in two pairs; boxes in pixels; a pair without annotation is a negative; b is not exhaustive."""
    saco_files(make, tmp_path)
    dog, unicorn = load("saco", root=".")
    assert (dog.sample_id, dog.image_id, unicorn.image_id, dog.split) == ("1", "p.jpg", "p.jpg", "crowded")
    assert dog.truth.box_px_xyxy == (15.0, 10.0, 30.0, 20.0)
    assert unicorn.truth.no_target
    assert [truth.exhaustive for truth in (dog.truth, *dog.truth.alternatives)] == [True, False, True]
    assert len(unicorn.truth.alternatives) == 2


def test_saco_refuses_a_missing_annotator(load, make, tmp_path):
    """Two of three files are half a download; one alone may be given as path on purpose."""
    saco_files(make, tmp_path, "ab")
    with pytest.raises(DataError, match="2 of 3 annotators"):
        load("saco", root=".")
    samples = load("saco", path="gold_crowded_merged_a_release_test.json")
    assert samples[0].truth.alternatives == ()
    with pytest.raises(DataError, match="subset sa1b.*found the subsets: crowded"):
        load("saco", root=".", split="sa1b")


def test_converseg_json_mode_reads_grey_and_ignores_alpha(load, make, tmp_path):
    """A mask with an alpha channel is read by its grey value, as the authors' JSON mode does."""
    rgba = np.zeros((40, 60, 4), dtype=np.uint8)
    rgba[5:10, 5:10, :3] = 255
    rgba[..., 3] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(rgba).save(tmp_path / "masks/a.png")
    item = {
        "id": "a",
        "image": "images/x.jpg",
        "mask": "masks/a.png",
        "prompt": "the thing",
        "concept": "relations",
    }
    (tmp_path / "human_annotated.jsonl").write_text(json.dumps(item) + "\n")
    (sample,) = load("converseg", root=".", split="human_annotated")
    assert sample.truth.instances == (MaskFile(str(tmp_path / "masks/a.png"), "nonzero"),)
    assert truth_mask(sample.truth).sum() == 25
    assert (sample.tags["concept"], sample.image_id) == ("relations", "x")
    make.json(tmp_path / "items.json", {"count": 3, "items": [item]})
    with pytest.raises(DataError, match="holds 1 items but says 'count': 3"):
        load("converseg", root=".", split="all")
    with pytest.raises(ConfigError, match="split 'sam_seeded' is not in .*human_annotated"):
        load("converseg", root=".", split="sam_seeded")


def question_record(make, **more):
    """Return one photograph with a question of two targets and one of none."""
    target = {"bbox": [10, 10, 10, 10], "category_name": "dog", "segmentation": [make.square]}
    other = target | {"segmentation": [[value + 5 for value in make.square]], "bbox": [15, 15, 10, 10]}
    return {
        "height": 40,
        "width": 60,
        "questions": ["which?", "none?"],
        "answers": [[target, other], []],
    } | more


@pytest.mark.parametrize(
    ("record", "image"),
    [
        ({"file_name": "a.jpg"}, "images/train2014/a.jpg"),
        ({"coco_url": "http://images.cocodataset.org/train2017/b.jpg"}, "images/train2017/b.jpg"),
    ],
)
def test_muse_questions_unite_their_targets(record, image, load, make, tmp_path):
    """Overlapping targets are a union; photographs come from two COCO releases."""
    make.json(tmp_path / "dataset/muse_val.json", [question_record(make, **record)])
    two, none = load("muse", root=".", images="images", split="val")
    assert truth_mask(two.truth).sum() == 175
    assert (two.sample_id, two.tags["targets"], none.tags["targets"]) == ("val:0:0", "many", "none")
    assert two.image.path == str(tmp_path / image)


def test_mmr_and_its_complaints(load, make, tmp_path):
    """Questions and answers must pair up; an unknown split lists those there are."""
    make.json(tmp_path / "MMR_test_mixed.json", [question_record(make, file_name="val2017/a.jpg")])
    assert len(load("mmr", root=".", split="test_mixed")) == 2
    with pytest.raises(ConfigError, match="split 'val' is not in .*test_mixed"):
        load("mmr", root=".", split="val")
    make.json(tmp_path / "MMR_val.json", [question_record(make, file_name="val2017/a.jpg", answers=[[]])])
    with pytest.raises(DataError, match="row 0: 'questions' and 'answers'"):
        load("mmr", root=".", split="val")


@pytest.mark.parametrize("folder", ["RefCOCOm", "Refcocom"])
def test_refcocom_in_both_spellings_of_its_folder(folder, load, make, tmp_path):
    """Case matters on Linux and the field writes both; a missing mask is its sample's fault."""
    record = {
        "img_name": "COCO_train2014_7.jpg",
        "segment_id": 4,
        "bbox": [1, 2, 3, 4],
        "sentences": [{"sent_id": 9, "sent": "ear"}],
    }
    make.json(tmp_path / folder / "annotations/val.json", [record])
    make.mask(tmp_path / folder / "masks/4.png", np.ones((40, 60), dtype=bool))
    (sample,) = load("refcocom", root=".", split="val")
    assert (sample.sample_id, sample.truth.width_px, sample.truth.height_px) == ("4:9", 60, 40)
    (tmp_path / folder / "masks/4.png").unlink()
    (without,) = load("refcocom", root=".", split="val")
    assert re.search(r"val\.json: segment 4: the mask .*4\.png does not exist", without.truth.fault)


def test_gseval_rows(load, tmp_path):
    """Idx is the id, class_id the subset; a row without mask names its line."""
    mask = np.zeros((40, 60), dtype=bool)
    mask[3:5, 3:9] = True
    row = {
        "idx": 3,
        "image_path": "unlabeled2017/a.jpg",
        "class_id": 2,
        "label": "ear",
        "caption": "its ear",
        "box": [3, 3, 9, 5],
    }
    good = json.dumps(row | {"segmentation": rle_encode(mask).to_json()})
    path = tmp_path / "GroundingSuite-Eval.jsonl"
    path.write_text(good + "\n")
    (sample,) = load("gseval", root=".")
    assert (sample.sample_id, sample.tags["subset"], sample.truth.box_px_xyxy) == (
        "3",
        "part",
        (3.0, 3.0, 9.0, 5.0),
    )
    path.write_text(good + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"Eval\.jsonl:2: the row has no segmentation"):
        load("gseval", path="GroundingSuite-Eval.jsonl")


def test_reasonseg_photographs_without_annotation_are_half_a_download(reason, make, tmp_path, load):
    """A part never passes for the whole: LISA too reads the JSON of every photograph."""
    reason(("target", SMALL))
    make.image(tmp_path / "reason_seg/ReasonSeg/val/b.jpg", 60, 40)
    with pytest.raises(DataError, match=r"1 of 2 photographs, the first b\.jpg has no annotation"):
        load("reasonseg", root=".", split="val")


def test_a_reasonseg_text_that_is_no_list_is_one_text(reason, tmp_path, load):
    """Not its first letter."""
    reason(("target", SMALL))
    path = tmp_path / "reason_seg/ReasonSeg/val/a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": "the knife"}))
    (sample,) = load("reasonseg", root=".", split="val")
    assert sample.expression == "the knife"
