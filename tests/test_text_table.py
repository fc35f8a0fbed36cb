"""Text tables: alignment, rules and what an empty one looks like."""

import pytest

from evalkit.text_table import text_table


def test_columns_are_as_wide_as_their_longest_cell():
    """Left and right alignment, two spaces between columns, nothing after the last letter."""
    lines = text_table(("model", "n", "note"), [("a", "1,000", ""), ("longer", "7", "x")], "<><", indent="  ")
    assert lines == ["  model       n  note", "  a       1,000", "  longer      7  x"]


def test_a_rule_stands_below_the_header():
    """Dashes as wide as each column; without rows too."""
    assert text_table(("ab", "c"), [], "<>", rule=True) == ["ab  c", "--  -"]


def test_a_row_of_another_length_is_refused():
    """A cell too few is a programming error, not a table that is shifted in silence."""
    with pytest.raises(ValueError, match="shorter|longer"):
        text_table(("a", "b"), [("1",)], "<<")
