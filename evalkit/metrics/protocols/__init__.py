"""Scoring protocols by name: evalkit's own, and the rules of the evaluators that papers used."""

from __future__ import annotations

from evalkit.extensions import Kind
from evalkit.metrics.protocols import (
    boxes,
    coco_ap,
    converseg,
    default,
    gseval,
    lisa,
    muse,
    phrasecut,
    refzom,
    rela,
    saco,
    seg_zero,
)
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
    "saco-box": saco.BOXES,
    "grec": boxes.GREC,
    "ref-l4": boxes.REF_L4,
    "rec": boxes.REC,
    "coco-ap": coco_ap.COCO_AP_MASK,
    "coco-ap-box": coco_ap.COCO_AP_BOX,
    "muse": muse.PROTOCOL,
    "seg-zero": seg_zero.SEG_ZERO,
    "vision-reasoner": seg_zero.VISION_REASONER,
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


__all__ = ["PROTOCOLS", "Protocol", "find_protocol"]
