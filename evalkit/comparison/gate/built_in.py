"""The gates that every run has: not-run, routing, suspect readings, changed wire formats, new failure codes. Pure.

Models are retired and re-routed, and answer the same prompt in another format from one day to the
next. None of that needs a rule in the config to be noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison.gate.checks import GateCheck
from evalkit.config.gate_rules import GateRule
from evalkit.metrics.names import answered_rows, codes_of
from evalkit.metrics.reading_words import what_to_do, what_was_found
from evalkit.models.known_models import was_routed
from evalkit.stats.bootstrap import cluster_codes, cluster_sums, paired_differences
from evalkit.stats.significance import mcnemar, mix_test, rise_test
from evalkit.types import Interval

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.stats.estimates import Estimate

DRIFT_ALLOWED = 0.05
"""A wire format's share of the answers may change by this much, unless the config says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class GateRows:
    """What a gate that every run has may look at: one model on one dataset.

    ``rows``: all of the run's. ``entry``: the model's entry in the config. ``before`` and ``after``: aligned rows of
    the questions that baseline and run both answered; ``baseline``: all rows of the baseline. The last
    three are empty for a gate that needs no baseline. ``result``: the run's summary of the same rows, empty where
    it has none.
    """

    rows: pd.DataFrame
    entry: Mapping[str, Any]
    before: pd.DataFrame
    after: pd.DataFrame
    baseline: pd.DataFrame
    seed: int
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuiltInGate:
    """One gate that every run has.

    ``title``: the name of its test case. ``check`` judges the rows by a rule. ``allowed``: the rule's ``max`` where
    the config names none, from the ``limits`` of the run.
    """

    title: str
    check: Callable[[GateRows, GateRule], GateCheck]
    allowed: Callable[[Mapping[str, Any]], float] = lambda limits: 0.0  # noqa: ARG005
    needs_baseline: bool = False


def built_in_rule(name: str, rules: Mapping[str, GateRule], limits: Mapping[str, Any]) -> GateRule:
    """Return the config's own rule for a built-in gate, or the one with the share that it allows by itself."""
    given = rules.get(name)
    if given is not None and given.max is not None:
        return given
    return GateRule(metric=name, max=GATES[name].allowed(limits))


def not_run_check(given: GateRows, rule: GateRule) -> GateCheck:
    """Return the check of the share of samples without an answer for the network's or the quota's reasons.

    Data errors are no questions and count on neither side. Above the allowed share the run is
    ``incomplete``: it can be neither passed nor failed.
    """
    rows = given.rows
    asked = rows[rows["outcome"] != "data_error"]
    missing = int((asked["outcome"] == "not_run").sum())
    share = missing / len(asked) if len(asked) else 0.0
    check = _exact(rule, rows, share, broken=share > _allowed(rule), n=len(asked))
    check = replace(check, detail=f"{missing} of {len(asked)} samples were not run")
    return replace(check, status="incomplete") if check.status == "fail" else check


def routing_check(given: GateRows, rule: GateRule) -> GateCheck:
    """Return the check that the requested model answered, from the version that each answer names."""
    rows, allowed = given.rows, bool(given.entry.get("allow_routing"))
    answered = rows[answered_rows(rows)]
    routed: Counter[str] = Counter()
    asked_and_served = Counter(zip(answered["requested_model"], answered["model_version"], strict=True))
    for (requested, version), count in asked_and_served.items():
        if isinstance(requested, str) and isinstance(version, str) and was_routed(requested, version):
            routed[f"{requested} was answered by {version}"] += count
    share = sum(routed.values()) / len(answered) if len(answered) else 0.0
    check = _exact(rule, rows, share, broken=share > _allowed(rule) and not allowed, n=len(answered))
    told = "; ".join(f"{words} ({count} answers)" for words, count in routed.most_common())
    words = (
        f"{told}{' (allowed by allow_routing)' if allowed else '; `allow_routing: true` on the model accepts it'}"
        if told
        else "the requested model answered"
    )
    return replace(check, detail=words)


