"""What listeners play when nothing is recommended to them: a log of plays, on the clock of seconds.

A log of `log_generation` has what was shown; a play that nobody recommended is not in it. This one has every
play, as the services' logs have.
"""

import numpy as np

from recsim_env.errors import check_ranges
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.listening import ListeningWorld


def natural_listening(world: ListeningWorld, plays: int, *, seed: int = 0) -> Log:
    """Every listener of the population plays so many songs, beginning as one who has heard nothing.

    Args:
        world: its `remembered` bounds what listeners choose from; who has heard more forgets the oldest.
        plays: of each, 1 or more.
        seed: of user 0; user i has seed + i, and plays the same whoever else there is.

    Raises:
        InputError: no play.
    """
    check_ranges({"plays": plays}, {}, {})
    U = world.num_users
    luck, nothing = Luck.from_seeds(np.arange(U) + seed), np.full((U, world.slate_size), -1)
    state = world.newcomers(np.arange(U), luck)
    songs, times = np.empty((U, plays), np.int64), np.empty((U, plays))
    for t in range(plays):
        times[:, t] = state.now
        state, _ = world.respond(state, nothing, luck.at(t))
        songs[:, t] = state.recent[:, 0]
    return Log.from_interactions(np.repeat(np.arange(U), plays), songs.ravel(), times.ravel())
