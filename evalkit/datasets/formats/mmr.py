"""``format: mmr``: questions about objects and their parts (jdg900/MMR: README.md, utils/dataset.py).

``MMR_{train,val,test_mixed,test_obj_only,test_part_only}.json`` over COCO 2017 photographs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.questions import load_questions
from evalkit.types import Sample


def load_mmr(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield MMR questions; ``images:`` is the folder that holds train2017/ and val2017/."""
    return load_questions("MMR", ("MMR", "."), lambda record: str(record["file_name"]), dataset, directory)
