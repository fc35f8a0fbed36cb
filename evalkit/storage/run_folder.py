"""The run folder: manifest, samples, ledger, scores and summary (DESIGN 4.3).

``samples.parquet`` keeps the samples that were asked with their ground truth as run lengths, so a
run can be re-scored without the dataset. Whole files are written beside and renamed: a reader
never sees half a file. API keys never enter the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError, DataError
from evalkit.types import GroundTruth, ImageRef, Region, Rle, Sample

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evalkit.config.schema import RunConfig

MANIFEST = "manifest.json"
LEDGER = "responses.sqlite"
SAMPLES = "samples.parquet"
SCORES = "scores.parquet"
SUMMARY = "summary.json"

SAMPLES_PER_CHUNK = 512
"""Rows of one row group of samples.parquet: the unit of work of scoring."""


class RunFolder:
    """One run's folder, for reading; raises ``DataError`` where it is not one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / MANIFEST).is_file():
            raise DataError(
                f"{self.path} is not a run folder: it holds no {MANIFEST}. "
                "Give a folder that `evalkit run` wrote, for example reports/<name>"
            )

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as plain data."""
        return read_json(self.path / MANIFEST)

    @property
    def ledger_path(self) -> Path:
        """The ledger's file; a re-scored copy (`evalkit score --out`) refers to its source's."""
        elsewhere = self.manifest.get("ledger")
        return (self.path / elsewhere).resolve() if elsewhere else self.path / LEDGER

    @property
    def samples_path(self) -> Path:
        """The file of the samples, beside the ledger."""
        return self.ledger_path.parent / SAMPLES

    def config(self) -> RunConfig:
        """Return the resolved configuration that the run was made with."""
        from evalkit.config.schema import RunConfig

        return RunConfig.model_validate(self.manifest["config"])

    def scores(self) -> pd.DataFrame:
        """Return scores.parquet as a data frame, one row per (model, dataset, sample, trial).

        See ``score_columns.documented_columns`` for what may be absent or spelled otherwise.
        """
        import pandas as pd

        from evalkit.storage.scores_table import documented_columns

        self._require(self.path / SCORES)
        try:
            scores = pd.read_parquet(self.path / SCORES)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / SCORES} cannot be read as Parquet: {error}") from error
        return documented_columns(scores, str(self.path / SCORES))

    def summary(self) -> dict[str, Any]:
        """Return summary.json as plain data."""
        self._require(self.path / SUMMARY)
        return read_json(self.path / SUMMARY)

    def samples(self) -> pd.DataFrame:
        """Return samples.parquet as a data frame; ``truth`` is JSON text."""
        import pandas as pd

        return pd.read_parquet(self.samples_path)

    def sample_chunks(self) -> Iterator[list[Sample]]:
        """Yield the samples in chunks of at most ``SAMPLES_PER_CHUNK``."""
        for index in range(self.n_chunks()):
            yield self.sample_chunk(index)

    def n_chunks(self) -> int:
        """Return the number of chunks."""
        import pyarrow.parquet as pq

        self._require(self.samples_path)
        return int(pq.ParquetFile(self.samples_path).num_row_groups)

    def n_samples(self) -> int:
        """Return the number of samples."""
        import pyarrow.parquet as pq

        self._require(self.samples_path)
        return int(pq.ParquetFile(self.samples_path).metadata.num_rows)

    def sample_chunk(self, index: int) -> list[Sample]:
        """Return one chunk of samples, in the order of the run."""
        import pyarrow.parquet as pq

        rows = pq.ParquetFile(self.samples_path).read_row_group(index).to_pylist()
        return [sample_from_row(row) for row in rows]

    def sample(self, dataset: str, sample_id: str) -> Sample:
        """Return one sample. Raises ``DataError`` where the run has no such sample."""
        import pyarrow.parquet as pq

        wanted = [("dataset", "=", dataset), ("sample_id", "=", sample_id)]
        rows = pq.read_table(self.samples_path, filters=wanted).to_pylist()
        if not rows:
            raise DataError(f"run {self.path} has no sample '{sample_id}' in dataset '{dataset}'")
        return sample_from_row(rows[0])

    def _require(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(
                f"{path} does not exist: the run was not scored yet. "
                f"Run `evalkit score {self.path}`, or resume it with the command that started it"
            )


def open_for_run(path: Path, config: RunConfig) -> bool:
    """Tell whether ``path`` already holds this very run (resume), False where it is new.

    Raises ``ConfigError`` where the folder belongs to another config or is something else.
    """
    if (path / MANIFEST).is_file():
        _refuse_other_config(path, config)
        return True
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(
            f"{path} exists and is not a run folder (no {MANIFEST} in it). "
            "Give another folder with --out, or remove it"
        )
    return False


def _refuse_other_config(path: Path, config: RunConfig) -> None:
    manifest = read_json(path / MANIFEST)
    if manifest.get("ledger"):
        raise ConfigError(
            f"{path} is a re-scored copy of another run: resume the run itself, or give another --out"
        )
    if manifest.get("answers_fingerprint") == config.answers_fingerprint():
        return
    theirs, ours = manifest.get("config", {}), config.model_dump(mode="json")
    changed = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    raise ConfigError(
        f"{path} belongs to another config: {', '.join(changed) or 'its questions'} differ from the ones its answers "
        "were asked with. Give another folder with --out, another `name:`, or the config it was made with"
    )


def write_json(path: Path, value: object) -> None:
    """Write JSON beside and rename, so that no reader sees half of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text + "\n", encoding="utf-8")
    os.replace(beside, path)  # noqa: PTH105  atomic on every platform, Path.replace is the same call


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object. Raises ``DataError`` where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, not an object")
    return value


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file beside and rename."""
    import pyarrow.parquet as pq

    beside = path.with_name(path.name + ".part")
    pq.write_table(table, beside, compression="zstd")
    beside.replace(path)


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
        "expression": sample.expression,
        "tags": json.dumps(dict(sample.tags), ensure_ascii=False, sort_keys=True),
        "height_px": sample.truth.height_px,
        "width_px": sample.truth.width_px,
        "no_target": sample.truth.no_target,
        "truth": json.dumps(truth_to_json(sample.truth)),
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
    return {
        "size": [truth.height_px, truth.width_px],
        "instances": [_region_json(region, truth) for region in truth.instances],
        "ignore": None if truth.ignore is None else _region_json(truth.ignore, truth),
        "box_px_xyxy": None if truth.box_px_xyxy is None else list(truth.box_px_xyxy),
        "alternatives": [truth_to_json(other) for other in truth.alternatives],
        "exhaustive": truth.exhaustive,
        "overlap": _overlap_json(truth),
    }


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
            ("expression", pa.string()),
            ("tags", pa.string()),
            ("height_px", pa.int32()),
            ("width_px", pa.int32()),
            ("no_target", pa.bool_()),
            ("truth", pa.string()),
        ]
    )
