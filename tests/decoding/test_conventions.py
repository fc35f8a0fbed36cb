"""What a prompt states is what is read; box and contour are held against each other; nothing is guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evalkit.config.prompts import find_prompt, shipped_prompts
from evalkit.decoding import decode_answer
from evalkit.masks import full_mask
from evalkit.types import AskedFormat, BoxOrder, Unit

HEIGHT, WIDTH = 480, 640
DOG_PX = (64, 288, 192, 432)
"""A rectangle x 64..192, y 288..432: 100..300 and 600..900 in thousandths."""
RING = [[100, 600], [300, 600], [300, 900], [100, 900]]
RING_PX = [[64, 288], [192, 288], [192, 432], [64, 432]]


def asked(order: BoxOrder = "yxyx", unit: Unit = "norm1000", **changes: object) -> AskedFormat:
    """Return the format of a prompt that asks for polygons."""
    return AskedFormat(wire_format="polygon_pairs", box_order=order, unit=unit, **changes)  # type: ignore[arg-type]


def decode(answer: object, convention: AskedFormat, size: tuple[int, int] = (WIDTH, HEIGHT)):
    """Return the verdict on a value written as JSON."""
    return decode_answer(json.dumps(answer), height_px=size[1], width_px=size[0], asked=convention)


def region(decoded) -> tuple[int, int, int, int] | None:
    """Return the bounding box of a verdict's mask, None without one."""
    if decoded.mask is None:
        return None
    rows, columns = np.nonzero(full_mask(decoded.mask))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("order", "box"),
    [("yxyx", [600, 100, 900, 300]), ("xyxy", [100, 600, 300, 900]), ("xywh", [100, 600, 200, 300]),
     ("cxcywh", [200, 750, 200, 300])],
)  # fmt: skip
def test_an_answer_in_the_stated_order_is_strict(order, box):
    """Each order, stated and followed."""
    got = decode([{"box_2d": box, "mask": RING}], asked(order))
    assert (region(got), got.strict) == (DOG_PX, True)


@pytest.mark.parametrize("max_side", [None, 320, 600])
def test_pixels_are_those_of_the_image_as_it_was_sent(max_side):
    """``image.max_side`` is undone: the mask is drawn in the frame of the ground truth."""
    size = (1280, 960)
    scale = 1 if max_side is None else max_side / 1280
    ring = [[2 * x * scale, 2 * y * scale] for x, y in RING_PX]
    got = decode([{"mask": ring}], asked(unit="pixel", keys=("mask",), max_side_px=max_side), size)
    assert (region(got), got.strict) == (tuple(2 * v for v in DOG_PX), True)


