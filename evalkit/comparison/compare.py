"""Which model? Paired differences on common samples, with what they are worth. Pure but for reading.

Every difference is the second side minus the first. Intervals are over images. P-values: of equal means over
images (``significance.difference_test``), for shares of answers not below the exact McNemar test's (its clustered
form where images have several expressions); adjusted by Holm over all verdicts, over all other measures
shown, over the judging measure of all slices, over the other measures of all slices, and over the numbers of
the rows' protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison.sides import (
    SettingDifference,
    Side,
    common_questions,
    common_rows,
    nothing_common,
    pairs_of,
    read_sides,
    setting_differences,
)
from evalkit.metrics.names import is_share, lower_is_better, metric_of, row_measures
from evalkit.metrics.protocol_numbers import (
    StatisticColumns,
    is_protocol_metric,
    metrics_of_rows,
    protocol_of,
)
from evalkit.metrics.summary import slice_rows
from evalkit.metrics.table import quality_metric, shown_in
from evalkit.stats.bootstrap import (
    cluster_codes,
    cluster_sums,
    difference_error,
    paired_differences,
    ratio_intervals,
)
from evalkit.stats.estimates import Estimate, interval_of
from evalkit.stats.resampling import statistic_difference, statistic_estimate
from evalkit.stats.significance import difference_test, holm, mcnemar_clustered
from evalkit.storage.run_folder import RunFolder
from evalkit.types import Interval

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.answers import Columns

SHOWN = shown_in("compare")
"""Measures of the table of a whole dataset; those that are undefined on the common rows are left out."""

SHOWN_IN_SLICES = shown_in("slices")

TIE_WITHIN = 0.01
"""Two IoUs closer than this are a tie when wins are counted."""

FLIPS_SHOWN = 10
LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class MeasureDifference:
    """One measure of both sides on the common rows, its difference (second minus first) and its evidence.

    ``difference``: with its 95 % interval; ``p``: two-sided; ``p_holm``: adjusted for the table.
    ``standard_error``: of the difference.
    ``wins``, ``ties``, ``losses``: rows where the second side is better, about equal, worse.
    """

    measure: str
    a: Interval
    b: Interval
    estimate: Estimate
    difference: Interval
    standard_error: float
    p: float
    p_holm: float
    test: str
    n: int
    n_images: int
    wins: int | None
    ties: int | None
    losses: int | None

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
    """The measures of one pair on one slice of one dataset; ``judged_by`` is the one that a verdict speaks of."""

    slice: str
    n: int
    n_images: int
    measured: tuple[MeasureDifference, ...]
    judged_by: str

    def find(self, measure: str) -> MeasureDifference | None:
        """Return one measure, None where it is undefined here."""
        return next((found for found in self.measured if found.measure == measure), None)

    @property
    def primary(self) -> MeasureDifference | None:
        """The measure that the verdict speaks of, None where it is undefined on the common rows."""
        return self.find(self.judged_by)


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

    def table(self, part: str) -> MeasureTable | None:
        """Return the measures on a slice, or on ``all``; None where the pair has nothing there."""
        return next((table for table in (self.whole, *self.slices) if table.slice == part), None)


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """All pairs. ``tests``: how many verdicts the p-values of the judging measures were adjusted for.

    ``judged_by``: dataset -> the measure of its verdicts. ``apart``: pairs that answered no question in common, as (first, second).
    """

    pairs: tuple[Pair, ...]
    sides: tuple[Side, ...]
    tests: int
    seed: int
    judged_by: Mapping[str, str]
    apart: tuple[tuple[str, str], ...]

    def find(self, dataset: str, one: str, other: str) -> Pair | None:
        """Return the pair of two labels on a dataset, in whichever order it was compared."""
        for pair in self.pairs:
            if pair.dataset == dataset and {pair.a.label, pair.b.label} == {one, other}:
                return pair
        return None


def compare_runs(folders: Sequence[RunFolder], names: Sequence[str] | None = None) -> RunComparison:
    """Compare the models of one run, or two runs, on their common samples.

    Raises ``ConfigError`` on unknown names, ``DataError`` where nothing is common or the ground
    truths differ.
    """
    runs = read_sides(folders)
    chosen = pairs_of(runs, folders, names)
    seed = folders[0].manifest.seed
    judged_by = judging_measures([side for run in runs for side in run])
    found = compare_pairs(chosen, judged_by, seed=seed)
    if not found.pairs:
        raise nothing_common(*chosen[0])
    return found


def judging_measures(sides: Sequence[Side]) -> dict[str, str]:
    """Return dataset -> the measure that its verdicts speak of: what all sides with answers can be compared by.

    It is found over all models of the runs, so that a verdict on two of them rests on the same measure as the page's.
    """
    datasets = dict.fromkeys(str(name) for side in sides for name in side.rows["dataset"].unique())
    return {
        dataset: quality_metric([defined_in(side.rows[side.rows["dataset"] == dataset]) for side in sides])
        for dataset in datasets
    }


def defined_in(rows: pd.DataFrame) -> set[str]:
    """Return the measures a verdict may rest on that one model's rows of a dataset define."""
    columns = row_measures(rows, shown_in("verdict"))
    return {measure for measure, (_, below) in columns.items() if below.sum() > 0}


