"""What `evalkit ask` does between its arguments and its output: verdicts as text, overlays side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.config.schema import RunConfig, pick_models
from evalkit.errors import ConfigError
from evalkit.images import ImageBytes, open_image, read_image
from evalkit.models import check_access, check_models
from evalkit.models.config_file import load_run_config
from evalkit.models.known_models import was_routed
from evalkit.models.suggested import suggested_entry
from evalkit.runner.event_loop import run_to_end
from evalkit.runner.single import SingleAnswer, ask_all
from evalkit.storage.files import replaced_file
from evalkit.types import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image


DEFAULT_MODEL = "gemini-3.8-flash"
SHOWN_CHARACTERS = 1500
PANEL_PX = 640


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
    check_access(entries)
    image = read_image(ImageRef(image_path))
    shown = run_to_end(ask_all(config, entries, image, image_path, expression))
    with replaced_file(target) as written:
        panels(image, shown, expression).save(written, "PNG")
    return "\n\n".join([*(text_of(one) for one in shown), f"overlays: {target}"])


def config_for(config_path: str | None, models: list[str] | None) -> RunConfig:
    """Return the config file's models, or one entry for each Gemini id or floor that is named."""
    if config_path is not None:
        return load_run_config(config_path)
    entries = [suggested_entry(name) for name in models or [DEFAULT_MODEL]]
    return RunConfig.model_validate({"name": "ask", "datasets": [{"name": "ask"}], "models": entries})


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
    """Return one image: a panel for each model, its verdict below its overlay."""
    from evalkit.drawing.layers import items_layer, shown_size
    from evalkit.drawing.sheet import Tile, contact_sheet

    asked = open_image(image.data, "of the question").convert("RGB")
    size = shown_size(*asked.size, PANEL_PX)
    tiles = []
    for one in shown:
        drawn = asked if one.decoded is None else items_layer(one.decoded, asked.size).over(asked)
        tiles.append(Tile(drawn.resize(size), one.name, (one.verdict(),)))
    return contact_sheet(tiles, expression, columns=len(tiles))
