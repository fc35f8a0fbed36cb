"""Raw answers as the page keeps them: whole while the run is small, else shortened where it says so. Pure."""

from __future__ import annotations

import re

ALL_CHARACTERS = 10_000_000
"""Raw text that one page keeps in all, about."""

FEWEST_CHARACTERS = 1_000
MOST_CHARACTERS = 1_000_000
EXCERPT_CHARACTERS = 180
"""How much of a raw answer a card shows; the sample's page has more."""

LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{200,}")
KEPT_OF_RUN = 60
"""What is kept of base64: nobody reads it, and where it begins says what it is."""


def most_characters(n_answers: int) -> int:
    """Return how much of each raw answer a page of this many answers keeps."""
    return min(MOST_CHARACTERS, max(FEWEST_CHARACTERS, ALL_CHARACTERS // max(1, n_answers)))


def kept_text(text: str, limit: int) -> tuple[str, str]:
    """Return a raw answer as the page keeps it, and a note on what was left out ("" where nothing was).

    Long base64 goes first, then what stands beyond ``limit`` characters.
    """
    if len(text) <= limit:
        return text, ""
    short = LONG_RUN.sub(_shortened, text)
    notes = ["base64 is shortened"] if short != text else []
    if len(short) > limit:
        short = short[:limit]
        notes.append(f"cut after {limit:,} characters")
    note = " and ".join(notes)
    return (
        short,
        f"{note[0].upper()}{note[1:]}; the answer has {len(text):,}. responses.sqlite holds the whole.",
    )


def _shortened(run: re.Match[str]) -> str:
    left_out = len(run[0]) - KEPT_OF_RUN
    return f"{run[0][:KEPT_OF_RUN]}[{left_out:,} characters]"


def excerpt(text: str | None) -> str:
    """Return the beginning of a raw answer on one line."""
    flat = " ".join((text or "")[: 4 * EXCERPT_CHARACTERS].split())
    return flat if len(flat) <= EXCERPT_CHARACTERS else flat[: EXCERPT_CHARACTERS - 1] + "…"
