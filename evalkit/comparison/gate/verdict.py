"""Did it get worse? Every rule of a run's config and the gates that every run has, decided together.

The p-values of all rules that rest on a test are adjusted together, so that the chance of failing a
run in which nothing changed is at most 1 - confidence for the gate as a whole, however many
models and rules it has. Exit codes: 0 passed, 1 a regression, 3 the run is incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.comparison.gate.built_in import GATES, GateRows, built_in_rule, served_versions
from evalkit.comparison.gate.checks import (
    GateCheck,
    absolute_check,
    bounds_of,
    relative_check,
    rule_words,
    slice_of,
    unmeasured,
)
from evalkit.comparison.sides import Side, common_rows, run_sides, setting_differences
from evalkit.config.gate_rules import GateRule
from evalkit.errors import ConfigError, nearest
from evalkit.metrics.names import answered_rows, metric_of_rule
from evalkit.metrics.protocol_numbers import COLUMN as PROTOCOL_COLUMN
from evalkit.metrics.protocol_numbers import check_numbers, is_protocol_metric, metrics_of_rows
from evalkit.stats.significance import holm
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.run_folder import RunFolder
from evalkit.storage.summary import SUMMARY

if TYPE_CHECKING:
    import pandas as pd

BUILT_IN_SHARE = 0.05
"""Part of the false alarms allowed that goes to format drift and new failures: those that matter are
unmistakable (a whole format replaced), and the config's own rules keep nearly all of their power."""

REFUSED_KINDS = {
    "decode": "re-score the baseline with the same settings: `evalkit score BASELINE --decode.KEY VALUE --out DIR`, "
    "and gate against DIR",
    "score": "re-score the baseline with the same protocol: `evalkit score BASELINE --protocol P --out DIR`, and gate "
    "against DIR",
    "image": "images were sent in another size: bless a new baseline with `evalkit baseline set`",
    "dataset": "the samples or their ground truth are others: bless a new baseline with `evalkit baseline set`",
    "trials": "bless a new baseline with `evalkit baseline set`",
}
"""Settings in which a run and its baseline must agree, and the way out where they do not."""


@dataclass(frozen=True, slots=True, eq=False)
class GateVerdict:
    """The gate's decision. ``notes``: what a reader should know and no rule judges."""

    run: RunFolder
    baseline: RunFolder | None
    checks: tuple[GateCheck, ...]
    notes: tuple[str, ...]
    simulated: bool

    @property
    def outcome(self) -> str:
        """``incomplete``, ``fail`` or ``pass``; incomplete outweighs fail: a cut run proves nothing."""
        counted = {check.counts_as for check in self.checks}
        return "incomplete" if "incomplete" in counted else "fail" if "fail" in counted else "pass"

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return {"pass": 0, "fail": 1, "incomplete": 3}[self.outcome]

    @property
    def tests(self) -> int:
        """How many checks rest on a test and were adjusted together."""
        return sum(check.tested for check in self.checks)


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """One model of the run beside the baseline's: aligned rows of the answers that both have."""

    side: Side
    base: Side
    before: pd.DataFrame
    after: pd.DataFrame


def gate_run(run: RunFolder, baseline: RunFolder | None = None) -> GateVerdict:
    """Judge ``run`` by the rules of its own config, against ``baseline`` where one is given.

    Raises ``ConfigError`` where all is well but there is neither a rule nor a baseline, where a rule needs a baseline and there is
    none, where names are unknown, or where run and baseline cannot be compared.
    """
    rules = rules_of(run)
    sides = run_sides(run)
    own = [rule for rule in rules if metric_of_rule(rule.metric) not in GATES]
    built_in = {rule.metric: rule for rule in rules if rule.metric in GATES}
    _check_names(own, sides)
    pairings, notes = ({}, []) if baseline is None else _pairings(run, sides, baseline)
    if baseline is None:
        _require_no_baseline(own)
    seed = run.manifest.seed
    checks = [
        *_completeness(run, sides, built_in, seed=seed),
        *(check for rule in own for check in _rule_checks(rule, sides, pairings, baseline, seed=seed)),
        *(
            check
            for pairing in pairings.values()
            for check in _baseline_checks(run, pairing, built_in, seed=seed)
        ),
    ]
    verdict = GateVerdict(run, baseline, tuple(_decided(checks)), tuple(notes), run.manifest.simulated)
    if not rules and baseline is None and verdict.exit_code == 0:
        raise ConfigError(
            f"{run.path}: the gate has nothing to judge: its config has no rules under `gate:`, and no --baseline is "
            "given. Add a rule such as `gate: [{metric: giou, min: 0.6}]` to the config and run it again (nothing is "
            "asked twice), or name a baseline"
        )
    return verdict


def rules_of(run: RunFolder) -> list[GateRule]:
    """Return the gate rules of a run's config. Raises ``ConfigError`` on one that cannot be judged."""
    from pydantic import ValidationError

    rules = []
    for number, rule in enumerate(run.manifest.config.get("gate") or (), 1):
        try:
            rules.append(GateRule.model_validate(rule))
        except ValidationError as error:
            reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
            raise ConfigError(f"{run.path / MANIFEST}: gate rule {number}: {reasons}") from error
    return rules


