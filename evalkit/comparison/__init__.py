"""Which is better, did it get worse, since when."""

from __future__ import annotations

NOT_WORSE_MARGIN = 0.02
"""Margin of "not worse by more than this" that a comparison tests where no other is asked for."""
