"""A config file with every name in it looked up: what is wrong with keys, values and names is told together, by line."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.config.prompts import shipped_prompts
from evalkit.config.schema import RunConfig, load_config, twice_named
from evalkit.config.yaml import KeyPath, YamlSource
from evalkit.datasets import LOADER_KIND, NOT_READ, not_read
from evalkit.datasets.cards import card_files, card_protocol
from evalkit.errors import ConfigError, nearest
from evalkit.extensions import is_reference
from evalkit.metrics.protocol_numbers import check_numbers
from evalkit.metrics.protocols import PROTOCOL_KIND
from evalkit.models.python import FLOORS


def load_run_config(path: str | Path) -> RunConfig:
    """Return the checked configuration of a YAML file. Raises ``ConfigError`` with every problem at its line.

    Functions and formats of one's own (``package.module:name``) are not imported here.
    """
    return load_config(path, look_up=note_unknown_names)


def note_unknown_names(source: YamlSource) -> None:
    """Add a problem for each name in ``source`` that nothing has, and for each that stands twice."""
    data = source.data
    if not isinstance(data, dict):
        return
    prompts = {*shipped_prompts(), *_keys(data.get("prompts"))}
    for index, entry in enumerate(_entries(data, "datasets")):
        _note_dataset(source, ("datasets", index), entry)
    for index, entry in enumerate(_entries(data, "models")):
        _note_model(source, ("models", index), entry, prompts)
    for section in ("datasets", "models"):
        for index, message in twice_named(section, [entry.get("name") for entry in _entries(data, section)]):
            source.add((section, index, "name"), message)
    score = data.get("score")
    if isinstance(score, dict):
        _note(source, ("score", "protocol"), "protocol", score.get("protocol"), PROTOCOL_KIND.names())
    _note_numbers(source, data)


def _note_numbers(source: YamlSource, data: dict[Any, Any]) -> None:
    """Note each rule on a number of a protocol that none of the config's protocols can have."""
    score = data.get("score")
    named = [score.get("protocol") if isinstance(score, dict) else None]
    for entry in _entries(data, "datasets"):
        card = entry.get("format") or entry.get("name")
        # A card that cannot be read is told by what reads it.
        with suppress(ConfigError):
            named += [entry.get("protocol"), card_protocol(card) if isinstance(card, str) else None]
    for index, rule in enumerate(_entries(data, "gate")):
        try:
            check_numbers([str(rule.get("metric"))], [name for name in named if isinstance(name, str)])
        except ConfigError as error:
            source.add(("gate", index, "metric"), str(error))


def _entries(data: dict[Any, Any], section: str) -> list[dict[Any, Any]]:
    """Return the entries of a section as mappings; what is none is empty here and pydantic's to refuse."""
    entries = data.get(section)
    return (
        [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []
    )


def _keys(value: Any) -> Collection[str]:
    return value if isinstance(value, dict) else ()


def _note_dataset(source: YamlSource, path: KeyPath, entry: dict[Any, Any]) -> None:
    name = entry.get("name")
    if entry.get("format") in NOT_READ and entry["format"] not in LOADER_KIND.names():
        source.add((*path, "format"), not_read(entry["format"]))
    elif entry.get("format") is not None:
        _note(source, (*path, "format"), "format", entry["format"], LOADER_KIND.names())
    elif isinstance(name, str) and name not in card_files():
        source.add(
            (*path, "name"),
            f"dataset '{name}' is no card and has no `format:`.{nearest(name, card_files())} Name a card, or add "
            f"`format:` (one of {', '.join(sorted(LOADER_KIND.names()))}) and `root:` or `path:`",
        )
    _note(source, (*path, "protocol"), "protocol", entry.get("protocol"), PROTOCOL_KIND.names())


def _note_model(source: YamlSource, path: KeyPath, entry: dict[Any, Any], prompts: Collection[str]) -> None:
    prompt = entry.get("prompt")
    if isinstance(prompt, str) and "{expression}" not in prompt:
        _note(source, (*path, "prompt"), "prompt", prompt, prompts, own="a text with {expression} in it")
    if entry.get("provider") == "python":
        _note(source, (*path, "function"), "function", entry.get("function"), FLOORS)


def _note(
    source: YamlSource,
    path: KeyPath,
    word: str,
    name: Any,
    known: Collection[str],
    *,
    own: str = "package.module:name",
) -> None:
    if isinstance(name, str) and name not in known and not is_reference(name):
        source.add(
            path, f"there is no {word} '{name}'.{nearest(name, known)} One of your own is named as {own}"
        )
