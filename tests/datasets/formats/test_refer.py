"""The refer family's traps: keys, repeated sentences, forms of ann_id and segmentation, incomplete files."""

import numpy as np
import pytest

from evalkit.errors import ConfigError, DataError
from evalkit.masks import rle_encode, truth_mask


def test_one_sample_is_one_sentence_with_its_own_key(load, make, tmp_path):
    """Sentences, repeated ones too, are samples of their own with the id ref:sentence."""
    make.refer(tmp_path, [make.ref(3, 2, "Red shirt", "red shirt", "left dog")])
    samples = load("refcoco", root=".", split="val")
    assert [sample.sample_id for sample in samples] == ["3:30", "3:31", "3:32"]
    assert [sample.expression for sample in samples] == ["red shirt", "red shirt", "left dog"]


def test_the_photograph_is_the_one_of_instances_json(load, make, tmp_path):
    """A ref's own file_name, which exists nowhere, is not used."""
    make.refer(tmp_path, [make.ref(1, 2, "a")])
    (sample,) = load("refcoco", root=".", split="val")
    assert sample.image.path.endswith("images/mscoco/images/train2014/COCO_train2014_000000000007.jpg")
    assert sample.image_id == "7"


def test_overlapping_polygons_are_clipped_to_one(load, make, tmp_path):
    """The union of two overlapping rings is counted once: 100 + 100 - 25 pixels."""
    make.refer(tmp_path, [make.ref(1, 1, "cat")])
    (sample,) = load("refcoco", root=".", split="val")
    assert truth_mask(sample.truth).sum() == 175
    assert sample.truth.box_px_xyxy == (10.0, 10.0, 25.0, 25.0)


@pytest.mark.parametrize("protocol", [0, 2])
def test_both_pickle_protocols_of_the_field_are_read(protocol, load, make, tmp_path):
    """Protocol 0 and 2 give the same samples."""
    make.refer(tmp_path, [make.ref(1, 1, "cat", "the cat")], protocol=protocol)
    assert len(load("refcoco", root=".", split="val")) == 2


def test_the_root_may_be_the_datasets_own_folder(load, make, tmp_path):
    """`root: .../refcoco` works as `root: ...` does, photographs beside it included."""
    make.refer(tmp_path, [make.ref(1, 1, "cat")])
    make.image(tmp_path / "images/mscoco/images/train2014/COCO_train2014_000000000007.jpg", 60, 40)
    (outer,) = load("refcoco", root=".", split="val")
    (inner,) = load("refcoco", root="refcoco", split="val")
    assert outer.image.path == inner.image.path


@pytest.mark.parametrize(
    ("ann_id", "more", "targets"),
    [
        (2, {}, 1),
        ([2], {}, 1),
        ([1, 2], {}, 2),
        ([-1], {"no_target": True}, 0),
        ([-1], {}, 0),
        ([], {}, 0),
        ([2, 3], {}, 1),  # 3 is a crowd: grefer.py leaves it out
    ],
)
def test_every_form_of_ann_id(ann_id, more, targets, load, make, tmp_path):
    """An integer, a list, [-1] and an empty list; a crowd among the targets is left out."""
    make.refer(tmp_path, [make.ref(1, ann_id, "x", **more)], folder="grefcoco", name="grefs(unc).json")
    (sample,) = load("grefcoco", root=".", split="val")
    assert len(sample.truth.instances) == targets
    assert sample.tags["targets"] == ["none", "one", "many"][targets]


def test_refzom_zero_rows_and_raw_text(load, make, tmp_path):
    """Rows whose source is zero have no target whatever ann_id holds; the text is raw."""
    refs = [make.ref(1, [2], "A Dog", source="zero"), make.ref(2, [1, 2], "Both", source="many")]
    make.refer(tmp_path, refs, folder="ref-zom", name="Ref-ZOM(final).p")
    zero, many = load("refzom", root=".", split="val")
    assert (zero.truth.no_target, zero.expression, zero.tags["source"]) == (True, "A Dog", "zero")
    assert len(many.truth.instances) == 2


@pytest.mark.parametrize("form", ["list of rle", "rle dict", "overlapping list of rle", "crowd counts"])
def test_run_lengths_in_every_form(form, load, make, tmp_path):
    """RefCLEF's list of run lengths and crowd annotations give the same mask as their pixels."""
    mask = np.zeros((40, 60), dtype=bool)
    mask[4:9, 7:30] = True
    rle = rle_encode(mask).to_json()
    left, right = mask.copy(), mask.copy()
    left[:, 20:], right[:, :15] = False, False
    runs = [int(n) for n in np.diff(np.flatnonzero(np.diff(np.r_[2, mask.T.ravel().astype(int), 2])))]
    forms = {
        "list of rle": [rle],
        "rle dict": rle,
        "overlapping list of rle": [rle_encode(left).to_json(), rle_encode(right).to_json()],
        "crowd counts": {"size": [40, 60], "counts": runs},
    }
    content = make.coco()
    content["annotations"][1]["segmentation"] = forms[form]
    make.refer(tmp_path, [make.ref(1, 2, "x")], folder="refclef", content=content)
    (sample,) = load("refclef", root=".", split="val")
    assert np.array_equal(truth_mask(sample.truth), mask)


