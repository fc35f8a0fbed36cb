"""``refs(*).p`` is a pickle: plain data is read, everything that could run or fill memory is refused unread."""

import os
import pickle
import struct

import pytest

from evalkit.datasets.formats.pickles import read_pickle
from evalkit.errors import DataError


class Reduced:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class WithState:
    """An object whose unpickling sets attributes (BUILD)."""

    def __init__(self):
        self.value = 1


def instance_pickles(mark):
    """Hostile pickles by name; each would create the file ``mark``, or take all memory, if it were run."""
    command = f"touch {mark}"
    text = command.encode()
    return {
        "reduce os.system": pickle.dumps(Reduced(os.system, command), protocol=0),
        "reduce eval, protocol 4": pickle.dumps(
            [{"ref_id": Reduced(eval, f"open({str(mark)!r}, 'w')")}], protocol=4
        ),
        "nested global": pickle.dumps({"a": [(1, {"b": os.path.join})]}, protocol=2),
        "INST": b"(S'" + text + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + text + b"'\no.",
        "BUILD": pickle.dumps(WithState(), protocol=2),
        "NEWOBJ": b"\x80\x02cbuiltins\nobject\n)\x81.",
        "persistent id": b"Phttp://example.org/object\n.",
        "binary persistent id": b"\x80\x02K\x01Q.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        "memo bomb": b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b".",
        "memo bomb in text": b"(lp2000000000000\n.",
        "long of gigabytes": b"\x80\x02\x8b" + struct.pack("<I", 2**31 - 1) + b"\x01.",
        "text of exabytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"abc.",
        "bytearray of exabytes": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"abc.",
        "long number in text": b"L" + b"9" * 100_000 + b"L\n.",
        "frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
        "truncated": pickle.dumps([{"ref_id": number} for number in range(50)], protocol=2)[:-40],
        "empty file": b"",
        "not a pickle": b"<html>Sign in to download</html>",
        "stack underflow": b"\x80\x02a.",
    }


NAMES = sorted(instance_pickles("x"))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_or_damaged_pickles_are_refused(name, tmp_path):
    """A DataError names the file; nothing of the pickle has happened."""
    mark = tmp_path / "was-run"
    path = tmp_path / "refs(unc).p"
    path.write_bytes(instance_pickles(mark)[name])
    with pytest.raises(DataError, match=r"refs\(unc\)\.p"):
        read_pickle(str(path))
    assert not mark.exists()


def test_many_references_to_few_objects_stay_small(tmp_path):
    """Lists that hold each other sixty times over load as references and are then refused as refs."""
    from evalkit.datasets.formats.refer import read_refs

    nested = []
    for _ in range(60):
        nested = [nested, nested]
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps(nested, protocol=2))
    with pytest.raises(DataError, match="ref 0 of 2 is a list"):
        read_refs(str(path))


PLAIN = [
    {
        "ref_id": 5,
        "sent": "naïve café",
        "box": [1.5, -2.0],
        "big": 2**40,
        "ok": (True, False, None),
        "b": b"ab",
    }
]


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_plain_data_is_read_in_every_protocol(protocol, tmp_path):
    """Containers, numbers and text come back as they were."""
    path = tmp_path / "refs(unc).p"
    plain = PLAIN if protocol > 2 else [{key: value for key, value in PLAIN[0].items() if key != "b"}]
    path.write_bytes(pickle.dumps(plain, protocol=protocol))
    assert read_pickle(str(path)) == plain


def test_python_2_text_is_utf8_else_latin1(tmp_path):
    """Byte strings of Python 2 are UTF-8 where they can be, Latin-1 otherwise."""
    path = tmp_path / "refs(unc).p"
    path.write_bytes(b"(lp1\nS'caf\\xc3\\xa9'\np2\na.")
    assert read_pickle(str(path)) == ["café"]
    path.write_bytes(b"(lp1\nS'caf\\xe9'\np2\na.")
    assert read_pickle(str(path)) == ["café"]


def test_shared_and_large_memo_indices_are_read(tmp_path):
    """A real amount of memo entries, as the field's files have, is no bomb."""
    shared = "split"
    data = [{shared: "val", "n": number, "s": f"text {number}"} for number in range(40_000)]
    for protocol in (0, 2):
        path = tmp_path / "refs(unc).p"
        path.write_bytes(pickle.dumps(data, protocol=protocol))
        assert read_pickle(str(path)) == data
