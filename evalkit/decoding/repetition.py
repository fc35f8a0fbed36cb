"""Runaway repetition: a text that ends in the same few characters over and over. Pure, linear."""

from __future__ import annotations

from typing import Final

_WINDOW: Final = 2048
"""Characters at the end in which a period is looked for; loops of up to a quarter of it are seen."""
_LEAST_CHARACTERS: Final = 256
_LEAST_TURNS: Final = 8
"""A loop of at least this many turns and characters. Real PNG masks hold runs of 70 equal
base64 characters, so that a shorter run says nothing (measured on the 44 public masks)."""


def runs_away(text: str) -> bool:
    """Return True where the text ends in a loop (a last incomplete turn and a few odd characters allowed)."""
    return runaway_length(text) > 0


def runaway_length(text: str) -> int:
    """Return how many characters at the end of the text repeat with one period; 0 = no loop."""
    for odd in (0, 1, 2, 4, 8):
        end = len(text) - odd
        tail = text[max(0, end - _WINDOW) : end]
        if len(tail) < _LEAST_CHARACTERS:
            return 0
        period, length = _loop_at_end(tail)
        if length >= max(_LEAST_CHARACTERS, _LEAST_TURNS * period):
            return _extend(text, end, period) if length == len(tail) else length
    return 0


def _loop_at_end(tail: str) -> tuple[int, int]:
    """Return the period and the length of the longest loop at the end of a short text.

    The prefix function (Knuth, Morris and Pratt 1977) of the reversed text gives, for every
    length, the smallest period; the longest length with enough turns wins.
    """
    reverse = tail[::-1]
    border = [0] * len(reverse)
    best = (1, 0)
    matched = 0
    for index in range(1, len(reverse)):
        while matched and reverse[index] != reverse[matched]:
            matched = border[matched - 1]
        if reverse[index] == reverse[matched]:
            matched += 1
        border[index] = matched
        length, period = index + 1, index + 1 - matched
        if length >= _LEAST_TURNS * period:
            best = (period, length)
    return best


def _extend(text: str, end: int, period: int) -> int:
    """Return the length of the loop of ``period`` that ends at ``end``, compared block by block."""
    unit = text[end - period : end]
    block = unit * max(1, 4096 // period)
    start = end
    while start >= len(block) and text.startswith(block, start - len(block)):
        start -= len(block)
    while start >= period and text.startswith(unit, start - period):
        start -= period
    return end - start
