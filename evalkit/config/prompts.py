"""Named prompts: the text, what it asks for, and the examples shown before the question.

The shipped ones stand in ``data/prompts.yaml``; a run's own stand under ``prompts:`` of its YAML,
or inline at a model. A prompt is data: a new one needs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.config.models import PromptConfig
from evalkit.errors import ConfigError, nearest
from evalkit.types import AskedFormat

PROMPTS_FILE = Path(__file__).parent.parent / "data" / "prompts.yaml"

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

    def render(self, expression: str) -> str:
        """Return the text with the expression in place; braces elsewhere (JSON) stay as they are."""
        return self.text.replace("{expression}", expression)


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


@cache
def shipped_prompts() -> dict[str, PromptConfig]:
    """Return the prompts that come with evalkit, by name."""
    from evalkit.config.yaml import read_yaml

    data: dict[str, Any] = read_yaml(PROMPTS_FILE, environment={}).data
    return {name: PromptConfig.model_validate(entry) for name, entry in data.items()}


def _prompt(name: str, config: PromptConfig) -> Prompt:
    asked = AskedFormat(
        wire_format=config.wire_format,
        point_order=config.point_order,
        frame=config.frame,
        keys=tuple(config.keys),
        wrapper=config.wrapper,
        task=config.task,
    )
    examples = tuple(_example(name, example) for example in config.examples)
    return Prompt(name, config.text, asked, config.response_schema, examples)


def _example(name: str, example: Mapping[str, str]) -> Example:
    if set(example) != EXAMPLE_KEYS:
        raise ConfigError(
            f"prompt '{name}': an example has the keys image, expression and answer, this one has "
            f"{', '.join(sorted(example)) or 'none'}"
        )
    return Example(example["image"], example["expression"], example["answer"])
