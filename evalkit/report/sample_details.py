"""What one sample's page says: every model side by side, as plain text and numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any

from evalkit.decoding.codes import REPAIRS
from evalkit.masks import area, crop_union, region_crop
from evalkit.report.answers import AnsweredSample, ModelAnswer
from evalkit.report.data import ReportModel
from evalkit.report.numbers import NOTHING, spell
from evalkit.report.raw_text import kept_text
from evalkit.types import GroundTruth


def sample_details(
    answered: AnsweredSample, numbers: Mapping[str, int], prompts: Mapping[str, str | None], raw_limit: int
) -> dict[str, Any]:
    """Return the head of a sample's page and one entry per model that has a row for it.

    ``numbers``: label -> the model's number on the page. ``prompts``: label -> the text that was asked, None where
    the provider has none. ``raw_limit``: characters of a raw answer that are kept. Raises ``DataError`` where the
    truth cannot be read.
    """
    sample = answered.sample
    texts = [text for text in dict.fromkeys(prompts.values()) if text is not None]
    return {
        "split": sample.split,
        "objects": len(sample.truth.instances),
        "area": truth_area_px(sample.truth),
        "tags": sorted((str(name), str(value)) for name, value in sample.tags.items()),
        "prompts": texts,
        "answers": [
            _answer(answer, numbers[answer.label], raw_limit, _place(texts, prompts.get(answer.label)))
            for answer in answered.answers
        ],
    }


def truth_area_px(truth: GroundTruth) -> int:
    """Return the pixels of the target: of the union of its instances."""
    if not truth.instances or not truth.size_known:
        return 0
    return area(
        crop_union([region_crop(region, truth.height_px, truth.width_px) for region in truth.instances])
    )


def _place(texts: Sequence[str], text: str | None) -> int | None:
    return None if text is None else texts.index(text)


def _answer(answer: ModelAnswer, number: int, raw_limit: int, prompt: int | None) -> dict[str, Any]:
    row = answer.row
    whole = None if answer.response is None else (answer.response.text or "")
    kept, note = ("", "") if whole is None else kept_text(whole, raw_limit)
    return {
        "model": number,
        "error": row.get("error"),
        "facts": _facts(row),
        "items": list(_items(answer)),
        "raw": None if whole is None else kept,
        "rawNote": note or _why_empty(answer, whole),
        "prompt": prompt,
        "row": {key: value for key, value in row.items() if key not in _SHARED},
    }


def _why_empty(answer: ModelAnswer, whole: str | None) -> str:
    if whole is None or whole:
        return ""
    blocked = None if answer.response is None else answer.response.block_reason
    return f"No text: {blocked}." if blocked else "The answer holds no text."


def _facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
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
    repeats = row.get("repeats")
    return (
        [*facts, ("IoU of each trial", " ".join(NOTHING if isnan(iou) else _ratio(iou) for iou in repeats))]
        if repeats
        else facts
    )


def _tokens(row: Mapping[str, Any]) -> str:
    names = (("input_tokens", "in"), ("output_tokens", "out"), ("thought_tokens", "thinking"))
    parts = [f"{int(row[key]):,} {word}" for key, word in names if row.get(key) is not None]
    return ", ".join(parts) or NOTHING


def _items(answer: ModelAnswer) -> Iterator[dict[str, Any]]:
    for item in () if answer.decoded is None else answer.decoded.items:
        yield {
            "label": item.label,
            "box": None if item.box_px_xyxy is None else [round(edge, 2) for edge in item.box_px_xyxy],
            "format": item.wire_format,
            "repairs": [REPAIRS.get(name, name) for name in item.repairs],
            "failure": item.failure,
        }


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


_SHARED = frozenset(
    {"dataset", "sample_id", "expression", "tags", "split", "run", "image_path", "protocol_counts", "repeats"}
)


def _ratio(value: Any) -> str:
    return NOTHING if value is None else spell(float(value), "ratio")
