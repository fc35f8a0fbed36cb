"""Named prompts: the text, what it asks for, and the examples shown before the question.

The shipped ones stand in ``data/prompts.yaml``; a run's own stand under ``prompts:`` of its YAML,
or inline at a model. A prompt is data: a new one needs no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from evalkit.config.models import AnswerConvention, PromptConfig
from evalkit.errors import ConfigError, nearest
from evalkit.images import SizePx, sent_size_px
from evalkit.types import AskedFormat, Sample

if TYPE_CHECKING:
    from evalkit.config.schema import RunConfig

PROMPTS_FILE = Path(__file__).parent.parent / "data" / "prompts.yaml"

_PLACES: Final = re.compile(r"\{(expression|width|height)\}")
EXAMPLE_KEYS = {"image", "expression", "answer"}


@dataclass(frozen=True, slots=True)
class Example:
    """One picture with the answer wanted for it, shown before the question; ``image`` is a path."""

    image: str
    expression: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that is ready to be filled in; ``asked`` is the yardstick of strict answers."""

    name: str
    text: str
    asked: AskedFormat
    response_schema: Mapping[str, Any] | None = None
    examples: tuple[Example, ...] = ()

    def render(self, expression: str, sent_px: SizePx | None = None) -> str:
        """Return the text with the expression in place; braces elsewhere (JSON) stay as they are.

        ``sent_px``: (width, height) of the image as sent, for ``{width}`` and ``{height}``.
        """
        known = {"expression": expression}
        if sent_px is not None:
            known |= {"width": str(sent_px[0]), "height": str(sent_px[1])}
        # One pass: an expression that itself holds {width} is asked as it was written.
        return _PLACES.sub(lambda place: known.get(place[1], place[0]), self.text)

    def question_about(self, sample: Sample) -> str:
        """Return the whole text about one sample, whose truth says how large its image is."""
        size_px = (sample.truth.width_px, sample.truth.height_px)
        return self.render(sample.expression, sent_size_px(size_px, self.asked.max_side_px))

    def sent_at(self, max_side_px: int | None) -> Prompt:
        """Return the prompt for images whose longest side is reduced to ``max_side_px`` (None = not reduced)."""
        return replace(self, asked=replace(self.asked, max_side_px=max_side_px))


def find_prompt(prompt: str | PromptConfig, own: Mapping[str, PromptConfig] | None = None) -> Prompt:
    """Return a prompt by its name, from a text with {expression}, or from a mapping of the YAML.

    ``own``: the run's ``prompts:``, which win over shipped ones of the same name.
    Raises ``ConfigError`` on an unknown name.
    """
    if isinstance(prompt, PromptConfig):
        return _prompt("inline", prompt)
    known = shipped_prompts() | dict(own or {})
    if prompt in known:
        return _prompt(prompt, known[prompt])
    if "{expression}" in prompt:
        return _prompt("inline", PromptConfig(text=prompt))
    raise ConfigError(
        f"prompt '{prompt}': there is no prompt of that name, and a text of one's own must hold {{expression}}."
        f"{nearest(prompt, known)}"
    )


def stated_format(prompt: str | None, stated: Mapping[str, Any]) -> AskedFormat:
    """Return what the answer to a shipped prompt, or to one that is not known, is read by.

    ``stated``: fields of ``AskedFormat``; None leaves the prompt's. Without a prompt the mask format is open
    as soon as anything is stated. Raises ``ConfigError`` on an unknown field or word.
    """
    given = {key: value for key, value in stated.items() if value is not None}
    hints = get_type_hints(AskedFormat)
    for key, value in given.items():
        if key not in hints:
            raise ConfigError(f"a prompt states no '{key}'.{nearest(key, hints)}")
        words = get_args(hints[key])
        if words and all(isinstance(word, str) for word in words) and value not in words:
            raise ConfigError(f"{key}: '{value}' is no word for it.{nearest(str(value), words)}")
    if prompt is None:
        return replace(AskedFormat(wire_format=None) if given else AskedFormat(), **given)
    return replace(find_prompt(prompt).asked, **given)


def convention_format(stated: AnswerConvention) -> AskedFormat:
    """Return what answers are read by under a convention of the YAML."""
    return AskedFormat(
        wire_format=stated.wire_format,
        point_order=stated.point_order,
        frame=stated.frame,
        box_order=stated.box_order or ("xyxy" if "bbox_2d" in stated.keys else "yxyx"),
        unit=stated.unit,
        keys=tuple(stated.keys),
        wrapper=stated.wrapper,
        task=stated.task,
    )


def prompt_warnings(prompt: Prompt) -> list[str]:
    """Return what is doubtful about a prompt: pixels that a model is to count without knowing how many there are."""
    if prompt.asked.unit != "pixel" or all(f"{{{side}}}" in prompt.text for side in ("width", "height")):
        return []
    doubt = (
        f"prompt '{prompt.name}' asks for pixels (unit: pixel) but does not name the size of the image: models count in "
        "the size that they were shown, or guess. Write {width} and {height} into its text"
    )
    return [doubt]


def prompt_of(prompt: str | PromptConfig, run: RunConfig) -> Prompt:
    """Return a prompt of a run, for its images as they are sent. Raises ``ConfigError`` on an unknown name."""
    return find_prompt(prompt, run.prompts).sent_at(run.image.max_side)


@cache
def shipped_prompts() -> dict[str, PromptConfig]:
    """Return the prompts that come with evalkit, by name."""
    from evalkit.config.yaml import read_yaml

    data: dict[str, Any] = read_yaml(PROMPTS_FILE, environment={}).data
    return {name: PromptConfig.model_validate(entry) for name, entry in data.items()}


def _prompt(name: str, config: PromptConfig) -> Prompt:
    asked = convention_format(config)
    examples = tuple(_example(name, example) for example in config.examples)
    return Prompt(name, config.text, asked, config.response_schema, examples)


def _example(name: str, example: Mapping[str, str]) -> Example:
    if set(example) != EXAMPLE_KEYS:
        raise ConfigError(
            f"prompt '{name}': an example has the keys image, expression and answer, this one has "
            f"{', '.join(sorted(example)) or 'none'}"
        )
    return Example(example["image"], example["expression"], example["answer"])
