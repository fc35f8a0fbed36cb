"""Stored answers -> rows -> summary."""
