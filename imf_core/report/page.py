"""The report as one HTML file that requests nothing and runs no script but its own.

Names and descriptions come from strangers: the template escapes them, and the page's policy
(`Content-Security-Policy`) allows the two scripts with its hashes and no request. The page names
the parameters and hashes of the run as `dvc.lock` has them, and the software.
"""

import base64
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from imf_core.base.path_text import format_name
from imf_core.base.terminal import escaped
from imf_core.evaluation.metrics import Gain
from imf_core.graph.issues import DataIssue
from imf_core.inference.fact_table import LEAST_PROBABILITY
from imf_core.inference.reasons import LEAST_WEIGHT
from imf_core.report.comparison import MetricsRow
from imf_core.report.entities import Credit, Entity, EntityCards
from imf_core.report.examples import Mistake, NewFact, PredictionCounts, RelationRow, Suspect
from imf_core.report.figures import Figure, format_points
from imf_core.report.relations import RelationQuestions

PRIVATE_SECTIONS = frozenset({"fetch"})
"""Sections left out of the page, which may be shared: they hold the user's address."""

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "transformers", "pyarrow", "dvc", "prefect")


@dataclass(frozen=True)
class Output:
    """One file or folder that a stage wrote, with DVC's hash of it."""

    stage: str
    path: str
    hash: str
    size: int


@dataclass(frozen=True)
class Lock:
    """What `dvc.lock` says of the stages.

    Attributes:
        outputs: By path.
        params: Value as YAML has it by `section.key`, sorted; of an absolute path the last part.
    """

    outputs: list[Output]
    params: dict[str, str]


def describe_lock(stages: Mapping[str, Any]) -> Lock:
    """Lists outputs and parameters.

    Args:
        stages: What DVC has locked of each stage, by its name.
    """
    outputs = [
        Output(name, out["path"], f"{out['hash']}:{out[out['hash']]}", out.get("size", 0))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    ]
    params: dict[str, str] = {}
    for stage in stages.values():
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            if key.split(".")[0] not in PRIVATE_SECTIONS:
                params.update(_flatten(key, value))
    # The order in the file is that in which stages came to be run.
    return Lock(sorted(outputs, key=lambda out: out.path), dict(sorted(params.items())))


def describe_environment(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Returns the versions of Python and of what results depend on, and the kind of machine."""
    found = {"Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "system": f"{platform.system()} on {platform.machine()}"}


def _flatten(key: str, value: object) -> dict[str, str]:
    """Writes a section as its keys."""
    if isinstance(value, Mapping):
        return {f"{key}.{name}": _word(each) for name, each in value.items()}
    return {key: _word(value)}


def _word(value: object) -> str:
    """Writes a value; where on a machine its files lie is of no use elsewhere."""
    if isinstance(value, str):
        return f"…/{PurePath(value).name}" if PurePath(value).is_absolute() else value
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_word(each)}" for name, each in value.items())
    return json.dumps(value)


_FOLDER = Path(__file__).parent
CHARTS_SCRIPT = "window.vegaEmbed = vegaEmbed;"
"""What the bundle of the chart library is to end with."""


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        title: Name of the graph.
        summary: What `results/data.json` holds.
        num_with_picture: Entities that have a picture that could be read.
        issues: What a reader should look at first.
        redundant: Relations that say the same as another one, in words.
        relation_names: By id.
        cards: The entities that appear.
        sample: Entities that give an idea of the graph.
        rows: Of the table of metrics.
        gain: In MRR over structure alone; None where the model is structure alone.
        committed: The last committed run has the `same` or `other` metrics, or why it is not
            compared with, see `NotCompared`.
        training: How the model was trained, of its `config.json`.
        baseline_training: The same of the baseline; empty where there is none.
        trials: Rows of `trials.csv`, one for each short training of the stage `tune`.
        curves: Figures of the training.
        figures: All others, by name.
        relations: Of the table of relations.
        num_relations_left_out: Of that table, for want of room.
        has_paths: Whether the model has a channel of paths.
        new_facts: Probable predictions, or the few most probable where none is.
        predicted: How many facts were predicted.
        mistakes: Badly ranked test facts.
        related: Relation questions about pairs of test.
        suspects: Facts of train that look wrong, most suspicious first.
        lock: What `dvc.lock` says, None where there is none.
        environment: Versions by name.
        credits: Authors and licences of pictures and texts, where known.
    """

    title: str
    summary: Mapping[str, Any]
    num_with_picture: int
    issues: Sequence[DataIssue]
    redundant: Sequence[str]
    relation_names: Sequence[str]
    cards: EntityCards
    sample: Sequence[Entity]
    rows: Sequence[MetricsRow]
    gain: Gain | None
    committed: str
    training: Mapping[str, Any]
    baseline_training: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]
    curves: Sequence[Figure]
    figures: Mapping[str, Figure]
    relations: Sequence[RelationRow]
    num_relations_left_out: int
    has_paths: bool
    new_facts: Sequence[NewFact]
    predicted: PredictionCounts
    mistakes: Sequence[Mistake]
    related: RelationQuestions
    suspects: Sequence[Suspect]
    lock: Lock | None
    environment: Mapping[str, str]
    credits: Sequence[Credit]


def render_page(page: Page, charts_script: str) -> str:
    """Renders the page.

    Args:
        page: What it shows.
        charts_script: The chart library, which defines `vegaEmbed`.

    Returns:
        HTML, the same each time.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escaped(value) if type(value) is str else value,
    )
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f}"
    environment.filters["points"] = format_points
    environment.filters["brief"] = format_name
    environment.filters["count"] = lambda number: f"{number:,}"
    figures = [*page.figures.values(), *page.curves]
    library, own = _as_script(charts_script), _as_script(_read("page.js"))
    return environment.get_template("page.html.jinja").render(
        page=page,
        style=Markup(_read("page.css")),
        library=library,
        own=own,
        policy=_policy([library, own]),
        least_probability=LEAST_PROBABILITY,
        least_weight=LEAST_WEIGHT,
        specs=_as_data({figure.name: figure.spec for figure in figures}),
    )


def _read(name: str) -> str:
    """Reads a file beside this one."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def _as_script(code: str) -> Markup:
    """Makes code ready to stand in a script element, which it must not end or comment out."""
    code = code.replace("\r\n", "\n").replace("\r", "\\r")
    return Markup(code.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _as_data(value: object) -> Markup:
    """Writes JSON that can stand in a script element, whatever strings it holds."""
    text = json.dumps(
        _escape_all(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return Markup(text.replace("<", "\\u003c"))


def _escape_all(value: object) -> object:
    """Escapes control and direction characters in every string of nested lists and mappings."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {_escape_all(key): _escape_all(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_escape_all(each) for each in value]
    return value


def _policy(scripts: Sequence[str]) -> str:
    """Returns a policy under which only these scripts run and nothing is fetched.

    The chart library compiles its own expressions, hence `unsafe-eval`; none of them comes from
    the graph.
    """
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(each).decode('ascii')}'" for each in digests)
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
