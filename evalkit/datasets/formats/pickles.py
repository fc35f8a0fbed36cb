"""``refs(*).p`` without running a program: pickles of plain containers, numbers and text only.

A pickle is a program for a small stack machine, and some of its instructions call any function by name.
The file is scanned first: only instructions that build None, numbers, text, bytes, lists, tuples and
dicts are admitted, every length must fit the file, every memo index the number of instructions. Then
the standard unpickler runs, with every look-up by name refused once more.
Instructions: CPython, ``Lib/pickletools.py`` (protocols 0 to 4).
"""

from __future__ import annotations

import io
import pickle
import re
from typing import Any, NoReturn

from evalkit.datasets.files import collector_paused, read_bytes
from evalkit.errors import DataError

SIMPLE = re.compile(
    rb"(?:[(012Nadelstu})\]\x85-\x89\x94]"  # instructions without argument
    rb"|[FILg][^\n]{0,64}\n|[SV][^\n]*\n|p[0-9]{1,6}\n"  # an argument up to the end of the line
    rb"|[Khq\x80].|M..|J.{4}|G.{8}|\x95.{8})*+",  # an argument of fixed length
    re.DOTALL,
)
"""A run of admitted instructions whose own form limits what they can ask for, matched without going back."""

COUNTED = {b"T": 4, b"U": 1, b"X": 4, b"B": 4, b"C": 1, b"\x8a": 1, b"\x8b": 4, b"\x8c": 1, b"\x8d": 8}
"""Text, bytes and long numbers: the bytes of the length that precedes them."""

NUMBERS = (b"\x8a", b"\x8b")

BROKEN = (pickle.UnpicklingError, ValueError, EOFError, TypeError, LookupError, AttributeError, OverflowError)
"""What the unpickler raises on instructions that do not fit each other."""

LONG_PUT = re.compile(rb"p([0-9]{7,18})\n")

LONGEST_NUMBER = 64
"""Bytes of a binary number: no annotation file has longer ones."""


def read_pickle(location: str) -> Any:
    """Return the plain data of a pickle (protocols 0 to 4); Python 2 text is UTF-8, else Latin-1.

    Raises ``DataError`` on anything but plain containers, numbers and text, without running any of it.
    """
    data = read_bytes(location)
    _scan(data, location)
    try:
        return _load(data, location, "utf-8")
    except UnicodeDecodeError:
        return _load(data, location, "latin1")


def _load(data: bytes, location: str, encoding: str) -> Any:
    try:
        with collector_paused():
            return _RestrictedUnpickler(io.BytesIO(data), encoding=encoding).load()
    except UnicodeDecodeError:
        raise
    except BROKEN as error:
        raise _damaged(location, str(error)) from error


class _RestrictedUnpickler(pickle.Unpickler):
    """The standard unpickler without any look-up by name; the scan refuses those before."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _scan(data: bytes, location: str) -> None:
    """Raise ``DataError`` at the first instruction that is not plain data, or does not fit the file."""
    position, size = 0, len(data)
    while position < size:
        match = SIMPLE.match(data, position)
        position = match.end() if match else position
        code = data[position : position + 1]
        if code == b".":
            return
        if code in COUNTED:
            start = position + 1 + COUNTED[code]
            length = int.from_bytes(data[position + 1 : start], "little")
            if code in NUMBERS and length > LONGEST_NUMBER:
                raise _refused(location, position, f"a number of {length:,} bytes")
            position = start + length
        elif code in (b"r", b"j"):
            _check_memo(int.from_bytes(data[position + 1 : position + 5], "little"), location, position)
            position += 5
        elif code == b"p" and (found := LONG_PUT.match(data, position)):
            _check_memo(int(found[1]), location, position)
            position = found.end()
        elif code:
            raise _refused(location, position, f"the instruction {code!r}, which is not plain data")
    raise _damaged(location, f"it ends after {size:,} bytes without being complete")


def _check_memo(index: int, location: str, position: int) -> None:
    """Refuse an index beyond the number of bytes so far: the unpickler would make that much room."""
    if index > position:
        raise _refused(location, position, f"the memo index {index:,}, beyond anything there can be")


def _refused(location: str, position: int, found: str) -> DataError:
    return DataError(
        f"{location}: refused, nothing of it was run: at byte {position} this pickle has {found}. "
        "Annotations are lists, dicts, numbers and text alone; a pickle with anything else can run programs. "
        "Get the file from the dataset's own source"
    )


def _damaged(location: str, reason: str) -> DataError:
    return DataError(f"{location}: is no complete pickle of plain data ({reason}): download the file again")
