"""Published numbers: read as data, found only where they may be compared."""

import pytest

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.published import (
    all_references,
    read_references,
    references_for,
    references_for_dataset,
    usual_ground_truth,
)
from evalkit.errors import ConfigError, DataError

GSEVAL_ROWS = {"subset=stuff": 1011, "subset=part": 455, "subset=multi": 769, "subset=single": 1480}
"""Rows of each kind in GroundingSuite-Eval.jsonl."""


def values(*place, **settings):
    """Return method -> value of one place."""
    return {r.method: r.value for r in references_for(*place, **settings)}


def test_rows_are_whole():
    """Every number is a share with a source, and every dataset has a usual ground truth."""
    references = all_references()
    assert len(references) > 300
    assert all(0 <= r.value <= 1 and r.source and r.method for r in references)
    assert {r.dataset for r in references} == set(usual_ground_truth())


def test_known_numbers():
    """Numbers read in the sources, as shares."""
    assert values("refcoco", "testA", "ciou")["LAVT"] == 0.758
    assert values("reasonseg", "val", "giou")["LISA-7B (ft)"] == 0.529
    assert values("reasonseg", "val", "ciou")["LISA-7B (ft)"] == 0.54
    assert values("reasonseg", "test", "giou", slice_name="query=long")["LISA-7B (ft)"] == 0.494


def test_the_highest_comes_first():
    """A reader sees the strongest method first."""
    found = [r.value for r in references_for("refcoco", "val", "ciou")]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("metric", ["giou", "box_accuracy_0.5"])
def test_gseval_parts_add_up_to_the_whole(metric):
    """The mean weighted by rows gives the published overall number: no digit was mistyped."""
    whole = values("gseval", "all", metric)
    parts = {name: values("gseval", "all", metric, slice_name=name) for name in GSEVAL_ROWS}
    for method, value in whole.items():
        weighted = sum(parts[name][method] * n for name, n in GSEVAL_ROWS.items()) / sum(GSEVAL_ROWS.values())
        assert weighted == pytest.approx(value, abs=0.006), method


@pytest.mark.parametrize(("metric", "digits"), [("cgf1", 5e-4), ("il_mcc", 6e-3), ("pmf1", 5e-4)])
def test_sa_co_subsets_average_to_the_mean(metric, digits):
    """The published average is the plain mean of the seven subsets."""
    gemini = "Gemini 2.5 boxes, masks by SAM 2"
    subsets = ("metaclip", "sa1b", "crowded", "fg_food", "fg_sports_equipment", "attributes", "wiki_common")
    mean = sum(values("saco", subset, metric)[gemini] for subset in subsets) / 7
    assert mean == pytest.approx(values("saco", "mean of 7 subsets", metric)[gemini], abs=digits)


def test_another_ground_truth_is_not_shown():
    """Numbers on copies that made ignored regions target do not stand beside the original's."""
    assert "VisionReasoner-7B" not in values("reasonseg", "val", "giou")
    assert "VisionReasoner-7B" in values("reasonseg", "val", "giou", ground_truth="ignore-as-target")
    assert values("refcoco", "val", "ciou", ground_truth="google") == {}
    assert values("refcoco", "train", "ciou") == {}
    assert values("refcoco", "val", "precision_at") == {}


def test_a_configs_dataset_is_found_by_format_not_by_name():
    """A renamed entry is found; another partition or a converted copy is not."""
    entry = DatasetConfig(name="mine", format="refcocog", root="x", split="val", partition="umd")
    assert references_for_dataset(entry, "ciou") == references_for("refcocog", "val", "ciou") != []
    assert references_for_dataset(entry.model_copy(update={"partition": "google"}), "ciou") == []
    assert references_for_dataset(entry.model_copy(update={"format": "parquet"}), "ciou") == []
    copied = {"name": "refcocog", "format": "parquet"}
    assert references_for_dataset(entry.model_copy(update=copied), "ciou") == []


def test_a_dataset_that_exists_as_parquet_alone_is_found_by_its_card():
    """RefCOCO-M has its own cleaned masks: found under its own name, never under RefCOCO's."""
    entry = DatasetConfig(name="refcoco-m", format="parquet", root="x", split="validation")
    assert [r.method for r in references_for_dataset(entry, "giou")] == ["Moondream"]


GOOD = """
sources: {a: "a paper"}
usual_ground_truth: {refcoco: unc}
tables:
  - dataset: refcoco
    ground_truth: unc
    metric: ciou
    places: [val, testA]
    rows:
      - {method: X, values: [0.5, 0.6], training: unknown, source: a, confidence: C}
"""


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (("[0.5, 0.6]", "[0.5]"), ConfigError, "1 values for 2 places"),
        (("0.6]", "60.0]"), ConfigError, "write shares, not percent"),
        (("source: a,", "source: b,"), DataError, "does not have: b"),
        (("confidence: C", "confidence: D"), ConfigError, "confidence"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, change, error, problem):
    """A row too short, percent, an unknown source or code is refused."""
    path = tmp_path / "references.yaml"
    path.write_text(GOOD)
    assert read_references(path).tables[0].rows[0].values == [0.5, 0.6]
    path.write_text(GOOD.replace(*change))
    with pytest.raises(error, match=problem):
        read_references(path)
