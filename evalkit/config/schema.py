"""The run configuration: YAML -> ``RunConfig``, every error with its file, line and way out.

Pydantic checks every section, which is frozen after. Nothing here reads a dataset or reaches a network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from evalkit.config.gate_rules import GateRule
from evalkit.config.models import AnyEntry, ModelEntry, PromptConfig
from evalkit.config.section import Name, Section
from evalkit.config.shown import OPEN_MAPPINGS, digest_of, expanded, masked, value_at, with_variables
from evalkit.config.yaml import KeyPath, YamlSource, read_yaml, validate
from evalkit.decoding.settings import DecodeSettings, names_given
from evalkit.errors import nearest
from evalkit.extensions import is_reference, only_looked_at, search_in
from evalkit.types import MASK_CHANNELS


class SampleConfig(Section):
    """A deterministic part of a dataset: whole images, in an order drawn from the run's seed."""

    size: int = Field(ge=1, description="how many are wanted; images are taken whole")
    unit: Literal["expressions", "images"] = Field(
        default="expressions",
        description="what `size` counts: expressions (at least so many, as the last image is taken whole) or images",
    )


class DatasetConfig(Section):
    """One dataset: a card's name, or inline with ``format`` and ``root`` or ``path``."""

    name: Name = Field(description="a card in datasets/, or any unique name with `format`")
    format: str | None = Field(default=None, description="on-disk format, see `evalkit datasets list`")
    root: str | None = Field(default=None, description="folder in the field's layout")
    path: str | None = Field(default=None, description="a single annotation file")
    images: str | None = Field(default=None, description="folder of the photographs, where not the usual one")
    split: str | None = Field(default=None, description="split to read; `all` reads every split")
    mask_channel: str | int | None = Field(
        default=None,
        description="which pixels of mask pictures are the object: auto (refuses what is not certain), nonzero, half, "
        "alpha, index, or one value such as 3",
    )
    partition: str | None = Field(default=None, description="the refer family's split_by: unc, umd, google")
    options: dict[str, Any] = Field(default_factory=dict, description="settings of one format")
    sample: SampleConfig | None = Field(
        default=None, description="a part of the dataset: {size: N}; null = all of it"
    )
    protocol: str | None = Field(default=None, description="scoring protocol of this dataset")

    @field_validator("mask_channel")
    @classmethod
    def _is_channel(cls, value: str | int | None) -> str | int | None:
        if value is not None and str(value) not in MASK_CHANNELS and not str(value).isdigit():
            raise ValueError(
                f"'{value}' is no channel of a mask picture.{nearest(str(value), MASK_CHANNELS)}"
            )
        return value


class ImageConfig(Section):
    """How photographs are sent: the file's own bytes, or with the longest side reduced to N px."""

    max_side: int | None = Field(
        default=None, ge=16, description="longest side sent, pixels; null = the file's own bytes"
    )


class ScoreConfig(Section):
    """How rows are scored; ``protocol`` holds for every dataset that names none of its own."""

    protocol: str | None = Field(
        default=None,
        description="an evaluator's rules, see the reference of protocols; null = each dataset's own",
    )
    boundary: bool = Field(default=True, description="also count boundary intersection over union")
    slices: list[str] | None = Field(
        default=None, description="tags to slice by; null = every tag with 2 to 50 values"
    )
    metrics: Annotated[tuple[str, ...], BeforeValidator(names_given)] = Field(
        default=(),
        description="metrics of your own, besides evalkit's: names of installed ones, or package.module:NAME",
    )


class RunLimits(Section):
    """What may be spent and lost before a run stops or a gate refuses it."""

    budget_usd: float | None = Field(
        default=None, ge=0, description="stop before more than this is spent; null = no limit"
    )
    max_not_run: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="share of samples not run above which the run is partial and the gate refuses it",
    )
    max_data_errors: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of samples with missing or damaged data above which a run is partial; one with as many missing images is refused",
    )
    confirm_above_usd: float = Field(default=5.0, ge=0, description="ask before a run that costs more")


NOT_ASKED = ("decode", "score", "limits", "gate", "dask")
"""Sections that change no question: a run may be resumed with others."""

BOX_PROMPT = "box-only"
"""What ``task: box`` asks with where a model names no prompt."""


