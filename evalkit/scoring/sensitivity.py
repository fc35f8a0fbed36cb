"""What a decoding convention costs: one run's stored answers under each choice, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from evalkit.decoding.answer import OpenedAnswer, recut
from evalkit.decoding.settings import DecodeSettings
from evalkit.metrics.counts import count_row, overlap_counts
from evalkit.metrics.reading import diagnose
from evalkit.metrics.reading_words import suspect_words
from evalkit.metrics.truth import Truth
from evalkit.scoring.engine import map_chunks
from evalkit.scoring.stored_answers import AnswersJob, answers_jobs, stored_answers
from evalkit.stats.bootstrap import ratio_intervals
from evalkit.storage.run_folder import RunFolder
from evalkit.text_table import text_table
from evalkit.types import Decoded, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.scoring.engine import Engine

    Floats = NDArray[np.float64]

CONVENTIONS: Final[dict[str, DecodeSettings]] = {
    "reference": DecodeSettings(),
    "threshold 0": DecodeSettings(threshold=0),
    "threshold 128": DecodeSettings(threshold=128),
    "boxes rounded": DecodeSettings(box_rounding="round"),
    "boxes expanded": DecodeSettings(box_rounding="expand"),
    "nearest": DecodeSettings(filter="nearest"),
    "bicubic": DecodeSettings(filter="bicubic"),
    "lanczos": DecodeSettings(filter="lanczos"),
    "largest item": DecodeSettings(instances="largest"),
    "first item": DecodeSettings(instances="first"),
}
"""Conventions found in public parsers of the same answers; the first is Google's cookbook's."""


def sensitivity(run_path: str | Path, *, engine: Engine = "local", seed: int = 0) -> list[dict[str, Any]]:
    """Return one row per model, dataset and convention; calls nothing and writes nothing.

    A row holds ``giou`` and ``change`` (against ``reference``, paired on the same rows), each with
    its 95 % interval over images. Rows that were not run are outside both. Every answer is opened once.
    """
    run = RunFolder(run_path)
    scheduler = run.config().dask.get("scheduler")
    parts = list(map_chunks(conventions_chunk, answers_jobs(run), engine=engine, scheduler=scheduler))
    rows = [row for part in parts for row in part]
    places = list(dict.fromkeys((row.model, row.dataset) for row in rows))
    found: list[dict[str, Any]] = []
    for model, dataset in places:
        own = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        images = np.array([row.image_id for row in own])
        ious = np.array([row.ious for row in own])
        found += [
            {"model": model, "dataset": dataset, "convention": name} | numbers
            for name, numbers in zip(CONVENTIONS, _numbers(ious, images, seed), strict=True)
        ]
    return found


class ConventionRow(NamedTuple):
    """The IoU of one answer under each of ``CONVENTIONS``, nan where it has none."""

    model: str
    dataset: str
    image_id: str
    ious: list[float]


def conventions_chunk(job: AnswersJob) -> list[ConventionRow]:
    """Return the rows of one chunk."""
    found = []
    for stored in stored_answers(job):
        ious = [math.nan] * len(CONVENTIONS)
        if stored.answer is not None:
            ious = _ious(stored.answer, stored.truth, job.settings)
        found.append(ConventionRow(stored.model.name, stored.sample.dataset, stored.sample.image_id, ious))
    return found


def _ious(answer: OpenedAnswer, truth: Truth, own: DecodeSettings) -> list[float]:
    """Return the IoU under each convention; conventions of one box rounding and filter share a reading.

    Read at threshold 0, from which ``recut`` makes the masks of any other. Without an image among its masks an
    answer is the same under every filter.
    """
    if own.formats:  # a wire format from outside may take the threshold its own way
        choices = (
            convention.model_copy(update={"token_codebook": own.token_codebook, "formats": own.formats})
            for convention in CONVENTIONS.values()
        )
        return [_iou_as_read(answer.read(choice), truth) for choice in choices]
    lowest = DecodeSettings(threshold=0, token_codebook=own.token_codebook)
    readings: dict[tuple[str, str], Decoded] = {}
    known: dict[tuple[str, str, int, str], float] = {}
    found = []
    for convention in CONVENTIONS.values():
        filtered_by = convention.filter if not readings or _has_image(answer, readings) else lowest.filter
        place = (convention.box_rounding, filtered_by)
        if place not in readings:
            changed = {"box_rounding": convention.box_rounding, "filter": convention.filter}
            readings[place] = answer.read(lowest.model_copy(update=changed))
        # One mask is the union, the largest and the first.
        instances = convention.instances if len(readings[place].items) > 1 else lowest.instances
        key = (*place, convention.threshold, instances)
        if key not in known:
            known[key] = _iou(readings[place], convention, truth)
        found.append(known[key])
    return found


def _has_image(answer: OpenedAnswer, readings: Mapping[tuple[str, str], Decoded]) -> bool:
    """Tell whether any mask of an answer depends on the filter."""
    items = (item for decoded in readings.values() for item in decoded.items)
    return answer.images.any_opened or any(item.mask and item.mask.levels_hw is not None for item in items)


def _iou(lowest: Decoded, convention: DecodeSettings, truth: Truth) -> float:
    """Return the IoU that a verdict read at threshold 0 has under a convention; nan for boxes alone."""
    mask = recut(lowest, convention) if lowest.outcome == "decoded" else None
    if mask is not None:
        intersection, union, _ = overlap_counts(mask, truth)
        return intersection / union if union else 0.0
    if lowest.outcome == "decoded" and lowest.mask is not None:
        return 0.0  # nothing is above the threshold: a format failure
    return _iou_as_read(lowest, truth)


def _iou_as_read(decoded: Decoded, truth: Truth) -> float:
    iou = count_row(decoded, truth, boundary=False)["iou"]
    return math.nan if iou is None else float(iou)


def _numbers(ious: Floats, images: NDArray[Any], seed: int) -> list[dict[str, Any]]:
    """Return gIoU and its change against the reference for every convention; ``ious``: (rows, conventions).

    All of them share their draws. The same masks on every row are no change, and nothing about it is uncertain.
    """
    counted = ~np.isnan(ious) & ~np.isnan(ious[:, :1])
    rows = counted.any(axis=1)
    counted, values = counted[rows].T, np.nan_to_num(ious[rows]).T
    if not counted.size:
        return [{"n": 0, "giou": None, "change": Interval(0.0, 0.0, 0.0).to_json()} for _ in CONVENTIONS]
    values = np.where(counted, values, 0.0)
    change = np.where(counted, values - values[:1], 0.0)
    moved = np.flatnonzero(change.any(axis=1))
    above, below = np.concatenate((values, change[moved])), np.concatenate((counted, counted[moved]))
    shares = [True] * len(values) + [False] * len(moved)
    found = ratio_intervals(above, below.astype(np.float64), images[rows], seed=seed, shares=shares)
    changes = dict(zip(moved.tolist(), found[len(values) :], strict=True))
    return [
        {
            "n": int(counted[place].sum()),
            "giou": giou.to_json() if giou else None,
            "change": (changes.get(place) or Interval(0.0, 0.0, 0.0)).to_json(),
        }
        for place, giou in enumerate(found[: len(values)])
    ]


def sensitivity_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as an aligned text table, one block per model and dataset."""
    blocks: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        block = blocks.setdefault(f"{row['model']} on {row['dataset']} (n = {row['n']})", [])
        block.append((row["convention"], _cell(row["giou"], ""), _cell(row["change"], "+")))
    header = ("convention", "gIoU", "change")
    return "\n\n".join(
        "\n".join([title, *text_table(header, block, "<<<", indent="  ")]) for title, block in blocks.items()
    )


