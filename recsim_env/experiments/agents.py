"""Agents by name, for the command line: how each is made for a world and a number of replicates."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.ts_cascade import TSCascade
from recsim_env.agents.baselines.oracles import Fixed
from recsim_env.agents.baselines.popularity import Popularity
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.agents.tabular.adapt_vi import AdaptVI
from recsim_env.agents.tabular.cascading_bpi import CascadingBPI
from recsim_env.agents.tabular.cascading_vi import CascadingVI, CascadingVIBonus, CascadingVIOracle
from recsim_env.experiments.settings import names_of
from recsim_env.simulators.worlds.cascade import CascadeWorld


@dataclass(frozen=True)
class Task:
    """What an agent is made for."""

    world: CascadeWorld  # seen by the oracles only
    num_replicates: int
    num_episodes: int
    bonus_scale: float
    epsilon: float = 0.5  # of cascading_bpi, a share of the largest possible return

    @property
    def table(self) -> tuple[int, int, int, int]:
        """B, S, N, K."""
        return self.num_replicates, self.world.num_states, self.world.num_items, self.world.slate_size

    @property
    def planning(self) -> tuple[int, int, int, int, int, int, float]:
        """B, S, N, K, H, episodes, bonus scale."""
        return *self.table, self.world.horizon, self.num_episodes, self.bonus_scale


AGENTS: dict[str, Callable[[Task], Agent]] = {
    "random": lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
    "popularity": lambda task: Popularity(task.num_replicates, task.world.num_items, task.world.slate_size),
    "myopic": lambda task: Fixed(task.world.myopic_policy()),
    "optimal": lambda task: Fixed(task.world.optimal_policy),
    "cascade_ucb": lambda task: CascadeUCB(*task.table),
    "cascade_kl_ucb": lambda task: CascadeKLUCB(*task.table),
    "cascade_ts": lambda task: CascadeTS(*task.table),
    "ts_cascade": lambda task: TSCascade(*task.table),
    "cascading_vi": lambda task: CascadingVI(*task.planning),
    "cascading_vi_doubling": lambda task: CascadingVI(*task.planning, replan="doubling"),
    "cascading_vi_bonus": lambda task: CascadingVIBonus(*task.planning),
    "cascading_vi_oracle": lambda task: CascadingVIOracle(*task.planning),
    "cascading_bpi": lambda task: CascadingBPI(
        *task.table, task.world.horizon, task.epsilon * task.world.horizon, task.bonus_scale
    ),
    "adapt_vi": lambda task: AdaptVI(*task.planning),
}


def make_agent(name: str, task: Task, num_replicates: int) -> Agent:
    """An agent of so many replicates."""
    return AGENTS[name](replace(task, num_replicates=num_replicates))


def agent_names(text: str) -> list[str]:
    """The names in a comma-separated list.

    Raises:
        InputError: none, one twice, or one that is not known, with the nearest that is.
    """
    return names_of("agents", "agent", text, AGENTS)
