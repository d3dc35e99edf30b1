"""Sequences: episodes of a small `CascadeRec-v0` world, whose user moves with every click.

The log's policy is the myopic list with random slots, the evaluated one the optimal list with fewer. With few
items all lists A can be enumerated, and the value of a policy is exact by backward induction over them:

    Q_h(s, A) = sum_c P(c | s, A) ( r(s, c) + sum_s' p(s' | s, c) V_{h+1}(s') ),
    V_h(s) = sum_A pi_h(A | s) Q_h(s, A),

with c the clicked item, or none. Fitted Q evaluation is the tabular one: the linear one with one column for
each state and action is equal to it, and the torch one takes minutes for a log.
"""

from contextlib import suppress
from itertools import permutations
from typing import Any

import numpy as np

from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_of
from recsim_env.evaluation.off_policy import (
    fqe_tabular,
    importance_weights,
    per_decision_ips,
    sequential_doubly_robust,
    trajectory_ips,
    weighted_doubly_robust,
    weighted_per_decision_ips,
    weighted_trajectory_ips,
)
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.off_policy.problem import Problem, TabularMeans
from recsim_env.simulators.episodes import to_episodes
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.user_models.clicks import Cascade

WORLD = {"num_states": 4, "num_items": 5, "slate_size": 2, "horizon": 5}
LOGGING, TARGET = 0.7, 0.4  # share of random slots of the log's policy and of the evaluated one


def sequence_problem(size: int, seed: int) -> Problem:
    """A log of `size` episodes."""
    world: Any = world_of("CascadeRec-v0", WORLD)
    N, H, S = world.num_items, world.horizon, world.num_states
    logging = EpsilonGreedySlates(world.myopic_policy(), N, LOGGING)
    evaluated = EpsilonGreedySlates(world.optimal_policy, N, TARGET)
    (log,) = generate_log(world, logging, H, num_users=size, seed=seed, piece_rows=size * H)
    episodes = to_episodes(log, horizon=H)
    lists = np.array(list(permutations(range(N), world.slate_size)))  # (A, K)
    policies = {name: table(policy, lists, H, S) for name, policy in (("log", logging), ("pi", evaluated))}
    code = np.full((N, N), -1)
    code[lists[:, 0], lists[:, 1]] = np.arange(len(lists))
    action = code[episodes.slate[..., 0], episodes.slate[..., 1]]  # (E, H)
    state = states(world, seed, episodes.slate)  # (E, H + 1)
    step = np.arange(H)
    log_target = np.log(policies["pi"][step, state[:, :H], action])
    weight = importance_weights(log_target, episodes.log_propensity)
    reward = episodes.reward

    def estimate(rows: Ints) -> dict[str, Estimate]:
        r, w, s, a = reward[rows], weight[rows], state[rows], action[rows]
        q = fitted_q(r, s, a, policies["pi"])  # (H, S, A)
        logged = q[step, s[:, :H], a]
        value = np.einsum("hsa,hsa->hs", policies["pi"], q)[step, s[:, :H]]
        found = {
            "log's mean": mean_of(r.sum(axis=1)),
            "IS": trajectory_ips(r, w),
            "WIS": weighted_trajectory_ips(r, w),
            "PDIS": per_decision_ips(r, w),
            "WPDIS": weighted_per_decision_ips(r, w),
            "sequential DR": sequential_doubly_robust(r, w, logged, value),
            "WDR": weighted_doubly_robust(r, w, logged, value),
        }
        with suppress(InputError):  # a small log lacks actions of the policy, and FQE does not guess
            found["FQE"] = fqe_tabular(s[:, :H], a, r, s[:, 1:], policies["pi"])
        return found

    values = {name: exact_value(world, lists, policy) for name, policy in policies.items()}
    return Problem("sequences", values["pi"], values["log"], size, estimate)


def table(policy: EpsilonGreedySlates, lists: Ints, H: int, S: int) -> Floats:
    """(H, S, A) the probability of every list."""
    step, state, A = *(axis.ravel() for axis in np.indices((H, S))), len(lists)
    observation = {"step": np.repeat(step, A), "state": np.repeat(state, A)}
    log_prob = policy.log_propensities(observation, np.tile(lists, (H * S, 1))).sum(axis=1)
    return np.asarray(np.exp(log_prob).reshape(H, S, A))


def states(world: Any, seed: int, slates: Ints) -> Ints:
    """(E, H + 1) the states that users were in: the same luck shows them again."""
    E, H, _ = slates.shape
    luck = Luck.from_seeds(np.arange(E) + seed)
    state = world.begin(luck)
    seen = [state.user_state]
    for h in range(H):
        state, _ = world.respond(state, slates[:, h], luck.at(h))
        seen.append(state.user_state)
    return np.stack(seen, axis=1)


def exact_value(world: Any, lists: Ints, policy: Array) -> float:
    """The value of an episode, averaged over the first state, of a policy (H, S, A)."""
    S, K = world.num_states, world.slate_size
    attraction = world.attraction[:, lists].reshape(-1, K)  # (S A, K)
    click = Cascade().click_prob(attraction).reshape(S, len(lists), K)
    none = 1.0 - click.sum(axis=2)
    value = np.zeros(S)
    for h in range(world.horizon - 1, -1, -1):
        worth = world.transition @ value  # (S, N + 1)
        worth[:, :-1] += world.reward
        q = (click * worth[:, :-1][:, lists]).sum(axis=2) + none * worth[:, -1:]  # (S, A)
        value = (policy[h] * q).sum(axis=1)
    return float(value @ world.start_distribution)


def fitted_q(reward: Floats, state: Ints, action: Ints, policy: Floats) -> Floats:
    """(H, S, A) the model of the doubly robust estimators: table means, from the last step to the first."""
    H, S, A = policy.shape
    q, following = np.empty((H, S, A)), np.zeros(S)
    every = np.indices((S, A)).reshape(2, -1).T
    for h in range(H - 1, -1, -1):
        seen = np.stack([state[:, h], action[:, h]], axis=1)
        model = TabularMeans(last=2).fit(seen, reward[:, h] + following[state[:, h + 1]])
        q[h] = model.predict(every).reshape(S, A)
        following = (policy[h] * q[h]).sum(axis=1)
    return q
