"""Preferences that move: laws by which interests drift, are reinforced, switch and are satiated."""

from recsim_env.user_models.preferences.boredom import Boredom, BoredomState
from recsim_env.user_models.preferences.gaussian_process import GaussianProcess, Paths
from recsim_env.user_models.preferences.random_walk import RandomWalk
from recsim_env.user_models.preferences.reclab_boredom import RecLabBoredom, RecLabBoredomState
from recsim_env.user_models.preferences.reclab_satiation import RecLabSatiation, RecLabSatiationState
from recsim_env.user_models.preferences.recsim_interest import RecSimInterest
from recsim_env.user_models.preferences.regime import RegimeSwitching
from recsim_env.user_models.preferences.regime_chain import RegimeRates, RegimeSteps
from recsim_env.user_models.preferences.reinforcement import Reinforcement
from recsim_env.user_models.preferences.sardine_boredom import SardineBoredom, SardineBoredomState
from recsim_env.user_models.preferences.sardine_influence import SardineInfluence
from recsim_env.user_models.preferences.satiation import Satiation

__all__ = [
    "Boredom",
    "BoredomState",
    "GaussianProcess",
    "Paths",
    "RandomWalk",
    "RecLabBoredom",
    "RecLabBoredomState",
    "RecLabSatiation",
    "RecLabSatiationState",
    "RecSimInterest",
    "RegimeRates",
    "RegimeSteps",
    "RegimeSwitching",
    "Reinforcement",
    "SardineBoredom",
    "SardineBoredomState",
    "SardineInfluence",
    "Satiation",
]
