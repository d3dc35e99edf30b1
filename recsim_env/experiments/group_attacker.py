"""The policy over groups of popularity as an agent of `Attack-v0`: PoisonRec's structure, learned by playing.

Groups, policy, profiles and update are those of `simulators/attackers/learned.py`: group 0 is the target, the
others go from popular to rare, and

    every episode    row b draws one composition of A groups, for all its fake users; fake user m takes the
                     target of group 0, and of another group items drawn evenly without putting back
    at its end       (a, b) <- (a, b) + rate sum over rows of (R - mean R) / deviation of R x grad log pi,
                     R the rewards of the episode, summed: what `Attack-v0` pays, so actions cost

Rows of an episode are filled with the same luck, which is another one for each episode. Greedy is the most
likely composition, group by group. Of the observation only `step` is read.

Told: how popular items are, and which is the target; no surrogate, as the rewards come from the victim.
Source: see `learned.py`. All rows share one policy, and their episodes begin and end together.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.learned import (
    drawn_composition,
    filled,
    popularity_groups,
    reinforced,
)

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class GroupAttacker:
    """See the module.

    Args:
        popularity: (N,) honest events of each item.
        target: which item is promoted.
        fakes: M, steps of an episode.
        actions: A, items of a fake user.
        num_rows: B, 2 or more.
        groups: G, beside that of the target.
        rate: of the updates.
        seed: of all draws.

    Attributes:
        common, moved: a and b.

    Raises:
        InputError: a number out of range; a single row.
    """

    rows_learn_together = True  # see `Agent`

    def __init__(
        self,
        popularity: Ints,
        target: int,
        fakes: int,
        actions: int,
        num_rows: int,
        *,
        groups: int = 6,
        rate: float = 0.02,
        seed: int = 0,
    ) -> None:
        check_ranges({"fakes": fakes, "actions": actions, "groups": groups}, {}, {"rate": rate})
        if num_rows < 2:
            raise InputError(f"num_rows must be 2 or more, got {num_rows}: rewards are compared within rows")
        self.fakes, self.actions, self.rate, self.seed = fakes, actions, rate, seed
        told = Knowledge(len(popularity), np.asarray(popularity))
        goal, budget = Goal(np.array([target])), Budget(fakes, actions)
        self.members = popularity_groups(goal, budget, told, groups, np.random.default_rng([seed, 8]))
        size = len(self.members)
        self.common, self.moved = np.zeros(size), np.zeros((size + 1, size))
        self.rewards = np.zeros(num_rows)
        self.episode = np.zeros(1, np.int64)
        self._begin()

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Items (B, A) of the next fake user of every row; an item may come twice."""
        return self.profiles[np.arange(len(self.profiles)), observation["step"]]

    def greedy(self, observation: dict[str, Array]) -> Ints:
        """The same of the most likely composition, (B, A)."""
        composition = drawn_composition(self.common, self.moved, self.actions, None)
        rows = filled(composition, self.members, self.fakes, np.random.default_rng([self.seed, 10]))
        return rows[observation["step"]]

    def update(self, transition: Transition) -> None:
        """Sum the rewards, and learn where the episodes are over."""
        self.rewards = self.rewards + transition.reward
        if transition.truncated.all():
            drawn = list(self.compositions)
            self.common, self.moved = reinforced(self.common, self.moved, drawn, self.rewards, self.rate)
            self.episode = self.episode + 1
            self._begin()

    def _begin(self) -> None:
        """Draw the compositions (B, A) of an episode, and the items (B, M, A) of its fake users."""
        B, turn = len(self.rewards), int(self.episode[0])
        rng = np.random.default_rng([self.seed, 11, turn])
        drawn = [drawn_composition(self.common, self.moved, self.actions, rng) for _ in range(B)]
        self.compositions = np.stack(drawn)
        self.profiles = np.stack(
            [
                filled(one, self.members, self.fakes, np.random.default_rng([self.seed, 9, turn]))
                for one in drawn
            ]
        )
        self.rewards = np.zeros(B)
