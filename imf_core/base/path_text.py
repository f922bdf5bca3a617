"""The text of a path of facts, one for the command line, the report and Prefect's pages."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from imf_core.base.terminal import escaped, shorten


def format_path(path: Mapping[str, Any]) -> str:
    """Formats a path: `Laos - borders - China; India - borders - China (weight 0.62)`.

    A fact of valid or test is marked. Of a name that is an IRI, the last part is shown.

    Args:
        path: A value of `imf_core.inference.reasons.PATH`.
    """
    facts = "; ".join(map(_format_fact, path["facts"]))
    return f"{facts} (weight {path['weight']:.2f})"


def format_name(name: str) -> str:
    """Returns a name, of an IRI its last part, on one line and cut to the printed length."""
    if re.match(r"(?:[a-z][a-z0-9+.-]*:/{2,}|urn:)[^\s/#]+[/#]\S", name, re.IGNORECASE):
        name = unquote(re.split(r"[/#]", name.rstrip("/#"))[-1]).strip() or name
    return shorten(escaped(" ".join(name.split())))


def _format_fact(fact: Mapping[str, Any]) -> str:
    shown = " - ".join(format_name(fact[f"{role}_name"]) for role in ("head", "relation", "tail"))
    return shown if fact["known_in"] == "train" else f"{shown} [{fact['known_in']}]"
