"""``provider: predictions``: answers made elsewhere (SAM 3, LISA, a paper's files), scored like any other.

JSON lines, one instance a line, several lines of a sample being several instances::

    {"sample_id": "12:34", "mask": RLE | polygons | null, "box": [x0, y0, x1, y1] | null,
     "score": 0.9, "text": raw answer | null, "dataset": only where two datasets share an id}

or a COCO results file. A line without mask, box and text says that nothing fits; so does a mask
without a pixel. A sample that JSON lines leave out was not predicted: it is not run. A sample that
a COCO results file leaves out has no detection: that format has no other way to say so.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import Field

from evalkit.config.models import AnswerConvention, ModelEntry
from evalkit.config.prompts import convention_format, find_prompt
from evalkit.config.schema import RunConfig
from evalkit.errors import ConfigError, DataError, GiveUp
from evalkit.models.base import Question
from evalkit.models.bodies import read_text_body
from evalkit.models.prediction_files import (
    answer_text,
    check_prediction,
    coco_entries,
    first_character,
    json_lines,
)
from evalkit.models.provider import Provider, ProviderContext
from evalkit.types import AskedFormat, Response, Sample

SampleKey = tuple[str, str]
"""(dataset, sample id)."""

SHOWN_IDS = 50
LOG = logging.getLogger(__name__)


class PredictionsConfig(ModelEntry):
    """Answers made elsewhere: JSONL of DESIGN 4.6, or a COCO results file."""

    provider: Literal["predictions"] = Field(description="answers made elsewhere; nobody is asked")
    path: str = Field(description="JSONL, or a COCO results file")
    convention: str | AnswerConvention | None = Field(
        default=None,
        description="what the `text` of its lines is read by: the name of the prompt that was asked, or what that stated (the keys "
        "of `prompts:` without `text`); pixels are those of the dataset's image. Masks and boxes of lines need none",
    )


class PredictionsModel:
    """The answers of one file; needs no photographs and reads only the lines that are asked for.

    ``missing``: samples of the run without a line (JSON lines) or without a detection (COCO results).
    ``unknown_ids``: ids in the file that no sample of the run has. Both are logged. Raises
    ``ConfigError`` where the file is not there or matches no sample, ``DataError`` (file and line)
    where a prediction is not what it has to be.
    """

    def __init__(self, config: PredictionsConfig, run: RunConfig, samples: Sequence[Sample]) -> None:
        self.name = config.name
        self.path = _resolve(config.path, run.directory)
        self.requested_model = Path(config.path).name
        self._file = _open(self.path, config.name)
        self._is_coco = first_character(self._file) == b"["
        index = _PredictedSampleIndex(samples)
        self._found: dict[SampleKey, list[Any]] = {}
        self.unknown_ids: list[str] = []
        for where, place, line in self._lines():
            self._file_line(index, where, place, line)
        self.missing = [key for key in index.sizes_px if key not in self._found]
        self._tell(index)

    def _lines(self) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield (where, what to keep of it, prediction): the offset of a JSON line, a COCO entry itself."""
        return (coco_entries if self._is_coco else json_lines)(self._file, self.path)

    def _file_line(self, index: _PredictedSampleIndex, where: str, place: Any, line: dict[str, Any]) -> None:
        keys = index.keys_of(line, where)
        if not keys:
            self.unknown_ids.append(str(line.get("sample_id", line.get("image_id"))))
        for key in keys:
            if index.sizes_px[key] != (0, 0):
                check_prediction(line, index.sizes_px[key], where)
            self._found.setdefault(key, []).append(place)

    def _tell(self, index: _PredictedSampleIndex) -> None:
        if index.sizes_px and not self._found and self.unknown_ids:
            ours = [sample_id for _, sample_id in index.sizes_px]
            raise ConfigError(
                f"{self.path}: no prediction of model '{self.name}' belongs to a sample of this run. The file has ids "
                f"like {_some(self.unknown_ids)}, the run has {_some(ours)}: write the run's ids as `sample_id`"
            )
        if self.unknown_ids:
            LOG.warning(
                "model '%s': %d predictions in %s are for samples that this run does not have: %s",
                *(self.name, len(self.unknown_ids), self.path, _some(self.unknown_ids)),
            )
        if self.missing:
            means = "they count as answers that found nothing" if self._is_coco else "they are not run"
            LOG.warning(
                "model '%s': %d of %d samples have no prediction in %s, %s: %s",
                *(self.name, len(self.missing), len(index.sizes_px), self.path, means),
                _some([sample_id for _, sample_id in self.missing]),
            )

    def prompt_for(self, sample: Sample) -> str:
        """Return the expression: nothing else is known of the question that was asked."""
        return sample.expression

    async def ask(self, question: Question) -> Response:
        """Return the stored answer.

        Raises ``GiveUp`` where the file has no prediction of the sample, ``DataError`` where nothing says
        how large the sample's image is.
        """
        sample = question.sample
        if not sample.truth.size_known:
            raise DataError(
                f"sample '{sample.sample_id}': {sample.image.path} is missing, and no annotation says its size"
            )
        places = self._found.get((sample.dataset, sample.sample_id))
        if places is None and not self._is_coco:
            raise GiveUp(
                f"no prediction for sample '{sample.sample_id}' of '{sample.dataset}' in {self.path}"
            )
        lines = [place if self._is_coco else self._read_line(place) for place in places or []]
        return read_text_body(answer_text(lines, sample))

    def _read_line(self, offset: int) -> dict[str, Any]:
        self._file.seek(offset)
        line: dict[str, Any] = json.loads(self._file.readline())
        return line

    def content_digest(self) -> str:
        """Return the SHA-256 of the file, read in blocks."""
        self._file.seek(0)
        digest = hashlib.sha256()
        while block := self._file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()

    async def close(self) -> None:
        """Close the file."""
        self._file.close()


