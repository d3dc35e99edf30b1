"""Slates: clicks on lists of a `SlateRec-v0` world of few items, so that every list can be enumerated.

The log's policy and the evaluated one are Plackett-Luce lists by the users' true attractions, the log's less
sharp: theta = sharpness log a(u, i). The value of a policy is the mean over users of
sum over lists of P(list) times its expected clicks, over all N! / (N - K)! lists.
"""

from itertools import permutations
from typing import Any

import numpy as np
from scipy.special import logsumexp

from recsim_env.agents.baselines.logging_policies import PlackettLuceSlates
from recsim_env.arrays import Floats, Ints
from recsim_env.evaluation.intervals import Estimate, mean_of
from recsim_env.evaluation.off_policy import (
    aips,
    cascade_dr,
    choose_behavior,
    fit_cascade_q,
    iips,
    plackett_luce_marginals,
    plackett_luce_pair_marginals,
    plackett_luce_slot_prob,
    position_weights,
    prefix_weights,
    pseudo_inverse,
    pseudo_inverse_weights,
    q_of_log,
    rips,
    sips,
    slate_weights,
    sn_pseudo_inverse,
    snaips,
    sniips,
    snrips,
    snsips,
)
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.off_policy.problem import Problem, TabularMeans
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import repeat_rows, take_rows

NUM_ITEMS, NUM_USERS = 8, 20
WORLD = {
    "num_items": NUM_ITEMS,
    "num_users": NUM_USERS,
    "dimension": 4,
    "num_categories": 4,
    "sharpness": 2.5,
    "intercept": -1.5,
    "horizon": 1,
}
LOGGING, TARGET = 0.3, 2.0  # sharpness of the log's policy and of the evaluated one


def slate_problem(clicks: str, slate_size: int, size: int, seed: int) -> Problem:
    """A log of `size` slates.

    Args:
        clicks: name of a click model.
        slate_size: K, up to `NUM_ITEMS`.
        size: rows.
        seed: of the first row.
    """
    world: Any = world_of("SlateRec-v0", {**WORLD, "clicks": clicks, "slate_size": slate_size})
    log, user, attraction = logged(world, size, seed)
    logits = {name: sharpness * np.log(attraction) for name, sharpness in POLICIES.items()}
    K, slate, clicked = slate_size, log.slate, log.clicked.astype(np.float64)
    target = PlackettLuceSlates(logits["target"], K)
    slot_log_target = target.log_propensities({"state": user}, slate)
    slot_log_logging = log.require("slot_log_propensity")
    marginals = {name: plackett_luce_marginals(theta, K) for name, theta in logits.items()}  # (U, K, N)
    of_slate = slate_weights(slot_log_target, slot_log_logging)
    of_prefix = prefix_weights(slot_log_target, slot_log_logging)
    of_position = position_weights(marginals["target"][user], marginals["logging"][user], slate)
    of_inverse = np.empty(size)
    for u in range(NUM_USERS):
        rows = np.flatnonzero(user == u)
        pairs = plackett_luce_pair_marginals(logits["logging"][u], K)
        of_inverse[rows] = pseudo_inverse_weights(slate[rows], marginals["target"][u], pairs)
    behaviours = np.stack([np.repeat(of_slate[:, None], K, axis=1), of_prefix, of_position])

    def estimate(rows: Ints) -> dict[str, Estimate]:
        reward, shown = clicked[rows], slate[rows]
        choice = choose_behavior(reward, behaviours[:, rows])
        chosen = np.take_along_axis(behaviours[:, rows], choice[None], axis=0)[0]
        slot_target = plackett_luce_slot_prob(logits["target"][user[rows]], shown)
        # the model knows neither users nor the items above: who reads DM in the figure sees what that costs
        q = fit_cascade_q(shown, reward, slot_target, TabularMeans(last=1))
        q_logged, q_expected = q_of_log(q, slot_target, shown)
        return {
            "log's mean": mean_of(reward.sum(axis=1)),
            "DM": mean_of(q_expected[:, 0]),
            "SIPS": sips(reward, of_slate[rows]),
            "SNSIPS": snsips(reward, of_slate[rows]),
            "IIPS": iips(reward, of_position[rows]),
            "SNIIPS": sniips(reward, of_position[rows]),
            "RIPS": rips(reward, of_prefix[rows]),
            "SNRIPS": snrips(reward, of_prefix[rows]),
            "Cascade-DR": cascade_dr(reward, of_prefix[rows], q_logged, q_expected),
            "AIPS": aips(reward, chosen),
            "SNAIPS": snaips(reward, chosen),
            "PI": pseudo_inverse(reward, of_inverse[rows]),
            "SNPI": sn_pseudo_inverse(reward, of_inverse[rows]),
        }

    values = {name: exact_value(world, theta) for name, theta in logits.items()}
    return Problem(f"slates/{clicks}/{K}", values["target"], values["logging"], size, estimate)


POLICIES = {"logging": LOGGING, "target": TARGET}


def logged(world: Any, size: int, seed: int) -> tuple[Log, Ints, Floats]:
    """The log of `size` users of one slate each, their numbers in the population, and a (U, N)."""
    luck = Luck.from_seeds(np.arange(size) + seed)
    user = world.begin(luck).user
    attraction = attractions(world)

    def scores(state: Any) -> Floats:
        return np.asarray(LOGGING * np.log(attraction[state.user]))

    policy = PlackettLuceSlates(scores, world.slate_size)
    (log,) = generate_log(world, policy, 1, num_users=size, seed=seed, piece_rows=size)
    return log, user, attraction


def attractions(world: Any) -> Floats:
    """(U, N) a(u, i)."""
    users, N, K = everybody(world), world.num_items, world.slate_size
    columns = [np.full((NUM_USERS, K), -1) for _ in range(N)]
    for item, column in enumerate(columns):
        column[:, 0] = item
    return np.stack([world.slate_attraction(users, column)[:, 0] for column in columns], axis=1)


def exact_value(world: Any, logits: Floats) -> float:
    """The mean over users of the expected clicks of their Plackett-Luce lists, theta (U, N)."""
    lists = np.array(list(permutations(range(world.num_items), world.slate_size)))  # (L, K)
    total = 0.0
    for u in range(NUM_USERS):
        user = repeat_rows(take_rows(everybody(world), np.array([u])), len(lists))
        theta, left = logits[u], np.tile(logits[u], (len(lists), 1))
        log_prob = np.zeros(len(lists))
        for k in range(world.slate_size):
            log_prob += theta[lists[:, k]] - logsumexp(left, axis=1)
            left[np.arange(len(lists)), lists[:, k]] = -np.inf
        total += float(np.exp(log_prob) @ world.expected_reward(user, lists))
    return total / NUM_USERS


def everybody(world: Any) -> Any:
    """The state in which every user of the population is before the first slate."""
    state = world.begin(Luck.from_seeds(np.arange(NUM_USERS)))
    return state._replace(user=np.arange(NUM_USERS))
