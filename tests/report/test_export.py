"""Exports are read back by the tools they are for, with the numbers they left with."""

import io
import json
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from evalkit.cli.app import main
from evalkit.errors import ConfigError
from evalkit.models.prediction_files import coco_entries
from evalkit.report.export import export_run
from evalkit.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """Return a folder with the run in every format."""
    out = tmp_path_factory.mktemp("export")
    for to in ("coco", "csv", "parquet"):
        assert all(path.is_file() for path in export_run(RunFolder(run_folder), to, out))
    return out


def test_pycocotools_reads_truth_and_results(run_folder, exported):
    """Intersection over union computed by pycocotools from the two files is that of scores.parquet."""
    with redirect_stdout(io.StringIO()):
        truth = COCO(exported / "annotations-shapes.json")
        found = truth.loadRes(str(exported / "results-shapes-good.json"))
    scores = RunFolder(run_folder).scores()
    own = scores[(scores["model"] == "good") & (scores["outcome"] == "decoded")].set_index("sample_id")
    compared = 0
    for image in truth.dataset["images"]:
        results = found.loadAnns(found.getAnnIds(imgIds=image["id"]))
        targets = truth.loadAnns(truth.getAnnIds(imgIds=image["id"]))
        if results and targets:
            iou = coco_mask.iou([results[0]["segmentation"]], [targets[0]["segmentation"]], [0])
            assert iou[0, 0] == pytest.approx(own.loc[image["sample_id"], "iou"], abs=1e-9)
            compared += 1
        assert image["no_target"] == (not targets)
    assert compared == 12


def test_evalkit_reads_its_own_results(exported):
    """`provider: predictions` takes the results file, sample by sample."""
    with (exported / "results-shapes-good.json").open("rb") as stream:
        entries = list(coco_entries(stream, "results"))
    assert {"0:0", "6:1"} <= {entry["sample_id"] for _, entry, _ in entries}


def test_csv_has_a_row_per_answer_and_a_column_per_tag(run_folder, exported):
    """Numbers survive the way through text; tags are columns of their own."""
    scores = RunFolder(run_folder).scores()
    rows = pd.read_csv(exported / "scores.csv", dtype={"sample_id": str, "image_id": str})
    assert len(rows) == len(scores)
    np.testing.assert_allclose(rows["iou"], scores["iou"])
    assert set(rows["tag_kind"]) == {"plain", "quoted"}
    summary = pd.read_csv(exported / "summary.csv")
    assert {"giou.value", "giou.low", "precision_at.0.5.value"} <= set(summary.columns)


def test_parquet_holds_answers_and_masks(exported):
    """Raw answers and run lengths stand beside the numbers, and agree with them."""
    rows = pd.read_parquet(exported / "answers.parquet")
    decoded = rows[rows["outcome"] == "decoded"]
    for truth, prediction, iou in zip(
        decoded["truth_rle"], decoded["prediction_rle"], decoded["iou"], strict=True
    ):
        one, two = (coco_mask.decode(json.loads(text)).astype(bool) for text in (truth, prediction))
        assert (one & two).sum() / (one | two).sum() == pytest.approx(iou)
    assert rows.loc[rows["outcome"] == "not_run", "answer"].isna().all()
    assert rows["answer"].str.contains("window.stolen").any()


def test_unknown_formats_name_the_known_ones(run_folder, tmp_path):
    """The error says what may stand there; the command ends with exit code 2."""
    with pytest.raises(ConfigError, match=r"Did you mean 'coco'"):
        export_run(RunFolder(run_folder), "cocoo", tmp_path)
    done = CliRunner().invoke(main, ["export", str(run_folder), "--to", "xml"])
    assert done.exit_code == 2


def test_command_prints_what_it_wrote(run_folder, tmp_path):
    """One line per file."""
    done = CliRunner().invoke(main, ["export", str(run_folder), "--to", "csv", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [str(tmp_path / "scores.csv"), str(tmp_path / "summary.csv")]
