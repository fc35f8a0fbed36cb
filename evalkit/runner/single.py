"""``evalkit ask``: one picture, one expression, any models: overlays and verdicts side by side."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.models import GenerationConfig
from evalkit.config.schema import RunConfig, load_config, pick_models
from evalkit.errors import ConfigError, SystemFault
from evalkit.images import ImageBytes, open_image, read_image, reduce_image
from evalkit.models import asked_format, check_models, find_provider, limits_of, open_models
from evalkit.models.attempts import Attempt
from evalkit.models.base import Model, Question
from evalkit.models.known_models import known_models, short_id, was_routed
from evalkit.models.prices import cost_usd
from evalkit.models.python import FLOORS
from evalkit.runner.pace import Pace, ask_with_retries
from evalkit.types import Decoded, GroundTruth, ImageRef, Response, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    from evalkit.config.models import ModelEntry

DEFAULT_MODEL = "gemini-3.8-flash"
DEFAULT_OUTPUT_TOKENS = 8192
SHOWN_CHARACTERS = 1500
PANEL_PX = 640
CAPTION_PX = 56


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


def ask_command(
    image_path: str, expression: str, *, config_path: str | None, models: list[str] | None, out: Path | None
) -> str:
    """Ask, write the overlays to ``out`` (``ask.png``) and return the verdicts as text.

    Raises ``ConfigError`` or ``DataError`` before anything is sent.
    """
    target = out or Path("ask.png")
    if target.suffix.lower() != ".png":
        raise ConfigError(f"--out {target}: the overlays are one PNG picture, give a name that ends in .png")
    config = config_for(config_path, models)
    entries = pick_models(config, None if config_path is None else models)
    check_models(entries, config)
    image = read_image(ImageRef(image_path))
    shown = asyncio.run(ask_all(config, entries, image, image_path, expression))
    panels(image, shown, expression).save(target, "PNG")
    return "\n\n".join([*(text_of(one) for one in shown), f"overlays: {target}"])


def config_for(config_path: str | None, models: list[str] | None) -> RunConfig:
    """Return the config file's models, or one entry for each Gemini id or floor that is named."""
    if config_path is not None:
        return load_config(config_path)
    entries = [entry_for(name) for name in models or [DEFAULT_MODEL]]
    return RunConfig.model_validate({"name": "ask", "datasets": [{"name": "ask"}], "models": entries})


def entry_for(name: str) -> dict[str, Any]:
    """Return a model entry for a bare id, with the prompt and settings that suit its family.

    Models with a thinking budget of 0 are asked for PNG masks without thinking, all others for polygons.
    """
    if name in FLOORS:
        return {"name": name, "provider": "python", "function": name}
    known = known_models().get(short_id(name))
    generation: dict[str, Any] = {"max_output_tokens": DEFAULT_OUTPUT_TOKENS}
    prompt = "polygon"
    if known is not None and known.thinking_budget is not None and known.thinking_budget[0] == 0:
        prompt, generation["thinking_budget"] = "google-mask", 0
    elif known is not None and known.thinking_levels:
        generation["thinking_level"] = known.thinking_levels[0]
    settings = GenerationConfig.model_validate(generation).model_dump(exclude_none=True)
    return {"name": name, "provider": "gemini", "model": name, "prompt": prompt, "generation": settings}


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
    from evalkit.decoding import decode_answer

    side = config.image.max_side
    sent = image if side is None else reduce_image(image, side)
    attempts: list[Attempt] = []
    question = Question(sample, model.prompt_for(sample), sent, 0, config.seed)
    try:
        response = await ask_with_retries(model, question, Pace(limits_of(entry)), attempts.append)
    except SystemFault as fault:
        return SingleAnswer(entry.name, model.requested_model, tuple(attempts), error=str(fault))
    decoded = decode_answer(
        response.text,
        height_px=image.height_px,
        width_px=image.width_px,
        asked=asked_format(entry, config),
        settings=config.decode.settings(),
        finish_reason=response.finish_reason,
        block_reason=response.block_reason,
        thought_tokens=response.usage.thought_tokens,
    )
    usd = cost_usd(entry, response, dt.datetime.now(dt.UTC).date())
    return SingleAnswer(entry.name, model.requested_model, tuple(attempts), response, decoded, usd=usd)


def text_of(shown: SingleAnswer) -> str:
    """Return one model's verdict, what it took, and the raw answer."""
    lines = [f"{shown.name}: {shown.verdict()}"]
    response = shown.response
    if response is None:
        return lines[0]
    usage = response.usage
    latency_s = shown.attempts[-1].latency_s or 0.0
    facts = [f"{latency_s:.1f} s", f"{len(shown.attempts)} request(s)"]
    if usage.input_tokens is not None:
        facts.append(
            f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {usage.thought_tokens} thought"
        )
    facts.append("price unknown" if shown.usd is None else f"{shown.usd:.5f} USD")
    lines.append("  " + ", ".join(facts))
    if was_routed(shown.requested_model, response.model_version):
        lines.append(f"  asked {shown.requested_model}, but {response.model_version} answered")
    text = response.text if response.text is not None else "(no text)"
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}... ({len(text)} characters)"
    return "\n".join([*lines, *(f"  | {line}" for line in cut.splitlines())])


def panels(image: ImageBytes, shown: Sequence[SingleAnswer], expression: str) -> Image:
    """Return one picture: a panel for each model, the verdict above its overlay."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    from evalkit.decoding.verdict import draw_overlay

    photograph = open_image(image.data, "of the question").convert("RGB")
    scale = min(1.0, PANEL_PX / max(photograph.size))
    width, height = (max(1, round(side * scale)) for side in photograph.size)
    sheet = Pillow.new("RGB", (len(shown) * (width + 8) - 8, height + CAPTION_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, one in enumerate(shown):
        drawn = photograph if one.decoded is None else draw_overlay(photograph, one.decoded)
        left = number * (width + 8)
        sheet.paste(drawn.convert("RGB").resize((width, height)), (left, CAPTION_PX))
        for row, words in enumerate((one.name, one.verdict(), expression)):
            draw.text((left + 4, 2 + 17 * row), _fitted(words, width, font), fill="black", font=font)
    return sheet


def _fitted(words: str, width_px: int, font: Any) -> str:
    """Return as much of a caption as fits."""
    while len(words) > 4 and font.getlength(words) > width_px - 8:
        words = words[:-4].rstrip() + "..."
    return words
