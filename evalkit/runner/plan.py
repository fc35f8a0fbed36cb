"""What a run would send, take and cost, and the smallest difference it could show; calls nothing."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evalkit.config.prompts import prompt_of, prompt_warnings
from evalkit.images import sent_size_px
from evalkit.models import find_provider
from evalkit.models.prices import find_price
from evalkit.runner.budget import require_prices
from evalkit.types import Sample, Usage

if TYPE_CHECKING:
    from evalkit.config.models import ModelEntry
    from evalkit.config.schema import RunConfig


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model's part. ``usd``: None where it is unpriced. ``price_source`` says where the price is from."""

    model: str
    provider: str
    requested_model: str
    requests: int
    image_tokens: int
    text_tokens: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    hours: float
    price_source: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole run.

    ``usd``: at list price, None where a model is unpriced; ``billed_usd`` leaves out what the simulator
    answers. ``detectable_difference``: of mean IoU between two models, by dataset, for models of usual mean IoU;
    ``detectable_difference_of_high``: for models that are almost always right (``stats.power``). ``notes``: what the readers of the
    datasets had to say. ``data_faults``: a sentence on each dataset some of whose ground truths cannot be read.
    """

    run: str
    samples: int
    images: int
    trials: int
    models: tuple[ModelPlan, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    billed_usd: float | None
    budget_usd: float | None
    hours: float
    detectable_difference: dict[str, float | None]
    detectable_difference_of_high: dict[str, float | None]
    notes: tuple[str, ...] = ()
    data_faults: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``evalkit plan --json``."""
        return asdict(self)

    def text(self) -> str:
        """Return the plan for a person: a line a model, the sum, the warnings."""
        lines = [f"{self.run}: {self.samples} samples on {self.images} images, {self.trials} trial(s)"]
        lines += [f"  {_model_line(model)}" for model in self.models]
        lines.append(
            f"  in all {self.requests:,} requests, {_usd(self.usd)}, about {_hours(self.hours)}"
            + (f" (budget {self.budget_usd:g} USD)" if self.budget_usd is not None else "")
        )
        for dataset, difference in self.detectable_difference.items():
            lines.append(
                f"  {dataset}: {_detectable(difference, self.detectable_difference_of_high[dataset])}"
            )
        warnings = dict.fromkeys(warning for model in self.models for warning in model.warnings)
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in (*self.data_faults, *warnings))])


def plan_run(
    config: RunConfig,
    samples: Sequence[Sample],
    *,
    model_configs: Sequence[ModelEntry] | None = None,
    notes: Iterable[str] = (),
    today: dt.date | None = None,
) -> Plan:
    """Return the plan of a run; ``notes`` of the datasets' readers go along with it. Output tokens and answer times are assumed (``Provider``).

    Raises ``ConfigError`` on an unknown prompt, and where a model under a budget has no price.
    """
    from evalkit.stats.power import HIGH_IOU, USUAL_IOU

    day = today or dt.datetime.now(dt.UTC).date()
    entries = list(config.models if model_configs is None else model_configs)
    require_prices(entries, config.limits.budget_usd, day)
    models = tuple(_model_plan(entry, config, samples, day) for entry in entries)
    return Plan(
        run=config.name,
        samples=len(samples),
        images=len({(sample.dataset, sample.image_id) for sample in samples}),
        trials=config.trials,
        models=models,
        requests=sum(model.requests for model in models),
        input_tokens=sum(model.input_tokens for model in models),
        output_tokens=sum(model.output_tokens for model in models),
        usd=_sum([model.usd for model in models]),
        billed_usd=_sum([model.usd for model in models if find_provider(model.provider).billed]),
        budget_usd=config.limits.budget_usd,
        hours=max((model.hours for model in models), default=0.0),
        detectable_difference=_detectable_by_dataset(samples, USUAL_IOU),
        detectable_difference_of_high=_detectable_by_dataset(samples, HIGH_IOU),
        notes=tuple(notes),
        data_faults=tuple(_data_faults(samples)),
    )