TURNED = {
    "x-first box, right contour": {"box_2d": [100, 600, 300, 900], "mask": RING},
    "right box, turned contour": {"box_2d": [600, 100, 900, 300], "mask": [[y, x] for x, y in RING]},
    "pixels of both, x first": {"box_2d": list(DOG_PX), "mask": RING_PX},
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("key", ["box_2d", "box", "bbox", "bounding_box"])
def test_two_readings_that_explain_an_answer_equally_are_counted(name, key):
    """A whole answer that is transposed in one of its parts says nowhere in which."""
    answer = {key: TURNED[name]["box_2d"], "mask": TURNED[name]["mask"]}
    assert decode([answer], asked()).failure == "polygon_ambiguous"
    boxes = AskedFormat(wire_format="box_only", task="box", keys=("box_2d",))
    assert decode([answer], boxes).failure == "box_ambiguous"


@pytest.mark.parametrize(
    ("box", "repairs"),
    [
        ([100, 600, 200, 300], ("box_by_contour",)),  # xywh, as the contour shows
        ([288, 64, 432, 192], ("box_by_contour",)),  # pixels, y first
        ([600, 100, 900, 300], ()),
    ],
)
def test_a_box_of_another_kind_is_read_as_the_contour_shows_it(box, repairs):
    """Never by guess: only where it then is the contour's own extent, which stays as stated."""
    got = decode([{"box_2d": box, "mask": RING}], asked())
    assert (region(got), got.items[0].box_px_xyxy, got.items[0].repairs) == (DOG_PX, DOG_PX, repairs)


def test_a_list_of_x_y_w_h_alone_is_read_as_stated():
    """Nothing in a box alone shows that it is one; the run as a whole does."""
    boxes = AskedFormat(wire_format="box_only", task="box", keys=("box_2d",))
    got = decode([{"box_2d": [100, 600, 200, 700]}], boxes)
    assert got.items[0].box_px_xyxy == (384, 48, 448, 96)


def test_a_key_alone_turns_no_sound_contour_over():
    """bbox_2d is x first, unless its numbers are the contour's extent as the prompt states boxes."""
    own = decode([{"bbox_2d": [100, 600, 300, 900], "mask": RING}], asked())
    stated = decode([{"bbox_2d": [600, 100, 900, 300], "mask": RING}], asked())
    assert region(own) == region(stated) == DOG_PX
    assert own.items[0].repairs == ("alternate_key", "key_convention")
    assert stated.items[0].repairs == ("alternate_key", "box_by_contour")


def test_the_convention_of_a_key_that_was_asked_is_the_prompt_s():
    """A prompt may ask for bbox_2d y first."""
    prompt = asked("yxyx", keys=("bbox_2d", "mask"))
    got = decode([{"bbox_2d": [600, 100, 900, 300], "mask": RING}], prompt)
    assert (region(got), got.strict) == (DOG_PX, True)


@pytest.mark.parametrize("size", [(640, 480), (2000, 1500), (4000, 3000), (64, 48)])
@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize("unit", ["norm1000", "pixel"])
def test_fractions_are_unit_coordinates_at_every_size(size, boxed, unit):
    """One verdict, told by name."""
    ring = [[x / 1000, y / 1000] for x, y in RING]
    answer = {"mask": ring} | ({"box_2d": [0.6, 0.1, 0.9, 0.3]} if boxed else {})
    got = decode([answer], asked(unit=unit), size)
    across, down = size
    assert region(got) == (across * 0.1, down * 0.6, across * 0.3, down * 0.9) or size == (64, 48)
    assert got.items[0].repairs == ("unit_coordinates",)


@pytest.mark.parametrize(
    ("unit", "ring"),
    [
        ("norm1", RING),
        ("pixel", [[100, 600], [300, 600], [300, 900]]),
        ("norm1000", [[100, 1500], [300, 600], [9000, 9]]),
    ],
)
def test_points_that_no_stated_unit_can_hold_are_refused(unit, ring):
    """Which unit was meant, nothing says."""
    assert decode([{"mask": ring}], asked(unit=unit)).failure == "wrong_unit"


def test_polygons_that_nobody_asked_for_may_be_pixels():
    """Without a box and without a prompt for contours, both units are as likely: neither is taken."""
    answer = {"segmentations": [{"label": "dog", "polygon": [v for point in RING_PX for v in point]}]}
    assert decode(answer, AskedFormat()).failure == "polygon_ambiguous"
    pixels = find_prompt("pixel-polygon").asked
    got = decode(answer, pixels)
    assert (region(got), got.strict) == (DOG_PX, True)


def test_florence_s_task_tokens_are_in_pixels():
    """Their own convention, whatever was stated; told."""
    answer = {"<REGION_TO_SEGMENTATION>": {"polygons": [[[v for p in RING_PX for v in p]]], "labels": [""]}}
    got = decode(answer, AskedFormat())
    assert region(got) == DOG_PX
    assert "key_convention" in got.items[0].repairs


PIECES = [
    [RING, [[150, 700], [250, 700], [250, 800], [150, 800]]],
    [[[400, 600], [500, 600], [500, 900], [400, 900]]],
]


@pytest.mark.parametrize("named", [False, True])
def test_pieces_with_holes(named):
    """``[[outline, hole], [outline]]``: areas by arithmetic."""
    value = [[[{"x": x, "y": y} for x, y in ring] if named else ring for ring in piece] for piece in PIECES]
    got = decode([{"box_2d": [600, 100, 900, 500], "mask": value}], asked(), (1000, 1000))
    assert int(full_mask(got.mask).sum()) == 200 * 300 - 100 * 100 + 100 * 300
    geojson = {"type": "MultiPolygon", "coordinates": PIECES}
    again = decode([{"box_2d": [600, 100, 900, 500], "mask": geojson}], asked(), (1000, 1000))
    assert np.array_equal(full_mask(again.mask), full_mask(got.mask))


def test_a_piece_inside_a_piece_is_no_hole():
    """Only a plain list of rings leaves that to their places."""
    inner = [[150, 700], [250, 700], [250, 800], [150, 800]]
    united = decode([{"mask": [[RING], [inner]]}], asked(), (1000, 1000))
    nested = decode([{"mask": [RING, inner]}], asked(), (1000, 1000))
    assert int(full_mask(united.mask).sum()) == 200 * 300
    assert int(full_mask(nested.mask).sum()) == 200 * 300 - 100 * 100


def test_a_stray_bracket_s_whole_rest_counts_as_lost():
    """Two points of forty may go; thirty may not."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = [[int(500 + 300 * np.cos(a)), int(500 + 300 * np.sin(a))] for a in turn]
    early, late = [*points[:10], points[10:]], [*points[:38], points[38:]]
    box = [200, 200, 800, 800]
    assert decode([{"box_2d": box, "mask": early}], asked()).failure == "polygon_degenerate"
    assert decode([{"box_2d": box, "mask": late}], asked()).items[0].repairs == ("bad_point_dropped",)


@pytest.mark.parametrize(
    "mask",
    ["POLYGON((100 600, 300 600, 300 900, 100 600))", "MULTIPOLYGON (((1 2, 3 4, 5 6, 1 2)))",
     "SRID=4326;POLYGON((1 2,3 4,5 6,1 2))", "<polygon points='100,600 300,600 300,900'/>",
     "x1=100 y1=600 x2=300 y2=600 x3=300 y3=900", "points: 100,600 300,600 300,900 100,900"],
)  # fmt: skip
def test_coordinates_in_a_notation_that_no_format_has_are_of_a_wrong_shape(mask):
    """They are no placeholder: the model answered."""
    assert decode([{"box_2d": [600, 100, 900, 300], "mask": mask}], asked()).failure == "wrong_shape"


@pytest.mark.parametrize("name", sorted(shipped_prompts()))
def test_a_shipped_prompt_s_own_answer_is_strict(name):
    """Each states a convention that its keys, order and unit can be answered in."""
    prompt = find_prompt(name)
    want = prompt.asked
    whole = {"norm1000": (1000, 1000), "norm1": (1, 1), "pixel": (WIDTH, HEIGHT)}[want.unit]
    x0, y0, x1, y1 = (0.1 * whole[0], 0.6 * whole[1], 0.3 * whole[0], 0.9 * whole[1])
    box = [y0, x0, y1, x1] if want.box_order == "yxyx" else [x0, y0, x1, y1]
    flat = [x0, y0, x1, y0, x1, y1, x0, y1]
    members = {
        "label": "dog",
        "box_2d": box,
        "bbox_2d": box,
        "polygon": flat,
        "mask": list(zip(flat[0::2], flat[1::2], strict=True)),
    }
    item = {key: members[key] for key in want.keys}
    if want.wire_format == "png_data_url":
        return
    got = decode({want.wrapper: [item]} if want.wrapper else [item], want)
    assert (got.outcome, got.strict) == ("decoded", True)
    assert got.items[0].box_px_xyxy in (None, DOG_PX)


BOX_1 = {"x_min": 0.1, "y_min": 0.6, "x_max": 0.3, "y_max": 0.9}


@pytest.mark.parametrize(
    ("path", "box", "failure"),
    [
        ("M 0.1 0.6 L 0.3 0.6 L 0.3 0.9 L 0.1 0.9 Z", BOX_1, None),
        ("M.1.6h.2v.3h-.2z", BOX_1, None),
        ("m 0.1,0.6 0.2,0 0,0.3 -0.2,0 z", BOX_1, None),
        ("M 0 0 L 1 0 L 1 1 L 0 1 Z", BOX_1, None),
        ("M 0.1 0.6 C 0.1 0.6 0.3 0.6 0.3 0.6 Q 0.3 0.9 0.3 0.9 L 0.1 0.9", BOX_1, None),
        ("M 0.15 0.6 L 0.25 0.6 L 0.25 0.7 Z", BOX_1, "polygon_ambiguous"),
        ("M 0.1 0.6 L 0.3 0.6 L 0.3 0.9 Z", None, "box_missing"),
        ("M 0.1 0.6 A 1 1 0 0 0 0.3 0.9 Z", BOX_1, "wrong_shape"),
        ("M 0.1 0.6 L 0.3 0.6 L 0.3", BOX_1, "wrong_shape"),
        ("L 0.3 0.6 L 0.3 0.9 M", BOX_1, "mask_placeholder"),
    ],
)
def test_svg_paths_are_placed_by_their_box(path, box, failure):
    """The hull is the box: the image's frame; the whole range: the box's; anything else is not known."""
    got = decode({"path": path} | ({} if box is None else {"bbox": box}), AskedFormat())
    assert (got.failure, region(got)) == (failure, None if failure else DOG_PX)


def test_outlines_that_name_their_holes():
    """One or several pieces, each an object."""
    outline, hole = RING, [[150, 700], [250, 700], [250, 800], [150, 800]]
    beside = [[400, 600], [500, 600], [500, 900], [400, 900]]
    value = [{"exterior": outline, "holes": [hole]}, {"exterior": beside, "holes": []}]
    got = decode([{"box_2d": [600, 100, 900, 500], "mask": value}], asked(), (1000, 1000))
    assert int(full_mask(got.mask).sum()) == 200 * 300 - 100 * 100 + 100 * 300


def test_coco_s_own_spelling_is_in_no_stated_unit():
    """[x, y, w, h] beside a contour that nobody asked for: both may be pixels as well."""
    item = {"segmentation": [[v for point in RING_PX for v in point]], "bbox": [64, 288, 128, 144]}
    assert decode([item], AskedFormat()).failure == "polygon_ambiguous"
    got = decode([item], asked("xywh", "pixel", keys=("bbox", "segmentation")))
    assert region(got) == DOG_PX
