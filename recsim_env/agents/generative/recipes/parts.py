"""The parts that recipes name. A new one is one line here; its options are the arguments of what it makes."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.agents.generative.encoders.code_sequence import CodeSequence
from recsim_env.agents.generative.generative_recommender import OfEncoder
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.head import IdentifierHead
from recsim_env.agents.generative.heads.parallel import ParallelHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.heads.set_query import QueryLoss, SetQueryHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.item_encoders.gated_vectors import GatedVectors
from recsim_env.agents.generative.item_encoders.hashed_vectors import HashedVectors
from recsim_env.agents.generative.item_encoders.ngram_vectors import NgramVectors
from recsim_env.agents.generative.item_encoders.piece_vectors import PieceVectors
from recsim_env.agents.generative.item_encoders.set_tokens import SetTokens
from recsim_env.agents.generative.losses.branch_alignment import BranchAlignment
from recsim_env.agents.generative.losses.feature_alignment import FeatureAlignment
from recsim_env.agents.generative.losses.pairwise_ranking import PairwiseRanking
from recsim_env.agents.generative.losses.prefix_aware import PrefixAware
from recsim_env.agents.generative.preferences import Preferences
from recsim_env.agents.generative.recipes.options import Part, checked, part_named
from recsim_env.agents.generative.recipes.recipe import Known, Options
from recsim_env.agents.generative.tokenisers.experts import experts
from recsim_env.agents.generative.tokenisers.fsq import fsq
from recsim_env.agents.generative.tokenisers.hierarchical import collaborative, hierarchical
from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, joined, resolve
from recsim_env.agents.generative.tokenisers.k_means import k_means
from recsim_env.agents.generative.tokenisers.numbered import atomic, random, sequential
from recsim_env.agents.generative.tokenisers.product import product
from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
from recsim_env.agents.generative.tokenisers.rq_vae import rq_vae
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.gru4rec import GRU4Rec
from recsim_env.agents.sequential.neural.encoders.hstu import HSTU
from recsim_env.agents.sequential.neural.encoders.intent_reasoner import IntentReasoner
from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import LatentReasoning
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.encoders.state_space import StateSpace
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.ensemble_reasoning import EnsembleReasoning
from recsim_env.agents.sequential.neural.losses.graph_prior import GraphPrior
from recsim_env.agents.sequential.neural.losses.intent_consistency import IntentConsistency
from recsim_env.agents.sequential.neural.losses.progressive_reasoning import ProgressiveReasoning
from recsim_env.errors import InputError, unknown_name

FEWEST_OF_A_CODE = 8  # items for each code of a level

OF = ("features", "vectors", "both")


def _of_items(tokeniser: Callable[..., Identifiers]) -> Part:
    """A tokeniser of numbers of items; `of` says which: what they are, who takes them, or both."""

    def make(known: Known, of: str = "features", **options: Any) -> Identifiers:
        return tokeniser(_numbers(known, of), seed=known.seed, **options)

    return Part(make, tokeniser, ("of",))


def _numbers(known: Known, of: str) -> Any:
    if of not in OF:
        raise unknown_name("numbers of items", of, OF)
    if of == "both":
        spread = [one / max(one.std(), 1e-12) for one in (known.features, known.vectors)]
        return np.concatenate(spread, axis=1)
    return getattr(known, of)


def _rq_vae(known: Known, collaborative: bool = False, **options: Any) -> Identifiers:
    vectors = known.vectors if collaborative else None
    return rq_vae(known.features, vectors=vectors, seed=known.seed, **options)


def _residual_then_product(
    known: Known,
    level_sizes: tuple[int, ...] = (256, 256),
    levels: int = 2,
    size: int = 256,
    balanced: bool = True,
    collisions: str = "append",
) -> Identifiers:
    """OneSearch's: a hierarchy by residual k-means, and a product of codes for what is left over."""
    first = residual_k_means(
        known.features, level_sizes, balanced=balanced, collisions="allow", seed=known.seed
    )
    assert first.rebuilt is not None  # as its codes have centres
    left = known.features - first.rebuilt
    second = product(left, levels, size, collisions="allow", seed=known.seed)
    return resolve(joined([first, second]), collisions)


def _joined(known: Known, parts: list[Options], collisions: str = "append") -> Identifiers:
    """Several tokenisers side by side."""
    return resolve(joined([tokeniser(part, known) for part in parts]), collisions)