def _model_plan(entry: ModelEntry, config: RunConfig, samples: Sequence[Sample], day: dt.date) -> ModelPlan:
    provider = find_provider(entry.provider)
    requests = (
        sum(sample.truth.fault is None for sample in samples) * config.trials
        if provider.sends_requests
        else 0
    )
    image, text, output = _tokens(entry, config, samples)
    price = find_price(entry, day, in_batch=provider.batch is not None)
    usage = Usage(image + text, output, 0)
    usd = None if price is None else price.tokens_usd(usage) + requests * price.image_usd
    return ModelPlan(
        model=entry.name,
        provider=entry.provider,
        requested_model=provider.requested_model(entry),
        requests=requests,
        image_tokens=image,
        text_tokens=text,
        input_tokens=image + text,
        output_tokens=output,
        usd=usd,
        hours=_hours_at_pace(entry, requests, image + text),
        price_source=None if price is None else price.source,
        warnings=(*provider.warnings(entry, day), *_prompt_warnings(entry, config)),
    )


def _prompt_warnings(entry: ModelEntry, config: RunConfig) -> list[str]:
    setting = entry.prompt_setting()
    return [] if setting is None else prompt_warnings(prompt_of(setting, config))


def _tokens(entry: ModelEntry, config: RunConfig, samples: Sequence[Sample]) -> tuple[int, int, int]:
    """Return (image, text, output) tokens of all requests to one model."""
    estimate_tokens = find_provider(entry.provider).estimate_tokens
    setting = entry.prompt_setting()
    if estimate_tokens is None or setting is None:
        return 0, 0, 0
    prompt = prompt_of(setting, config)
    image = text = output = 0
    for sample in samples:
        size_px = sent_size_px((sample.truth.width_px, sample.truth.height_px), config.image.max_side)
        estimate = estimate_tokens(entry, prompt, prompt.question_about(sample), *size_px)
        image += estimate.image
        text += estimate.text
        output += estimate.output
    return image * config.trials, text * config.trials, output * config.trials


def _hours_at_pace(entry: ModelEntry, requests: int, input_tokens: int) -> float:
    if requests == 0:
        return 0.0
    provider = find_provider(entry.provider)
    if provider.batch is not None:
        return provider.batch.hours(entry)
    limits = provider.limits(entry)
    seconds: list[float] = [requests * provider.answer_s(entry) / min(limits.concurrency, requests)]
    if limits.requests_per_minute is not None:
        seconds.append(requests / limits.requests_per_minute * 60)
    if limits.tokens_per_minute is not None:
        seconds.append(input_tokens / limits.tokens_per_minute * 60)
    return max(seconds) / 3600


def _detectable_by_dataset(samples: Sequence[Sample], mean_iou: float) -> dict[str, float | None]:
    from evalkit.stats.power import detectable_difference

    expressions = Counter(sample.dataset for sample in samples)
    images = Counter(dataset for dataset, _ in {(sample.dataset, sample.image_id) for sample in samples})
    found = {
        dataset: detectable_difference(images[dataset], count / images[dataset], mean_iou=mean_iou)
        for dataset, count in expressions.items()
    }
    return {dataset: value if math.isfinite(value) else None for dataset, value in found.items()}


def _data_faults(samples: Sequence[Sample]) -> Iterator[str]:
    counts = Counter(sample.dataset for sample in samples if sample.truth.fault is not None)
    for dataset, count in counts.items():
        first = next(s.truth.fault for s in samples if s.dataset == dataset and s.truth.fault is not None)
        yield f"{count} of the ground truths of {dataset} cannot be read and will be data errors, not asked: {first}"


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _model_line(model: ModelPlan) -> str:
    tokens = (
        f", {model.image_tokens:,} image + {model.text_tokens:,} text tokens in, about {model.output_tokens:,} out"
        if model.input_tokens
        else ""
    )
    return f"{model.model}: {model.requests:,} requests{tokens}, {_usd(model.usd)}, {_hours(model.hours)}"


def _usd(usd: float | None) -> str:
    return "price unknown" if usd is None else f"about {usd:.2f} USD"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(hours * 60, 0.1):.1f} min"


def _detectable(difference: float | None, of_high: float | None) -> str:
    from evalkit.stats.power import HIGH_IOU, SD_OF_DIFFERENCES, USUAL_IOU

    if difference is None or difference > 1:
        return "too few images to tell two models apart by mean IoU"
    told, high = f"{difference:.3f}", "more" if of_high is None else f"{of_high:.3f}"
    apart = "" if told == high else f"; {high} where mean IoU is about {HIGH_IOU:g}"
    return (
        f"a difference of mean IoU from {told} on can be detected between two models (80 % power; assumed: mean IoU "
        f"about {USUAL_IOU:g}, standard deviation {SD_OF_DIFFERENCES:.2f} of a sample's difference{apart})"
    )
