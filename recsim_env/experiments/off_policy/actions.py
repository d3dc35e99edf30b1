"""Single actions: a `SlateRec-v0` world with slates of one item, contextual bandits in other words.

The log's policy and the evaluated one are softmax choices by the users' true attractions, as in `slates`.
Embeddings of actions, for MIPS, are the categories of items: they carry most of an item's effect, not all.
Thresholds, clips and shrinkages are chosen by SLOPE, see `believable_slope`. Replay is not here: it is for
deterministic policies.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from recsim_env.arrays import Floats, Ints
from recsim_env.evaluation.intervals import Estimate, mean_of
from recsim_env.evaluation.off_policy import (
    believable_slope,
    candidate_cuts,
    clipped_ips,
    cross_fit,
    direct_method,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    draw_folds,
    importance_weights,
    ips,
    marginalised_ips,
    model_values,
    self_normalised_doubly_robust,
    snips,
    switch,
    switch_doubly_robust,
)
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.off_policy.problem import Problem
from recsim_env.experiments.off_policy.slates import NUM_ITEMS, POLICIES, WORLD, exact_value, logged


def action_problem(size: int, seed: int) -> Problem:
    """A log of `size` actions."""
    world: Any = world_of("SlateRec-v0", {**WORLD, "slate_size": 1})
    log, user, attraction = logged(world, size, seed)
    action, reward = log.slate[:, 0], log.clicked[:, 0].astype(np.float64)
    probability = {name: softmax(s * np.log(attraction), axis=1) for name, s in POLICIES.items()}  # (U, N)
    target = probability["target"][user]  # (R, N)
    every = np.log(probability["logging"])[user]  # the log's own propensities differ from these by rounding
    every[np.arange(size), action] = log.require("slot_log_propensity")[:, 0]
    of_all = importance_weights(np.log(target), every)  # (R, N)
    weights = of_all[np.arange(size), action]
    category = world.catalogue.category
    table = np.eye(category.max() + 1)[category]  # (N, E)

    def estimate(rows: Ints) -> dict[str, Estimate]:
        r, w, a = reward[rows], weights[rows], action[rows]
        fold = draw_folds(len(rows), seed=0)
        # the model knows no users: who reads DM in the figure sees what that costs
        model_of_all = cross_fit(r, a, fold, NUM_ITEMS)  # (r, N)
        model = model_values(model_of_all, a, target[rows])
        q = model.logged, model.target
        cuts = candidate_cuts(w)
        return {
            "log's mean": mean_of(r),
            "DM": direct_method(model.target, residual=w * (r - model.logged)),
            "IPS": ips(r, w),
            "SNIPS": snips(r, w),
            "clipped IPS": chosen(cuts, lambda cut: clipped_ips(r, w, clip=cut)),
            "DR": doubly_robust(r, w, *q),
            "SNDR": self_normalised_doubly_robust(r, w, *q),
            "Switch": chosen(
                cuts,
                lambda cut: switch(
                    r,
                    w,
                    model.logged,
                    (np.where(of_all[rows] > cut, target[rows], 0) * model_of_all).sum(axis=1),
                    threshold=cut,
                ),
            ),
            "Switch-DR": chosen(cuts, lambda cut: switch_doubly_robust(r, w, *q, threshold=cut)),
            "DRos": chosen(
                np.append(cuts**2, np.inf),
                lambda cut: doubly_robust_optimistic_shrinkage(r, w, *q, shrinkage=cut),
            ),
            "MIPS": marginalised_ips(r, category[a], target[rows], probability["logging"][user[rows]], table),
        }

    values = {name: exact_value(world, s * np.log(attraction)) for name, s in POLICIES.items()}
    return Problem("actions", values["target"], values["logging"], size, estimate)


def chosen(cuts: Floats, estimate: Callable[[float], Estimate]) -> Estimate:
    """The estimate of the cut that SLOPE chooses among those with the fewest warnings."""
    candidates = [estimate(float(cut)) for cut in cuts]
    return candidates[believable_slope(candidates)]
