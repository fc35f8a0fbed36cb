"""Every metric once: what it is called, what it means, how it is counted and where it is shown.

summary.json, `evalkit compare`, gate rules, the page, the terminal, the history and the reference read this table. A
new metric is one entry here, with the function that takes it from the rows; nothing else has to name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from evalkit.errors import ConfigError
from evalkit.extensions import Kind, is_reference
from evalkit.metrics.answers import AnswerRows, mean, ratio, reaching, share
from evalkit.metrics.protocol_numbers import PREFIX, protocol_columns, protocol_keys

if TYPE_CHECKING:
    from evalkit.metrics.answers import Columns

Place = Literal["verdict", "compare", "slices", "page", "terminal", "history"]
"""Where a metric is shown. ``verdict``: it may be the one that models are ranked and judged by."""

Unit = Literal["share", "seconds", "tokens", "usd"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    ``columns``: rows -> (numerators, denominators). ``label`` stands in sentences and tables, ``heading`` at the
    head of a narrow column (the label where empty). ``path``: where summary.json holds it, () where it does
    not. ``aliases``: other names that are accepted, such as what papers call it. ``about``: what it is
    taken from; the page and the terminal show metrics of boxes where models are ranked by boxes alone. ``answer_column``: of a ``verdict`` metric, the
    column of scores.parquet by which single answers are sorted.
    """

    name: str
    label: str
    meaning: str
    columns: Callable[[AnswerRows], Columns]
    path: tuple[str, ...]
    better: Literal["higher", "lower"] = "higher"
    unit: Unit = "share"
    heading: str = ""
    aliases: tuple[str, ...] = ()
    shown: tuple[Place, ...] = ()
    about: Literal["answers", "masks", "boxes"] = "answers"
    answer_column: str = ""

    @property
    def is_share(self) -> bool:
        """Whether the metric lies in 0..1, so that differences are differences of shares."""
        return self.unit == "share"

    @property
    def head(self) -> str:
        """What stands at the head of a column."""
        return self.heading or self.label

    def of(self, result: Mapping[str, Any]) -> Any:
        """Return the metric's interval in a result of summary.json, None where it is undefined or absent."""
        found: Any = result if self.path else None
        for key in self.path:
            found = (found or {}).get(key)
        return found


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics named ``FAMILY.CODE``, such as ``failures.no_json``.

    ``member``: code -> its metric. ``codes``: the codes of evalkit's own, none where only the answers tell.
    """

    name: str
    meaning: str
    member: Callable[[str], Metric]
    codes: tuple[str, ...] = ()


SHOWN_PRECISIONS: Mapping[str, tuple[Place, ...]] = {
    "0.5": ("compare", "page", "terminal"),
    "0.7": ("compare",),
    "0.9": ("compare",),
}


def _precision(threshold: str) -> Metric:
    return Metric(
        f"precision_at_{threshold}",
        f"P@{threshold}",
        f"share of targeted rows with IoU >= {threshold}",
        lambda rows: reaching(float(threshold), rows.iou, rows.targeted),
        ("precision_at", threshold),
        aliases=tuple(f"{stem}{threshold}" for stem in ("precision_at.", "precision_at ", "p@", "pr@")),
        shown=SHOWN_PRECISIONS.get(threshold, ()),
        about="masks",
    )


def _size(size: str, low_px: float, high_px: float, words: str) -> Metric:
    return Metric(
        f"giou_by_size_{size}",
        f"gIoU of {size} targets",
        f"gIoU of targets {words}",
        lambda rows: mean(rows.iou, rows.of_size(low_px, high_px)),
        ("giou_by_size", size),
        aliases=(f"giou_by_size.{size}", f"giou_by_size {size}"),
    )


def _instance_f1(rows: AnswerRows) -> Columns:
    hits, spare, missed = (rows.numbers(f"instance_{kind}") for kind in ("tp", "fp", "fn"))
    return ratio(2 * hits, 2 * hits + spare + missed, rows.answered)


def _tokens(kind: str, label: str, heading: str) -> Metric:
    name = f"{kind}_tokens"
    return Metric(
        name,
        label,
        "mean over answered rows that report them",
        lambda rows: mean(rows.numbers(name), rows.answered),
        ("tokens", f"{kind}_mean"),
        better="lower",
        unit="tokens",
        heading=heading,
        aliases=(f"tokens.{kind}_mean",),
        shown=() if kind == "thought" else ("page",),
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        "giou",
        "gIoU",
        "mean of IoU per expression, over answered rows (gIoU of LISA and GRES, mIoU of LAVT); an unreadable answer counts 0",
        lambda rows: mean(rows.iou, rows.masked),
        ("giou",),
        aliases=("miou",),
        shown=("verdict", "compare", "slices", "page", "terminal", "history"),
        about="masks",
        answer_column="iou",
    ),
    Metric(
        "giou_decoded",
        "gIoU of readable answers",
        "the same over the outcomes decoded and no_target alone",
        lambda rows: mean(rows.iou, rows.readable),
        ("giou_decoded",),
        heading="gIoU if read",
        shown=("compare", "page"),
        about="masks",
    ),
    Metric(
        "giou_targeted",
        "gIoU of targeted expressions",
        "the same over answered rows that have a target",
        lambda rows: mean(rows.iou, rows.targeted),
        ("giou_targeted",),
    ),
    Metric(
        "ciou",
        "cIoU",
        "sum of intersections / sum of unions (cIoU, oIoU); large objects weigh more",
        lambda rows: ratio(rows.numbers("intersection"), rows.numbers("union"), rows.masked),
        ("ciou",),
        aliases=("oiou",),
        shown=("compare", "page", "terminal", "history"),
        about="masks",
    ),
    Metric(
        "boundary_iou",
        "boundary IoU",
        "mean of the IoU of the boundaries, over targeted rows",
        lambda rows: mean(rows.numbers("boundary_iou"), rows.targeted),
        ("boundary_iou",),
    ),
    *(_precision(threshold) for threshold in ("0.5", "0.6", "0.7", "0.8", "0.9")),
    # Target areas in pixels, lower limit included; cocodataset/cocoapi cocoeval.py Params, 8c9bcc3cf640.
    _size("small", 0, 32**2, "below 32² pixels (COCO's limits)"),
    _size("medium", 32**2, 96**2, "of 32² up to below 96² pixels"),
    _size("large", 96**2, float("inf"), "of 96² pixels and more"),
    Metric(
        "box_accuracy_0.5",
        "box accuracy at 0.5",
        "share of targeted rows with box_iou >= 0.5",
        lambda rows: reaching(0.5, rows.numbers("box_iou"), rows.answered),
        ("box_accuracy_0.5",),
        heading="box acc@0.5",
        shown=("verdict", "compare", "slices", "page", "terminal", "history"),
        about="boxes",
        answer_column="box_iou",
    ),
    Metric(
        "box_iou",
        "mean box IoU",
        "mean of box_iou over targeted rows",
        lambda rows: mean(rows.numbers("box_iou"), rows.answered),
        ("box_iou",),
        heading="box IoU",
        shown=("page", "terminal"),
        about="boxes",
    ),
    Metric(
        "n_acc",
        "correct refusals (N-acc)",
        "share of no-target rows that were refused",
        lambda rows: share(rows.outcome == "no_target", rows.refusable),
        ("n_acc",),
        shown=("compare",),
    ),
    Metric(
        "t_acc",
        "targets marked (T-acc)",
        "share of targeted rows that were marked; null without no-target rows",
        lambda rows: share(rows.outcome == "decoded", rows.findable),
        ("t_acc",),
    ),
    Metric(
        "instance_f1",
        "F1 of instances",
        "2 TP / (2 TP + FP + FN) over items and objects, paired by the Hungarian method at IoU >= 0.5",
        _instance_f1,
        ("instance_f1",),
    ),
    Metric(
        "trial_agreement",
        "agreement of trials",
        "mean IoU of one trial's mask with the other trials' masks; needs no ground truth",
        lambda rows: mean(rows.numbers("trial_agreement"), rows.answered),
        ("trials", "agreement"),
        aliases=("trials.agreement",),
    ),
    Metric(
        "format_failure_rate",
        "format failures",
        "share of answered rows without one usable mask after the listed repairs",
        lambda rows: share(rows.outcome == "format_failure", rows.answered),
        ("format_failure_rate",),
        better="lower",
        heading="format failures",
        shown=("compare", "slices", "page", "terminal", "history"),
    ),
    Metric(
        "strict_failure_rate",
        "answers not as asked",
        "share of answered rows that are not exactly what the prompt asked for",
        lambda rows: share(~rows.strict, rows.answered),
        ("strict_failure_rate",),
        better="lower",
        heading="strict failures",
        shown=("compare", "page", "terminal", "history"),
    ),
    Metric(
        "blocked_rate",
        "blocked",
        "share of answered rows that a policy stopped",
        lambda rows: share(rows.outcome == "blocked", rows.answered),
        ("blocked_rate",),
        better="lower",
        shown=("compare",),
    ),
    Metric(
        "latency_s",
        "latency, s",
        "mean of the seconds of answered rows",
        lambda rows: mean(rows.numbers("latency_s"), rows.answered),
        ("latency_s", "mean"),
        better="lower",
        unit="seconds",
        heading="latency",
        aliases=("latency_s.mean", "latency_s_mean"),
        shown=("compare", "page"),
    ),
    _tokens("input", "input tokens", "tokens in"),
    _tokens("output", "output tokens", "tokens out"),
    _tokens("thought", "thinking tokens", "thinking"),
    Metric(
        "cost_usd_per_answer",
        "cost per answer, USD",
        "mean cost of answered rows with a known price, USD",
        lambda rows: mean(rows.numbers("cost_usd"), rows.answered),
        (),
        better="lower",
        unit="usd",
        shown=("compare",),
    ),
)
"""All metrics but those of codes, in the order that people read them."""


def _share_of(family: str, code: str, *, lower: bool) -> Metric:
    def columns(rows: AnswerRows) -> Columns:
        import numpy as np

        return share(np.array([code in codes for codes in rows.codes(family)], dtype=bool), rows.answered)

    return Metric(
        f"{family}.{code}",
        f"share of {code}",
        f"share of answered rows with {code}",
        columns,
        (),
        better="lower" if lower else "higher",
    )


def _protocol_number(key: str) -> Metric:
    name = f"{PREFIX}{key}"
    return Metric(
        name,
        name,
        f"{key} as the evaluator of the rows' protocol computes it",
        lambda rows: protocol_columns(rows.rows, name),
        ("protocol", key),
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        "failures",
        "share of answered rows with that failure code",
        lambda code: _share_of("failures", code, lower=True),
    ),
    Family(
        "wire_formats",
        "share of answered rows with that wire format; neither direction is better, a rise counts as higher",
        lambda code: _share_of("wire_formats", code, lower=False),
    ),
    Family(
        "outcomes",
        "share of answered rows with that outcome",
        lambda code: _share_of("outcomes", code, lower=code in ("format_failure", "blocked")),
    ),
    Family(
        "protocol",
        "that number of the protocol that the rows were scored by; undefined where their protocol has no such number",
        _protocol_number,
        protocol_keys(),
    ),
)
"""Metrics of codes, and the numbers of published evaluators."""


METRIC_KIND = Kind[Metric](
    "metric",
    "evalkit.metrics",
    {name: metric for metric in METRICS for name in (metric.name, *metric.aliases)},
    lambda found: isinstance(found, Metric),
    "an evalkit.metrics.table.Metric",
)
"""What ``score.metrics`` and a gate rule may name besides the metrics of codes."""


def find_metric(name: str) -> Metric | None:
    """Return the metric of a name, None where there is none.

    One of a package of one's own keeps the name that it was found by; summary.json has it under ``metrics``.
    Raises ``ConfigError`` where that package is broken.
    """
    if name in METRIC_KIND.built_in:
        return METRIC_KIND.find(name)
    family, dot, code = name.partition(".")
    found = next((one for one in FAMILIES if one.name == family), None)
    if found is not None and dot and code:
        return found.member(code)
    if is_reference(name) or name in METRIC_KIND.names():
        own = METRIC_KIND.find(name)
        return replace(own, name=name, path=("metrics", name), columns=partial(_checked_columns, own, name))
    return None


def _checked_columns(own: Metric, name: str, rows: AnswerRows) -> Columns:
    """Return the columns of a metric of somebody else's. Raises ``ConfigError`` where they are none."""
    import numpy as np

    try:
        above, below = (np.asarray(side, dtype=np.float64) for side in own.columns(rows))
    except Exception as error:
        raise ConfigError(f"the metric '{name}' raised {type(error).__name__}: {error}") from error
    wanted = (len(rows.rows),)
    if above.shape != wanted or below.shape != wanted or not np.isfinite([above, below]).all():
        raise ConfigError(
            f"the metric '{name}' gives numerators of shape {above.shape} and denominators of shape {below.shape} for "
            f"{wanted[0]} rows: each has to have one finite number per row, 0 in both where the row does not count"
        )
    return above, below


def shown_in(place: Place) -> tuple[str, ...]:
    """Return the names of the metrics that are shown in a place."""
    return tuple(metric.name for metric in METRICS if place in metric.shown)


def quality_metric(defined: list[set[str]]) -> str:
    """Return the metric that models on one dataset are ranked and judged by: what all of them can be compared by.

    ``defined``: for each model the ``verdict`` metrics that its rows define; a model without any is passed over.
    With several, the first in the table's order: gIoU, or the accuracy of boxes where a model gave boxes alone.
    """
    candidates = shown_in("verdict")
    having = [names for names in defined if names & set(candidates)]
    common = [name for name in candidates if all(name in names for names in having)]
    return common[0] if common else candidates[0]
