"""Stored answers of the samples that are drawn, decoded anew for looking at. No call is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.report.data import ReportData, plain_row
from evalkit.storage.ledger import Key, Ledger
from evalkit.types import Decoded, Response, Sample

if TYPE_CHECKING:
    from evalkit.models.answers import ModelView
    from evalkit.report.choose import SampleKey
    from evalkit.storage.run_folder import RunFolder

READ_AT_ONCE = 64
"""Samples whose answers are in memory at a time."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One model's answer to one sample: ``response`` and ``decoded`` are None where it never answered."""

    label: str
    row: Mapping[str, Any]
    response: Response | None
    decoded: Decoded | None


@dataclass(frozen=True, slots=True)
class DrawnSample:
    """One sample of the gallery with the answers of every model of the page."""

    sample: Sample
    answers: tuple[ModelAnswer, ...]


def drawn_samples(data: ReportData, keys: Sequence[SampleKey]) -> Iterator[DrawnSample]:
    """Yield the chosen samples in the order given, ``READ_AT_ONCE`` at a time; trial 0 is drawn."""
    samples = _samples(data, keys)
    rows = _first_rows(data, keys)
    for start in range(0, len(keys), READ_AT_ONCE):
        part = [samples[key] for key in keys[start : start + READ_AT_ONCE] if key in samples]
        decoded = [
            decoded_answers(run.folder, [model.name for model in data.models if model.run == index], part)
            for index, run in enumerate(data.runs)
        ]
        for sample in part:
            answers = []
            for model in data.models:
                row = rows.get((sample.dataset, sample.sample_id, model.label))
                if row is not None:
                    response, verdict = decoded[model.run].get(
                        Key(model.name, sample.dataset, sample.sample_id, 0), (None, None)
                    )
                    answers.append(ModelAnswer(model.label, row, response, verdict))
            yield DrawnSample(sample, tuple(answers))


def _samples(data: ReportData, keys: Sequence[SampleKey]) -> dict[SampleKey, Sample]:
    """Return the chosen samples; the first run that has one says what its truth is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evalkit.storage.samples_table import sample_from_row

    wanted = set(keys)
    found: dict[SampleKey, Sample] = {}
    for run in data.runs:
        table = pq.read_table(run.folder.samples_path)
        names = zip(table["dataset"].to_pylist(), table["sample_id"].to_pylist(), strict=True)
        places = [place for place, key in enumerate(names) if key in wanted and key not in found]
        for row in table.take(pa.array(places, pa.int64())).to_pylist():
            found[row["dataset"], row["sample_id"]] = sample_from_row(row)
    return found


def _first_rows(data: ReportData, keys: Sequence[SampleKey]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    wanted = set(keys)
    first = data.scores[data.scores["trial"] == 0]
    chosen = [key in wanted for key in zip(first["dataset"], first["sample_id"], strict=True)]
    return {
        (row["dataset"], row["sample_id"], row["model"]): plain_row(row)
        for row in first[chosen].to_dict("records")
    }


def decoded_answers(
    folder: RunFolder, names: Sequence[str], samples: Sequence[Sample]
) -> dict[Key, tuple[Response, Decoded]]:
    """Return the stored answer and its verdict of every key that ``names`` answered on these samples."""
    from evalkit.models import read_body
    from evalkit.models.answers import decode_response, model_views

    config = folder.config()
    views: dict[str, ModelView] = {view.name: view for view in model_views(config, list(names))}
    settings = config.decode
    found = {}
    with Ledger(folder.ledger_path, read_only=True) as ledger:
        for dataset in dict.fromkeys(sample.dataset for sample in samples):
            by_id = {sample.sample_id: sample for sample in samples if sample.dataset == dataset}
            for key, state in ledger.states(dataset, list(by_id)).items():
                if key.model not in views or state.last.status != "answered":
                    continue
                view = views[key.model]
                response = read_body(view.provider, state.last.body or "")
                found[key] = (response, decode_response(response, by_id[key.sample_id], view.asked, settings))
    return found
