"""IMF: Interactive Multimodal Fusion for link prediction (Li et al., WWW 2023).

DOI 10.1145/3543507.3583554, arXiv 2303.10816. The equations, for a query (h, r, ?) and channels k:

    e_k = encoder_k                                   k in {s, v, t}          (section 3.2)
    e_m = fusion(e_s, e_v, e_t) + u,  r_m = fusion(r_s, r_v, r_t)             (section 3.3)
    z_k(h, r, .) = (e_k[h] C_k(r_k)) E_k^T            k in {s, v, t, m}       (section 3.4)
    log p = tau sum_k w_k log softmax z_k + const                             (section 3.5)

`IMF.forward` computes them as written. `Scorer` computes the same faster, for ranking up to the
order; training computes each z_k. Tests compare them.

Our choice: one more z_k may come from the paths of facts between h and t (`imf_core.paths`).

Our choice: every softmax leaves out the query's own entity where train has no loop of the relation.

Our choice: u is a free vector per fused entity (`fusion.residual`), so the modalities' embeddings
need not encode facts that the modalities lack. Head queries (?, r, t) are tail queries on the
inverse relation, r + R. Fusion and contrastive term leave out a modality that an entity lacks. A
channel takes part in a query, in training and in the decision, if the query's entity has its
modality or most answers of the relation do.

Deviates from the paper's released code: no batch norms in the scorer, dropout only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from imf_core.base.config import FusionParams, ModelParams
from imf_core.base.device import to_device
from imf_core.base.modality import STRUCTURE, channel_of, find_modalities
from imf_core.model.decision import DecisionFusion, insert_by_rank
from imf_core.model.encoders import (
    BlockDiagonalContext,
    Channel,
    DenseContext,
    FeatureEncoder,
    ModalityChannel,
    StructuralEncoder,
)
from imf_core.model.fusion import Fusion
from imf_core.model.kernels import NO_ANSWER_LOGIT
from imf_core.paths.channel import CHANNEL as PATHS
from imf_core.paths.channel import PathChannel
from imf_core.paths.network import PathNetwork

FUSED = "fused"


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
        channels: Channels by name, in the order of every H axis: one per modality, then `fused`
            where there are at least two modalities and `fusion.rank` is not zero.
        fusion: The fusion of the modalities' embeddings, None without a fused channel.
        paths: The channel without embeddings, last in every H axis; None if there is none.
        spare_network: A fine-tuned path network that the decision leaves out, for the questions of
            unseen entities; None if there is none.
    """

    has_loops: Tensor
    is_learned: Tensor

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
        self.num_entities = num_entities = len(degree_bins)
        self.num_relations = len(has_loops) // 2
        all_learned = torch.ones(num_entities, dtype=torch.bool)
        no_relation = torch.zeros_like(has_loops)
        self.register_buffer("has_loops", has_loops, persistent=False)
        self.register_buffer("is_learned", all_learned, persistent=False)
        self.has_unlearned = False

        given = {
            channel_of(name): None if name == STRUCTURE else features[name]
            for name in (STRUCTURE, *find_modalities())
            if name in model.modalities
        }
        is_fused = len(given) > 1 and fusion.rank > 0
        names = (*given, FUSED) if is_fused else tuple(given)
        dims = {name: model.dim_of(name) for name in names}
        is_dense = model.context == "dense"
        relation_dims = {name: model.relation_dim if is_dense else dims[name] for name in names}

        # Initial weights are drawn in this order: encoders, relation tables, fusion, contexts.
        encoders = {
            name: StructuralEncoder(num_entities, dims[name])
            if each is None
            else FeatureEncoder(
                each.vectors, each.is_present, model.hidden_dim, dims[name], model.dropout
            )
            for name, each in given.items()
        }
        tables = {
            name: _relation_table(len(has_loops), relation_dims[name], is_dense, name)
            for name in given
        }
        self.fusion = (
            Fusion(num_entities, list(dims.values()), list(relation_dims.values()), fusion)
            if is_fused
            else None
        )
        channels = nn.ModuleDict()
        for name in names:
            form = (
                DenseContext(relation_dims[name], dims[name])
                if is_dense
                else BlockDiagonalContext()
            )
            each = given.get(name)
            is_present = all_learned.clone() if each is None else each.is_present
            is_in_answers = no_relation if each is None else each.is_in_answers
            shared = form, model.head_dropout, is_present, is_in_answers
            channels[name] = (
                Channel(*shared)
                if name == FUSED
                else ModalityChannel(*shared, encoders[name], tables[name])
            )
        self.channels = cast(Mapping[str, Channel], channels)
        self.paths: PathChannel | None = None
        self.spare_network: PathNetwork | None = None
        self._find_fused()
        self.decision = DecisionFusion(len(names), self.num_relations, degree_bins, num_degree_bins)

    def set_paths(self, paths: PathChannel | None) -> None:
        """Adds or removes the channel `paths`; the decision keeps its values for the others."""
        self.paths = None if paths is None else paths.to(self.is_learned.device)
        self.decision = self.decision.resized(len(self.channel_names))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels in the order of every H axis."""
        return tuple(self.channels) if self.paths is None else (*self.channels, PATHS)

    @property
    def modality_channels(self) -> dict[str, ModalityChannel]:
        """The channels but the fused one, by name."""
        return {k: each for k, each in self.channels.items() if isinstance(each, ModalityChannel)}

    def encode(self, entity_ids: Tensor) -> dict[str, Tensor]:
        """Embeds entities in every channel (sections 3.2 and 3.3).

        Args:
            entity_ids: Each at most once, shape: (N,), dtype: long.

        Returns:
            Embeddings by channel, shape: (N, D).
        """
        own = self.modality_channels
        e: dict[str, Tensor] = {k: channel.encoder(entity_ids) for k, channel in own.items()}
        if self.fusion is not None:
            is_present = [channel.is_present[entity_ids] for channel in own.values()]
            e[FUSED] = self.fusion.fuse_entities(list(e.values()), is_present, entity_ids)
        return e

    def relation_tables(self) -> dict[str, Tensor]:
        """Returns each channel's table of relations and inverses, shape: (2R, D_r)."""
        r: dict[str, Tensor] = {k: each.relations for k, each in self.modality_channels.items()}
        if self.fusion is not None:
            r[FUSED] = self.fusion.fuse_relations(list(r.values()))
        return r

    def logits(self, queries: Tensor, candidates: Tensor) -> dict[str, Tensor]:
        """Returns z_k of every channel (section 3.4); arguments as in `forward`.

        Returns:
            Logits by channel, also where it does not take part, shape: (B, C), dtype: float32.
        """
        heads, relations = queries.unbind(dim=1)
        entity_ids, place = torch.cat([candidates, heads.to(candidates.device)]).unique(
            return_inverse=True
        )
        columns, rows = place.split([len(candidates), len(heads)])
        e, r = self.encode(entity_ids), self.relation_tables()
        z = {
            k: channel.context(e[k][rows], r[k], relations) @ e[k][columns].T
            for k, channel in self.channels.items()
        }
        if self.paths is not None:
            z[PATHS] = self.paths.logits(queries)[:, candidates]
        return z

    def forward(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Returns log p of candidates as the tails of queries, by the decision (section 3.5).

        Args:
            queries: (head, relation with inverses), shape: (B, 2), dtype: long, on the CPU (see
                `Context`).
            candidates: Each at most once, on the model's device, shape: (C,), dtype: long.

        Returns:
            Log-probabilities, minus infinity for the query's own entity where train has no loop of
            the relation, and for entities that `decide` rules out, shape: (B, C), dtype: float32.
        """
        asked = to_device(queries, candidates.device)
        heads, relations = asked[:, :1], asked[:, 1:]
        is_own = (heads == candidates) & ~self.has_loops[relations]
        takes_part = self.takes_part(asked)
        z = torch.stack(list(self.logits(queries, candidates).values()), dim=1)  # (B, H, C)
        log_p = z.masked_fill(is_own.unsqueeze(1), NO_ANSWER_LOGIT).log_softmax(dim=2)
        return self.decide(log_p, asked, takes_part, candidates).log_softmax(dim=1)

    def decide(
        self, log_p: Tensor, queries: Tensor, takes_part: Tensor, candidates: Tensor
    ) -> Tensor:
        """Returns the decision, before it is normalised.

        An unlearned entity has no embeddings to be found by. It answers by its paths alone, at its
        rank among the learned ones by paths, and not at all without facts.

        Args:
            log_p: shape: (B, H, C).
            queries: As in `takes_part`.
            takes_part: shape: (B, H), dtype: bool.
            candidates: On the model's device, shape: (C,), dtype: long.

        Returns:
            Minus infinity for the query's own entity where train has no loop of the relation, and
            where an entity cannot answer, shape: (B, C).
        """
        decided: Tensor = self.decision(log_p, queries, takes_part)
        is_own = (queries[:, :1] == candidates) & ~self.has_loops[queries[:, 1:]]
        decided.masked_fill_(is_own, -torch.inf)
        if not self.has_unlearned:
            return decided
        is_unlearned = ~self.is_learned[candidates]
        decided.masked_fill_(is_unlearned, -torch.inf)
        if self.paths is None:
            return decided
        has_facts = self.paths.has_facts
        by_paths = (is_unlearned & has_facts[candidates]).nonzero().flatten()
        if not len(by_paths):
            return decided
        learned = (~is_unlearned).nonzero().flatten()
        scores = self.decision.sharpen(log_p[:, -1], queries)
        values = insert_by_rank(decided[:, learned], scores[:, learned], scores[:, by_paths])
        values = values.masked_fill(is_own[:, by_paths], -torch.inf)
        decided[:, by_paths] = values.masked_fill(~has_facts[queries[:, :1]], -torch.inf)
        return decided

    def takes_part(self, queries: Tensor) -> Tensor:
        """Returns which channels take part in each query.

        Only `paths` does for an unlearned entity with facts: its text or picture alone says less
        (`python -m recipes.unseen`).

        Args:
            queries: (head, relation with inverses), on the model's device, shape: (B, 2), dtype:
                long.

        Returns:
            shape: (B, H), dtype: bool.
        """
        masks = [each.takes_part(queries, self.is_learned) for each in self.channels.values()]
        if self.paths is not None:
            heads = queries[:, 0]
            by_paths_alone = self.paths.has_facts[heads] & ~self.is_learned[heads]
            masks = [each & ~by_paths_alone for each in masks]
            has_paths = self.paths.has_facts[heads]
            masks.append(has_paths if self.paths.answers_known else by_paths_alone)
        return torch.stack(masks, dim=1)

    def mark_unlearned(self, entity_ids: Tensor) -> None:
        """Masks the structural embedding of entities without train facts.

        Structure then counts as a missing modality. A channel takes part in their queries only if
        they have its modality. They answer queries by paths alone.

        Args:
            entity_ids: shape: (N,), dtype: long.
        """
        self.is_learned[entity_ids] = False
        self.has_unlearned = True
        if "structural" in self.channels:
            self.channels["structural"].is_present[entity_ids] = False
        self._find_fused()

    def _find_fused(self) -> None:
        """Marks the entities that have a fused embedding."""
        if self.fusion is not None:
            masks = [channel.is_present for channel in self.modality_channels.values()]
            self.channels[FUSED].is_present.copy_(self.fusion.has_leader(masks))


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
