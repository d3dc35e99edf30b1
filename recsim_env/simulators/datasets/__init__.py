"""Files on disk -> `Log` and ratings. pandas and pyarrow are loaded when a file is read, not before."""

from recsim_env.simulators.datasets.interactions import SHIPPED, Interactions, read_interactions
from recsim_env.simulators.datasets.movielens import Ratings, read_ratings

__all__ = ["SHIPPED", "Interactions", "Ratings", "read_interactions", "read_ratings"]