def compare_pairs(
    chosen: Sequence[tuple[Side, Side]],
    judged_by: Mapping[str, str],
    *,
    seed: int,
    all_measures: bool = True,
) -> RunComparison:
    """Compare pairs of sides as one family: `evalkit compare` and the page call this and nothing else.

    ``judged_by``: ``judging_measures``. ``all_measures``: also measures that no
    verdict rests on; they change no p-value of one. Raises ``DataError`` where ground truths differ.
    """
    pairs: list[Pair] = []
    apart: list[tuple[str, str]] = []
    for a, b in chosen:
        if not len(common_questions(a, b)):
            apart.append((a.label, b.label))
            continue
        pairs += _compare_sides(a, b, judged_by, seed=seed, all_measures=all_measures)
    adjusted, tests = _adjusted(pairs)
    sides = {side.label: side for both in chosen for side in both}
    return RunComparison(tuple(adjusted), tuple(sides.values()), tests, seed, judged_by, tuple(apart))


def _compare_sides(
    a: Side,
    b: Side,
    judged_by: Mapping[str, str],
    *,
    seed: int,
    all_measures: bool,
) -> Iterator[Pair]:
    """Yield one ``Pair`` per dataset that both sides answered; p-values are not adjusted yet."""
    left, right = common_rows(a, b)
    settings = tuple(setting_differences(a, b))
    wanted, own = a.manifest.section("score").get("slices"), _own_metrics(a, b)
    for dataset in (str(name) for name in dict.fromkeys(left["dataset"])):
        inside = (left["dataset"] == dataset).to_numpy()
        ours, theirs = left[inside], right[inside]
        judge = judged_by[dataset]
        in_slices, shown = (SHOWN_IN_SLICES, (*SHOWN, *own)) if all_measures else ((judge,), (judge,))
        tables = tuple(
            table_of(ours[chosen], theirs[chosen], in_slices, name, judge, seed=seed)
            for name, chosen in slice_rows(ours, wanted).items()
            if name != "all"
        )
        shown = (*shown, *shared_numbers(ours, theirs)) if all_measures else shown
        whole = table_of(ours, theirs, shown, "all", judge, seed=seed)
        yield Pair(a, b, dataset, whole, tables, flips_of(ours, theirs, judge), settings)


def _own_metrics(a: Side, b: Side) -> tuple[str, ...]:
    """Return the metrics of the users' own that either run's config names."""
    names = [name for side in (a, b) for name in side.manifest.section("score").get("metrics") or ()]
    return tuple(dict.fromkeys(name for name in names if name not in SHOWN))


def shared_numbers(left: pd.DataFrame, right: pd.DataFrame) -> tuple[str, ...]:
    """Return the metrics ``protocol.NAME`` that both sides have, none where their protocols differ."""
    ours = metrics_of_rows(left)
    return ours if protocol_of(left) is protocol_of(right) else ()


def table_of(
    left: pd.DataFrame,
    right: pd.DataFrame,
    measures: tuple[str, ...],
    name: str,
    judged_by: str,
    *,
    seed: int,
) -> MeasureTable:
    """Return the measures of two aligned frames of rows; undefined ones are left out."""
    images = left["image_id"].to_numpy(dtype=str)
    first, second = row_measures(left, measures), row_measures(right, measures)
    estimates = paired_estimates(first, second, images, seed=seed)
    kept = list(estimates)
    intervals = _intervals(first, second, kept, images, seed)
    measured = [
        _measured(m, intervals[m], estimate, (first[m], second[m]), images, seed=seed)
        for m, estimate in estimates.items()
    ]
    return MeasureTable(name, len(left), int(np.unique(images).size), tuple(measured), judged_by)


