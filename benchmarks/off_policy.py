"""CPU-seconds of off-policy estimates from 100,000 rows. About 40 s: python benchmarks/off_policy.py

Single actions, 100 of them; a click in twenty rows. Beside the bootstrap: SciPy's, of 20 resamples, scaled.
"""

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats
from timing import header, row, seconds

from recsim_env.evaluation.intervals import Bootstrap, Estimate
from recsim_env.evaluation.off_policy import (
    believable_slope,
    candidate_cuts,
    clipped_ips,
    cross_fit,
    direct_method,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    draw_folds,
    ips,
    marginalised_ips,
    model_values,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch,
    switch_doubly_robust,
    weights_from_probabilities,
)

R, A, E = 100_000, 100, 10


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(0)
    logging, target = (rng.dirichlet(np.ones(A)) * 0.9 + 0.1 / A for _ in range(2))
    action = rng.choice(A, R, p=logging)
    reward = (rng.random(R) < rng.random(A)[action] / 10).astype(np.float64)
    weight = weights_from_probabilities(target[action], logging[action])
    category, table = action % E, np.eye(E)[np.arange(A) % E]
    fold = draw_folds(R)
    q = cross_fit(reward, action, fold, A)
    values = model_values(q, action, target)
    columns = reward, weight, *values
    above = np.where(target > 5 * logging, target, 0) @ q.T
    uniform = rng.integers(0, A, R)

    header()
    interval = Bootstrap(resamples=1000)
    few = seconds(
        lambda: stats.bootstrap((weight * reward,), np.mean, n_resamples=20, method="percentile", rng=0),
        rounds=2,
    )
    resampled: dict[str, Callable[[], Estimate]] = {
        "ips": partial(ips, reward, weight, interval=interval),
        "snips": partial(snips, reward, weight, interval=interval),
        "self-normalised dr": partial(self_normalised_doubly_robust, *columns, interval=interval),
    }
    for name, call in resampled.items():
        row(
            f"bootstrap x 1,000 of {name}, s",
            f"{seconds(call, rounds=2):.2f}",
            "2 at most",
            f"SciPy {few * 50:.1f}",
        )

    calls: dict[str, Callable[[], object]] = {
        "ips": partial(ips, reward, weight),
        "snips": partial(snips, reward, weight),
        "clipped_ips": partial(clipped_ips, reward, weight, clip=5),
        "replay": partial(replay, reward, uniform, np.zeros(R, np.int64)),
        "direct_method": partial(direct_method, values.target, residual=weight * (reward - values.logged)),
        "doubly_robust": partial(doubly_robust, *columns),
        "self_normalised_doubly_robust": partial(self_normalised_doubly_robust, *columns),
        "switch": partial(switch, reward, weight, values.logged, above, threshold=5),
        "switch_doubly_robust": partial(switch_doubly_robust, *columns, threshold=5),
        "doubly_robust_optimistic_shrinkage": partial(
            doubly_robust_optimistic_shrinkage, *columns, shrinkage=25
        ),
        "marginalised_ips": partial(marginalised_ips, reward, category, target, logging, table),
    }
    total = 0.0
    for name, call in calls.items():
        spent = seconds(call, rounds=3)
        total += spent
        row(f"{name}, ms", f"{1e3 * spent:.1f}", "")
    row("the eleven together, s", f"{total:.3f}", "1 at most", "issue: 8 on 10,000 rows in 0.1 s")

    def chosen() -> int:
        cuts = candidate_cuts(weight)
        return believable_slope([clipped_ips(reward, weight, clip=float(cut)) for cut in cuts])

    row("a clip of ten by SLOPE, ms", f"{1e3 * seconds(chosen, rounds=3):.0f}", "")
    row("cross_fit, mean rewards, ms", f"{1e3 * seconds(lambda: cross_fit(reward, action, fold, A)):.0f}", "")
    row("model_values, ms", f"{1e3 * seconds(lambda: model_values(q, action, target)):.0f}", "")


if __name__ == "__main__":
    sys.exit(main())
