"""The fixtures of these tests."""

from support.comparison_fixtures import good_iou, make_answers, make_run
from support.datasets_fixtures import fixtures, load, make, refcocos
from support.decoding_fixtures import block_values, png_item, png_text
from support.models_fixtures import _no_key, gemini_entry, question, run_config, samples, simulate

__all__ = [
    "_no_key",
    "block_values",
    "fixtures",
    "gemini_entry",
    "good_iou",
    "load",
    "make",
    "make_answers",
    "make_run",
    "png_item",
    "png_text",
    "question",
    "refcocos",
    "run_config",
    "samples",
    "simulate",
]
