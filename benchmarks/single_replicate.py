"""One replicate of every bandit, rounds per CPU-second. 5 min: python benchmarks/single_replicate.py

In each world where an algorithm can act, with its default parameters, the worlds with 10 items: those of
`TEN` are made smaller or larger for it. `KnapsackBandit-v0` has an eleventh arm, which is not to play;
`IncentivisedUsers-v0` keeps its 2 arms, as its warm-up cannot be enumerated for 10. What grows with the items
is in the rows of `LARGE`, at the world's own size.

The learner and random slates take turns, and of each the best of many short stretches counts: what others do
on the machine can halve a stretch. Their ratio is what the learner leaves of the world's and the loop's own
speed. A stretch of this length can pass over work that a learner does once in some hundred rounds.
"""

from playing import speeds
from timing import header, row

from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.bandits_by_world import algorithms_by_world
from recsim_env.experiments.env_args import world_of

ROUNDS, STRETCHES = 200, 50
TEN = (
    "CascadeBandit-v0",
    "ContextualBandit-v0",
    "LinearBandit-v0",
    "LinearCascadeBandit-v0",
    "LipschitzBandit-v0",
    "SemiBandit-v0",
)
LARGE = (
    ("beta_ts", "LipschitzBandit-v0"),
    ("cascade_kl_ucb", "LinearCascadeBandit-v0"),
    ("in_slate_thompson", "LinearCascadeBandit-v0"),
    ("lin_ucb", "LinearBandit-v0"),
    ("lin_ts", "LinearBandit-v0"),
)


def measure(name: str, env_id: str, args: dict[str, int]) -> None:
    """Print the line of one algorithm in one world."""
    task = BanditTask(world_of(env_id, {"horizon": 10_000, **args}), 1, 10_000)
    agents = [BANDITS[name].make(task), BANDITS["random"].make(task)]
    mine, random = speeds(task.world, agents, 1, ROUNDS, STRETCHES)
    what = f"{name} on {env_id.removesuffix('-v0')}, N = {task.world.num_items}"
    beside = f"random slates {random / 1e3:.0f} thousand: {mine / random:.2f} of it"
    row(what, f"{mine / 1e3:.1f} thousand", "50 thousand", beside)


def main() -> None:
    """Print the table."""
    header()
    for env_id, algorithms in algorithms_by_world().items():
        if env_id.startswith("CascadeRec"):
            continue  # users with states: the same algorithms as in CascadeBandit, a table for each state
        for name in algorithms:
            measure(name, env_id, {"num_items": 10} if env_id in TEN else {})
    for name, env_id in LARGE:
        measure(name, env_id, {})


if __name__ == "__main__":
    main()
