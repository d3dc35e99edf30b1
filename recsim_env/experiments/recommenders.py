"""Recommenders by name, for experiments on logs: those without a network, and sequence encoders."""

from collections.abc import Callable
from typing import Any

from recsim_env.agents.baselines.item_knn import ItemKNNRecommender
from recsim_env.agents.baselines.own_history import OwnHistoryRecommender
from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.agents.recommender import Recommender
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.transition_graph import TGH_1, TGH_2, TransitionGraphRecommender
from recsim_env.errors import require
from recsim_env.experiments.sequential_models import MODELS, recommender_of
from recsim_env.experiments.settings import names_of

RECOMMENDERS: dict[str, Callable[[int], Recommender]] = {
    "popularity": lambda num_items: PopularityRecommender(num_items=num_items),
    "p_top": lambda num_items: OwnHistoryRecommender(decay=0.0, num_items=num_items),
    "base_level": lambda num_items: OwnHistoryRecommender(decay=0.5, num_items=num_items),
    "latest": lambda num_items: OwnHistoryRecommender(decay=9.0, num_items=num_items),
    "markov1": lambda num_items: MarkovRecommender(order=1, num_items=num_items),
    "markov2": lambda num_items: MarkovRecommender(order=2, num_items=num_items),
    "item_knn": lambda num_items: ItemKNNRecommender(num_items=num_items),
    "tgh1": lambda num_items: TransitionGraphRecommender(budgets=TGH_1, num_items=num_items),
    "tgh2": lambda num_items: TransitionGraphRecommender(budgets=TGH_2, num_items=num_items),
}


NAMES = (*RECOMMENDERS, *MODELS)


def make_recommender(name: str, num_items: int, *, mask_history: bool, seed: int = 0) -> Any:
    """A recommender that has learned nothing yet, for a catalogue of N items.

    Args:
        name: one of `NAMES`.
        num_items: N.
        mask_history: whether items of the history will be left out, where that plays a part in learning.
        seed: where chance plays one.

    Raises:
        InputError: of a sequence encoder without PyTorch.
    """
    if name in RECOMMENDERS:
        return RECOMMENDERS[name](num_items)
    training = MODELS[name].training
    return recommender_of(name, training, num_items=num_items, seed=seed, mask_history=mask_history)


def recommender_names(text: str) -> list[str]:
    """`popularity,markov1` -> the names.

    Raises:
        InputError: an unknown name, a name twice, or none; a sequence encoder without PyTorch.
    """
    names = names_of("recommenders", "recommender", text, NAMES)
    if not RECOMMENDERS.keys() >= set(names):
        require("torch", "torch")
    return names
