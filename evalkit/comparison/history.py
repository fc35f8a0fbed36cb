"""Every run of a config over time, per model: numbers, formats, versions, cost, and where they shifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison.gate.built_in import served_versions
from evalkit.comparison.sides import Side, run_sides, setting_differences
from evalkit.comparison.words import measure_words
from evalkit.errors import DataError
from evalkit.metrics.names import answered_rows, codes_of, metric_of, row_measures
from evalkit.metrics.protocol_numbers import (
    PREFIX,
    is_protocol_metric,
    metrics_of_rows,
    protocol_columns,
    protocol_of,
)
from evalkit.metrics.summary import summarise
from evalkit.metrics.table import quality_metric, shown_in
from evalkit.stats.shifts import LEVEL, Shift, shifts_of
from evalkit.storage.manifest import MANIFEST
from evalkit.storage.records import moment_of
from evalkit.storage.run_folder import SCORES, RunFolder
from evalkit.storage.summary import SUMMARY
from evalkit.version import __version__

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FREQUENT = 0.05
"""A wire format is watched where its share reached this in any run."""

SHOWN = shown_in("history")
"""Measures that are shown, and searched for shifts where every row has a value; besides, the share of every wire format
that was frequent once."""


@dataclass(frozen=True, slots=True, eq=False)
class HistoryPoint:
    """One model on one dataset in one run: ``result`` is its entry in summary.json, slice ``all``."""

    side: Side
    result: dict[str, Any]
    versions: dict[str, int]
    settings_changed: tuple[str, ...]

    @property
    def when(self) -> str:
        """When the run started (UTC), as its manifest says."""
        return str(self.side.manifest.started_at)

    @property
    def complete(self) -> bool:
        """Whether the run is complete; others are shown and not searched for shifts."""
        return self.side.manifest.complete

    @property
    def protocol_numbers(self) -> dict[str, Any]:
        """The numbers of the run's protocol as ``protocol.NAME``; a run of an older evalkit has them without intervals."""
        numbers = self.result.get("protocol") or {}
        return {
            PREFIX + key: {"value": value, "low": None, "high": None} if isinstance(value, float) else value
            for key, value in numbers.items()
            if key != "name"
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        result = self.result
        return {
            "run": self.side.path,
            "started_at": self.when,
            "status": self.side.manifest.status,
            "simulated": self.side.manifest.simulated,
            "n": result["n"],
            "n_not_run": result["n_not_run"],
            "metrics": {name: metric_of(name).of(result) for name in SHOWN} | self.protocol_numbers,
            "failures": result["failures"],
            "wire_formats": result["wire_formats"],
            "model_versions": self.versions,
            "latency_s": result["latency_s"],
            "cost_usd": result["cost_usd"],
            "n_cost_unknown": result.get("n_cost_unknown", 0),
            "settings_changed": list(self.settings_changed),
        }


@dataclass(frozen=True, slots=True, eq=False)
class HistoryChange:
    """A shift of one measure between two runs that followed each other."""

    measure: str
    shift: Shift
    before: HistoryPoint
    after: HistoryPoint

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "metric": self.measure,
            "first_run_after": self.after.side.path,
            "last_run_before": self.before.side.path,
            "at": self.after.when,
            "before": self.shift.before,
            "after": self.shift.after,
            "p": self.shift.p,
        }

    def command(self) -> str:
        """Return the command that shows what changed."""
        return f"evalkit compare {self.before.side.path} {self.after.side.path}"

    def words(self) -> str:
        """Return one line for people."""
        way = "fell" if self.shift.after < self.shift.before else "rose"
        return (
            f"{measure_words(self.measure)} {way} from {self.shift.before:z.3f} to {self.shift.after:z.3f} with the run of "
            f"{self.after.when[:16].replace('T', ' ')} (p = {self.shift.p:.2g})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One model on one dataset of one config, run after run, with its shifts."""

    config: str
    model: str
    dataset: str
    points: tuple[HistoryPoint, ...]
    changes: tuple[HistoryChange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "config": self.config,
            "model": self.model,
            "dataset": self.dataset,
            "runs": [point.to_json() for point in self.points],
            "changes": [change.to_json() for change in self.changes],
        }


@dataclass(frozen=True, slots=True, eq=False)
class RunHistory:
    """All series under a folder; ``left_out``: why each run that could not be read, or is stale, is in none of them."""

    series: tuple[Series, ...]
    left_out: Mapping[Path, str]

    def left_out_words(self) -> list[str]:
        """Return a line for each run that is left out."""
        return [f"left out: {reason}" for reason in self.left_out.values()]


def read_history(directory: Path) -> RunHistory:
    """Return the series of every config, model and dataset under ``directory``, in order of time.

    Baselines and runs that were not scored yet are no part of it. A run whose files are damaged, or whose scores are not of
    its answers, is left out and named. Raises ``DataError`` where nothing is left.
    """
    read: list[tuple[list[Side], Mapping[tuple[str, str], dict[str, Any]]]] = []
    left_out: dict[Path, str] = {}
    for folder in run_folders(directory):
        try:
            with folder.read_as_one():
                results = folder.summary().results
                read.append((run_sides(folder), {_key(r): r for r in results if r["slice"] == "all"}))
        except DataError as error:
            left_out[folder.path] = str(error)
    if not read:
        others = "".join(f" Left out: {reason}" for reason in left_out.values())
        raise DataError(
            f"{directory} holds no scored run that can be shown. Give the folder that runs were written to, for example "
            f"reports/nightly.{others}"
        )
    read.sort(key=lambda run: _started(run[0]))
    points: dict[tuple[str, str, str], list[HistoryPoint]] = {}
    for sides, by_key in read:
        for side in sides:
            for dataset in dict.fromkeys(side.rows["dataset"]):
                result = by_key.get((side.model, dataset)) or _summarised(side, str(dataset))
                series = points.setdefault((side.run, side.model, str(dataset)), [])
                series.append(_point(side, result, str(dataset), series[-1] if series else None))
    return RunHistory(
        tuple(
            Series(*key, points=tuple(found), changes=tuple(changes_of(found, key[2])))
            for key, found in points.items()
        ),
        left_out,
    )


def _key(result: Mapping[str, Any]) -> tuple[str, str]:
    return result["model"], result["dataset"]


def _started(sides: Sequence[Side]) -> float:
    """Return when a run started, Unix time; the runs that do not say it come first."""
    found = moment_of(sides[0].manifest.started_at) if sides else None
    return 0.0 if found is None else found.timestamp()


def _summarised(side: Side, dataset: str) -> dict[str, Any]:
    """Return the result of one model and dataset that summary.json leaves out, from the scores."""
    rows = side.rows[side.rows["dataset"] == dataset]
    return summarise(rows, seed=side.manifest.seed, protocols={}, slices=[])[0]


def run_folders(directory: Path) -> Iterator[RunFolder]:
    """Yield every scored run folder under ``directory``, itself included, without baselines."""
    for manifest in sorted(directory.rglob(MANIFEST)):
        folder = manifest.parent
        inside = folder.relative_to(directory).parts
        if "baselines" in inside or any(part.startswith(".") for part in inside):
            continue
        if (folder / SCORES).is_file() and (folder / SUMMARY).is_file():
            yield RunFolder(folder)


def _point(side: Side, result: dict[str, Any], dataset: str, previous: HistoryPoint | None) -> HistoryPoint:
    rows = side.rows[side.rows["dataset"] == dataset]
    ignored = {"status", "simulated"}
    changed = (
        []
        if previous is None
        else [one.words() for one in setting_differences(previous.side, side) if one.kind not in ignored]
    )
    return HistoryPoint(side, result, served_versions(rows), tuple(changed))


def changes_of(points: Sequence[HistoryPoint], dataset: str) -> list[HistoryChange]:
    """Return the shifts of every watched measure over the complete runs, on the rows that all answered."""
    complete = [point for point in points if point.complete]
    if len(complete) < 2:
        return []
    frames = common_frames([point.side.rows[point.side.rows["dataset"] == dataset] for point in complete])
    if not len(frames[0]):
        return []
    watched = {name: sums for name in _watched(frames) if (sums := image_sums(frames, name)) is not None}
    seed = complete[-1].side.manifest.seed
    found = [
        HistoryChange(name, shift, complete[shift.at - 1], complete[shift.at])
        for name, sums in watched.items()
        for shift in shifts_of(sums, len(frames[0]), seed=seed, level=LEVEL / len(watched))
    ]
    return sorted(found, key=lambda change: (change.shift.at, change.measure))


def common_frames(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the rows of the samples and trials that every frame answered, in one order."""
    keyed = [frame[answered_rows(frame)].set_index(["sample_id", "trial"]) for frame in frames]
    common = keyed[0].index
    for frame in keyed[1:]:
        common = common.intersection(frame.index)
    common = common.sort_values()
    return [frame.loc[common].reset_index() for frame in keyed]


def _watched(frames: Sequence[pd.DataFrame]) -> list[str]:
    frequent = set()
    for frame in frames:
        codes = codes_of(frame, "wire_formats")
        for code in set().union(*codes):
            if sum(code in found for found in codes) >= FREQUENT * len(codes):
                frequent.add(f"wire_formats.{code}")
    numbers = metrics_of_rows(frames[0])
    same = all(protocol_of(frame) is protocol_of(frames[0]) for frame in frames)
    return [*SHOWN, *(numbers if same else ()), *sorted(frequent)]


def image_sums(frames: Sequence[pd.DataFrame], measure: str) -> NDArray[np.float64] | None:
    """Return the measure's sum per run and image, shape (runs, images); None where a row has no value."""
    _, codes = np.unique(frames[0]["image_id"].to_numpy(dtype=str), return_inverse=True)
    sums = []
    for frame in frames:
        if is_protocol_metric(measure):
            above, below = protocol_columns(frame, measure, linear=True)
        else:
            above, below = row_measures(frame, [measure])[measure]
        if not (below == 1).all():
            return None
        sums.append(np.bincount(codes, weights=above))
    return np.array(sums)


def history_json(directory: Path, history: RunHistory) -> dict[str, Any]:
    """Return the document of ``evalkit history --json``."""
    return {
        "evalkit": __version__,
        "folder": str(directory),
        "level": LEVEL,
        "series": [one.to_json() for one in history.series],
        "left_out": [{"run": str(run), "why": why} for run, why in history.left_out.items()],
    }


def history_text(history: RunHistory) -> str:
    """Return the history as tables for a terminal, shifts under each, and what is left out at the end."""
    lines: list[str] = []
    for one in history.series:
        simulated = " (SIMULATED)" if any(p.side.manifest.simulated for p in one.points) else ""
        lines.append(f"{one.config}: {one.model} on {one.dataset}{simulated}")
        lines += [_line(point) for point in one.points]
        lines += [f"  SHIFT {change.words()}" for change in one.changes]
        lines += [f"  what changed: {command}" for command in dict.fromkeys(c.command() for c in one.changes)]
        lines.append("")
    return "\n".join([*lines, *history.left_out_words()]).rstrip()


def _line(point: HistoryPoint) -> str:
    result = point.result
    formats = ", ".join(f"{name} {count}" for name, count in result["wire_formats"].items()) or "-"
    cost = cost_words(result)
    quality = quality_of(result)
    numbers = next(iter(point.protocol_numbers.items()), None)
    evaluator = "" if numbers is None else f"  {numbers[0]} {spelled(numbers[1])}"
    flags = "" if point.complete else "  partial"
    changed = f"  settings changed: {'; '.join(point.settings_changed)}" if point.settings_changed else ""
    return (
        f"  {point.when}  {quality} {spelled(result.get(quality))}{evaluator}  format failures "
        f"{spelled(result['format_failure_rate'])}  {formats}  {', '.join(point.versions) or '-'}  {cost}{flags}{changed}"
    )


def quality_of(*results: Mapping[str, Any]) -> str:
    """Return the measure that results of one model are ranked by: the one that verdicts rest on."""
    return quality_metric(
        [{name for name in shown_in("verdict") if metric_of(name).of(one) is not None} for one in results]
    )


def cost_words(result: Mapping[str, Any]) -> str:
    """Return the sum of the known costs, and how many answers it leaves out."""
    if result["cost_usd"] is None:
        return "-"
    unknown = result.get("n_cost_unknown", 0)
    return f"{result['cost_usd']:.2f} USD" + (f" + {unknown} unknown" if unknown else "")


def spelled(interval: dict[str, float] | None) -> str:
    """Return an interval as ``0.712 [0.690, 0.733]``."""
    if interval is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['value']:z.3f}"
    return f"{interval['value']:z.3f} [{interval['low']:z.3f}, {interval['high']:z.3f}]"
