"""Contextual bandits in lock-step: rounds per CPU-second. 3 min: python benchmarks/contextual_bandits.py

A round is acting, the world's step and the update, for 1,000 replicates at once and for one alone. Linear
learners play 50 items of 10 features, drawn anew in every round or kept; the others 5 items and contexts of
one number, of which 145 decision stumps are the class. Limit: the world's step alone.
"""

from collections.abc import Callable

import numpy as np
from playing import speed
from timing import header, row, seconds

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits.binned_contexts import BinnedContexts
from recsim_env.agents.bandits.context_cells import decision_stumps
from recsim_env.agents.bandits.exp4 import Exp4
from recsim_env.agents.bandits.lin_ts import LinTS
from recsim_env.agents.bandits.lin_ucb import LinUCB
from recsim_env.agents.bandits.neural_linear_ts import NeuralLinearTS
from recsim_env.agents.bandits.policy_class_epsilon_greedy import PolicyClassEpsilonGreedy
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.contextual_bandit import contextual_bandit
from recsim_env.simulators.worlds.linear_bandit import linear_bandit
from recsim_env.simulators.worlds.world import World

HORIZON = 10**6
STUMPS = decision_stumps(5, 1, 8)
LINEAR: dict[str, Callable[[int], Agent]] = {
    "LinUCB": lambda B: LinUCB(B, 50, 10, deviation=0.1),
    "LinTS": lambda B: LinTS(B, 50, 10, inflation=0.1),
}
CONTEXTS: dict[str, Callable[[int], Agent]] = {
    "LinUCB, one model an item": lambda B: LinUCB(B, 5, 1, shared=False),
    "LinTS, one model an item": lambda B: LinTS(B, 5, 1, shared=False),
    "BinnedContexts": lambda B: BinnedContexts(B, 5, 1, 9),
    "PolicyClassEpsilonGreedy": lambda B: PolicyClassEpsilonGreedy(B, 5, STUMPS, dimension=1, bins=8),
    "Exp4": lambda B: Exp4(B, 5, STUMPS, dimension=1, bins=8),
    "NeuralLinearTS": lambda B: NeuralLinearTS(B, 5, 1),
}
WORLDS: dict[str, tuple[World, dict[str, Callable[[int], Agent]]]] = {
    "fresh features": (linear_bandit(horizon=HORIZON), LINEAR),
    "kept features": (linear_bandit(horizon=HORIZON, fresh_features=False), LINEAR),
    "contexts": (contextual_bandit(horizon=HORIZON), CONTEXTS),
}


def main() -> None:
    """Print the table."""
    header()
    for B in (1000, 1):
        for setting, (world, agents) in WORLDS.items():
            luck = Luck.from_seeds(np.arange(B))
            state, slates = world.begin(luck), np.zeros((B, 1), np.int64)
            step = B / seconds(lambda: world.respond(state, slates, luck))  # noqa: B023
            for name, make in agents.items():
                found = speed(world, make(B), B, 300 if B > 1 else 10_000)
                wanted = "0.05 M" if B == 1 else "0.2 M" if name == "LinUCB" else ""
                row(
                    f"{name}, {setting}, {B} at once: rounds/s",
                    f"{found / 1e6:.3g} M",
                    wanted,
                    f"the world's step alone {step / 1e6:.3g} M",
                )


if __name__ == "__main__":
    main()
