"""Contours: rasterising against independent references, every spelling, order and frame by evidence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.random_search import draws

from evalkit.decoding import decode_answer
from evalkit.masks import full_mask, polygons_to_mask
from evalkit.types import AskedFormat

HEIGHT, WIDTH = 120, 160
POINT = st.tuples(st.integers(0, 1000), st.integers(0, 1000))


def decode(mask, box=None, *, order="xy", frame="image", height=HEIGHT, width=WIDTH):
    """Decode one item asked as a contour in an order and a frame."""
    asked = AskedFormat(wire_format="polygon_pairs", point_order=order, frame=frame)
    members = {"mask": mask} if box is None else {"box_2d": box, "mask": mask}
    return decode_answer(json.dumps([members]), height_px=height, width_px=width, asked=asked)


def naive_fill(rings, height=HEIGHT, width=WIDTH) -> np.ndarray:
    """Return the pixels whose centres lie inside by ray casting, one pixel and one edge at a time."""
    mask = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            for ring in rings:
                inside = False
                for (xa, ya), (xb, yb) in zip(ring, ring[1:] + ring[:1], strict=True):
                    if (ya > y) != (yb > y) and xa + (y - ya) * (xb - xa) / (yb - ya) > x:
                        inside = not inside
                mask[row, column] ^= inside
    return mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return intersection over union of two arrays."""
    return float((a & b).sum() / max((a | b).sum(), 1))


@draws(40)
@given(points=st.lists(POINT, min_size=3, max_size=12))
def test_filling_equals_ray_casting(points):
    """Any ring, crossing itself or not, gives the pixels that ray casting gives (to rounding on edges)."""
    height, width = 23, 31
    wanted = naive_fill([[(x * width / 1000, y * height / 1000) for x, y in points]], height, width)
    got = decode([list(point) for point in points], height=height, width=width)
    if got.mask is None:
        assert got.failure == "polygon_degenerate"
        assert wanted.sum() <= 2
        return
    assert (full_mask(got.mask) != wanted).sum() <= 2


def star(points: int = 16) -> list[list[int]]:
    """Return a lopsided star as [x, y] in 0..1000."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    reach = np.where(np.arange(points) % 2, 1.0, 0.55) * (1 + 0.3 * np.cos(turn))
    x, y = 420 + 230 * reach * np.cos(turn), 640 + 260 * reach * np.sin(turn)
    return [[int(a), int(b)] for a, b in zip(x, y, strict=True)]


def box_of_points(points) -> list[int]:
    """Return box_2d of [x, y] points."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return [min(ys), min(xs), max(ys), max(xs)]


STAR = star()
STAR_BOX = box_of_points(STAR)
STAR_MASK = polygons_to_mask(
    [[v for x, y in STAR for v in (x * WIDTH / 1000, y * HEIGHT / 1000)]], HEIGHT, WIDTH
)

SPELLINGS = {
    "polygon_pairs": lambda points: [list(p) for p in points],
    "polygon_flat": lambda points: [v for p in points for v in p],
    "polygon_chunked": lambda points: [[*a, *b] for a, b in zip(points[0::2], points[1::2], strict=True)],
    "polygon_string": lambda points: ",".join(str(v) for p in points for v in p),
    "polygon_points": lambda points: [{"x": x, "y": y} for x, y in points],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_gives_the_mask_of_coco_s_rasteriser(name):
    """The five spellings are one contour; pycocotools agrees but for single border pixels."""
    got = decode(SPELLINGS[name](STAR), STAR_BOX)
    assert got.items[0].wire_format == name
    assert got.items[0].repairs == ()
    assert iou(full_mask(got.mask), STAR_MASK) > 0.98


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name != "polygon_points"])
@pytest.mark.parametrize("written", ["xy", "yx"])
@pytest.mark.parametrize("asked", ["xy", "yx"])
@pytest.mark.parametrize("written_frame", ["image", "box"])
@pytest.mark.parametrize("asked_frame", ["image", "box"])
def test_the_frame_is_found_by_the_box_and_the_order_is_not(name, written, asked, written_frame, asked_frame):
    """The box tells the frame; an x-first box and turned points explain a wrong order equally well."""
    y0, x0, y1, x1 = STAR_BOX
    points = [list(p) for p in STAR]
    if written_frame == "box":
        points = [[round(1000 * (x - x0) / (x1 - x0)), round(1000 * (y - y0) / (y1 - y0))] for x, y in points]
    if written == "yx":
        points = [[y, x] for x, y in points]
    got = decode(SPELLINGS[name](points), STAR_BOX, order=asked, frame=asked_frame)
    wanted = {"order_swapped"} if written != asked else set()
    if written_frame != asked_frame:
        wanted |= {"frame_box_local"} if written_frame == "box" else {"frame_image"}
    if written_frame == "image" and written != asked:
        assert got.failure == "polygon_ambiguous"
        return
    assert got.outcome == "decoded"
    if written_frame == "box" and written != asked:
        # Inside the box both orders span the whole range: the prompt's order stands, unprovably.
        assert set(got.items[0].repairs) == wanted - {"order_swapped"}
        return
    assert set(got.items[0].repairs) == wanted
    assert iou(full_mask(got.mask), STAR_MASK) > 0.95


