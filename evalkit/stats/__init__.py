"""Intervals, tests, power, shifts: numbers in, numbers out. Pure."""
