"""The numbers of a published evaluator as metrics ``protocol.NAME``: intervals, differences, tests. Pure.

Which protocol the rows were scored by stands in their column ``protocol``, which is set where a run
is read; rows of no protocol, or of several, have no such numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.decoding.codes import ANSWERED
from evalkit.errors import ConfigError, nearest
from evalkit.metrics.protocols import PROTOCOLS, find_protocol
from evalkit.metrics.protocols.base import is_ratio, number_of
from evalkit.stats.bootstrap import ratio_estimates
from evalkit.stats.estimates import Estimate, interval_of
from evalkit.stats.resampling import linear_columns, statistic_estimate

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from evalkit.metrics.protocols.base import Protocol
    from evalkit.stats.resampling import Statistic
    from evalkit.types import Interval

    Floats = NDArray[np.float64]

PREFIX = "protocol."
COLUMN = "protocol"
"""The column of the rows that names their protocol."""


def is_protocol_metric(measure: str) -> bool:
    """Tell whether a metric is a number of the rows' protocol."""
    return measure.startswith(PREFIX)


def protocol_keys() -> tuple[str, ...]:
    """Return every number of evalkit's protocols; those of ``default`` have names of their own already."""
    keys = (key for name, protocol in PROTOCOLS.items() if name != "default" for key in protocol.keys)
    return tuple(dict.fromkeys(keys))


def check_numbers(measures: Iterable[str], protocols: Iterable[str]) -> None:
    """Raise ``ConfigError`` on a ``protocol.NAME`` that none of the protocols can have.

    Every number of evalkit's own protocols is known, so that one rule can serve datasets of several protocols;
    what a protocol of one's own gives is known to its function alone, and is told where rows are judged.
    """
    named = dict.fromkeys(protocols)
    if any(name not in PROTOCOLS for name in named):
        return
    known = [PREFIX + key for key in protocol_keys()]
    for measure in measures:
        if is_protocol_metric(measure.lower()) and measure.lower() not in known:
            raise ConfigError(
                f"'{measure}' is not a metric: no protocol has it.{nearest(measure, known)} A number of a "
                "protocol of your own needs that protocol in `score: {protocol: package.module:name}` or in a "
                f"dataset's `protocol:`; here stand {', '.join(named) or 'none'}"
            )


def protocol_of(rows: pd.DataFrame) -> Protocol | None:
    """Return the protocol that all rows were scored by, None under ``default``."""
    names = {str(name) for name in rows[COLUMN].unique()} if COLUMN in rows else set()
    if len(names) != 1 or names == {"default"}:
        return None
    return find_protocol(names.pop())


def metrics_of_rows(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the metrics ``protocol.NAME`` that these rows have."""
    protocol = protocol_of(rows)
    return () if protocol is None else tuple(PREFIX + key for key in protocol.numbers(_answered(rows)))


def statistic_of(rows: pd.DataFrame, measure: str) -> Statistic | None:
    """Return one number of the answered rows as a function of them, None where it is undefined."""
    protocol = protocol_of(rows)
    if protocol is None:
        return None
    return protocol.numbers(_answered(rows)).get(measure.removeprefix(PREFIX))


class StatisticColumns(tuple["Floats", "Floats"]):  # noqa: SLOT001 a tuple's subclass can have no slots of its own
    """(numerators, denominators) of a number that is no ratio of sums: its pseudo-values over ones.

    Their sum over sum is the number and their spread is its own, so every test of a mean serves it.
    ``statistic`` is the number itself, for draws; ``places``: which rows its units are.
    """

    statistic: Statistic
    places: NDArray[np.bool_]

    @classmethod
    def of(cls, statistic: Statistic, places: NDArray[np.bool_]) -> StatisticColumns:
        """Return the columns of a number whose units are the rows ``places``, shape (rows,)."""
        above, below = np.zeros(places.size), np.zeros(places.size)
        above[places], below[places] = linear_columns(statistic)
        columns = cls((above, below))
        columns.statistic, columns.places = statistic, places
        return columns


def protocol_columns(rows: pd.DataFrame, measure: str, *, linear: bool = False) -> tuple[Floats, Floats]:
    """Return (numerators, denominators), each shape (rows,), whose sum over sum is the number.

    A number that is no ratio of sums (and any where ``linear``) comes as ``StatisticColumns``. Zeros
    where it is undefined, and on rows that were not answered.
    """
    statistic = statistic_of(rows, measure)
    places = rows["outcome"].isin(ANSWERED).to_numpy(dtype=bool)
    if statistic is not None and not (is_ratio(statistic) and not linear):
        return StatisticColumns.of(statistic, places)
    above, below = np.zeros(len(rows)), np.zeros(len(rows))
    if is_ratio(statistic):
        above[places], below[places] = statistic.columns
    return above, below


def protocol_intervals(rows: pd.DataFrame, protocol: Protocol, *, seed: int) -> dict[str, Interval | None]:
    """Return every number of a protocol with its 95 % interval over images, None where undefined."""
    found = protocol.numbers(_answered(rows))
    defined = {key: one for key, one in found.items() if one is not None and number_of(one) is not None}
    estimates = _estimates(list(defined.values()), _answered_images(rows), seed)
    intervals: dict[str, Interval | None] = dict.fromkeys(found)
    for key, estimate in zip(defined, estimates, strict=True):
        intervals[key] = None if estimate is None else interval_of(estimate)
    return intervals


def _estimates(statistics: list[Statistic], images: Floats, seed: int) -> list[Estimate | None]:
    """Return the estimates, plain ratios all together so that they share their draws."""
    found: dict[int, Estimate | None] = {}
    ratios = [one for one in statistics if is_ratio(one)]
    if ratios:
        above, below = (np.stack([one.columns[side] for one in ratios]) for side in (0, 1))
        shares = [True] * len(ratios)
        estimates = ratio_estimates(above, below, images, seed=seed, shares=shares)
        found |= {id(one): estimate for one, estimate in zip(ratios, estimates, strict=True)}
    for one in statistics:
        if id(one) not in found:
            found[id(one)] = statistic_estimate(one, images, seed=seed)
    return [found[id(one)] for one in statistics]


def _answered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["outcome"].isin(ANSWERED)]


def _answered_images(rows: pd.DataFrame) -> Floats:
    images: Floats = rows.loc[rows["outcome"].isin(ANSWERED), "image_id"].to_numpy(dtype=str)
    return images
