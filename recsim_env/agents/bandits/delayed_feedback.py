"""Delayed feedback: an agent that is told what happened some rounds later.

With delay d, the agent inside learns of round t at the end of round t + d; or, in batches, of rounds 1 to d
at the end of round d, of rounds d + 1 to 2 d at the end of round 2 d, and so on (d = 1: no delay). It acts in
every round with what it knows. What was not yet told at the end is never told.

An index policy that hears nothing repeats itself for the whole delay; one that draws, as Thompson sampling
does, goes on exploring.

The agent inside must learn from the transition alone. One that looks in `update` at what it did in its last
`act` (with which probability it drew, why, in which pairs or batches) would put a late reward beside a later
round; those in `NEEDS_NOW` are refused.

Feedback: that of the agent inside, later.
Bound: none is stated here; for arms, Joulani, Gyorgy, Szepesvari, "Online learning under delayed feedback",
    ICML 2013, add O(gap d) an arm to what holds without delay.
Source: Chapelle, Li, "An empirical evaluation of Thompson sampling", NIPS 2011, which tells in batches.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.bandits.batch_rank import BatchRank
from recsim_env.agents.bandits.bubble_rank import BubbleRank
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.exp4 import Exp4
from recsim_env.agents.bandits.lagrange_bwk import LagrangeBwK
from recsim_env.agents.bandits.policy_class_epsilon_greedy import PolicyClassEpsilonGreedy
from recsim_env.agents.bandits.ranked_bandits import RankedBandits
from recsim_env.agents.bandits.repeated_he import RepeatedHE
from recsim_env.agents.bandits.semi_bandit_hedge import SemiBanditHedge
from recsim_env.agents.bandits.zooming import Zooming
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


NEEDS_NOW = (
    BatchRank,
    BubbleRank,
    Exp3,
    Exp4,
    LagrangeBwK,
    PolicyClassEpsilonGreedy,
    RankedBandits,
    RepeatedHE,
    SemiBanditHedge,
    Zooming,
)


class DelayedFeedback:
    """An agent that is told later.

    Args:
        agent: with its own rows; none of `NEEDS_NOW`.
        delay: d rounds, at least 1.
        batches: whether rounds are told d at a time instead of each d rounds late.

    Attributes:
        waiting: (d,) what was not yet told, a ring: the bytes of a transition, so that whatever an agent sees
            can be kept in one array; no bytes before the first round.
        rounds: (1,) that have been played.

    Raises:
        InputError: a delay below 1, an agent that cannot be told later.
    """

    def __init__(self, agent: Agent, delay: int, batches: bool = False) -> None:
        if delay < 1:
            raise InputError(f"delay must be at least 1, got {delay}")
        if isinstance(agent, NEEDS_NOW):
            raise InputError(
                f"{type(agent).__name__} cannot be told later: it learns from what it did in its last act"
            )
        self.agent = agent
        self.batches = batches
        self.waiting = np.zeros(delay, "V0")
        self.rounds = np.zeros(1, np.int64)
        self._kept: list[Transition] = []  # d, the same: told without being put together again
        self._kept_of = self.waiting

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """What the agent inside does, (B, K)."""
        return self.agent.act(observation, luck)

    def update(self, transition: Transition) -> None:
        """Keep this round, and tell what is due.

        A transition is kept as it is, not copied: no agent or world changes what it has handed over, which
        `recsim_env.testing` checks of agents.
        """
        now, delay = self.rounds.item(0), len(self.waiting)
        place, row = now % delay, b"".join([array.tobytes() for array in _arrays(transition)])
        if now == 0:
            self.waiting, self._kept = np.zeros(delay, f"V{len(row)}"), [transition] * delay
        elif self._kept_of is not self.waiting:  # from a checkpoint
            self._kept = [_restored(kept.tobytes(), transition) for kept in self.waiting]
        self._kept_of = self.waiting
        if not self.batches and now >= delay:
            self.agent.update(self._kept[place])
        self.waiting[place], self._kept[place] = row, transition
        self.rounds[0] = now + 1
        if self.batches and place == delay - 1:
            for told in self._kept:
                self.agent.update(told)


def _arrays(transition: Transition) -> list[Array]:
    """All of a transition, in a fixed order."""
    before, slates, clicked, examined, reward, after, terminated, truncated = transition
    return [slates, clicked, examined, reward, terminated, truncated, *before.values(), *after.values()]


def _restored(row: bytes, like: Transition) -> Transition:
    """The transition with these bytes, whose arrays have the shapes and dtypes of another's."""
    start, arrays = 0, []
    for array in _arrays(like):
        arrays.append(np.ndarray(array.shape, array.dtype, row, start).copy())
        start += array.nbytes
    slates, clicked, examined, reward, terminated, truncated, *seen = arrays
    before = dict(zip(like.observation, seen, strict=False))
    after = dict(zip(like.next_observation, seen[len(before) :], strict=True))
    return Transition(before, slates, clicked, examined, reward, after, terminated, truncated)
