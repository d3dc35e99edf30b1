"""The page of `ShortcutBench-v0`: next-item users whose shortcuts can be taken away one at a time."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.shortcut_bench import SuccessionLaw, succession_law
from recsim_env.simulators.worlds.last_slate import (
    check_sizes,
    last_slate_entries,
    no_slate,
    observe_last_slate,
)
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response
from recsim_env.user_models.slots import sum_over_slots

HISTORY = 16  # items of a history that an agent sees, unless the lag is longer


class SuccessionState(NamedTuple):
    """Where B users are."""

    step: Ints  # (B,) slates shown so far
    history: Ints  # (B, H) the last items, -1 = none yet, the latest last
    slate: Ints  # (B, K) the last one, -1 in empty slots and before the first
    clicked: Bools  # (B, K) of the last slate


@dataclass(frozen=True)
class SuccessionWorld:
    """Users who take one item after another, by a law, and reward whoever shows the next one.

    Raises:
        InputError: a slate size or horizon out of range.
    """

    plans_ahead: ClassVar[bool] = False  # see `World`; what is shown changes nothing later

    law: SuccessionLaw
    slate_size: int  # K, 1 to N
    horizon: int  # slates of an episode, 1 or more

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.law.num_items, self.horizon)

    @property
    def num_items(self) -> int:
        """N."""
        return self.law.num_items

    @property
    def history_length(self) -> int:
        """H."""
        return max(HISTORY, self.law.lag)

    def begin(self, luck: Luck) -> SuccessionState:
        """Users with `lag` items behind them, drawn uniformly, so that the law holds from the first slate."""
        B, lag = len(luck), self.law.lag
        history = np.full((B, self.history_length), -1)
        history[:, -lag:] = luck.uniform("first", (lag,)) * self.num_items
        return SuccessionState(np.zeros(B, np.int64), history, *no_slate(B, self.slate_size))

    def observe(self, state: SuccessionState) -> dict[str, Array]:
        """The items taken so far, where N stands for none yet, and the last slate."""
        history = np.where(state.history < 0, self.num_items, state.history)
        return {"history": history, **observe_last_slate(state, self.num_items)}

    def observation_entries(self) -> dict[str, Entry]:
        """Items 0 to N, where N stands for none."""
        return {"history": Entry(0, self.num_items, (self.history_length,)), **last_slate_entries(self)}

    def slate_attraction(self, state: SuccessionState, slates: Ints) -> Floats:
        """(B, K) probability that each item is the next one; 0 in empty slots and for a second showing."""
        source = state.history[:, -self.law.lag]
        follows = (self.law.successors[source][:, None, :] == slates[:, :, None]).any(axis=2)
        chance = self.law.noise / self.num_items + follows * ((1.0 - self.law.noise) / self.law.branching)
        return np.where(_first_showing(slates), chance, 0.0)

    def respond(self, state: SuccessionState, slates: Ints, luck: Luck) -> tuple[SuccessionState, Outcome]:
        """Show slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        u = luck.uniform("next", (2,))
        chosen = self.law.next_item(state.history[:, -self.law.lag], u)
        shown = _first_showing(slates)
        clicked = (slates == chosen[:, None]) & shown
        history = np.concatenate([state.history[:, 1:], chosen[:, None]], axis=1)
        after = SuccessionState(state.step + 1, history, slates.copy("K"), clicked.copy())
        left = np.zeros(len(slates), np.bool_)
        reward = clicked.any(axis=1).astype(np.float64)
        return after, Outcome(reward, left, Response(clicked, shown), *self.values(state, slates))

    def expected_reward(self, state: SuccessionState, slates: Ints) -> Floats:
        """(B,) probability that the next item is shown."""
        return sum_over_slots(self.slate_attraction(state, slates))

    def best_slate(self, state: SuccessionState) -> Ints:
        """(B, K) the successors, as many as fit, in the order of the law; then items of the lowest ids."""
        return self._best[state.history[:, -self.law.lag]]

    def values(self, state: SuccessionState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) the best probability to show the next item, the same for all users, and these slates'."""
        K, b, noise = self.slate_size, self.law.branching, self.law.noise
        best = (1.0 - noise) * min(K, b) / b + noise * K / self.num_items
        return np.full(len(slates), best), self.expected_reward(state, slates)

    @cached_property
    def _best(self) -> Ints:
        """(N, K) the best slate after each item."""
        K, b = self.slate_size, self.law.branching
        if b >= K:
            return self.law.successors[:, :K]
        lowest = np.tile(np.arange(K), (self.num_items, 1))  # at least K - b of them are no successors
        taken = (lowest[:, :, None] == self.law.successors[:, None, :]).any(axis=2)
        others = np.argsort(taken, axis=1, kind="stable")[:, : K - b]
        return np.concatenate([self.law.successors, others], axis=1)


