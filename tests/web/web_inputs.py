"""Parameters for the tests of `imf_core.web`."""

from imf_core.base.config import FetchParams


def fetch_params(**changes: object) -> FetchParams:
    values = {
        "contact": "",
        "requests_per_host": 4,
        "attempts": 3,
        "timeout_seconds": 5.0,
        "longest_pause_seconds": 30.0,
        "allowed_private_hosts": ["127.0.0.1"],
        **changes,
    }
    return FetchParams.model_validate(values)
