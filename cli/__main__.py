"""The commands of `imf` with their options; also `python -m cli`.

An import of torch, DVC or Prefect takes seconds, so each command imports its own code, and `imf
--help` answers at once.
"""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated

from stages import INTERRUPT_MESSAGE, INTERRUPTED

try:
    import typer

    from cli import decisions, options, questions
    from cli.command import (
        Command,
        MeasureCommand,
        ModelCommand,
        refuse,
        whole_number,
    )
    from imf_core.base.terminal import protect_output
except KeyboardInterrupt:  # before `main`, which catches later ones
    print(INTERRUPT_MESSAGE, file=sys.stderr)
    sys.exit(INTERRUPTED)

LONGEST_DAYS = 3_650
LARGEST_PORT = 65_535

app = typer.Typer(
    help="Completes a multimodal knowledge graph. Run the commands in the folder of the project.",
    add_completion=False,
    rich_markup_mode=None,
)


@app.command(cls=Command, epilog="imf run")
def run() -> None:
    """Runs all stages, then prints the results.

    Stages without changes are skipped, as by `dvc repro`; the results are those of `imf show`.
    """
    from cli import pipeline

    pipeline.reproduce()
    show()


@app.command(cls=Command, epilog="imf show")
def show() -> None:
    """Prints metrics and the most probable facts."""
    from cli import results

    results.show()


app.command(cls=ModelCommand, epilog=questions.EXAMPLES)(questions.ask)


@app.command(
    cls=ModelCommand,
    epilog="""\
imf check examples/solar-system
imf check people.ttl.gz
imf check facts.tsv --out verdicts.parquet   # true or false, by the trained model
imf check facts.tsv --model FOLDER           # in any folder
imf check --train -k 50                      # which facts of train look wrong?""",
)
def check(
    path: options.Checked = None,
    train: options.Train = False,
    count: options.Suspects = 20,
    out: options.Verdicts = None,
    model: options.Model = None,
) -> None:
    """Checks your graph, given facts or train; changes nothing.

    A graph (a folder with train.txt, or an RDF file) is read as a run would, in a temporary folder;
    counts, data issues and the audit are printed. The values are those of the section `prepare` and
    of dataset.image_folders in params.yaml.

    A file of facts (.tsv, .txt or .parquet: head, relation, tail by label or name) is judged by the
    trained model: a fact is true if its probability reaches the threshold of its relation.

    `--train` lists the facts of train that look wrong, most suspicious first: head or tail seldom
    has the relation in similar entities (affinity), or image and text do not expect it (surprise,
    in nats).
    """
    is_file = path is not None and path.suffix.lower() in {".tsv", ".txt", ".parquet"}
    refuse(
        {
            "give either PATH or --train": (path is None) != train,
            f"-k must be a positive number, got {count}": count < 1,
            f"--out must end in .parquet, got {out}": (
                out is not None and out.suffix.lower() != ".parquet"
            ),
            f"--out {out} is the same file as PATH": (
                out is not None and path is not None and out.resolve() == path.resolve()
            ),
            f"--out and --model require --train or a file of facts that ends in .tsv, .txt or "
            f".parquet, got {path}": not (train or is_file) and bool(out or model),
        }
    )
    if train:
        from cli import check as checking

        checking.list_suspicious(model, count, out)
    elif path is not None and is_file:
        from cli import check as checking

        checking.judge_facts(model, path, out)
    elif path is not None:
        from cli import data

        data.check(path)


app.command(cls=Command, epilog=decisions.QUEUE_EXAMPLES)(decisions.queue)
app.command(cls=Command, epilog=decisions.EXAMPLES)(decisions.decide)


@app.command(
    cls=Command,
    epilog="""\
imf export --facts new.tsv --above 0.8
imf export --facts new.nt --above 0.8 --prefix https://example.org/
imf export --accepted accepted.tsv
imf export --embeddings embeddings
imf export --model FOLDER""",
)
def export(
    facts: options.Facts = None,
    above: options.Above = None,
    prefix: options.Prefix = None,
    accepted: options.Accepted = None,
    embeddings: options.Folder = None,
    model: options.Folder = None,
) -> None:
    """Exports new facts, accepted facts, embeddings and the model.

    Facts are the new facts of the last run's predictions. A TSV has their probabilities and names.
    Accepted facts are those that people have accepted (`imf decide`), with name, time and note.
    In N-Triples every label is an IRI: itself if it is one, else one under the prefix. Embeddings
    are Parquet files of entities and of relations, one for each channel. A model is one folder with
    all that answers need: `imf ask --model FOLDER` and `imf_core.load(FOLDER)` open it anywhere.
    """
    files = {"--facts": facts, "--accepted": accepted}
    suffixes = {name: path.suffix.lower() for name, path in files.items() if path is not None}
    refuse(
        {
            "nothing to export: give --facts FILE, --accepted FILE, --embeddings FOLDER or --model "
            "FOLDER": not suffixes and embeddings is None and model is None,
            **{
                f"{name} must end in .tsv or .nt, got {files[name]}": suffix not in {".tsv", ".nt"}
                for name, suffix in suffixes.items()
            },
            "--above requires --facts FILE": facts is None and above is not None,
            f"--above must be in [0, 1], got {above}": above is not None and not 0 <= above <= 1,
            f"--prefix requires a file that ends in .nt, got {facts or accepted}": (
                prefix is not None and ".nt" not in suffixes.values()
            ),
        }
    )
    from cli import results

    if facts is not None:
        results.export_facts(facts, above, prefix)
    if accepted is not None:
        from cli import curate

        curate.export_accepted(accepted, prefix)
    if embeddings is not None:
        results.export_embeddings(embeddings)
    if model is not None:
        results.export_model(model)


