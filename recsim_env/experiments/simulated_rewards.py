"""What items are worth to simulated users, as a learner may ask: a click or none, and how often it asked.

Every user of a pool is in some state of a world. An item is shown to a user alone on a slate, in their state,
which stays as it is; the reward is what the user does then, drawn once. The items of a row meet the user
under the same luck (common random numbers), so that the better one is told sooner; rows are independent,
those of one user too.

A whole slate can be asked for, too (`clicks`). One query is one item shown to one user: a slate of K items
counts K, whatever the user looked at.

`SessionReward` lets the session go on: the policy that is tuned shows slates to the same user, with what was
clicked added to the history, and what they earn counts too, as REG4Rec's reward of several steps.

What a user is like stays in here: a learner gets numbers of users, and rewards.

Source: Xing and others, "REG4Rec", 2025 (discounted hits on later items; here they are the session itself).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.experiments.policy_measures import lists_of, longer
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import ShowsCandidates, World, repeat_rows, take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy


class SimulatedReward:
    """Numbers of users in the pool (B,), items (B, G) -> rewards (B, G).

    Args:
        world: whose slates have one slot or more.
        state: of P users.
        seed: of what they do, from 0 to below 2^31.

    Attributes:
        queries: items that were shown so far.

    Raises:
        InputError: a world in which a number on a slate is a place among candidates and not an item.
    """

    def __init__(self, world: World, state: Any, seed: int) -> None:
        if isinstance(world, ShowsCandidates):
            raise InputError("the world shows candidates: take one in which every item can be shown")
        self._world, self._state, self._seed = world, state, seed
        self._calls = 0
        self.queries = 0

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See the class."""
        B, G = items.shape
        slates = np.full((B * G, self._world.slate_size), -1)
        slates[:, 0] = items.ravel()
        luck = self._luck(B).repeat(G)
        state = repeat_rows(take_rows(self._state, users), G)
        _, outcome = self._world.respond(state, slates, luck)
        self.queries += B * G
        return np.asarray(outcome.reward.reshape(B, G))

    def clicks(self, users: Ints, slates: Ints) -> Bools:
        """What users (B,) click on slates (B, K), K that of the world: (B, K)."""
        _, outcome = self._world.respond(take_rows(self._state, users), slates, self._luck(len(users)))
        self.queries += int((slates >= 0).sum())
        return np.asarray(outcome.response.clicked)

    def _luck(self, rows: int) -> Luck:
        """Of so many rows of one call."""
        self._calls += 1  # an episode of every row: 0 is left to those who are not asked
        return Luck.from_seeds(np.arange(rows) + (self._seed << 32)).of_episode(self._calls)


class SessionReward:
    """Numbers of users in the pool (B,), items (B, G) -> what a session that begins with each earns, (B, G).

    The item is shown alone, then K likeliest items of the policy, slate by slate: the reward is the sum of
    discount^t times the clicks on slate t, drawn once, until the user leaves. The sessions of a row meet the
    user under the same luck, and begin at the same history.

    Args:
        world: see `SimulatedReward`.
        state: of P users.
        history: (P, H) what each took before.
        policy: that goes on with the session; it is read as it is when rewards are asked for.
        seed: of what users do, from 0 to below 2^31.
        horizon: slates of a session, 1 or more.
        discount: from 0 to 1.

    Attributes:
        queries: items that were shown so far, in all slots.

    Raises:
        InputError: a world that shows candidates, a number out of range.
    """

    def __init__(
        self,
        world: World,
        state: Any,
        history: Ints,
        policy: "GenerativePolicy",
        seed: int,
        *,
        horizon: int = 4,
        discount: float = 0.9,
    ) -> None:
        if isinstance(world, ShowsCandidates):
            raise InputError("the world shows candidates: take one in which every item can be shown")
        check_ranges({"horizon": horizon}, {"discount": discount}, {})
        self._world, self._state, self._history, self._policy = world, state, history, policy
        self._seed, self._horizon, self._discount = seed, horizon, discount
        self._calls = 0
        self.queries = 0

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See the class."""
        (B, G), lists = items.shape, lists_of(self._policy)
        slates = np.full((B * G, self._world.slate_size), -1)
        slates[:, 0] = items.ravel()
        self._calls += 1
        luck = Luck.from_seeds(np.arange(B) + (self._seed << 32)).of_episode(self._calls).repeat(G)
        state, history = repeat_rows(take_rows(self._state, users), G), self._history[users].repeat(G, axis=0)
        total, there = np.zeros(B * G), np.ones(B * G, np.bool_)
        for step in range(self._horizon):
            state, outcome = self._world.respond(state, slates, luck.at(step))
            total += np.where(there, self._discount**step * outcome.reward, 0.0)
            self.queries += int((slates[there] >= 0).sum())
            there &= ~outcome.left
            if step + 1 < self._horizon:
                history = longer(history, slates, outcome.response.clicked)
                slates = lists(history, np.arange(B * G))[:, : self._world.slate_size]
        return total.reshape(B, G)
