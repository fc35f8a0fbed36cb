"""What one sample's page says: every model side by side, as plain text and numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.decoding.codes import FAILURES, OUTCOMES, REPAIRS
from evalkit.masks import truth_mask
from evalkit.report.answers import DrawnSample, ModelAnswer
from evalkit.report.data import ReportData, ReportModel
from evalkit.report.numbers import NOTHING, spell
from evalkit.report.overlays import Drawing, Layers

RAW_START_CHARACTERS = 700
RAW_CHARACTERS = 1_000_000
"""A raw answer is shown up to here; what is longer is cut, which the page says."""


@dataclass(frozen=True, slots=True)
class ItemView:
    """One object of an answer as a line."""

    label: str | None
    box: str | None
    wire_format: str | None
    repairs: tuple[str, ...]
    failure: str | None


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One model's panel. ``raw`` is None where nothing was answered."""

    label: str
    number: int
    colour: str
    outcome: str
    verdict: str
    strict: bool
    iou: str
    failure: str | None
    failure_words: str
    error: str | None
    facts: tuple[tuple[str, str], ...]
    items: tuple[ItemView, ...]
    raw: str | None
    raw_start: str
    raw_rest: bool
    raw_length: int
    raw_note: str
    prompt: str | None
    request: tuple[tuple[str, str], ...]
    layers: Layers | None


@dataclass(frozen=True, slots=True)
class SampleView:
    """The head of a sample's page."""

    dataset: str
    split: str
    sample_id: str
    expression: str
    width_px: int
    height_px: int
    no_target: bool
    n_instances: int
    truth_area: int
    tags: tuple[tuple[str, str], ...]


def sample_view(drawn: DrawnSample) -> SampleView:
    """Return the head of a sample's page."""
    sample = drawn.sample
    truth = sample.truth
    return SampleView(
        dataset=sample.dataset,
        split=sample.split,
        sample_id=sample.sample_id,
        expression=sample.expression,
        width_px=truth.width_px,
        height_px=truth.height_px,
        no_target=truth.no_target,
        n_instances=len(truth.instances),
        truth_area=int(truth_mask(truth).sum()),
        tags=tuple(sorted((str(name), str(value)) for name, value in sample.tags.items())),
    )


def answer_views(
    data: ReportData, drawn: DrawnSample, drawing: Drawing, prompts: Mapping[str, str | None]
) -> list[AnswerView]:
    """Return one panel per model of the page that has a row for the sample, in the page's order.

    ``prompts``: label -> the text that was asked, None where the provider has none.
    """
    numbers = {model.label: number for number, model in enumerate(data.models)}
    views = []
    for answer in drawn.answers:
        number = numbers[answer.label]
        layers = drawing.layers.get(answer.label)
        views.append(_answer_view(data, answer, number, layers=layers, prompt=prompts.get(answer.label)))
    return views


def _answer_view(
    data: ReportData, answer: ModelAnswer, number: int, *, layers: Layers | None, prompt: str | None
) -> AnswerView:
    model = data.models[number]
    row = answer.row
    failure = row.get("failure")
    raw = None if answer.response is None else (answer.response.text or "")
    return AnswerView(
        label=answer.label,
        number=number,
        colour=model.colour,
        outcome=str(row["outcome"]),
        verdict=OUTCOMES[str(row["outcome"])].label,
        strict=bool(row.get("strict")),
        iou=_ratio(row.get("quality")),
        failure=failure,
        failure_words=FAILURES.get(str(failure), ""),
        error=row.get("error"),
        facts=tuple(_facts(data, answer)),
        items=tuple(_items(answer)),
        raw=None if raw is None else raw[:RAW_CHARACTERS],
        raw_start=(raw or "")[:RAW_START_CHARACTERS],
        raw_rest=len(raw or "") > RAW_START_CHARACTERS,
        raw_length=len(raw or ""),
        raw_note=_raw_note(raw, answer),
        prompt=prompt,
        request=tuple(request_facts(model)),
        layers=layers,
    )