def test_named_points_settle_the_order_but_not_the_frame():
    """Named points are taken at their names; the frame is still found."""
    y0, x0, y1, x1 = STAR_BOX
    local = [{"y": 1000 * (y - y0) / (y1 - y0), "x": 1000 * (x - x0) / (x1 - x0)} for x, y in STAR]
    got = decode(local, STAR_BOX, order="yx")
    assert got.items[0].repairs == ("frame_box_local",)
    assert iou(full_mask(got.mask), STAR_MASK) > 0.95


def test_a_box_on_the_diagonal_tells_no_order():
    """Both orders span the same box: a lopsided contour is ambiguous, a symmetric one is not."""
    box = [200, 200, 600, 600]
    lopsided = [[200, 200], [600, 200], [600, 300], [300, 300], [300, 450], [200, 600]]
    assert decode(lopsided, box).failure == "polygon_ambiguous"
    assert decode([[200, 200], [600, 200], [600, 600], [200, 600]], box).outcome == "decoded"


def test_a_contour_that_fits_the_box_in_no_way_is_ambiguous():
    """Points far from the box give no evidence for any reading; a poor fit of another order is none."""
    assert decode([[700, 700], [900, 700], [900, 950]], [100, 50, 300, 250]).failure == "polygon_ambiguous"
    assert decode([[700, 100], [900, 100], [900, 300]], [600, 50, 800, 250]).failure == "polygon_ambiguous"


def test_a_contour_smaller_than_its_box_keeps_the_prompt_s_reading():
    """A part of the box is a poor fit, but still the best one."""
    part = [[350, 250], [600, 250], [600, 500], [350, 500]]
    assert decode(part, [200, 300, 600, 700]).items[0].repairs == ()


def test_without_a_box_the_prompt_s_reading_holds():
    """Nothing speaks against it; a box-local contour cannot be placed."""
    got = decode(STAR)
    assert iou(full_mask(got.mask), STAR_MASK) > 0.98
    assert got.items[0].box_px_xyxy is None
    assert decode(STAR, frame="box").failure == "box_missing"


def test_pixel_coordinates_are_recognised():
    """Box and points past 1000 that fit the image are pixels."""
    points = [[300, 200], [2900, 200], [2900, 1900], [300, 1900]]
    got = decode(points, [200, 300, 1900, 2900], height=2000, width=3000)
    assert set(got.items[0].repairs) == {"pixel_box", "pixel_points"}
    assert got.items[0].box_px_xyxy == (300, 200, 2900, 1900)
    assert int(full_mask(got.mask).sum()) == 2600 * 1700


