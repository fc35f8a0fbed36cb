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

from evalkit.config.yaml import read_yaml, validate
from evalkit.errors import nearest
from evalkit.types import DecodeSettings


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
    sample: SampleConfig | None = Field(
        default=None, description="a part of the dataset: {size: N}; null = all of it"
    )
    protocol: str | None = Field(default=None, description="scoring protocol of this dataset")


class GenerationConfig(Section):
    """Generation settings sent with every request; unset ones are not sent."""

    thinking_budget: int | None = Field(
        default=None, description="tokens of thinking; 0 asks for none (Gemini 2.5)"
    )
    thinking_level: str | None = Field(
        default=None, description="minimal, low, medium or high (Gemini 3 and later)"
    )
    include_thoughts: bool | None = Field(
        default=None, description="also return summaries of the thoughts; they are never decoded"
    )
    temperature: float | None = Field(default=None, description="0 = the likeliest token each time")
    top_p: float | None = Field(default=None, description="nucleus sampling")
    top_k: float | None = Field(default=None, description="sampling from the k likeliest tokens")
    seed: int | None = Field(
        default=None,
        description="seed of the sampling, to which the trial is added; null = none is sent",
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="tokens of the answer, thinking included"
    )
    media_resolution: Literal["low", "medium", "high", "ultra_high"] | None = Field(
        default=None, description="tokens an image is turned into"
    )
    response_mime_type: str | None = Field(default=None, description="such as application/json")
    response_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema that the answer must follow; the prompt's own where null"
    )
    system_instruction: str | None = Field(default=None, description="text sent before the question")
    safety_settings: dict[str, str] | None = Field(
        default=None, description="harm category -> threshold, in the API's words"
    )
    service_tier: str | None = Field(default=None, description="the API's service tier")
    extra_body: dict[str, Any] | None = Field(
        default=None, description="anything else of the request's body, merged into it as it stands"
    )


class PaceConfig(Section):
    """The pace one model is asked at; concurrency also adapts to 429 answers."""

    concurrency: int = Field(
        default=16, ge=1, le=4096, description="requests in flight at most; fewer after 429 answers"
    )
    requests_per_minute: float | None = Field(
        default=None, gt=0, description="null = as fast as the endpoint serves"
    )
    tokens_per_minute: float | None = Field(default=None, gt=0, description="input tokens a minute")
    timeout_s: float = Field(
        default=300.0, ge=10, description="whole call; the service refuses less than 10 s"
    )
    max_attempts: int = Field(default=6, ge=1, description="attempts at one question, the first included")


class PriceConfig(Section):
    """USD per million tokens (or per image), in place of the dated price table."""

    input_usd_per_million: float = Field(default=0.0, ge=0, description="USD per million input tokens")
    output_usd_per_million: float = Field(
        default=0.0, ge=0, description="USD per million output and thinking tokens"
    )
    image_usd: float = Field(default=0.0, ge=0, description="USD per question with an image")


class PromptConfig(Section):
    """A prompt of one's own: ``text`` holds {expression}; the rest says what it asks for."""

    text: str = Field(description="the prompt; {expression} is filled in")
    wire_format: str | None = Field(
        default=None, description="the mask format that it asks for; null = left open"
    )
    point_order: Literal["xy", "yx"] = Field(
        default="xy", description="what the prompt states for points: x or y first"
    )
    frame: Literal["image", "box"] = Field(
        default="image", description="0..1000 over the full image, or inside box_2d"
    )
    keys: list[str] = Field(
        default_factory=lambda: ["box_2d", "mask"], description="keys that every item must have to be strict"
    )
    wrapper: str | None = Field(
        default=None, description="key of the object that it asks to wrap the list in; null = a bare list"
    )
    task: Literal["mask", "box"] = Field(default="mask", description="whether it asks for masks or for boxes")
    response_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema that is sent with the prompt"
    )
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
    limits: PaceConfig = Field(default=PaceConfig(), description="the pace this model is asked at")
    price: PriceConfig | None = Field(default=None, description="in place of the price table")


