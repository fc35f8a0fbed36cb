"""Writes what a page loads on demand: photographs, run lengths, excerpts and details of every sample.

``chunk_jobs`` cuts the samples of a report into the row groups that scoring worked on; ``write_chunks`` does one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.prompts import Prompt, prompt_of
from evalkit.errors import DataError
from evalkit.report.answers import AnsweredSample, ModelAnswer, decoded_answers
from evalkit.report.audit import Suspect, judge, suspicious_keys
from evalkit.report.chunk_files import write_chunk, write_photographs
from evalkit.report.data import ReportData, SampleKey, plain_row
from evalkit.report.photographs import photograph, photograph_side_px
from evalkit.report.raw_text import excerpt, most_characters
from evalkit.report.sample_details import sample_details
from evalkit.report.shown_masks import grid_factor, shown_boxes, shown_mask, shown_regions
from evalkit.storage.ledger import Key
from evalkit.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.types import Sample

CHUNKS = 80
"""Chunks of each kind that the samples and the photographs of a page are cut into, about."""

SAMPLES_PER_CHUNK = (8, 48)
PHOTOGRAPHS_PER_CHUNK = (4, 24)
"""Fewest and most of one chunk: a file is worth opening, and one card does not load megabytes."""


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """Where the answers of one model of the page stand. ``prompt``: None where its provider takes none."""

    label: str
    number: int
    name: str
    run_path: str
    requested: str
    prompt: Prompt | None


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """One row group of samples of one run, with every setting: all that a worker needs.

    ``numbers``: the samples that are shown, with their numbers on the page. ``photographs``: those whose photograph
    is written by this job, with its number. ``candidates``: those whose label may be wrong.
    """

    folder: str
    run_path: str
    row_group: int
    sources: tuple[AnswerSource, ...]
    rows: pd.DataFrame
    numbers: Mapping[SampleKey, int]
    photographs: Mapping[SampleKey, int]
    candidates: frozenset[SampleKey]
    samples_per_chunk: int
    photographs_per_chunk: int
    side_px: int
    raw_limit: int


@dataclass(slots=True)
class Written:
    """What was written: chunk names with the numbers of what they hold, and what the first page itself shows."""

    samples: list[tuple[str, list[int]]] = field(default_factory=list)
    photographs: list[tuple[str, list[int]]] = field(default_factory=list)
    missing: dict[int, str] = field(default_factory=dict)
    excerpts: dict[tuple[int, int], str] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)

    def add(self, other: Written) -> None:
        """Take in what another job wrote."""
        self.samples += other.samples
        self.photographs += other.photographs
        self.missing |= other.missing
        self.excerpts |= other.excerpts
        self.suspects += other.suspects


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """The samples of a page in the run's order and the photograph of each; ``side_px``: what those are reduced to."""

    keys: tuple[SampleKey, ...]
    photographs: Mapping[SampleKey, int]
    jobs: tuple[ChunkJob, ...]
    side_px: int

    @property
    def n_photographs(self) -> int:
        """How many photographs there are; several samples may share one."""
        return len(set(self.photographs.values()))


def chunk_jobs(data: ReportData, folder: Path) -> SamplePlan:
    """Return the jobs that write every sample of the page into the report ``folder``."""
    rows = data.first_trial()
    keys = tuple(dict.fromkeys(zip(rows["dataset"], rows["sample_id"], strict=True)))
    numbers = {key: number for number, key in enumerate(keys)}
    groups = list(_row_groups(data, numbers))
    photographs: dict[tuple[str, str, str], int] = {}
    of_sample: dict[SampleKey, int] = {}
    firsts: list[dict[SampleKey, int]] = []
    for _, _, found in groups:
        firsts.append({})
        for key, place in found.items():
            if place not in photographs:
                photographs[place] = firsts[-1][key] = len(photographs)
            of_sample[key] = photographs[place]
    side_px = photograph_side_px(len(photographs))
    table = _with_repeats(data, rows)
    by_key = table.groupby(["dataset", "sample_id"], sort=False).indices
    sources, candidates = _sources(data), suspicious_keys(data)
    jobs = tuple(
        ChunkJob(
            folder=str(folder),
            run_path=run_path,
            row_group=row_group,
            sources=sources,
            rows=table.iloc[[place for key in found for place in by_key[key]]],
            numbers={key: numbers[key] for key in found},
            photographs=own,
            candidates=candidates & found.keys(),
            samples_per_chunk=_per_chunk(len(keys), SAMPLES_PER_CHUNK),
            photographs_per_chunk=_per_chunk(len(photographs), PHOTOGRAPHS_PER_CHUNK),
            side_px=side_px,
            raw_limit=most_characters(len(rows)),
        )
        for (run_path, row_group, found), own in zip(groups, firsts, strict=True)
    )
    return SamplePlan(keys, of_sample, jobs, side_px)


