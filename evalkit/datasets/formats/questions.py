"""Files that hold, per photograph, questions and the objects that answer each: MUSE and MMR.

Sample ids are ``split:row:question``, both counted from 0 in the file: these datasets have no key of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    choose_splits,
    count_word,
    first_folder,
    given_file,
    join,
    names_in,
    place,
    read_json,
    root_of,
    tags_of,
)
from evalkit.datasets.regions import hull_of, read_segmentation, xywh_to_xyxy
from evalkit.errors import DataError
from evalkit.types import GroundTruth, ImageRef, Sample

FileName = Callable[[Mapping[str, Any]], str]
"""A record of the file -> its photograph's path below the image folder."""


def load_questions(
    prefix: str, folders: tuple[str, ...], file_name: FileName, dataset: DatasetConfig, directory: Path
) -> Iterator[Sample]:
    """Yield a sample per question of ``PREFIX_SPLIT.json``: ``path:``, or in one of ``folders`` below the root."""
    check_options(dataset)
    given = given_file(dataset, directory)
    if given is None:
        root = place(directory, root_of(dataset, f"{prefix}_val.json"))
        base = next((join(root, f) for f in folders if _splits_in(join(root, f), prefix)), root)
        files = {split: join(base, f"{prefix}_{split}.json") for split in _splits_in(base, prefix)}
    else:
        root = base = given[0]
        files = {given[1].removesuffix(".json").removeprefix(f"{prefix}_"): join(*given)}
    default = first_folder([join(root, "images"), join(root, "coco"), root])
    images = default if dataset.images is None else place(directory, dataset.images)
    for split in choose_splits(dataset, list(files), f"{base} ({prefix}_SPLIT.json)"):
        path = files[split]
        records = read_json(path)
        if not isinstance(records, list):
            raise DataError(
                f"{path}: holds a {type(records).__name__}, not a list of photographs with questions"
            )
        for row, record in enumerate(records):
            image = join(images, file_name(record))
            yield from _samples_of(record, row, image, dataset.name, split, path=path)


def _splits_in(folder: str, prefix: str) -> list[str]:
    names = names_in(folder) or []
    return [
        name[len(prefix) + 1 : -len(".json")]
        for name in names
        if name.startswith(f"{prefix}_") and name.endswith(".json")
    ]


def _samples_of(
    record: Mapping[str, Any], row: int, image: str, dataset: str, split: str, *, path: str
) -> Iterator[Sample]:
    where = f"{path}: row {row}"
    questions, answers = record.get("questions"), record.get("answers")
    if not isinstance(questions, list) or not isinstance(answers, list) or len(questions) != len(answers):
        raise DataError(f"{where}: 'questions' and 'answers' must be lists of the same length")
    height_px, width_px = record["height"], record["width"]
    for number, (question, targets) in enumerate(zip(questions, answers, strict=True)):
        regions = [
            read_segmentation(target["segmentation"], height_px, width_px, where) for target in targets
        ]
        boxes = [xywh_to_xyxy(target.get("bbox"), where) for target in targets]
        names = {target.get("category_name") for target in targets}
        yield Sample(
            dataset=dataset,
            split=split,
            sample_id=f"{split}:{row}:{number}",
            image_id=image.rsplit("/", 1)[-1].rsplit(".", 1)[0],
            image=ImageRef(image),
            expression=str(question),
            truth=GroundTruth(height_px, width_px, tuple(regions), box_px_xyxy=hull_of(boxes)),
            tags=tags_of(
                split=split,
                targets=count_word(len(targets)),
                category=names.pop() if len(names) == 1 else None,
            ),
        )
