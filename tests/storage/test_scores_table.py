"""Scores written elsewhere: absent columns, and tags and codes spelled in other ways."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.metrics.summary import slice_rows, summarise
from evalkit.storage.scores_table import codes_in, documented_columns, documented_scores

LEAST: dict[str, Any] = {
    "model": "m",
    "dataset": "d",
    "sample_id": [1, 2, 3],
    "outcome": ["decoded", "format_failure", "not_run"],
    "iou": [0.5, 0.0, None],
}


@pytest.mark.parametrize(
    "written",
    [
        ["rle", "fence"],
        np.array(["rle", "fence"], dtype=object),
        '["rle", "fence"]',
        "rle,fence",
        "rle fence",
    ],
)
def test_codes_are_read_in_every_spelling(written: Any) -> None:
    """Lists, arrays, JSON and plain text hold the same codes."""
    assert codes_in(written) == ["rle", "fence"]


@pytest.mark.parametrize("written", [None, float("nan"), "", "[]", []])
def test_no_codes(written: Any) -> None:
    """Null and empty are no codes, not a code without a name."""
    assert codes_in(written) == []


def test_least_columns_are_enough_for_a_summary() -> None:
    """Numbers that rest on absent columns are null; the others are there."""
    rows = documented_columns(pd.DataFrame(LEAST), "here")
    result = summarise(rows, seed=0, protocols={}, slices=None)[0]
    assert result["giou"]["value"] == 0.25
    assert result["n_not_run"] == 1
    assert result["cost_usd"] is None
    assert result["latency_s"]["p50"] is None


def test_absent_strict_is_readable_without_repairs() -> None:
    """A code fence is allowed; any other repair, a failure or a block is not strict."""
    frame = pd.DataFrame(
        {
            **LEAST,
            "sample_id": list("abcd"),
            "outcome": ["decoded", "decoded", "blocked", "no_target"],
            "iou": [1.0, 1.0, 0.0, 1.0],
            "repairs": [["fence"], ["fence", "pixel_box"], [], []],
        }
    )
    assert documented_columns(frame, "here")["strict"].tolist() == [True, False, False, True]


@pytest.mark.parametrize("spelling", ["text", "object"])
def test_tags_are_slices_as_text_or_as_objects(spelling: str) -> None:
    """Tags make the same slices however they were written; a struct's null is an absent tag."""
    tags: list[Any] = [{"kind": "a", "size": None}, {"kind": "b", "size": None}, {"kind": "a", "size": "s"}]
    if spelling == "text":
        tags = [json.dumps({k: v for k, v in tag.items() if v is not None}) for tag in tags]
    slices = slice_rows(documented_columns(pd.DataFrame(LEAST | {"tags": tags}), "here"), ["kind", "size"])
    assert {name: int(rows.sum()) for name, rows in slices.items()} == {
        "all": 3,
        "kind=a": 2,
        "kind=b": 1,
        "size=s": 1,
    }


def test_absent_images_make_each_answer_its_own() -> None:
    """Without image ids nothing is clustered; the trials of one sample still are."""
    rows = documented_columns(pd.DataFrame(LEAST), "here")
    assert rows["image_id"].tolist() == ["1", "2", "3"]


def test_what_cannot_be_done_without_is_named() -> None:
    """A file of something else is refused with the columns it has."""
    with pytest.raises(DataError, match="no column outcome, iou"):
        documented_columns(pd.DataFrame(LEAST).drop(columns=["outcome", "iou"]), "scores.parquet")


@pytest.mark.parametrize("odd", [None, ["fence", None], ["a\x1fb"], ["a,b c"], []])
def test_codes_of_a_file_are_the_lists_it_holds(tmp_path, odd):
    """Lists that repeat, nulls, and codes with any letter in them come back as they were written."""
    lists = [["fence"], ["fence", "raw_newline"], odd, [], ["fence"]]
    table = pa.table(
        {
            "model": ["m"] * 5, "dataset": ["d"] * 5, "sample_id": list("abcde"), "outcome": ["decoded"] * 5,
            "iou": [0.5] * 5, "failure": ["x", None, "x", "", None], "repairs": pa.array(lists, pa.list_(pa.string())),
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "scores.parquet")
    rows = documented_scores(tmp_path / "scores.parquet")
    assert rows["repairs"].tolist() == [
        [] if codes is None else [str(code) for code in codes] for codes in lists
    ]
    assert rows["wire_formats"].tolist() == [[]] * 5
    assert [value if isinstance(value, str) else None for value in rows["failure"]] == [
        "x",
        None,
        "x",
        None,
        None,
    ]
