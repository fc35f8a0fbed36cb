"""A gate's verdict as text, JSON, JUnit XML (one test case per rule) and Markdown for a job summary. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from evalkit.comparison.gate.checks import GateCheck
from evalkit.comparison.gate.verdict import GateVerdict
from evalkit.safe_text import markdown_cell, xml_text
from evalkit.version import __version__

HEADLINES = {
    "pass": "passed: no regression",
    "open": "passed with open questions: no regression shown, too little data to rule one out",
    "undecided": "FAILED: no regression shown, but too little data to tell, which the config counts as failing",
    "fail": "FAILED: a regression",
    "incomplete": "INCOMPLETE: the run cannot be judged",
}


def kind_of(verdict: GateVerdict) -> str:
    """Return the key of ``HEADLINES``: the outcome, and whether it rests on evidence or on its absence."""
    statuses = {check.status for check in verdict.checks}
    if verdict.outcome == "pass":
        return "open" if any(check.counts_as == "warn" for check in verdict.checks) else "pass"
    return "undecided" if verdict.outcome == "fail" and "fail" not in statuses else verdict.outcome


def what_to_do(verdict: GateVerdict) -> str:
    """Return the next step for whoever reads the verdict, '' where there is none."""
    run, base = verdict.run.path, None if verdict.baseline is None else verdict.baseline.path
    look = f"`evalkit report {run}`" if base is None else f"`evalkit compare {base} {run}`"
    more = "ask more images (`sample: {size: ...}`, as `evalkit plan` advises) or allow a larger change"
    steps = {
        "pass": "",
        "open": f"{more}; a rule that should stay silent takes `inconclusive: pass`",
        "undecided": f"{more}; a rule that should not stop you takes `inconclusive: warn`",
        "fail": f"{look} shows the samples that changed. Is the change wanted? Then bless this run: "
        f"`evalkit baseline set NAME {run}`",
        "incomplete": "run the same `evalkit run` command again, which resumes and pays for nothing twice; then gate again",
    }
    return steps[kind_of(verdict)]


def message(check: GateCheck) -> str:
    """Return one check in words: what was seen, what is allowed, and how sure that is."""
    what = f"{check.model} on {check.dataset}" + ("" if check.slice == "all" else f" ({check.slice})")
    parts = [f"{what}: {_seen(check)}"]
    if check.detail:
        parts.append(check.detail)
    if check.tested:
        parts.append(_evidence(check))
    return "; ".join(part for part in parts if part)


def _seen(check: GateCheck) -> str:
    name = check.metric
    if check.value is None:
        return f"{name} was not measured"
    value = f"{name} {check.value:z.4g}"
    if check.bound in ("max_drop", "max_rise") and check.observed is not None and check.baseline is not None:
        gap = check.observed
        allowed = f"may {'fall' if check.bound == 'max_drop' else 'rise'} by {check.limit:g}"
        return (
            f"{name} {check.baseline:z.4g} -> {check.value:z.4g}, difference {gap.value:+z.4g} "
            f"[{gap.low:+z.4g}, {gap.high:+z.4g}], {allowed}"
        )
    if check.observed is not None and check.tested:
        value += f" [{check.observed.low:z.4g}, {check.observed.high:z.4g}]"
    return f"{value}, {'at least' if check.bound == 'min' else 'at most'} {check.limit:g}"


def _evidence(check: GateCheck) -> str:
    size = f"{check.n} answers on {check.n_images} images"
    if check.status == "fail":
        return f"evidence beyond {check.confidence:.0%} (p = {check.p_holm:.2g}, adjusted for the whole gate), {size}"
    if check.status == "pass":
        return f"kept with {check.confidence:.0%} confidence, {size}"
    return f"too little data to tell at {check.confidence:.0%}, {size}: counted as {check.when_inconclusive}"


def verdict_json(verdict: GateVerdict) -> dict[str, Any]:
    """Return the document of ``evalkit gate --json``."""
    return {
        "evalkit": __version__,
        "run": str(verdict.run.path),
        "baseline": None if verdict.baseline is None else str(verdict.baseline.path),
        "simulated": verdict.simulated,
        "outcome": verdict.outcome,
        "headline": HEADLINES[kind_of(verdict)],
        "what_to_do": what_to_do(verdict),
        "passed": verdict.outcome == "pass",
        "exit_code": verdict.exit_code,
        "tests": verdict.tests,
        "checks": [_check_json(check) for check in verdict.checks],
        "notes": list(verdict.notes),
    }


def _check_json(check: GateCheck) -> dict[str, Any]:
    relative = check.bound in ("max_drop", "max_rise")
    return {
        "rule": check.group,
        "metric": check.metric,
        "model": check.model,
        "dataset": check.dataset,
        "slice": check.slice,
        "bound": check.bound,
        "limit": check.limit,
        "confidence": check.confidence,
        "status": check.status,
        "counts_as": check.counts_as,
        "value": check.value,
        "baseline": check.baseline,
        "difference" if relative else "interval": None
        if check.observed is None
        else check.observed.to_json(),
        "p_broken": check.p_broken if check.tested else None,
        "p_broken_adjusted": check.p_holm if check.tested else None,
        "p_kept": check.p_kept if check.tested else None,
        "n": check.n,
        "n_images": check.n_images,
        "message": message(check),
    }


def verdict_text(verdict: GateVerdict) -> str:
    """Return the verdict for a terminal: what failed or is open in full, what passed by rule."""
    lines = [f"gate {HEADLINES[kind_of(verdict)]} ({_against(verdict)})"]
    if verdict.simulated:
        lines.append("SIMULATED ANSWERS: this says nothing about any real model.")
    lines += [
        f"  {_label(check):<13} {check.group}: {message(check)}"
        for check in _sorted(verdict.checks)
        if check.status != "pass"
    ]
    lines += _passed_lines(verdict.checks)
    lines += [f"  note: {note}" for note in verdict.notes]
    if step := what_to_do(verdict):
        lines.append(f"what to do: {step}")
    return "\n".join(lines)


def _passed_lines(checks: Sequence[GateCheck]) -> list[str]:
    groups: dict[str, list[GateCheck]] = {}
    for check in checks:
        if check.status == "pass":
            groups.setdefault(check.group, []).append(check)
    return [
        f"  pass          {group}: {message(passed[0]) if len(passed) == 1 else f'{len(passed)} checks'}"
        for group, passed in groups.items()
    ]


def verdict_markdown(verdict: GateVerdict) -> str:
    """Return the verdict as Markdown that a CI job summary shows."""
    lines = [f"## evalkit gate {HEADLINES[kind_of(verdict)]}", "", f"{markdown_cell(_against(verdict))}.", ""]
    if step := what_to_do(verdict):
        lines += [f"**What to do:** {markdown_cell(step)}.", ""]
    if verdict.simulated:
        lines += ["> **Simulated answers**: this says nothing about any real model.", ""]
    lines += ["| verdict | rule | what was seen |", "| --- | --- | --- |"]
    lines += [
        f"| {_label(check)} | {markdown_cell(check.group)} | {markdown_cell(message(check))} |"
        for check in _sorted(verdict.checks)
    ]
    if verdict.notes:
        lines += ["", "Notes:", "", *(f"- {markdown_cell(note)}" for note in verdict.notes)]
    return "\n".join(lines) + "\n"


def verdict_junit(verdict: GateVerdict) -> str:
    """Return the verdict as JUnit XML: one test case per rule, over all its models and datasets.

    A regression is a ``failure``, an incomplete run an ``error``, an inconclusive rule that
    is not counted as a failure is ``skipped`` with its reason.
    """
    groups: dict[str, list[GateCheck]] = {}
    for check in verdict.checks:
        groups.setdefault(check.group, []).append(check)
    cases = {name: _worst(checks) for name, checks in groups.items()}
    suite = ET.Element(
        "testsuite",
        name="evalkit gate",
        tests=str(len(cases)),
        failures=str(sum(worst == "fail" for worst in cases.values())),
        errors=str(sum(worst == "incomplete" for worst in cases.values())),
        skipped=str(sum(worst == "warn" for worst in cases.values())),
    )
    classname = xml_text(f"evalkit.gate.{verdict.run.manifest.name}")
    for name, checks in groups.items():
        case = ET.SubElement(suite, "testcase", name=xml_text(name), classname=classname, time="0")
        _add_outcome(case, cases[name], checks)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_outcome(case: ET.Element, worst: str, checks: Sequence[GateCheck]) -> None:
    element = {"fail": "failure", "incomplete": "error", "warn": "skipped"}.get(worst)
    blamed = [check for check in checks if check.counts_as == worst]
    if element is not None:
        outcome = ET.SubElement(case, element, message=xml_text(message(blamed[0])))
        outcome.text = xml_text("\n".join(message(check) for check in blamed))
    ET.SubElement(case, "system-out").text = xml_text("\n".join(message(check) for check in checks))


def _worst(checks: Sequence[GateCheck]) -> str:
    counted = {check.counts_as for check in checks}
    return next(kind for kind in ("incomplete", "fail", "warn", "pass") if kind in counted)


def _sorted(checks: Sequence[GateCheck]) -> list[GateCheck]:
    order = {"incomplete": 0, "fail": 1, "warn": 2, "pass": 3}
    return sorted(checks, key=lambda check: order[check.counts_as])


def _label(check: GateCheck) -> str:
    return f"inconclusive ({check.counts_as})" if check.status == "inconclusive" else check.status


def _against(verdict: GateVerdict) -> str:
    baseline = "no baseline" if verdict.baseline is None else f"baseline {verdict.baseline.path}"
    return (
        f"{verdict.run.path} against {baseline}, {len(verdict.checks)} checks, {verdict.tests} of them tests"
    )
