"""The gallery's data: one card per answer, as columns that the page's script filters and sorts. Pure.

Model text travels as text: it is written as JSON in a script file of its own with ``<`` escaped,
and put on the page through ``textContent``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.decoding.codes import ANSWERED, FAILURES, OUTCOMES
from evalkit.report.choose import ChosenSamples, SampleKey
from evalkit.report.data import ReportData, tags_of
from evalkit.report.differences import disagreement
from evalkit.report.overlays import Drawing

EXCERPT_CHARACTERS = 180
"""How much of a raw answer a card shows; the sample's page has all of it."""

CARDS_PER_PAGE = 24


@dataclass(frozen=True, slots=True)
class GalleryCard:
    """One answer as the first page of the gallery shows it before any script runs."""

    href: str | None
    picture: str | None
    layer: str | None
    expression: str
    model: str
    colour: str
    verdict: str
    outcome: str
    iou: str
    excerpt: str
    zoom: str


def gallery_data(
    data: ReportData,
    chosen: ChosenSamples,
    drawings: Mapping[SampleKey, Drawing],
    excerpts: Mapping[tuple[str, str, str], str],
) -> dict[str, Any]:
    """Return the columns of the gallery: one entry per sample, one per answer of the first trial."""
    rows = data.scores[data.scores["trial"] == 0]
    names = _Names(data)
    keys = list(dict.fromkeys(zip(rows["dataset"], rows["sample_id"], strict=True)))
    first = rows.drop_duplicates(["dataset", "sample_id"])
    spread = _spreads(rows)
    samples = [
        {
            "d": names.dataset[key[0]],
            "id": key[1],
            "x": expression,
            "t": [names.number("tags", f"{tag}={value}") for tag, value in tags_of(tags).items()],
            "s": round(spread.get(key, 0.0), 4),
            **_drawing_entry(drawings.get(key), chosen.reasons.get(key, ())),
        }
        for key, expression, tags in zip(keys, first["expression"], first["tags"], strict=True)
    ]
    places = {key: place for place, key in enumerate(keys)}
    return {
        "models": [{"label": model.label, "colour": model.colour} for model in data.models],
        "datasets": list(data.datasets),
        "samples": samples,
        "answers": _answer_columns(data, names, places, drawings, excerpts),
        **names.lists(),
        "failureWords": FAILURES,
        "outcomeWords": {name: words.label for name, words in OUTCOMES.items()},
        "cardsPerPage": CARDS_PER_PAGE,
        "hasChange": len(data.runs) > 1,
    }


def _drawing_entry(drawing: Drawing | None, reasons: Sequence[str]) -> dict[str, Any]:
    if drawing is None:
        return {}
    return {
        "p": drawing.slug,
        "i": drawing.thumbnail,
        "w": drawing.width_px,
        "h": drawing.height_px,
        **({"why": list(reasons)} if reasons else {}),
    }


def _answer_columns(
    data: ReportData,
    names: _Names,
    places: Mapping[SampleKey, int],
    drawings: Mapping[SampleKey, Drawing],
    excerpts: Mapping[tuple[str, str, str], str],
) -> dict[str, list[Any]]:
    rows = data.scores[data.scores["trial"] == 0]
    numbers = {model.label: number for number, model in enumerate(data.models)}
    changes = _changes(data)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("s", "m", "o", "f", "w", "v", "k", "c", "l", "e", "z")
    }
    fields = ("dataset", "sample_id", "model", "outcome", "failure", "wire_formats", "quality", "strict")
    for dataset, sample_id, label, outcome, failure, formats, iou, strict in zip(
        *(rows[field] for field in fields), strict=True
    ):
        drawing = drawings.get((dataset, sample_id))
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
        columns["c"].append(None if change is None else round(change, 4))
        columns["l"].append(int(drawing is not None and label in drawing.layers))
        columns["z"].append("" if drawing is None else zoom_style(drawing, label))
        columns["e"].append(excerpts.get((dataset, sample_id, label), ""))
    return columns


def zoom_style(drawing: Drawing, label: str) -> str:
    """Return the CSS transform that enlarges a card around what matters, "" where it shows everything."""
    layers = drawing.layers.get(label)
    zoom = drawing.truth_zoom if layers is None else layers.zoom
    if zoom.scale == 1:
        return ""
    return f"translate({zoom.shift_x:.2%},{zoom.shift_y:.2%}) scale({zoom.scale})"


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


def first_cards(gallery: Mapping[str, Any]) -> list[GalleryCard]:
    """Return the first page of drawn answers, in the run's order."""
    answers, samples = gallery["answers"], gallery["samples"]
    order = sorted(range(len(answers["s"])), key=lambda place: (answers["s"][place], answers["m"][place]))
    drawn = [place for place in order if "p" in samples[answers["s"][place]]]
    return [_card(gallery, place) for place in drawn[:CARDS_PER_PAGE]]


def _card(gallery: Mapping[str, Any], place: int) -> GalleryCard:
    answers = gallery["answers"]
    sample = gallery["samples"][answers["s"][place]]
    number = answers["m"][place]
    model = gallery["models"][number]
    layer = f"{sample['p']}-{number}" if answers["l"][place] else f"{sample['p']}-truth"
    outcome = gallery["outcomes"][answers["o"][place]]
    failure = answers["f"][place]
    words = OUTCOMES[outcome].label if failure < 0 else gallery["failures"][failure]
    value = answers["v"][place]
    return GalleryCard(
        href=f"samples/{sample['p']}.html#model-{number}",
        picture=sample["i"],
        layer=f"overlays/{layer}.png",
        expression=sample["x"],
        model=model["label"],
        colour=model["colour"],
        verdict=words.replace("_", " "),
        outcome=outcome,
        iou="\u2013" if value is None else f"{value:.3f}",
        excerpt=answers["e"][place],
        zoom=answers["z"][place],
    )


def excerpt(text: str | None) -> str:
    """Return the beginning of a raw answer on one line."""
    flat = " ".join((text or "").split())
    return flat if len(flat) <= EXCERPT_CHARACTERS else flat[: EXCERPT_CHARACTERS - 1] + "…"


def as_script(name: str, value: object) -> str:
    """Return a script file that sets ``window.<name>``: JSON in which no text can end a script."""
    return f"window.{name} = {safe_json(value)};\n"


def safe_json(value: object) -> str:
    """Return compact JSON that is inert inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
