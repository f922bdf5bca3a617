"""The address of a report: a URL under `make ui`, else a path."""

import os
from pathlib import Path
from urllib.parse import quote

REPORT = Path("results/report.html")
HOST = "127.0.0.1"
VARIABLE = "IMF_REPORTS"
"""Variable with the address of the server of reports, set by `make ui`."""


def experiment_path(name: str) -> str:
    """Returns the URL path of an experiment's report."""
    return f"/experiments/{quote(name, safe='')}/{REPORT.name}"


def report_link(experiment: str | None = None) -> str:
    """Returns the URL of a report, or its path without a server.

    Args:
        experiment: Name of the experiment; None for the workspace.

    Returns:
        "" for an experiment without a server: its report is in DVC's cache.
    """
    if server := os.environ.get(VARIABLE):
        return server + (experiment_path(experiment) if experiment else f"/{REPORT.name}")
    return "" if experiment else str(REPORT.absolute())


def report_title(link: str, otherwise: str) -> str:
    """Returns the description of a report's artifact: a link if there is a URL."""
    return f"[Open the report]({link})" if link.startswith("http") else otherwise


def describe_report(link: str, experiment: str | None = None) -> str:
    """Formats the address of a report as Markdown.

    Args:
        link: Value of `report_link`.
        experiment: Name of the experiment; None for the workspace.
    """
    contents = "pictures, charts and mistakes to learn from, as one page"
    last = "" if experiment else " It shows the workspace's last run: a later run replaces it."
    if link.startswith("http"):
        return (
            f"## [Open the report]({link})\n\nAll of this with {contents}.{last} The link works "
            "while `make ui` runs."
        )
    return f"All of this with {contents} that any browser opens: `{link}`.{last}"
