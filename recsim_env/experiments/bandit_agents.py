"""Bandit algorithms by name: how each is made, where it can act, and the bound that was proved of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits import explore_first, moss, successive_elimination, ucb1
from recsim_env.agents.bandits.bayes_ucb import BayesUCB
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.delayed_feedback import DelayedFeedback
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy
from recsim_env.agents.bandits.explore_first import ExploreFirst, tuned_pulls
from recsim_env.agents.bandits.gaussian_ts import GaussianTS
from recsim_env.agents.bandits.kl_ucb import KLUCB
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.successive_elimination import SuccessiveElimination
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.arms import ArmsWorld


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


def _pulls(task: BanditTask) -> int:
    """Of every arm by explore-first."""
    return tuned_pulls(task.rounds, task.world.num_items)


BANDITS: dict[str, BanditAgent] = {
    "random": BanditAgent(
        lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "ucb1": BanditAgent(
        lambda task: UCB1(*task.arms, deviation=_deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: ucb1.regret_bound(rounds, means=task.world.mean),
        unit_rewards=False,
    ),
    "beta_ts": BanditAgent(lambda task: BetaTS(*task.arms), (ArmsWorld,)),
    "explore_first": BanditAgent(
        lambda task: ExploreFirst(*task.arms, _pulls(task), task.world.reward_range),
        (ArmsWorld,),
        lambda task, rounds: explore_first.regret_bound(rounds, means=task.world.mean, pulls=_pulls(task)),
        unit_rewards=False,
    ),
    "epsilon_greedy": BanditAgent(
        lambda task: EpsilonGreedy(*task.arms, reward_range=task.world.reward_range),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "successive_elimination": BanditAgent(
        lambda task: SuccessiveElimination(*task.arms, task.rounds, _deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: successive_elimination.regret_bound(
            rounds, means=task.world.mean, horizon=task.rounds
        ),
        unit_rewards=False,
    ),
    "kl_ucb": BanditAgent(lambda task: KLUCB(*task.arms), (ArmsWorld,)),
    "moss": BanditAgent(
        lambda task: MOSS(*task.arms, task.rounds, _deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: moss.regret_bound(rounds, num_items=task.world.num_items, horizon=task.rounds),
        unit_rewards=False,
    ),
    "moss_anytime": BanditAgent(
        lambda task: MOSS(*task.arms, deviation=_deviation(task)), (ArmsWorld,), unit_rewards=False
    ),
    "gaussian_ts": BanditAgent(
        lambda task: GaussianTS(*task.arms, deviation=_deviation(task) or 1.0),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "bayes_ucb": BanditAgent(lambda task: BayesUCB(*task.arms), (ArmsWorld,)),
    "delayed_beta_ts": BanditAgent(lambda task: DelayedFeedback(BetaTS(*task.arms), 10), (ArmsWorld,)),
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
