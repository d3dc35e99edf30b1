"""Bandit algorithms by name: how each is made, where it can act, and the bound that was proved of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits import lin_ucb, ucb1
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.binned_contexts import BinnedContexts, theory_bins
from recsim_env.agents.bandits.context_cells import decision_stumps
from recsim_env.agents.bandits.exp4 import Exp4
from recsim_env.agents.bandits.lin_ts import LinTS
from recsim_env.agents.bandits.lin_ucb import LinUCB
from recsim_env.agents.bandits.neural_linear_ts import NeuralLinearTS
from recsim_env.agents.bandits.policy_class_epsilon_greedy import PolicyClassEpsilonGreedy
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.contextual_bandit import ContextualWorld
from recsim_env.simulators.worlds.linear_bandit import LinearWorld


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


def _linear(task: BanditTask) -> dict[str, Any]:
    """Arguments of linear learners: one model where items have features, one an item where users do."""
    shared = isinstance(task.world, LinearWorld)
    return {"num_features": task.world.dimension, "shared": shared}


def _spread(task: BanditTask) -> float:
    """Of what sub-Gaussian constant a reward is: 1/2 from 0 to 1."""
    deviation = _deviation(task)
    return 0.5 if deviation is None else deviation


def _stumps(task: BanditTask, bins: int = 8) -> dict[str, Any]:
    """Arguments of learners with a class of policies: all decision stumps on a grid of contexts."""
    D = task.world.dimension
    return {"policies": decision_stumps(task.world.num_items, D, bins), "dimension": D, "bins": bins}


BANDITS: dict[str, BanditAgent] = {
    "random": BanditAgent(
        lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
        (ArmsWorld, LinearWorld, ContextualWorld),
        unit_rewards=False,
    ),
    "ucb1": BanditAgent(
        lambda task: UCB1(*task.arms, deviation=_deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: ucb1.regret_bound(rounds, means=task.world.mean),
        unit_rewards=False,
    ),
    "beta_ts": BanditAgent(lambda task: BetaTS(*task.arms), (ArmsWorld,)),
    "lin_ucb": BanditAgent(
        lambda task: LinUCB(*task.arms, deviation=_spread(task), **_linear(task)),
        (LinearWorld,),
        lambda task, rounds: lin_ucb.regret_bound(
            rounds, num_features=task.world.dimension, deviation=_spread(task)
        ),
        unit_rewards=False,
    ),
    "lin_ts": BanditAgent(
        lambda task: LinTS(*task.arms, inflation=_spread(task), **_linear(task)),
        (LinearWorld,),
        unit_rewards=False,
    ),
    "lin_ucb_disjoint": BanditAgent(lambda task: LinUCB(*task.arms, **_linear(task)), (ContextualWorld,)),
    "lin_ts_disjoint": BanditAgent(lambda task: LinTS(*task.arms, **_linear(task)), (ContextualWorld,)),
    "binned_contexts": BanditAgent(
        lambda task: BinnedContexts(
            *task.arms,
            task.world.dimension,
            theory_bins(task.rounds, task.world.num_items, task.world.lipschitz, task.world.dimension),
        ),
        (ContextualWorld,),
    ),
    "policy_class_epsilon_greedy": BanditAgent(
        lambda task: PolicyClassEpsilonGreedy(*task.arms, **_stumps(task)), (ContextualWorld,)
    ),
    "exp4": BanditAgent(lambda task: Exp4(*task.arms, **_stumps(task)), (ContextualWorld,)),
    "neural_linear_ts": BanditAgent(
        lambda task: NeuralLinearTS(*task.arms, task.world.dimension), (ContextualWorld,)
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
