"""Who was met: a generated log numbers the rows of its environment, this numbers the people.

Row b of an environment meets another person of the population in every episode. Agents see who it is (the
entry `user` of the observation), but the column `user` of a log is b. Interests belong to people.
"""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_replay import play_again
from recsim_env.simulators.worlds.world import World


def by_people(world: World, log: Log) -> Log:
    """The log with the number of the person in the population as `user`, sorted by it, then time.

    Rows of one person can come from several rows of the environment; `seed`, `episode` and `step` still say
    which sessions they belong to. The log is played again, so that it is sure to be of these people.

    Args:
        world: that the log was made with, with the same parameters.
        log: with seed, episode and step; whole episodes from their first step, which may lack their end.

    Raises:
        InputError: a column is missing, an episode lacks its beginning, another world made the log, or the
            world's observations do not say who the user is.
    """
    if "user" not in world.observation_entries():
        raise InputError(
            "the observations of this world do not say who the user is, so every row of its environment is "
            "a user: use the log as it is"
        )
    person = np.empty(len(log), np.int64)
    for played in play_again(world, log):
        person[played.rows] = world.observe(played.state)["user"]
    return Log.sorted(**{**log.columns(), "user": person}, metadata=log.metadata)
