"""Format ceilings and convention tables: what formats lose, told by shapes whose loss is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli.app import main
from evalkit.masks import polygons_to_mask, rle_encode
from evalkit.scoring.ceiling import ENCODERS, ceiling_row, ceilings, encode_png, norm_box, simplify
from evalkit.types import GroundTruth, ImageRef, Sample

HEIGHT, WIDTH = 240, 320


def sample(*masks: np.ndarray, name: str = "a") -> Sample:
    """Return a sample whose instances are full-image masks."""
    truth = GroundTruth(HEIGHT, WIDTH, tuple(rle_encode(mask) for mask in masks))
    return Sample("d", "all", name, name, ImageRef("none.jpg"), "it", truth)


def rectangle(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    """Return a filled rectangle in pixels."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def disc(radius: float = 70.0) -> np.ndarray:
    """Return a disc in the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (x - WIDTH / 2) ** 2 + (y - HEIGHT / 2) ** 2 < radius**2


def iou(name: str, *masks: np.ndarray) -> float:
    """Return a format's IoU on one sample."""
    return float(ceiling_row(sample(*masks), ENCODERS[name])["iou"])


def test_run_lengths_lose_nothing_and_tokens_everything():
    """The two ends of the scale."""
    assert iou("rle", disc(), rectangle(0, 0, 20, 20)) == 1.0
    assert iou("seg_tokens", disc()) == 0.0


def test_a_rectangle_survives_every_format_but_tokens():
    """Its outline has four points and its box is itself (corners here are whole thousandths)."""
    mask = rectangle(24, 32, 120, 160)
    for name in ENCODERS:
        assert iou(name, mask) > (0.98 if name != "seg_tokens" else -1.0)


def test_a_disc_loses_what_its_inscribed_polygons_lose():
    """A regular n-gon inscribed in a circle covers sin(2 pi / n) / (2 pi / n) of it; a box gives pi / 4."""
    for points in (8, 16, 32):
        turn = 2 * np.pi / points
        assert np.sin(turn) / turn - 0.03 < iou(f"polygon_{points}", disc()) <= 1.0
    assert iou("box_filled", disc()) == pytest.approx(np.pi / 4, abs=0.02)
    assert iou("png_256", disc()) > 0.99
    order = [iou(f"polygon_{points}", disc()) for points in (8, 16, 32, 64)]
    assert order == sorted(order)


def test_outlines_carry_no_holes():
    """A ring is worth its filled self in contours, and nearly all of itself as PNG."""
    ring = disc() & ~disc(40)
    assert iou("polygon_64", ring) == pytest.approx(ring.sum() / disc().sum(), abs=0.02)
    assert iou("png_256", ring) > 0.98


def test_parts_are_items_of_their_own():
    """Two far rectangles are two outlines, not one around both."""
    both = rectangle(0, 0, 48, 64) | rectangle(192, 256, 240, 320)
    assert iou("polygon_8", both) > 0.97


def test_the_box_holds_the_mask_after_truncation():
    """Near corners go down, far corners up."""
    for y0, x0, y1, x1 in ((1, 1, 2, 2), (17, 33, 100, 319), (0, 0, 240, 320)):
        box = norm_box(rectangle(y0, x0, y1, x1))
        assert box[0] * HEIGHT // 1000 <= y0
        assert box[1] * WIDTH // 1000 <= x0
        assert box[2] * HEIGHT // 1000 >= y1
        assert box[3] * WIDTH // 1000 >= x1
    assert len(encode_png(rectangle(1, 1, 2, 2))) == 1


def test_simplifying_keeps_the_corners_of_a_polygon():
    """Points along straight sides go first."""
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 6.0], [4.0, 9.0]])
    dense = np.concatenate(
        [np.linspace(a, b, 7, endpoint=False) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )
    np.testing.assert_allclose(simplify(dense, 4), corners)
    assert polygons_to_mask([simplify(dense, 4).ravel().tolist()], 10, 11).any()


def test_ceilings_leave_out_samples_without_a_target():
    """They carry nothing; a row per format, intervals around values."""
    rows = ceilings([sample(disc(), name="a"), sample(name="b"), sample(rectangle(5, 5, 90, 90), name="c")])
    assert [row["format"] for row in rows] == list(ENCODERS)
    assert {row["n"] for row in rows} == {2}
    for row in rows:
        assert row["giou"]["low"] <= row["giou"]["value"] <= row["giou"]["high"]
    assert ceilings([sample(name="b")]) == []


def test_the_command_measures_a_card():
    """The bundled dataset, a few samples; JSON is one document."""
    result = CliRunner().invoke(main, ["ceiling", "everyday", "--limit", "2", "--json"])
    assert result.exit_code == 0
    rows = {row["format"]: row for row in json.loads(result.stdout)["formats"]}
    assert rows["rle"]["giou"]["value"] == 1.0
    assert rows["png_256"]["giou"]["value"] > 0.95


def test_an_unknown_dataset_is_told():
    """Exit code 2 and the names that exist."""
    result = CliRunner().invoke(main, ["ceiling", "everydy"])
    assert (result.exit_code, "everyday" in result.stderr) == (2, True)
