"""``format: muse``: questions with several targets (MaverickRen/PixelLM: utils/multi_reason_seg_val_dataset.py).

``muse_{train,val,test_less,test_many}.json``; photographs of COCO train2014 (``file_name``) or of
train2017 and val2017 (``coco_url``). Several polygons of a target are a union here; PixelLM sums them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.formats.questions import load_questions
from evalkit.errors import DataError
from evalkit.types import Sample


def load_muse(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield MUSE questions; ``images:`` is the folder that holds train2014/, train2017/ and val2017/."""
    return load_questions("muse", ("dataset", "muse", "."), _file_name, dataset, directory)


def _file_name(record: Mapping[str, Any]) -> str:
    if record.get("file_name"):
        name = str(record["file_name"])
        return name if "/" in name else f"train2014/{name}"
    if record.get("coco_url"):
        return "/".join(str(record["coco_url"]).split("/")[-2:])
    raise DataError(f"a MUSE record has neither file_name nor coco_url but {', '.join(record)}")
