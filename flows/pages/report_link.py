"""Where a report is seen: in a browser under `make ui`, else as a file."""

import os
from pathlib import Path

REPORT = Path("results/report.html")
HOST = "127.0.0.1"
VARIABLE = "IMF_REPORTS"
"""Names the address of the server of reports, set by `make ui`."""


def experiment_path(name: str) -> str:
    """Returns the address of an experiment's report, below that of the server."""
    return f"/experiments/{name}/{REPORT.name}"


def report_link(experiment: str | None = None) -> str:
    """Returns the address of a report, or where no server has it, its path.

    Args:
        experiment: Of which it is; None: the workspace.

    Returns:
        "" for an experiment without a server: its report lies in DVC's cache.
    """
    if server := os.environ.get(VARIABLE):
        return server + (experiment_path(experiment) if experiment else f"/{REPORT.name}")
    return "" if experiment else str(REPORT.absolute())


def report_title(link: str, otherwise: str) -> str:
    """Writes what is shown of a report before its artifact is opened: the link, where it is one."""
    return f"[Open the report]({link})" if link.startswith("http") else otherwise


def describe_report(link: str) -> str:
    """Writes where the report is as Markdown."""
    if link.startswith("http"):
        return (
            f"## [Open the report]({link})\n\nAll of this with pictures, charts and mistakes to "
            f"learn from, as one page. It works while `make ui` runs."
        )
    return (
        "All of this with pictures, charts and mistakes to learn from, as one page that any "
        f"browser opens: `{link}`."
    )
