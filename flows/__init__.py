"""Prefect flows over the DVC pipeline; they know nothing of torch. None is defined yet."""
