"""``format: refzom``: one target, many or zero (toggle1995/RIS-DMMI: refer/refer.py, data/dataset_zom.py).

``source: zero`` in a ref means that nothing fits. Photographs of train2014 and val2014 lie merged in
``trainval2014``. The text sent is ``raw``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.refer import TRAIN2014, ReferLayout, load_refer
from evalkit.types import Sample

REFZOM = ReferLayout(
    "ref-zom",
    ("refs({}).p", "Ref-ZOM({}).p", "refs({}).json"),
    partition="final",
    images=("images/trainval2014", "images/mscoco/images/trainval2014", "trainval2014", *TRAIN2014),
    text="raw",
)


def load_refzom(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield Ref-ZOM sentences; the tag ``source`` is the dataset's own: zero, or where the row is from."""
    return load_refer(REFZOM, dataset, directory)