def _cell(number: Mapping[str, float] | None, sign: str) -> str:
    if number is None:
        return "-"
    value, low, high = (format(number[key], f"{sign}.4f") for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def readings(run_path: str | Path) -> list[dict[str, Any]]:
    """Return model, dataset, ``reading``, ``agreement`` and ``contour_agreement`` of a run.

    Agreement: mean box IoU under every convention of boxes, and of contours by point order and frame.

    Nothing of a run scored by an evalkit that kept no stated boxes: score it anew.
    """
    run = RunFolder(run_path)
    stated, scores = run.stated(), run.scores()
    found: list[dict[str, Any]] = []
    if stated is None:
        return found
    for result in run.summary().results:
        if result["slice"] == "all" and result.get("reading"):
            at = (scores["model"] == result["model"]) & (scores["dataset"] == result["dataset"])
            places = np.flatnonzero(at.to_numpy())
            diagnosis, best = diagnose(stated, scores.iloc[places], places), result["reading"]["best"]
            agreements = {
                "agreement": diagnosis.agreement(),
                "contour_agreement": {} if best is None else diagnosis.contour_agreement(best),
            }
            found.append({**{key: result[key] for key in _SHOWN}, **agreements})
    return found


_SHOWN: Final = ("model", "dataset", "wire_formats", "reading")


def readings_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return how the boxes of each model agree with the truth under every convention, the best first, as text."""
    blocks = []
    for one in found:
        reading = one["reading"]
        if not reading["n"]:
            continue
        lines = _ranked(one, "boxes", reading, one["agreement"])
        if "contours" in reading:
            lines += _ranked(one, "contours", reading["contours"], one["contour_agreement"])
        lines += [suspect_words(one)] if reading["suspect"] else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _ranked(
    one: Mapping[str, Any], what: str, reading: Mapping[str, Any], agreement: Mapping[str, float]
) -> list[str]:
    return [
        f"{one['model']} on {one['dataset']}: {what} of {reading['n']} answers against the truth's, mean box IoU",
        f"  {'as they were read':<18} {reading['box_iou']:.3f}",
        *(
            f"  {name:<18} {value:.3f}"
            for name, value in sorted(agreement.items(), key=lambda pair: -pair[1])
        ),
    ]
