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
from typing import Any, NoReturn

from evalkit.errors import DataError
from evalkit.loaders.files import read_bytes

NO_ARGUMENT = b"(.012Nadelstu})]\x85\x86\x87\x88\x89\x94"
FIXED = {b"J": 4, b"K": 1, b"M": 2, b"G": 8, b"h": 1, b"\x80": 1, b"\x95": 8}
LINE = b"FILSVgp"
COUNTED = {b"T": 4, b"U": 1, b"X": 4, b"B": 4, b"C": 1, b"\x8a": 1, b"\x8b": 4, b"\x8c": 1, b"\x8d": 8}
MEMO = {b"q": 1, b"r": 4, b"j": 4}

ACTION = [0] * 256
"""Per instruction: 0 = refused, 1 = alone, 2 = a line follows, 10 + n = n bytes, 20 + n = n bytes of length, 30 + n = a memo index of n bytes."""
for _code in NO_ARGUMENT:
    ACTION[_code] = 1
for _code in LINE:
    ACTION[_code] = 2
for _base, _group in ((10, FIXED), (20, COUNTED), (30, MEMO)):
    for _text, _size in _group.items():
        ACTION[_text[0]] = _base + _size

BROKEN = (pickle.UnpicklingError, ValueError, EOFError, TypeError, LookupError, AttributeError, OverflowError)
"""What the unpickler raises on instructions that do not fit each other."""

STOP = ord(".")
PUT = ord("p")
LONGEST_NUMBER = 64
"""Digits of a number in text, bytes of a binary one: no annotation file has longer ones."""


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
        return _Plain(io.BytesIO(data), encoding=encoding).load()
    except UnicodeDecodeError:
        raise
    except BROKEN as error:
        raise _damaged(location, str(error)) from error


class _Plain(pickle.Unpickler):
    """The standard unpickler without any look-up by name; the scan refuses those before."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _scan(data: bytes, location: str) -> None:
    """Raise ``DataError`` at the first instruction that is not plain data, or does not fit the file."""
    position, size, instructions = 0, len(data), 0
    action = ACTION
    find = data.find
    while position < size:
        code = data[position]
        what = action[code]
        instructions += 1
        if what == 1:
            if code == STOP:
                return
            position += 1
        elif what == 2:
            end = find(b"\n", position)
            if end < 0:
                break
            if code not in b"SV" and end - position > LONGEST_NUMBER:
                raise _refused(location, position, f"a number of {end - position - 1} digits")
            if code == PUT:
                _check_memo(data[position + 1 : end], instructions, location, position)
            position = end + 1
        elif what > 30:
            index = int.from_bytes(data[position + 1 : position + what - 29], "little")
            if index > instructions:
                raise _refused(
                    location, position, f"a memo index of {index:,} after {instructions:,} instructions"
                )
            position += what - 29
        elif what > 20:
            width = what - 20
            length = int.from_bytes(data[position + 1 : position + 1 + width], "little")
            if code in b"\x8a\x8b" and length > LONGEST_NUMBER:
                raise _refused(location, position, f"a number of {length:,} bytes")
            position += 1 + width + length
        elif what > 10:
            position += 1 + what - 10
        else:
            raise _refused(location, position, f"the instruction {bytes([code])!r}, which is not plain data")
    raise _damaged(location, f"it ends after {size:,} bytes without being complete")


def _check_memo(text: bytes, instructions: int, location: str, position: int) -> None:
    if not text.isdigit() or int(text) > instructions:
        raise _refused(
            location, position, f"a memo index of {text[:20]!r} after {instructions:,} instructions"
        )


def _refused(location: str, position: int, found: str) -> DataError:
    return DataError(
        f"{location}: refused, nothing of it was run: at byte {position} this pickle has {found}. "
        "Annotations are lists, dicts, numbers and text alone; a pickle with anything else can run programs. "
        "Get the file from the dataset's own source"
    )


def _damaged(location: str, reason: str) -> DataError:
    return DataError(f"{location}: is no complete pickle of plain data ({reason}): download the file again")