def test_pixel_points_beside_a_normalised_box():
    """The box says where the object is: points in pixels of a small image fit it, others do not."""
    points = [[80, 30], [150, 30], [150, 110], [80, 110]]
    box = [30 * 1000 // HEIGHT, 80 * 1000 // WIDTH, 110 * 1000 // HEIGHT, 150 * 1000 // WIDTH]
    got = decode(points, box)
    assert got.items[0].repairs == ("pixel_points",)
    assert int(full_mask(got.mask).sum()) == 70 * 80


SQUARE = [[200, 100], [800, 100], [800, 500], [200, 500]]
HOLE = [[300, 200], [600, 200], [600, 400], [300, 400]]
ISLAND = [[400, 250], [500, 250], [500, 350], [400, 350]]
BESIDE = [[700, 400], [950, 400], [950, 700], [700, 700]]


def area_of(*rings) -> int:
    """Return the foreground of rings in an image of 1000 x 1000, where units are pixels."""
    return int(full_mask(decode(list(rings), height=1000, width=1000).mask).sum())


def test_a_ring_inside_another_is_a_hole_and_inside_that_an_island():
    """Areas are exact in an image of 1000 x 1000."""
    assert area_of(SQUARE, HOLE) == 600 * 400 - 300 * 200
    assert area_of(HOLE, SQUARE) == 600 * 400 - 300 * 200
    assert area_of(SQUARE, HOLE, ISLAND) == 600 * 400 - 300 * 200 + 100 * 100


def test_overlapping_neighbours_are_united_and_repeats_count_once():
    """Neither cancels the other."""
    assert area_of(SQUARE, BESIDE) == 600 * 400 + 250 * 300 - 100 * 100
    assert area_of(SQUARE, SQUARE) == 600 * 400


def test_rings_are_read_flat_and_named_too():
    """COCO's rows of a ring each, and lists of named points."""
    flat = decode([[v for p in ring for v in p] for ring in (SQUARE, HOLE)], height=1000, width=1000)
    named = decode([[{"x": x, "y": y} for x, y in ring] for ring in (SQUARE, HOLE)], height=1000, width=1000)
    assert [d.items[0].wire_format for d in (flat, named)] == ["polygon_flat", "polygon_points"]
    assert int(full_mask(flat.mask).sum()) == int(full_mask(named.mask).sum()) == 600 * 400 - 300 * 200


def test_sub_boxes_are_a_union_of_rectangles():
    """Rows of four that each are a box with area; chunked contours are no such rows."""
    got = decode([[100, 200, 250, 300], [200, 250, 400, 500]], [100, 200, 400, 500], height=1000, width=1000)
    assert got.items[0].wire_format == "sub_boxes"
    assert int(full_mask(got.mask).sum()) == 150 * 100 + 200 * 250 - 50 * 50


@pytest.mark.parametrize(
    ("mask", "failure"),
    [
        ([[1, 2], [300, 400]], "polygon_degenerate"),
        ([[1, 2], [1, 2], [1, 2], [5, 6]], "polygon_degenerate"),
        ([[100, 100], [500, 500], [900, 900]], "polygon_degenerate"),
        ([100, 200, 300], "polygon_degenerate"),
        ([1, 2, 300, 4, 500, 600, 7], "polygon_degenerate"),
        ("1,2,3", "polygon_degenerate"),
        ([["a", "b"], ["c", "d"], ["e", "f"]], "polygon_degenerate"),
        (["cup"], "mask_placeholder"),
        ([[i, i % 7] for i in range(50_001)], "too_large"),
    ],
)
def test_contours_without_an_inside_are_told_apart(mask, failure):
    """No pixel is made up for them."""
    assert decode(mask).failure == failure


def test_a_point_that_cannot_be_read_is_dropped_and_listed():
    """One of five is let go; half of them are no contour any more."""
    got = decode([*SQUARE, [200, None]], [100, 200, 500, 800])
    assert got.items[0].repairs == ("bad_point_dropped",)
    assert (
        decode([[200, 100], [800, None], [800, 500], ["x", 500], [200, 300], [None, 1]]).outcome
        == "format_failure"
    )


def test_an_image_of_nearly_a_thousand_pixels_raises_no_doubt():
    """There pixels and thousandths almost agree: the documented reading stands."""
    ring = [[800, 700], [900, 700], [900, 850], [850, 760], [800, 850]]
    for side in (900, 950, 980, 1000, 1020):
        got = decode(ring, [702, 797, 849, 903], height=side, width=side)
        assert (got.outcome, got.items[0].repairs) == ("decoded", ())


def test_a_contour_much_smaller_than_its_box_is_no_pixel_contour():
    """A box of the whole image says little about where the contour lies."""
    points = [{"x": 655, "y": 277}, {"x": 700, "y": 300}, {"x": 600, "y": 400}]
    assert decode(points, [0, 0, 1000, 1000]).items[0].repairs == ()


@pytest.mark.parametrize("size_px", [(40, 30), (80, 60), (320, 240), (4000, 3000)])
def test_a_doubt_is_one_at_every_size_of_image(size_px):
    """A right box beside points y first is the same doubt in a thumbnail."""
    width, height = size_px
    points = [[100, 300], [100, 700], [300, 700], [300, 300]]
    assert decode(points, [100, 300, 300, 700], height=height, width=width).failure == "polygon_ambiguous"
