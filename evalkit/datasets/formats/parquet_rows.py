"""One row of a Hugging Face parquet file -> samples, a function per form (named in ``parquet.FORMS``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.datasets.files import place, tags_of
from evalkit.datasets.image_sizes import sizes_of_bytes
from evalkit.datasets.mask_files import UNDRAWN
from evalkit.datasets.regions import mask_region, read_rle, read_segmentation, xywh_to_xyxy
from evalkit.errors import DataError
from evalkit.images import load_image
from evalkit.types import GroundTruth, ImageRef, Polygons, Region, Sample

if TYPE_CHECKING:
    from evalkit.types import BoolMask

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ParquetRow:
    """One row: its columns as Arrow scalars, where it stands, and what the whole file shares.

    ``pictures`` holds each distinct photograph once, by digest.
    """

    dataset: str
    split: str
    values: Mapping[str, Any]
    where: str
    images: str | None
    accept_flat_polygons: bool
    pictures: dict[bytes, bytes]

    def get(self, column: str) -> Any:
        """Return a column's value as plain Python, None where the column is missing."""
        return self.values[column].as_py() if column in self.values else None

    def image(self, name: str) -> ImageRef:
        """Return the row's own photograph, or the file ``name`` in ``images:`` where it has none."""
        cell = self.get("image")
        data = cell.get("bytes") if isinstance(cell, dict) else None
        if data:
            kept = self.pictures.setdefault(hashlib.sha256(data).digest(), data)
            return ImageRef(name, inline=kept)
        return ImageRef(place(self.images or ".", name))

    def sample(
        self,
        sample_id: str,
        image_id: str,
        image: ImageRef,
        expression: str,
        truth: GroundTruth,
        **tags: object,
    ) -> Sample:
        """Return a sample of this row."""
        return Sample(
            self.dataset,
            self.split,
            sample_id,
            image_id,
            image,
            expression,
            truth,
            tags_of(split=self.split, **tags),
        )


def read_nested_mask(row: ParquetRow) -> Iterator[Sample]:
    """Ricky06662's forms: ``mask`` is a nested list of bool, H x W.

    In ReasonSeg_val and ReasonSeg_test the pixels that LISA ignores were made target
    (dvlab-research/Seg-Zero: evaluation_scripts/create_reasonseg_hf.py).
    """
    height_px, width_px = row.get("img_height"), row.get("img_width")
    nested = row.values["mask"].values
    mask_hw = np.asarray(nested.flatten().to_numpy(zero_copy_only=False), dtype=bool)
    if len(nested) != height_px or mask_hw.size != height_px * width_px:
        raise DataError(
            f"{row.where}: the mask holds {len(nested)} rows and {mask_hw.size} pixels, not the {height_px} x "
            f"{width_px} that img_height and img_width say"
        )
    image_id = str(row.get("image_id"))
    bbox = row.get("bbox")
    box: Box | None = (bbox[0], bbox[1], bbox[2], bbox[3]) if bbox else None
    truth = GroundTruth(
        height_px, width_px, (mask_region(mask_hw.reshape(height_px, width_px)),), box_px_xyxy=box
    )
    yield row.sample(
        f"{image_id}:{row.get('ann_id')}", image_id, row.image(f"{image_id}.jpg"), row.get("text"), truth
    )


def read_mask_image(row: ParquetRow) -> Iterator[Sample]:
    """ConverSeg: ``mask`` is an image; its alpha channel is the mask where it has one, above 0 (eval.py)."""
    cell = row.get("image")
    sample_id = str(row.get("id"))
    image = row.image(cell.get("path") or f"{sample_id}.jpg")
    try:
        mask_hw = _inline_mask(row)
        height_px, width_px = mask_hw.shape
        _check_size(image, (width_px, height_px), row.where)
        truth = GroundTruth(height_px, width_px, (mask_region(mask_hw),))
    except DataError as error:
        truth = GroundTruth(0, 0, (UNDRAWN,), fault=str(error))
    image_id = hashlib.sha256(image.inline).hexdigest()[:16] if image.inline else image.path
    yield row.sample(sample_id, image_id, image, row.get("prompt"), truth, concept=row.get("concept"))


def _inline_mask(row: ParquetRow) -> BoolMask:
    cell = row.get("mask")
    data = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(data, bytes):
        raise DataError(f"{row.where}: the column mask holds no picture")
    picture = load_image(data, f"{row.where}, mask")
    has_alpha = picture.mode in ("RGBA", "LA")
    return np.asarray(picture.getchannel("A") if has_alpha else picture.convert("L")) > 0