def test_text_ids_of_refclef(load, make, tmp_path):
    """Annotation ids may be text."""
    content = make.coco()
    content["annotations"][1]["id"] = "7_2"
    make.refer(tmp_path, [make.ref(1, "7_2", "x", split="testAB")], folder="refclef", content=content)
    assert len(load("refclef", root=".", split="testA")) == 1
    assert len(load("refclef", root=".", split="testB")) == 1


def test_the_sent_text_is_an_option(load, make, tmp_path):
    """`options: {text: raw}` sends what was typed, `sent` is the cleaned form."""
    make.refer(tmp_path, [make.ref(1, 1, "The CAT!")])
    assert load("refcoco", root=".", options={"text": "raw"})[0].expression == "The CAT!"
    assert load("refcoco", root=".")[0].expression == "the cat!"
    with pytest.raises(ConfigError, match="sent or raw"):
        load("refcoco", root=".", options={"text": "tokens"})
    with pytest.raises(ConfigError, match="no option 'txt'"):
        load("refcoco", root=".", options={"txt": "raw"})


def test_wrong_root_split_and_partition_say_what_is_there(load, make, tmp_path):
    """Each message names what was looked for, where, and what was found instead."""
    make.refer(tmp_path, [make.ref(1, 1, "x"), make.ref(2, 2, "y", split="train")])
    with pytest.raises(
        DataError, match=r"looked for refs\(unc\)\.p .*there is no folder .*nowhere.*Set `root:`"
    ):
        load("refcoco", root="nowhere")
    with pytest.raises(DataError, match=r"partition google.*instances\.json, refs\(unc\)\.p"):
        load("refcoco", root=".", partition="google")
    with pytest.raises(ConfigError, match=r"split 'testA' .*train \(1\), val \(1\)"):
        load("refcoco", root=".", split="testA")
    with pytest.raises(ConfigError, match="needs `root:`"):
        load("refcoco")


def test_half_a_download_and_mixed_releases_are_errors(load, make, tmp_path):
    """Truncated JSON, a missing instances.json and ids that lead nowhere are named, never skipped."""
    make.refer(tmp_path, [make.ref(1, 99, "x")])
    with pytest.raises(DataError, match="ref 1 asks for annotation 99.*different releases"):
        load("refcoco", root=".", split="val")
    make.refer(tmp_path, [make.ref(1, 1, "x", image_id=55)])
    with pytest.raises(DataError, match="asks for image 55"):
        load("refcoco", root=".", split="val")
    path = tmp_path / "refcoco/instances.json"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"instances\.json:1: not valid JSON.*incomplete"):
        load("refcoco", root=".", split="val")
    path.unlink()
    with pytest.raises(DataError, match=r"looked for instances\.json"):
        load("refcoco", root=".", split="val")


@pytest.mark.parametrize(
    ("refs", "complaint"),
    [
        ({}, "holds a dict"),
        ([], "not a list of refs that is not empty"),
        ([5], "is a int"),
        ([{"ref_id": 1}], "has no"),
    ],
)
def test_files_of_another_layout_are_refused(refs, complaint, load, make, tmp_path):
    """A pickle that is no list of refs says so."""
    make.refer(tmp_path, refs)
    with pytest.raises(DataError, match=complaint):
        load("refcoco", root=".")


def test_a_root_may_be_an_fsspec_url(load, make, tmp_path):
    """Annotations and photographs are found below any fsspec URL (here: memory)."""
    import fsspec

    make.refer(tmp_path, [make.ref(1, 1, "cat")])
    memory = fsspec.filesystem("memory")
    for name in ("refs(unc).p", "instances.json"):
        memory.pipe(f"/field/refcoco/{name}", (tmp_path / "refcoco" / name).read_bytes())
    memory.pipe("/field/images/train2014/COCO_train2014_000000000007.jpg", b"x")
    (sample,) = load("refcoco", root="memory://field", split="val")
    assert sample.image.path == "memory://field/images/train2014/COCO_train2014_000000000007.jpg"
    with pytest.raises(DataError, match="there is no folder memory://elsewhere"):
        load("refcoco", root="memory://elsewhere", split="val")


def test_rrsisd_reads_raw_text_and_the_boxes_of_masks(load, make, tmp_path):
    """RMSIN's layout: raw sentences, photographs of its own folder; an annotation's bbox, of unknown form, is not used."""
    content = make.coco()
    content["annotations"][1]["bbox"] = [10, 10, 20, 20]
    make.refer(
        tmp_path,
        [make.ref(1, 2, "The Red Ship"), make.ref(2, 1, "a", split="test")],
        "rrsisd",
        content=content,
    )
    make.image(tmp_path / "images/rrsisd/JPEGImages/COCO_train2014_000000000007.jpg", 60, 40)
    (sample,) = load("rrsisd", root=".", split="val")
    assert (sample.sample_id, sample.expression) == ("1:10", "The Red Ship")
    assert sample.image.path.endswith("images/rrsisd/JPEGImages/COCO_train2014_000000000007.jpg")
    assert truth_mask(sample.truth).sum() == 100
    assert sample.truth.box_px_xyxy is None
    assert len(load("rrsisd", root=".", split="test")) == 1


@pytest.mark.parametrize(("layout", "why"), [("finecops-ref", "negative sample"), ("ref-l4", "boxes alone")])
def test_a_known_layout_that_is_not_read_says_why(layout, why, load):
    """Not only that there is no such format."""
    with pytest.raises(ConfigError, match=why):
        load(layout, root=".")
