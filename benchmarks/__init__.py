"""Measurements of speed and memory, run by hand; no part of the library."""
