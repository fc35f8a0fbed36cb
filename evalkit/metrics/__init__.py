"""Counts -> numbers -> summary. Pure."""
