"""Flow `experiment`: runs the pipeline with other parameters and compares the results."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel

from flows.experiments.comparison import compare_with_baseline, summarise, write_page
from flows.experiments.form import complete_form, find_empty, read_values_at
from flows.experiments.names import (
    check_name,
    check_tracked_paths,
    derive_name,
    reserved_name,
    with_counter,
)
from flows.experiments.run_experiment import (
    Plan,
    apply_recipe,
    find_changes,
    find_outdated,
    name_this_run,
    read_form,
    run_as_task,
)
from flows.experiments.workspace_copy import list_experiments, record_version
from flows.running.children import Children
from flows.server.parts import describe_report, report_link, report_title
from imf_core.base.config import Params

FIRST = ("dataset", "model", "fusion", "decision", "tune", "train")
"""Sections at the top of the form; the others follow in the order of params.yaml."""


def with_sections(work: Callable[..., State]) -> Callable[..., State]:
    """Gives a function with `**sections` one parameter per section of params.yaml.

    Prefect makes the form of the signature.
    """
    fields = Params.model_fields
    sections = [
        Parameter(section, Parameter.KEYWORD_ONLY, annotation=fields[section].annotation)
        for section in dict.fromkeys((*FIRST, *fields))
    ]
    written = signature(work)
    named = [each for each in written.parameters.values() if each.kind != Parameter.VAR_KEYWORD]
    work.__signature__ = written.replace(parameters=[*named, *sections])  # type: ignore[attr-defined]
    return work


# Prefect does not validate: a section is checked after its missing keys are filled in.
@flow(name="experiment", persist_result=False, validate_parameters=False)
@with_sections
def experiment(
    name: str | None,
    recipe: str | None,
    **sections: Mapping[str, Any] | BaseModel,
) -> State:
    """Runs the whole pipeline with these values and compares it with the last committed run.

    The run uses a copy, so the workspace stays unchanged and may run other flows meanwhile. The
    copy includes uncommitted code. If no value differs from params.yaml, the run tests the code
    alone. A key that the form leaves out has its value of params.yaml.

    Args:
        name: Name of the experiment; None: derived from the changed values.
        recipe: One of `recipes/`, applied to params.yaml before the changes of the form.
        sections: The sections of params.yaml.

    Returns:
        Completed, with the experiment's name as result and a summary of its metrics as message.
    """
    logger = get_run_logger()
    version = record_version(logger.info)
    base = read_values_at(version.tree)
    filled_in = complete_form(sections, base)
    values = apply_recipe(recipe, filled_in, base)
    check_tracked_paths(values, logger.info)
    changes = find_changes(values, base)
    if name is not None:
        check_name(name)
    derived = derive_name(find_changes(filled_in, base), recipe)
    names = with_counter(derived) if name is None else [name]
    with reserved_name(names) as reserved, Children([reserved.lock]) as children:
        name_this_run(reserved.name)
        for key, value in changes.items():
            logger.info("%s: %s", key, value)
        if empty := find_empty(sections, base):
            logger.info("empty in the form, value of params.yaml used: %s", ", ".join(empty))
        if undone := find_outdated(filled_in, base, read_form()):
            logger.warning(
                "params.yaml has other values of %s than when the form was registered; this run "
                "has the form's. To begin with those of now, run `python -m flows.register`",
                ", ".join(undone),
            )
        if not changes:
            logger.info(
                "no value differs from params.yaml: this run tests the code of the workspace"
            )
        plan = Plan(reserved.name, version, changes, target=None)
        # In a separate thread, so that stopping this run stops the task.
        run_as_task.submit(plan, reserved.folder / "copy", {}, children).result()
        (made,) = (other for other in list_experiments() if other.name == reserved.name)
        comparison = compare_with_baseline(made.commit, logger.info)
        link = report_link(made.name)
        page = write_page(made.name, comparison)
        create_markdown_artifact(
            f"{page}\n\n{describe_report(link, made.name)}" if link else page,
            key="experiment",
            description=report_title(link, "The experiment beside the last committed run"),
        )
        summary = summarise(made.name, comparison)
        logger.info("%s", f"{summary}; the report: {link}" if link else summary)
        logger.info("to copy it to the workspace, run the flow `promote` with %s", made.name)
        return Completed(message=summary, data=made.name)
