"""What a run remembers of the service: a damaged file is one error, or forgotten with a note."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import DataError
from evalkit.models.google.batch_jobs import BatchJob, BatchJobFile
from evalkit.models.google.uploads import Uploads

DEEP = "[" * 100_000


def remembered(path: Path) -> dict[str, Any]:
    """Return the uploads that a file remembers."""
    unused: Any = None
    return Uploads(unused, path).known


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "null", DEEP, '{"a": 3, "b": {"uri": 1}, "c": {"uri": "u"}}']
)
def test_damaged_uploads_are_forgotten_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """An upload more is the whole cost."""
    path = tmp_path / "uploads-m.json"
    path.write_text(text, encoding="utf-8")
    assert remembered(path) == {}
    assert "uploaded anew" in caplog.text


def test_whole_records_beside_damaged_ones_are_kept(tmp_path: Path) -> None:
    """One bad record costs itself."""
    path = tmp_path / "uploads-m.json"
    path.write_text(f'{{"a": {{"uri": "u", "uploaded_at": {time.time()}}}, "b": []}}', encoding="utf-8")
    assert list(remembered(path)) == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}x",
        "null",
        "3",
        DEEP,
        "[1]",
        "[{}]",
        '["a"]',
        '[{"display_name": 1, "submitted_at": 0, "lines": []}]',
    ],
)
def test_damaged_batch_jobs_are_one_error(tmp_path: Path, text: str) -> None:
    """The questions on their way would be paid again: the file and the ways out are named."""
    path = tmp_path / "batch-m.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"batch-m\.json cannot be read .* restore it from a copy"):
        BatchJobFile.load(path)


def test_batch_jobs_are_read_as_written(tmp_path: Path) -> None:
    """A job with and one without a name."""
    path = tmp_path / "batch-m.json"
    jobs = [BatchJob("a", 1.5, {"k": None}), BatchJob("b", 2.0, {}, "batches/1", done=True)]
    BatchJobFile(path, jobs).save()
    assert BatchJobFile.load(path).jobs == jobs