def shortcut_bench(
    num_items: int = 1500,
    slate_size: int = 10,
    branching: int = 3,
    smooth: float = 1.0,
    lag: int = 1,
    noise: float = 0.15,
    horizon: int = 50,
    world_seed: int = 0,
) -> SuccessionWorld:
    """Show the item that comes next, where one shortcut after another can be taken away.

    Story:
        Somebody takes one item after another, as people do in the logs from which next-item recommenders
        learn. Which one comes next depends on one earlier item. With the parameters as they are, a table of
        what followed what solves the world, and so does showing what looks like the last item; with a
        longer lag, more branching or rough features these shortcuts fail one by one, and the law is as
        simple as before.

    Slate (action):
        One number per slot: an item (0 to N-1), or N to leave a slot empty, which the first slot cannot
        be. An item shown a second time counts as an empty slot.

    Observation:
        `history`, the last H = max(16, lag) items taken, the latest last, N before the first; `step`,
        `slate` and `clicked` of the last slate. The features are not observed: they are `world.law.features`.

    What the user does:
        With probability `noise` takes any item of the catalogue, each equally likely; else one of the b
        successors of the item `lag` steps back, each equally likely. She takes it whether it was shown or
        not; if it was, she clicks it. She looks at the whole slate.

    Reward:
        1 if the next item was on the slate, else 0; its expectation is the sum of the probabilities of the
        items shown.

    Episode end:
        Truncated after `horizon` slates. Nobody leaves.

    Regret is measured against:
        The successors of the item `lag` steps back, as many as fit on the slate:
        (1 - noise) min(K, b) / b + noise K / N per step.

    Parameters (default, range, source):
        num_items: N (1500, at least 2; ours, as all others).
        slate_size: K (10, 1 to N).
        branching: b, successors of an item (3, 1 to N - 1). From about 10 K no slate can be good.
        smooth: share of the successors that have the nearest features, the others being random (1.0, in
            [0, 1]). At 0 the features say nothing.
        lag: how many steps back the item stands that matters (1, at least 1). From 2 the last item says
            nothing.
        noise: probability that an item comes from nowhere (0.15, in [0, 1]).
        horizon: slates of an episode (50, at least 1).
        world_seed: which items have which features and successors (0).

    Known simplifications:
        Recommendations change nothing but the reward: users neither follow them nor tire of them. All
        users obey one law, successors are equally likely, and items have no popularity of their own. At a
        lag of 2 likeness to the item two steps back is still a shortcut, unless `smooth` is 0.

    Version history:
        v0: first version.

    Source: the design is ours, against benchmarks whose shortcuts cannot be taken away; the shortcuts are
    those that Han et al. 2026, arXiv 2605.07125, found in them. `simulators.shortcut_bench` makes logs of
    the same law.

    Raises:
        InputError: a parameter out of range.
    """
    if horizon < 1:
        raise InputError(f"horizon must be at least 1, got {horizon}")
    law = succession_law(num_items, branching, smooth, lag, noise, world_seed)
    return SuccessionWorld(law, slate_size, horizon)


def _first_showing(slates: Ints) -> Bools:
    """(B, K) True where an item is shown that no slot above it shows."""
    K = slates.shape[1]
    above = (slates[:, :, None] == slates[:, None, :]) & np.tri(K, K, -1, dtype=np.bool_)
    return np.asarray((slates >= 0) & ~above.any(axis=2))