def paired_estimates(
    first: Mapping[str, Columns], second: Mapping[str, Columns], images: NDArray[np.str_], *, seed: int
) -> dict[str, Estimate]:
    """Return measure -> its difference, second minus first, over aligned rows; undefined ones are left out.

    Every difference of evalkit is this one: in a comparison, on the page and in a gate rule.
    """
    defined = [m for m in first if first[m][1].sum() > 0 and second[m][1].sum() > 0]
    kept = [m for m in defined if not isinstance(first[m], StatisticColumns)]
    ratios = paired_differences(
        [first[m] for m in kept],
        [second[m] for m in kept],
        images,
        seed=seed,
        shares=[is_share(m) for m in kept],
    )
    found = dict(zip(kept, ratios, strict=True))
    for m in defined:
        a, b = first[m], second[m]
        if isinstance(a, StatisticColumns) and isinstance(b, StatisticColumns):
            found[m] = statistic_difference(a.statistic, b.statistic, images[a.places], seed=seed)
    return {m: estimate for m in defined if (estimate := found.get(m)) is not None}


def _intervals(
    first: Mapping[str, Columns],
    second: Mapping[str, Columns],
    kept: list[str],
    images: NDArray[np.str_],
    seed: int,
) -> dict[str, tuple[Interval, Interval]]:
    """Return measure -> the intervals of both sides; one call for both, whose draws are the same."""
    columns = {(side, m): taken[m] for side, taken in enumerate((first, second)) for m in kept}
    ratios = [key for key, one in columns.items() if not isinstance(one, StatisticColumns)]
    found: dict[tuple[int, str], Interval | None] = {}
    if ratios:
        above, below = (np.stack([columns[key][part] for key in ratios]) for part in (0, 1))
        shares = [is_share(m) for _, m in ratios]
        found |= zip(ratios, ratio_intervals(above, below, images, seed=seed, shares=shares), strict=True)
    for key, one in columns.items():
        if isinstance(one, StatisticColumns):
            estimate = statistic_estimate(one.statistic, images[one.places], seed=seed)
            found[key] = None if estimate is None else interval_of(estimate)
    sides = ((m, found[0, m], found[1, m]) for m in kept)
    return {m: (one, other) for m, one, other in sides if one is not None and other is not None}


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
    p, test = difference_test(estimate, sums, seed=seed)
    if by_answer:
        p, test = max(p, mcnemar_clustered(changes, codes[counted])), "exact McNemar, clustered by image"
        if np.unique(codes[counted]).size == changes.size:
            test = "exact McNemar"
    gained = -changes if lower_is_better(measure) else changes
    won = (int((gained > TIE_WITHIN).sum()), int((gained < -TIE_WITHIN).sum()))
    # Pseudo-values of a number that is no ratio of sums say nothing about single rows.
    counts_rows = paired and is_share(measure) and not isinstance(columns[0], StatisticColumns)
    return MeasureDifference(
        measure,
        *intervals,
        estimate=estimate,
        difference=interval_of(estimate),
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

    Five families, each by Holm on its own: the verdicts (the judging measure of every pair), the other
    measures of whole datasets, the judging measure in the slices, the other measures there, and the numbers
    of published evaluators. So the question
    that was asked is not drowned by the dozens of numbers that are shown beside it.
    """
    whole = [pair.whole for pair in pairs]
    parts = [table for pair in pairs for table in pair.slices]
    families = [_family(tables, judging=judging) for tables in (whole, parts) for judging in (True, False)]
    families.append([one for table in whole for one in table.measured if is_protocol_metric(one.measure)])
    p_holm = {
        id(found): value
        for family in families
        for found, value in zip(family, holm([found.p for found in family]), strict=True)
    }

    def with_p(table: MeasureTable) -> MeasureTable:
        return replace(table, measured=tuple(replace(m, p_holm=p_holm[id(m)]) for m in table.measured))

    adjusted = [
        replace(pair, whole=with_p(pair.whole), slices=tuple(with_p(table) for table in pair.slices))
        for pair in pairs
    ]
    return adjusted, len(families[0])


def _family(tables: Sequence[MeasureTable], *, judging: bool) -> list[MeasureDifference]:
    return [
        found
        for table in tables
        for found in table.measured
        if (found.measure == table.judged_by) is judging and not is_protocol_metric(found.measure)
    ]


def flips_of(
    left: pd.DataFrame, right: pd.DataFrame, judged_by: str, shown: int = FLIPS_SHOWN
) -> tuple[dict[str, Any], ...]:
    """Return the samples whose IoU (of boxes, where they are judged) changed most, largest change first."""
    import pandas as pd

    column = metric_of(judged_by).answer_column
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
