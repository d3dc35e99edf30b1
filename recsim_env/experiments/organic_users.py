"""Users with a past of their own: they took what is near to their interest, and nobody recommended anything.

    interest of u    kappa x_u / |x_u|,   x_u = centre of a category + 1/5 of another's + noise
    what u takes     item i with probability proportional to exp(kappa cos(x_u, f_i) / temperature), again and
                     again: quality does not show beforehand
    what u clicks    on a slate, item i is attractive with probability
                     sigmoid(quality_i + b + kappa cos(x_u, f_i)), and is looked at by the position-based
                     model: quality shows once an item is recommended

So a log of what people take says what they like, and not what is good. Source: the set-up is ours.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.catalogue import category_centres, synthetic_catalogue
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.last_slate import no_slate
from recsim_env.simulators.worlds.slate import SlateState, SlateWorld
from recsim_env.user_models.clicks import click_model

CATEGORIES, DIMENSION, SPREAD = 24, 16, 0.3
SHARPNESS, INTERCEPT, QUALITY, TEMPERATURE = 6.0, -5.0, 1.0, 0.5


@dataclass(frozen=True)
class OrganicUsers:
    """A world, and what its users took."""

    world: SlateWorld  # U users
    state: SlateState  # of all of them, before any slate
    taken: Ints  # (U, T) items, the latest last

    def log(self, users: Ints, *, less: int = 0) -> Log:
        """What some of them took but the last `less` items, as a log; users are numbered anew, from 0."""
        taken = self.taken[users, : self.taken.shape[1] - less]
        U, T = taken.shape
        user, time = np.repeat(np.arange(U), T), np.tile(np.arange(T), U)
        return Log(user, time.astype(np.float64), taken.reshape(-1, 1), np.ones((U * T, 1), np.bool_))


def organic_users(
    num_items: int, num_users: int, taken: int, slate_size: int, horizon: int, seed: int
) -> OrganicUsers:
    """Draw a world and the past of its users.

    Args:
        num_items: N, at least 24.
        num_users: U.
        taken: T items of each.
        slate_size: K.
        horizon: slates of an episode.
        seed: of everything.

    Raises:
        InputError: a number out of range.
    """
    check_ranges({"num_users": num_users, "taken": taken}, {}, {})
    catalogue = synthetic_catalogue(
        num_items, DIMENSION, CATEGORIES, spread=SPREAD, quality_deviation=QUALITY, world_seed=seed
    )
    luck = Luck.from_seeds(np.arange(num_users) + (seed << 32))
    centres = category_centres(catalogue)
    first, second = (luck.uniform("category", (2,)).T * CATEGORIES).astype(np.int64)
    noise = luck.normal("interest", (DIMENSION,)) * 0.15 / np.sqrt(DIMENSION)
    direction = centres[first] + 0.2 * centres[second] + noise
    interest = SHARPNESS * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    world = SlateWorld(
        catalogue,
        interest.astype(np.float32),
        click_model("position_based", slate_size),
        slate_size,
        horizon,
        intercept=INTERCEPT,
    )
    state = SlateState(np.arange(num_users), np.zeros(num_users, np.int64), *no_slate(num_users, slate_size))
    drawn = luck.uniform("taken", (taken,))
    return OrganicUsers(world, state, taken_items(interest, catalogue.features, drawn))


def taken_items(interest: Array, features: Array, drawn: Floats) -> Ints:
    """(U, T) rows of features by the inverse of each user's distribution over them.

    Args:
        interest: (U, D).
        features: (N, D) of the items that are there to be taken.
        drawn: (U, T) uniforms from 0 to below 1.
    """
    items = np.empty(drawn.shape, np.int64)
    for u, row in enumerate(drawn):
        score = features @ interest[u] / TEMPERATURE
        share = np.exp(score - score.max()).cumsum()
        items[u] = np.searchsorted(share, row * share[-1], side="right")
    return items