TOKENISERS: dict[str, Part] = {
    "atomic": Part(lambda known: atomic(known.num_items), atomic),
    "random": Part(lambda known, **options: random(known.num_items, seed=known.seed, **options), random),
    "sequential": Part(
        lambda known, **options: sequential(known.log, num_items=known.num_items, **options), sequential
    ),
    "collaborative": Part(
        lambda known, **options: collaborative(
            known.log, num_items=known.num_items, seed=known.seed, **options
        ),
        collaborative,
    ),
    "hierarchical": _of_items(hierarchical),
    "residual_k_means": _of_items(residual_k_means),
    "product": _of_items(product),
    "fsq": _of_items(fsq),
    "experts": _of_items(experts),
    "rq_vae": Part(_rq_vae, rq_vae, ("collaborative",)),
    "residual_then_product": Part(_residual_then_product, _residual_then_product),
    "joined": Part(_joined, _joined),
}


def _hashed(
    read: Identifiers,
    known: Known,
    dimension: int = 64,
    rows: int = 1000,
    tables: int = 2,
    combined: str = "sum",
) -> HashedVectors:
    """Hashed ids."""
    return HashedVectors(known.num_items, dimension, rows=rows, tables=tables, combined=combined)


def _ngrams(
    read: Identifiers, known: Known, dimension: int = 64, rows: int = 1000, length: int = 2
) -> NgramVectors:
    """N-grams of codes."""
    return NgramVectors(read.codes, read.level_sizes, dimension, rows=rows, length=length)


def _pieces(read: Identifiers, known: Known, vocabulary: int = 5000, dimension: int = 64) -> PieceVectors:
    """Pieces of codes; of the codes alone where there are more of these than `vocabulary`."""
    counts = np.bincount(known.log.slate[known.log.clicked], minlength=known.num_items)
    most = max(vocabulary, sum(read.level_sizes))
    return PieceVectors(read.codes, read.level_sizes, dimension, counts=counts, vocabulary=most)


def _gated(read: Identifiers, known: Known, first: Options, second: Options) -> GatedVectors:
    """Two tables under a gate."""
    return GatedVectors(items(first, read, known), items(second, read, known))


ITEMS: dict[str, Part] = {
    "ids": Part(lambda read, known, **options: ItemVectors(known.num_items, **options), ItemVectors),
    "features": Part(
        lambda read, known, **options: ItemVectors(known.num_items, features=known.features, **options),
        ItemVectors,
    ),
    "codes": Part(
        lambda read, known, **options: CodeVectors(read.codes, read.level_sizes, **options), CodeVectors
    ),
    "hashed": Part(_hashed, _hashed),
    "ngrams": Part(_ngrams, _ngrams),
    "pieces": Part(_pieces, _pieces),
    "gated": Part(_gated, _gated),
    "set": Part(
        lambda read, known, **options: SetTokens(known.vectors, known.features, **options), SetTokens
    ),
}
ENCODERS: dict[str, Part] = {
    "sasrec": Part(SASRec, SASRec),
    "hstu": Part(HSTU, HSTU),
    "gru4rec": Part(GRU4Rec, GRU4Rec),
    "state_space": Part(StateSpace, StateSpace),
    "code_sequence": Part(CodeSequence, CodeSequence),
}
WRAPPERS: dict[str, Part] = {
    "intents": Part(IntentReasoner, IntentReasoner),
    "reasoning": Part(LatentReasoning, LatentReasoning),
}
HEADS: dict[str, Part] = {
    "autoregressive": Part(
        lambda written, items, **options: AutoregressiveHead(written.level_sizes, items.dimension, **options),
        AutoregressiveHead,
    ),
    "decoder": Part(
        lambda written, items, **options: DecoderHead(written.level_sizes, items.dimension, **options),
        DecoderHead,
    ),
    "parallel": Part(
        lambda written, items, **options: ParallelHead(written.level_sizes, items.dimension, **options),
        ParallelHead,
    ),
    "projection": Part(lambda written, items, generator: ProjectionHead(items), ProjectionHead),
    "set_query": Part(lambda written, items, **options: SetQueryHead(items, **options), SetQueryHead),
}
LOSSES: dict[str, Part] = {
    "branch_alignment": Part(lambda known, **options: OfEncoder(BranchAlignment(**options)), BranchAlignment),
    "pairwise_ranking": Part(lambda known, **options: PairwiseRanking(**options), PairwiseRanking),
    "prefix_aware": Part(lambda known, **options: PrefixAware(**options), PrefixAware),
    "queries": Part(lambda known, **options: QueryLoss(**options), QueryLoss),
    "intent_consistency": Part(
        lambda known, **options: OfEncoder(IntentConsistency(**options)), IntentConsistency
    ),
    "progressive_reasoning": Part(
        lambda known, **options: OfEncoder(ProgressiveReasoning(**options)), ProgressiveReasoning
    ),
    "ensemble_reasoning": Part(
        lambda known, **options: OfEncoder(EnsembleReasoning(**options)), EnsembleReasoning
    ),
    "graph_prior": Part(lambda known, **options: OfEncoder(GraphPrior(**options)), GraphPrior),
    "feature_alignment": Part(
        lambda known, **options: FeatureAlignment(known.features, **options), FeatureAlignment
    ),
}
# what these are given beside a recipe's options
OF_DATA = ("features", "log", "num_items", "seed", "vectors", "known")
OF_ITEMS = (*OF_DATA, "read", "codes", "level_sizes", "counts")
OF_CODES = ("codes", "level_sizes", "dimension", "items", "generator")


