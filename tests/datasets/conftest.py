"""The fixtures of these tests."""

from support.datasets_fixtures import fixtures, load, make, refcocos

__all__ = ["fixtures", "load", "make", "refcocos"]
