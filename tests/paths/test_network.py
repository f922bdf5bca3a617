"""The path network against its equations as dense matrices, its invariances, its files."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from imf_core.base.errors import DataError
from imf_core.paths import network as paths
from imf_core.paths import path_graph
from imf_core.paths.network import PUBLIC_NAMES, PathNetwork, PathSpec, load_paths, save_paths
from imf_core.paths.path_graph import PathGraph, Tile, build_path_graph, sum_messages

NUM_ENTITIES, NUM_RELATIONS, DIM = 14, 3, 4


def make_network(dtype: torch.dtype = torch.double) -> PathNetwork:
    torch.manual_seed(0)
    return PathNetwork(PathSpec(DIM, relation_layers=2, entity_layers=3)).to(dtype)


def make_triples() -> Tensor:
    """A dense part, a chain of entities that leads away from it, and an entity without facts."""
    generator = torch.Generator().manual_seed(1)
    limits = torch.tensor([6, NUM_RELATIONS, 6])
    dense = (torch.rand(15, 3, generator=generator) * limits).long()
    chain = torch.tensor([[entity, entity % 2, entity + 1] for entity in range(5, 12)])
    return torch.cat([dense, chain])


def make_queries() -> Tensor:
    """One relation with many heads, others with one head each."""
    heads, relations = list(range(NUM_ENTITIES)), [1] * NUM_ENTITIES
    return torch.tensor([[*heads, 3, 12, 8], [*relations, 0, 4, 5]]).T


def make_graph(triples: Tensor) -> PathGraph:
    return build_path_graph(triples, NUM_ENTITIES, NUM_RELATIONS)


def adjacencies(triples: Tensor, num_entities: int, num_relations: int) -> Tensor:
    """Facts and inverses as matrices, shape: (2R, E, E)."""
    head, relation, tail = triples.T
    matrices = torch.zeros(2 * num_relations, num_entities, num_entities, dtype=torch.double)
    matrices[relation, head, tail] = 1.0
    matrices[relation + num_relations, tail, head] = 1.0
    return matrices


def relation_adjacencies(matrices: Tensor) -> Tensor:
    """Head-head, tail-tail, head-tail and tail-head as matrices, shape: (4, 2R, 2R)."""
    heads, tails = matrices.amax(dim=2), matrices.amax(dim=1)
    pairs = [(heads, heads), (tails, tails), (heads, tails), (tails, heads)]
    return torch.stack([(first @ second.T > 0).double() for first, second in pairs])


def pass_densely(
    layers: Sequence[torch.nn.Module], matrices: Tensor, boundary: Tensor, types: Sequence[Tensor]
) -> Tensor:
    x = boundary
    for layer, r in zip(layers, types, strict=True):
        u = boundary + torch.einsum("tvw,wd,td->vd", matrices, x, r)
        x = x + layer.layer_norm(layer.linear(torch.cat([x, u], dim=1))).relu()
    return x


def score_densely(network: PathNetwork, matrices: Tensor, head: int, query: int) -> Tensor:
    """The equations of `imf_core.paths.network` for one query, shape: (E,)."""
    ones = torch.zeros(len(matrices), DIM, dtype=torch.double)
    ones[query % NUM_RELATIONS] = 1.0
    learned = [layer.relation.weight for layer in network.relation_layers]
    z = pass_densely(network.relation_layers, relation_adjacencies(matrices), ones, learned)
    is_head = torch.arange(matrices.shape[1])[:, None] == head
    projected = [layer.relation_projection(z) for layer in network.entity_layers]
    x = pass_densely(network.entity_layers, matrices, is_head * z[query], projected)
    return network.mlp(torch.cat([x, z[query].expand_as(x)], dim=1)).squeeze(1)


def test_scores_and_gradients_equal_the_equations_with_dense_matrices() -> None:
    network, triples, queries = make_network(), make_triples(), make_queries()
    matrices = adjacencies(triples, NUM_ENTITIES, NUM_RELATIONS)
    expected = torch.stack([score_densely(network, matrices, *each) for each in queries.tolist()])
    found = network(make_graph(triples), queries)
    torch.testing.assert_close(found, expected)
    weights = list(network.parameters())
    gradients = [torch.autograd.grad(each.square().sum(), weights) for each in (found, expected)]
    torch.testing.assert_close(*gradients)
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])


@pytest.mark.parametrize("num_vectors", [1, 2], ids=["shared", "per query"])
@pytest.mark.parametrize("tile_elements", [1, 64, 1 << 18])
def test_the_sum_of_messages_has_the_gradients_of_its_plain_form(
    num_vectors: int, tile_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_graph, "TILE_ELEMENTS", tile_elements)
    edges, generator = make_graph(make_triples()).entities, torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.double, generator=generator).requires_grad_()

    x, types = draw(NUM_ENTITIES, 2, DIM), draw(2 * NUM_RELATIONS, num_vectors, DIM)
    node, kind, neighbour = edges.triples.T
    plain = torch.zeros_like(x).index_add(0, node, x[neighbour] * types[kind])
    found = sum_messages(edges, x, types)
    torch.testing.assert_close(found, plain)
    gradients = [torch.autograd.grad(each.exp().sum(), [x, types]) for each in (found, plain)]
    torch.testing.assert_close(*gradients)
    assert torch.autograd.gradcheck(lambda *inputs: sum_messages(edges, *inputs), [x, types])


@pytest.mark.parametrize("tile_elements", [8, 1 << 18])
@pytest.mark.parametrize("edges_per_node", [0, 4, 1000])
@pytest.mark.parametrize("count", [1, 3, 17])
def test_fast_scores_equal_scores_with_gradients(
    count: int, edges_per_node: int, tile_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_graph, "TILE_ELEMENTS", tile_elements)
    monkeypatch.setattr(paths, "EDGES_PER_NODE", edges_per_node)
    monkeypatch.setattr(paths, "RELATIONS_AT_ONCE", 2)
    network, graph, queries = make_network(), make_graph(make_triples()), make_queries()[-count:]
    torch.testing.assert_close(network.score(graph, queries), network(graph, queries).detach())


def test_a_state_changes_only_near_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    apply = paths._View.apply

    def count(
        self: paths._View,
        number: int,
        tiles: list[Tile],
        x: Tensor,
        source: tuple[int, Tensor] | None = None,
    ) -> Tensor:
        result = apply(self, number, tiles, x, source)
        counts.append((source and source[0], len(result)))
        return result

    monkeypatch.setattr(paths._View, "apply", count)
    chain = torch.tensor([[entity, 0, entity + 1] for entity in range(99)])
    network = make_network()
    network.score(build_path_graph(chain, 100, 1), torch.tensor([[0, 0], [50, 0]]))
    assert counts[:3] == [(0, 2), (None, 100), (0, 3)]
    assert [number for head, number in counts if head == 50] == [3, 5, 7]


def test_scores_follow_entities_and_relations_to_other_ids() -> None:
    network, triples, queries = make_network(), make_triples(), make_queries()
    generator = torch.Generator().manual_seed(3)
    entity = torch.randperm(NUM_ENTITIES, generator=generator)
    relation = torch.randperm(NUM_RELATIONS, generator=generator)
    relation = torch.cat([relation, relation + NUM_RELATIONS])
    renamed = torch.stack([entity[triples[:, 0]], relation[triples[:, 1]], entity[triples[:, 2]]])
    asked = torch.stack([entity[queries[:, 0]], relation[queries[:, 1]]], dim=1)
    expected = network(make_graph(triples), queries)
    torch.testing.assert_close(network(make_graph(renamed.T), asked)[:, entity], expected)


def test_further_entities_without_facts_change_no_score() -> None:
    network, triples, queries = make_network(), make_triples(), make_queries()
    larger = build_path_graph(triples, NUM_ENTITIES + 5, NUM_RELATIONS)
    found, expected = network(larger, queries), network(make_graph(triples), queries)
    torch.testing.assert_close(found[:, :NUM_ENTITIES], expected)


def test_a_batch_has_the_scores_of_its_queries_alone() -> None:
    network, graph, queries = make_network(), make_graph(make_triples()), make_queries()
    alone = torch.cat([network(graph, query) for query in queries.split(1)])
    torch.testing.assert_close(network(graph, queries), alone)


def test_a_repeated_fact_counts_once() -> None:
    triples = make_triples()
    network, queries = make_network(), make_queries()
    twice, once = make_graph(torch.cat([triples, triples[:4]])), make_graph(triples)
    assert torch.equal(network(twice, queries), network(once, queries))


def test_facts_are_removed_in_both_directions() -> None:
    triples = make_triples().unique(dim=0)
    removed, kept = triples[:3].clone(), triples[3:]
    head, relation, tail = removed[2].tolist()
    removed[2] = torch.tensor([tail, relation + NUM_RELATIONS, head])
    found = make_graph(triples).without(removed)
    assert torch.equal(found.entities.triples, make_graph(kept).entities.triples)
    assert torch.equal(found.relations.triples, make_graph(triples).relations.triples)


def test_a_graph_without_facts_has_scores() -> None:
    graph = build_path_graph(torch.empty(0, 3, dtype=torch.long), 5, 2)
    network, queries = make_network(), torch.tensor([[0, 1], [3, 1]])
    found = network(graph, queries)
    assert found.isfinite().all()
    torch.testing.assert_close(network.score(graph, queries), found.detach())


def test_saved_weights_are_loaded(tmp_path: Path) -> None:
    network = make_network(torch.float)
    save_paths(network, tmp_path / "paths.safetensors")
    loaded = load_paths(tmp_path / "paths.safetensors")
    assert loaded.spec == network.spec
    torch.testing.assert_close(loaded.state_dict(), network.state_dict())


def test_public_weights_are_loaded_by_their_own_names(tmp_path: Path) -> None:
    network = make_network(torch.float)
    public = {}
    for name, tensor in network.state_dict().items():
        (prefix,) = [public for public, ours in PUBLIC_NAMES.items() if name.startswith(ours)]
        public[prefix + name.removeprefix(PUBLIC_NAMES[prefix])] = tensor
    torch.save({"model": public, "optimizer": {}}, tmp_path / "public.pth")
    loaded = load_paths(tmp_path / "public.pth")
    torch.testing.assert_close(loaded.state_dict(), network.state_dict())


@pytest.mark.parametrize("name", ["paths.safetensors", "public.pth"])
@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_a_file_that_is_no_path_network_is_an_error(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load_paths(tmp_path / name)


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    torch.save({"model": {"mlp.0.weight": torch.zeros(3)}}, tmp_path / "public.pth")
    with pytest.raises(DataError, match=r"public\.pth cannot be read"):
        load_paths(tmp_path / "public.pth")
