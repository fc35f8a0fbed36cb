"""A dataset is found from the folder above it, from its own folder, and by one file of it."""

import pytest

from evalkit.errors import ConfigError, DataError

FOLDERS = [
    ("refcoco", "refcoco", "all"),
    ("refclef", "refclef", "all"),
    ("grefcoco", "grefcoco", "all"),
    ("refzom", "ref-zom", "all"),
    ("reasonseg", "reason_seg", "all"),
    ("phrasecut", "VGPhraseCut_v0", "all"),
    ("saco", "saco_gold", "all"),
    ("converseg", "converseg", "human_annotated"),
    ("muse", "muse", "val"),
    ("mmr", "MMR", "val"),
    ("refcocom", "RefCOCOm", "val"),
    ("gseval", "gseval", None),
]

FILES = [
    ("refcoco", "refcoco/refs(unc).p"),
    ("grefcoco", "grefcoco/grefs(unc).json"),
    ("phrasecut", "VGPhraseCut_v0/refer_miniv.json"),
    ("converseg", "converseg/items.json"),
    ("converseg", "converseg/human_annotated.jsonl"),
    ("muse", "muse/muse_val.json"),
    ("mmr", "MMR/MMR_val.json"),
    ("refcocom", "RefCOCOm/annotations/val.json"),
    ("gseval", "gseval/GroundingSuite-Eval.jsonl"),
]


def questions(samples):
    """Return what a sample is, without its tags and places."""
    return [(s.sample_id, s.expression, s.truth) for s in samples]


@pytest.mark.parametrize(("layout", "folder", "split"), FOLDERS)
def test_the_folder_above_and_the_own_folder_are_the_same_root(layout, folder, split, fixtures, load):
    """Both readings of `root:` give the same samples and photographs."""
    above = load(layout, root=str(fixtures), split=split)
    inside = load(layout, root=str(fixtures / folder), split=split)
    assert questions(above) == questions(inside)
    assert len(above) > 0
    if layout not in ("muse", "mmr"):  # their photographs are not among the fixtures
        assert [s.image.path for s in above] == [s.image.path for s in inside]


@pytest.mark.parametrize(("layout", "file"), FILES)
def test_a_path_names_one_file_and_reads_all_of_it(layout, file, fixtures, load):
    """`path:` needs no split: it gives what the root gives for the file's part."""
    expected = {s.sample_id for s in load(layout, root=str(fixtures), split="all")}
    assert {s.sample_id for s in load(layout, path=str(fixtures / file))} == expected


def test_a_path_of_another_split_or_of_nothing_is_refused(fixtures, load, tmp_path):
    """A split that the file is not, and a file that is not there."""
    with pytest.raises(ConfigError, match="split 'train' is not in .* which has val"):
        load("muse", path=str(fixtures / "muse/muse_val.json"), split="train")
    with pytest.raises(DataError, match="looked for muse_test.json"):
        load("muse", path=str(tmp_path / "muse_test.json"))


@pytest.mark.parametrize(
    ("list_name", "key"), [("images", "height"), ("images", "file_name"), ("annotations", "segmentation")]
)
def test_a_record_without_what_its_layout_wants_is_a_data_error(list_name, key, load, make, tmp_path):
    """Damaged records are named by dataset, place and key, not by a traceback."""
    content = make.coco()
    for record in content[list_name]:
        del record[key]
    make.refer(tmp_path, [make.ref(0, 1, "cat")], content=content)
    with pytest.raises(DataError, match=f"'set' at .* has no '{key}'"):
        load("refcoco", root=str(tmp_path))


@pytest.mark.parametrize("mark", [{"source": "zero"}, {"no_target": True}])
def test_a_mark_of_no_target_stands_above_any_ann_id(mark, load, make, tmp_path):
    """What a marked row holds in ann_id does not matter, null included; unmarked rows need one."""
    make.refer(tmp_path, [make.ref(0, None, "nothing", **mark), make.ref(1, 2, "dog")])
    assert [s.truth.no_target for s in load("refcoco", root=str(tmp_path))] == [True, False]
    make.refer(tmp_path, [make.ref(0, None, "nothing")])
    with pytest.raises(DataError, match="'ann_id'"):
        load("refcoco", root=str(tmp_path))
