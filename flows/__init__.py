"""Prefect flows over the DVC pipeline; they do not import torch."""
