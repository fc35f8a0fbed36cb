"""evalkit tells which model segments your images, and whether it got worse."""

__version__ = "0.1.0"
