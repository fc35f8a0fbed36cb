"""The refer layout (lichengunc/refer: refer.py, README.md, data/README.md), shared by seven datasets.

``ROOT/refcoco/refs(unc).p`` names the refs (one object, several sentences) and ``instances.json`` the
objects in COCO's form. One sample is one sentence; its id is ``ref_id:sent_id``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import (
    check_options,
    count_word,
    first_folder,
    given_file,
    join,
    need_file,
    place,
    read_json,
    root_of,
    tags_of,
    unknown_split,
)
from evalkit.datasets.formats.class_names import index_by_id
from evalkit.datasets.formats.pickles import read_pickle
from evalkit.datasets.regions import hull_of, read_segmentation, xywh_to_xyxy
from evalkit.errors import ConfigError, DataError
from evalkit.types import GroundTruth, ImageRef, Region, Sample

TRAIN2014 = ("images/mscoco/images/train2014", "images/train2014", "mscoco/images/train2014", "train2014")
"""Where the field keeps the photographs below the root: refer's own folder, then gRefCOCO's, then COCO's."""


REF_KEYS: dict[str, tuple[type, ...]] = {
    "ref_id": (int, str),
    "image_id": (int, str),
    "split": (str,),
    "sentences": (list,),
    "ann_id": (int, str, list),
}
"""What every ref record must have; ``ann_id`` is a list in gRefCOCO and Ref-ZOM, text in RefCLEF."""


@dataclass(frozen=True, slots=True)
class ReferLayout:
    """What differs between the datasets of the family; ``text`` is the sentence key that its papers send.

    ``boxes``: False where no source says the form of an annotation's ``bbox``; the box is the mask's tight one then.
    """

    folder: str
    refs_names: tuple[str, ...]
    partition: str
    images: tuple[str, ...] = TRAIN2014
    text: str = "sent"
    boxes: bool = True