class RunConfig(Section):
    """A whole run; ``directory`` is the config file's folder, which relative paths start from."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="folder under reports/")
    seed: int = Field(default=0, description="seed of samples, intervals and simulated answers")
    task: Literal["mask", "box"] = Field(default="mask", description="score masks, or boxes alone")
    datasets: list[DatasetConfig] = Field(min_length=1, description="what is asked about")
    models: list[AnyEntry] = Field(min_length=1, description="who is asked")
    prompts: dict[str, PromptConfig] = Field(default_factory=dict, description="own prompts by name")
    image: ImageConfig = Field(default=ImageConfig(), description="how photographs are sent")
    decode: DecodeSettings = Field(default=DecodeSettings(), description="conventions of decoding")
    score: ScoreConfig = Field(default=ScoreConfig(), description="how rows are scored")
    trials: int = Field(default=1, ge=1, description="how often each question is asked")
    limits: RunLimits = Field(default=RunLimits(), description="what may be spent and lost")
    gate: list[GateRule] = Field(default_factory=list, description="rules of the regression gate")
    dask: dict[str, Any] = Field(default_factory=dict, description="scheduler: address of a Dask scheduler")
    directory: str = Field(default=".", exclude=True, description="the config file's folder; set by evalkit")

    _written: dict[KeyPath, str] = PrivateAttr(default_factory=dict)
    _filled: dict[KeyPath, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _modules_beside_the_config(cls, data: Any) -> Any:
        """Let ``package.module:name`` be found in the config file's folder."""
        if isinstance(data, dict) and "directory" in data:
            search_in(data["directory"])
        return data

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        for section in ("datasets", "models"):
            for index, message in twice_named(section, [entry.name for entry in getattr(self, section)]):
                raise PydanticCustomError(
                    "name_twice", "{message}", {"message": message, "path": [section, index, "name"]}
                )
        return self

    @model_validator(mode="after")
    def _asks_for_boxes(self) -> Self:
        """Give models that are asked without a prompt of their own the box prompt, under ``task: box``."""
        if self.task == "box":
            self.models[:] = [model.with_prompt_unless_set(BOX_PROMPT) for model in self.models]
        return self

    def own_modules(self) -> list[str]:
        """Return every ``package.module:name`` that the config names, in the order of the file."""

        def references(value: Any) -> Iterator[str]:
            if isinstance(value, str) and is_reference(value):
                yield value
            elif isinstance(value, dict | list):
                for inner in value.values() if isinstance(value, dict) else value:
                    yield from references(inner)

        return list(dict.fromkeys(references(self.model_dump(mode="json", exclude={"prompts"}))))

    def check_own_parts(self) -> None:
        """Raise ``ConfigError`` where a wire format or a metric of the user's cannot be loaded."""
        from evalkit.decoding.formats import own_formats
        from evalkit.metrics.names import metric_of

        own_formats(tuple(name for name in self.decode.formats if not only_looked_at("wire format", name)))
        for name in self.score.metrics:
            if not only_looked_at("metric", name):
                metric_of(name)

    def note_written(self, written: Mapping[KeyPath, str]) -> None:
        """Keep how each text stands in the config that ``${NAME}`` was filled into.

        Only text is written back: a number is no secret, and what it was counts. Names stay, as rows carry them.
        """
        data = self.model_dump(mode="json")
        for path, text in written.items():
            value = value_at(data, path)
            if isinstance(value, str) and path[-1] != "name":
                self._written[path] = text
                self._filled[path] = value
        for place, entry in enumerate(self.models):
            entry.note_written(
                {
                    str(path[2]): text
                    for path, text in self._written.items()
                    if len(path) == 3 and path[:2] == ("models", place)
                }
            )

    def to_store(self) -> dict[str, Any]:
        """Return the config for a file that others read: ``${NAME}`` as it was written, secrets as ``***``."""
        data = self.model_dump(mode="json")
        unchanged = {
            path: text for path, text in self._written.items() if value_at(data, path) == self._filled[path]
        }
        stored: dict[str, Any] = masked(with_variables(data, unchanged))
        return stored

    def variables(self) -> dict[str, str]:
        """Return a digest of each filled text that changes answers, by how it is written.

        The stored config does not say what a variable held: by this a resumed run sees that it holds another value.
        """
        return {
            text: digest_of(self._filled[path])
            for path, text in self._written.items()
            if path[0] not in (*NOT_ASKED, "prompts")
            and not any(str(part) in (*NOT_ASKED_OF_A_MODEL, *OPEN_MAPPINGS) for part in path)
        }

    @classmethod
    def from_stored(cls, data: Mapping[str, Any]) -> RunConfig:
        """Return a stored config with ``${NAME}`` filled in where it is set; elsewhere the text stays."""
        filled, written = expanded(data, os.environ)
        config = cls.model_validate(filled)
        config.note_written(written)
        return config

    def answers_fingerprint(self) -> str:
        """Return a digest of everything in the config that changes what is asked."""
        return hashlib.sha256(
            json.dumps(_asked(self.model_dump(mode="json")), sort_keys=True).encode()
        ).hexdigest()

    def questions_changed_since(self, before: Mapping[str, Any], answered: Collection[str]) -> list[str]:
        """Return what differs from the config that stored answers were asked with, in words; empty where nothing does.

        ``before``: that config as the manifest holds it. ``answered``: the models that have answers; those without may
        change, come and go, and where none has any, so may all the rest.
        """
        if not answered:
            return []
        theirs, ours = _asked(masked(before)), _asked(masked(self.model_dump(mode="json")))
        shown = _differences(
            {key: value for key, value in theirs.items() if key != "models"},
            {key: value for key, value in ours.items() if key != "models"},
        )
        new = {model["name"]: model for model in ours["models"]}
        for model in theirs.get("models", []):
            if model["name"] in answered and model["name"] in new:
                changes = _differences(model, new[model["name"]])
                shown += [f"model '{model['name']}' {change}" for change in changes]
        return shown


