"""The gallery's index: one entry per sample and per answer, as columns that the page filters and sorts. Pure.

What the pictures are drawn from stands in chunks (``sample_chunks``), which the index names. Texts of others travel
as JSON in a script file of its own with ``<`` escaped, and are put on the page through ``textContent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from evalkit.decoding.codes import ANSWERED, FAILURES, OUTCOMES
from evalkit.report.data import ReportData, SampleKey, tags_of
from evalkit.report.differences import disagreement
from evalkit.report.raw_text import EXCERPT_CHARACTERS
from evalkit.report.sample_chunks import SamplePlan, Written, chunks_of
from evalkit.report.sample_details import request_facts

ALL_SEARCHED_CHARACTERS = 9_000_000
"""Beginnings of raw answers that the search holds in memory at most."""

CARDS_PER_PAGE = 24


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """One answer as the first page of the gallery shows it before any script runs."""

    href: str
    expression: str
    model: str
    colour: str
    verdict: str
    outcome: str
    iou: str
    excerpt: str


def gallery_index(data: ReportData, plan: SamplePlan, written: Written) -> dict[str, Any]:
    """Return the columns of the gallery: one entry per sample, one per answer of the first trial."""
    rows = data.first_trial()
    names = _Names(data)
    first = rows.drop_duplicates(["dataset", "sample_id"])
    spread = _spreads(rows)
    chunks, places = chunks_of(written.samples, len(plan.keys))
    photograph_chunks, photograph_places = chunks_of(written.photographs, plan.n_photographs)
    samples = [
        {
            "d": names.dataset[key[0]],
            "id": key[1],
            "x": expression,
            "t": [names.number("tags", f"{tag}={value}") for tag, value in tags_of(tags).items()],
            "s": round(spread.get(key, 0.0), 4),
            "c": places[number][0],
            "i": plan.photographs.get(key, -1),
        }
        for number, (key, expression, tags) in enumerate(
            zip(plan.keys, first["expression"], first["tags"], strict=True)
        )
    ]
    return {
        "models": [
            {"label": model.label, "colour": model.colour, "request": request_facts(model)}
            for model in data.models
        ],
        "datasets": list(data.datasets),
        "samples": samples,
        "answers": _answer_columns(data, names, {key: number for number, key in enumerate(plan.keys)}),
        **names.lists(),
        "chunks": chunks,
        "photographs": {"chunks": photograph_chunks, "places": photograph_places, "missing": written.missing},
        "failureWords": FAILURES,
        "outcomeWords": {name: words.label for name, words in OUTCOMES.items()},
        "cardsPerPage": CARDS_PER_PAGE,
        "searched": searched_characters(len(rows)),
        "hasChange": len(data.runs) > 1,
    }


def searched_characters(n_answers: int) -> int:
    """Return how much of the beginning of each raw answer the search looks at."""
    return min(EXCERPT_CHARACTERS, max(40, ALL_SEARCHED_CHARACTERS // max(1, n_answers)))


def searched_texts(index: Mapping[str, Any], written: Written) -> list[str]:
    """Return what the search looks at of each answer, in the order of the index."""
    answers, limit = index["answers"], index["searched"]
    return [written.excerpts.get(place, "")[:limit] for place in zip(answers["s"], answers["m"], strict=True)]


def _answer_columns(data: ReportData, names: _Names, places: Mapping[SampleKey, int]) -> dict[str, list[Any]]:
    rows = data.first_trial()
    numbers = {model.label: number for number, model in enumerate(data.models)}
    changes = _changes(data)
    columns: dict[str, list[Any]] = {name: [] for name in ("s", "m", "o", "f", "w", "v", "k", "c")}
    fields = ("dataset", "sample_id", "model", "outcome", "failure", "wire_formats", "quality", "strict")
    entries = sorted(
        zip(*(rows[field] for field in fields), strict=True),
        key=lambda entry: (places[entry[0], entry[1]], numbers[entry[2]]),
    )
    for dataset, sample_id, label, outcome, failure, formats, iou, strict in entries:
        change = changes.get((dataset, sample_id, label))
        columns["s"].append(places[dataset, sample_id])
        columns["m"].append(numbers[label])
        columns["o"].append(names.number("outcomes", outcome))
        columns["f"].append(names.number("failures", failure) if isinstance(failure, str) else -1)
        columns["w"].append(
            [names.number("formats", name) for name in (formats if formats is not None else [])]
        )
        columns["v"].append(round(float(iou), 4) if iou == iou else None)  # noqa: PLR0124  NaN is not itself
        columns["k"].append(int(strict is True or strict == 1))
        columns["c"].append(None if change is None else round(change, 4) + 0.0)
    return columns


def _spreads(rows: Any) -> dict[SampleKey, float]:
    answered = rows[rows["outcome"].isin(ANSWERED) & rows["quality"].notna()]
    groups = answered.groupby(["dataset", "sample_id"], sort=False)["quality"]
    spreads: dict[SampleKey, float] = groups.agg(lambda values: disagreement(list(values))).to_dict()
    return spreads


def _changes(data: ReportData) -> dict[tuple[str, str, str], float]:
    """Return IoU minus that of the model of the same name in the first run, per answer."""
    rows = data.scores[(data.scores["trial"] == 0) & data.scores["outcome"].isin(ANSWERED)]
    rows = rows[rows["quality"].notna()]
    by_label = {model.label: model for model in data.models}
    before: dict[tuple[str, str, str], float] = {}
    changes: dict[tuple[str, str, str], float] = {}
    for dataset, sample_id, label, iou in zip(
        rows["dataset"], rows["sample_id"], rows["model"], rows["quality"], strict=True
    ):
        model = by_label[label]
        if model.run == 0:
            before[dataset, sample_id, model.name] = iou
        elif (dataset, sample_id, model.name) in before:
            changes[dataset, sample_id, label] = iou - before[dataset, sample_id, model.name]
    return changes


class _Names:
    """Numbers for names that repeat: tags, outcomes, failures, wire formats, datasets."""

    def __init__(self, data: ReportData) -> None:
        self.dataset = {name: number for number, name in enumerate(data.datasets)}
        self.kinds: dict[str, dict[str, int]] = {
            "tags": {},
            "outcomes": {name: number for number, name in enumerate(OUTCOMES)},
            "failures": {},
            "formats": {},
        }

    def number(self, kind: str, name: str) -> int:
        """Return the number of a name, a new one where it is met first."""
        known = self.kinds[kind]
        return known.setdefault(name, len(known))

    def lists(self) -> dict[str, list[str]]:
        """Return the names of each kind in the order of their numbers."""
        return {kind: list(known) for kind, known in self.kinds.items()}


def first_cards(index: Mapping[str, Any], written: Written) -> list[GalleryCard]:
    """Return the first page of answers, in the run's order."""
    return [_card(index, written, place) for place in range(len(index["answers"]["s"]))[:CARDS_PER_PAGE]]


def _card(index: Mapping[str, Any], written: Written, place: int) -> GalleryCard:
    answers = index["answers"]
    sample, number = index["samples"][answers["s"][place]], answers["m"][place]
    model = index["models"][number]
    outcome = index["outcomes"][answers["o"][place]]
    failure = answers["f"][place]
    words = OUTCOMES[outcome].label if failure < 0 else index["failures"][failure]
    value = answers["v"][place]
    return GalleryCard(
        href=sample_address(index["datasets"][sample["d"]], sample["id"], model["label"]),
        expression=sample["x"],
        model=model["label"],
        colour=model["colour"],
        verdict=words.replace("_", " "),
        outcome=outcome,
        iou="\u2013" if value is None else f"{value:.3f}",
        excerpt=written.excerpts.get((answers["s"][place], number), ""),
    )


def sample_address(dataset: str, sample_id: str, label: str) -> str:
    """Return the address of one answer's page, as the page's script writes it too."""
    return "sample.html#" + urlencode({"dataset": dataset, "id": sample_id, "model": label})