def _raw_note(raw: str | None, answer: ModelAnswer) -> str:
    if raw is None:
        return ""
    if len(raw) > RAW_CHARACTERS:
        return f"Cut after {RAW_CHARACTERS:,} characters; responses.sqlite holds the whole."
    blocked = None if answer.response is None else answer.response.block_reason
    return f"No text: {blocked}." if not raw and blocked else "The answer holds no text." if not raw else ""


def _facts(data: ReportData, answer: ModelAnswer) -> list[tuple[str, str]]:
    row = answer.row
    facts = [
        ("Box IoU", _ratio(row.get("box_iou"))),
        ("Boundary IoU", _ratio(row.get("boundary_iou"))),
        ("Wire format", ", ".join(row.get("wire_formats") or []) or NOTHING),
        ("Repairs", ", ".join(REPAIRS.get(name, name) for name in row.get("repairs") or []) or "none"),
        ("Answered as", str(row.get("model_version") or NOTHING)),
        ("Finish", str(row.get("finish_reason") or NOTHING)),
        ("Latency", NOTHING if row.get("latency_s") is None else spell(row["latency_s"], "seconds")),
        ("Tokens", _tokens(row)),
        ("Cost", NOTHING if row.get("cost_usd") is None else spell(row["cost_usd"], "usd")),
        ("Attempts", str(row.get("attempts") or 0)),
    ]
    repeats = _repeats(data, answer)
    return [*facts, ("IoU of each trial", repeats)] if repeats else facts


def _repeats(data: ReportData, answer: ModelAnswer) -> str:
    if data.scores["trial"].max() == 0:
        return ""
    row = answer.row
    rows = data.rows(row["dataset"], answer.label)
    own = rows[rows["sample_id"] == row["sample_id"]].sort_values("trial")
    return " ".join(NOTHING if iou != iou else f"{iou:.3f}" for iou in own["quality"])  # noqa: PLR0124  NaN


def _tokens(row: Mapping[str, Any]) -> str:
    names = (("input_tokens", "in"), ("output_tokens", "out"), ("thought_tokens", "thinking"))
    parts = [f"{int(row[key]):,} {word}" for key, word in names if row.get(key) is not None]
    return ", ".join(parts) or NOTHING


def _items(answer: ModelAnswer) -> list[ItemView]:
    if answer.decoded is None:
        return []
    return [
        ItemView(
            item.label,
            None if item.box_px_xyxy is None else str(list(item.box_px_xyxy)),
            item.wire_format,
            tuple(REPAIRS.get(name, name) for name in item.repairs),
            item.failure,
        )
        for item in answer.decoded.items
    ]


def request_facts(model: ReportModel) -> list[tuple[str, str]]:
    """Return the settings that a model was asked with, those that were set."""
    generation = {
        key: value for key, value in (model.config.get("generation") or {}).items() if value is not None
    }
    facts = [("Provider", model.provider), ("Model", model.requested)]
    facts += [(str(key).replace("_", " "), str(value)) for key, value in generation.items()]
    for key in ("base_url", "location", "mode", "path", "function", "persona"):
        if model.config.get(key):
            facts.append((key.replace("_", " "), str(model.config[key])))
    return facts


def sample_json(
    view: SampleView, answers: Sequence[AnswerView], rows: Sequence[ModelAnswer]
) -> dict[str, Any]:
    """Return what "Copy as JSON" copies: the sample, and each model's row with its raw answer."""
    return {
        "dataset": view.dataset,
        "sample_id": view.sample_id,
        "expression": view.expression,
        "size": [view.height_px, view.width_px],
        "no_target": view.no_target,
        "tags": dict(view.tags),
        "answers": [
            {
                **{key: value for key, value in answer.row.items() if key not in _SHARED},
                "model": answer.label,
                "prompt": shown.prompt,
                "raw": shown.raw,
            }
            for answer, shown in zip(rows, answers, strict=True)
        ],
    }


_SHARED = frozenset(
    {"dataset", "sample_id", "expression", "tags", "split", "run", "image_path", "protocol_counts"}
)


def _ratio(value: Any) -> str:
    return NOTHING if value is None else spell(float(value), "ratio")
