"""Preferences that move: laws by which interests drift, are reinforced, switch and are satiated."""

from recsim_env.user_models.preferences.boredom import Boredom, BoredomState
from recsim_env.user_models.preferences.gaussian_process import GaussianProcess, Paths
from recsim_env.user_models.preferences.random_walk import RandomWalk
from recsim_env.user_models.preferences.regime import RegimeSwitching
from recsim_env.user_models.preferences.reinforcement import Reinforcement
from recsim_env.user_models.preferences.satiation import Satiation

__all__ = [
    "Boredom",
    "BoredomState",
    "GaussianProcess",
    "Paths",
    "RandomWalk",
    "RegimeSwitching",
    "Reinforcement",
    "Satiation",
]