def _check_names(rules: Sequence[GateRule], sides: Sequence[Side]) -> None:
    """Refuse rules on models or datasets that the run does not have, and on numbers that its protocols cannot have."""
    check_numbers(
        (rule.metric for rule in rules),
        [str(name) for side in sides for name in side.rows[PROTOCOL_COLUMN].unique()],
    )
    models = [side.model for side in sides]
    datasets = [name for side in sides for name in dict.fromkeys(side.rows["dataset"])]
    for rule in rules:
        for what, name, known in (("model", rule.model, models), ("dataset", rule.dataset, datasets)):
            if name is not None and name not in known:
                raise ConfigError(
                    f"gate rule '{rule_words(rule)}': the run has no {what} '{name}'.{nearest(name, set(known))}"
                )


def _require_no_baseline(rules: Sequence[GateRule]) -> None:
    needing = [rule for rule in rules if rule.max_drop is not None or rule.max_rise is not None]
    if needing:
        raise ConfigError(
            f"gate rule '{rule_words(needing[0])}' compares with a baseline and none was given. Give --baseline RUN or "
            "--baseline NAME (`evalkit baseline list` shows the names), or bless one: `evalkit baseline set NAME RUN`"
        )


def _pairings(
    run: RunFolder, sides: Sequence[Side], baseline: RunFolder
) -> tuple[dict[str, Pairing], list[str]]:
    """Return model -> its rows beside the baseline's, and the notes. Refuses what cannot be compared."""
    _refuse_baseline(run, baseline)
    before = {side.model: side for side in run_sides(baseline, "baseline")}
    pairings: dict[str, Pairing] = {}
    notes = [
        f"{name} is in the baseline and not in this run"
        for name in before
        if name not in {s.model for s in sides}
    ]
    for side in sides:
        base = before.get(side.model)
        if base is None:
            notes.append(f"{side.model} is not in the baseline: only absolute rules judge it")
            continue
        differing = setting_differences(base, side)
        _refuse_settings(differing, baseline)
        notes += [f"{side.model}: {one.words()}" for one in differing]
        notes += _version_notes(side, base)
        if not (answered_rows(side.rows).any() and answered_rows(base.rows).any()):
            notes.append(f"{side.model} has no answers to compare with the baseline's")
            continue
        pairings[side.model] = Pairing(side, base, *common_rows(base, side))
    return pairings, list(dict.fromkeys(notes))


def _refuse_baseline(run: RunFolder, baseline: RunFolder) -> None:
    ours, theirs = run.manifest, baseline.manifest
    if not theirs.complete:
        raise ConfigError(
            f"the baseline {baseline.path} is {theirs.status}: a run that stopped early is no baseline. "
            "Resume it, or give a complete one"
        )
    if theirs.simulated != ours.simulated:
        which = "simulated and this run is live" if theirs.simulated else "live and this run is simulated"
        raise ConfigError(
            f"the baseline {baseline.path} is {which}: simulated answers say nothing about a real model. "
            "Give a baseline of the same kind"
        )


def _refuse_settings(differing: Sequence[Any], baseline: RunFolder) -> None:
    for one in differing:
        missing = one.kind == "dataset" and not one.setting.startswith("fingerprint")
        if one.kind in REFUSED_KINDS and not missing:
            raise ConfigError(
                f"this run and the baseline {baseline.path} cannot be compared, {one.words()} (baseline against run). "
                f"Way out: {REFUSED_KINDS[one.kind]}"
            )


def _version_notes(side: Side, base: Side) -> list[str]:
    now, then = served_versions(side.rows), served_versions(base.rows)
    if now and then and set(now) != set(then):
        return [f"{side.model}: answered by {', '.join(now)}, the baseline by {', '.join(then)}"]
    return []


def _completeness(
    run: RunFolder, sides: Sequence[Side], built_in: Mapping[str, GateRule], *, seed: int
) -> Iterator[GateCheck]:
    """Yield the checks of every gate that needs no baseline, per model and dataset."""
    limits = run.manifest.section("limits")
    rules = {
        name: built_in_rule(name, built_in, limits) for name, gate in GATES.items() if not gate.needs_baseline
    }
    partial = not run.manifest.complete
    results = _whole_results(run)
    for side, rows in _by_dataset(sides):
        result = results.get((side.model, str(rows["dataset"].iloc[0])), {})
        given = GateRows(rows, side.config, rows[:0], rows[:0], rows[:0], seed, result)
        undiagnosed = not (result.get("reading") or {}).get("n")
        for name, rule in rules.items():
            if name == "suspect_reading" and undiagnosed and name not in built_in:
                continue  # no answer held numbers that could tell a convention
            check = GATES[name].check(given, rule)
            cut = partial and name == "not_run" and check.status == "pass"
            yield _as_incomplete(check, run) if cut else check
    not_run = rules["not_run"]
    for name in run.manifest.models:
        if name not in {side.model for side in sides}:
            check = unmeasured(not_run, "max", 0.0, model=name, dataset="-", detail="has no scores at all")
            yield _as_incomplete(check, run)


