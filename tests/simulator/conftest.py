"""The fixtures of these tests."""

from support.simulator_fixtures import samples, start, wire

__all__ = ["samples", "start", "wire"]
