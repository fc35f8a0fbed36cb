"""One picture, one expression, any models: each asked as in a run, nothing stored."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.config.schema import RunConfig
from evalkit.errors import ConfigError, SystemFault
from evalkit.images import ImageBytes
from evalkit.models import asked_format, find_provider, limits_of, open_models
from evalkit.models.answers import decode_response
from evalkit.models.attempts import Attempt
from evalkit.models.base import Model, Question
from evalkit.models.prices import cost_usd
from evalkit.runner.images import as_sent
from evalkit.runner.pace import Pace, ask_with_retries
from evalkit.types import Decoded, GroundTruth, ImageRef, Response, Sample

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry


@dataclass(frozen=True, slots=True)
class SingleAnswer:
    """What one model made of the question: an answer with its verdict, or the error that stood in the way."""

    name: str
    requested_model: str
    attempts: tuple[Attempt, ...]
    response: Response | None = None
    decoded: Decoded | None = None
    error: str | None = None
    usd: float | None = None

    def verdict(self) -> str:
        """Return the verdict in a few words."""
        if self.decoded is None:
            return f"not run: {self.error}"
        items = len([item for item in self.decoded.items if item.mask is not None])
        formats = ", ".join(
            dict.fromkeys(item.wire_format for item in self.decoded.items if item.wire_format)
        )
        words = [
            self.decoded.outcome,
            self.decoded.failure,
            f"{items} mask(s)" if items else None,
            formats or None,
        ]
        strict = None if self.decoded.strict or self.decoded.failure else "not strict"
        return ", ".join(word for word in [*words, strict] if word)


async def ask_all(
    config: RunConfig, entries: Sequence[ModelEntry], image: ImageBytes, path: str, expression: str
) -> list[SingleAnswer]:
    """Ask every model at once; what goes wrong with one is shown beside the others."""
    truth = GroundTruth(image.height_px, image.width_px)
    sample = Sample("ask", "ask", "ask", path, ImageRef(path), expression, truth)
    wanted = [entry for entry in entries if find_provider(entry.provider).sends_requests]
    if not wanted:
        raise ConfigError(
            "predictions made elsewhere cannot be asked about a new picture: name another model"
        )
    async with open_models(wanted, config, [sample]) as models:
        asked = [
            _ask_one(model, entry, config, sample, image) for model, entry in zip(models, wanted, strict=True)
        ]
        return list(await asyncio.gather(*asked))


async def _ask_one(
    model: Model, entry: ModelEntry, config: RunConfig, sample: Sample, image: ImageBytes
) -> SingleAnswer:
    attempts: list[Attempt] = []
    question = Question(
        sample, model.prompt_for(sample), as_sent(image, config.image.max_side), 0, config.seed
    )
    try:
        response = await ask_with_retries(model, question, Pace(limits_of(entry)), attempts.append)
    except SystemFault as fault:
        return SingleAnswer(entry.name, model.requested_model, tuple(attempts), error=str(fault))
    decoded = decode_response(response, sample, asked_format(entry, config), config.decode)
    usd = cost_usd(entry, response, dt.datetime.now(dt.UTC).date())
    return SingleAnswer(entry.name, model.requested_model, tuple(attempts), response, decoded, usd=usd)
