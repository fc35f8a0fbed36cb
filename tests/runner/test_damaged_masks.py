"""A ground-truth mask that cannot be read costs its own sample; most of them are a wrong setting, told before anything is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from evalkit.config.schema import RunConfig, load_config
from evalkit.datasets import load_samples
from evalkit.datasets.check import check_dataset
from evalkit.datasets.mask_files import with_masks_read
from evalkit.errors import DataError
from evalkit.pipeline import run
from evalkit.progress import Progress
from evalkit.runner.prepare import prepare
from evalkit.storage.run_folder import RunFolder

WIDTH, HEIGHT, COUNT = 40, 30, 5


def _write(folder: Path, **limits: float) -> RunConfig:
    """Write five samples with a photograph and a mask each, all of the same pixels; return the run of a floor."""
    mask_hw = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask_hw[5:20, 8:30] = 255
    lines = []
    for number in range(COUNT):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 90, 30)).save(folder / f"{number}.png")
        Image.fromarray(mask_hw).save(folder / f"mask{number}.png")
        record = {"id": str(number), "image": f"{number}.png", "expression": f"part {number}"}
        lines.append(json.dumps(record | {"mask": f"mask{number}.png"}))
    (folder / "d.jsonl").write_text("\n".join(lines))
    (folder / "run.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "masks",
                "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
                "models": [{"name": "floor", "provider": "python", "function": "whole-image"}],
                "limits": limits,
            }
        )
    )
    return load_config(folder / "run.yaml")


def _run(config: RunConfig, out: Path) -> RunFolder:
    return run(config, show=lambda _: None, confirm=lambda _: None, out=out, yes=True, quiet=True).folder


def _flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("<html>404</html>"),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "a flipped byte": _flip_a_byte,
    "of another size": lambda path: Image.new("L", (7, 7)).save(path),
    "a photograph": lambda path: Image.linear_gradient("L").resize((WIDTH, HEIGHT)).save(path),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_mask_is_the_fault_of_its_own_sample(tmp_path: Path, damage: str) -> None:
    """The others are read, the fault names line and file, `datasets check` finds it too."""
    config = _write(tmp_path)
    DAMAGE[damage](tmp_path / "mask2.png")
    samples = prepare(config, out=tmp_path / "run").samples
    faults = [sample.truth.fault for sample in samples]
    assert [fault is not None for fault in faults] == [False, False, True, False, False]
    assert "mask2.png" in str(faults[2])
    assert not samples[2].truth.no_target
    with Progress(quiet=True) as progress:
        (finding,) = check_dataset(config.datasets[0], tmp_path, progress).findings
    assert (finding.kind, finding.count) == ("mask_unreadable", 1)


def test_the_row_is_a_data_error_kept_with_the_sample_and_counted(tmp_path: Path) -> None:
    """One row of five is lost, named in scores, page and samples.parquet; the limit decides what the run is worth."""
    config = _write(tmp_path, max_data_errors=0.2)
    _flip_a_byte(tmp_path / "mask2.png")
    folder = _run(config, tmp_path / "run")
    scores = folder.scores().set_index("sample_id")
    assert scores["outcome"].to_dict() == {
        str(n): "data_error" if n == 2 else "decoded" for n in range(COUNT)
    }
    assert "mask2.png" in scores.loc["2", "error"]
    assert str(scores.loc["2", "gt_area"]) in ("nan", "<NA>", "None")
    assert "mask2.png" in str(folder.sample("d", "2").truth.fault)
    assert (folder.summary().results[0]["n_data_error"], folder.manifest.status) == (1, "complete")
    assert "mask2.png" in (folder.path / "report/index.html").read_text(encoding="utf-8")


def test_more_faults_than_the_limit_make_a_partial_run(tmp_path: Path) -> None:
    """As for photographs: the rows are there, the run is not complete, and says why."""
    config = _write(tmp_path, max_data_errors=0.1)
    (tmp_path / "mask2.png").write_bytes(b"")
    manifest = _run(config, tmp_path / "run").manifest
    assert manifest.status == "partial"
    assert "1 of 5 had faulty data" in str(manifest.incomplete)


def test_faults_found_after_the_answers_count_too(tmp_path: Path) -> None:
    """Their rows are data errors, so the run is as partial as if they had been found before."""
    config = _write(tmp_path, max_data_errors=0.1)
    assert _run(config, tmp_path / "run").manifest.complete
    (tmp_path / "mask2.png").unlink()
    folder = _run(config, tmp_path / "run")
    assert list(folder.scores()["outcome"]).count("data_error") == 1
    assert not folder.manifest.complete
    (told,) = folder.manifest.incomplete or ()
    assert told.startswith("floor: 1 of 5 had faulty data (limits.max_data_errors: 0.1); most often: ")
    assert "mask2.png" in told


def test_a_mask_that_is_mended_or_damaged_later_changes_its_own_row_alone(tmp_path: Path) -> None:
    """A mended mask is asked about; an answer whose mask was damaged since is kept and scored no more."""
    config = _write(tmp_path, max_data_errors=1.0)
    whole = (tmp_path / "mask2.png").read_bytes()
    (tmp_path / "mask2.png").write_bytes(b"")
    _run(config, tmp_path / "run")
    (tmp_path / "mask2.png").write_bytes(whole)
    (tmp_path / "mask3.png").write_bytes(b"")
    scores = _run(config, tmp_path / "run").scores().set_index("sample_id")
    assert scores["outcome"].to_dict() == {
        str(n): "data_error" if n == 3 else "decoded" for n in range(COUNT)
    }
    (tmp_path / "mask3.png").write_bytes(whole)
    assert set(_run(config, tmp_path / "run").scores()["outcome"]) == {"decoded"}


def test_mostly_unreadable_masks_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """Class numbers in every mask are a missing `mask_channel`, not single faults."""
    config = _write(tmp_path)
    for number in range(3):
        Image.linear_gradient("L").resize((WIDTH, HEIGHT)).save(tmp_path / f"mask{number}.png")
    with pytest.raises(DataError, match=r"'d': 3 of 5 ground truths cannot be read.*mask_channel"):
        prepare(config, out=tmp_path / "run")


def test_a_mask_that_is_read_is_kept_as_run_lengths(tmp_path: Path) -> None:
    """A truth is read once, before its question is paid for."""
    config = _write(tmp_path)
    sample = next(load_samples(config.datasets[0], tmp_path))
    (tmp_path / "mask0.png").rename(tmp_path / "elsewhere.png")
    assert with_masks_read(sample).truth.fault is not None
    (tmp_path / "elsewhere.png").rename(tmp_path / "mask0.png")
    read = with_masks_read(sample)
    (tmp_path / "mask0.png").unlink()
    assert with_masks_read(read) is read
