"""Scoring protocols by name: evalkit's own, and the rules of the evaluators that papers used."""

from __future__ import annotations

from evalkit.errors import ConfigError, nearest
from evalkit.protocols import default
from evalkit.protocols.base import Protocol

PROTOCOLS: dict[str, Protocol] = {
    "default": default.PROTOCOL,
}
"""What ``score.protocol`` may name."""


def find_protocol(name: str) -> Protocol:
    """Return a protocol. Raises ``ConfigError`` on an unknown name, listing the known ones."""
    if name not in PROTOCOLS:
        raise ConfigError(f"there is no scoring protocol '{name}'.{nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


__all__ = ["PROTOCOLS", "Protocol", "find_protocol"]
