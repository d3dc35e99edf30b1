"""Click models: how a user looks down a slate and clicks, to simulate and to fit.

`CLICK_MODELS` names them; the tests run over it, so a model is tested by standing here.
"""

from recsim_env.errors import InputError, unknown_name
from recsim_env.user_models.clicks.best_permutation import best_permutation
from recsim_env.user_models.clicks.cascade import Cascade
from recsim_env.user_models.clicks.click_chain import ClickChain
from recsim_env.user_models.clicks.click_fit import ClickFit
from recsim_env.user_models.clicks.click_model import ClickModel
from recsim_env.user_models.clicks.click_through_rates import (
    DocumentClickThroughRate,
    GlobalClickThroughRate,
    RankClickThroughRate,
)
from recsim_env.user_models.clicks.dependent_click import DependentClick
from recsim_env.user_models.clicks.dynamic_bayesian import DynamicBayesian
from recsim_env.user_models.clicks.position_based import PositionBased
from recsim_env.user_models.clicks.response import Response
from recsim_env.user_models.clicks.simplified_dynamic_bayesian import SimplifiedDynamicBayesian
from recsim_env.user_models.clicks.user_browsing import UserBrowsing

CLICK_MODELS: dict[str, type[ClickModel]] = {
    "cascade": Cascade,
    "position_based": PositionBased,
    "dependent_click": DependentClick,
    "click_chain": ClickChain,
    "dynamic_bayesian": DynamicBayesian,
    "simplified_dynamic_bayesian": SimplifiedDynamicBayesian,
    "user_browsing": UserBrowsing,
    "global_click_through_rate": GlobalClickThroughRate,
    "rank_click_through_rate": RankClickThroughRate,
    "document_click_through_rate": DocumentClickThroughRate,
}


def click_model(name: str, num_slots: int) -> ClickModel:
    """The default instance of a named click model for slates of this many slots.

    Raises:
        InputError: there is no such model (the nearest one is named), or no slot.
    """
    if num_slots < 1:
        raise InputError(f"num_slots must be at least 1, got {num_slots}")
    if name not in CLICK_MODELS:
        raise unknown_name("click model", name, CLICK_MODELS)
    return CLICK_MODELS[name].default(num_slots)


__all__ = [
    "CLICK_MODELS",
    "Cascade",
    "ClickChain",
    "ClickFit",
    "ClickModel",
    "DependentClick",
    "DocumentClickThroughRate",
    "DynamicBayesian",
    "GlobalClickThroughRate",
    "PositionBased",
    "RankClickThroughRate",
    "Response",
    "SimplifiedDynamicBayesian",
    "UserBrowsing",
    "best_permutation",
    "click_model",
]
