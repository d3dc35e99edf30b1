"""Fitted Q evaluation on tables: the exact value of a policy in the empirical model of the log.

    Q_h(s,a) = mean over rows i of (s,a) of y_i,     y_i = r_i + gamma V_{h+1}(s'_i),     V_H = 0,
    V_h(s) = sum_a pi_h(a|s) Q_h(s,a),               v = 1/E sum_e V_0(s_{e,0})                 (h = H-1 .. 0)

A row is one step of one episode. It is a regression of targets on a table, so no propensity is needed, and
the value is exact in the Markov decision process whose rewards and transitions are the frequencies of the
log. Without end (`horizon = inf`, discount below 1) V is the fixed point, from one sparse linear system. The
law of a step is the same at all steps (`stationary`, rows of all steps are fitted together), or of each step
by itself (rows of step h alone); a state that contains the step does the latter as well.

With d_h(s,a) the chance of being in s and doing a after h steps of the policy in the empirical model, and
n(s,a) the number of rows, the estimate is a mean over episodes of

    psi_e = V_0(s_{e,0}) + E sum_h gamma^h sum_{i of e} d_h(s_i,a_i) / n(s_i,a_i) ( y_i - Q_h(s_i,a_i) ),

since the residuals of a cell sum to 0. The standard error is that of psi (the delta method), and the interval
its normal or bootstrap one; d_h / n is the weight that a row has without knowing it, and the effective sample
size is the smallest over the steps of those weights.

Believe it: where the state given is all that matters, every cell that the policy meets was seen often (the
warnings say so), and states and actions are few. What the log lacks is refused, not guessed. A cell that was
seen once has no residual, so its part of the standard error is missing.

Source: Le, Voloshin, Yue, "Batch policy learning under constraints", ICML 2019 (fitted Q evaluation); that
it is a marginalised importance sampling estimator: Duan, Jia, Wang, "Minimax-optimal off-policy evaluation
with linear function approximation", ICML 2020.
"""

import math
from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.padded_episodes import (
    check_discount,
    check_horizon,
    check_ids,
    check_reward,
)
from recsim_env.evaluation.off_policy.weights import FEW_ROWS, LARGE_SHARE

FEW_VISITS = 5  # of a cell: below it, its residuals understate what is not known
ROUNDING = 1e-9