def tokeniser(options: Options, known: Known) -> Identifiers:
    """Identifiers; see `recipe.tokenise`."""
    part, given = part_named("tokeniser", options, TOKENISERS, OF_DATA)
    arguments = inspect.signature(part.of).parameters
    if "level_sizes" in arguments:
        sizes = given.get("level_sizes", arguments["level_sizes"].default)
        given["level_sizes"] = tuple(min(size, _most(known, len(sizes))) for size in sizes)
    if "size" in arguments:
        levels = given.get("levels", arguments["levels"].default)
        given["size"] = min(given.get("size", arguments["size"].default), _most(known, levels))
    found: Identifiers = part.make(known, **given)
    return found


def _most(known: Known, levels: int) -> int:
    """Codes of a level: an eighth of the items, but enough to tell all apart."""
    return max(2, known.num_items // FEWEST_OF_A_CODE, math.ceil(known.num_items ** (1 / levels)))


def items(options: Options, read: Identifiers, known: Known) -> ItemTable:
    """Vectors of the items of a history, whose codes are `read`."""
    part, given = part_named("items", options, ITEMS, OF_ITEMS)
    table: ItemTable = part.make(read, known, **given)
    return table


def encoder(options: Options, items: ItemTable, generator: Any) -> SequenceEncoder:
    """An encoder; `[encoder.NAME]` wraps it by one of `WRAPPERS`."""
    plain, around = _taken_apart(options)
    part, given = part_named("encoder", plain, ENCODERS, ("items", "generator"))
    found: SequenceEncoder = part.make(items, generator=generator, **given)
    for name, more in around.items():
        wrapper, given = part_named("encoder", {"name": name, **more}, WRAPPERS, ("encoder", "generator"))
        found = wrapper.make(found, generator=generator, **given)
    return found


def head(options: Options, written: Identifiers, items: ItemTable, generator: Any) -> IdentifierHead:
    """A head that says identifiers as they are written."""
    part, given = part_named("head", options, HEADS, OF_CODES)
    found: IdentifierHead = part.make(written, items, generator=generator, **given)
    return found


def grouped_preferences(
    known: Known, dimension: int, generator: Any, groups: int = 32, absent: float = 0.5
) -> Preferences:
    """Preferences for groups of items that are alike by features, by k-means.

    Args:
        known: of the items.
        dimension: D.
        generator: of the first weights.
        groups: P, at most N / 8.
        absent: see `Preferences`.
    """
    few = min(groups, max(2, known.num_items // FEWEST_OF_A_CODE))
    _, nearest = k_means(known.features, few, np.random.default_rng(known.seed), rounds=20)
    return Preferences(nearest[:, None] == np.arange(few), dimension, absent=absent, generator=generator)


def preferences(options: Options, known: Known, dimension: int, generator: Any) -> Preferences:
    """What a decoder looks at beside the history."""
    given = checked(grouped_preferences, options, "preferences", ("known", "dimension", "generator"))
    return grouped_preferences(known, dimension, generator, **given)


def loss(name: str, options: Options) -> Callable[[Known], Auxiliary]:
    """What makes one of the further losses."""
    if not isinstance(options, dict):
        raise InputError(f"[losses.{name}] of a recipe must be a table, got {options!r}")
    part, given = part_named("losses", {"name": name, **options}, LOSSES, ("features",))
    return lambda known: part.make(known, **given)


def _taken_apart(options: Options) -> tuple[Options, dict[str, Options]]:
    """Options of an encoder, and those of its wrappers."""
    around = {name: value for name, value in options.items() if isinstance(value, dict)}
    return {name: value for name, value in options.items() if name not in around}, around
