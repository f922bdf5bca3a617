"""Supervised processes of a flow run."""
