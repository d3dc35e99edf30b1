"""Who was met: a generated log numbers the rows of its environment, this numbers the people.

Row b of an environment meets another person of the population in every episode. Agents see who it is (the
entry `user` of the observation), but the column `user` of a log is b. Interests belong to people.
"""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


def by_people(world: World, log: Log) -> Log:
    """The log with the number of the person in the population as `user`, sorted by it, then time.

    Rows of one person can come from several rows of the environment; `seed`, `episode` and `step` still say
    which sessions they belong to.

    Args:
        world: that the log was made with, with the same parameters.
        log: with seed and episode.

    Raises:
        InputError: a column is missing, or the world's observations do not say who the user is.
    """
    seed, episode = log.require("seed"), log.require("episode")
    begun = np.unique(np.stack([seed, episode.astype(seed.dtype)]), axis=1, return_inverse=True)
    (seeds, episodes), place = begun
    first = Luck(seeds, episodes.astype(np.int64), np.zeros(len(seeds), np.int64))
    observation = world.observe(world.begin(first))
    if "user" not in observation:
        raise InputError(
            "the observations of this world do not say who the user is, so every row of its environment is "
            "a user: use the log as it is"
        )
    person = np.asarray(observation["user"], np.int64)[place.ravel()]
    return Log.sorted(**{**log.columns(), "user": person}, metadata=log.metadata)
