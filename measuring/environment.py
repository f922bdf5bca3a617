"""The environment of a measurement: processor, versions, commit and day; no host name or path."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def describe_environment(code: Sequence[str] = (".",)) -> dict[str, str]:
    """Describes processor, versions, commit and day of a run.

    Args:
        code: Code that the figures depend on, as git pathspecs from the project's root.
    """
    return {
        "cpu": _processor(),
        "cores": str(count_cores()),
        "python": platform.python_version(),
        "torch": version("torch"),
        "commit": _commit(code),
        "date": datetime.now(UTC).date().isoformat(),
    }


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Returns the processor's name on Linux, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit(code: Sequence[str]) -> str:
    """Returns the commit of the code, with "+changes" if tracked files differ from it."""
    commit = _ask_git("rev-parse", "--short", "HEAD")
    changed = _ask_git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return f"{commit}{'+changes' if changed else ''}" if commit else "unknown"


def _ask_git(*arguments: str) -> str:
    """Returns the output of git in the project, "" on failure."""
    done = subprocess.run(
        ["git", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    return done.stdout.strip()