def _per_chunk(number: int, bounds: tuple[int, int]) -> int:
    return min(bounds[1], max(bounds[0], -(-number // CHUNKS)))


def _row_groups(
    data: ReportData, numbers: Mapping[SampleKey, int]
) -> Iterator[tuple[str, int, dict[SampleKey, tuple[str, str, str]]]]:
    """Yield (run, row group, sample -> its photograph); the first run that has a sample says what its truth is."""
    import pyarrow.parquet as pq

    seen: set[SampleKey] = set()
    for run in data.runs:
        file = pq.ParquetFile(run.folder.samples_path)
        for index in range(file.num_row_groups):
            part = file.read_row_group(index, columns=["dataset", "sample_id", "image_path", "image_id"])
            columns = [part[name].to_pylist() for name in ("dataset", "sample_id", "image_path", "image_id")]
            found = {
                (dataset, sample_id): (dataset, path, image_id)
                for dataset, sample_id, path, image_id in zip(*columns, strict=True)
                if (dataset, sample_id) in numbers and (dataset, sample_id) not in seen
            }
            seen |= found.keys()
            if found:
                yield str(run.folder.path), index, found


def _with_repeats(data: ReportData, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first trial with the IoU of every trial, where there are several."""
    if data.scores["trial"].max() == 0:
        return rows
    names = ["dataset", "sample_id", "model"]
    ordered = data.scores.sort_values("trial", kind="stable")
    every = ordered.groupby(names, sort=False)["quality"].agg(list).rename("repeats")
    return rows.join(every, on=names)


def _sources(data: ReportData) -> tuple[AnswerSource, ...]:
    configs = [run.folder.config() for run in data.runs]
    sources = []
    for number, model in enumerate(data.models):
        config = configs[model.run]
        setting = next(entry for entry in config.models if entry.name == model.name).prompt_setting()
        prompt = None if setting is None else prompt_of(setting, config)
        path = str(data.runs[model.run].folder.path)
        sources.append(AnswerSource(model.label, number, model.name, path, model.requested, prompt))
    return tuple(sources)


def write_chunks(job: ChunkJob) -> Written:
    """Write the photographs and the answers of one job; a few samples are in memory at a time."""
    samples = [
        sample
        for sample in RunFolder(job.run_path).sample_chunk(job.row_group)
        if (sample.dataset, sample.sample_id) in job.numbers
    ]
    written = Written()
    _write_photographs(job, samples, written)
    rows: dict[tuple[str, str, str], Mapping[str, Any]] = {
        (row["dataset"], row["sample_id"], row["model"]): plain_row(row)
        for row in job.rows.to_dict("records")
    }
    for part in _parts(samples, job.samples_per_chunk):
        _write_samples(job, part, rows, written)
    return written


def _parts(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _write_photographs(job: ChunkJob, samples: Sequence[Sample], written: Written) -> None:
    firsts = [sample for sample in samples if (sample.dataset, sample.sample_id) in job.photographs]
    for part in _parts(firsts, job.photographs_per_chunk):
        numbers = [job.photographs[sample.dataset, sample.sample_id] for sample in part]
        drawn = [photograph(sample, job.side_px) for sample in part]
        written.missing |= {
            number: why for number, (_, why) in zip(numbers, drawn, strict=True) if why is not None
        }
        written.photographs.append(
            (write_photographs(Path(job.folder), [data for data, _ in drawn]), numbers)
        )


def _write_samples(
    job: ChunkJob,
    samples: Sequence[Sample],
    rows: Mapping[tuple[str, str, str], Mapping[str, Any]],
    written: Written,
) -> None:
    decoded = {
        path: decoded_answers(
            RunFolder(path), [source.name for source in job.sources if source.run_path == path], samples
        )
        for path in dict.fromkeys(source.run_path for source in job.sources)
    }
    drawn: dict[int, Any] = {}
    details: dict[int, Any] = {}
    labels = {source.label: source.number for source in job.sources}
    for sample in samples:
        key = (sample.dataset, sample.sample_id)
        number = job.numbers[key]
        answers = []
        for source in job.sources:
            row = rows.get((*key, source.label))
            if row is not None:
                answer_key = Key(source.name, *key, 0)
                answers.append(
                    ModelAnswer(source.label, row, *decoded[source.run_path].get(answer_key, (None, None)))
                )
        answered = AnsweredSample(sample, tuple(answers))
        prompts = {
            source.label: None if source.prompt is None else source.prompt.question_about(sample)
            for source in job.sources
        }
        drawn[number] = drawn_sample(answered, labels)
        details[number] = sample_details(answered, labels, prompts, job.raw_limit)
        for answer in answers:
            text = None if answer.response is None else answer.response.text
            written.excerpts[number, labels[answer.label]] = excerpt(text)
        if key in job.candidates:
            suspect = judge(answered, {source.label: source.requested for source in job.sources})
            written.suspects += [suspect] if suspect is not None else []
    written.samples.append((write_chunk(Path(job.folder), drawn, details), list(drawn)))


def drawn_sample(answered: AnsweredSample, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return what the pictures of one sample are drawn from.

    ``w``, ``h``: pixels of the image; ``k``: pixels in a side of one cell of the grid; ``t``, ``g``: the truth and what
    counts for nothing; ``a``: number of the model -> its mask, its boxes and the beginning of its raw answer.
    ``note``: why the truth cannot be drawn.
    """
    truth = answered.sample.truth
    factor = grid_factor(truth.width_px, truth.height_px)
    shown: dict[str, Any] = {"w": truth.width_px, "h": truth.height_px, "k": factor, "t": None, "g": None}
    try:
        shown["t"] = shown_regions(truth.instances, truth, factor)
        shown["g"] = shown_regions([] if truth.ignore is None else [truth.ignore], truth, factor)
    except DataError as error:
        shown["note"] = str(error)
    shown["a"] = {
        numbers[answer.label]: [
            None if answer.decoded is None else shown_mask(answer.decoded.mask, factor),
            [] if answer.decoded is None else shown_boxes(answer.decoded),
            excerpt(None if answer.response is None else answer.response.text),
        ]
        for answer in answered.answers
    }
    return shown


def chunks_of(written: Sequence[tuple[str, list[int]]], number: int) -> tuple[list[str], list[list[int]]]:
    """Return the chunks' names, and for each of ``number`` things its chunk and its place in that (-1: in none)."""
    places = [[-1, -1] for _ in range(number)]
    names: dict[str, int] = defaultdict(lambda: len(names))
    for name, held in written:
        for place, one in enumerate(held):
            places[one] = [names[name], place]
    return list(names), places
