"""The version, which every document that evalkit writes carries."""

__version__ = "0.1.0"