def _whole_results(run: RunFolder) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return (model, dataset) -> the summary of all its samples; nothing where the run has no summary."""
    results = run.summary().results if (run.path / SUMMARY).is_file() else ()
    return {(one["model"], one["dataset"]): one for one in results if one["slice"] == "all"}


def _as_incomplete(check: GateCheck, run: RunFolder) -> GateCheck:
    from dataclasses import replace

    words = f"the run is {run.manifest.status}: resume it with the command that started it"
    return replace(check, status="incomplete", detail=f"{check.detail}; {words}")


def _by_dataset(sides: Sequence[Side]) -> Iterator[tuple[Side, pd.DataFrame]]:
    for side in sides:
        for dataset in dict.fromkeys(side.rows["dataset"]):
            yield side, side.rows[side.rows["dataset"] == dataset]


def _rule_checks(
    rule: GateRule,
    sides: Sequence[Side],
    pairings: Mapping[str, Pairing],
    baseline: RunFolder | None,
    *,
    seed: int,
) -> Iterator[GateCheck]:
    """Yield a rule's checks, one per bound, model and dataset where its metric is defined."""
    found = 0
    for side, rows in _by_dataset(sides):
        dataset = str(rows["dataset"].iloc[0])
        if rule.model not in (None, side.model) or rule.dataset not in (None, dataset):
            continue
        for bound, limit in bounds_of(rule):
            if bound in ("min", "max"):
                check = absolute_check(rule, bound, limit, rows[slice_of(rows, rule.slice)], seed=seed)
            else:
                check = _against_baseline(rule, bound, limit, pairings.get(side.model), dataset, seed=seed)
            if check is not None:
                found += 1
                yield check
    if not found:
        detail = "nothing to measure: the metric is undefined on these samples"
        detail += _numbers_instead(metric_of_rule(rule.metric), sides)
        detail += "" if baseline is None else ", or the baseline has no answers to pair"
        for bound, limit in bounds_of(rule):
            names = {"model": rule.model or "all", "dataset": rule.dataset or "all"}
            yield unmeasured(rule, bound, limit, **names, detail=detail)


def _numbers_instead(metric: str, sides: Sequence[Side]) -> str:
    """Return which numbers the protocols of the rows have, where the metric is a number of a protocol and not of them."""
    if not is_protocol_metric(metric):
        return ""
    had = dict.fromkeys(name for _, rows in _by_dataset(sides) for name in metrics_of_rows(rows))
    return "" if metric in had else f" (their protocols have {', '.join(had) or 'no numbers of their own'})"


def _against_baseline(
    rule: GateRule, bound: Any, limit: float, pairing: Pairing | None, dataset: str, *, seed: int
) -> GateCheck | None:
    if pairing is None:
        return None
    inside = (pairing.after["dataset"] == dataset).to_numpy()
    before, after = pairing.before[inside], pairing.after[inside]
    if not len(after):
        return None
    chosen = slice_of(after, rule.slice)
    return relative_check(rule, bound, limit, before[chosen], after[chosen], seed=seed)


def _baseline_checks(
    run: RunFolder, pairing: Pairing, built_in: Mapping[str, GateRule], *, seed: int
) -> Iterator[GateCheck]:
    """Yield the checks of every gate that needs a baseline, per dataset that both runs have."""
    limits = run.manifest.section("limits")
    rules = {
        name: built_in_rule(name, built_in, limits) for name, gate in GATES.items() if gate.needs_baseline
    }
    for dataset in dict.fromkeys(pairing.after["dataset"]):
        rows, before, after, baseline = (
            frame[frame["dataset"] == dataset]
            for frame in (pairing.side.rows, pairing.before, pairing.after, pairing.base.rows)
        )
        given = GateRows(rows, pairing.side.config, before, after, baseline, seed)
        for name, rule in rules.items():
            yield GATES[name].check(given, rule)


def _decided(checks: Sequence[GateCheck]) -> Iterator[GateCheck]:
    """Yield the checks with their status, the tested ones adjusted together.

    The gates that every run has get ``BUILT_IN_SHARE`` of the false alarms allowed, the config's own rules
    the rest, each by Holm among themselves (a weighted Bonferroni split); one kind alone gets all.
    """
    tested = [check for check in checks if check.tested]
    built_in = [check.p_broken for check in tested if check.metric in GATES]
    own = [check.p_broken for check in tested if check.metric not in GATES]
    share = BUILT_IN_SHARE if built_in and own else 1.0
    adjusted = {
        True: iter([min(1.0, p / share) for p in holm(built_in)]),
        False: iter([min(1.0, p / (1 - share)) for p in holm(own)] if share < 1 else holm(own)),
    }
    for check in checks:
        yield check.decided(next(adjusted[check.metric in GATES])) if check.tested else check