class _PredictedSampleIndex:
    """Which sample of the run an id of the file means."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.sizes_px: dict[SampleKey, tuple[int, int]] = {}
        self.questions: dict[SampleKey, tuple[str, str]] = {}
        self.by_sample_id: dict[str, set[SampleKey]] = {}
        self.by_image_id: dict[str, set[SampleKey]] = {}
        for sample in samples:
            key = (sample.dataset, sample.sample_id)
            self.sizes_px[key] = (sample.truth.height_px, sample.truth.width_px)
            self.questions[key] = (sample.image_id, sample.expression)
            self.by_sample_id.setdefault(sample.sample_id, set()).add(key)
            self.by_image_id.setdefault(sample.image_id, set()).add(key)

    def keys_of(self, line: Mapping[str, Any], where: str) -> set[SampleKey]:
        """Return the sample meant, none where the run has none.

        Several where a config lists one dataset under several names, to score it by several protocols.
        Raises ``DataError`` where samples of different questions could be meant.
        """
        keys = self._candidates(line, where)
        if "dataset" in line:
            keys = {key for key in keys if key[0] == line["dataset"]}
        datasets = sorted({dataset for dataset, _ in keys})
        if len(datasets) < len(keys) or len({self.questions[key] for key in keys}) > 1:
            raise DataError(
                f"{where}: the id means {len(keys)} samples of this run (in {' and '.join(datasets)}): name the "
                'sample with "sample_id" and, where datasets share ids, its "dataset"'
            )
        return keys

    def _candidates(self, line: Mapping[str, Any], where: str) -> set[SampleKey]:
        if "sample_id" in line:
            return self.by_sample_id.get(str(line["sample_id"]), set())
        if "image_id" not in line:
            raise DataError(f'{where}: a prediction needs "sample_id" (or "image_id" in a COCO results file)')
        image_id = str(line["image_id"])
        named = self.by_sample_id.get(image_id) or self.by_sample_id.get(
            f"{image_id}:{line.get('category_id')}"
        )
        return named or self.by_image_id.get(image_id, set())


def _resolve(path: str, directory: str) -> str:
    return path if "://" in path or Path(path).is_absolute() else str(Path(directory) / path)


def _open(path: str, name: str) -> BinaryIO:
    import fsspec

    try:
        file: BinaryIO = fsspec.open(path, "rb").open()
    except OSError as error:
        raise ConfigError(
            f"model '{name}': predictions file {path} cannot be read ({error}): check `path:`"
        ) from error
    return file


def _some(ids: Sequence[str]) -> str:
    """Return the first distinct ids for a message."""
    distinct = list(dict.fromkeys(ids))
    more = f" and {len(distinct) - SHOWN_IDS} more" if len(distinct) > SHOWN_IDS else ""
    return ", ".join(f"'{one}'" for one in distinct[:SHOWN_IDS]) + more


def asked_of(entry: PredictionsConfig, run: RunConfig) -> AskedFormat:
    """Return what predictions are measured against: what their convention says, else masks in any format, or boxes.

    Raises ``ConfigError`` on an unknown prompt.
    """
    if isinstance(entry.convention, AnswerConvention):
        return replace(convention_format(entry.convention), task=run.task)
    if entry.convention is not None:
        return replace(find_prompt(entry.convention, run.prompts).asked, task=run.task)
    keys = ("mask",) if run.task == "mask" else ("box_px",)
    return AskedFormat(wire_format=None, keys=keys, task=run.task)


def open_entry(entry: PredictionsConfig, context: ProviderContext) -> PredictionsModel:
    """Return the model. Raises what ``PredictionsModel`` raises: only now the file meets the samples."""
    return PredictionsModel(entry, context.run, context.samples)


def check_entry(entry: PredictionsConfig, run: RunConfig) -> None:
    """Raise ``ConfigError`` on a convention that names no prompt."""
    asked_of(entry, run)


PROVIDER = Provider(
    entry=PredictionsConfig,
    open=open_entry,
    check=check_entry,
    asked=asked_of,
    requested_model=lambda entry: entry.path,
    answer_s=lambda entry: 0.0,  # noqa: ARG005
    background=lambda entry, model, run: {"predictions file": model.content_digest()},  # noqa: ARG005
    sends_requests=False,
    needs_image=False,
    priced=False,
    billed=False,
)