NOT_ASKED_OF_A_MODEL = (
    *(
        "limits",
        "price",
        "allow_routing",
        "base_url",
        "batch",
        "files_api_above_mb",
        "workers",
        "api_key_env",
        "convention",
    ),
)
"""Keys of a model entry that change no answer by themselves; the endpoint is compared answer by answer."""


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a config, as plain data, that changes answers."""
    asked = {key: value for key, value in config.items() if key not in (*NOT_ASKED, "prompts")}
    own = config.get("prompts") or {}
    asked["models"] = [
        {
            key: _sent(value, own)
            if key == "prompt"
            else _generating(value)
            if key == "generation"
            else value
            for key, value in model.items()
            if key not in NOT_ASKED_OF_A_MODEL
        }
        for model in asked.get("models", [])
    ]
    return asked


def _generating(settings: Any) -> Any:
    """Return the generation settings that change answers; whether the service keeps them does not."""
    if not isinstance(settings, Mapping):
        return settings
    return {key: value for key, value in settings.items() if key != "store"}


def _sent(prompt: Any, own: Mapping[str, Any]) -> Any:
    """Return what is sent of a prompt, as plain data; a name that nobody knows as it stands.

    What a prompt states about the answer's convention is how stored answers are read, and may be corrected
    without asking again.
    """
    from evalkit.config.prompts import shipped_prompts

    if isinstance(prompt, str):
        shipped = shipped_prompts().get(prompt)
        known = own.get(prompt) or (shipped.model_dump(mode="json") if shipped else None)
        prompt = {"text": prompt} if known is None and "{expression}" in prompt else known or prompt
    if not isinstance(prompt, Mapping):
        return prompt
    return {
        "text": prompt.get("text"),
        "response_schema": prompt.get("response_schema"),
        "examples": prompt.get("examples") or [],
    }


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return ``key: theirs, now ours`` for each key that differs."""
    keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    return [f"{key}: {_shown(theirs.get(key))}, now {_shown(ours.get(key))}" for key in keys]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


SHOWN_CHARACTERS = 160


def twice_named(section: str, names: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """Yield the place in a section, and the complaint, of each entry whose name an earlier one has."""
    what = section.removesuffix("s")
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            yield index, f"two {section} are called '{name}': every {what} needs a name of its own"


def load_config(
    path: str | Path, *, look_up: Callable[[YamlSource], None] = lambda _source: None
) -> RunConfig:
    """Return the checked configuration of a YAML file. Raises ``ConfigError`` with every problem.

    ``look_up`` adds what is wrong with names that this layer does not know (``evalkit.models.config_file``).
    """
    source = read_yaml(path)
    look_up(source)
    if isinstance(source.data, dict):
        source.data = {**source.data, "directory": str(Path(path).resolve().parent)}
    config = validate(source, RunConfig)
    config.note_written(source.written)
    if config.decode.token_codebook is None:
        return config
    codebook = str(Path(config.directory) / config.decode.token_codebook)
    return config.model_copy(update={"decode": config.decode.model_copy(update={"token_codebook": codebook})})


def pick_models(config: RunConfig, names: list[str] | None) -> list[ModelEntry]:
    """Return the model entries called ``names`` (all where None). Raises ``ConfigError`` on an unknown one."""
    from evalkit.errors import ConfigError

    if not names:
        return list(config.models)
    by_name = {model.name: model for model in config.models}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"--models: there is no model '{name}' in this config.{nearest(name, by_name)}")
    return [by_name[name] for name in names]
