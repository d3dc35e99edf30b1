"""What is measured, as TensorBoard and reports name it, in one table for all agents; and how sure it is."""

from collections.abc import Mapping

import numpy as np

from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments.results import Curve

TAGS = {
    "regret": "value of the best slates less that of the slates shown, without the luck of the clicks",
    "reward": "what users answered, such as clicks",
    "ndcg": "how the slates shown are ordered by what truly attracts the user; 1 is the best order",
    "coverage": "share of the catalogue that was shown so far",
    "kl": "how far an update moved the policy, as Kullback-Leibler divergence",
    "drift": "how far users' interests are from where they began",
}
"""By tag, what it means; their charts come first and in this order."""
BESIDE = ("_std_error", "_low", "_high")
"""Ends of the names of curves that say how sure another one is."""


def metrics_of(curves: Mapping[str, Curve]) -> list[str]:
    """The metrics that are no part of another one's interval: those of the table first, then as they come."""
    names = [
        name for name in curves if not any(name.removesuffix(end) in curves for end in BESIDE if end in name)
    ]
    return [tag for tag in TAGS if tag in names] + [name for name in names if name not in TAGS]


def estimate_of(metric: str, curves: Mapping[str, Curve]) -> Estimate:
    """(P,) the mean at every step and its error: over replicates, or as the curves beside it say."""
    curve = curves[metric]
    if curve.values.shape[1] > 1 or not has_interval(metric, curves):
        return mean_estimate(curve.values)
    error, low, high = (
        curves[metric + end].values[:, 0] if metric + end in curves else np.full(len(curve.steps), np.nan)
        for end in BESIDE
    )
    bounds = (low, high) if f"{metric}_low" in curves else None
    return Estimate(curve.values[:, 0], error, bounds=bounds)  # type: ignore[arg-type]  # arrays of ends


def has_interval(metric: str, curves: Mapping[str, Curve]) -> bool:
    """Whether its error is known."""
    beside = {f"{metric}_std_error"} <= curves.keys() or {f"{metric}_low", f"{metric}_high"} <= curves.keys()
    return curves[metric].values.shape[1] > 1 or beside
