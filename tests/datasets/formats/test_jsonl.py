"""``format: jsonl``: every way to write a mask, sizes, paths, and complaints that name file and line."""

import json
import math
import re

import numpy as np
import pytest

from evalkit.datasets.notes import collected
from evalkit.datasets.regions import read_rings
from evalkit.errors import ConfigError, DataError
from evalkit.masks import rle_encode, truth_mask
from evalkit.metrics.truth import Truth
from evalkit.storage.samples_table import truth_from_json, truth_to_json
from evalkit.types import MaskFile, Polygons, Rle

WIDTH, HEIGHT = 60, 40


@pytest.fixture
def square():
    """Return the mask of the pixels 10..19 in both directions (bool, H x W)."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:20, 10:20] = True
    return mask


@pytest.fixture
def read(tmp_path, load, make):
    """Return a call that writes lines (dicts or text) beside a photograph and loads them."""
    make.image(tmp_path / "photo.png", WIDTH, HEIGHT)

    def call(*lines, **settings):
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / "mine.jsonl").write_text("\n".join(texts), encoding="utf-8")
        return load("jsonl", path="mine.jsonl", **settings)

    return call


def line(mask, **more):
    """Return a complete record."""
    return {"id": "a", "image": "photo.png", "expression": "the square", "mask": mask} | more


def column_major_runs(mask):
    """Return COCO's uncompressed counts by a plain loop."""
    counts, value, run = [], False, 0
    for pixel in mask.T.ravel():
        if bool(pixel) == value:
            run += 1
        else:
            counts.append(run)
            value, run = not value, 1
    return [*counts, run]


RING = [10, 10, 20, 10, 20, 20, 10, 20]
POINTS = [[10, 10], [20, 10], [20, 20], [10, 20]]


@pytest.mark.parametrize(
    "spelling", ["png", "rle text", "rle list", "one flat ring", "one ring", "rings", "point rings"]
)
def test_every_spelling_of_a_mask_gives_the_same_pixels(spelling, read, make, square, tmp_path):
    """A mask image, both run-length forms and four spellings of polygons agree pixel for pixel."""
    make.mask(tmp_path / "masks/a.png", square)
    masks = {
        "png": "masks/a.png",
        "rle text": rle_encode(square).to_json(),
        "rle list": {"size": [HEIGHT, WIDTH], "counts": column_major_runs(square)},
        "one flat ring": RING,
        "one ring": POINTS,
        "rings": [RING],
        "point rings": [POINTS],
    }
    (sample,) = read(line(masks[spelling]))
    assert np.array_equal(truth_mask(sample.truth), square)
    assert (sample.truth.height_px, sample.truth.width_px) == (HEIGHT, WIDTH)


def test_instances_are_kept_apart(read, make, square, tmp_path):
    """Three objects in three spellings are three regions whose union is the target."""
    make.mask(tmp_path / "m.png", square)
    other = [30, 5, 35, 5, 35, 9, 30, 9]
    (sample,) = read(line({"instances": ["m.png", [other], rle_encode(square).to_json()]}))
    assert [type(region) for region in sample.truth.instances] == [MaskFile, Polygons, Rle]
    assert truth_mask(sample.truth).sum() == 100 + 5 * 4


def test_no_target_is_null_with_the_mark(read):
    """Null together with no_target is a sample whose truth is empty."""
    (sample,) = read(line(None, no_target=True))
    assert sample.truth.no_target


def test_optional_keys(read):
    """Image id, digest, box, split and tags arrive; other scalars become text, null tags are left out."""
    extra = {"image_id": 12, "image_sha256": "ab" * 32, "box": [1, 2, 3, 4.5], "split": "test"}
    tags = {"hops": 3, "hard": True, "none": None, "kind": "ordering"}
    (sample,) = read(line(RING, tags=tags, note="my own", **extra))
    assert (sample.image_id, sample.image.sha256, sample.split) == ("12", "ab" * 32, "test")
    assert sample.truth.box_px_xyxy == (1.0, 2.0, 3.0, 4.5)
    assert sample.tags == {"hops": "3", "hard": "yes", "kind": "ordering"}


def test_paths_are_relative_to_the_file_or_to_images(load, make, tmp_path):
    """Without `images:` a photograph lies beside the file, with it in that folder."""
    make.image(tmp_path / "elsewhere/photo.png", WIDTH, HEIGHT)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/mine.jsonl").write_text(json.dumps(line(RING, width=WIDTH, height=HEIGHT)))
    (beside,) = load("jsonl", path="sub/mine.jsonl")
    (there,) = load("jsonl", path="sub/mine.jsonl", images="elsewhere")
    assert beside.image.path == str(tmp_path / "sub/photo.png")
    assert there.image.path == str(tmp_path / "elsewhere/photo.png")


