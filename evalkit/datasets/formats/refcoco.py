"""``format: refcoco``, ``refcoco+`` and ``refcocog``: objects of COCO train2014, several sentences each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.refer import ReferLayout, load_refer
from evalkit.types import Sample

REFS = ("refs({}).p", "refs({}).json")

REFCOCO = ReferLayout("refcoco", REFS, partition="unc")
REFCOCO_PLUS = ReferLayout("refcoco+", REFS, partition="unc")
REFCOCOG = ReferLayout("refcocog", REFS, partition="umd")


def load_refcoco(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield RefCOCO sentences: partition ``unc`` (train, val, testA, testB) or ``google`` (train, val, test)."""
    return load_refer(REFCOCO, dataset, directory)


def load_refcoco_plus(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield RefCOCO+ sentences (no words of place): partition ``unc`` (train, val, testA, testB)."""
    return load_refer(REFCOCO_PLUS, dataset, directory)


def load_refcocog(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield RefCOCOg sentences (long ones): partition ``umd`` (train, val, test) or ``google`` (train, val)."""
    return load_refer(REFCOCOG, dataset, directory)
