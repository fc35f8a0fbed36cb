"""What an HTTP address must be, told before anything is sent to it. Pure.

The clients behind it complain in their own ways and late, or read another host than the one that was meant.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from evalkit.config.yaml import VARIABLE

PLAIN_HOST: Final = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
"""Labels of letters, digits, hyphens and underscores between points (RFC 1123 section 2.1; services use underscores)."""

PLACE: Final = re.compile(r"([^\[\]@]*@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]*)(:[0-9]+)?")
"""User, host and port; an IPv6 address stands in brackets (RFC 3986 section 3.2)."""

LONGEST_HOST: Final = 253
LONGEST_LABEL: Final = 63
"""Characters (RFC 1035 section 2.3.4)."""

NO_PART_OF_AN_ADDRESS: Final = re.compile('[\\s\x00-\x1f\x7f-\x9f\ud800-\udfff\\\\<>"{}|^`]')
"""RFC 3986 section 2, of which RFC 3987 section 2.2 allows letters beyond ASCII."""


def fault_of_address(text: str) -> str | None:
    """Return what keeps a text from being the address of an HTTP endpoint, in words; None where nothing does."""
    if NO_PART_OF_AN_ADDRESS.search(text):
        return "holds a blank or a character that no address can have"
    if not text.lower().startswith(("http://", "https://")):
        scheme = re.match(r"[a-z][a-z0-9+.-]*://", text.lower())
        return (
            f"begins with {scheme.group()}, not with http:// or https://"
            if scheme
            else "does not begin with http:// or https://"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        return "has a host that is no name"
    if parts.netloc.count("@") > 1:
        return "has more than one @ before its path: write %40 for one in a name or a password"
    if not PLACE.fullmatch(parts.netloc):
        return "has a host that is no name, or a port that is no number"
    if not _is_port(parts):
        return "has a port that is no number of 1 to 65535"
    if parts.fragment or text.endswith("#"):
        return "has a part behind #, which is never sent"
    return _fault_of_host(parts.hostname or "")


def _is_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _fault_of_host(host: str) -> str | None:
    """Return what is wrong with a host, which the clients take as ASCII alone."""
    if not host:
        return "names no host"
    if not host.isascii():
        return "has a host with letters beyond ASCII: write it in its xn-- form"
    too_long = len(host) > LONGEST_HOST or any(len(label) > LONGEST_LABEL for label in host.split("."))
    # Numbers between points are an IPv4 address or nothing; a colon stands in an IPv6 address alone.
    fits = _is_ip(host) if ":" in host or re.fullmatch(r"[0-9.]+", host) else PLAIN_HOST.fullmatch(host)
    return "has a host that is no name" if too_long or not fits or not _is_decodable(host) else None


def _is_ip(host: str) -> bool:
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_decodable(host: str) -> bool:
    """Tell whether labels that stand for letters beyond ASCII do so (RFC 5891 section 4.2)."""
    if "xn--" not in host.lower():
        return True
    try:
        host.encode().decode("idna")
    except UnicodeError:
        return False
    return "_" not in host


def shown_unread(text: str) -> str:
    """Return a text that is no address, without what may be a secret in one: what is before an @ and behind a ?."""
    head, question, _ = unquote(text).partition("?")
    scheme, slashes, rest = head.rpartition("://")
    before, at, host = rest.rpartition("@")
    shown = f"{scheme}{slashes}{'***' if before else ''}{at}{host}{question}{'***' if question else ''}"
    return ascii(shown) if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]!a}..."


LONGEST_SHOWN: Final = 80


def _usable(text: str | None) -> str | None:
    """Return the address. Stored configs keep ``${NAME}``, which may stand for any part and is no fault."""
    if text is None or VARIABLE.match(text):
        return text
    fault = fault_of_address(VARIABLE.sub(_stand_in, text))
    if fault is None:
        return text
    raise PydanticCustomError(
        "unusable_address",
        "{why}",
        {
            "why": f"the address {fault}. Write one such as https://host/ or http://127.0.0.1:8080/path; "
            "null is the provider's own",
            "shown": shown_unread(text),
        },
    )


def _stand_in(variable: re.Match[str]) -> str:
    """Return what a variable may stand for at its place: a port, an address in brackets, a name."""
    before = variable.string[: variable.start()][-1:]
    return {":": "1", "[": "::1"}.get(before, "x")


Address = Annotated[str | None, AfterValidator(_usable)]
"""A key of an entry that holds the address of an HTTP endpoint."""
