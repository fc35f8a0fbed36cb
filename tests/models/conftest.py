"""The fixtures of these tests."""

from support.models_fixtures import _no_key, gemini_entry, question, run_config, samples, simulate

__all__ = ["_no_key", "gemini_entry", "question", "run_config", "samples", "simulate"]
