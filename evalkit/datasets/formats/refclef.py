"""``format: refclef``: the refer layout over ImageCLEF photographs, masks as run lengths, text annotation ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.refer import ReferLayout, load_refer
from evalkit.types import Sample

REFCLEF = ReferLayout(
    "refclef",
    ("refs({}).p", "refs({}).json"),
    partition="unc",
    images=("images/saiapr_tc-12", "saiapr_tc-12"),
)


def load_refclef(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield RefCLEF sentences: partition ``unc`` (testA, testB, testC and combinations) or ``berkeley``."""
    return load_refer(REFCLEF, dataset, directory)
