"""The fixtures of these tests."""

from support.decoding_fixtures import block_values, png_item, png_text

__all__ = ["block_values", "png_item", "png_text"]
