"""Filtered ranking and the metrics made from ranks."""