class GeminiConfig(ModelBase):
    """A Gemini model over the Developer API, over Vertex (``vertexai: true``) or any ``base_url``."""

    provider: Literal["gemini", "gemini-batch"] = Field(
        description="live requests, or jobs of the Batch API at half the price"
    )
    model: str = Field(description="the API's model id")
    base_url: str | None = Field(
        default=None, description="another endpoint: a proxy, `evalkit simulate`, a test server"
    )
    prompt: str | PromptConfig = Field(
        default="google-mask", description="a shipped prompt, one of `prompts:`, or text with {expression}"
    )
    generation: GenerationConfig = Field(default=GenerationConfig(), description="generation settings")
    vertexai: bool = Field(default=False, description="Vertex AI in place of the Developer API")
    project: str | None = Field(default=None, description="Vertex: the Google Cloud project")
    location: str | None = Field(default=None, description="Vertex: the region")
    files_api_above_mb: float = Field(
        default=20.0, gt=0, description="images above this go through the Files API"
    )
    allow_routing: bool = Field(default=False, description="accept answers of another model version")
    batch: dict[str, Any] = Field(
        default_factory=dict, description="gemini-batch: poll_s, deadline_h, max_requests"
    )


class VertexSegmentationConfig(ModelBase):
    """Vertex image-segmentation-001 through segment_image."""

    provider: Literal["vertex-segmentation"] = Field(description="Vertex image segmentation")
    model: str = Field(default="image-segmentation-001", description="the API's model id")
    base_url: str | None = Field(default=None, description="another endpoint")
    project: str | None = Field(default=None, description="the Google Cloud project")
    location: str | None = Field(default=None, description="the region")
    mode: Literal["prompt", "semantic", "foreground"] = Field(
        default="prompt", description="what is segmented: the expression, a class, the foreground"
    )
    max_predictions: int | None = Field(default=None, description="masks per answer at most")
    confidence_threshold: float | None = Field(
        default=None, description="masks below it are left out by the service"
    )
    mask_dilation: float | None = Field(
        default=None, description="share of the image by which the service grows masks"
    )
    binary_color_threshold: float | None = Field(
        default=None, description="grey value that the service cuts masks at; negative = none"
    )


class PredictionsConfig(ModelBase):
    """Answers made elsewhere: JSONL of DESIGN 4.6, or a COCO results file."""

    provider: Literal["predictions"] = Field(description="answers made elsewhere; nobody is asked")
    path: str = Field(description="JSONL, or a COCO results file")


class PythonConfig(ModelBase):
    """A function ``package.module:name`` or a shipped floor (whole-image, centre-box)."""

    provider: Literal["python"] = Field(description="a Python function")
    function: str = Field(description="package.module:name, or whole-image, centre-box")
    workers: int = Field(default=1, ge=1, description="processes that it runs in")


class SimulatorConfig(ModelBase):
    """A persona of the local Gemini: answers made from the ground truth with seeded errors."""

    provider: Literal["simulator"] = Field(description="the local simulated Gemini")
    persona: str = Field(description="who answers, see the reference of personas")
    model: str = Field(default="gemini-2.5-flash", description="the model id that it is asked as")
    prompt: str | PromptConfig = Field(default="google-mask", description="as for gemini")
    generation: GenerationConfig = Field(default=GenerationConfig(), description="as for gemini")
    latency_s: float = Field(default=0.05, ge=0, description="median time of an answer, seconds")
    faults: list[dict[str, Any]] = Field(
        default_factory=list, description="scripted faults, see docs/simulator.md"
    )


ModelConfig = Annotated[
    GeminiConfig | VertexSegmentationConfig | PredictionsConfig | PythonConfig | SimulatorConfig,
    Field(discriminator="provider"),
]


class ImageConfig(Section):
    """How photographs are sent: the file's own bytes, or with the longest side reduced to N px."""

    max_side: int | None = Field(
        default=None, ge=16, description="longest side sent, pixels; null = the file's own bytes"
    )


