"""``format: refcocom``: parts of objects (Rubics-Xuan/MRES: README.md; loader jdg900/MMR: utils/dataset.py).

``RefCOCOm/annotations/SPLIT.json`` and a mask image ``masks/SEGMENT.png`` each; the folder is written
``RefCOCOm`` or ``Refcocom``. Ids are ``segment_id:sent_id``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.config import DatasetConfig
from evalkit.errors import DataError
from evalkit.loaders.files import (
    check_options,
    first_folder,
    is_file,
    join,
    names_in,
    place,
    read_json,
    root_of,
    tags_of,
    unknown_split,
)
from evalkit.loaders.refer import TRAIN2014
from evalkit.loaders.regions import xywh_to_xyxy
from evalkit.loaders.sizes import image_sizes
from evalkit.types import GroundTruth, ImageRef, MaskFile, Sample

FOLDERS = ("RefCOCOm", "Refcocom", "refcocom", ".")


def load_refcocom(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield one sample per sentence of a split (val, testA, testB)."""
    check_options(dataset)
    root = place(directory, root_of(dataset, "RefCOCOm/annotations/val.json and RefCOCOm/masks/"))
    bases = [join(root, folder) for folder in FOLDERS]
    annotations = first_folder([join(base, "annotations") for base in bases])
    found = [name.removesuffix(".json") for name in names_in(annotations) or [] if name.endswith(".json")]
    wanted = found if (dataset.split or "all") == "all" else [dataset.split or ""]
    if not wanted or not set(wanted) <= set(found):
        raise unknown_split(dataset, found, annotations)
    masks = first_folder([join(base, "masks") for base in bases])
    default = first_folder([join(root, name) for name in TRAIN2014])
    images = default if dataset.images is None else place(directory, dataset.images)
    for split in wanted:
        for record in read_json(join(annotations, f"{split}.json")):
            mask = join(masks, f"{record['segment_id']}.png")
            if not is_file(mask):
                raise DataError(
                    f"{annotations}/{split}.json: the mask {mask} does not exist: unpack all masks"
                )
            width_px, height_px = image_sizes(mask)[1]
            where = f"{annotations}/{split}.json: segment {record['segment_id']}"
            box = xywh_to_xyxy(record.get("bbox"), where)
            for index, sentence in enumerate(record["sentences"]):
                yield Sample(
                    dataset=dataset.name,
                    split=split,
                    sample_id=f"{record['segment_id']}:{sentence.get('sent_id', index)}",
                    image_id=str(record["img_name"]).rsplit(".", 1)[0],
                    image=ImageRef(join(images, str(record["img_name"]))),
                    expression=str(sentence["sent"]),
                    truth=GroundTruth(height_px, width_px, (MaskFile(mask),), box_px_xyxy=box),
                    tags=tags_of(split=split, category=record.get("cat")),
                )
