"""Bandit algorithms by name: how each is made, where it can act, and the bound that was proved of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits import cascade_lin_ucb, comb_ucb1, semi_bandit_hedge, ucb1
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.cascade_lin_ts import CascadeLinTS
from recsim_env.agents.bandits.cascade_lin_ucb import CascadeLinUCB
from recsim_env.agents.bandits.comb_ucb1 import CombUCB1
from recsim_env.agents.bandits.in_slate_thompson import InSlateThompson
from recsim_env.agents.bandits.semi_bandit_hedge import SemiBanditHedge
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.linear_cascade import LinearCascadeWorld
from recsim_env.simulators.worlds.semi_bandit import SemiBanditWorld


@dataclass(frozen=True)
class BanditTask:
    """What an algorithm is made for."""

    world: Any  # its sizes, ranges and known features are public; its truth is for oracles and bounds
    num_replicates: int
    rounds: int  # that will be played: algorithms that are tuned to a horizon are told it

    @property
    def arms(self) -> tuple[int, int]:
        """B, N."""
        return self.num_replicates, self.world.num_items

    @property
    def slates(self) -> tuple[int, int, int]:
        """B, N, K."""
        return *self.arms, self.world.slate_size


@dataclass(frozen=True)
class BanditAgent:
    """A line of the table."""

    make: Callable[[BanditTask], Agent]
    worlds: tuple[type, ...]  # in which it can act
    bound: Callable[[BanditTask, Ints], Floats] | None = (
        None  # on regret after (P,) rounds, where one is known
    )
    unit_rewards: bool = True  # whether it is made for rewards from 0 to 1, and refuses others


def _deviation(task: BanditTask) -> float | None:
    """Of normal rewards, which an algorithm has to be told; None where rewards are 0 or 1."""
    return getattr(task.world, "deviation", None)


def _comb_ucb1_bound(task: BanditTask, rounds: Ints) -> Floats:
    """Where nothing changes; against an adversary there is none."""
    w = task.world.attraction
    if len(w) > 1:
        return np.full(len(rounds), np.inf)
    return comb_ucb1.regret_bound(rounds, means=w[0], slate_size=task.world.slate_size)


def _hedge_bound(task: BanditTask, rounds: Ints) -> Floats:
    _, N, K = task.slates
    return semi_bandit_hedge.regret_bound(rounds, num_items=N, slate_size=K, num_rounds=task.rounds)


def _lin_ucb_bound(task: BanditTask, rounds: Ints) -> Floats:
    K, D = task.world.slate_size, task.world.features.shape[1]
    return cascade_lin_ucb.regret_bound(rounds, dimension=D, slate_size=K, num_rounds=task.rounds)


BANDITS: dict[str, BanditAgent] = {
    "random": BanditAgent(
        lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
        (ArmsWorld, SemiBanditWorld, CascadeWorld, LinearCascadeWorld),
        unit_rewards=False,
    ),
    "ucb1": BanditAgent(
        lambda task: UCB1(*task.arms, deviation=_deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: ucb1.regret_bound(rounds, means=task.world.mean),
        unit_rewards=False,
    ),
    "beta_ts": BanditAgent(lambda task: BetaTS(*task.arms), (ArmsWorld,)),
    # of slates: the reward is the number of clicks, and each slot's click is from 0 to 1
    "comb_ucb1": BanditAgent(
        lambda task: CombUCB1(*task.slates), (SemiBanditWorld,), _comb_ucb1_bound, unit_rewards=False
    ),
    "semi_bandit_hedge": BanditAgent(
        lambda task: SemiBanditHedge(*task.slates, task.rounds),
        (SemiBanditWorld,),
        _hedge_bound,
        unit_rewards=False,
    ),
    "in_slate_thompson": BanditAgent(
        lambda task: InSlateThompson(*task.slates), (SemiBanditWorld, CascadeWorld), unit_rewards=False
    ),
    "cascade_lin_ucb": BanditAgent(
        lambda task: CascadeLinUCB(
            task.num_replicates, task.world.features, task.world.slate_size, task.rounds
        ),
        (LinearCascadeWorld,),
        _lin_ucb_bound,
    ),
    "cascade_lin_ts": BanditAgent(
        lambda task: CascadeLinTS(task.num_replicates, task.world.features, task.world.slate_size),
        (LinearCascadeWorld,),
    ),
}


def bandits_of(world: Any) -> list[str]:
    """The algorithms that can act in a world."""
    return [name for name in BANDITS if _obstacle(name, world) is None]


def check_bandit(name: str, env_id: str, world: Any) -> None:
    """Refuse an algorithm that cannot act in a world, before anything runs.

    Raises:
        InputError: with the reason, and what can act there.
    """
    obstacle = _obstacle(name, world)
    if obstacle is not None:
        raise InputError(f"{name} {obstacle} {env_id}: {', '.join(bandits_of(world))} can act there")


def _obstacle(name: str, world: Any) -> str | None:
    agent = BANDITS[name]
    if not isinstance(world, agent.worlds):
        return "is not made for the feedback of"
    low, high = getattr(world, "reward_range", (0.0, 1.0))
    if agent.unit_rewards and not 0.0 <= low <= high <= 1.0:
        return f"needs rewards from 0 to 1, and they are from {low:g} to {high:g} in"
    return None
