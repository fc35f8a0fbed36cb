"""The printed table shows masks or boxes, whichever was scored."""

from dataclasses import replace

from evalkit.report.headline import headline_table
from evalkit.storage.summary import Summary


def summary_of(**numbers):
    """Return a summary with one result."""
    result = {
        "model": "m",
        "dataset": "d",
        "slice": "all",
        "n": 3,
        "n_data_error": 0,
        "n_not_run": 0,
        "giou": None,
        "ciou": None,
        "box_iou": None,
        "box_accuracy_0.5": None,
        "precision_at": {"0.5": None},
        "format_failure_rate": None,
        "strict_failure_rate": None,
        "latency_s": {},
        "tokens": {},
        "cost_usd": None,
    }
    return Summary(run="r", status="complete", simulated=False, results=(result | numbers,))


INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75}


def test_masks_are_the_headline():
    """With a gIoU the mask columns stand, whatever the boxes say."""
    table = headline_table(summary_of(giou=INTERVAL, box_iou=INTERVAL))
    assert "gIoU" in table
    assert "box acc" not in table
    assert "0.500 [0.25, 0.75]" in table


def test_boxes_are_the_headline_of_the_box_task():
    """Without any mask score the box columns take their place."""
    table = headline_table(summary_of(box_iou=INTERVAL, **{"box_accuracy_0.5": INTERVAL}))
    assert "gIoU" not in table
    assert table.splitlines()[0].split()[3:7] == ["box", "acc@0.5", "box", "IoU"]
    assert table.count("0.500 [0.25, 0.75]") == 2


def test_one_model_of_boxes_alone_makes_boxes_the_headline_of_all():
    """Beside a model that drew masks too, what both can be compared by is shown."""
    boxes = {"box_iou": INTERVAL, "box_accuracy_0.5": INTERVAL}
    both = summary_of(**boxes)
    both = replace(both, results=(*both.results, *summary_of(giou=INTERVAL, **boxes).results))
    assert headline_table(both).count("0.500 [0.25, 0.75]") == 4


def test_nothing_answered_keeps_the_mask_columns():
    """A run without one answer shows dashes under the usual heads."""
    assert "gIoU" in headline_table(summary_of())
