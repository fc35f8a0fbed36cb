"""Published numbers as data, for standing beside a run's own.

A number is shown only where dataset, split, slice, metric and ground truth are the same: RefCOCO
"val" of another partition, or ReasonSeg with its ignored regions made target, is another test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from evalkit.config.schema import DatasetConfig
from evalkit.config.section import Section
from evalkit.config.yaml import read_yaml, validate
from evalkit.datasets.cards import card_files, card_folders, find_card
from evalkit.errors import DataError

FILE = "references.yaml"

Training = Literal["zero_shot", "fine_tuned", "unknown"]
Confidence = Literal["C", "A", "U"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One published number; ``value`` in 0..1 (``il_mcc`` in -1..1).

    ``training``: whether the method was trained on this dataset's training split. ``confidence``: C
    read in the source, A seen in an abstract or a secondary page, U not confirmed.
    """

    method: str
    dataset: str
    split: str
    slice: str
    metric: str
    value: float
    training: Training
    confidence: Confidence
    ground_truth: str
    source: str
    note: str | None = None


class _PublishedRow(Section):
    method: str
    values: list[float | None]
    training: Training
    source: str
    confidence: Confidence


class _PublishedTable(Section):
    dataset: str
    ground_truth: str
    metric: str
    places: list[str] = Field(description="`split`, or `split tag=value`")
    note: str | None = None
    rows: list[_PublishedRow]

    @model_validator(mode="after")
    def _one_value_per_place(self) -> _PublishedTable:
        for row in self.rows:
            if len(row.values) != len(self.places):
                raise ValueError(f"{row.method} has {len(row.values)} values for {len(self.places)} places")
            if any(value is not None and not -1 <= value <= 1 for value in row.values):
                raise ValueError(f"{row.method} has a value outside -1..1: write shares, not percent")
        return self


class _PublishedFile(Section):
    sources: dict[str, str]
    usual_ground_truth: dict[str, str]
    tables: list[_PublishedTable]


def references_for(
    dataset: str, split: str, metric: str, *, slice_name: str = "all", ground_truth: str | None = None
) -> list[Reference]:
    """Return the published numbers of one dataset, split and metric, the highest first.

    ``dataset``: a card's or format's name (``refcoco``). ``ground_truth``: None = the dataset's usual
    annotation (RefCOCOg: umd). No match is an empty list.
    """
    wanted = usual_ground_truth().get(dataset) if ground_truth is None else ground_truth
    found = [
        reference
        for reference in all_references()
        if (reference.dataset, reference.split, reference.slice, reference.metric, reference.ground_truth)
        == (dataset, split, slice_name, metric, wanted)
    ]
    return sorted(found, key=lambda reference: -reference.value)


def references_for_dataset(
    dataset: DatasetConfig, metric: str, *, slice_name: str = "all"
) -> list[Reference]:
    """Return the published numbers that a config's dataset (resolved) may be held against.

    By its format and partition, so that a renamed or partly sampled dataset is found and a
    converted copy (parquet, jsonl) is not: its ground truth may differ. A dataset that is only
    distributed as parquet is found by its card's name.
    """
    if dataset.format is None or dataset.split is None:
        return []
    known = usual_ground_truth()
    key = dataset.format if dataset.format in known or not _is_card(dataset) else dataset.name
    return references_for(key, dataset.split, metric, slice_name=slice_name, ground_truth=dataset.partition)


def _is_card(dataset: DatasetConfig) -> bool:
    """Tell whether the entry is the card of its name, in the card's own format."""
    return dataset.name in card_files() and find_card(dataset.name).format == dataset.format


@lru_cache(maxsize=1)
def all_references() -> tuple[Reference, ...]:
    """Return every published number of ``datasets/references.yaml``."""
    file = _read()
    return tuple(
        reference for table in file.tables for row in table.rows for reference in _expand(file, table, row)
    )


@lru_cache(maxsize=1)
def usual_ground_truth() -> dict[str, str]:
    """Return dataset -> the annotation that its own files hold."""
    return _read().usual_ground_truth


def _expand(file: _PublishedFile, table: _PublishedTable, row: _PublishedRow) -> list[Reference]:
    references = []
    for place, value in zip(table.places, row.values, strict=True):
        split, _, tag = place.partition(" ")
        if "=" not in tag:  # a place that is no slice, such as the mean of subsets
            split, tag = place, ""
        if value is not None:
            references.append(
                Reference(
                    row.method,
                    table.dataset,
                    split,
                    tag or "all",
                    table.metric,
                    value,
                    row.training,
                    row.confidence,
                    table.ground_truth,
                    file.sources[row.source],
                    table.note,
                )
            )
    return references


@lru_cache(maxsize=1)
def _read() -> _PublishedFile:
    return read_references(_path())


def read_references(path: Path) -> _PublishedFile:
    """Return a references file. Raises ``ConfigError`` by line, ``DataError`` where a source is not named."""
    file = validate(read_yaml(path), _PublishedFile)
    unnamed = sorted({row.source for table in file.tables for row in table.rows} - file.sources.keys())
    if unnamed:
        raise DataError(f"{path}: rows name sources that `sources:` does not have: {', '.join(unnamed)}")
    return file


def _path() -> Path:
    for folder in reversed(card_folders()):
        if (folder / FILE).is_file():
            return folder / FILE
    raise DataError(f"{FILE} is missing from the installed package: install evalkit again")