def test_photographs_may_be_absent(read, square):
    """Run lengths carry their size; a sample whose size nothing says is kept, to be a data error when asked."""
    (sample,) = read(line(rle_encode(square).to_json(), image="gone.png"))
    assert (sample.truth.width_px, sample.truth.height_px) == (WIDTH, HEIGHT)
    assert sample.truth.size_known
    for mask in (RING, {"counts": rle_encode(square).to_json()["counts"]}, {"instances": [RING, RING]}):
        (sample,) = read(line(mask, image="gone.png"))
        assert not sample.truth.size_known
        assert not sample.truth.no_target
        assert Truth(truth_from_json(truth_to_json(sample.truth))).area_px == 0


def test_an_exif_turned_photograph_may_be_annotated_either_way(read, make, tmp_path):
    """Masks drawn on the turned and on the stored pixels are both accepted, others are not."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    make.image(tmp_path / "turned.jpg", WIDTH, HEIGHT, exif=exif)
    for width, height in ((WIDTH, HEIGHT), (HEIGHT, WIDTH)):
        (sample,) = read(line(RING, image="turned.jpg", width=width, height=height))
        assert sample.truth.width_px == width
    (shown,) = read(line(RING, image="turned.jpg"))
    assert (shown.truth.width_px, shown.truth.height_px) == (HEIGHT, WIDTH)
    with pytest.raises(DataError, match="must have the size of its image"):
        read(line(RING, image="turned.jpg", width=WIDTH, height=WIDTH))


GOOD = json.dumps(line(RING, id="fine"))


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("{not json", "not one valid JSON object"),
        ("[1, 2]", "JSON list, not an object"),
        ('{"id": "a", "id": "b", "image": "photo.png"}', "the key 'id' stands twice"),
        ({"id": "a", "image": "photo.png", "mask": RING}, "'expression' is missing"),
        (line(RING, expression="  "), "'expression' is missing or empty"),
        (line(RING, expression=5), "'expression' must be str"),
        (line(RING, tagss={}), "unknown key 'tagss'. Did you mean 'tags'"),
        (line(RING, no_target="yes"), "'no_target' must be bool"),
        (line(RING, width="60"), "'width' must be int"),
        (line(RING, width=0, height=4), "at least 1 pixel"),
        (line(RING, tags={"a": {"b": 1}}), "the tag 'a' must be text or a number"),
        (line(RING, id="fine"), "the id 'fine' stands on line 1 already"),
        (line(None), 'neither a mask nor "no_target": true'),
        (line(RING, no_target=True), 'both a mask and "no_target": true'),
        (line([]), "holds no ring"),
        (line([[1, 2, 3, 4]]), "is not a ring"),
        (line([[1, 2, 3, 4, 5, "6"]]), "is not a ring"),
        (line({"instances": []}), "'instances' must be a list"),
        (line({"size": [40, 60], "counts": [1, 2]}), "run lengths add up to 3"),
        (line({"size": [40, 60], "counts": "zzzz~"}), "not compressed run lengths"),
        (line({"size": [40, 60], "counts": "11"}), "cover 2 pixels"),
        (line({"size": [60, 40], "counts": "11"}), "must have the size of its image"),
        (line({"nothing": 1}), "'counts' is None"),
        (line(RING, box=[5, 5, 1, 9]), "x0 < x1"),
    ],
)
def test_bad_lines_are_named_by_file_and_line(bad, complaint, read):
    """The second line of the file is at fault, and the message says what is wrong with it."""
    with pytest.raises(DataError, match=rf"mine\.jsonl:2: .*{complaint}"):
        read(GOOD, bad)


def test_a_mask_image_of_another_size_is_the_fault_of_its_sample(read, make, tmp_path):
    """The message names the line and gives both sizes."""
    make.mask(tmp_path / "m.png", np.ones((WIDTH, HEIGHT), dtype=bool))
    (sample,) = read(line("m.png"))
    assert re.search(r"mine\.jsonl:1: the mask m\.png is 40x60 .* is 60x40", sample.truth.fault)
    assert (sample.truth.width_px, sample.truth.height_px) == (WIDTH, HEIGHT)


def test_splits_are_chosen_by_name(read):
    """Only the lines of the split are read; an unknown one lists those there are."""
    lines = [line(RING, id=str(n), split="val" if n < 2 else "test") for n in range(5)]
    assert len(read(*lines, split="val")) == 2
    assert len(read(*lines)) == 5
    with pytest.raises(ConfigError, match=r"split 'vall' is not in .*test \(3\), val \(2\)"):
        read(*lines, split="vall")


def test_the_real_triples_load_as_jsonl(refcocos, load, tmp_path):
    """Seventeen real triples, absolute paths: areas equal those of their PNGs."""
    from PIL import Image

    rows = json.loads((refcocos / "triples.json").read_text())
    lines = [
        {
            "id": row["id"],
            "image": str(refcocos / row["image"]),
            "expression": row["expression"],
            "mask": str(refcocos / row["mask"]) if row["mask"] else None,
            "no_target": row["mask"] is None,
        }
        for row in rows
    ]
    (tmp_path / "real.jsonl").write_text("\n".join(map(json.dumps, lines)))
    samples = load("jsonl", path="real.jsonl")
    expected = [
        int((np.asarray(Image.open(refcocos / r["mask"])) > 0).sum()) if r["mask"] else 0 for r in rows
    ]
    assert [int(truth_mask(sample.truth).sum()) for sample in samples] == expected
    assert len(samples) == 17


@pytest.mark.parametrize(
    ("content", "way"),
    [
        (b'[{"id": "a"},\n', "is a JSON array.*one object a line.*jq"),
        (b"id;image;expression;mask\na;b;c;d\n", "format: csv"),
        (b"\xef\xbb\xbfid,image,expression,mask\n", "format: csv"),
        (b'{"images": [{"id": 1}], "annotations": []}\n', "format: coco"),
        (b'{\n "id": "a"\n}\n', "does not end on its line"),
        (b"PAR1\xff\xfe\x00", "format: parquet"),
        (b"PK\x03\x04\xff\xfe", "ZIP archive.*CSV"),
        (b"\x89PNG\r\n\x1a\n", "is a picture"),
    ],
)
def test_a_file_of_another_format_is_named_with_the_way_out(content, way, load, tmp_path):
    """The commonest wrong files, each recognised by how it begins."""
    (tmp_path / "mine.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=way):
        load("jsonl", path="mine.jsonl")


def test_keys_that_nothing_reads_are_told(read):
    """A column of one's own is no tag by itself, and the plan says what would make it one."""
    with collected() as notes:
        read(line(RING, category="ordering"), line(RING, id="b", category="colour"))
    ((said, times),) = notes.items()
    assert "the key 'category' is not read" in said
    assert '"tags": {"category": ...}' in said
    assert times == 2