def load_refer(layout: ReferLayout, dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield one sample per sentence of the asked split, in the file's order.

    ``split: testA`` keeps every ref whose split contains an A (RefCLEF has testAB), ``test`` every test
    split, as refer's getRefIds does. Option ``text``: ``sent`` (cleaned) or ``raw``.
    Raises ``DataError`` on files that are missing, incomplete or of another release.
    """
    text_key = str(check_options(dataset, ("text",)).get("text", layout.text))
    if text_key not in ("sent", "raw"):
        raise ConfigError(f"dataset '{dataset.name}': options.text is sent or raw, got '{text_key}'")
    refs_path, root = find_refs(layout, dataset, directory)
    refs = read_refs(refs_path)
    splits = Counter(str(ref["split"]) for ref in refs)
    wanted = dataset.split or "all"
    if not any(in_split(split, wanted) for split in splits):
        raise unknown_split(dataset, splits, refs_path)
    objects = _Objects(join(refs_path.rpartition("/")[0], "instances.json"), boxes=layout.boxes)
    folder = image_folder(layout, dataset, directory, root)
    for ref in refs:
        if in_split(str(ref["split"]), wanted):
            yield from _samples_of(ref, objects, folder, dataset.name, text_key)


def find_refs(layout: ReferLayout, dataset: DatasetConfig, directory: Path) -> tuple[str, str]:
    """Return the refs file (``path:`` or below ``root:``) and the root, which may be the dataset's own folder."""
    partition = dataset.partition or layout.partition
    names = tuple(name.format(partition) for name in layout.refs_names)
    given = given_file(dataset, directory)
    if given is None:
        what = f"{layout.folder}/{names[0]} and {layout.folder}/instances.json"
        root = place(directory, root_of(dataset, what))
    else:
        root, names = given[0], (given[1],)
    folders = [join(root, layout.folder), root]
    path = need_file(
        folders,
        names,
        f"dataset '{dataset.name}', partition {partition}",
        f"Set `root:` to the folder that holds {layout.folder}/, or `partition:` to one whose file is there",
    )
    need_file(
        [path.rpartition("/")[0]],
        ["instances.json"],
        f"dataset '{dataset.name}'",
        "It belongs beside the refs",
    )
    return path, root


def image_folder(layout: ReferLayout, dataset: DatasetConfig, directory: Path, root: str) -> str:
    """Return ``images:``, else the first of the layout's folders that exists below the root or beside it."""
    if dataset.images is not None:
        return place(directory, dataset.images)
    return first_folder([join(base, name) for base in (root, join(root, "..")) for name in layout.images])


def in_split(split: str, wanted: str) -> bool:
    """Tell whether a ref of ``split`` belongs to the ``wanted`` one (refer.py, getRefIds)."""
    if wanted in ("testA", "testB", "testC"):
        return wanted[-1] in split
    return wanted in ("all", split) or (wanted == "test" and "test" in split)


def read_refs(path: str) -> list[dict[str, Any]]:
    """Return the ref records of a pickle or JSON file. Raises ``DataError`` on another structure."""
    refs = read_json(path) if path.endswith(".json") else read_pickle(path)
    if not isinstance(refs, list) or not refs:
        raise DataError(f"{path}: holds a {type(refs).__name__}, not a list of refs that is not empty")
    for position, ref in enumerate(refs):
        fault = _fault_of(ref)
        if fault:
            raise DataError(
                f"{path}: ref {position} of {len(refs)} {fault}: the file is not in the refer layout"
            )
    return refs


def _fault_of(ref: Any) -> str | None:
    """Return what a ref record lacks, None where it is as the layout wants it."""
    if not isinstance(ref, dict):
        return f"is a {type(ref).__name__}, not a mapping"
    for key, kinds in REF_KEYS.items():
        if not isinstance(ref.get(key), kinds) and not (key == "ann_id" and _says_no_target(ref)):
            return f"has no '{key}' of the right type"
    for sentence in ref["sentences"]:
        if not isinstance(sentence, dict) or not isinstance(sentence.get("sent_id"), int | str):
            return "has a sentence without 'sent_id'"
        if not isinstance(sentence.get("sent", sentence.get("raw")), str):
            return "has a sentence without text"
    return None


class _Objects:
    """The objects of ``instances.json`` by id; each is turned into a region once."""

    def __init__(self, path: str, *, boxes: bool) -> None:
        content = read_json(path)
        self.boxes = boxes
        self.path = path
        self.images = index_by_id(content, "images", path)
        self.annotations = index_by_id(content, "annotations", path)
        self.categories = index_by_id(content, "categories", path)
        self.regions: dict[Any, Region] = {}

    def image(self, ref: Mapping[str, Any]) -> dict[str, Any]:
        return self._get(self.images, ref["image_id"], "image", ref)

    def targets(self, ref: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the annotations of a ref: crowds only where it has nothing else (grefer.py skips them)."""
        given = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        records = [
            self._get(self.annotations, key, "annotation", ref) for key in given if key not in (-1, None)
        ]
        return [record for record in records if not record.get("iscrowd")] or records

    def region(self, annotation: Mapping[str, Any], image: Mapping[str, Any]) -> Region:
        key = annotation["id"]
        if key not in self.regions:
            where = f"{self.path}: annotation {key}"
            size = image["height"], image["width"]
            self.regions[key] = read_segmentation(annotation["segmentation"], *size, where)
        return self.regions[key]

    def _get(
        self, records: dict[Any, dict[str, Any]], key: Any, what: str, ref: Mapping[str, Any]
    ) -> dict[str, Any]:
        if key not in records:
            raise DataError(
                f"{self.path}: ref {ref['ref_id']} asks for {what} {key}, which is not among its {len(records):,}: "
                "refs and instances.json are of different releases, or the file is incomplete"
            )
        return records[key]


def _samples_of(
    ref: Mapping[str, Any], objects: _Objects, folder: str, dataset: str, text_key: str
) -> Iterator[Sample]:
    image = objects.image(ref)
    targets = [] if _is_empty(ref) else objects.targets(ref)
    where = f"{objects.path}: ref {ref['ref_id']}"
    truth = GroundTruth(
        image["height"],
        image["width"],
        tuple(objects.region(target, image) for target in targets),
        box_px_xyxy=hull_of([xywh_to_xyxy(target.get("bbox"), where) for target in targets])
        if objects.boxes
        else None,
    )
    names = {
        objects.categories[t["category_id"]]["name"]
        for t in targets
        if t["category_id"] in objects.categories
    }
    tags = tags_of(
        split=ref["split"],
        category=names.pop() if len(names) == 1 else None,
        targets=count_word(len(targets)),
        source=ref.get("source"),
    )
    photograph = ImageRef(place(folder, str(image["file_name"])))
    for sentence in ref["sentences"]:
        yield Sample(
            dataset=dataset,
            split=str(ref["split"]),
            sample_id=f"{ref['ref_id']}:{sentence['sent_id']}",
            image_id=str(ref["image_id"]),
            image=photograph,
            expression=str(sentence.get(text_key) or sentence.get("sent") or sentence.get("raw") or ""),
            truth=truth,
            tags=tags,
        )


def _says_no_target(ref: Mapping[str, Any]) -> bool:
    """Tell whether a ref bears gRefCOCO's or Ref-ZOM's mark that nothing fits; then its ``ann_id`` may be anything."""
    return bool(ref.get("no_target")) or ref.get("source") == "zero"


def _is_empty(ref: Mapping[str, Any]) -> bool:
    return _says_no_target(ref) or ref["ann_id"] in ([], [-1], -1)
