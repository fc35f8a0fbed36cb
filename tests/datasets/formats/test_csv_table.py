"""CSV files as spreadsheets write them: delimiters, quotes, encodings, and cells that cannot be read."""

import json

import numpy as np
import pytest

from evalkit.datasets.notes import collected
from evalkit.errors import ConfigError, DataError
from evalkit.types import MaskFile

HEADER = "id,image,expression,mask,no_target,category\n"
ROW = "a,photo.png,the cup,m.png,,ordering\n"


@pytest.fixture
def read(load, make, tmp_path):
    """Return a short call: text or bytes of a CSV -> samples."""
    make.image(tmp_path / "photo.png", 60, 40)
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:10, 5:10] = True
    make.mask(tmp_path / "m.png", mask)

    def call(content, **settings):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "mine.csv").write_bytes(data)
        return load("csv", path="mine.csv", **settings)

    return call


def test_a_row_is_a_sample_and_other_columns_are_tags(read):
    """Cells keep their text: an id of zeros stays what it is."""
    sample, empty = read(HEADER + ROW + "007,photo.png,a dog,,TRUE,\n")
    assert (sample.sample_id, sample.expression, sample.tags) == ("a", "the cup", {"category": "ordering"})
    assert isinstance(sample.truth.instances[0], MaskFile)
    assert (empty.sample_id, empty.truth.no_target, empty.tags) == ("007", True, {})


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_spreadsheet_spelling_reads_the_same(delimiter, encoding, ending, read):
    """A cell may hold the delimiter, quotes and a line break where it is quoted."""
    cells = [
        ["ID", "Image", "Expression", "Mask"],
        ["a", "photo.png", f'"the ""red"" cup{delimiter} left\nof it"', "m.png"],
    ]
    text = ending.join(delimiter.join(row) for row in cells) + ending
    (sample,) = read(text.encode(encoding))
    assert sample.expression == f'the "red" cup{delimiter} left\nof it'


def test_excels_own_remark_and_blank_rows_are_left_out(read):
    """Lines are counted as an editor counts them."""
    with pytest.raises(DataError, match=r"mine\.csv:5: .*'expression' is empty"):
        read("sep=;\nid;image;expression;mask\na;photo.png;cup;m.png\n;;;\nb;photo.png;;m.png\n")


def test_windows_text_is_read_and_told(read):
    """The fourth line of a western Windows-1252 file is right, and the plan says how it was read."""
    with collected() as notes:
        (sample,) = read((HEADER + "a,photo.png,die große Tasse … links,m.png,,\n").encode("cp1252"))
    assert sample.expression == "die große Tasse … links"
    (said,) = notes
    assert "mine.csv:2: is not UTF-8 text and was read as Windows-1252" in said


def test_another_codepage_is_refused_and_can_be_named(read):
    """Cyrillic bytes are Windows-1252 text too, of nonsense: nobody is asked about that."""
    data = (HEADER + "a,photo.png,красная чашка,m.png,,\n").encode("cp1251")
    with pytest.raises(DataError, match=r"mine\.csv:2: .*looks like another encoding.*options: \{encoding"):
        read(data)
    (sample,) = read(data, options={"encoding": "cp1251"})
    assert sample.expression == "красная чашка"
    with pytest.raises(ConfigError, match="'cp9' is no encoding"):
        read(data, options={"encoding": "cp9"})


def test_masks_may_be_json_in_a_cell(read):
    """Run lengths, polygons and several instances as in JSON Lines."""
    ring = json.dumps([[5, 5, 15, 5, 15, 15]]).replace('"', '""')
    (sample,) = read(f'id,image,expression,mask\na,photo.png,cup,"{ring}"\n')
    assert sample.truth.instances


def test_a_split_column_is_a_tag_and_a_split(read):
    """``split:`` picks its rows; an unknown one lists those there are."""
    text = (
        "id,image,expression,mask,split\na,photo.png,cup,m.png,val\nb,photo.png,cup on the left,m.png,test\n"
    )
    (sample,) = read(text, split="val")
    assert (sample.split, sample.tags["split"]) == ("val", "val")
    with pytest.raises(ConfigError, match=r"split 'vall' is not in .*test \(1\), val \(1\)"):
        read(text, split="vall")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "mine.csv:1: the file is empty"),
        ("id,image,caption,mask\n", "mine.csv:1: the header has no column 'expression'"),
        ("id,image,expresion,mask\n", "Did you mean 'expresion'"),
        (HEADER.replace("category", "id"), "the column 'id' stands twice"),
        (HEADER + "a,photo.png,the cup, left,m.png,,\n", "mine.csv:2: the row has 7 cells and the header 6"),
        (HEADER + "a,photo.png\n", "mine.csv:2: the row has 2 cells"),
        (HEADER + ROW + ROW, "mine.csv:3: the id 'a' stands on line 2 already"),
        (HEADER + "a,photo.png,cup,m.png,maybe,\n", "no_target is 'maybe'"),
        (HEADER + "a,photo.png,cup,,,\n", 'neither a mask nor "no_target"'),
        (HEADER + "a,photo.png,cup,m.png,true,\n", 'both a mask and "no_target"'),
        (HEADER + 'a,photo.png,cup,"[1, 2",,\n', "the mask looks like JSON but is not valid"),
        (HEADER + 'a,photo.png,"cup,m.png,,\n', "not a valid CSV row"),
    ],
)
def test_bad_files_are_named_by_line(content, complaint, read):
    """What is wrong, where, and the way out."""
    with pytest.raises(DataError, match=complaint.replace("[", r"\[").replace(".", r"\.")):
        read(content)
