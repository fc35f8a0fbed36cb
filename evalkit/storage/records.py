"""JSON objects of a run folder as records: every field read with its type checked, and written back as it was.

A record keeps the keys that its file had, in their order, and those that this evalkit does not know: what another
version or tool wrote survives a rewrite.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from evalkit.errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import BaseModel

Value = TypeVar("Value")
Default = TypeVar("Default")

KINDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    dict: "an object",
    list: "a list",
}
"""Type of a JSON value -> its name in an error."""

STATUSES = ("partial", "complete")
"""What a run can be, in its manifest and in its summary; partial until it is known to be complete."""

ROUNDING = 1e-9
"""How far a share may lie outside 0..1 by the rounding of sums."""

KEPT = ("written", "extra")
"""Fields of a record that are no fields of the file: its keys in their order, and the unknown ones."""


class FieldReader:
    """Reads the fields of one JSON object; every error names the file, the field, the value seen and the way out."""

    def __init__(self, data: Mapping[str, Any], where: str, way_out: str, *, inside: str = "") -> None:
        self.data = data
        self.where = where
        self.way_out = way_out
        self.inside = inside

    def one(self, key: str, kind: type[Value], default: Default) -> Value | Default:
        """Return a value of one kind, ``default`` where it is absent or null. Raises ``DataError`` on another kind."""
        value = self.data.get(key)
        return default if value is None else self._checked(key, value, kind)

    def needed(self, key: str, kind: type[Value]) -> Value:
        """Return a value of one kind. Raises ``DataError`` where it is absent, null or of another kind."""
        if self.data.get(key) is None:
            raise DataError(f"{self.where}: the field `{self.inside}{key}` is missing. {self.way_out}")
        return self._checked(key, self.data[key], kind)

    def many(self, key: str, kind: type[Value]) -> tuple[Value, ...]:
        """Return a list of values of one kind, empty where it is absent or null."""
        values = self.one(key, list, [])
        return tuple(self._checked(f"{key}[{at}]", value, kind) for at, value in enumerate(values))

    def chosen(self, key: str, among: tuple[str, ...]) -> str:
        """Return a text out of a few, the first where it is absent or null. Raises ``DataError`` on another one."""
        value = self.one(key, str, among[0])
        if value not in among:
            self.refuse(key, value, " or ".join(f"`{one}`" for one in among))
        return value

    def number(self, key: str, *, share: bool) -> None:
        """Check a value where it is not null: a number, or an object of ``value``, ``low`` and ``high``.

        Raises ``DataError`` on anything else, and on a ``share`` outside 0..1.
        """
        value = self.data.get(key)
        if isinstance(value, dict):
            inside = self.inner(key)
            for part in ("value", "low", "high"):
                if inside.data.get(part) is None:
                    inside.refuse(part, None, "a number")
                inside.number(part, share=share)
        elif value is not None:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                self.refuse(key, value, "a number")
            if share and not -ROUNDING <= value <= 1 + ROUNDING:
                self.refuse(key, value, "a share in 0..1")

    def moment(self, key: str) -> str | None:
        """Return a time as it is written, None where it is absent or null. Raises ``DataError`` where it is none."""
        value = self.one(key, str, None)
        if value is not None and moment_of(value) is None:
            self.refuse(key, value, "a date and time such as 2026-11-21T02:00:00+00:00")
        return value

    def fits(self, key: str, section: type[BaseModel], made_by: str | None) -> None:
        """Check an object against a section of the config where it is not null; unknown keys are let through.

        ``made_by``: the version that wrote it, for the error. Raises ``DataError`` naming the first key that does not fit.
        """
        from pydantic import ValidationError

        value = self.one(key, dict, None)
        if value is None:
            return
        try:
            section.model_validate(value)
        except ValidationError as error:
            found = [one for one in error.errors(include_url=False) if one["type"] != "extra_forbidden"]
            if not found:
                return
            place = ".".join(str(part) for part in (key, *found[0]["loc"]))
            raise DataError(
                f"{self.where}: the field `{self.inside}{place}` is not what this evalkit reads: {found[0]['msg']}, found "
                f"{shown(found[0]['input'])}. The run was made by evalkit {made_by}: use that version, or mend the file"
            ) from error

    def inner(self, key: str) -> FieldReader:
        """Return the reader of an object inside, an empty one where it is absent or null."""
        data: Mapping[str, Any] = self.one(key, dict, {})
        return FieldReader(data, self.where, self.way_out, inside=f"{self.inside}{key}.")

    def inners(self, key: str) -> tuple[FieldReader, ...]:
        """Return the readers of a list of objects."""
        return tuple(
            FieldReader(value, self.where, self.way_out, inside=f"{self.inside}{key}[{at}].")
            for at, value in enumerate(self.many(key, dict))
        )

    def unknown(self, record: type[DataclassInstance]) -> dict[str, Any]:
        """Return the fields of the object that the record has no place for."""
        known = {field.name for field in fields(record)} - set(KEPT)
        return {key: value for key, value in self.data.items() if key not in known}

    def refuse(self, key: str, value: object, rule: str) -> NoReturn:
        """Raise ``DataError`` for a value that breaks a rule."""
        raise DataError(
            f"{self.where}: the field `{self.inside}{key}` must be {rule}, found {shown(value)}. {self.way_out}"
        )

    def _checked(self, key: str, value: Any, kind: type[Value]) -> Value:
        # To Python a bool is an int; to JSON it is not.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, value, KINDS[kind])
        return value


def moment_of(text: str | None) -> dt.datetime | None:
    """Return an ISO date and time (in UTC where it names no zone), None where there is none."""
    try:
        time = None if text is None else dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=dt.UTC)


def shown(value: object) -> str:
    """Return a value as an error shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def json_of(record: DataclassInstance) -> dict[str, Any]:
    """Return a record as the JSON object of its file: known keys in their order, then those that are new.

    A field that the file did not have is added only where it is no longer at its default.
    """
    written: tuple[str, ...] = getattr(record, "written")  # noqa: B009  every record has it, no base class says so
    told: dict[str, Any] = dict(getattr(record, "extra"))  # noqa: B009
    added = []
    for field in fields(record):
        if field.name in KEPT:
            continue
        value = getattr(record, field.name)
        told[field.name] = list(value) if isinstance(value, tuple) else value
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name not in written and default is not MISSING and value != default:
            added.append(field.name)
    return {key: told[key] for key in (*written, *added)}
