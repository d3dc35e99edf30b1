"""The semi-bandit of slates: `SemiBandit-v0`, where every slot shown gives its own feedback.

In round t the item e is clicked with probability w_t(e), independently over the slots of the slate A:

    C_k ~ Bernoulli(w_t(A_k)),      reward = sum_k C_k,      E reward = sum_k w_t(A_k).

The table of w_t is fixed before the first round, by chance (one row) or by an oblivious adversary (a row for
each phase). The best slate is the K items of largest w_t, in any order.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.luck import Luck, stream_number, world_generator
from recsim_env.simulators.philox import fill_uniform
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.affinity import present
from recsim_env.user_models.clicks import Response
from recsim_env.user_models.slots import sum_over_slots

STREAM = stream_number("semi_bandit")
GROWTH = 1.6  # of the adversary's phases, each as many times as long as the one before
KINDS = ("stochastic", "adversarial")


class SemiBanditState(NamedTuple):
    """Where B users are."""

    step: Ints  # (B,) slates shown so far in this episode


@dataclass(frozen=True)
class SemiBanditWorld:
    """N items whose click probabilities change with the phase, and no user state.

    Raises:
        InputError: a table of the wrong shape, a probability outside [0, 1] or NaN, a phase without a row, a
            slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`

    attraction: Floats  # (P, N) w of each phase, in [0, 1]
    phase: Ints  # (H,) the phase of each step of an episode
    slate_size: int  # K, 1 to N

    def __post_init__(self) -> None:
        w = as_numbers("attraction", self.attraction)
        if w.ndim != 2 or not w.size:
            raise InputError(f"attraction must have shape (phases, items), got {w.shape}")
        refuse("attraction", ~((w >= 0.0) & (w <= 1.0)), w, "probabilities are from 0 to 1")
        phase = np.asarray(self.phase)
        if phase.ndim != 1 or not phase.size or phase.dtype.kind not in "iu":
            raise InputError(f"phase must hold a whole number for each step, got {phase.dtype} {phase.shape}")
        refuse("phase", (phase < 0) | (phase >= len(w)), phase, f"attraction has {len(w)} phases")
        if not 1 <= self.slate_size <= w.shape[1]:
            raise InputError(f"slate_size must be from 1 to {w.shape[1]}, got {self.slate_size}")
        object.__setattr__(self, "attraction", np.ascontiguousarray(w))
        object.__setattr__(self, "phase", phase.astype(np.int64))

    @property
    def num_items(self) -> int:
        """N."""
        return self.attraction.shape[1]

    @property
    def horizon(self) -> int:
        """H."""
        return len(self.phase)

    @property
    def reward_range(self) -> tuple[float, float]:
        """From no click to a click on every slot."""
        return 0.0, float(self.slate_size)

    def begin(self, luck: Luck) -> SemiBanditState:
        """The first round; nothing is drawn."""
        return SemiBanditState(np.zeros(len(luck), np.int64))

    def observe(self, state: SemiBanditState) -> dict[str, Array]:
        """The step alone."""
        return {"step": state.step.copy()}

    def observation_entries(self) -> dict[str, Entry]:
        """Steps 0 to H, where H is seen once, after the last slate."""
        return {"step": Entry(0, self.horizon)}

    def respond(self, state: SemiBanditState, slates: Ints, luck: Luck) -> tuple[SemiBanditState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        B, K = slates.shape
        response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
        reward, best, value = np.empty(B), np.empty(B), np.empty(B)
        _respond(
            self.attraction,
            self._best_values,
            self.phase,
            state.step,
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
        return SemiBanditState(state.step + 1), Outcome(reward, left, response, best, value)

    def expected_reward(self, state: SemiBanditState, slates: Ints) -> Floats:
        """(B,) sum_k w(A_k)."""
        return sum_over_slots(self.slate_attraction(state, slates))

    def slate_attraction(self, state: SemiBanditState, slates: Ints) -> Floats:
        """(B, K) w(A_k), 0 in empty slots."""
        return np.asarray(present(self.attraction, self.phase_of(state), slates)[0])

    def best_slate(self, state: SemiBanditState) -> Ints:
        """(B, K) the items of largest w now, largest first."""
        return self._best_slates[self.phase_of(state)]

    def values(self, state: SemiBanditState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) expected rewards of the best slate and of these."""
        best = self._best_values[self.phase_of(state)]
        return best, np.minimum(self.expected_reward(state, slates), best)

    def phase_of(self, state: SemiBanditState) -> Ints:
        """(B,) the phase of each row; after the last step still that of the last one."""
        return self.phase[np.minimum(state.step, self.horizon - 1)]

    def fixed_regret(self) -> Floats:
        """(H+1,) regret, after t rounds of an episode, of the best fixed slate of these t rounds.

        What an experiment records is regret against the best slate of every moment. Subtract this from it,
        and it is regret against the best fixed slate in hindsight.
        """
        w = self.attraction[self.phase]  # (H, N)
        earned = np.cumsum(w, axis=0)
        fixed = -np.sort(-earned, axis=1)[:, : self.slate_size].sum(axis=1)
        moment = np.cumsum(self._best_values[self.phase])
        return np.concatenate([[0.0], np.maximum(moment - fixed, 0.0)])

    @cached_property
    def _best_slates(self) -> Ints:  # (P, K)
        return np.argsort(-self.attraction, axis=1, kind="stable")[:, : self.slate_size]

    @cached_property
    def _best_values(self) -> Floats:  # (P,)
        return sum_over_slots(np.take_along_axis(self.attraction, self._best_slates, axis=1))


@njit(cache=True)
def _respond(
    # the world
    attraction: Floats,
    best_values: Floats,
    phase: Ints,
    # the rounds, what is shown and its luck
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    # what is written
    clicked: Bools,
    examined: Bools,
    reward: Floats,
    best: Floats,
    value: Floats,
) -> None:
    B, K = slates.shape
    u = np.empty((K + K % 2, B))
    fill_uniform(seed, episode, luck_step, stream, u)
    row = np.empty(B, np.int64)
    for b in range(B):
        row[b] = phase[min(step[b], len(phase) - 1)]
        reward[b], value[b], best[b] = 0.0, 0.0, best_values[row[b]]
    shown, listed = present(attraction, row, slates)
    for k in range(K):
        for b in range(B):
            clicks = u[k, b] < shown[b, k]
            examined[b, k] = listed[b, k]
            clicked[b, k] = clicks
            reward[b] += clicks
            value[b] += shown[b, k]
    for b in range(B):
        value[b] = min(value[b], best[b])  # the same items in another order may add up to a bit more


def semi_bandit(
    num_items: int = 16,
    slate_size: int = 4,
    attraction: float = 0.2,
    gap: float = 0.15,
    kind: str = "stochastic",
    horizon: int = 1000,
    world_seed: int = 0,
) -> SemiBanditWorld:
    """Find the K attractive items among N by showing slates of K, where every slot answers.

    Story:
        Every step a new user comes and looks at all K items of the slate. They click each or not, whatever
        they do with the others. K items attract with probability p, the others with p - gap. Or an
        adversary lifts and lowers the attraction of all items, so that what was learned before misleads.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot
        cannot be. An item shown a second time counts as an empty slot.

    Observation:
        `step` alone.

    What the user does:
        Examines every slot and clicks the item in it with probability w_t(item), independently.

    Reward:
        The number of clicks, 0 to K; so the expected reward of a slate is the sum of w_t over its items.

    Episode end:
        Truncated after `horizon` users. No user leaves. In the stochastic kind nothing changes at the end;
        in the adversarial kind the next episode begins with the first phase again.

    Regret is measured against:
        The best slate of the moment: the K items of largest w_t, in any order. In both kinds these are the
        same K items all the time, so this is also regret against the best fixed slate in hindsight.

    Parameters (default, range, source):
        num_items: N (16, at least 2; as CascadeBandit-v0).
        slate_size: K (4, 1 to N; the same).
        attraction: p (0.2, in (0, 1]; the same).
        gap: difference of an attractive and another item (0.15, in (0, p]; the same).
        kind: `stochastic`, w is p or p - gap for ever; or `adversarial`, phases of 1, 1.6, 1.6^2, ... steps
            (rounded) in which w is in turn (p, p - gap) and (1, 1 - gap) (after Zimmert and Seldin 2021).
        horizon: users of an episode (1000, at least 1; ours).
        world_seed: which of the items are the attractive ones (0).

    Known simplifications:
        A click on one slot says nothing about another, and no slot is looked at more than another. The
        adversary is oblivious: its table is fixed before the first round.

    Version history:
        v0: first version.

    Source: the setting of Kveton, Wen, Ashkan, Szepesvari, "Tight regret bounds for stochastic combinatorial
    semi-bandits", AISTATS 2015, for the K best of N. The adversary is the "stochastically constrained" one
    with growing phases of Zimmert, Seldin, "Tsallis-INF", JMLR 22, 2021, lifted to slates (its phase
    lengths are quoted from memory).

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if not 1 <= slate_size <= num_items:
        raise InputError(f"slate_size must be from 1 to num_items, {num_items}, got {slate_size}")
    if not 0.0 < attraction <= 1.0:
        raise InputError(f"attraction must be in (0, 1], got {attraction}")
    if not 0.0 < gap <= attraction:
        raise InputError(f"gap must be in (0, attraction], got {gap} with attraction {attraction}")
    if kind not in KINDS:
        raise InputError(f"kind must be {' or '.join(KINDS)}, got {kind!r}")
    if horizon < 1:
        raise InputError(f"horizon must be at least 1, got {horizon}")
    levels = [attraction] if kind == "stochastic" else [attraction, 1.0]
    w = np.repeat(np.array(levels)[:, None] - gap, num_items, axis=1)
    w = np.maximum(w, 0.0)  # p - gap of equal numbers, rounded
    w[:, world_generator(world_seed).permutation(num_items)[:slate_size]] = np.array(levels)[:, None]
    phase = np.zeros(horizon, np.int64) if kind == "stochastic" else growing_phases(horizon)
    return SemiBanditWorld(w, phase, slate_size)


def growing_phases(horizon: int) -> Ints:
    """(H,) 0 and 1 in turn, in stretches of 1, 1.6, 1.6^2, ... steps, rounded.

    >>> growing_phases(12).tolist()
    [0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0]
    """
    ends, length = [1], 1.0
    while ends[-1] < horizon:
        length *= GROWTH
        ends.append(ends[-1] + round(length))
    return np.searchsorted(ends, np.arange(horizon), side="right") % 2
