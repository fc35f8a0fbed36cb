"""``format: parquet``: the forms in which Hugging Face carries these datasets, told apart by their columns.

Row groups are read one after the other; photographs travel as bytes, once per distinct picture. The
readers of the single forms are in ``parquet_rows``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.datasets.files import check_options, is_file, join, names_in, place, unknown_split, what_is_in
from evalkit.datasets.formats import parquet_rows as rows
from evalkit.errors import ConfigError, DataError
from evalkit.types import Sample

RowReader = Callable[[rows.ParquetRow], Iterator[Sample]]

FORMS: dict[str, tuple[frozenset[str], RowReader]] = {
    "moondream/refcoco-m": (frozenset({"samples", "image"}), rows.read_grouped),
    "jxu124/refcoco-benchmark": (frozenset({"ref_list", "image_info"}), rows.read_ref_list),
    "jxu124/refcoco": (frozenset({"raw_anns", "ref_id", "sentences"}), rows.read_raw_anns),
    "aadarsh99/ConverSeg": (frozenset({"mask", "prompt", "image"}), rows.read_mask_image),
    "Ricky06662/ReasonSeg_val": (frozenset({"mask", "text", "image", "image_id"}), rows.read_nested_mask),
    "lmms-lab/RefCOCO": (frozenset({"question_id", "answer", "segmentation"}), rows.read_flat_polygon),
}
"""Every known form: the columns that tell it, and what reads a row of it."""


def load_parquet(dataset: DatasetConfig, directory: Path) -> Iterator[Sample]:
    """Yield the samples of one parquet file (``path:``) or of a repository's folder (``root:``).

    ``split`` is the part of a file's name before the first ``-``. Option ``flat_polygons: accept`` reads
    lmms-lab's flat polygon column, whose masks are wrong for objects of several parts (tagged unreliable).
    """
    options = check_options(dataset, ("flat_polygons",))
    accept = options.get("flat_polygons") == "accept"
    files = _find_files(dataset, directory)
    images = None if dataset.images is None else place(directory, dataset.images)
    occurrences: Counter[str] = Counter()
    pictures: dict[bytes, bytes] = {}
    for split, path in files:
        for number, values, reader in _rows_of(path):
            row = rows.ParquetRow(
                dataset.name, split, values, f"{path}: row {number}", images, accept, pictures
            )
            for sample in reader(row):
                occurrences[sample.sample_id] += 1
                repeated = occurrences[sample.sample_id]
                yield sample if repeated == 1 else replace(sample, sample_id=f"{sample.sample_id}#{repeated}")


def _find_files(dataset: DatasetConfig, directory: Path) -> list[tuple[str, str]]:
    if dataset.path is not None:
        path = place(directory, dataset.path)
        return [(_split_of(path), path)]
    if dataset.root is None:
        raise ConfigError(
            f"dataset '{dataset.name}' (format parquet) needs `path:`, a file, or `root:`, its folder"
        )
    root = place(directory, dataset.root)
    folders = [join(root, "data"), root]
    files = [join(f, name) for f in folders for name in names_in(f) or [] if name.endswith(".parquet")]
    if not files:
        raise DataError(
            f"dataset '{dataset.name}': looked for *.parquet in {root} and its data/, but {what_is_in(root)}"
        )
    _check_parts(files)
    counts = Counter(_split_of(path) for path in files)
    chosen = [(_split_of(p), p) for p in files if (dataset.split or "all") in ("all", _split_of(p))]
    if not chosen:
        raise unknown_split(dataset, counts, root)
    return chosen


def _split_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".parquet").split("-")[0]


def _check_parts(files: list[str]) -> None:
    """Raise ``DataError`` where a name says ``-of-00004`` and fewer parts are there."""
    parts: dict[tuple[str, int], int] = Counter(
        (path.partition("-")[0], int(path.removesuffix(".parquet").rpartition("-of-")[2]))
        for path in files
        if path.removesuffix(".parquet").rpartition("-of-")[2].isdigit()
    )
    for (start, total), present in parts.items():
        if present != total:
            raise DataError(f"{start}-*: {present} of {total} parquet parts are there: download the others")


def _rows_of(path: str) -> Iterator[tuple[int, Mapping[str, Any], RowReader]]:
    import fsspec
    import pyarrow as pa
    from pyarrow import parquet

    if not is_file(path):
        raise DataError(f"{path} does not exist: {what_is_in(path.rpartition('/')[0])}. Check `path:`")
    with fsspec.open(path, "rb") as stream:
        try:
            table = parquet.ParquetFile(stream)
            reader = _form_of(table.schema_arrow.names, path)
            number = 0
            for batch in table.iter_batches(batch_size=16):
                for index in range(batch.num_rows):
                    yield number, {name: batch.column(name)[index] for name in batch.schema.names}, reader
                    number += 1
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: is no complete parquet file ({error}): download it again") from error


def _form_of(columns: list[str], path: str) -> RowReader:
    for needed, reader in FORMS.values():
        if needed <= set(columns):
            return reader
    known = "; ".join(f"{name}: {', '.join(sorted(needed))}" for name, (needed, _) in FORMS.items())
    raise DataError(f"{path}: its columns {', '.join(columns)} are of no known form. Known forms: {known}")