class DecodeConfig(Section):
    """The conventions of decoding; see ``evalkit.types.DecodeSettings``."""

    threshold: int = Field(
        default=127, ge=0, le=254, description="foreground is a mask value above this, 0..254"
    )
    box_rounding: Literal["truncate", "round", "expand"] = Field(
        default="truncate",
        description="how 0..1000 becomes pixels: truncate (Google's sample), round, or expand outwards",
    )
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = Field(
        default="bilinear", description="how a mask is resized into its box"
    )
    instances: Literal["union", "largest", "first"] = Field(
        default="union", description="which items of an answer make the prediction"
    )
    token_codebook: str | None = Field(
        default=None, description="path of a PaliGemma vae-oid.npz, used only where its self-check passes"
    )

    def settings(self) -> DecodeSettings:
        """Return the record that the decoder takes."""
        return DecodeSettings(**self.model_dump())


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

    metric: str = Field(description="a measure of the reference of metrics, or a built-in gate")
    slice: str = Field(default="all", description="`all`, or tag=value")
    max_drop: float | None = Field(default=None, ge=0, description="how far it may fall below the baseline")
    max_rise: float | None = Field(default=None, ge=0, description="how far it may rise above the baseline")
    min: float | None = Field(default=None, description="least value")
    max: float | None = Field(default=None, description="largest value")
    model: str | None = Field(default=None, description="only this model; null = every model")
    dataset: str | None = Field(default=None, description="only this dataset; null = every dataset")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="evidence needed to fail or pass")
    inconclusive: Literal["pass", "warn", "fail"] = Field(
        default="warn", description="what too little data counts as"
    )

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        from evalkit.errors import ConfigError
        from evalkit.metrics.names import metric_of_rule

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


BOX_PROMPT = "box-only"
"""What ``task: box`` asks with where a model names no prompt."""


class RunConfig(Section):
    """A whole run; ``directory`` is the config file's folder, which relative paths start from."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="folder under reports/")
    seed: int = Field(default=0, description="seed of samples, intervals and simulated answers")
    task: Literal["mask", "box"] = Field(default="mask", description="score masks, or boxes alone")
    datasets: list[DatasetConfig] = Field(min_length=1, description="what is asked about")
    models: list[ModelConfig] = Field(min_length=1, description="who is asked")
    prompts: dict[str, PromptConfig] = Field(default_factory=dict, description="own prompts by name")
    image: ImageConfig = Field(default=ImageConfig(), description="how photographs are sent")
    decode: DecodeConfig = Field(default=DecodeConfig(), description="conventions of decoding")
    score: ScoreConfig = Field(default=ScoreConfig(), description="how rows are scored")
    trials: int = Field(default=1, ge=1, description="how often each question is asked")
    limits: RunLimits = Field(default=RunLimits(), description="what may be spent and lost")
    gate: list[GateRule] = Field(default_factory=list, description="rules of the regression gate")
    dask: dict[str, Any] = Field(default_factory=dict, description="scheduler: address of a Dask scheduler")
    directory: str = Field(default=".", exclude=True, description="the config file's folder; set by evalkit")

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

    @model_validator(mode="after")
    def _asks_for_boxes(self) -> Self:
        """Give models that are asked without a prompt of their own the box prompt, under ``task: box``."""
        if self.task == "box":
            self.models[:] = [
                model.model_copy(update={"prompt": BOX_PROMPT})
                if hasattr(model, "prompt") and "prompt" not in model.model_fields_set
                else model
                for model in self.models
            ]
        return self

    def answers_fingerprint(self) -> str:
        """Return a digest of everything that changes what is asked: two runs may share a folder only if it is equal."""
        asked = self.model_dump(mode="json", exclude={"decode", "score", "limits", "gate", "dask"})
        for model in asked["models"]:
            for key in (
                "limits",
                "price",
                "allow_routing",
                "base_url",
                "batch",
                "files_api_above_mb",
                "workers",
            ):
                model.pop(key, None)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path) -> RunConfig:
    """Return the checked configuration of a YAML file. Raises ``ConfigError`` with every problem."""
    source = read_yaml(path)
    if isinstance(source.data, dict):
        source.data = {**source.data, "directory": str(Path(path).resolve().parent)}
    config = validate(source, RunConfig)
    if config.decode.token_codebook is None:
        return config
    codebook = str(Path(config.directory) / config.decode.token_codebook)
    return config.model_copy(update={"decode": config.decode.model_copy(update={"token_codebook": codebook})})


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
