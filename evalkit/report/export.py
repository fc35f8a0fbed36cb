"""A run's rows and masks in the formats of other tools: COCO, CSV, Parquet. Calls nothing.

::

    coco     annotations-DATASET.json and results-DATASET-MODEL.json, read by pycocotools, FiftyOne,
             supervision, and by evalkit's own `provider: predictions`
    csv      scores.csv (one row per answer, a column per tag) and summary.csv
    parquet  answers.parquet: the same rows with raw answer, truth and prediction as run lengths
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError, nearest
from evalkit.masks import area, box_of, crop_of, full_mask, region_mask, rle_encode, truth_mask
from evalkit.safe_text import csv_cell, file_part
from evalkit.storage.files import aside, write_json
from evalkit.storage.ledger import Key
from evalkit.storage.locks import SHORT_WORK_S, run_lock
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Decoded, Response, Sample

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.types import BoolMask

CATEGORY = {"id": 1, "name": "target"}
"""COCO needs a category; a referring expression has none, its words stand with the image."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One sample with the stored answers of every model: key -> (answer, verdict)."""

    sample: Sample
    answers: Mapping[Key, tuple[Response, Decoded]]


def export_run(run: RunFolder, to: str, out: Path | None = None) -> list[Path]:
    """Write a scored run in another tool's format; return the files, below ``RUN/export`` where ``out`` is None.

    Files are written aside and then replaced, under the lock of the folder. Raises ``ConfigError`` on an unknown
    format, ``DataError`` where the run was not scored, ``FolderInUse`` where another process writes there.
    """
    if to not in FORMATS:
        raise ConfigError(f"--to {to}: there is no such format.{nearest(to, FORMATS)}")
    folder = out or run.path / "export"
    with run_lock(run.written_with(out), wait_s=SHORT_WORK_S), run.read_as_one(), aside(folder) as stage:
        written = FORMATS[to](run, stage)
        folder.mkdir(parents=True, exist_ok=True)
        return [path.replace(folder / path.name) for path in written]


def answered_samples(run: RunFolder) -> Iterator[Answered]:
    """Yield every sample with its answers, a chunk of samples in memory at a time."""
    from evalkit.report.answers import decoded_answers

    names = list(dict.fromkeys(run.scores()["model"]))
    for samples in run.sample_chunks():
        decoded = decoded_answers(run, names, samples)
        for sample in samples:
            own = (sample.dataset, sample.sample_id)
            yield Answered(
                sample, {key: a for key, a in decoded.items() if (key.dataset, key.sample_id) == own}
            )


def export_coco(run: RunFolder, folder: Path) -> list[Path]:
    """Write ground truth and results as COCO JSON, one image entry per sample, first trial.

    An image entry stands for a sample, because an expression, not a picture, has one target; it
    carries ``sample_id``, ``expression`` and ``no_target``, and ``truth_fault`` where its target cannot be told. An answer without a mask has no result.
    """
    truths: dict[str, dict[str, Any]] = {}
    results: dict[tuple[str, str], list[dict[str, Any]]] = {
        (str(dataset), str(model)): []
        for dataset, model in run.scores()[["dataset", "model"]].drop_duplicates().itertuples(index=False)
    }
    for number, answered in enumerate(answered_samples(run), 1):
        sample = answered.sample
        truth = truths.setdefault(sample.dataset, {"images": [], "annotations": [], "categories": [CATEGORY]})
        truth["images"].append(_image_entry(number, sample))
        for instance in sample.truth.instances if sample.truth.fault is None else ():
            mask_hw = region_mask(instance, sample.truth.height_px, sample.truth.width_px)
            entry = {"id": len(truth["annotations"]) + 1, "image_id": number, "iscrowd": 0}
            truth["annotations"].append(entry | _mask_entry(mask_hw))
        for key, (_, decoded) in answered.answers.items():
            if key.trial == 0:
                results[key.dataset, key.model] += _result_entries(number, sample, decoded)
    files = {folder / f"annotations-{file_part(dataset)}.json": data for dataset, data in truths.items()}
    paths = list(files)
    for path, data in files.items():
        write_json(path, data)
    for (dataset, model), entries in results.items():
        path = _free(folder / f"results-{file_part(dataset)}-{file_part(model)}.json", paths)
        path.write_text(json.dumps(entries) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _free(path: Path, taken: Sequence[Path]) -> Path:
    """Return the path, numbered where it is taken: dataset a-b of model c, and dataset a of model b-c."""
    numbers = itertools.count(2)
    free = path
    while free in taken:
        free = path.with_stem(f"{path.stem}-{next(numbers)}")
    return free


def _image_entry(number: int, sample: Sample) -> dict[str, Any]:
    entry = {
        "id": number,
        "file_name": sample.image.path,
        "height": sample.truth.height_px,
        "width": sample.truth.width_px,
        "sample_id": sample.sample_id,
        "expression": sample.expression,
        "no_target": sample.truth.no_target,
    }
    return entry if sample.truth.fault is None else entry | {"truth_fault": sample.truth.fault}


def _mask_entry(mask_hw: BoolMask) -> dict[str, Any]:
    """Return segmentation, area and box (x, y, width, height in pixels) as COCO writes them."""
    x0, y0, x1, y1 = box_of(mask_hw) or (0, 0, 0, 0)
    return {
        "category_id": CATEGORY["id"],
        "segmentation": rle_encode(mask_hw).to_json(),
        "area": area(crop_of(mask_hw)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }


def _result_entries(number: int, sample: Sample, decoded: Decoded) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "sample_id": sample.sample_id,
            "score": 1.0 if item.score is None else item.score,
            **_mask_entry(full_mask(item.mask)),
        }
        for item in decoded.items
        if item.mask is not None
    ]


