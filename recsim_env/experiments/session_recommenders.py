"""Session recommenders by name, for experiments; each is made for N items, settings and a seed."""

from collections.abc import Callable
from typing import Any, Protocol

from recsim_env.agents.baselines.base_level_sessions import BaseLevelSessions
from recsim_env.agents.baselines.own_history import OwnHistoryRecommender
from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.agents.baselines.tifu_knn import TIFUKNN
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.session_recommender import OfHistories, SessionRecommender
from recsim_env.errors import require
from recsim_env.experiments.settings import names_of


class NetworkSettings(Protocol):
    """How networks are trained; the fields are those of `PISA`."""

    @property
    def length(self) -> int: ...  # noqa: D102
    @property
    def stride(self) -> int: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    @property
    def long_weight(self) -> float: ...  # noqa: D102
    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def patience(self) -> int: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102


Maker = Callable[[int, NetworkSettings, int], SessionRecommender]

BASELINES: dict[str, Maker] = {
    "popularity": lambda num_items, *_: OfHistories(PopularityRecommender(num_items=num_items)),
    "p_top": lambda num_items, *_: OfHistories(OwnHistoryRecommender(decay=0.0, num_items=num_items)),
    "base_level": lambda num_items, *_: OfHistories(OwnHistoryRecommender(num_items=num_items)),
    "markov1": lambda num_items, *_: OfHistories(MarkovRecommender(num_items=num_items)),
    "bll": lambda *_: BaseLevelSessions(),
    "tifu_knn": lambda *_: TIFUKNN(),
}


def _pisa(**more: Any) -> Maker:
    def make(_: int, settings: NetworkSettings, seed: int) -> SessionRecommender:
        from recsim_env.agents.sequential.neural.pisa.pisa import PISA

        return PISA(
            length=settings.length,
            stride=settings.stride,
            dimension=settings.dimension,
            long_weight=settings.long_weight,
            epochs=settings.epochs,
            patience=settings.patience,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=seed,
            **more,
        )

    return make


NETWORKS: dict[str, Maker] = {
    "pisa_u": _pisa(negatives="uniform"),
    "pisa_p": _pisa(negatives="popularity"),
    # the same with fewer parts of ACT-R: what each of them brings
    "pisa_p_bll": _pisa(negatives="popularity", components=("base_level",)),
    "pisa_p_bll_spr": _pisa(negatives="popularity", components=("base_level", "spreading")),
}
SESSION_RECOMMENDERS = {**BASELINES, **NETWORKS}


def session_recommender_names(text: str) -> list[str]:
    """`bll,pisa_p` -> the names.

    Raises:
        InputError: an unknown name, a name twice, or none; a network without the extra `torch`.
    """
    names = names_of("recommenders", "session recommender", text, SESSION_RECOMMENDERS)
    if any(name in NETWORKS for name in names):
        require("torch", "torch")
    return names
