"""Measures a GPU: `python -m benchmarks gpu`, at most 9 minutes.

Needs torch, numpy, pyarrow, pydantic, transformers and what these bring along (PyYAML among them).

Facts of DB15K and FB15K-237 come from `--data FOLDER` (`FOLDER/db15k/train.txt`, ...) or from the
folder in IMF_MIRROR; without both, graphs of the same shapes are made, and named `synthetic`. Each
part has a share of the time, a part that fails does not end the others, and the figures are written
after each part, in the form of `benchmarks/results.json`. `--dry-run` runs every part at tiny
sizes, on the CPU.
"""

import argparse
import copy
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accuracy import read_params
from benchmarks.gpu_bench import (
    BATCH,
    PART,
    TINY,
    Bench,
    Sizes,
    add_memory,
    build,
    iterate_batches,
    make_rows,
    mrr,
    recipe_values,
    reset_memory,
)
from benchmarks.graphs import World, make_graph, make_tables
from benchmarks.results import RESULTS, Row, Run, load_results, render_full, save_results
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.scorer import Scorer
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import build_path_graph
from imf_core.training.optimization import TrainingStep
from imf_core.training.trainer import Record, Trainer
from recipes.environment import count_cores, describe_environment

SETS = ("db15k", "fb15k-237")
SELECTION_SECONDS = {"db15k": 100.0, "fb15k-237": 130.0}
"""Limits of the trainings to the selected epoch."""

LIMIT_SECONDS = 510.0
"""Of all parts; imports and the last work in progress come on top."""

EXACT = {"model.dropout": 0.0, "model.head_dropout": 0.0, "fusion.dropout": 0.0}
"""Values without random numbers, for the comparison of devices."""


def measure_products(bench: Bench) -> None:
    """Measures the rate of a square product in each type of number."""
    size = bench.sizes.product
    for dtype in (torch.float32, torch.bfloat16):
        left, right = (torch.randn(size, size, device=bench.device).to(dtype) for _ in range(2))
        seconds = bench.time(lambda: left @ right, 3)  # noqa: B023 - called at once
        bench.rates[dtype] = 2 * size**3 / seconds
        name = str(dtype).removeprefix("torch.")
        note = f"{size} x {size} x {size}, TF32 {torch.backends.cuda.matmul.allow_tf32}"
        bench.add(f"product in {name}", bench.rates[dtype] / 1e12, "TFLOP/s", note)