def reading_check(given: GateRows, rule: GateRule) -> GateCheck:
    """Return the check that the run's own diagnosis finds nothing (``evalkit.metrics.reading``).

    The value is 1 where the reading is suspect, else 0.
    """
    reading = given.result.get("reading") or {}
    suspect = bool(reading.get("suspect"))
    check = _exact(
        rule, given.rows, float(suspect), broken=suspect and _allowed(rule) < 1, n=int(reading.get("n", 0))
    )
    detail = "no sign of another convention" if reading.get("n") else "no boxes to tell a convention by"
    if suspect:
        detail = f"{what_was_found(given.result)} {what_to_do(given.result)}"
    return replace(check, detail=detail)


def format_drift_check(given: GateRows, rule: GateRule) -> GateCheck:
    """Return the check that the mix of wire formats is the baseline's, but for ``rule.max`` of the answers.

    Of the aligned rows those count in which both runs saw a format, so that failures and
    refusals, which have metrics of their own, are no drift. The size is the total variation distance of
    the two mixes (a mix within one answer is a kind of its own). Broken: the distance is above
    ``rule.max`` and the mixes differ beyond chance (``significance.mix_test``). Kept: nothing changed, or every
    kind's change is within ``rule.max`` with confidence.
    """
    before, after = given.before, given.after
    old, new = _mixes(before), _mixes(after)
    seen = (old != "") & (new != "")
    old, new, images = old[seen], new[seen], after["image_id"].to_numpy(dtype=str)[seen]
    kinds = sorted(set(old) | set(new))
    shares = [(_is(old, kind), _is(new, kind)) for kind in kinds]
    distance = sum(abs(float((b - a).mean())) for a, b in shares) / 2
    allowed = _allowed(rule)
    p_broken, p_kept = 1.0, 0.0
    if distance > allowed:
        kinds_before, kinds_after = (
            np.stack([pair[side] for pair in shares], axis=1) == 1 for side in (0, 1)
        )
        p_broken = mix_test(kinds_before, kinds_after, cluster_codes(images)[0])
    if distance > 0 and allowed < 1:
        p_kept = _changes_not_within(shares, images, allowed, seed=given.seed)
    check = _tested(rule, after[seen] if seen.any() else after, distance, p_broken=p_broken, p_kept=p_kept)
    changes = [f"{kind} {a.mean():.1%} -> {b.mean():.1%}" for kind, (a, b) in zip(kinds, shares, strict=True)]
    return replace(check, detail=", ".join(changes) or "no sample was answered with a format in both runs")


def _changes_not_within(
    shares: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    images: NDArray[np.str_],
    allowed: float,
    *,
    seed: int,
) -> float:
    """Return the p-value of "some kind's share changed by ``allowed`` or more"."""
    ones = np.ones(images.size)
    estimates = paired_differences(
        [(before, ones) for before, _ in shares], [(after, ones) for _, after in shares], images, seed=seed
    )
    return max(_not_within(estimate, allowed) for estimate in estimates)


def _not_within(estimate: Estimate | None, allowed: float) -> float:
    """Return the p-value of "changed by ``allowed`` or more, one way or the other"."""
    if estimate is None:
        return 1.0
    return max(1 - estimate.confidence_below(allowed), 1 - estimate.confidence_above(-allowed))


def new_failures_check(given: GateRows, rule: GateRule) -> GateCheck:
    """Return the check that no failure code appeared which the baseline never had.

    With ``rule.max`` 0 the evidence is the exact McNemar test of the images in which the code appeared (a code seen
    in one image is inconclusive, not a failure, however often the image was asked about); a higher ``max``
    asks that its share is above that.
    """
    after, known = given.after, {code for codes in codes_of(given.baseline, "failures") for code in codes}
    found = Counter(code for codes in codes_of(after, "failures") for code in codes if code not in known)
    share = sum(found.values()) / len(after) if len(after) else 0.0
    if not found:
        check = _tested(rule, after, share, p_broken=1.0, p_kept=0.0)
        return replace(check, detail="no new code")
    p_values = [_appearance(code, after, _allowed(rule), given.seed) for code in found]
    p_broken = min(1.0, min(p_values) * len(p_values))
    within = 0.0 if share <= _allowed(rule) else 1.0
    check = _tested(rule, after, share, p_broken=p_broken, p_kept=within)
    told = ", ".join(f"{code} ({count} of {len(after)} answers)" for code, count in found.most_common())
    return replace(check, detail=f"new: {told}")


