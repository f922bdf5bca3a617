"""Flow `experiment`: runs the pipeline with other parameters and compares the results."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

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
from imf_core.base.config import (
    DatasetParams,
    DecisionParams,
    EvaluateParams,
    FetchParams,
    FusionParams,
    ImageFeaturesParams,
    ImagesParams,
    MediaParams,
    ModelSettings,
    PredictParams,
    PrepareParams,
    TextFeaturesParams,
    TrainSettings,
    TuneParams,
)


# Prefect does not validate: a section is checked after its missing keys are filled in.
@flow(name="experiment", persist_result=False, validate_parameters=False)
def experiment(
    name: str | None,
    recipe: str | None,
    dataset: DatasetParams,
    model: ModelSettings,
    fusion: FusionParams,
    decision: DecisionParams,
    tune: TuneParams,
    train: TrainSettings,
    image_features: ImageFeaturesParams,
    text_features: TextFeaturesParams,
    images: ImagesParams,
    media: MediaParams,
    prepare: PrepareParams,
    fetch: FetchParams,
    evaluate: EvaluateParams,
    predict: PredictParams,
) -> State:
    """Runs the whole pipeline with these values and compares it with the last committed run.

    The run uses a copy, so the workspace stays unchanged and may run other flows meanwhile. The
    copy includes uncommitted code. If no value differs from params.yaml, the run tests the code
    alone. A key that the form leaves out has its value of params.yaml.

    Args:
        name: Name of the experiment; None: derived from the changed values.
        recipe: One of `recipes/`, applied to params.yaml before the changes of the form.
        dataset: The graph.
        model: The channels.
        fusion: Stage one of the fusion.
        decision: Stage two of the fusion.
        tune: The choice of the values that are `auto`.
        train: Optimisation and selection.
        image_features: The image encoder.
        text_features: The text encoder.
        images: Selection of images.
        media: Look-up of missing texts and images.
        prepare: Split of facts into train, valid and test.
        fetch: Limits and pauses of web requests.
        evaluate: Ranking.
        predict: New facts.

    Returns:
        Completed, with the experiment's name as result and a summary of its metrics as message.
    """
    logger = get_run_logger()
    sections = {
        "dataset": dataset,
        "prepare": prepare,
        "fetch": fetch,
        "media": media,
        "images": images,
        "image_features": image_features,
        "text_features": text_features,
        "model": model,
        "fusion": fusion,
        "decision": decision,
        "tune": tune,
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
    }
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