def read_grouped(row: ParquetRow) -> Iterator[Sample]:
    """moondream/refcoco-m: a row is a photograph, ``samples`` its objects, each with several sentences."""
    image = row.image(str(row.get("file_name")))
    image_id = str(row.get("image_id"))
    for entry in row.get("samples"):
        height_px, width_px = entry["mask"]["size"]
        where = f"{row.where}: {entry['id']}"
        region = read_rle(entry["mask"], height_px, width_px, where)
        truth = GroundTruth(
            height_px, width_px, (region,), box_px_xyxy=xywh_to_xyxy(entry.get("bbox"), where)
        )
        for index, sentence in enumerate(entry["sentences"]):
            yield row.sample(
                f"{entry['id']}:{index}", image_id, image, sentence, truth, category=entry.get("category")
            )


def read_flat_polygon(row: ParquetRow) -> Iterator[Sample]:
    """lmms-lab: all polygons of an object run together in one flat list, which loses its parts.

    Refused unless ``options: {flat_polygons: accept}``; then read as one ring and tagged unreliable.
    """
    if not row.accept_flat_polygons:
        raise DataError(
            f"{row.where}: the column 'segmentation' is one flat list of numbers, in which the parts of an object "
            "cannot be told apart: such masks are no ground truth. Use the refer files (format refcoco) or "
            "moondream/refcoco-m, or set `options: {flat_polygons: accept}` to read them as one ring, tagged "
            "ground_truth: unreliable"
        )
    name = str(row.get("file_name"))
    image = row.image(name)
    if image.inline is None:
        raise DataError(f"{row.where}: has no image bytes, which the size is read from")
    (width_px, height_px), _ = sizes_of_bytes(image.inline, row.where)
    flat = row.get("segmentation")
    region = Polygons((tuple(float(number) for number in flat),))
    truth = GroundTruth(height_px, width_px, (region,), box_px_xyxy=xywh_to_xyxy(row.get("bbox"), row.where))
    # File names end in the object's number, as in COCO_train2014_000000581857_16.jpg.
    image_id = name.rsplit(".", 1)[0].rpartition("_")[0]
    for index, sentence in enumerate(row.get("answer")):
        sample_id = f"{row.get('question_id')}:{index}"
        yield row.sample(sample_id, image_id, image, sentence, truth, ground_truth="unreliable")


def read_raw_anns(row: ParquetRow) -> Iterator[Sample]:
    """jxu124/refcoco, refcocoplus, refcocog: the COCO annotation as JSON text; photographs lie elsewhere."""
    annotation, info = _parsed(row, "raw_anns"), _parsed(row, "raw_image_info")
    yield from _ref_samples(row, annotation, info, _sentences(row), str(row.get("ref_id")))


def read_ref_list(row: ParquetRow) -> Iterator[Sample]:
    """jxu124/refcoco-benchmark: a row is a photograph, ``ref_list`` its refs with their annotations."""
    info = row.get("image_info")
    for entry in row.get("ref_list"):
        ref = entry["ref_info"]
        pairs = [(str(sentence["sent_id"]), str(sentence["sent"])) for sentence in ref["sentences"]]
        yield from _ref_samples(row, entry["ann_info"], info, pairs, str(ref["ref_id"]))


def _ref_samples(
    row: ParquetRow,
    annotation: Mapping[str, Any],
    info: Mapping[str, Any],
    sentences: list[tuple[str, str]],
    ref_id: str,
) -> Iterator[Sample]:
    height_px, width_px = info["height"], info["width"]
    region: Region = read_segmentation(
        annotation["segmentation"], height_px, width_px, f"{row.where}: ref {ref_id}"
    )
    truth = GroundTruth(
        height_px, width_px, (region,), box_px_xyxy=xywh_to_xyxy(annotation.get("bbox"), row.where)
    )
    image = row.image(str(row.get("image_path") or info["file_name"]))
    for sent_id, text in sentences:
        yield row.sample(f"{ref_id}:{sent_id}", str(annotation["image_id"]), image, text, truth)


def _sentences(row: ParquetRow) -> list[tuple[str, str]]:
    """Return (sent_id, text) pairs: records in refer's form, or plain texts beside ``sent_ids``."""
    pairs = []
    ids = row.get("sent_ids") or []
    for index, sentence in enumerate(row.get("sentences")):
        if isinstance(sentence, dict):
            pairs.append((str(sentence["sent_id"]), str(sentence["sent"])))
        else:
            pairs.append((str(ids[index] if index < len(ids) else index), str(sentence)))
    return pairs


def _parsed(row: ParquetRow, column: str) -> dict[str, Any]:
    value = row.get(column)
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise DataError(f"{row.where}: the column {column} is not valid JSON ({error.msg})") from error
    if not isinstance(parsed, dict):
        raise DataError(f"{row.where}: the column {column} holds a {type(parsed).__name__}, not one record")
    return parsed


def _check_size(image: ImageRef, size_px: tuple[int, int], where: str) -> None:
    if image.inline is not None and size_px not in sizes_of_bytes(image.inline, where):
        shown = sizes_of_bytes(image.inline, where)[0]
        raise DataError(
            f"{where}: the mask is {size_px[0]}x{size_px[1]} pixels (width x height) but the image is "
            f"{shown[0]}x{shown[1]}: a mask must have the size of its image"
        )
