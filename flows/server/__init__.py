"""Prefect's server, its worker and the server of reports, for `imf ui`."""
