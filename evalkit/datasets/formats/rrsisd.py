"""``format: rrsisd``: the refer layout over aerial photographs (Lsan2401/RMSIN: README.md, refer/refer.py, b4a9b27c40cd).

RMSIN reads the masks alone and sends the sentence's ``raw`` text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.refer import ReferLayout, load_refer
from evalkit.types import Sample

RRSISD = ReferLayout(
    "rrsisd",
    ("refs({}).p", "refs({}).json"),
    partition="unc",
    images=("images/rrsisd/JPEGImages", "JPEGImages"),
    text="raw",
    boxes=False,
)


def load_rrsisd(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield RRSIS-D sentences: partition ``unc`` (train, val, test)."""
    return load_refer(RRSISD, dataset, directory)
