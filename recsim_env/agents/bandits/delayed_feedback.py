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
        waiting: (d, bytes of a transition) what was not yet told, a ring: plain bytes, so that whatever an
            agent sees can be kept in one array; (d, 0) before the first round. Every array of a transition
            begins at a multiple of 8 bytes in it.
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
        self.waiting = np.zeros((delay, 0), np.uint8)
        self.rounds = np.zeros(1, np.int64)
        self._places: list[list[Array]] = []  # d of the ring, each seen as the arrays of its transition
        self._ring = self.waiting  # that they see

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """What the agent inside does, (B, K)."""
        return self.agent.act(observation, luck)

    def update(self, transition: Transition) -> None:
        """Keep this round, and tell what is due."""
        now, delay = self.rounds.item(0), len(self.waiting)
        arrays = _arrays(transition)
        if now == 0:
            self.waiting = np.zeros((delay, sum(_room(array) for array in arrays)), np.uint8)
        if self._ring is not self.waiting:  # it is new, or from a checkpoint
            self._places, self._ring = _places(self.waiting, arrays), self.waiting
        place = now % delay
        if not self.batches and now >= delay:
            self.agent.update(_transition(self._places[place], transition))
        for kept, array in zip(self._places[place], arrays, strict=True):
            kept[...] = array
        self.rounds[0] = now + 1
        if self.batches and place == delay - 1:
            for told in self._places:
                self.agent.update(_transition(told, transition))


def _arrays(t: Transition) -> list[Array]:
    """All of a transition, in a fixed order."""
    fields = [t.slates, t.clicked, t.examined, t.reward, t.terminated, t.truncated]
    return [*fields, *t.observation.values(), *t.next_observation.values()]


def _transition(kept: list[Array], like: Transition) -> Transition:
    """Copies of what `_arrays` took apart, which the agent inside may keep, in a transition like another."""
    slates, clicked, examined, reward, terminated, truncated, *rest = [array.copy() for array in kept]
    seen = iter(rest)
    before = {name: next(seen) for name in like.observation}
    after = {name: next(seen) for name in like.next_observation}
    return Transition(before, slates, clicked, examined, reward, after, terminated, truncated)


def _room(array: Array) -> int:
    return -(-array.nbytes // 8) * 8  # so that what follows is aligned


def _places(ring: Array, arrays: list[Array]) -> list[list[Array]]:
    """The rows of the ring (d, bytes), each seen as arrays with the shapes and dtypes of these."""
    fields, start = [], 0
    for array in arrays:
        part = ring[:, start : start + array.nbytes]
        fields.append(part.view(array.dtype).reshape(len(ring), *array.shape))
        start += _room(array)
    # Made once: in a round of one learner, a view takes as long as what is copied through it.
    return [list(place) for place in zip(*fields, strict=True)]
