"""One replicate of every bandit, rounds per CPU-second. 2 min: python benchmarks/single_replicate.py

In each world where an algorithm can act, with its default parameters; the best of many short stretches, as
what others do on the machine can halve a stretch. Beside it: the world and the loop alone, with random slates
in the same minute.
"""

from playing import speed
from timing import header, row

from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.bandits_by_world import algorithms_by_world
from recsim_env.experiments.env_args import world_of

ROUNDS, STRETCHES = 500, 16


def main() -> None:
    """Print the table."""
    header()
    for env_id, algorithms in algorithms_by_world().items():
        if env_id.startswith("CascadeRec"):
            continue  # users with states: the same algorithms as in CascadeBandit, a table for each state
        for name in algorithms:
            task = BanditTask(world_of(env_id, {"horizon": 10_000}), 1, 10_000)
            random = speed(task.world, BANDITS["random"].make(task), 1, ROUNDS, STRETCHES)
            measured = speed(task.world, BANDITS[name].make(task), 1, ROUNDS, STRETCHES)
            beside = f"random slates {random / 1e3:.0f} thousand"
            row(f"{name} on {env_id}", f"{measured / 1e3:.0f} thousand", "50 thousand", beside)


if __name__ == "__main__":
    main()
