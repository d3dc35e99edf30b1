"""From a recipe to a recommender, and the check of a recipe before any training."""

from typing import Any

import numpy as np

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.recipes import parts
from recsim_env.agents.generative.recipes.options import checked, part_named
from recsim_env.agents.generative.recipes.recipe import Known, Options, Recipe
from recsim_env.agents.generative.tokenisers.identifiers import Identifiers
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.simulators.log import Log

NOT_OF_A_RECIPE = (
    "self",
    "encoder",
    "auxiliaries",
    "objective",
    "negatives",
    "calibration",
    "hidden_share",
    "last_share",
    "mask_history",
    "seed",
    "num_items",
)


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe before hours of others: its options, and what it is made of on a log of a few items.

    Raises:
        InputError: the first of what is wrong.
    """
    for options in (recipe.tokeniser, *([recipe.history] if recipe.history else [])):
        _check_tokeniser(options)
    users, length, N = 8, 6, 64
    rng = np.random.default_rng(0)
    user, time = np.repeat(np.arange(users), length), np.tile(np.arange(float(length)), users)
    log = Log(user, time, rng.integers(N, size=(users * length, 1)), np.ones((users * length, 1), np.bool_))
    known = Known(log, N, rng.standard_normal((N, 16)), rng.standard_normal((N, 16)), 0)
    atomic_too = recipe.tokeniser["name"] == "atomic"
    written = atomic(N) if atomic_too else random(N, levels=3, size=8, seed=0)
    read = written if recipe.history is None else random(N, levels=3, size=8, seed=0)
    made = made_of(recipe, known, written, read)
    made.epochs = 1
    made.fit(log)


def _check_tokeniser(options: Options) -> None:
    _, given = part_named("tokeniser", options, parts.TOKENISERS, parts.OF_DATA)
    if options["name"] == "joined":
        for part in given["parts"]:
            _check_tokeniser(part)


def made_of(
    recipe: Recipe, known: Known, written: Identifiers, read: Identifiers, **settings: Any
) -> GenerativeRecommender:
    """A recommender of a recipe's parts; see `recipe.recommender_of`.

    Args:
        recipe: its parts.
        known: of the items.
        written: what the head says.
        read: the codes of histories.
        settings: of `GenerativeRecommender`, before those of the recipe.
    """
    of_policy = checked(GenerativePolicy, recipe.policy, "policy", ("encoder", "head", "trie", "preferences"))
    trained = checked(NeuralRecommender.__init__, recipe.training, "training", NOT_OF_A_RECIPE)
    losses = [parts.loss(name, options) for name, options in recipe.losses.items()]

    def policy(num_items: int, generator: Any) -> GenerativePolicy:
        table = parts.items(recipe.items, read, known)
        past = parts.encoder(recipe.encoder, table, generator)
        last = parts.head(recipe.head, written, table, generator)
        trie = CatalogueTrie(written.codes, written.level_sizes)
        wanted = None
        if recipe.preferences:
            wanted = parts.preferences(recipe.preferences, known, table.dimension, generator)
        return GenerativePolicy(past, last, trie, preferences=wanted, **of_policy)

    return GenerativeRecommender(
        policy,
        auxiliaries=lambda: [make(known) for make in losses],
        **{"seed": known.seed, "num_items": known.num_items, **trained, **settings},
    )
