"""A policy that writes codes, trained on what organic users took: where experiments on tuning begin.

Items get codes of residual k-means on their features, three levels of 16 and one that tells apart who shares
them. A reward model, where one is asked for, learns from clicks or none on items that this policy drew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.arrays import Ints
from recsim_env.errors import InputError, require
from recsim_env.experiments.organic_users import CATEGORIES, OrganicUsers, organic_users
from recsim_env.experiments.policy_measures import LISTED
from recsim_env.experiments.relearned_reward import RelearnedReward
from recsim_env.experiments.settings import option, positive
from recsim_env.simulators.log import Log

if TYPE_CHECKING:
    import torch

    from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.preference.reward_model import RewardModel
    from recsim_env.agents.generative.preference.tuning import RewardFunction

POINTS = 5  # of a curve, the first before any tuning
BATCH = 64  # users of one gradient, in training and tuning
CODES = 16  # a level, of three

Untrained = Callable[[int, "torch.Generator"], "GenerativePolicy"]
"""(N, generator of the first weights) -> a policy."""


@dataclass(frozen=True)
class PolicySettings:
    """Options that these experiments share."""

    num_items: int = option(1000, "N, items in the catalogue, 24 or more")
    num_users: int = option(2000, "users whose log is learned from, and who are asked for rewards")
    test_users: int = option(500, "others, on whom everything is measured")
    history: int = option(20, "items that a user took before the one that is the log's test")
    slate_size: int = option(5, "K, from 1 to 10")
    horizon: int = option(8, "slates of a session")
    epochs: int = option(6, "of the training on the log")
    steps: int = option(400, "gradients of a tuning")
    num_generations: int = option(16, "items that are drawn for each user of a step, and asked about")
    learning_rate: float = option(5e-4, "of every tuning")
    replicates: int = option(5, "independent worlds, trainings and tunings")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")


def check_policy_settings(settings: PolicySettings) -> None:
    """Refuse settings that cannot be.

    Raises:
        InputError: the first of them, or PyTorch is missing.
    """
    positive(num_users=settings.num_users, test_users=settings.test_users, horizon=settings.horizon)
    positive(epochs=settings.epochs, steps=settings.steps)
    positive(learning_rate=settings.learning_rate)
    if settings.num_items < CATEGORIES:
        raise InputError(f"num_items must be at least {CATEGORIES}, got {settings.num_items}")
    if not 1 <= settings.slate_size <= LISTED:
        raise InputError(f"slate_size must be from 1 to {LISTED}, got {settings.slate_size}")
    if settings.history < 2 or settings.num_generations < 2 or settings.replicates < 2:
        least = f"{settings.history}, {settings.num_generations} and {settings.replicates}"
        raise InputError(f"history, num_generations and replicates must be 2 or more, got {least}")
    if not 0 <= settings.seed <= (1 << 31) - settings.replicates:
        raise InputError(f"seed must be from 0 to 2^31 less the replicates, got {settings.seed}")
    if settings.num_generations > settings.num_items:
        raise InputError(
            f"num_generations must be at most {settings.num_items} (num_items), got "
            f"{settings.num_generations}"
        )
    require("torch", "torch")


def users_of(settings: PolicySettings, seed: int) -> tuple[OrganicUsers, Ints, Ints]:
    """A world; the users who are learned from, and those on whom policies are measured."""
    everyone = settings.num_users + settings.test_users
    sizes = settings.history + 1, settings.slate_size, settings.horizon
    of = organic_users(settings.num_items, everyone, *sizes, seed)
    learned_from, test = np.split(np.arange(everyone), [settings.num_users])
    return of, learned_from, test


def train_policy(
    of: OrganicUsers, users: Ints, settings: PolicySettings, seed: int
) -> "GenerativeRecommender":
    """A policy that writes codes of residual k-means, trained on what users took."""
    import torch

    from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
    from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
    from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
    from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec

    features = of.world.catalogue.features.astype(np.float64)
    known = residual_k_means(features, (CODES,) * 3, balanced=True, seed=seed)

    def policy(num_items: int, generator: torch.Generator) -> GenerativePolicy:
        items = CodeVectors(known.codes, known.level_sizes, 64)
        encoder = SASRec(items, max_length=settings.history, dropout=0.1, generator=generator)
        head = AutoregressiveHead(known.level_sizes, 64, generator=generator)
        return GenerativePolicy(encoder, head, CatalogueTrie(known.codes, known.level_sizes, unique=True))

    return fit_policy(policy, of.log(users), settings.num_items, epochs=settings.epochs, seed=seed)


def fit_policy(
    policy: Untrained, log: Log, num_items: int, *, epochs: int, seed: int, batch_size: int = BATCH
) -> "GenerativeRecommender":
    """Train a policy on what users took, of whom each comes back to items; the best epoch is kept.

    Args:
        policy: an untrained one.
        log: whose last items say which epoch is best.
        num_items: N.
        epochs: of the training.
        seed: of it.
        batch_size: users of a gradient.
    """
    from recsim_env.agents.generative.generative_recommender import GenerativeRecommender

    recommender = GenerativeRecommender(
        policy,
        epochs=epochs,
        patience=epochs,
        learning_rate=3e-3,
        batch_size=batch_size,
        mask_history=False,
        num_items=num_items,
        device="cpu",
        seed=seed,
    )
    return recommender.fit(log)


def learned_reward(
    sft: "GenerativePolicy", history: Ints, asked: "RewardFunction", feedbacks: int, seed: int
) -> "RewardModel":
    """A reward model of feedback on items that `sft` draws: what a log of its recommendations would hold."""
    return RelearnedReward(sft, history, asked, feedbacks, seed).model


def points(settings: PolicySettings) -> Ints:
    """(POINTS,) gradients after which a tuned policy is measured."""
    return np.unique(np.linspace(0, settings.steps, POINTS).astype(np.int64))
