"""What a wrong prior costs Thompson sampling: its regret with each, on the same users under the same luck."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from recsim_env.agents.agent import Agent
from recsim_env.errors import InputError
from recsim_env.experiments.rounds import play_rounds


class PriorCost(NamedTuple):
    """Of one prior, on average over replicates, each with its standard error."""

    regret: float
    regret_error: float
    cost: float  # regret above that of the first prior, 0 for itself
    cost_error: float  # of the paired differences: replicate i is the same user for every prior


def prior_costs(
    world: Any,
    make: Callable[[Any], Agent],
    priors: Mapping[str, Any],
    num_replicates: int,
    rounds: int | None = None,
    seed: int = 0,
) -> dict[str, PriorCost]:
    """Play a world once with every prior.

    Args:
        world: of arms; with means that are drawn, regret is Bayes regret, and the law they are drawn from is
            the right prior.
        make: the agent with a prior, of as many rows as there are replicates.
        priors: by name, the one that others are compared with first.
        num_replicates: at least 2.
        rounds: to play, all of an episode by default.
        seed: of replicate 0; replicate i has seed + i.

    Raises:
        InputError: fewer than two replicates, no prior.
    """
    if num_replicates < 2:
        raise InputError(f"num_replicates must be at least 2 for standard errors, got {num_replicates}")
    if not priors:
        raise InputError("priors must name at least one")
    regrets = {
        name: play_rounds(world, make(prior), num_replicates, rounds, seed).regret[-1]
        for name, prior in priors.items()
    }
    right = next(iter(regrets.values()))
    root = np.sqrt(num_replicates)
    return {
        name: PriorCost(
            float(regret.mean()),
            float(regret.std(ddof=1) / root),
            float((regret - right).mean()),
            float((regret - right).std(ddof=1) / root),
        )
        for name, regret in regrets.items()
    }
