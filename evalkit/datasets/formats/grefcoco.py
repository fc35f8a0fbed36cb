"""``format: grefcoco``: several targets, one or none (henghuiding/gRefCOCO: grefer.py, README.md).

Crowd annotations among several targets are left out as ``grefer.py`` getMaskByRef does; ReLA sends
``raw``, so that is the text here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.refer import ReferLayout, load_refer
from evalkit.types import Sample

GREFCOCO = ReferLayout(
    "grefcoco",
    ("grefs({}).json", "grefs({}).p", "refs({}).p", "refs({}).json"),
    partition="unc",
    images=("images/train2014", "images/mscoco/images/train2014", "train2014"),
    text="raw",
)


def load_grefcoco(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield gRefCOCO sentences (train, val, testA, testB); the tag ``targets`` is none, one or many."""
    return load_refer(GREFCOCO, dataset, directory)
