"""``format: refcocom``: parts of objects (Rubics-Xuan/MRES: README.md; loader jdg900/MMR: utils/dataset.py).

``RefCOCOm/annotations/SPLIT.json`` and a mask image ``masks/SEGMENT.png`` each; the folder is written
``RefCOCOm`` or ``Refcocom``. Ids are ``segment_id:sent_id``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    choose_splits,
    first_folder,
    given_file,
    join,
    names_in,
    place,
    read_json,
    root_of,
    tags_of,
)
from evalkit.datasets.formats.refer import TRAIN2014
from evalkit.datasets.mask_files import mask_file_truth
from evalkit.datasets.regions import xywh_to_xyxy
from evalkit.types import ImageRef, Sample

FOLDERS = ("RefCOCOm", "Refcocom", "refcocom", ".")


def load_refcocom(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield one sample per sentence of a split (val, testA, testB)."""
    check_options(dataset)
    given = given_file(dataset, directory)
    if given is None:
        root = place(directory, root_of(dataset, "RefCOCOm/annotations/val.json and RefCOCOm/masks/"))
        annotations = first_folder([join(root, folder, "annotations") for folder in FOLDERS])
        names = [name for name in names_in(annotations) or [] if name.endswith(".json")]
    else:
        annotations, names = given[0], [given[1]]
        root = join(annotations, "..")
    found = [name.removesuffix(".json") for name in names]
    masks = join(annotations, "..", "masks")
    default = first_folder([join(base, name) for base in (root, join(root, "..")) for name in TRAIN2014])
    images = default if dataset.images is None else place(directory, dataset.images)
    for split in choose_splits(dataset, found, annotations):
        for record in read_json(join(annotations, f"{split}.json")):
            mask = join(masks, f"{record['segment_id']}.png")
            where = f"{annotations}/{split}.json: segment {record['segment_id']}"
            box = xywh_to_xyxy(record.get("bbox"), where)
            truth = mask_file_truth(mask, where, channel="nonzero", box_px_xyxy=box)
            for index, sentence in enumerate(record["sentences"]):
                yield Sample(
                    dataset=dataset.name,
                    split=split,
                    sample_id=f"{record['segment_id']}:{sentence.get('sent_id', index)}",
                    image_id=str(record["img_name"]).rsplit(".", 1)[0],
                    image=ImageRef(join(images, str(record["img_name"]))),
                    expression=str(sentence["sent"]),
                    truth=truth,
                    tags=tags_of(split=split, category=record.get("cat")),
                )
