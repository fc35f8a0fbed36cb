"""The run configuration: YAML -> ``RunConfig``, every error with its file, line and way out.

Pydantic checks the edge; inside, the settings that travel further are the frozen dataclasses of
``evalkit.types``. Nothing here reads a dataset or reaches a network.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evalkit.errors import nearest
from evalkit.types import DecodeSettings
from evalkit.yaml_source import read_yaml, validate


class Section(BaseModel):
    """A mapping of the YAML file: unknown keys and wrong types are errors, no coercion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SampleConfig(Section):
    """A deterministic part of a dataset: whole images, in an order drawn from the run's seed."""

    size: int = Field(ge=1, description="expressions wanted; the last image is taken whole")


class DatasetConfig(Section):
    """One dataset: a card's name, or inline with ``format`` and ``root`` or ``path``."""

    name: str = Field(description="a card in datasets/, or any unique name with `format`")
    format: str | None = Field(default=None, description="on-disk format, see `evalkit datasets list`")
    root: str | None = Field(default=None, description="folder in the field's layout")
    path: str | None = Field(default=None, description="a single annotation file")
    images: str | None = Field(default=None, description="folder of the photographs, where not the usual one")
    split: str | None = Field(default=None, description="split to read; `all` reads every split")
    partition: str | None = Field(default=None, description="the refer family's split_by: unc, umd, google")
    options: dict[str, Any] = Field(default_factory=dict, description="settings of one format")
    sample: SampleConfig | None = None
    protocol: str | None = Field(default=None, description="scoring protocol of this dataset")


class GenerationConfig(Section):
    """Generation settings sent with every request; unset ones are not sent."""

    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    media_resolution: Literal["low", "medium", "high", "ultra_high"] | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    system_instruction: str | None = None
    safety_settings: dict[str, str] | None = None
    service_tier: str | None = None
    extra_body: dict[str, Any] | None = None


class PaceConfig(Section):
    """The pace one model is asked at; concurrency also adapts to 429 answers."""

    concurrency: int = Field(default=16, ge=1, le=4096)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(
        default=300.0, ge=10, description="whole call; the service refuses less than 10 s"
    )
    max_attempts: int = Field(default=6, ge=1)


class PriceConfig(Section):
    """USD per million tokens (or per image), in place of the dated price table."""

    input_usd_per_million: float = Field(default=0.0, ge=0)
    output_usd_per_million: float = Field(default=0.0, ge=0)
    image_usd: float = Field(default=0.0, ge=0)


class PromptConfig(Section):
    """A prompt of one's own: ``text`` holds {expression}; the rest says what it asks for."""

    text: str
    wire_format: str | None = None
    point_order: Literal["xy", "yx"] = "xy"
    frame: Literal["image", "box"] = "image"
    keys: list[str] = Field(default_factory=lambda: ["box_2d", "mask"])
    wrapper: str | None = None
    task: Literal["mask", "box"] = "mask"
    response_schema: dict[str, Any] | None = None
    examples: list[dict[str, str]] = Field(
        default_factory=list, description="{image, expression, answer} shown before the question"
    )

    @model_validator(mode="after")
    def _has_expression(self) -> Self:
        if "{expression}" not in self.text:
            raise ValueError("the prompt has no {expression}: every sample would get the same question")
        return self


class ModelBase(Section):
    """What every model entry has."""

    name: str = Field(min_length=1, description="unique label in tables")
    limits: PaceConfig = PaceConfig()
    price: PriceConfig | None = None


class GeminiConfig(ModelBase):
    """A Gemini model over the Developer API, over Vertex (``vertexai: true``) or any ``base_url``."""

    provider: Literal["gemini", "gemini-batch"]
    model: str
    base_url: str | None = None
    prompt: str | PromptConfig = "google-mask"
    generation: GenerationConfig = GenerationConfig()
    vertexai: bool = False
    project: str | None = None
    location: str | None = None
    files_api_above_mb: float = Field(
        default=20.0, gt=0, description="images above this go through the Files API"
    )
    allow_routing: bool = Field(default=False, description="accept answers of another model version")
    batch: dict[str, Any] = Field(
        default_factory=dict, description="gemini-batch: poll_s, deadline_h, max_requests"
    )


class VertexSegmentationConfig(ModelBase):
    """Vertex image-segmentation-001 through segment_image."""

    provider: Literal["vertex-segmentation"]
    model: str = "image-segmentation-001"
    base_url: str | None = None
    project: str | None = None
    location: str | None = None
    mode: Literal["prompt", "semantic", "foreground"] = "prompt"
    max_predictions: int | None = None
    confidence_threshold: float | None = None
    mask_dilation: float | None = None
    binary_color_threshold: float | None = None


class PredictionsConfig(ModelBase):
    """Answers made elsewhere: JSONL of DESIGN 4.6, or a COCO results file."""

    provider: Literal["predictions"]
    path: str


class PythonConfig(ModelBase):
    """A function ``package.module:name`` or a shipped floor (whole-image, centre-box)."""

    provider: Literal["python"]
    function: str
    workers: int = Field(default=1, ge=1)