def compare_devices(bench: Bench) -> None:
    """Compares losses of the same steps, and ranks by the same weights, with the CPU."""
    entities = bench.sizes.entities
    graph = make_graph(entities, 20, num_facts=5 * entities, num_held_out=max(50, entities // 20))
    world = World(graph, make_tables(entities, {"image": (64, 0.5), "text": (64, 1.0)}))
    values: dict[str, object] = {**EXACT, "train.batch_size": 256}
    start = build(world, read_params(values))
    losses = {}
    for name, device, precision in (
        ("CPU", torch.device("cpu"), "float32"),
        ("float32", bench.device, "float32"),
        ("bfloat16", bench.device, "bfloat16"),
    ):
        params = read_params({**values, "train.precision": precision})
        model = copy.deepcopy(start).to(device)
        step = TrainingStep(model.train(), params, device)
        batches, generator = iterate_batches(world, params), torch.Generator().manual_seed(0)
        found = [step(next(batches), generator) for _ in range(bench.sizes.steps)]
        losses[name] = torch.stack([each.cpu() for each in found])
        step.average.catch_up()
        trained = step.average.model
    for name in ("float32", "bfloat16"):
        difference = float(((losses[name] - losses["CPU"]) / losses["CPU"]).abs().max())
        note = f"largest relative difference to the CPU in {bench.sizes.steps} steps"
        bench.add(f"loss in {name} against the CPU", difference, "", note)
    known = known_tails_in(graph)
    tables = [
        rank_triples(Scorer(model), graph.triples["test"], known, graph.num_relations, BATCH)
        for model in (trained, copy.deepcopy(trained).cpu())
    ]
    ours, theirs = (table.ranks[COMBINED] for table in tables)
    bench.add("ranks equal to those on the CPU", 100 * float((ours == theirs).mean()), "%")
    bench.add("MRR minus that on the CPU", mrr(tables[0]) - mrr(tables[1]), "")


def measure_steps(bench: Bench, name: str) -> None:
    """Measures training steps of a set's recipe: seconds per epoch, share of the product rate."""
    named = bench.world(name)
    for precision in ("bfloat16", "float32"):
        values = {**recipe_values(name), "model.modalities": ["structure", "image", "text"]}
        params = bench.params({**values, "train.precision": precision})
        model = build(named.world, params).to(bench.device)
        step = TrainingStep(model.train(), params, bench.device)
        batches, generator = iterate_batches(named.world, params), torch.Generator().manual_seed(0)
        reset_memory(bench)
        counter = FlopCounterMode(display=False)
        step(next(batches), generator)  # makes the optimisers' state
        with counter:
            step(next(batches), generator)

        def work() -> None:
            for _ in range(bench.sizes.steps):
                step(next(batches), generator)  # noqa: B023 - called at once

        seconds = bench.time(work, 12) / bench.sizes.steps
        steps = -(-len(make_rows(named.world, params)) // params.train.batch_size)
        note = f"{steps} steps of {params.train.batch_size} rows, four channels; {named.source}"
        bench.add(f"{named.name}: epoch in {precision}", steps * seconds, "s", note)
        rate = counter.get_total_flops() / seconds
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        share, note = 100 * rate / bench.rates[dtype], "products of a step alone over its time"
        bench.add(f"{named.name}: share of the product rate in {precision}", share, "%", note, True)
        add_memory(bench, f"{named.name}: memory of training in {precision}")


class OutOfTimeError(Exception):
    """Ends a training at the limit of its part."""


def measure_selection(bench: Bench, name: str, seconds: float) -> None:
    """Measures the time to the selected epoch of structure alone, and its MRR.

    Args:
        bench: The bench.
        name: The set.
        seconds: The training ends with the first validation after so many.
    """
    named = bench.world(name)
    epochs = {"train.epochs": 100, "train.validate_every": 2, "train.patience": "auto"}
    if bench.sizes == TINY:
        epochs = {"train.epochs": 2, "train.validate_every": 1, "train.patience": "auto"}
    values = {**recipe_values(name), "model.modalities": ["structure"], **epochs}
    params = bench.params(values)
    model = build(named.world, params)
    trainer = Trainer(model, named.world.graph, params)
    start, ends = time.monotonic(), {}

    def on_validation(record: Record) -> None:
        bench.wait()
        ends[int(record["epoch"])] = time.monotonic() - start
        print(f"  epoch {record['epoch']:.0f}: MRR {record['valid_mrr']:.4f} on valid", flush=True)
        if time.monotonic() > min(start + seconds, bench.end):
            raise OutOfTimeError

    how = "stopped by its patience"
    try:
        trainer.fit(on_validation)
        if trainer.progress.epoch == trainer.params.epochs:
            how = "all epochs"
    except OutOfTimeError:
        how = "stopped by the clock: more epochs may gain"
        trainer.model.load_state_dict(trainer.progress.best_state)
        trainer.fit_final_decision()
    best = trainer.progress.best_epoch
    note = f"epoch {best} of {trainer.progress.epoch}, {how}; structure alone; {named.source}"
    bench.add(f"{named.name}: to the selected epoch, with validation", ends[best], "s", note)
    bench.add(f"{named.name}: MRR on valid", 100 * trainer.progress.best_mrr, "%", note)
    graph = named.world.graph
    table = rank_triples(
        Scorer(trainer.model),
        graph.triples["test"],
        known_tails_in(graph),
        graph.num_relations,
        BATCH,
    )
    bench.add(f"{named.name}: MRR on test", 100 * mrr(table), "%", note)


def measure_ranking(bench: Bench, name: str) -> None:
    """Measures filtered ranking by every channel and the decision."""
    named = bench.world(name)
    values = {**recipe_values(name), "model.modalities": ["structure", "image", "text"]}
    model = build(named.world, bench.params(values)).to(bench.device)
    graph = named.world.graph
    facts, known, scorer = graph.triples["test"], known_tails_in(graph), Scorer(model)
    reset_memory(bench)
    seconds = bench.time(lambda: rank_triples(scorer, facts, known, graph.num_relations, BATCH), 12)
    note = f"both directions, four channels and the decision; {named.source}"
    bench.add(f"{named.name}: ranking", len(facts) / seconds, "facts/s", note)
    add_memory(bench, f"{named.name}: memory of ranking")


def measure_images(bench: Bench) -> None:
    """Measures the forward pass of CLIP's image encoder with random weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # noqa: PLC0415

    config = CLIPVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=bench.sizes.layers,
        num_attention_heads=12,
        image_size=224,
        patch_size=32,
        projection_dim=512,
    )
    dtype = torch.float16 if bench.device.type == "cuda" else torch.float32
    model: nn.Module = CLIPVisionModelWithProjection(config)
    model = model.to(bench.device, dtype).eval()
    count = bench.sizes.images
    pixels = torch.randn(count, 3, 224, 224, device=bench.device, dtype=dtype)
    seconds = bench.time(torch.inference_mode()(lambda: model(pixel_values=pixels)), 8)
    name = str(dtype).removeprefix("torch.")
    note = f"ViT-B/32, batches of {count} in {name}, random weights, without decoding"
    bench.add("CLIP, forward pass", count / seconds, "images/s", note)


def measure_texts(bench: Bench) -> None:
    """Measures the forward pass of BERT-base with random weights."""
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    dtype = torch.float16 if bench.device.type == "cuda" else torch.float32
    config = BertConfig(num_hidden_layers=bench.sizes.layers)
    model: nn.Module = BertModel(config)
    model = model.to(bench.device, dtype).eval()
    count, words = bench.sizes.texts, bench.sizes.words
    tokens = torch.randint(config.vocab_size, (count, words), device=bench.device)
    mask = torch.ones_like(tokens)
    work = torch.inference_mode()(lambda: model(input_ids=tokens, attention_mask=mask))
    seconds = bench.time(work, 8)
    name = str(dtype).removeprefix("torch.")
    note = f"BERT-base, batches of {count} x {words} tokens in {name}, random weights"
    bench.add("BERT, forward pass", count / seconds, "texts/s", note)


def measure_paths(bench: Bench) -> None:
    """Measures queries of the path network, and compares their scores with the CPU's."""
    named = bench.world(SETS[0])
    graph = named.world.graph
    torch.manual_seed(0)
    network = PathNetwork(PathSpec()).eval()
    path_graph = build_path_graph(graph.triples["train"], graph.num_entities, graph.num_relations)
    queries = graph.triples["test"][: bench.sizes.paths, :2].contiguous()
    expected = network.score(path_graph, queries[:1])
    network, path_graph = network.to(bench.device), path_graph.to(bench.device)
    asked = queries.to(bench.device)
    found = network.score(path_graph, asked[:1]).cpu()
    difference = float((found - expected).abs().max() / expected.abs().max())
    bench.add("paths: largest difference to the CPU over the largest score", difference, "")
    reset_memory(bench)
    seconds = bench.time(lambda: network.score(path_graph, asked), 10)
    note = f"{len(queries)} at once, width {PathSpec().dim}, six layers; {named.source}"
    bench.add(f"{named.name}: paths", len(queries) / seconds, "queries/s", note)
    add_memory(bench, f"{named.name}: memory of paths")


def list_parts() -> dict[str, Callable[[Bench], None]]:
    """Returns the parts by title, in order: the short and certain ones first."""
    parts: dict[str, Callable[[Bench], None]] = {
        "products": measure_products,
        "same results as the CPU": compare_devices,
    }
    for name in SETS:
        parts[f"training steps, {name}"] = partial(measure_steps, name=name)
        parts[f"ranking, {name}"] = partial(measure_ranking, name=name)
    parts |= {"images": measure_images, "texts": measure_texts, "paths": measure_paths}
    for name, seconds in SELECTION_SECONDS.items():
        title = f"to the selected epoch, {name}"
        parts[title] = partial(measure_selection, name=name, seconds=seconds)
    return parts


def run_parts(bench: Bench, keep: Callable[[list[Row]], None]) -> list[str]:
    """Runs all parts until the time is up.

    Args:
        bench: The bench.
        keep: Called with all figures after each part.

    Returns:
        Titles of the parts that failed or had no time left.
    """
    failed = []
    for title, part in list_parts().items():
        start = time.monotonic()
        print(f"{title} ({bench.end - start:.0f} s left of all)", flush=True)
        if start > bench.end:
            failed.append(f"{title} (no time left)")
            continue
        try:
            part(bench)
        except Exception:  # of any kind: a part must not end the others
            traceback.print_exc()
            failed.append(title)
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"  {time.monotonic() - start:.1f} s", flush=True)
        keep(bench.rows)
    return failed


def main(words: list[str]) -> None:
    """Measures all parts and stores the figures.

    Args:
        words: Of the command line.
    """
    parser = argparse.ArgumentParser(
        "python -m benchmarks gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with NAME/train.txt, ...")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results.json")
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="of all parts (510)")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, on the CPU")
    given = parser.parse_args(words)
    if not given.dry_run and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; try the parts on the CPU with --dry-run")
    device = torch.device("cpu" if given.dry_run else "cuda")
    mirror = os.environ.get("IMF_MIRROR")
    bench = Bench(
        device=device,
        sizes=TINY if given.dry_run else Sizes(),
        mirror=Path(mirror) if mirror and not given.dry_run else None,
        folder=given.data,
        end=time.monotonic() + given.seconds,
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    environment = {**describe_environment(), "device": name}
    print(", ".join(f"{key} {value}" for key, value in environment.items()), flush=True)
    path = given.output or (None if given.dry_run else RESULTS)

    def keep(rows: list[Row]) -> None:
        if path is not None:
            results = load_results(path)
            results.add(Run(PART, count_cores(), environment, tuple(rows)))
            save_results(results, path)

    failed = run_parts(bench, keep)
    if path is not None:
        print(render_full(load_results(path), [PART]))
    if failed:
        sys.exit(f"failed, see above: {', '.join(failed)}")
