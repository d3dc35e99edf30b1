"""What an episode of a cascade world is worth to some policies, exactly: the scale that others are read on.

    python -m recsim_env.simulators.worlds.reference_values ladder
    python -m recsim_env.simulators.worlds.reference_values grocery
    python -m recsim_env.simulators.worlds.reference_values movielens DIRECTORY

print the figures that stand in the docstrings of these worlds.
"""

import argparse
from dataclasses import replace
from math import comb

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.simulators.worlds.cascade import CascadeWorld


def reference_values(world: CascadeWorld) -> dict[str, float]:
    """Expected return of an episode, averaged over the first state, of four policies.

    `optimal`; `myopic`, the list of largest expected reward of this step alone; `same`, in every state the
    K items of largest attraction on average over the first state; `random`, a uniformly random list of K
    distinct items.
    """
    liked = np.argsort(-(world.start_distribution @ world.attraction), kind="stable")[: world.slate_size]
    return {
        "optimal": world.mean_start_value(world.optimal_values()),
        "myopic": world.mean_start_value(world.policy_values(world.myopic_policy())),
        "same": world.mean_start_value(world.policy_values(np.tile(liked, (world.num_states, 1)))),
        "random": world.mean_start_value(random_list_values(world)),
    }


def random_list_values(world: CascadeWorld) -> Floats:
    """(H+1, S) exact values of showing a uniformly random full list of K distinct items at every step.

    Item a stands at slot k = 0 .. K-1 with probability 1/N, under a uniformly random set of k of the
    others, so with the elementary symmetric polynomials e_k of the numbers 1 - q(s,b)

        P(click on a) = q(s,a) / N  sum_k  e_k(b != a) / C(N-1, k),      P(no click) = e_K(all b) / C(N, K),

    and V_h(s) = sum_a P(click on a) w_h(s,a) + P(no click) w_h(s, no click). The same as the mean over all
    N!/(N-K)! lists, in O(S N^2 K).
    """
    S, N = world.attraction.shape
    K = world.slate_size
    skip = 1.0 - world.attraction  # (S, N)
    click = np.zeros((S, N + 1))  # P(click on a); the last column is no click
    for a in range(N):
        e = symmetric_polynomials(np.delete(skip, a, axis=1), K - 1)  # (K, S)
        click[:, a] = world.attraction[:, a] / N * sum(e[k] / comb(N - 1, k) for k in range(K))
    click[:, N] = symmetric_polynomials(skip, K)[K] / comb(N, K)
    values = np.zeros((world.horizon + 1, S))
    for h in range(world.horizon - 1, -1, -1):
        worth = world.transition @ values[h + 1]  # (S, N+1)
        worth[:, :N] += world.reward
        values[h] = (click * worth).sum(axis=1)
    return values


def symmetric_polynomials(x: Floats, K: int) -> Floats:
    """(K+1, S) e_0 .. e_K of the rows of x (S, N): e_k is the sum of the products of k different entries."""
    e = np.zeros((K + 1, len(x)))
    e[0] = 1.0
    for column in x.T:
        for k in range(K, 0, -1):
            e[k] += column * e[k - 1]
    return e


def main() -> None:
    """Print the figures of a world's docstring."""
    from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
    from recsim_env.simulators.worlds.grocery import grocery
    from recsim_env.simulators.worlds.movielens import movielens

    parser = argparse.ArgumentParser(
        description="Exact values of optimal, myopic, constant and random policies."
    )
    parser.add_argument("world", choices=["ladder", "grocery", "movielens"])
    parser.add_argument("path", nargs="?", help="directory of the MovieLens data set")
    arguments = parser.parse_args()
    if arguments.world == "ladder":
        _show("default", engagement_ladder())
        return
    if arguments.world == "grocery":
        for horizon in (1, 10, 50):
            _show(f"horizon={horizon}", grocery(horizon=horizon))
        return
    for num_items in (10, 25):
        world = movielens(arguments.path, num_items=num_items)
        _show(f"num_items={num_items}", world)
        _show(f"num_items={num_items}, q x 0.2", replace(world, attraction=world.attraction * 0.2))


def _show(label: str, world: CascadeWorld) -> None:
    print(f"{label:22}" + "  ".join(f"{name} {value:.5f}" for name, value in reference_values(world).items()))


if __name__ == "__main__":
    main()