class SimulatorConfig(ModelBase):
    """A persona of the local Gemini: answers made from the ground truth with seeded errors."""

    provider: Literal["simulator"]
    persona: str
    model: str = "gemini-2.5-flash"
    prompt: str | PromptConfig = "google-mask"
    generation: GenerationConfig = GenerationConfig()
    latency_s: float = Field(default=0.05, ge=0)
    faults: list[dict[str, Any]] = Field(default_factory=list)


ModelConfig = Annotated[
    GeminiConfig | VertexSegmentationConfig | PredictionsConfig | PythonConfig | SimulatorConfig,
    Field(discriminator="provider"),
]


class ImageConfig(Section):
    """How photographs are sent: the file's own bytes, or with the longest side reduced to N px."""

    max_side: int | None = Field(default=None, ge=16)


class DecodeConfig(Section):
    """The conventions of decoding; see ``evalkit.types.DecodeSettings``."""

    threshold: int = Field(default=127, ge=0, le=254)
    box_rounding: Literal["truncate", "round", "expand"] = "truncate"
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = "bilinear"
    instances: Literal["union", "largest", "first"] = "union"
    token_codebook: str | None = None

    def settings(self) -> DecodeSettings:
        """Return the record that the decoder takes."""
        return DecodeSettings(**self.model_dump())


class ScoreConfig(Section):
    """How rows are scored; ``protocol`` holds for every dataset that names none of its own."""

    protocol: str | None = None
    boundary: bool = Field(default=True, description="also count boundary intersection over union")
    slices: list[str] | None = Field(
        default=None, description="tags to slice by; null = every tag with 2 to 50 values"
    )


class RunLimits(Section):
    """What may be spent and lost before a run stops or a gate refuses it."""

    budget_usd: float | None = Field(default=None, ge=0)
    max_not_run: float = Field(default=0.02, ge=0, le=1)
    max_data_errors: float = Field(
        default=0.1, ge=0, le=1, description="share of missing images above which a run is refused"
    )
    confirm_above_usd: float = Field(default=5.0, ge=0, description="ask before a run that costs more")


class GateRule(Section):
    """One rule of the regression gate: a metric, and how far it may fall or rise.

    ``max_drop`` and ``max_rise`` compare with the baseline, ``min`` and ``max`` are absolute. A
    rule fails only on evidence at its ``confidence``; without enough data it is ``inconclusive``.
    The metrics ``not_run``, ``routing``, ``format_drift`` and ``new_failures`` are gates that every
    run has; naming one here changes its ``max`` (a share of the answers), 1 switches it off.
    """

    metric: str
    slice: str = "all"
    max_drop: float | None = Field(default=None, ge=0)
    max_rise: float | None = Field(default=None, ge=0)
    min: float | None = None
    max: float | None = None
    model: str | None = None
    dataset: str | None = None
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    inconclusive: Literal["pass", "warn", "fail"] = "warn"

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        from evalkit.errors import ConfigError
        from evalkit.gate_checks import metric_of_rule

        try:
            metric_of_rule(self.metric)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.max_drop is self.max_rise is self.min is self.max is None:
            raise ValueError(
                f"the rule on '{self.metric}' has no bound: give max_drop or max_rise (against a baseline), "
                "min or max"
            )
        return self


class RunConfig(Section):
    """A whole run; ``directory`` is the config file's folder, which relative paths start from."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="folder under reports/")
    seed: int = 0
    task: Literal["mask", "box"] = "mask"
    datasets: list[DatasetConfig] = Field(min_length=1)
    models: list[ModelConfig] = Field(min_length=1)
    prompts: dict[str, PromptConfig] = Field(default_factory=dict)
    image: ImageConfig = ImageConfig()
    decode: DecodeConfig = DecodeConfig()
    score: ScoreConfig = ScoreConfig()
    trials: int = Field(default=1, ge=1)
    limits: RunLimits = RunLimits()
    gate: list[GateRule] = Field(default_factory=list)
    dask: dict[str, Any] = Field(default_factory=dict, description="scheduler: address of a Dask scheduler")
    directory: str = Field(default=".", exclude=True)

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        for what, names in (
            ("dataset", [d.name for d in self.datasets]),
            ("model", [m.name for m in self.models]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are called '{twice[0]}': every {what} needs a name of its own")
        return self

    def answers_fingerprint(self) -> str:
        """Return a digest of everything that changes what is asked: two runs may share a folder only if it is equal."""
        asked = self.model_dump(mode="json", exclude={"decode", "score", "limits", "gate", "dask"})
        for model in asked["models"]:
            for key in ("limits", "price", "allow_routing", "base_url", "batch", "files_api_above_mb", "workers"):
                model.pop(key, None)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path) -> RunConfig:
    """Return the checked configuration of a YAML file. Raises ``ConfigError`` with every problem."""
    source = read_yaml(path)
    if isinstance(source.data, dict):
        source.data = {**source.data, "directory": str(Path(path).resolve().parent)}
    return validate(source, RunConfig)


def pick_models(config: RunConfig, names: list[str] | None) -> list[Any]:
    """Return the model entries called ``names`` (all where None). Raises ``ConfigError`` on an unknown one."""
    from evalkit.errors import ConfigError

    if not names:
        return list(config.models)
    by_name = {model.name: model for model in config.models}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"--models: there is no model '{name}' in this config.{nearest(name, by_name)}")
    return [by_name[name] for name in names]
