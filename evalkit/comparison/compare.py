"""Which model? Paired differences on common samples, with what they are worth. Pure but for reading.

Every difference is the second side minus the first. Intervals: bootstrap over images. P-values: swaps
of whole images for means and ratios, exact McNemar (its clustered form where images have several
expressions) for shares of answers; adjusted by Holm over all verdicts, over all other measures shown,
and over all slices shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison.sides import SettingDifference, Side, common_rows, setting_differences, sides_of
from evalkit.metrics.names import COST, is_share, row_measures
from evalkit.metrics.summary import slice_rows
from evalkit.stats.bootstrap import (
    cluster_codes,
    cluster_sums,
    difference_error,
    paired_differences,
    ratio_intervals,
)
from evalkit.stats.estimates import Estimate, interval_of
from evalkit.stats.significance import holm, mcnemar_clustered, swap_test
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Interval

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.answers import Columns

SHOWN = (
    *("giou", "giou_decoded", "ciou", "precision_at_0.5", "precision_at_0.7", "precision_at_0.9"),
    *("box_accuracy_0.5", "n_acc", "format_failure_rate", "strict_failure_rate", "blocked_rate"),
    *("latency_s", COST),
)
"""Measures of the table of a whole dataset; those that are undefined on the common rows are left out."""

SHOWN_IN_SLICES = ("giou", "box_accuracy_0.5", "format_failure_rate")

PRIMARY = ("giou", "box_accuracy_0.5")
"""The measure a verdict speaks of: the first that is defined."""

TIE_WITHIN = 0.01
"""Two IoUs closer than this are a tie when wins are counted."""

FLIPS_SHOWN = 10
LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class MeasureDifference:
    """One measure of both sides on the common rows, its difference (second minus first) and its evidence.

    ``p``: two-sided; ``p_holm``: adjusted for the table. ``standard_error``: of the difference.
    ``wins``, ``ties``, ``losses``: rows where the second side's value is higher, about equal, lower.
    """

    measure: str
    a: Interval
    b: Interval
    estimate: Estimate
    standard_error: float
    p: float
    p_holm: float
    test: str
    n: int
    n_images: int
    wins: int | None
    ties: int | None
    losses: int | None

    @property
    def difference(self) -> Interval:
        """The difference with its 95 % interval."""
        return interval_of(self.estimate)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "difference": self.difference.to_json(),
            "p": self.p,
            "p_holm": self.p_holm,
            "test": self.test,
            "n": self.n,
            "n_images": self.n_images,
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
        }


@dataclass(frozen=True, slots=True, eq=False)
class MeasureTable:
    """The measures of one pair on one slice of one dataset."""

    slice: str
    n: int
    n_images: int
    measured: tuple[MeasureDifference, ...]

    def find(self, measure: str) -> MeasureDifference | None:
        """Return one measure, None where it is undefined here."""
        return next((found for found in self.measured if found.measure == measure), None)

    @property
    def primary(self) -> MeasureDifference | None:
        """The measure that the verdict speaks of."""
        return next((found for name in PRIMARY if (found := self.find(name)) is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two sides on one dataset: the whole, its slices, and the samples that changed most."""

    a: Side
    b: Side
    dataset: str
    whole: MeasureTable
    slices: tuple[MeasureTable, ...]
    flips: tuple[dict[str, Any], ...]
    settings: tuple[SettingDifference, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """All pairs. ``tests``: how many verdicts the p-values of the primary measure were adjusted for."""

    pairs: tuple[Pair, ...]
    sides: tuple[Side, ...]
    tests: int
    seed: int


def compare_runs(folders: Sequence[RunFolder], names: Sequence[str] | None = None) -> RunComparison:
    """Compare the models of one run, or two runs, on their common samples.

    Raises ``ConfigError`` on unknown names, ``DataError`` where nothing is common or the ground
    truths differ.
    """
    chosen = sides_of(folders, names)
    seed = int(folders[0].manifest.get("seed", 0))
    pairs = [pair for a, b in chosen for pair in compare_sides(a, b, seed=seed)]
    sides = {side.label: side for both in chosen for side in both}
    adjusted, tests = _adjusted(pairs)
    return RunComparison(tuple(adjusted), tuple(sides.values()), tests, seed)


def compare_sides(a: Side, b: Side, *, seed: int) -> list[Pair]:
    """Return one ``Pair`` per dataset that both sides answered; p-values are not adjusted yet."""
    left, right = common_rows(a, b)
    settings = tuple(setting_differences(a, b))
    wanted = (a.manifest["config"].get("score") or {}).get("slices")
    pairs = []
    for dataset in dict.fromkeys(left["dataset"]):
        inside = (left["dataset"] == dataset).to_numpy()
        ours, theirs = left[inside], right[inside]
        slices = slice_rows(ours, wanted)
        del slices["all"]
        tables = tuple(
            table_of(ours[chosen], theirs[chosen], SHOWN_IN_SLICES, name, seed=seed)
            for name, chosen in slices.items()
        )
        whole = table_of(ours, theirs, SHOWN, "all", seed=seed)
        pairs.append(Pair(a, b, str(dataset), whole, tables, flips_of(ours, theirs), settings))
    return pairs


def table_of(
    left: pd.DataFrame, right: pd.DataFrame, measures: tuple[str, ...], name: str, *, seed: int
) -> MeasureTable:
    """Return the measures of two aligned frames of rows; undefined ones are left out."""
    images = left["image_id"].to_numpy(dtype=str)
    first, second = row_measures(left, measures), row_measures(right, measures)
    kept = [m for m in measures if first[m][1].sum() > 0 and second[m][1].sum() > 0]
    shares = [is_share(m) for m in kept]
    estimates = paired_differences(
        [first[m] for m in kept], [second[m] for m in kept], images, seed=seed, shares=shares
    )
    intervals = [_intervals(side, kept, images, seed) for side in (first, second)]
    measured = [
        _measured(m, (intervals[0][m], intervals[1][m]), estimate, (first[m], second[m]), images, seed=seed)
        for m, estimate in zip(kept, estimates, strict=True)
        if estimate is not None
    ]
    return MeasureTable(name, len(left), int(np.unique(images).size), tuple(measured))


def _intervals(
    columns: dict[str, Columns], kept: list[str], images: NDArray[np.str_], seed: int
) -> dict[str, Interval]:
    if not kept:
        return {}
    above, below = (np.stack([columns[measure][side] for measure in kept]) for side in (0, 1))
    found = ratio_intervals(above, below, images, seed=seed, shares=[is_share(m) for m in kept])
    return {measure: interval for measure, interval in zip(kept, found, strict=True) if interval is not None}


def _measured(
    measure: str,
    intervals: tuple[Interval, Interval],
    estimate: Estimate,
    columns: tuple[Columns, Columns],
    images: NDArray[np.str_],
    *,
    seed: int,
) -> MeasureDifference:
    (above_a, below_a), (above_b, below_b) = columns
    codes, n_images = cluster_codes(images)
    sums = np.stack(
        [cluster_sums(values, codes, n_images) for values in (above_a, below_a, above_b, below_b)]
    )
    paired = bool((below_a == below_b).all())
    counted = below_a > 0
    changes = (above_b - above_a)[counted]
    by_answer = paired and bool(np.isin(changes, (-1.0, 0.0, 1.0)).all() and (below_a[counted] == 1).all())
    if by_answer:
        p, test = mcnemar_clustered(changes, codes[counted]), "exact McNemar, clustered by image"
        if np.unique(codes[counted]).size == changes.size:
            test = "exact McNemar"
    else:
        p, test = swap_test(sums, seed=seed), "permutation by image"
    won = (int((changes > TIE_WITHIN).sum()), int((changes < -TIE_WITHIN).sum()))
    counts_rows = paired and is_share(measure)
    return MeasureDifference(
        measure,
        *intervals,
        estimate=estimate,
        standard_error=difference_error(sums)[1],
        p=p,
        p_holm=p,
        test=test,
        n=int(counted.sum()),
        n_images=int(np.unique(codes[counted]).size),
        wins=won[0] if counts_rows else None,
        ties=changes.size - sum(won) if counts_rows else None,
        losses=won[1] if counts_rows else None,
    )


def _adjusted(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    """Return the pairs with adjusted p-values, and the number of verdicts.

    Three families, each by Holm on its own: the verdicts (the primary measure of every pair), the other
    measures of whole datasets, and the slices. So the question that was asked is not drowned by the
    dozens of numbers that are shown beside it.
    """
    primary = [pair.whole.primary for pair in pairs]
    verdicts = [found for found in primary if found is not None]
    asked = {id(found) for found in verdicts}
    others = [m for pair in pairs for m in pair.whole.measured if id(m) not in asked]
    in_slices = [m for pair in pairs for table in pair.slices for m in table.measured]
    p_holm = {
        id(found): value
        for family in (verdicts, others, in_slices)
        for found, value in zip(family, holm([found.p for found in family]), strict=True)
    }

    def with_p(table: MeasureTable) -> MeasureTable:
        return replace(table, measured=tuple(replace(m, p_holm=p_holm[id(m)]) for m in table.measured))

    adjusted = [
        replace(pair, whole=with_p(pair.whole), slices=tuple(with_p(table) for table in pair.slices))
        for pair in pairs
    ]
    return adjusted, len(verdicts)


def flips_of(left: pd.DataFrame, right: pd.DataFrame, shown: int = FLIPS_SHOWN) -> tuple[dict[str, Any], ...]:
    """Return the samples whose IoU changed most, largest change first; ties in the order of the run."""
    import pandas as pd

    boxes_only = left["iou"].isna().all() or right["iou"].isna().all()
    column = "box_iou" if boxes_only else "iou"
    before, after = (pd.to_numeric(side[column]).to_numpy(float, na_value=np.nan) for side in (left, right))
    change = np.nan_to_num(after - before)
    order = np.argsort(-np.abs(change), kind="stable")[:shown]
    return tuple(
        {
            "sample_id": str(left["sample_id"].iloc[at]),
            "image_id": str(left["image_id"].iloc[at]),
            "trial": int(left["trial"].iloc[at]),
            "expression": str(left["expression"].iloc[at]),
            "iou_a": float(before[at]),
            "iou_b": float(after[at]),
            "difference": float(change[at]),
            "outcome_a": _verdict_word(left, at),
            "outcome_b": _verdict_word(right, at),
        }
        for at in (int(index) for index in order)
        if change[at] != 0
    )


def _verdict_word(rows: pd.DataFrame, at: int) -> str:
    failure = rows["failure"].iloc[at]
    return str(failure) if isinstance(failure, str) else str(rows["outcome"].iloc[at])