@pytest.mark.parametrize("number", [True, None, "7", math.nan, math.inf, 1e9, -1e9, 10**30])
def test_a_ring_with_one_number_that_is_none_is_refused(number):
    """Looked at all at once or one by one: a coordinate is a number below 1e9."""
    for place in range(6):
        ring = [1, 1, 9.5, 1, 9.5, 9]
        ring[place] = number
        with pytest.raises(DataError, match="is not a ring|holds no ring"):
            read_rings([ring], 20, 20, "here")


def test_a_ring_of_numpy_numbers_is_the_ring_of_its_values():
    """As tables give them."""
    ring = [1, 1, 9.5, 1, 9.5, 9]
    assert read_rings([list(np.array(ring))], 20, 20, "here") == read_rings([ring], 20, 20, "here")


@pytest.mark.parametrize("key", ["id", "expression", "tags"])
def test_half_a_character_is_refused_where_it_stands(key, read):
    """JSON can spell a lone surrogate, which neither a file nor an API can hold."""
    whole = line(RING, id="b", expression="un café 🐈")
    assert len(read(whole)) == 1
    text = json.dumps(whole | {key: {"a": "HALF"} if key == "tags" else "HALF"}).replace("HALF", "x\\ud83d")
    with pytest.raises(DataError, match="holds half a character"):
        read(text)


def test_an_archive_named_the_wrong_way_says_the_right_one(make, tmp_path):
    """A photograph inside an archive is read where it is written as fsspec wants it."""
    import zipfile

    from evalkit.images import read_image
    from evalkit.types import ImageRef

    make.image(tmp_path / "photo.png", WIDTH, HEIGHT)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "photo.png", "photo.png")
    right = read_image(ImageRef(f"zip://photo.png::{tmp_path / 'photos.zip'}"))
    assert (right.width_px, right.height_px) == (WIDTH, HEIGHT)
    with pytest.raises(DataError, match="zip://MEMBER::/full/path"):
        read_image(ImageRef(f"zip://{tmp_path / 'photos.zip'}/photo.png"))
