"""Damaged pictures in whole runs: each costs its own samples, and the others are answered and scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from support.shared_data import need_shared

from evalkit.cli.app import main
from evalkit.errors import DataError
from evalkit.mask_pictures import read_mask_picture
from evalkit.types import MaskFile


def outcomes(folder: Path, lines: list[dict[str, Any]], **image: int) -> dict[str, str]:
    """Run a floor over the lines and a whole sample beside them; return each sample's outcome."""
    noise = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.png")
    square = [[10, 10, 50, 10, 50, 40, 10, 40]]
    lines = [*lines, {"id": "whole", "image": "whole.png", "expression": "x", "mask": square}]
    (folder / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    config = {
        "name": "t",
        "datasets": [{"name": "d", "format": "jsonl", "path": "d.jsonl"}],
        "models": [{"name": "floor", "provider": "python", "function": "whole-image"}],
        "limits": {"max_data_errors": 1.0},
        "image": image,
    }
    (folder / "c.yaml").write_text(json.dumps(config), encoding="utf-8")
    result = CliRunner().invoke(main, ["run", str(folder / "c.yaml"), "--out", str(folder / "run"), "--yes"])
    assert result.exit_code == 0, result.output
    scores = pd.read_parquet(folder / "run" / "scores.parquet")
    return dict(zip(scores["sample_id"], scores["outcome"], strict=True))


def no_target(name: str, path: Path) -> dict[str, Any]:
    """Return a line about a picture in which nothing fits."""
    return {"id": name, "image": str(path), "expression": "x", "mask": None, "no_target": True}


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"], ids=["empty", "text", "head"]
)
def test_a_damaged_photograph_of_no_target_samples_alone(tmp_path: Path, data: bytes) -> None:
    """Nothing else says its size, and the run goes on all the same."""
    (tmp_path / "bad.png").write_bytes(data)
    lines = [no_target(f"s{number}", tmp_path / "bad.png") for number in range(2)]
    found = outcomes(tmp_path, lines)
    assert found.pop("whole") == "decoded"
    assert set(found.values()) == {"data_error"}


def test_every_damaged_photograph_costs_its_own_samples(tmp_path: Path) -> None:
    """As it is, and reduced."""
    pictures = sorted(need_shared("cases/pictures").iterdir())
    made: list[tuple[list[Path], dict[str, int]]] = [
        ([path for path in pictures if not path.name.startswith(("mask", "reduced"))], {}),
        ([path for path in pictures if path.name.startswith("reduced")], {"max_side": 16}),
    ]
    for place, (paths, image) in enumerate(made):
        folder = tmp_path / str(place)
        folder.mkdir()
        found = outcomes(folder, [no_target(path.name, path) for path in paths], **image)
        assert found.pop("whole") == "decoded"
        unread = {name: outcome for name, outcome in found.items() if outcome != "data_error"}
        # These two are whole but for a tag beside the orientation, and are read.
        assert all("PNG_exif-error" in name for name in unread), unread


def test_every_damaged_mask_is_a_data_error() -> None:
    """Whatever Pillow raises."""
    for path in sorted(need_shared("cases/pictures").iterdir()):
        with pytest.raises(DataError):
            read_mask_picture(MaskFile(str(path)))