@app.command(cls=Command, epilog="imf audit nations atlas\nimf audit folder")
def audit(names: options.DataSets = None) -> None:
    """Prints counts, leaks and issues of data sets.

    The tables are Markdown. Fetches the source files of each set and prepares them in a temporary
    folder with the section `prepare` of params.yaml. Only fetched files are kept.
    """
    from cli import data

    data.audit(names or [])


@app.command(
    cls=Command,
    epilog="""\
imf forget --failed --older-than-days 30
dvc repro --force --single-item images    # the same with media
imf run""",
)
def forget(
    failed: Annotated[bool, typer.Option("--failed", help="mark failed content")] = False,
    days: Annotated[
        int | None,
        typer.Option(
            "--older-than-days", metavar="DAYS", parser=whole_number, help="mark old content"
        ),
    ] = None,
) -> None:
    """Marks failed or old web content for refetching.

    `--failed` marks content that was not found, refused, too long or no picture; unreachable
    content is requested again in any case. `--older-than-days` marks everything last requested
    before that time. This command sends no requests: the stages do in their next run, within the
    limits of section `fetch` in params.yaml.

    No content is lost. Marked content is set aside and restored if the refetch fails: the network
    or a host is down, or a page comes instead of a picture. Only a host's answer that a file is
    gone (404, 410) removes it.
    """
    refuse(
        {
            "choose what to request again: --failed, --older-than-days DAYS or both": (
                not failed and days is None
            ),
            f"--older-than-days must be from 1 to {LONGEST_DAYS}, got {days}": (
                days is not None and not 1 <= days <= LONGEST_DAYS
            ),
        }
    )
    from cli import data

    data.forget(failed, days)


@app.command(
    cls=MeasureCommand,
    epilog="""\
imf measure db15k
imf measure atlas --rows structure full --seeds 0 1 2
imf measure atlas --rows full --set train.epochs=40""",
)
def measure(
    name: options.Recipe,
    rows: options.Rows = None,
    seeds: options.Seeds = None,
    settings: options.Settings = None,
    again: options.Again = False,
) -> None:
    """Measures rows of the table of results.

    Reads the prepared graph and features of the workspace, which must match the recipe. All other
    values are those of the committed params.yaml, overridden by the recipe, the row and the seed. A
    stored measurement with the same values, facts and features is not repeated. A killed run
    resumes.
    """
    from recipes import measure as measuring

    measuring.measure(name, rows, seeds or [0, 1, 2], settings or [], again)


@app.command(
    cls=ModelCommand,
    epilog="""\
imf serve
imf serve --model FOLDER --port 9000      # in any folder
imf serve --curate                        # with decisions about facts
imf serve --host 0.0.0.0 --token-file token.txt""",
)
def serve(
    model: options.Model = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8765,
    token_file: options.TokenFile = None,
    curate: options.Curate = False,
    by: decisions.By = None,
) -> None:
    """Serves a page and a JSON API of the model until Ctrl-C.

    The page shows entities with their facts and proposals, answers questions, takes new entities
    and judges facts. Only this machine reaches it, unless --host names another
    address; every request then needs the token of --token-file or IMF_SERVE_TOKEN.

    `--curate` adds a queue of facts and buttons that accept or reject them; each decision is a line
    of the file dataset.decisions of params.yaml, as by `imf decide`.
    """
    refuse(
        {
            "--curate reads the project, so it does not take --model": curate and bool(model),
            "--by requires --curate": by is not None and not curate,
            "--by must not be blank": by is not None and not by.strip(),
            f"--port must be from 1 to {LARGEST_PORT}, got {port}; the default is 8765": (
                not 1 <= port <= LARGEST_PORT
            ),
        }
    )
    from cli import serve as serving

    serving.serve(model, host, port, token_file, curate, by)


@app.command(cls=Command, epilog="imf ui\nimf ui --port 4300")
def ui(
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            parser=whole_number,
            help="port of Prefect's server; reports on the next",
        ),
    ] = 4200,
) -> None:
    """Runs Prefect's server, flows and a worker until Ctrl-C."""
    wrong = f"--port must be from 1 to {LARGEST_PORT}, got {port}; the default is 4200"
    refuse({wrong: not 1 <= port <= LARGEST_PORT})
    from flows import ui as serving

    serving.main(port)


@app.command(
    cls=Command,
    epilog="imf plots-page\ndvc config --local plots.html_template plots.html",
)
def plots_page() -> None:
    """Writes the page around DVC's plots.

    The page is .dvc/plots.html, with Vega included for offline use.
    """
    from cli import pipeline

    pipeline.write_plots_page()


def call(words: Sequence[str]) -> None:
    """Runs a command.

    Args:
        words: Name of the command and its arguments.

    Raises:
        SystemExit: With status 0 after `--help`, 2 on wrong options or outside a project's folder,
            and the statuses of `run_stage`.
    """
    protect_output()
    command = typer.main.get_command(app)
    try:
        with command.make_context("imf", list(words) or ["--help"]) as context:
            from stages.runner import run_stage

            run_stage(lambda: command.invoke(context))
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)


def main() -> None:
    """Runs the command of the command line; a closed pipe (`| head`) ends it silently."""
    if sys.argv[1:2] not in (["ui"], ["serve"]):  # servers
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        call(sys.argv[1:])
    except KeyboardInterrupt:  # during the imports before `run_stage`, which has its own handler
        print(INTERRUPT_MESSAGE, file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
