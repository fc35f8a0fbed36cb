"""The notebook API; ``import evalkit as ek`` hands it on."""

from evalkit.notebook.api import Run, decode, history, load, run

__all__ = ["Run", "decode", "history", "load", "run"]
