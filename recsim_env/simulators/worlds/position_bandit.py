"""The position-based bandit: `PositionBandit-v0`, slots that are examined by chance, several clicks a slate.

With items of attraction a_i and slots of examination theta_k, slate A earns its clicks,

    E reward(A) = sum_k theta_k a_{A_k},

and the best one has the k-th most attractive item at the k-th most examined slot.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck, stream_number, world_generator
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.last_slate import check_sizes
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.affinity import present
from recsim_env.user_models.clicks import PositionBased, Response
from recsim_env.user_models.clicks.checks import check_probability
from recsim_env.user_models.clicks.position_based import look_and_click

STREAM = stream_number("click")


class PositionState(NamedTuple):
    """Where B users are: all are alike, and only the step counts."""

    step: Ints  # (B,) slates shown so far in this episode


@dataclass(frozen=True)
class PositionBandit:
    """Items of a fixed attraction before users of the position-based model.

    Raises:
        InputError: a table of the wrong shape, a probability outside [0, 1], more slots than items, a horizon
            below 1.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    attraction: Floats  # (N,) a, in [0, 1]
    examination: Floats  # (K,) theta, in [0, 1]; K is 1 to N
    horizon: int  # H, slates of an episode, 1 or more

    def __post_init__(self) -> None:
        check_probability("attraction", self.attraction, ndim=1)
        check_probability("examination", self.examination, ndim=1)
        check_sizes(self.slate_size, self.num_items, self.horizon)

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.attraction)

    @property
    def slate_size(self) -> int:
        """K."""
        return len(self.examination)

    @property
    def clicks(self) -> PositionBased:
        """The click model."""
        return PositionBased(self.examination)

    @property
    def reward_range(self) -> tuple[float, float]:
        """No click to K clicks."""
        return 0.0, float(self.slate_size)

    def begin(self, luck: Luck) -> PositionState:
        """Step 0."""
        return PositionState(np.zeros(len(luck), np.int64))

    def observe(self, state: PositionState) -> dict[str, Array]:
        """The step."""
        return {"step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Steps 0 to H, where H is seen once, after the last slate."""
        return {"step": Entry(0, self.horizon)}

    def respond(self, state: PositionState, slates: Ints, luck: Luck) -> tuple[PositionState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        B, K = slates.shape
        response = Response(
            np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T
        )  # slot by slot in memory
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        respond_rows(
            self._table,
            self.examination,
            self._best_value,
            slates,
            luck.seed,
            luck.episode,
            luck.step,
            STREAM,
            *response,
            reward,
            best,
            value,
        )
        left = np.zeros(B, np.bool_)  # nobody leaves: the episode ends at the horizon
        return PositionState(state.step + 1), Outcome(reward, left, response, best, value)

    def slate_attraction(self, state: PositionState, slates: Ints) -> Floats:
        """(B, K) of what is shown, 0 in empty slots and for an item's second showing."""
        return np.asarray(present(self._table, np.zeros(len(slates), np.int64), slates)[0])

    def expected_reward(self, state: PositionState, slates: Ints) -> Floats:
        """(B,) sum_k theta_k a_{A_k}."""
        return self.values(state, slates)[1]

    def best_slate(self, state: PositionState) -> Ints:
        """(B, K) the most attractive items at the most examined slots; ties to the lower number."""
        return np.tile(self._best, (len(state.step), 1))

    def values(self, state: PositionState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) expected clicks of the best slate and of these."""
        best, value = np.empty(len(slates)), np.empty(len(slates))
        shown = self.slate_attraction(state, slates)
        expected_clicks(shown, self.examination, self._best_value, best, value)
        return best, value

    @cached_property
    def _table(self) -> Floats:  # (1, N): one user
        return np.ascontiguousarray(self.attraction, np.float64)[None, :]

    @cached_property
    def _best(self) -> Ints:  # (K,)
        slate = np.empty(self.slate_size, np.int64)
        items = np.argsort(-self.attraction, kind="stable")[: self.slate_size]
        slate[np.argsort(-self.examination, kind="stable")] = items
        return slate

    @cached_property
    def _best_value(self) -> float:
        best, value = np.empty(1), np.empty(1)
        expected_clicks(self._table[:, self._best], self.examination, np.inf, best, value)
        return float(value[0])


@njit(cache=True)
def respond_rows(
    # the world
    attraction: Floats,
    examination: Floats,
    best_value: float,
    # what is shown, and the luck of the users
    slates: Ints,
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    # written: (B, K) both, then (B,) each
    clicked: Bools,
    examined: Bools,
    reward: Floats,
    best: Floats,
    value: Floats,
) -> None:
    """One step of all users."""
    B, K = slates.shape
    u = np.empty((2 * K, B))  # as Luck.uniform("click", (2, K)): 2 K is even
    fill_uniform(seed, episode, step, stream, u)
    shown, listed = present(attraction, np.zeros(B, np.int64), slates)
    look_and_click(shown, examination, u[:K].T, u[K:].T, clicked, examined)
    for b in range(B):
        reward[b] = 0.0
        for k in range(K):
            examined[b, k] &= listed[b, k]  # there is nothing to see in an empty slot
            reward[b] += clicked[b, k]
    expected_clicks(shown, examination, best_value, best, value)


@njit(cache=True)
def expected_clicks(
    shown: Floats, examination: Floats, best_value: float, best: Floats, value: Floats
) -> None:
    """Write best_value and the expected clicks of what is shown (B, K), slot by slot, into (B,) both."""
    B, K = shown.shape
    for b in range(B):
        total = 0.0
        for k in range(K):
            total += examination[k] * shown[b, k]
        best[b] = best_value
        value[b] = min(total, best_value)  # equals in another order could round to more


def position_bandit(
    num_items: int = 10,
    slate_size: int = 5,
    highest: float = 0.5,
    lowest: float = 0.05,
    decay: float = 1.0,
    horizon: int = 1000,
    world_seed: int = 0,
) -> PositionBandit:
    """Learn the order of items from the clicks of users who look at some slots and do not say at which.

    Story:
        Every step a new user comes and looks at each slot of the list with a probability of its own, less
        the further down. They click every item that they look at and find attractive. A slot without a click
        was not looked at, or held nothing: nobody tells.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot be.
        An item shown a second time counts as an empty slot.

    Observation:
        `step`.

    What the user does:
        The position-based model: examines slot k with probability theta_k = k^-decay, whatever they clicked
        above, and clicks an examined item i with probability a_i, independently. The attractions are evenly
        spaced from `highest` to `lowest`, dealt to the items by `world_seed`.

    Reward:
        The number of clicks.

    Episode end:
        Truncated after `horizon` users. No user leaves, and nothing changes at the end: an episode is only a
        stretch of users.

    Regret is measured against:
        The K most attractive items, most attractive first: sum_k theta_k a_(k) per step.

    Parameters (default, range, source):
        num_items: N (10, at least 2; as in the experiments of Zoghi et al. 2017).
        slate_size: K (5, 1 to N; the same).
        highest: attraction of the best item (0.5, in (0, 1]; ours).
        lowest: attraction of the worst item (0.05, in [0, highest); ours).
        decay: of examination with rank (1.0, at least 0; theta_k = 1/k is the usual fall in studies of
            unbiased learning to rank).
        horizon: users of an episode (1000, at least 1; ours).
        world_seed: which item has which attraction (0).

    Known simplifications:
        Items attract independently, all users are alike, and what was clicked above changes nothing below.
        The response holds which slots were examined, for pictures and checks: an agent that reads it knows
        more than any search engine does.

    Version history:
        v0: first version.

    Source: Richardson, Dominowska, Ragno, "Predicting clicks", WWW 2007; as a bandit in Lagree, Vernade,
    Cappe, "Multiple-play bandits in the position-based model", NeurIPS 2016.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    check_sizes(slate_size, num_items, horizon)
    if not 0.0 < highest <= 1.0:
        raise InputError(f"highest must be in (0, 1], got {highest}")
    if not 0.0 <= lowest < highest:
        raise InputError(f"lowest must be in [0, highest), got {lowest} with highest {highest}")
    if not 0.0 <= decay < np.inf:
        raise InputError(f"decay must be at least 0 and finite, got {decay}")
    attraction = np.empty(num_items)
    attraction[world_generator(world_seed).permutation(num_items)] = np.linspace(highest, lowest, num_items)
    return PositionBandit(attraction, np.arange(1.0, slate_size + 1) ** -decay, horizon)
