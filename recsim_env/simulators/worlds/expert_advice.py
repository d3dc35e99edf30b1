"""Advice of experts with full feedback: `ExpertAdvice-v0`."""

import numpy as np

from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.experts import ExpertWorld

MOST_CELLS = 50_000_000  # of the table of costs: 400 MB
KINDS = ("stochastic", "adversary")


def expert_advice(
    num_experts: int = 10,
    kind: str = "stochastic",
    best_error: float = 0.2,
    gap: float = 0.2,
    horizon: int = 1000,
    world_seed: int = 0,
) -> ExpertWorld:
    """Follow one of N experts every round, and see afterwards who was right.

    Story:
        Will this user like it or not? N experts say 1 or 0. One of them is followed, and then it is seen
        which of them were wrong. There is nothing to explore, because all costs are seen whoever is
        followed; what is left is to trust the right ones, and not to be led by an adversary.

    Slate (action):
        One item: the expert to follow (0 to N-1). Voting is an action too: follow anyone on the side that
        won the vote.

    Observation:
        `predictions`, what every expert says of this round, 0 or 1; `costs`, for every expert 1 if wrong in
        the round before, else 0 (all 0 before the first round); and `step`.

    What the user does:
        Always looks, and clicks where the expert was right.

    Reward:
        1 - cost: 1 if the expert followed is right, else 0.

    Episode end:
        Truncated after `horizon` rounds. Nobody leaves. The next episode is the same list of costs again.

    Regret is measured against:
        An expert who is right in this round: dynamic regret. `fixed_regret()` of the world is what to
        subtract for the regret against the best single expert in hindsight, which theory bounds.

    Parameters (default, range, source):
        num_experts: N (10, at least 2; ours).
        kind: `stochastic`: experts are wrong independently in every round, by chance; `adversary`: experts
            are in two camps that are wrong in turns, so that who has erred least so far errs next.
        best_error: of `stochastic`, the chance of the best expert to be wrong (0.2, 0 to 1 - gap; ours). 0 is
            the perfect expert for whom the majority vote of all who never erred was made.
        gap: of `stochastic`, how much more often the others are wrong (0.2, in (0, 1]; ours).
        horizon: H, rounds of an episode (1000, at least 2; horizon x num_experts at most 50 million; ours).
        world_seed: who is the best, who is in which camp, and who is wrong in which round (0).

    Known simplifications:
        Costs are 0 or 1. All users meet the same costs: replicates differ by the outcomes and by the
        learner's coins, so to average over costs vary `world_seed`. Outcomes are fair coins, which the
        experts alone tell something of. The adversary is oblivious.

    Version history:
        v0: first version.

    Source: Slivkins, "Introduction to multi-armed bandits", 2019, chapter 5; Littlestone, Warmuth, "The
    weighted majority algorithm", Information and Computation 108, 1994.

    Raises:
        InputError: a parameter out of range.
    """
    if num_experts < 2:
        raise InputError(f"num_experts must be at least 2, got {num_experts}")
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if not 0.0 < gap <= 1.0:
        raise InputError(f"gap must be above 0 and at most 1, got {gap}")
    if not 0.0 <= best_error <= 1.0 - gap:
        raise InputError(f"best_error must be from 0 to 1 - gap, {1.0 - gap:g}, got {best_error}")
    if horizon < 2:
        raise InputError(f"horizon must be at least 2, got {horizon}")
    if horizon * num_experts > MOST_CELLS:
        raise InputError(
            f"horizon x num_experts must be at most {MOST_CELLS:,}, the size of the table of costs, "
            f"got {horizon} x {num_experts}"
        )
    rng = world_generator(world_seed)
    order = rng.permutation(num_experts)
    if kind == "adversary":
        camp = order % 2  # (N,)
        return ExpertWorld((np.arange(horizon)[:, None] % 2 == camp).astype(np.float64))
    chance = best_error + gap * (order > 0)  # (N,)
    return ExpertWorld((rng.random((horizon, num_experts)) < chance).astype(np.float64))
