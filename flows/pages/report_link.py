"""Where a report is seen: in a browser under `make ui`, else as a file."""

import os
from pathlib import Path
from urllib.parse import quote

REPORT = Path("results/report.html")
HOST = "127.0.0.1"
VARIABLE = "IMF_REPORTS"
"""Names the address of the server of reports, set by `make ui`."""


def experiment_path(name: str) -> str:
    """Returns the address of an experiment's report, below that of the server."""
    return f"/experiments/{quote(name, safe='')}/{REPORT.name}"


def report_link(experiment: str | None = None) -> str:
    """Returns the address of a report, or where no server has it, its path.

    Args:
        experiment: Name of the experiment; None for the workspace.

    Returns:
        "" for an experiment without a server: its report lies in DVC's cache.
    """
    if server := os.environ.get(VARIABLE):
        return server + (experiment_path(experiment) if experiment else f"/{REPORT.name}")
    return "" if experiment else str(REPORT.absolute())


def report_title(link: str, otherwise: str) -> str:
    """Writes what is shown of a report before its artifact is opened: the link, where it is one."""
    return f"[Open the report]({link})" if link.startswith("http") else otherwise


def describe_report(link: str, experiment: str | None = None) -> str:
    """Writes where a report is as Markdown.

    Args:
        link: As of `report_link`.
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
