"""Low-rank bilinear fusion of embeddings."""

import pytest
import torch
from torch import Tensor, nn

from imf_core.model import kernels
from imf_core.model.fusion import NARROW_DIM, LowRankBilinearFusion, NarrowFusion

INPUT_DIMS, DIM, RANK = (3, 4, 5), 6, 5
LED, NARROW = 3, 2
"""Terms of full size, one per modality, and the others."""


@pytest.fixture
def fusion() -> LowRankBilinearFusion:
    torch.manual_seed(0)
    fusion = LowRankBilinearFusion(INPUT_DIMS, DIM, RANK, dropout=0.0)
    nn.init.normal_(fusion.lift.weight)  # which starts at zero
    return fusion


@pytest.fixture
def embeddings() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, size, generator=generator) for size in INPUT_DIMS]


@pytest.fixture
def masks() -> list[Tensor]:
    """Rows: all present, three with one or two missing, nothing present."""
    rows = [[1, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    return list(torch.tensor(rows, dtype=torch.bool).T)


def everywhere() -> list[Tensor]:
    return [torch.ones(5, dtype=torch.bool)] * len(INPUT_DIMS)


def test_fusion_equals_a_naive_sum_of_products(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    factors = fusion.project(embeddings)
    expected = torch.zeros(5, DIM)
    for row in range(5):
        present = [modality for modality in range(3) if masks[modality][row]]
        if present:
            product = torch.stack([factors[modality][row] for modality in present]).prod(dim=0)
            led, narrow = product[: LED * DIM].view(LED, DIM), product[LED * DIM :].view(NARROW, -1)
            core = narrow.sum(dim=0) / NARROW**0.5
            expected[row] = led[present].sum(dim=0) / LED**0.5 + fusion.lift.weight @ core
    torch.testing.assert_close(fusion(embeddings, masks), expected)


def test_factors_are_linear_maps_with_a_bias(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor]
) -> None:
    for modality, (factor, embedding) in enumerate(
        zip(fusion.project(embeddings), embeddings, strict=True)
    ):
        core = fusion.cores[modality](embedding @ fusion.reductions[modality].weight.T)
        expected = torch.cat([fusion.projections[modality](embedding), core], dim=1)
        assert factor.shape == (5, LED * DIM + NARROW * NARROW_DIM)
        torch.testing.assert_close(factor, expected)


def test_an_entity_with_nothing_gets_zeros(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    assert fusion(embeddings, masks)[4].tolist() == [0.0] * DIM


def test_a_term_is_left_out_where_its_leader_is_missing(embeddings: list[Tensor]) -> None:
    one_term = LowRankBilinearFusion(INPUT_DIMS, DIM, rank=1, dropout=0.0)
    masks = list(torch.tensor([[1, 1, 1], [0, 1, 1]], dtype=torch.bool).T)
    fused = one_term([each[:2] for each in embeddings], masks)
    assert (fused[0] != 0).all()
    assert (fused[1] == 0).all()


def test_a_fused_embedding_starts_near_the_sum_of_its_leaders(masks: list[Tensor]) -> None:
    torch.manual_seed(0)
    fusion = LowRankBilinearFusion((64, 64, 64), 64, RANK, dropout=0.0)
    vectors = torch.randn(3, 5, 64)
    present = torch.stack(masks).unsqueeze(2)
    expected = (vectors * present).sum(dim=0) / LED**0.5
    distance = (fusion(list(vectors), masks) - expected).norm(dim=1)
    assert (distance <= 0.3 * expected.norm(dim=1)).all()


def test_the_factor_of_a_leader_starts_without_a_bias_and_the_others_at_one(
    fusion: LowRankBilinearFusion,
) -> None:
    for modality, layer in enumerate(fusion.projections):
        expected = [0.0 if leader == modality else 1.0 for leader in range(LED)]
        assert layer.bias.view(LED, DIM).unique(dim=1).flatten().tolist() == expected


def test_narrow_terms_start_without_effect(embeddings: list[Tensor]) -> None:
    fused = []
    for rank in (LED, RANK):
        torch.manual_seed(0)
        fusion = LowRankBilinearFusion(INPUT_DIMS, DIM, rank, dropout=0.0)
        fused.append(fusion(embeddings, everywhere()))
    assert torch.equal(*fused)


def test_the_embedding_of_a_missing_modality_changes_nothing(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    before = fusion(embeddings, masks)
    for embedding, mask in zip(embeddings, masks, strict=True):
        embedding[~mask] = 1e3
    assert torch.equal(fusion(embeddings, masks), before)


def test_a_missing_modality_gets_no_gradient(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    inputs = [each.requires_grad_() for each in embeddings]
    gradients = torch.autograd.grad(fusion(inputs, masks).sum(), inputs)
    for gradient, mask in zip(gradients, masks, strict=True):
        assert (gradient[~mask] == 0).all()
        assert (gradient[mask] != 0).all()


@pytest.mark.parametrize(("layers", "size"), [("projections", DIM), ("cores", NARROW_DIM)])
def test_every_term_counts(
    layers: str, size: int, fusion: LowRankBilinearFusion, embeddings: list[Tensor]
) -> None:
    before = fusion(embeddings, everywhere())
    layer = getattr(fusion, layers)[0]
    with torch.no_grad():
        layer.weight[-size:] = 0.0
        layer.bias[-size:] = 0.0
    assert (fusion(embeddings, everywhere()) != before).all()


@pytest.mark.parametrize("limit", ["MAX_CHUNK_ELEMENTS", "FACTOR_TILE_ELEMENTS"])
def test_parts_change_neither_values_nor_gradients(
    limit: str,
    fusion: LowRankBilinearFusion,
    embeddings: list[Tensor],
    masks: list[Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fuse() -> tuple[Tensor, tuple[Tensor, ...]]:
        inputs = [each.clone().requires_grad_() for each in embeddings]
        fused = fusion(inputs, masks)
        return fused, torch.autograd.grad(fused.square().sum(), [*inputs, *fusion.parameters()])

    whole = fuse()
    monkeypatch.setattr(kernels, limit, 2 * (LED * DIM + NARROW * NARROW_DIM))
    torch.testing.assert_close(fuse(), whole, atol=1e-4, rtol=1e-4)


def test_chunked_fusion_keeps_no_factors_for_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, rank = 64, 50
    fusion = LowRankBilinearFusion(INPUT_DIMS, DIM, rank, dropout=0.0)
    vectors = [torch.randn(rows, size) for size in INPUT_DIMS]
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    def num_kept() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            fusion(vectors, [torch.ones(rows, dtype=torch.bool)] * len(INPUT_DIMS))
        return sum(kept)

    narrow = rows * (rank - LED) * NARROW_DIM
    assert num_kept() >= narrow
    monkeypatch.setattr(kernels, "MAX_CHUNK_ELEMENTS", 8 * rank * NARROW_DIM)
    assert num_kept() < narrow


def test_fusion_is_the_same_at_every_evaluation_with_dropout(embeddings: list[Tensor]) -> None:
    fusion = LowRankBilinearFusion(INPUT_DIMS, DIM, RANK, dropout=0.5).eval()
    one, two = fusion(embeddings, everywhere()), fusion(embeddings, everywhere())
    assert torch.equal(one, two)


@pytest.fixture
def narrow() -> NarrowFusion:
    torch.manual_seed(0)
    narrow = NarrowFusion(INPUT_DIMS, DIM, RANK, dropout=0.0)
    nn.init.normal_(narrow.lift.weight)  # which starts near zero
    return narrow


def cut(embedding: Tensor) -> Tensor:
    """Cuts or fills up the halves of a vector to those of the fused one."""
    size = embedding.shape[1]
    expected = torch.zeros(len(embedding), DIM)
    for start, width, first, stop in (
        (0, DIM // 2, 0, size - size // 2),
        (3, 3, size - size // 2, size),
    ):
        kept = embedding[:, first:stop][:, :width]
        expected[:, start : start + kept.shape[1]] = kept
    return expected


def test_the_narrow_form_equals_a_naive_modulation_of_the_leader(
    narrow: NarrowFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    reduced = narrow.project(embeddings)
    factors = [
        core(each).view(5, RANK, NARROW_DIM)
        for core, each in zip(narrow.cores, reduced, strict=True)
    ]
    expected = torch.zeros(5, DIM)
    for row in range(5):
        present = [modality for modality in range(3) if masks[modality][row]]
        if present:
            product = torch.stack([factors[modality][row] for modality in present]).prod(dim=0)
            scale, shift = (narrow.lift.weight @ product.mean(dim=0)).chunk(2)
            expected[row] = cut(embeddings[present[0]])[row] * (1 + scale) + shift
    torch.testing.assert_close(narrow(embeddings, masks), expected)


def test_the_narrow_form_starts_at_the_first_modality_that_is_present(masks: list[Tensor]) -> None:
    torch.manual_seed(0)
    vectors = list(torch.randn(3, 5, 64))
    fused = NarrowFusion((64, 64, 64), 64, RANK, dropout=0.0)(vectors, masks)
    leaders = torch.stack([vectors[0][0], vectors[0][1], vectors[1][2], vectors[2][3]])
    assert ((fused[:4] - leaders).norm(dim=1) <= 0.1 * leaders.norm(dim=1)).all()
    assert (fused[4] == 0).all()


def test_the_embedding_of_a_missing_modality_changes_nothing_in_the_narrow_form(
    narrow: NarrowFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    before = narrow(embeddings, masks)
    for embedding, mask in zip(embeddings, masks, strict=True):
        embedding[~mask] = 1e3
    assert torch.equal(narrow(embeddings, masks), before)


def test_every_weight_of_the_narrow_form_receives_a_gradient_at_the_start(
    embeddings: list[Tensor],
) -> None:
    fusion = NarrowFusion(INPUT_DIMS, DIM, RANK, dropout=0.0)
    fusion(embeddings, everywhere()).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in fusion.parameters())


def test_every_term_of_the_narrow_form_counts(
    narrow: NarrowFusion, embeddings: list[Tensor]
) -> None:
    before = narrow(embeddings, everywhere())
    for term in range(RANK):
        layer = narrow.cores[0]
        rows = slice(term * NARROW_DIM, (term + 1) * NARROW_DIM)
        with torch.no_grad():
            kept = layer.weight[rows].clone()
            layer.weight[rows] = 0.0
            assert (narrow(embeddings, everywhere()) != before).any(dim=1).all()
            layer.weight[rows] = kept


def test_parts_change_nothing_in_the_narrow_form(
    narrow: NarrowFusion,
    embeddings: list[Tensor],
    masks: list[Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = narrow(embeddings, masks)
    monkeypatch.setattr(kernels, "MAX_CHUNK_ELEMENTS", 2 * RANK * NARROW_DIM)
    torch.testing.assert_close(narrow(embeddings, masks), whole)
