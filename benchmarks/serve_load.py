"""Asks a served model with many clients at once: `python -m benchmarks.serve_load`.

The model is that of `--project`, a packed one (`--model FOLDER`), or one of a made graph with
random weights (`--entities N`), which takes the time of a trained one.

Starts `imf serve` and lets the clients ask for some seconds, each one request after the other:
searches, entities, questions, proposals, neighbours and facts to judge, about entities drawn by
their number. The table gives requests per second, the median and the 99th percentile of the time
to an answer, and errors, by kind of request; below it the processor time and the peak memory of the
server.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.accuracy import ROOT, read_params
from benchmarks.encoders import make_texts
from benchmarks.graphs import make_graph, make_tables
from imf_core.base.config import TrainingSpec
from imf_core.inference.completer import Completer
from imf_core.inference.fact_scores import Thresholds
from imf_core.inference.model_folder import pack
from imf_core.model.decision import Calibration
from imf_core.model.saved import build_model, load_config, save_model
from recipes.environment import describe_environment

MIB = 2**20
START_SECONDS = 1_800

MADE: dict[str, object] = {"model.modalities": ["structure", "text"], "fusion.rank": 0}
NUM_RELATIONS, FACTS_PER_ENTITY, HELD_OUT = 200, 3, 5_000
"""Model and graph of `--entities`."""


@dataclass
class Kind:
    """The requests of one kind.

    Attributes:
        seconds: Time to each answer.
        errors: Answers with another status than 200, and failed connections.
    """

    seconds: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True)
class Names:
    """Names that questions are made of.

    Attributes:
        entities: Labels and names of some entities.
        relations: Labels of relations.
    """

    entities: list[tuple[str, str]]
    relations: list[str]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--project", type=Path, default=Path(), help="a project after a run (.)")
    given.add_argument("--model", type=Path, help="a packed model")
    given.add_argument("--entities", type=int, help="of a made graph")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--port", type=int, default=8766)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if chosen.entities:
            chosen.model = pack_made_model(chosen.entities, Path(temporary))
        measure(chosen)


def measure(chosen: argparse.Namespace) -> None:
    """Serves the model, asks it and prints the table."""
    command = [sys.executable, "-m", "cli", "serve", "--port", str(chosen.port)]
    command += ["--model", str(chosen.model.resolve())] if chosen.model else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    server = subprocess.Popen(command, cwd=chosen.project, env=environment)
    try:
        address = f"http://127.0.0.1:{chosen.port}"
        wait_for(address, server)
        print(f"ready after {time.monotonic() - start:.1f} s; {describe_environment()}\n")
        before = processor_seconds(server.pid)
        kinds = asyncio.run(load(address, chosen.clients, chosen.seconds))
        used = processor_seconds(server.pid) - before
        print_table(kinds, chosen.seconds)
        requests = sum(len(kind.seconds) for kind in kinds.values())
        print(
            f"\nclients: {chosen.clients}, processor time: {1000 * used / requests:.1f} ms per "
            f"request, peak memory: {peak_mib(server.pid):,.0f} MiB"
        )
    finally:
        server.terminate()
        server.wait()


def pack_made_model(num_entities: int, folder: Path) -> Path:
    """Packs a model with random weights into a new folder below `folder`.

    Its entities have names and text features.
    """
    graph = make_graph(num_entities, NUM_RELATIONS, FACTS_PER_ENTITY * num_entities, HELD_OUT)
    texts = make_texts(num_entities)
    graph = replace(
        graph,
        entity_names=[f"{' '.join(text.split()[:2])} {n}" for n, text in enumerate(texts)],
        entity_descriptions=texts,
    )
    tables = make_tables(num_entities, {"text": (128, 1.0)})
    params = read_params(MADE)
    spec = TrainingSpec(
        model=params.model, fusion=params.fusion, decision=params.decision, train=params.train
    )
    model = build_model(graph, tables, spec.model, spec.fusion)
    save_model(model, folder / "trained", graph, tables, spec, {"epoch": 0})
    calibration = Calibration(slope=1.0, offset=0.0, shown=1, answers=1, true_answers=1)
    thresholds = Thresholds(default=0.5, relations={}, facts=1, balanced_accuracy=0.5)
    config = load_config(folder / "trained")
    completer = Completer(graph, tables, model, config, calibration, thresholds=thresholds)
    packed = folder / "packed"
    pack(completer, packed)
    return packed


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Waits until the server answers.

    Raises:
        SystemExit: If it ends, or does not answer within `START_SECONDS`.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            sys.exit("the server has ended; see its message above")
        try:
            httpx.get(f"{address}/api/about", timeout=5, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    sys.exit(f"{address} does not answer")


async def load(address: str, clients: int, seconds: float) -> dict[str, Kind]:
    """Runs the clients and returns the requests by kind."""
    kinds: dict[str, Kind] = defaultdict(Kind)
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=address, timeout=300, limits=limits, trust_env=False
    ) as client:
        names = await read_names(client)
        until = time.monotonic() + seconds
        await asyncio.gather(*(ask(client, names, seed, until, kinds) for seed in range(clients)))
    return kinds


async def read_names(client: httpx.AsyncClient) -> Names:
    """Reads names of entities all over the alphabet, and relations."""
    entities: dict[str, str] = {}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789":
        found = (await client.get("/api/search", params={"q": letter, "limit": 200})).json()
        entities |= {each["label"]: each["name"] for each in found["entities"]}
    found = (
        await client.get("/api/search", params={"q": "", "kind": "relation", "limit": 200})
    ).json()
    return Names(list(entities.items()), [each["label"] for each in found["relations"]])


async def ask(
    client: httpx.AsyncClient, names: Names, seed: int, until: float, kinds: dict[str, Kind]
) -> None:
    """Sends requests of one client until a time."""
    draw = random.Random(seed)
    choices: Sequence[tuple[str, Callable[[], tuple[str, dict[str, Any]]]]] = [
        ("search", lambda: search(draw, names)),
        ("search", lambda: search(draw, names)),
        ("search", lambda: search(draw, names)),
        ("entity", lambda: ("/api/entity", {"label": label(draw, names)})),
        ("around", lambda: ("/api/around", {"entity": label(draw, names)})),
        ("neighbours", lambda: ("/api/neighbours", {"entity": label(draw, names)})),
        ("proposals", lambda: ("/api/proposals", {"entity": label(draw, names)})),
        ("tails", lambda: ("/api/tails", {"head": label(draw, names), **relation(draw, names)})),
        ("heads", lambda: ("/api/heads", {"tail": label(draw, names), **relation(draw, names)})),
        (
            "score",
            lambda: (
                "/api/score",
                {
                    "head": label(draw, names),
                    "tail": label(draw, names),
                    **relation(draw, names),
                },
            ),
        ),
    ]
    while time.monotonic() < until:
        kind, make = draw.choice(choices)
        path, values = make()
        start = time.monotonic()
        try:
            answer = await client.get(path, params=values)
            kinds[kind].errors += answer.status_code != 200
        except httpx.TransportError:
            kinds[kind].errors += 1
        kinds[kind].seconds.append(time.monotonic() - start)


def label(draw: random.Random, names: Names) -> str:
    """Draws the label of an entity."""
    return draw.choice(names.entities)[0]


def relation(draw: random.Random, names: Names) -> dict[str, str]:
    """Draws a relation."""
    return {"relation": draw.choice(names.relations)}


def search(draw: random.Random, names: Names) -> tuple[str, dict[str, Any]]:
    """Draws the first letters of a name."""
    name = draw.choice(names.entities)[1]
    return "/api/search", {"q": name[: draw.randint(1, max(1, len(name)))]}


def print_table(kinds: dict[str, Kind], seconds: float) -> None:
    """Prints a row for each kind of request, and one for all."""
    total = Kind(
        [each for kind in kinds.values() for each in kind.seconds],
        sum(kind.errors for kind in kinds.values()),
    )
    print("| request | requests/s | p50 (ms) | p99 (ms) | errors |\n|---|---:|---:|---:|---:|")
    for name, kind in [*sorted(kinds.items()), ("all", total)]:
        middle, late = 1000 * np.percentile(kind.seconds, [50, 99])
        rate = len(kind.seconds) / seconds
        print(f"| {name} | {rate:.1f} | {middle:.0f} | {late:.0f} | {kind.errors} |")


def processor_seconds(process: int) -> float:
    """Returns the processor time of a process."""
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def peak_mib(process: int) -> float:
    """Returns the peak resident memory of a process, on Linux."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / MIB


if __name__ == "__main__":
    main()