def export_csv(run: RunFolder, folder: Path) -> list[Path]:
    """Write every row and the summary as CSV; lists are joined by spaces, nested numbers get dotted names."""
    import pandas as pd

    rows = with_tag_columns(run.scores()).drop(columns="tags")
    for column in ("wire_formats", "repairs"):
        rows[column] = [" ".join(names) if names is not None else "" for names in rows[column]]
    scores, summary = folder / "scores.csv", folder / "summary.csv"
    _inert(rows).to_csv(scores, index=False)
    _inert(pd.json_normalize(run.summary().results)).to_csv(summary, index=False)
    return [scores, summary]


def _inert(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with text and headings that no spreadsheet runs."""
    texts = rows.select_dtypes(exclude=["number", "bool"]).columns
    changed = rows.assign(**{name: rows[name].map(csv_cell) for name in texts})
    return changed.rename(columns=csv_cell)


def export_parquet(run: RunFolder, folder: Path) -> list[Path]:
    """Write every row with its raw answer, and truth and prediction as COCO run lengths (JSON text)."""
    found: dict[Key, tuple[str | None, str | None]] = {}
    truths: dict[tuple[str, str], str] = {}
    for answered in answered_samples(run):
        sample = answered.sample
        if sample.truth.fault is None:
            truth = rle_encode(truth_mask(sample.truth))
            truths[sample.dataset, sample.sample_id] = json.dumps(truth.to_json())
        for key, (response, decoded) in answered.answers.items():
            crop = decoded.mask
            mask = None if crop is None else json.dumps(rle_encode(full_mask(crop)).to_json())
            found[key] = (response.text, mask)
    rows = with_tag_columns(run.scores()).drop(columns="tags")
    keys = [Key(*key) for key in rows[["model", "dataset", "sample_id", "trial"]].itertuples(index=False)]
    rows["answer"] = [found.get(key, (None, None))[0] for key in keys]
    rows["truth_rle"] = [truths.get((key.dataset, key.sample_id)) for key in keys]
    rows["prediction_rle"] = [found.get(key, (None, None))[1] for key in keys]
    path = folder / "answers.parquet"
    rows.to_parquet(path, index=False, compression="zstd")
    return [path]


def with_tag_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of scores.parquet with a column ``tag_NAME`` per tag (None where a row has none)."""
    tags = [json.loads(text) if isinstance(text, str) and text else {} for text in rows["tags"]]
    names = sorted({name for own in tags for name in own})
    return rows.assign(**{f"tag_{name}": [own.get(name) for own in tags] for name in names})


FORMATS: dict[str, Callable[[RunFolder, Path], list[Path]]] = {
    "coco": export_coco,
    "csv": export_csv,
    "parquet": export_parquet,
}
"""What ``--to`` may name."""
