"""Low-rank bilinear fusion of embeddings."""

import pytest
import torch
from torch import Tensor

from imf_core.model import fusion as fusion_module
from imf_core.model.fusion import LowRankBilinearFusion

MODALITIES, DIM, RANK, CORE_DIM = 3, 6, 4, 2


@pytest.fixture
def fusion() -> LowRankBilinearFusion:
    """A fusion whose interactions are as loud as its linear part."""
    torch.manual_seed(0)
    made = LowRankBilinearFusion(MODALITIES, DIM, RANK, CORE_DIM, dropout=0.0)
    torch.nn.init.normal_(made.out_of_core)
    return made


@pytest.fixture
def embeddings() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, DIM, generator=generator) for _ in range(MODALITIES)]


@pytest.fixture
def masks() -> list[Tensor]:
    """Rows: all present, three with one or two missing, nothing present."""
    rows = [[1, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    return list(torch.tensor(rows, dtype=torch.bool).T)


def everywhere() -> list[Tensor]:
    return [torch.ones(5, dtype=torch.bool)] * MODALITIES


def test_fusion_equals_a_naive_sum_of_products(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    found = fusion(embeddings, masks)
    for row in range(5):
        expected, interaction = torch.zeros(DIM), torch.zeros(CORE_DIM)
        present = [modality for modality in range(3) if masks[modality][row]]
        for modality in present:
            expected += embeddings[modality][row] @ fusion.linear[modality] / 3**0.5
        for term in range(RANK):
            product = torch.ones(CORE_DIM)
            for modality in present:
                matrix = fusion.factors[modality].view(CORE_DIM, RANK, CORE_DIM)[:, term]
                core = embeddings[modality][row] @ fusion.into_core[modality]
                product = product * (1 + core @ matrix)
            interaction += (product - 1) / RANK**0.5
        expected += interaction @ fusion.out_of_core
        torch.testing.assert_close(found[row], expected)


def test_an_entity_with_nothing_gets_zeros(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    assert fusion(embeddings, masks)[4].tolist() == [0.0] * DIM


def test_fusion_starts_near_the_scaled_sum_of_what_is_present(
    masks: list[Tensor],
) -> None:
    torch.manual_seed(0)
    fusion = LowRankBilinearFusion(MODALITIES, 64, RANK, 16, dropout=0.0)
    vectors = torch.randn(3, 5, 64)
    expected = (vectors * torch.stack(masks).unsqueeze(2)).sum(dim=0) / 3**0.5
    distance = (fusion(list(vectors), masks) - expected).norm(dim=1)
    assert (distance <= 0.3 * expected.norm(dim=1)).all()


@pytest.mark.parametrize("missing", [0.0, 1e3, float("nan")])
def test_the_embedding_of_a_missing_modality_changes_nothing(
    missing: float, fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    before = fusion(embeddings, masks)
    for embedding, mask in zip(embeddings, masks, strict=True):
        embedding[~mask] = missing
    assert torch.equal(fusion(embeddings, masks), before)


def test_a_missing_modality_gets_no_gradient(
    fusion: LowRankBilinearFusion, embeddings: list[Tensor], masks: list[Tensor]
) -> None:
    inputs = [each.requires_grad_() for each in embeddings]
    gradients = torch.autograd.grad(fusion(inputs, masks).sum(), inputs)
    for gradient, mask in zip(gradients, masks, strict=True):
        assert (gradient[~mask] == 0).all()
        assert (gradient[mask] != 0).all()


@pytest.mark.parametrize("term", range(RANK))
def test_every_rank_one_term_counts(
    term: int, fusion: LowRankBilinearFusion, embeddings: list[Tensor]
) -> None:
    before = fusion(embeddings, everywhere())
    with torch.no_grad():
        fusion.factors[0, :, term * CORE_DIM : (term + 1) * CORE_DIM] = 0.0
    assert (fusion(embeddings, everywhere()) != before).all()


def test_modalities_interact(fusion: LowRankBilinearFusion, embeddings: list[Tensor]) -> None:
    def with_first(scale: float) -> Tensor:
        first, *others = embeddings
        return fusion([scale * first, *others], everywhere())

    def with_silent_others(scale: float) -> Tensor:
        silent = [torch.zeros_like(each) for each in embeddings[1:]]
        return fusion([scale * embeddings[0], *silent], everywhere())

    effect, effect_alone = with_first(2.0) - with_first(1.0), with_silent_others(1.0)
    assert (effect - effect_alone).abs().max() > 0.1


def test_chunks_change_neither_values_nor_gradients(
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
    monkeypatch.setattr(fusion_module, "MAX_CHUNK_ELEMENTS", 2 * MODALITIES * RANK * CORE_DIM)
    torch.testing.assert_close(fuse(), whole)


def test_chunked_fusion_keeps_no_factors_for_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, rank = 64, 50
    fusion = LowRankBilinearFusion(MODALITIES, DIM, rank, CORE_DIM, dropout=0.0)
    vectors = [torch.randn(rows, DIM) for _ in range(MODALITIES)]
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    def num_kept() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            fusion(vectors, [torch.ones(rows, dtype=torch.bool)] * MODALITIES)
        return sum(kept)

    assert num_kept() >= rows * rank * CORE_DIM
    chunk = MODALITIES * rank * CORE_DIM
    monkeypatch.setattr(fusion_module, "MAX_CHUNK_ELEMENTS", 8 * chunk)
    assert num_kept() < rows * rank * CORE_DIM


def test_fusion_is_the_same_at_every_evaluation_with_dropout(embeddings: list[Tensor]) -> None:
    fusion = LowRankBilinearFusion(MODALITIES, DIM, RANK, CORE_DIM, dropout=0.5).eval()
    one, two = fusion(embeddings, everywhere()), fusion(embeddings, everywhere())
    assert torch.equal(one, two)
