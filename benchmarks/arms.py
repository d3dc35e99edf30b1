"""Bandits with arms in lock-step: rounds of a replicate per CPU-second. 2 min: python benchmarks/arms.py

A round is acting, the world's step and the update, on 10 arms with means 0.1 to 0.9, for 1,000 replicates at
once and for one alone. Limit: the world's step alone; peer: UCB1 in plain NumPy, with its own coins and
nothing else.
"""

import time
from collections.abc import Callable

import numpy as np
from playing import speed
from timing import header, row, seconds

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits.bayes_ucb import BayesUCB
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy
from recsim_env.agents.bandits.explore_first import ExploreFirst
from recsim_env.agents.bandits.gaussian_ts import GaussianTS
from recsim_env.agents.bandits.kl_ucb import KLUCB
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.successive_elimination import SuccessiveElimination
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit

AGENTS: tuple[tuple[str, Callable[[int, int], Agent], str], ...] = (
    ("UCB1", UCB1, "20 M"),
    ("BetaTS", BetaTS, "2 M"),
    ("KLUCB", KLUCB, "0.5 M"),
    ("MOSS", lambda B, K: MOSS(B, K, 10_000), "5 M"),
    ("MOSS anytime", MOSS, "5 M"),
    ("BayesUCB", BayesUCB, "3 M"),
    ("ExploreFirst", lambda B, K: ExploreFirst(B, K, 200), "5 M"),
    ("EpsilonGreedy", EpsilonGreedy, "5 M"),
    ("SuccessiveElimination", lambda B, K: SuccessiveElimination(B, K, 10_000), "5 M"),
    ("GaussianTS", GaussianTS, "2 M"),
)


def numpy_ucb1(B: int, count: int) -> float:
    """Replicate-rounds per CPU-second of UCB1 in plain NumPy, the best of three parts."""
    rng, rows, means = np.random.default_rng(0), np.arange(B), np.linspace(0.1, 0.9, 10)
    pulls, sums, best = np.ones((B, 10)), (rng.random((B, 10)) < means).astype(float), 0.0
    for part in range(3):
        start = time.process_time()
        for t in range(11 + count * part, 11 + count * (part + 1)):
            arm = (sums / pulls + np.sqrt(2.0 * np.log(t) / pulls)).argmax(axis=1)
            sums[rows, arm] += rng.random(B) < means[arm]
            pulls[rows, arm] += 1.0
        best = max(best, count * B / (time.process_time() - start))
    return best


def main() -> None:
    """Print the table."""
    header()
    for B, count in ((1000, 2000), (1, 20_000)):
        world, luck = bernoulli_bandit(horizon=10**6), Luck.from_seeds(np.arange(B))
        state, slates = world.begin(luck), np.zeros((B, 1), np.int64)
        step = B / seconds(lambda: world.respond(state, slates, luck))  # noqa: B023
        peer = numpy_ucb1(B, count)
        for name, make, at_least in AGENTS:
            found = speed(world, make(B, 10), B, count)
            row(
                f"{name}, {B} at once: replicate-rounds/s",
                f"{found / 1e6:.3g} M",
                at_least if B > 1 else "0.05 M",
                f"the world's step alone {step / 1e6:.3g} M, UCB1 in NumPy {peer / 1e6:.3g} M",
            )


if __name__ == "__main__":
    main()
