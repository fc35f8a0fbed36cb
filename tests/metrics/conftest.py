"""The fixtures of these tests."""

from support.comparison_fixtures import good_iou, make_answers, make_run

__all__ = ["good_iou", "make_answers", "make_run"]
