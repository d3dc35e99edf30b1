"""Click models: how a user looks down a slate and clicks."""

from recsim_env.user_models.clicks.best_permutation import best_permutation
from recsim_env.user_models.clicks.cascade import Cascade
from recsim_env.user_models.clicks.response import Response

__all__ = ["Cascade", "Response", "best_permutation"]
