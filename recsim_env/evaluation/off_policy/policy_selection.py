"""Whether estimates would have chosen the right policy, where the truth is known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate


@dataclass(frozen=True)
class PolicySelection:
    """Policies from the highest to the lowest estimate, beside what they are worth.

    Equal estimates stand with the worse policy first, so that an estimator that cannot tell is not praised
    for the order it was given.
    """

    policy: tuple[str, ...]  # P names, by estimate
    estimate: Floats  # (P,)
    truth: Floats  # (P,)
    kendall_tau: float  # tau-b of estimates and truth, in [-1, 1]; nan where all of one are equal
    rmse: float  # of the estimates, in units of reward

    def regret(self, k: int = 1) -> float:
        """What is lost by trying the k highest estimates and keeping the best of them: 0 is perfect.

        Raises:
            InputError: k outside 1 to P.
        """
        if not 1 <= k <= len(self.policy):
            raise InputError(f"k must be from 1 to {len(self.policy)}, the number of policies, got {k}")
        return float(self.truth.max() - self.truth[:k].max())

    def relative_regret(self, k: int = 1) -> float:
        """`regret` as a share of the best policy's worth; nan if that is 0."""
        best = abs(float(self.truth.max()))
        return self.regret(k) / best if best > 0 else math.nan

    def __str__(self) -> str:
        """The table of policies and the figures below it."""
        wide = max(6, *(len(name) for name in self.policy))
        rank = len(self.truth) - np.argsort(np.argsort(self.truth, kind="stable"), kind="stable")
        lines = [f"{'policy':{wide}}  {'estimate':>10}  {'truth':>10}  {'true rank':>9}"]
        lines += [
            f"{name:{wide}}  {estimate:10.4g}  {truth:10.4g}  {place:9d}"
            for name, estimate, truth, place in zip(self.policy, self.estimate, self.truth, rank, strict=True)
        ]
        regrets = [f"regret@{k} {self.regret(k):.4g}" for k in (1, 3, 5) if k <= len(self.policy)]
        lines.append(
            f"{', '.join(regrets)} (@1: {self.relative_regret():.1%} of the best), "
            f"Kendall tau {self.kendall_tau:.3f}, RMSE {self.rmse:.4g}"
        )
        return "\n".join(lines)


def policy_selection(
    estimates: Mapping[str, Estimate | float], truth: Mapping[str, float]
) -> PolicySelection:
    """Rank policies by one estimator's values and hold the ranking against the truth.

    Args:
        estimates: by name of policy, two or more, all from one estimator.
        truth: the value of each of them.

    Raises:
        InputError: fewer than two policies, names that differ, or a value that is not finite.
    """
    from scipy.stats import kendalltau

    names = list(estimates)
    if len(names) < 2:
        raise InputError(f"estimates must hold two policies or more, got {len(names)}")
    if set(names) != set(truth):
        odd = sorted(set(names) ^ set(truth))
        raise InputError(f"estimates and truth must be of the same policies, only one has {odd[0]!r}")
    value = np.array([e.value if isinstance(e, Estimate) else e for e in estimates.values()], np.float64)
    worth = np.array([truth[name] for name in names], np.float64)
    for what, numbers in (("estimates", value), ("truth", worth)):
        if not np.isfinite(numbers).all():
            i = int(np.argmin(np.isfinite(numbers)))
            raise InputError(f"{what}[{names[i]!r}] = {numbers[i]} is not finite")
    order = np.lexsort((worth, -value))
    flat = len(np.unique(value)) == 1 or len(np.unique(worth)) == 1
    return PolicySelection(
        tuple(names[i] for i in order),
        value[order],
        worth[order],
        math.nan if flat else float(kendalltau(value, worth).statistic),
        float(np.sqrt(np.mean((value - worth) ** 2))),
    )
