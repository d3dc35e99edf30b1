"""Agents with networks by name, and what they are compared with: how each is made for a world.

They are imported when they are made: PyTorch takes seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require
from recsim_env.experiments.settings import names_of
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.world import ShowsCandidates, World


@dataclass(frozen=True)
class DeepTask:
    """What an agent is made for."""

    world: World
    num_rows: int  # B
    seed: int
    discount: float
    learning_rate: float
    units: int
    exploration: int  # slates of a row over which exploration falls
    gradient_steps: int

    @property
    def learning(self) -> dict[str, Any]:
        """What all agents with networks are told; the end of an episode is final, as in the score."""
        return {
            "entries": self.world.observation_entries(),
            "slate_size": self.world.slate_size,
            "discount": self.discount,
            "truncated_is_final": True,
            "learning_rate": self.learning_rate,
            "units": self.units,
            "gradient_steps": self.gradient_steps,
            "seed": self.seed,
        }


class Oracle:
    """Shows what a function of the world's state says; see `see`."""

    def __init__(self, choose: Callable[[Any], Ints]) -> None:
        self.choose = choose
        self.state: Any = None

    def see(self, state: Any) -> None:
        """The state of the world, of B users, before they are shown something."""
        self.state = state

    def act(self, observation: dict[str, Array], luck: Luck) -> Ints:
        """(B, K)."""
        return self.choose(self.state)

    def update(self, transition: Transition) -> None:
        """Nothing to learn."""


def slate_q(task: DeepTask, **options: Any) -> Agent:
    """SlateQ."""
    from recsim_env.agents.deep_rl.slate_q import SlateQ

    return SlateQ(num_items=task.world.num_items, exploration=task.exploration, **task.learning, **options)


def reinforce_top_k(task: DeepTask, **options: Any) -> Agent:
    """REINFORCE with the top-K correction."""
    from recsim_env.agents.deep_rl.reinforce_top_k import ReinforceTopK

    return ReinforceTopK(
        num_items=task.world.num_items,
        num_rows=task.num_rows,
        horizon=task.world.horizon,
        **task.learning,
        **options,
    )


def wolpertinger(task: DeepTask) -> Agent:
    """Wolpertinger with a tenth of the items as neighbours, and two slates of them at least."""
    from recsim_env.agents.deep_rl.wolpertinger import Wolpertinger

    N, K = task.world.num_items, task.world.slate_size
    catalogue = getattr(task.world, "catalogue", None)
    features = np.eye(N, dtype=np.float32) if catalogue is None else catalogue.features
    return Wolpertinger(
        features=features,
        neighbours=min(N, max(2 * K, N // 10)),
        exploration=task.exploration,
        **task.learning,
    )


def myopic(task: DeepTask) -> Agent:
    """The slates that earn most now, where they are known."""
    world = task.world
    if isinstance(world, CascadeWorld):
        table = world.myopic_policy()
        return Oracle(lambda state: table[state.user_state])
    if world.plans_ahead:
        raise InputError(
            "myopic is known in cascading worlds and where regret looks one step ahead: take optimal"
        )
    return Oracle(world.best_slate)


def optimal(task: DeepTask) -> Agent:
    """The slates that regret is measured against."""
    return Oracle(task.world.best_slate)


DEEP_AGENTS: dict[str, Callable[[DeepTask], Agent]] = {
    "slate_q": slate_q,
    "slate_q_greedy": lambda task: slate_q(task, slates="greedy"),
    "slate_q_top_k": lambda task: slate_q(task, slates="top_k"),
    "reinforce_top_k": reinforce_top_k,
    "reinforce": lambda task: reinforce_top_k(task, correction="off_policy"),
    "reinforce_value": lambda task: reinforce_top_k(task, baseline="value"),
    "wolpertinger": wolpertinger,
    "random": lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
    "myopic": myopic,
    "optimal": optimal,
}
WITHOUT_NETWORKS = ("random", "myopic", "optimal")


def deep_agent_names(text: str) -> list[str]:
    """The names in a comma-separated list.

    Raises:
        InputError: none, one twice, or one that is not known, with the nearest that is; torch is missing.
    """
    names = names_of("agents", "agent", text, DEEP_AGENTS)
    if not set(names) <= set(WITHOUT_NETWORKS):
        require("torch", "torch")
    return names


def check_world(world: World, env_id: str) -> None:
    """Refuse worlds whose slates are of places in a candidate set: the agents learn of items by their number.

    Raises:
        InputError: it is one.
    """
    if isinstance(world, ShowsCandidates):
        raise InputError(
            f"{env_id} with candidates shows other items in the same place every time, and these agents "
            "learn of items by their number: leave candidates out"
        )
