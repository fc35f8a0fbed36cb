"""What is known of the models (``data/models.yaml``): warnings before a run, estimates, who answered.

Nothing here refuses a model: the file can be out of date, the endpoint cannot.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from evalkit.config.models import GenerationConfig

MODELS_FILE = Path(__file__).parent.parent / "data" / "models.yaml"

FIXED_IMAGE_TOKENS = {"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240}
TILED_IMAGE_TOKENS = {"low": 64, "medium": 256}
TOKENS_PER_TILE = 258
"""Approximate image tokens (ai.google.dev/gemini-api/docs/{tokens,media-resolution}, read 2026-11-21)."""

WARN_DAYS_AHEAD = 45

REVISION = re.compile(r"(?:[-@](?:\d{2,}|latest|stable|(?:preview|exp|experimental)(?=$|[-@]\d|-latest)))+")
"""What may follow a model's id without naming another model: ``-001``, ``-preview-05-20``, ``-exp-0827``,
``@20250617``, ``-latest``; not ``-lite``, not ``-image``, not a size."""


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """A day from which a model is ``gone`` (404) or silently ``routed`` to another."""

    on: dt.date
    what: Literal["gone", "routed"]
    to: str | None
    source: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One entry of the data file; None = not known."""

    name: str
    thinking_budget: tuple[int, int] | None = None
    thinking_levels: tuple[str, ...] = ()
    image_tokens: str = "fixed"
    max_output_tokens: int | None = None
    sampling_ignored: bool = False
    note: str | None = None
    events: tuple[ModelEvent, ...] = ()


@cache
def known_models() -> dict[str, KnownModel]:
    """Return the data file's entries by model id."""
    from evalkit.config.yaml import read_yaml

    data: dict[str, dict[str, Any]] = read_yaml(MODELS_FILE, environment={}).data
    return {name: _known(name, entry) for name, entry in data.items()}


def _known(name: str, entry: dict[str, Any]) -> KnownModel:
    budget = entry.get("thinking_budget")
    events = tuple(
        ModelEvent(event["on"], event["what"], event.get("to"), event["source"])
        for event in entry.get("events", ())
    )
    return KnownModel(
        name,
        thinking_budget=None if budget is None else (budget[0], budget[1]),
        thinking_levels=tuple(entry.get("thinking_levels", ())),
        image_tokens=entry.get("image_tokens", "fixed"),
        max_output_tokens=entry.get("max_output_tokens"),
        sampling_ignored=entry.get("sampling_ignored", False),
        note=entry.get("note"),
        events=events,
    )


def short_id(model: str) -> str:
    """Return a model id without ``models/`` or a publisher's path."""
    return model.rsplit("/", 1)[-1]


def _compared_id(model: str) -> str:
    """Return a model id as answers of any service are compared: in small letters, without what names no other model.

    ``:latest`` and ``:free`` are Ollama's and OpenRouter's words for the usual; ``via X`` names who served it.
    """
    return short_id(model.split(" via ", 1)[0]).lower().removesuffix(":latest").removesuffix(":free")


def listed_id(model: str, listed: Collection[str]) -> str | None:
    """Return the id under which ``listed`` has a model or the model it is a revision of, None where it has neither."""
    name = short_id(model)
    if name in listed:
        return name
    bases = [one for one in listed if name.startswith(one) and REVISION.fullmatch(name[len(one) :])]
    return max(bases, key=len, default=None)


def known_model(model: str) -> KnownModel | None:
    """Return what is known of a model or of the model it is a revision of, None where it is not listed."""
    name = listed_id(model, known_models())
    return None if name is None else known_models()[name]


def was_routed(requested: str, answered: str | None) -> bool:
    """Tell whether another model answered than the one that was asked.

    The version must be the requested id or a revision of it (``REVISION``); another known model's id is
    always another model, whatever it begins with. ``...-latest`` names no model of its own, and
    an answer that names no version proves nothing: both are False.
    """
    if not answered or requested.endswith("-latest"):
        return False
    wanted, found = _compared_id(requested), _compared_id(answered)
    if found == wanted:
        return False
    return found in known_models() or not (
        found.startswith(wanted) and REVISION.fullmatch(found[len(wanted) :])
    )


def thinking_asked_off(generation: GenerationConfig) -> bool:
    """Tell whether the settings ask for no thinking at all, so that billed thoughts are a surprise."""
    return generation.thinking_budget == 0


