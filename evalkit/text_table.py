"""Aligned text tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], align: str, *, rule: bool = False, indent: str = ""
) -> list[str]:
    """Return a table as lines, two spaces between columns, each as wide as its longest cell.

    ``align``: ``<`` or ``>`` for each column. ``rule``: a line of dashes below the header.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    ruled = [["-" * width for width in widths]] if rule else []
    return [
        (
            indent
            + "  ".join(
                f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)
            )
        ).rstrip()
        for line in (header, *ruled, *rows)
    ]
