"""Whether a difference has the evidence to be called one, and that evidence in words. Pure."""

from __future__ import annotations

from evalkit.comparison.compare import LEVEL, MeasureDifference


def is_real(found: MeasureDifference) -> bool:
    """Tell whether a difference has the evidence to be called one."""
    gap = found.difference
    return found.p_holm < LEVEL and (gap.low > 0 or gap.high < 0)


def why_apart(found: MeasureDifference, tests: int) -> str:
    """Return what makes p and interval seem to disagree, empty where they agree.

    The interval is of one pair alone; p is adjusted for every verdict of the table, and its test may be the more
    cautious one where images are few.
    """
    gap = found.difference
    clear = gap.low > 0 or gap.high < 0
    if clear == (found.p_holm < LEVEL):
        return ""
    if not clear:
        return "The interval holds zero though p is small: with so few images the interval is the more cautious of the two."
    if found.p < LEVEL:
        return (
            f"The interval leaves out zero and is of this pair alone, as is {p_is(found.p)}; Holm's adjustment for "
            f"{tests} verdicts makes it {p_text(found.p_holm)}."
        )
    return (
        f"The interval leaves out zero, but the test ({found.test}) gives {p_is(found.p)} before any adjustment: it is "
        "the more cautious of the two."
    )


def p_words(found: MeasureDifference, tests: int) -> str:
    """Return the adjusted p-value of a verdict in words, with what it is adjusted for."""
    return f"{p_is(found.p_holm)}{'' if tests == 1 else f' after Holm over {tests} verdicts'}"


def p_is(value: float) -> str:
    """Return a p-value with its sign, as in ``p = 0.044``."""
    return f"p {p_text(value)}" if value < 0.001 else f"p = {p_text(value)}"


def p_text(value: float) -> str:
    """Return a p-value as text."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
