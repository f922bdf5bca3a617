"""IMF: Interactive Multimodal Fusion for link prediction (Li et al., WWW 2023).

DOI 10.1145/3543507.3583554, arXiv 2303.10816. The equations, for a query (h, r, ?) and channels k:

    e_k = encoder_k                                   k in {s, v, t}          (section 3.2)
    e_m = fusion(e_s, e_v, e_t) + u,  r_m = fusion(r_s, r_v, r_t)             (section 3.3)
    z_k(h, r, .) = (e_k[h] C_k(r_k)) E_k^T            k in {s, v, t, m}       (section 3.4)
    log p = tau sum_k w_k log softmax z_k                                     (section 3.5)

Our choice: every softmax leaves out the query's own entity where train has no loop of the relation.

Our choice: u is a free vector per fused entity (`fusion.residual`), so the modalities' embeddings
need not encode facts that the modalities lack. Head queries (?, r, t) are tail queries on the
inverse relation, r + R. Fusion and contrastive term leave out a modality that an entity lacks. A
channel takes part in a query, in training and in the decision, if the query's entity has its
modality or most answers of the relation do.

Deviates from the paper's released code: no batch norms in the scorer, dropout only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imf_core.base.config import FusionParams, ModelParams
from imf_core.model.decision import DecisionFusion
from imf_core.model.encoders import (
    BlockDiagonalContext,
    Context,
    DenseContext,
    FeatureEncoder,
    StructuralEncoder,
)
from imf_core.model.fusion import LowRankBilinearFusion, NarrowFusion
from imf_core.model.kernels import Dropout

CHANNEL_OF_MODALITY = {"structure": "structural", "image": "visual", "text": "textual"}
FUSED = "fused"

NO_ANSWER_LOGIT = -1e9
"""Logit of an impossible answer: finite, but its exponential is zero."""


@dataclass(frozen=True)
class Features:
    """Frozen encoder output of one modality.

    Attributes:
        vectors: Zeros where missing, shape: (E, F), dtype: float32.
        is_present: Whether the entity has the modality, shape: (E,), dtype: bool.
        is_in_answers: Whether most of a relation's answers in train have the modality, with
            inverses, shape: (2R,), dtype: bool.
    """

    vectors: Tensor
    is_present: Tensor
    is_in_answers: Tensor


class ContextualScorer(nn.Module):
    """The contextual relational scorer of one channel.

    Args:
        context: The form of C(r).
        dropout: Applied to the head embedding and to the context vector.
    """

    def __init__(self, context: Context, dropout: float) -> None:
        super().__init__()
        self.context = context
        self.dropout = Dropout(dropout)

    def forward(self, heads: Tensor, relation_table: Tensor, relations: Tensor) -> Tensor:
        """Returns context vectors, shape: (B, D), (2R, D_r), (B,) -> (B, D); see `Context`."""
        context = self.context(self.dropout(heads), relation_table, relations)
        vectors: Tensor = self.dropout(context)
        return vectors


class IMF(nn.Module):
    """The model.

    Args:
        has_loops: Whether a relation, inverses included, joins an entity to itself in train,
            shape: (2R,), dtype: bool.
        degree_bins: Bin of each entity by its number of train facts, shape: (E,), dtype: long.
        num_degree_bins: Number of degree bins.
        features: Features of each modality in `model.modalities` other than structure.
        model: Section `model` of the parameters.
        fusion: Section `fusion` of the parameters.

    Attributes:
        channel_names: Channels in the order of every H axis: one per modality, then `fused` where
            there are at least two modalities and `fusion.rank` is not zero.
    """

    has_loops: Tensor
    is_learned: Tensor
    fused_is_present: Tensor

    def __init__(
        self,
        has_loops: Tensor,
        degree_bins: Tensor,
        num_degree_bins: int,
        features: Mapping[str, Features],
        model: ModelParams,
        fusion: FusionParams,
    ) -> None:
        super().__init__()
        self.num_entities = len(degree_bins)
        self.num_relations = num_relations = len(has_loops) // 2
        self.register_buffer("has_loops", has_loops, persistent=False)
        self.detach_fusion = fusion.detach
        self.has_residual = fusion.residual
        modalities = [CHANNEL_OF_MODALITY[name] for name in sorted(model.modalities, key=_order)]
        self.encoders = nn.ModuleDict()
        for name, modality in zip(modalities, sorted(model.modalities, key=_order), strict=True):
            if modality == "structure":
                self.encoders[name] = StructuralEncoder(self.num_entities, model.dim)
            else:
                given = features[modality]
                self.encoders[name] = FeatureEncoder(
                    given.vectors,
                    given.is_present,
                    model.hidden_dim,
                    model.dim_of(name),
                    model.dropout,
                )

        is_dense = model.context == "dense"
        dims = {name: model.dim_of(name) for name in (*modalities, FUSED)}
        relation_dims = {
            name: model.relation_dim if is_dense else dim for name, dim in dims.items()
        }
        self.relation_tables = nn.ParameterDict(
            {
                name: _relation_table(2 * num_relations, relation_dims[name], is_dense, name)
                for name in modalities
            }
        )
        self.channel_names = tuple(modalities)
        if len(modalities) > 1 and fusion.rank > 0:
            self.channel_names += (FUSED,)
            form = LowRankBilinearFusion if fusion.form == "full" else NarrowFusion
            self.entity_fusion = form(
                [dims[name] for name in modalities], dims[FUSED], fusion.rank, fusion.dropout
            )
            self.relation_fusion = form(
                [relation_dims[name] for name in modalities],
                relation_dims[FUSED],
                fusion.rank,
                fusion.dropout,
            )
            if fusion.residual:
                self.fused_residual = StructuralEncoder(self.num_entities, dims[FUSED])
            self.register_buffer(f"{FUSED}_is_present", self._has_leader(), persistent=False)
        self.scorers = nn.ModuleDict(
            {
                name: ContextualScorer(
                    DenseContext(relation_dims[name], dims[name])
                    if is_dense
                    else BlockDiagonalContext(),
                    model.head_dropout,
                )
                for name in self.channel_names
            }
        )
        self.decision = DecisionFusion(
            len(self.channel_names), num_relations, degree_bins, num_degree_bins
        )
        learned = torch.ones(self.num_entities, dtype=torch.bool)
        self.register_buffer("is_learned", learned, persistent=False)
        nowhere = torch.zeros(2 * num_relations, dtype=torch.bool)
        in_answers = {
            CHANNEL_OF_MODALITY[name]: each.is_in_answers for name, each in features.items()
        }
        for name in self.channel_names:
            mask = in_answers.get(name, nowhere)
            self.register_buffer(f"{name}_in_answers", mask, persistent=False)

    def embed_entities(self, entity_ids: Tensor) -> dict[str, Tensor]:
        """Embeds entities in every channel.

        Args:
            entity_ids: Each at most once, shape: (N,), dtype: long.

        Returns:
            Embeddings by channel, shape: (N, D).
        """
        embeddings: dict[str, Tensor] = {
            name: encoder(entity_ids) for name, encoder in self.encoders.items()
        }
        if FUSED in self.channel_names:
            masks = [self.is_present(name)[entity_ids] for name in self.encoders]
            vectors = [self._fusion_input(each) for each in embeddings.values()]
            embeddings[FUSED] = self.entity_fusion(vectors, masks)
            if self.has_residual:
                embeddings[FUSED] = embeddings[FUSED] + self.fused_residual(entity_ids)
        return embeddings

    def embed_relations(self) -> dict[str, Tensor]:
        """Returns each channel's table of relations and inverses, shape: (2R, D_r)."""
        tables = {name: self.relation_tables[name] for name in self.encoders}
        if FUSED in self.channel_names:
            vectors = [self._fusion_input(table) for table in tables.values()]
            everywhere = torch.ones(
                2 * self.num_relations, dtype=torch.bool, device=vectors[0].device
            )
            tables[FUSED] = self.relation_fusion(vectors, [everywhere] * len(vectors))
        return tables

    def is_present(self, channel: str) -> Tensor:
        """Returns which entities have the modality, for `fused` any, shape: (E,), dtype: bool."""
        present = self.fused_is_present if channel == FUSED else self.encoders[channel].is_present
        assert isinstance(present, Tensor)
        return present

    def is_in_answers(self, channel: str) -> Tensor:
        """Returns for which relations most answers have the modality, shape: (2R,), dtype: bool.

        All false for `structural` and `fused`.
        """
        in_answers = getattr(self, f"{channel}_in_answers")
        assert isinstance(in_answers, Tensor)
        return in_answers

    def can_answer(self, channel: str, entity_ids: Tensor, relations: Tensor) -> Tensor:
        """Returns which queries a channel takes part in.

        Args:
            channel: The channel's name.
            entity_ids: Entities of the queries, shape: (B,), dtype: long.
            relations: With inverses, shape: (B,), dtype: long.

        Returns:
            shape: (B,), dtype: bool.
        """
        is_placed = self.is_in_answers(channel)[relations] & self.is_learned[entity_ids]
        return self.is_present(channel)[entity_ids] | is_placed

    def mark_unlearned(self, entity_ids: Tensor) -> None:
        """Masks the structural embedding of entities without train facts.

        Structure then counts as a missing modality. A channel takes part in their queries only if
        they have its modality. They answer no query.

        Args:
            entity_ids: shape: (N,), dtype: long.
        """
        self.is_learned[entity_ids] = False
        if "structural" in self.encoders:
            self.is_present("structural")[entity_ids] = False
        if FUSED in self.channel_names:
            self.fused_is_present.copy_(self._has_leader())

    def _has_leader(self) -> Tensor:
        """Returns which entities have a fused embedding, shape: (E,), dtype: bool."""
        return self.entity_fusion.has_leader([self.is_present(name) for name in self.encoders])

    def fusion_factors(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Returns each modality's factors in the fusion, shape: (N, D) -> (N, F)."""
        return self.entity_fusion.project([self._fusion_input(each) for each in vectors])

    def scorer(self, channel: str) -> ContextualScorer:
        """Returns the scorer of a channel."""
        module = self.scorers[channel]
        assert isinstance(module, ContextualScorer)
        return module

    def _fusion_input(self, vectors: Tensor) -> Tensor:
        """Stops the fused channel's gradient if `fusion.detach` is set."""
        return vectors.detach() if self.detach_fusion else vectors


def _order(modality: str) -> int:
    """Returns the sort key of a modality: structure, image, text."""
    return list(CHANNEL_OF_MODALITY).index(modality)


def _relation_table(rows: int, dim: int, is_dense: bool, channel: str) -> nn.Parameter:
    """Makes a relation table, shape: (rows, dim).

    A block-diagonal context starts near zero for the structural channel, like its entities, and
    near the identity (real part one) for the others, so similar entities start as likely answers
    of each other. A dense context starts at random.
    """
    noise = torch.randn(rows, dim)
    if is_dense:
        return nn.Parameter(noise * dim**-0.5)
    if channel == "structural":
        return nn.Parameter(1e-3 * noise)
    identity = torch.cat([torch.ones(dim - dim // 2), torch.zeros(dim // 2)])
    return nn.Parameter(identity + 0.1 * noise)
