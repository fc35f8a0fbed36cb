"""Stored answers of one run, decoded anew for looking at. No call is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.storage.ledger import Key, Ledger
from evalkit.types import Decoded, Response, Sample

if TYPE_CHECKING:
    from evalkit.models.answers import ModelView
    from evalkit.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One model's answer to one sample: ``response`` and ``decoded`` are None where it never answered."""

    label: str
    row: Mapping[str, Any]
    response: Response | None
    decoded: Decoded | None


@dataclass(frozen=True, slots=True)
class AnsweredSample:
    """One sample with the answers of every model of the page."""

    sample: Sample
    answers: tuple[ModelAnswer, ...]


def decoded_answers(
    folder: RunFolder, names: Sequence[str], samples: Sequence[Sample]
) -> dict[Key, tuple[Response, Decoded]]:
    """Return the stored answer and its verdict of every key that ``names`` answered on these samples, first trial."""
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
                if key.model not in views or key.trial != 0 or state.last.status != "answered":
                    continue
                view = views[key.model]
                response = read_body(view.provider, state.last.body or "")
                found[key] = (response, decode_response(response, by_id[key.sample_id], view.asked, settings))
    return found
