"""Example answers of `imf run`: what the untrained path network reads in the graph, with reasons.

They come between the graph and the long stages, if no model was trained on these facts yet.
"""

from cli.ask import group_reasons
from cli.results import format_split
from imf_core.base.errors import ConfigError, DataError, OutOfMemoryError
from imf_core.base.terminal import shorten
from imf_core.graph.graph import Graph, load_graph
from imf_core.inference.example_questions import MAX_ENTITIES, find_examples
from imf_core.inference.reasons import NO_PATH
from imf_core.inference.untrained import UntrainedCompleter
from imf_core.model.saved import CONFIG, load_config
from imf_core.paths.pretrained import load_pretrained
from stages.paths import GRAPH, MODEL

COUNT, AMONG = 4, 12
"""Examples shown, those with reasons first, among the surest ones."""

WITHOUT_RUN = "the run goes on without examples of an untrained network"


def show_examples() -> None:
    """Prints some answers and their reasons from the train facts of `data/graph`."""
    graph = load_graph(GRAPH)
    if _is_trained(graph):
        return
    if graph.num_entities > MAX_ENTITIES:
        print(f"{graph.num_entities:,} entities, more than {MAX_ENTITIES:,}: {WITHOUT_RUN}")
        return
    try:
        completer = UntrainedCompleter(graph, load_pretrained(), ("train",))
    except (OutOfMemoryError, DataError) as error:  # the stages need less memory and no such file
        print(f"{error}: {WITHOUT_RUN}")
        return
    answers = find_examples(completer, AMONG)
    reasons = [
        texts or [NO_PATH] for texts in group_reasons(completer.reasons(answers), len(answers))
    ]
    examples = list(zip(answers.to_pylist(), reasons, strict=True))
    examples.sort(key=lambda example: example[1] == [NO_PATH])
    if examples:
        print(
            "\nBefore any training, a pretrained network reads the train facts. Its surest answers "
            "to\nquestions without a known answer, each of another relation, with reasons:\n"
        )
    for answer, texts in examples[:COUNT]:
        fact = " - ".join(shorten(answer[f"{role}_name"]) for role in ("head", "relation", "tail"))
        print(f"  {format_split(answer['known_in'])}  {fact}", *texts, sep="\n      ")
    print("", flush=True)


def _is_trained(graph: Graph) -> bool:
    """Returns whether a model was trained on these facts; a damaged or older one is none."""
    try:
        is_file = (MODEL / CONFIG).is_file()
        return is_file and load_config(MODEL).facts_digest == graph.facts_digest
    except (ConfigError, DataError):
        return False
