"""samples.parquet: the samples that were asked, with their ground truth as run lengths.

It lets a run be re-scored without the dataset.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.storage.files import parquet_read
from evalkit.types import GroundTruth, ImageRef, Region, Rle, Sample

if TYPE_CHECKING:
    import pyarrow as pa


SAMPLES_PER_CHUNK = 512
"""Rows of one row group of samples.parquet: the unit of work of scoring."""


def write_samples(path: Path, samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """Write samples.parquet, one row group per chunk of samples, truths as run lengths.

    Returns the fingerprint of each dataset: the SHA-256 over its ids, expressions and truths in
    order, with the counts of samples and images. Raises ``DataError`` on a truth that cannot be
    rasterised.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _samples_schema()
    beside = path.with_name(path.name + ".part")
    with pq.ParquetWriter(beside, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        fingerprints = _Fingerprints()
        for sample in samples:
            rows.append(row_of_sample(sample))
            fingerprints.add(rows[-1])
            if len(rows) == SAMPLES_PER_CHUNK:
                writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=SAMPLES_PER_CHUNK)
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=SAMPLES_PER_CHUNK)
    beside.replace(path)
    return fingerprints.result()


class _Fingerprints:
    """Digests the rows of each dataset as they pass."""

    def __init__(self) -> None:
        self.digests: dict[str, Any] = {}
        self.samples: Counter[str] = Counter()
        self.images: dict[str, set[str]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        name = row["dataset"]
        digest = self.digests.setdefault(name, hashlib.sha256())
        digest.update("\0".join((row["sample_id"], row["expression"], row["truth"], "")).encode())
        self.samples[name] += 1
        self.images.setdefault(name, set()).add(row["image_id"])

    def result(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "sha256": digest.hexdigest(),
                "samples": self.samples[name],
                "images": len(self.images[name]),
            }
            for name, digest in self.digests.items()
        }


def row_of_sample(sample: Sample) -> dict[str, Any]:
    """Return the row of samples.parquet; rasterises the truth, raising ``DataError`` where it cannot be."""
    return {
        "dataset": sample.dataset,
        "split": sample.split,
        "sample_id": sample.sample_id,
        "image_id": sample.image_id,
        "image_path": sample.image.path,
        "image_inline": sample.image.inline,
        "image_sha256": sample.image.sha256,
        "image_stamp": image_stamp(sample.image),
        "expression": sample.expression,
        "tags": json.dumps(dict(sample.tags), ensure_ascii=False, sort_keys=True),
        "height_px": sample.truth.height_px,
        "width_px": sample.truth.width_px,
        "no_target": sample.truth.no_target,
        "truth": truth_text(sample),
    }


def truth_text(sample: Sample) -> str:
    """Return a sample's ground truth as it is stored. Raises ``DataError`` where it cannot be rasterised."""
    return json.dumps(truth_to_json(sample.truth))


def image_stamp(image: ImageRef) -> str | None:
    """Return size, times and place of a local photograph's file: equal ones mean that it was not touched.

    None where it is not known: another place than the local disk, or no such file.
    """
    if image.inline is not None or "://" in image.path:
        return None
    try:
        found = os.stat(image.path)  # noqa: PTH116  (pathlib is 4 times slower here)
    except (OSError, ValueError):  # a name that no file can have
        return None
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"


class StoredQuestion(NamedTuple):
    """What a run folder remembers of one sample, to compare it with the sample of today."""

    expression: str
    image_stamp: str | None
    truth_sha256: str


StoredQuestions = Mapping[tuple[str, str], StoredQuestion]
"""(dataset, sample id) -> what is remembered of it."""


def stored_questions(path: Path) -> StoredQuestions:
    """Return (dataset, sample id) -> what samples.parquet holds of it; empty where there is no such file.

    Raises ``DataError`` where it is damaged.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        return {}
    wanted = ["dataset", "sample_id", "expression", "truth", "image_stamp"]
    with parquet_read(path):
        file = pq.ParquetFile(path)
        columns = [name for name in wanted if name in file.schema_arrow.names]
        return {
            (row["dataset"], row["sample_id"]): StoredQuestion(
                row["expression"], row.get("image_stamp"), hashlib.sha256(row["truth"].encode()).hexdigest()
            )
            for batch in file.iter_batches(SAMPLES_PER_CHUNK, columns=columns)
            for row in batch.to_pylist()
        }


def sample_from_row(row: Mapping[str, Any]) -> Sample:
    """Return the sample of a row of samples.parquet."""
    return Sample(
        dataset=row["dataset"],
        split=row["split"],
        sample_id=row["sample_id"],
        image_id=row["image_id"],
        image=ImageRef(row["image_path"], row["image_inline"], row["image_sha256"]),
        expression=row["expression"],
        truth=truth_from_json(json.loads(row["truth"])),
        tags=json.loads(row["tags"]),
    )


def truth_to_json(truth: GroundTruth) -> dict[str, Any]:
    """Return a ground truth as JSON data, every region as compressed run lengths."""
    stored = {
        "size": [truth.height_px, truth.width_px],
        "instances": [_region_json(region, truth) for region in truth.instances],
        "ignore": None if truth.ignore is None else _region_json(truth.ignore, truth),
        "box_px_xyxy": None if truth.box_px_xyxy is None else list(truth.box_px_xyxy),
        "alternatives": [truth_to_json(other) for other in truth.alternatives],
        "exhaustive": truth.exhaustive,
        "overlap": _overlap_json(truth),
    }
    # Written where there is one alone: the digest of a truth without a fault stays what it was.
    return stored if truth.fault is None else stored | {"fault": truth.fault}


def truth_from_json(data: Mapping[str, Any]) -> GroundTruth:
    """Return the ground truth that ``truth_to_json`` wrote."""
    height_px, width_px = data["size"]

    def region(coded: Mapping[str, Any]) -> Rle:
        return Rle(height_px, width_px, coded["counts"].encode("ascii"))

    box: Sequence[float] | None = data["box_px_xyxy"]
    return GroundTruth(
        height_px,
        width_px,
        tuple(region(coded) for coded in data["instances"]),
        None if data["ignore"] is None else region(data["ignore"]),
        None if box is None else (box[0], box[1], box[2], box[3]),
        tuple(truth_from_json(other) for other in data["alternatives"]),
        data["exhaustive"],
        None if data.get("overlap") is None else region(data["overlap"]),
        data.get("fault"),
    )


def _region_json(region: Region, truth: GroundTruth) -> dict[str, object]:
    from evalkit.masks import region_rle

    return region_rle(region, truth.height_px, truth.width_px).to_json()


def _overlap_json(truth: GroundTruth) -> dict[str, object] | None:
    from evalkit.masks import ring_overlap, rle_encode

    if truth.overlap is not None:
        return _region_json(truth.overlap, truth)
    overlap_hw = ring_overlap(truth)
    return None if overlap_hw is None else rle_encode(overlap_hw).to_json()


def _samples_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("dataset", pa.string()),
            ("split", pa.string()),
            ("sample_id", pa.string()),
            ("image_id", pa.string()),
            ("image_path", pa.string()),
            ("image_inline", pa.binary()),
            ("image_sha256", pa.string()),
            ("image_stamp", pa.string()),
            ("expression", pa.string()),
            ("tags", pa.string()),
            ("height_px", pa.int32()),
            ("width_px", pa.int32()),
            ("no_target", pa.bool_()),
            ("truth", pa.string()),
        ]
    )
