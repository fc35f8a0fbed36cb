"""The fixtures of these tests."""

from support.notebook_fixtures import maker, run, workplace

__all__ = ["maker", "run", "workplace"]