def fqe_tabular(
    state: Array,
    action: Array,
    reward: Array,
    next_state: Array,
    target: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    horizon: float | None = None,
    stationary: bool = True,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The value of an episode under a policy.

    Args:
        state: (E, H) integers, 0 to S-1.
        action: (E, H) integers, 0 to A-1; number the slates that occur.
        reward: (E, H).
        next_state: (E, H) the state after the step, also after the last; -1 where the user left.
        target: (S, A) pi(a|s), or (horizon, S, A) of a policy that looks at the step.
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        horizon: steps the policy is evaluated for; None = H; `math.inf` needs a discount below 1.
        stationary: whether all steps follow one law; if not, the horizon is H at most.
        interval: `Normal()` if None.
        groups: (E,) whose each episode is; None = all are independent.

    Raises:
        InputError: bad input, named by episode and step; an action of the policy that the log never shows in
            a state that the policy meets, named.
    """
    reward, present = check_reward(reward, present)
    E, H = reward.shape
    check_discount(discount)
    horizon = check_horizon(horizon, H, discount, stationary)
    target = _check_target(target, horizon)
    S, A = target.shape[-2:]
    state, action = check_ids("state", state, present, 0, S), check_ids("action", action, present, 0, A)
    next_state = check_ids("next_state", next_state, present, -1, S)

    episode, step = np.nonzero(present)  # (R,) rows
    rows = _Rows(state[present], action[present], reward[present], next_state[present], S, A)
    if math.isinf(horizon):
        value, correction, size, seldom = _without_end(rows, target, discount, state[:, 0])
    else:
        at = [np.flatnonzero(step == h) for h in range(H)] if not stationary else None
        value, correction, size, seldom = _backward(rows, at, target, discount, int(horizon), state[:, 0])
    pseudo = value[state[:, 0]] + E * np.bincount(episode, correction, E)
    estimate = mean_of(pseudo, interval=interval, groups=groups)
    warnings = []
    if size < FEW_ROWS:
        warnings.append(f"fewer than {FEW_ROWS} rows carry the weight at a step: effectively {size:.1f}")
    if seldom > LARGE_SHARE:
        warnings.append(
            f"{seldom:.0%} of the policy's steps are at states and actions that the log shows fewer than "
            f"{FEW_VISITS} times: the standard error is too small"
        )
    return replace(estimate, effective_sample_size=size, warnings=tuple(warnings))


class _Rows:
    """R steps, and the P pairs of state and action among them."""

    def __init__(
        self, state: Ints, action: Ints, reward: Floats, next_state: Ints, num_states: int, num_actions: int
    ) -> None:
        found, self.pair = np.unique(state * num_actions + action, return_inverse=True)  # (P,), (R,)
        self.pair_state, self.pair_action = np.divmod(found, num_actions)  # (P,)
        self.reward, self.next_state = reward, next_state  # (R,)
        self.num_states, self.num_pairs = num_states, len(found)

    def occupied(self, reached: Floats, policy: Floats, seen: Array, when: str) -> Floats:
        """(P,) d(s,a) of pairs, from d(s) (S,) of states and pi(a|s) (S, A).

        Args: seen (P,) whether the rows at hand show a pair.

        Raises:
            InputError: a state that is reached has an action that is never shown.
        """
        chance = np.where(seen, policy[self.pair_state, self.pair_action], 0.0)  # (P,)
        covered = np.bincount(self.pair_state, chance, self.num_states)
        lacking = (reached > 0) & (covered < policy.sum(axis=1) - ROUNDING)
        if lacking.any():
            s = int(np.argmax(lacking))
            shown = self.pair_action[seen & (self.pair_state == s)]
            a = int(np.argmax(np.where(np.isin(np.arange(policy.shape[1]), shown), 0.0, policy[s])))
            raise InputError(
                f"target gives action {a} the chance {policy[s, a]:.3g} in state {s}{when}, and the log "
                f"never shows it there (so in {lacking.sum()} of {int((reached > 0).sum())} states that "
                "the policy meets): evaluate a policy that the log supports"
            )
        return np.asarray(reached[self.pair_state] * chance)


def _backward(
    rows: _Rows, at: list[Ints] | None, target: Floats, discount: float, horizon: int, first: Ints
) -> tuple[Floats, Floats, float, float]:
    """Finite horizon.

    Args: at, rows of every step, or None if every step is fitted on all rows.

    Returns: (S,) V_0; (R,) sum_h gamma^h d_h / n (y - Q_h); the smallest effective sample size of a step; the
    largest share of a step that is at pairs seen seldom.
    """
    S, P = rows.num_states, rows.num_pairs
    every = np.arange(len(rows.pair))
    used = [every if at is None else at[h] for h in range(horizon)]
    counts = [np.bincount(rows.pair[used[h]], minlength=P) for h in range(1 if at is None else horizon)]
    counts = counts * horizon if at is None else counts
    reached: Floats = np.bincount(first, minlength=S) / len(first)  # (S,) d_h
    weight, size, seldom = [], math.inf, 0.0
    for h in range(horizon):  # forward: where the policy goes in the empirical model
        policy = target if target.ndim == 2 else target[h]
        occupied = rows.occupied(reached, policy, counts[h] > 0, f" at step {h}")
        weight.append(occupied / np.maximum(counts[h], 1))  # (P,)
        if occupied.sum() > 0:  # else everybody has left
            size = min(size, float(occupied.sum() ** 2 / (weight[h] * occupied).sum()))
            seldom = max(seldom, float(occupied[counts[h] < FEW_VISITS].sum() / occupied.sum()))
        after = rows.next_state[used[h]]
        reached = np.asarray(np.bincount(after + 1, weight[h][rows.pair[used[h]]], S + 1)[1:])
    value, correction = np.zeros(S + 1), np.zeros(len(rows.pair))  # value[-1]: of those who left
    for h in range(horizon - 1, -1, -1):  # backward: what it is worth
        policy, pair = target if target.ndim == 2 else target[h], rows.pair[used[h]]
        y = rows.reward[used[h]] + discount * value[rows.next_state[used[h]]]
        q = np.bincount(pair, y, P) / np.maximum(counts[h], 1)
        correction[used[h]] += discount**h * weight[h][pair] * (y - q[pair])
        value[:S] = np.bincount(rows.pair_state, policy[rows.pair_state, rows.pair_action] * q, S)
    return value[:S], correction, size, seldom


def _without_end(
    rows: _Rows, target: Floats, discount: float, first: Ints
) -> tuple[Floats, Floats, float, float]:
    """Discounted: (I - gamma P) V = r and d (I - gamma P) = d_0, with P the chain of states under the policy.

    Returns: as of `_backward`, with the discounted sum of all d_h in place of each.
    """
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import splu

    S, P = rows.num_states, rows.num_pairs
    counts = np.bincount(rows.pair, minlength=P)
    chance = target[rows.pair_state, rows.pair_action]  # (P,)
    stays = rows.next_state >= 0
    moved = (chance / counts)[rows.pair][stays], (rows.pair_state[rows.pair][stays], rows.next_state[stays])
    solver = splu(csc_array(eye_array(S) - discount * csc_array(moved, shape=(S, S))))
    reached = solver.solve(np.bincount(first, minlength=S) / len(first), trans="T")  # (S,) discounted
    reached = np.where(reached > ROUNDING / S, reached, 0.0)
    occupied = rows.occupied(reached, target, counts > 0, "")
    reward = np.bincount(rows.pair, rows.reward, P) / counts
    value = np.append(solver.solve(np.bincount(rows.pair_state, chance * reward, S)), 0.0)
    y = rows.reward + discount * value[rows.next_state]
    q = np.bincount(rows.pair, y, P) / counts
    weight = occupied / counts
    size = float(occupied.sum() ** 2 / (weight * occupied).sum())
    seldom = float(occupied[counts < FEW_VISITS].sum() / occupied.sum())
    return value[:S], weight[rows.pair] * (y - q[rows.pair]), size, seldom


def _check_target(target: Array, horizon: float) -> Floats:
    target = as_numbers("target", target)
    shapes = "(S, A)" if math.isinf(horizon) else f"(S, A) or ({int(horizon)}, S, A)"
    if target.ndim not in (2, 3) or target.size == 0 or (target.ndim == 3 and len(target) != horizon):
        raise InputError(f"target must have shape {shapes}, got {target.shape}")
    if not (target >= 0).all() or not (abs(target.sum(axis=-1) - 1) <= ROUNDING).all():
        bad = ~(target >= 0).all(axis=-1) | ~(abs(target.sum(axis=-1) - 1) <= ROUNDING)
        where = np.argwhere(bad)[0].tolist()
        raise InputError(
            f"target{where} must hold probabilities of actions that sum to 1, got a sum of "
            f"{target[tuple(where)].sum()} and a smallest of {target[tuple(where)].min()}"
        )
    return target