def availability(model: str, today: dt.date) -> str:
    """Return in one sentence what is known of a model's end, or an empty text."""
    known = known_model(model)
    if known is None:
        return ""
    told = [_event_text(event, today) for event in known.events]
    if known.note:
        told.append(f"known: {known.note}.")
    return " ".join(told)


def retirement_warnings(model: str, today: dt.date) -> list[str]:
    """Return what a run of ``model`` on ``today`` should know of retirements and routings."""
    return events_within(model, today, WARN_DAYS_AHEAD)


def events_within(model: str, today: dt.date, days: int) -> list[str]:
    """Return the retirements and routings of a model that lie behind ``today`` or at most ``days`` ahead of it."""
    known = known_model(model)
    if known is None:
        return []
    near = [event for event in known.events if (event.on - today).days <= days]
    return [f"{model} {_event_text(event, today)} (source: {event.source})" for event in near]


def generation_warnings(model: str, generation: GenerationConfig) -> list[str]:
    """Return which settings the model is known to refuse or to ignore."""
    known = known_model(model)
    if known is None:
        return [f"{model} is not in the list of known models: its settings are sent unchecked"]
    warnings = [*_thinking_warnings(known, generation), *_sampling_warnings(known, generation)]
    most = known.max_output_tokens
    if most is not None and (generation.max_output_tokens or 0) > most:
        warnings.append(f"max_output_tokens {generation.max_output_tokens} is above the model's {most}")
    return [f"{model}: {warning}" for warning in warnings]


def _thinking_warnings(known: KnownModel, generation: GenerationConfig) -> list[str]:
    budget, level = generation.thinking_budget, generation.thinking_level
    warnings = []
    if budget is not None and level is not None:
        warnings.append("thinking_budget and thinking_level are both set: the service refuses the pair")
    if budget is not None and known.thinking_levels:
        words = ", ".join(known.thinking_levels)
        warnings.append(f"thinking_budget is for older models: use thinking_level ({words})")
    if budget is not None and known.thinking_budget is not None and budget != -1:
        least, most = known.thinking_budget
        if not least <= budget <= most:
            off = " (thinking cannot be switched off)" if budget == 0 else ""
            warnings.append(f"thinking_budget {budget} is outside {least} to {most}{off}: expect a 400")
    if level is not None and known.thinking_budget is not None:
        warnings.append("thinking_level is for newer models: use thinking_budget")
    if level is not None and known.thinking_levels and level.lower() not in known.thinking_levels:
        words = ", ".join(known.thinking_levels)
        warnings.append(f"thinking_level '{level}' is not accepted, only {words}: expect a 400")
    return warnings


def _sampling_warnings(known: KnownModel, generation: GenerationConfig) -> list[str]:
    if not known.sampling_ignored:
        return []
    named = [key for key in ("temperature", "top_p", "top_k") if getattr(generation, key) is not None]
    return (
        [f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} ignored by this model"] if named else []
    )


def _event_text(event: ModelEvent, today: dt.date) -> str:
    past = event.on <= today
    if event.what == "gone":
        return f"{'was shut down' if past else 'will be shut down'} on {event.on}."
    return f"{'is' if past else 'will be'} answered by {event.to} from {event.on} on, without an error."


def image_tokens(model: str, width_px: int, height_px: int, resolution: str | None = None) -> int:
    """Return about how many prompt tokens one image costs, by the vendor's published rule.

    Gemini 2.5: 258 where both sides are at most 384 px, else 258 per tile of
    ``floor(min(width, height) / 1.5)`` px. Later models: fixed by media resolution.
    """
    known = known_model(model)
    if known is None or known.image_tokens == "fixed":
        return FIXED_IMAGE_TOKENS[resolution or "high"]
    if resolution in TILED_IMAGE_TOKENS:
        return TILED_IMAGE_TOKENS[resolution]
    if max(width_px, height_px) <= 384:
        return TOKENS_PER_TILE
    tile_px = max(1, math.floor(min(width_px, height_px) / 1.5))
    return math.ceil(width_px / tile_px) * math.ceil(height_px / tile_px) * TOKENS_PER_TILE


def unknown_model_warnings(model: str) -> list[str]:
    """Return a warning where an id is not in the data file but close to one that is: a slip costs a run its answers."""
    import difflib

    known = known_models()
    if listed_id(model, known) is not None:
        return []
    near = difflib.get_close_matches(short_id(model), known, n=1, cutoff=0.8)
    if not near:
        return []
    return [
        f"there is no model '{model}' in evalkit's catalogue. Did you mean '{near[0]}'? It is asked for as it stands"
    ]