def _appearance(code: str, after: pd.DataFrame, allowed: float, seed: int) -> float:
    """Return the one-sided p-value that a code which the baseline never had is no more than chance."""
    appeared = np.array([code in found for found in codes_of(after, "failures")], dtype=np.float64)
    images, n_images = cluster_codes(after["image_id"].to_numpy(dtype=str))
    if allowed == 0:
        return mcnemar(0, int(np.unique(images[appeared > 0]).size)) / 2
    ones = np.ones(len(after))
    sums = [cluster_sums(values, images, n_images) for values in (np.zeros(len(after)), ones, appeared, ones)]
    return rise_test(np.stack(sums), allowed, seed=seed)[0]


def served_versions(rows: pd.DataFrame) -> dict[str, int]:
    """Return the model versions that answered, the most frequent first."""
    return {str(name): int(n) for name, n in rows["model_version"].dropna().value_counts().items()}


def _mixes(rows: pd.DataFrame) -> NDArray[np.object_]:
    found = codes_of(rows, "wire_formats")
    words = {codes: "+".join(sorted(codes)) for codes in set(found)}
    return np.array([words[codes] for codes in found], dtype=object)


def _is(mixes: NDArray[np.object_], kind: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (mixes == kind).astype(np.float64)
    return found


def _allowed(rule: GateRule) -> float:
    return 0.0 if rule.max is None else rule.max


def _place(rule: GateRule, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "group": GATES[rule.metric].title,
        "metric": rule.metric,
        "model": str(rows["model"].iloc[0]),
        "dataset": str(rows["dataset"].iloc[0]),
        "slice": "all",
        "bound": "max",
        "limit": _allowed(rule),
        "confidence": rule.confidence,
        "when_inconclusive": rule.inconclusive,
    }


def _exact(rule: GateRule, rows: pd.DataFrame, share: float, *, broken: bool, n: int) -> GateCheck:
    return GateCheck(
        **_place(rule, rows),
        p_broken=0.0 if broken else 1.0,
        p_kept=1.0 if broken else 0.0,
        tested=False,
        observed=Interval(share, share, share),
        value=share,
        n=n,
        status="fail" if broken else "pass",
    )


def _tested(rule: GateRule, rows: pd.DataFrame, value: float, *, p_broken: float, p_kept: float) -> GateCheck:
    return GateCheck(
        **_place(rule, rows),
        p_broken=p_broken,
        p_kept=p_kept,
        tested=True,
        observed=None,
        value=value,
        n=len(rows),
        n_images=int(rows["image_id"].nunique()),
    )


GATES: dict[str, BuiltInGate] = {
    "not_run": BuiltInGate(
        "samples that were not run", not_run_check, lambda limits: float(limits.get("max_not_run", 0.02))
    ),
    "routing": BuiltInGate("answers of another model version", routing_check),
    "suspect_reading": BuiltInGate("answers that fit the convention they were read by", reading_check),
    "format_drift": BuiltInGate(
        "wire formats as in the baseline",
        format_drift_check,
        lambda limits: DRIFT_ALLOWED,  # noqa: ARG005
        needs_baseline=True,
    ),
    "new_failures": BuiltInGate(
        "no failure code that the baseline did not have", new_failures_check, needs_baseline=True
    ),
}
"""Every gate that a run is judged by unasked; a rule of its name in the config changes its ``max``."""
