"""The answers of one model as they are read: what was asked of it, and one answer decoded in its sample's frame.

Scoring, the terminal's progress, `evalkit ask` and the page all decode through here, so they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.decoding.answer import OpenedAnswer, open_answer
from evalkit.decoding.settings import DecodeSettings
from evalkit.models import asked_format, requested_model
from evalkit.types import AskedFormat, Decoded, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.config.schema import RunConfig


@dataclass(frozen=True, slots=True)
class ModelView:
    """What scoring needs to know of a model: how to read its answers and what they cost."""

    name: str
    provider: str
    requested_model: str
    asked: AskedFormat
    config: ModelEntry


def model_views(config: RunConfig, names: list[str] | None = None) -> tuple[ModelView, ...]:
    """Return what scoring needs of each model, in the config's order."""
    return tuple(
        ModelView(model.name, model.provider, requested_model(model), asked_format(model, config), model)
        for model in config.models
        if names is None or model.name in names
    )


def decode_response(
    response: Response, sample: Sample, asked: AskedFormat, settings: DecodeSettings
) -> Decoded:
    """Decode one stored answer in the frame of its sample."""
    return open_response(response, sample, asked).read(settings)


def open_response(response: Response, sample: Sample, asked: AskedFormat) -> OpenedAnswer:
    """Search one stored answer once, to be read under several settings."""
    return open_answer(
        response.text,
        height_px=sample.truth.height_px,
        width_px=sample.truth.width_px,
        asked=asked,
        finish_reason=response.finish_reason,
        block_reason=response.block_reason,
        thought_tokens=response.usage.thought_tokens,
    )
