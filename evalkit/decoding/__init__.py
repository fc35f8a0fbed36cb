"""An answer's text -> what it says: masks, or the exact reason why there are none. Pure.

One file per wire format; ``formats`` lists them; ``codes`` holds every code with its meaning.
"""

from evalkit.decoding.answer import decode_answer
from evalkit.decoding.codes import FAILURES, REPAIRS, Unreadable
from evalkit.decoding.context import Context, MaskRead, WireFormat
from evalkit.decoding.formats import WIRE_FORMATS

__all__ = [
    "FAILURES",
    "REPAIRS",
    "WIRE_FORMATS",
    "Context",
    "MaskRead",
    "Unreadable",
    "WireFormat",
    "decode_answer",
]
