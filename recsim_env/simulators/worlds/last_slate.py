"""The part that worlds of slates share: the last slate and its clicks, in states and observations."""

from typing import Protocol

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.world import Entry, World
from recsim_env.user_models.clicks import ClickModel


class StateWithSlate(Protocol):
    """A state that remembers its last slate."""

    @property
    def step(self) -> Ints:
        """(B,) slates shown so far."""

    @property
    def slate(self) -> Ints:
        """(B, K) the last one, -1 in empty slots, all of them before the first."""

    @property
    def clicked(self) -> Bools:
        """(B, K) of the last slate."""


def no_slate(B: int, K: int) -> tuple[Ints, Bools]:
    """(B, K) empty slots and (B, K) no clicks: what a state holds before the first slate."""
    return np.full((K, B), -1).T, np.zeros((K, B), np.bool_).T  # slot by slot in memory


def observe_last_slate(state: StateWithSlate, num_items: int) -> dict[str, Array]:
    """`step`, `slate` (B, K), where N stands for an empty slot as in actions, and `clicked` (B, K) 0 or 1."""
    slate = np.empty(state.slate.shape[::-1], np.int64).T
    fill_observed_slate(state.slate, num_items, slate)
    return {"step": state.step.copy(), "slate": slate, "clicked": state.clicked.astype(np.int8)}


@njit(cache=True)
def fill_observed_slate(slate: Ints, num_items: int, observed: Ints) -> None:
    """Write the slate (B, K) with N in empty slots: `np.where` takes three times as long."""
    B, K = slate.shape
    for k in range(K):
        for b in range(B):
            observed[b, k] = num_items if slate[b, k] < 0 else slate[b, k]


def last_slate_entries(world: World) -> dict[str, Entry]:
    """The spaces of `observe_last_slate`."""
    K = world.slate_size
    return {
        "step": Entry(0, world.horizon),
        "slate": Entry(0, world.num_items, (K,)),
        "clicked": Entry(0, 1, (K,), np.int8),
    }


def check_sizes(slate_size: int, num_items: int, horizon: int, clicks: ClickModel | None = None) -> None:
    """Refuse a slate longer than the catalogue or the click model knows, and an episode without steps."""
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to the number of items ({num_items}), got {slate_size}")
    if horizon < 1:
        raise InputError(f"horizon must be at least 1, got {horizon}")
    if clicks is not None:
        clicks.click_prob(np.full((1, slate_size), 0.5))  # refuses slates longer than it knows
