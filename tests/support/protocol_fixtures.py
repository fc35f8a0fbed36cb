"""The plain numbers of a protocol, for tests of what it computes."""

from evalkit.metrics.protocols import PROTOCOLS
from evalkit.metrics.protocols.base import number_of


def values_of(name, rows):
    """Return every number of a protocol on scored rows, None where undefined."""
    return {key: number_of(statistic) for key, statistic in PROTOCOLS[name].numbers(rows).items()}
