"""What stands in an answer's text before boxes and masks are read: its objects, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evalkit.types import Unit


@dataclass(slots=True)
class RawItem:
    """One object of the answer before its box and mask are read.

    ``cut``: the text ended inside it. ``broken``: it stops at something unreadable. ``unit``: that of the
    key it stood under, where that has one of its own.
    """

    members: dict[str, Any]
    cut: bool = False
    broken: bool = False
    unit: Unit | None = None


@dataclass(slots=True)
class FoundItems:
    """What the text holds. ``value_seen``: some JSON value was read, item or not.

    ``empty_list``: a list without elements stood where the items should. ``leftover``: a list
    held elements that are no objects. ``cut``: the text ends inside the JSON. ``bare``: its only item is a
    contour without an object around it. ``unreadable``: an object of it cannot be read. ``values``: how many.
    """

    items: list[RawItem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    empty_list: bool = False
    value_seen: bool = False
    json_begun: bool = False
    cut: bool = False
    leftover: bool = False
    wrapped_as_asked: bool = False
    bare: bool = False
    unreadable: bool = False
    values: int = 0

    @property
    def says_something(self) -> bool:
        """True where it may be the answer: objects, or an empty list."""
        return self.empty_list or (bool(self.items) and not self.bare)

    def repaired(self, code: str) -> None:
        """Note a repair once."""
        if code not in self.repairs:
            self.repairs.append(code)
