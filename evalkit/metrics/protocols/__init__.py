"""Scoring protocols by name: evalkit's own, and the rules of the evaluators that papers used."""

from __future__ import annotations

from evalkit.extensions import Kind
from evalkit.metrics.protocols import converseg, default, gseval, lisa, phrasecut, refzom, rela, saco
from evalkit.metrics.protocols.base import Protocol

PROTOCOLS: dict[str, Protocol] = {
    "default": default.PROTOCOL,
    "lisa": lisa.LISA,
    "lisa-exact": lisa.LISA_EXACT,
    "rela": rela.PROTOCOL,
    "refzom": refzom.REFZOM,
    "refzom-480": refzom.REFZOM_480,
    "phrasecut": phrasecut.PROTOCOL,
    "converseg": converseg.PROTOCOL,
    "gseval-box": gseval.GSEVAL_BOX,
    "gseval-mask": gseval.GSEVAL_MASK,
    "saco": saco.PROTOCOL,
}
"""Evalkit's own protocols by name."""

PROTOCOL_KIND = Kind[Protocol](
    "scoring protocol",
    "evalkit.protocols",
    PROTOCOLS,
    lambda found: isinstance(found, Protocol),
    "an evalkit.metrics.protocols.Protocol",
)
"""What ``score.protocol`` and a dataset's ``protocol`` may name."""


def find_protocol(name: str) -> Protocol:
    """Return a protocol. Raises ``ConfigError`` on an unknown name, listing the known ones."""
    return PROTOCOL_KIND.find(name)


def own_protocols() -> bool:
    """Tell whether an installed package declares a protocol, whose numbers only its function tells."""
    return len(PROTOCOL_KIND.names()) > len(PROTOCOLS)


__all__ = ["PROTOCOLS", "Protocol", "find_protocol"]
