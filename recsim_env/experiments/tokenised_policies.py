"""Every tokeniser under one decoder, and scorers of items beside it: what `tokeniser_ablation` compares.

    tokeniser             codes         what it looks at, and what becomes of an item that the log lacks
    atomic                N             nothing; its code is never learned
    random                32 32 32      nothing; its codes are learned of items that are not like it
    sequential            32 32 32      the log; numbered after all others, so beside other new ones
    collaborative         32 32 32      the log; without an edge in the graph, so beside other new ones, and
                                        whatever warm items lie near the origin of the embedding
    hierarchical          32 32 32      features, groups of groups
    residual_k_means      32 32 32 +    features
    transported_k_means   32 32 32      features; balanced, and last codes given anew where they were shared
    appended_k_means      32 32 +       features; balanced
    shared_k_means        32 32         the same, and items that share an identifier share its probability
    rq_vae                32 32 32 +    features
    fsq                   32 32 32 32 + features, grids of 4, 4 and 2 points
    product               32 32 32 32 + features, each code a part of them, after a rotation
    experts               32 32 32 +    features, as three parallel experts see them
    joined                32 32 32      one level of residual k-means, two of collaborative codes

where + is a code more that numbers the items of an identifier. As N is at most 32^2, balanced codes of one
level are of 32 items or fewer, and `transport` finds last codes for all.

Training knows the items of its time: pi is normalised over those, and the index is made anew once there are
others, which changes no weight. An index of all items from the start teaches instead that what nobody took
is never taken (`trained`, with all items `known`).

    sasrec                one vector an item, learned                       SASRec with a projection head
    sasrec_features       W x_i + b: one made of the item's features        the same
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.generative.tokenisers.hierarchical import collaborative, hierarchical
from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, joined
from recsim_env.agents.generative.tokenisers.numbered import atomic, random, sequential
from recsim_env.agents.generative.tokenisers.product import product
from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
from recsim_env.arrays import Floats, Ints
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_training import Untrained, fit_policy
from recsim_env.simulators.log import Log

if TYPE_CHECKING:
    import torch

    from recsim_env.agents.generative.policy import GenerativePolicy

CODES, LEVELS = 32, 3
DIMENSION, BATCH = 64, 32
SHARED = "shared_k_means"  # no code is appended to its identifiers
SCORERS = ("sasrec", "sasrec_features")


@dataclass(frozen=True)
class Seen:
    """What a tokeniser may look at."""

    features: Floats  # (N, D) of all items, cold ones too
    log: Log  # without validation and test events
    seed: int

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.features)


def _rq_vae(seen: Seen) -> Identifiers:
    from recsim_env.agents.generative.tokenisers.rq_vae import rq_vae

    sizes = (CODES,) * LEVELS  # a small network: the features are 16 numbers, not those of a text
    return rq_vae(seen.features, sizes, hidden=(64,), width=16, collisions="allow", seed=seen.seed)


def _fsq(seen: Seen) -> Identifiers:
    from recsim_env.agents.generative.tokenisers.fsq import fsq

    return fsq(
        seen.features,
        4,
        (4, 4, 2),
        batch_size=128,
        learning_rate=1e-2,  # 200 gradients at the default of 1e-3 do not use the grid
        collisions="allow",
        seed=seen.seed,
    )


def _experts(seen: Seen) -> Identifiers:
    from recsim_env.agents.generative.tokenisers.experts import experts

    return experts(seen.features, LEVELS, CODES, width=16, collisions="allow", seed=seen.seed)


def _k_means(levels: int, balanced: bool, collisions: str = "allow") -> Callable[[Seen], Identifiers]:
    def codes(seen: Seen) -> Identifiers:
        return residual_k_means(
            seen.features, (CODES,) * levels, balanced=balanced, collisions=collisions, seed=seen.seed
        )

    return codes


def _collaborative(seen: Seen, levels: int) -> Identifiers:
    return collaborative(seen.log, levels, CODES, num_items=seen.num_items, seed=seen.seed)


TOKENISERS: dict[str, Callable[[Seen], Identifiers]] = {
    "atomic": lambda seen: atomic(seen.num_items),
    "random": lambda seen: random(seen.num_items, LEVELS, CODES, seen.seed),
    "sequential": lambda seen: sequential(seen.log, LEVELS, CODES, seen.num_items),
    "collaborative": lambda seen: _collaborative(seen, LEVELS),
    "hierarchical": lambda seen: hierarchical(seen.features, LEVELS, CODES, seed=seen.seed),
    "residual_k_means": _k_means(LEVELS, balanced=False),
    "transported_k_means": _k_means(LEVELS, balanced=True, collisions="transport"),
    "appended_k_means": _k_means(2, balanced=True),
    SHARED: _k_means(2, balanced=True),
    "rq_vae": _rq_vae,
    "fsq": _fsq,
    "product": lambda seen: product(seen.features, 4, CODES, collisions="allow", seed=seen.seed),
    "experts": _experts,
    "joined": lambda seen: joined([_k_means(1, balanced=True)(seen), _collaborative(seen, 2)]),
}
"""Identifiers before a code is appended."""

OfItems = Callable[[Ints], Untrained]
"""Items (M,) -> an untrained policy whose catalogue these are, numbered from 0 to M - 1."""


def code_writer(identifiers: Identifiers, history: int) -> OfItems:
    """SASRec over sums of code vectors, and a head that writes the codes of the next item, one by one."""
    from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
    from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
    from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec

    def policy(known: Ints, _: int, generator: "torch.Generator") -> "GenerativePolicy":
        codes, sizes = identifiers.codes[known], identifiers.level_sizes
        items = CodeVectors(codes, sizes, DIMENSION)
        encoder = SASRec(items, max_length=history, dropout=0.1, generator=generator)
        head = AutoregressiveHead(sizes, DIMENSION, generator=generator)
        return GenerativePolicy(encoder, head, CatalogueTrie(codes, sizes))

    return lambda known: partial(policy, known)


def item_scorer(features: Floats | None, history: int) -> OfItems:
    """SASRec whose state is held against a vector of every item, learned or made of features (N, D)."""
    import torch

    from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
    from recsim_env.agents.generative.heads.projection import ProjectionHead
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
    from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec

    def policy(known: Ints, num_items: int, generator: torch.Generator) -> GenerativePolicy:
        mine = None if features is None else features[known]
        items, one_code = ItemVectors(num_items, DIMENSION, features=mine), atomic(num_items)
        if features is not None:  # an item's numbers must not depend on which others there are
            whole = ItemVectors(len(features), DIMENSION, features=features)
            items.given.copy_(whole.given[torch.from_numpy(known)])
        encoder = SASRec(items, max_length=history, dropout=0.1, generator=generator)
        trie = CatalogueTrie(one_code.codes, one_code.level_sizes)
        return GenerativePolicy(encoder, ProjectionHead(items), trie)

    return lambda known: partial(policy, known)


def trained(
    policy: OfItems, of: OrganicUsers, users: Ints, known: Ints, *, epochs: int, seed: int
) -> "GenerativePolicy":
    """A policy of all items that was trained as one of some of them.

    Args:
        policy: of any items.
        of: the world, and what users took.
        users: who are learned from; their last items say which epoch is best.
        known: (M,) the items that training knows of, ascending, with all that these users took.
        epochs: of the training.
        seed: of it.
    """
    import torch

    numbered = replace(of, taken=np.searchsorted(known, of.taken[users]))
    log, N = numbered.log(np.arange(len(users))), of.world.num_items
    found = fit_policy(policy(known), log, len(known), epochs=epochs, seed=seed, batch_size=BATCH).policy_
    if len(known) == N:
        return found
    whole = policy(np.arange(N))(N, torch.Generator().manual_seed(seed))
    return with_weights(whole, found, known).eval()


def with_weights(whole: "GenerativePolicy", of: "GenerativePolicy", known: Ints) -> "GenerativePolicy":
    """`whole`, a policy of all items, with the weights of one of the items `known` (M,) alone."""
    learned = of.state_dict()
    for name, values in whole.state_dict().items():
        if name == "codes" or name.endswith((".places", ".given")):  # known of items, and not learned
            continue
        if values.shape == learned[name].shape:
            values.copy_(learned[name])
        else:  # a vector an item, of which those of other items stay as they were drawn
            values[known] = learned[name][: len(known)]
    return whole
