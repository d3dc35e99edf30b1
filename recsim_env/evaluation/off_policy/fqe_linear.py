"""Fitted Q evaluation with linear functions of features: least squares, backward or to a fixed point.

    Q_h(s,a) = phi(s,a)' theta_h,      phi_pi(s) = sum_a pi(a|s) phi(s,a)
    finite horizon    theta_h = argmin sum_i ( r_i + gamma phi_pi(s'_i)' theta_{h+1} - phi_i' theta )^2,
                      theta_H = 0
    without end       theta = M^-1 sum_i phi_i r_i,  M = sum_i phi_i (phi_i - gamma phi_pi(s'_i))'  (LSTD-Q)
    value             v = u_0' theta_0,      u_0 = 1/E sum_e phi_pi(s_{e,0})

A row i is one step of one episode. With one feature per state and action it is `fqe_tabular`. Where features
are linearly dependent the solution of least norm is taken: any other gives the same value, or the value is
refused because the log does not determine it.

As there, the estimate is a mean over episodes of phi_pi(s_{e,0})' theta_0 plus E times the weighted residuals
of its rows; the weights are u_h' A_h^-1 phi_i with A_h = sum_i phi_i phi_i' and
u_{h+1} = gamma sum_i (u_h' A_h^-1 phi_i) phi_pi(s'_i), or u_0' M^-1 phi_i, and may be negative. The standard
error is that of this mean: it knows the noise of the log, and not that Q may not be linear in the features.

Believe it: where Q is (nearly) linear in the features, at the states that the policy meets, and rows are many
times the features. The fixed point need not be near the truth where the log's policy is far from the
evaluated one, and the error of each step feeds the one before.

Source: Le, Voloshin, Yue, "Batch policy learning under constraints", ICML 2019; Duan, Jia, Wang,
"Minimax-optimal off-policy evaluation with linear function approximation", ICML 2020; the fixed point:
Lagoudakis, Parr, "Least-squares policy iteration", JMLR 4, 2003.
"""

import math
from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.padded_episodes import (
    check_discount,
    check_horizon,
    check_numbers,
    check_reward,
)
from recsim_env.evaluation.off_policy.weights import FEW_ROWS

RANK = 1e-10  # singular values below this share of the largest are 0
SPANNED = 1e-6  # length of what a log does not determine, as a share of the whole


def fqe_linear(
    features: Array,
    reward: Array,
    next_features: Array,
    start_features: Array,
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
        features: (E, H, D) phi of what was done; with a constant among them, unless they are one-hot.
        reward: (E, H).
        next_features: (E, H, D) phi_pi of the state after the step, also after the last; 0 where the user
            left.
        start_features: (E, D) phi_pi of the first state.
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        horizon: steps the policy is evaluated for; None = H; `math.inf` needs a discount below 1.
        stationary: whether one law and one policy hold at all steps, and all rows are fitted together; if
            not, step h is fitted on its rows, phi_pi may be of another policy at every step, and the horizon
            is H at most.
        interval: `Normal()` if None.
        groups: (E,) whose each episode is; None = all are independent.

    Raises:
        InputError: bad input, named by episode and step; features of the policy that the log does not span.
    """
    reward, present = check_reward(reward, present)
    E, H = reward.shape
    check_discount(discount)
    horizon = check_horizon(horizon, H, discount, stationary)
    phi = _check_features("features", features, present, None)
    after = _check_features("next_features", next_features, present, phi.shape[2])
    start_present = np.ones((E, 1), np.bool_)
    start_features = as_numbers("start_features", start_features)
    if start_features.shape != (E, phi.shape[2]):
        raise InputError(
            f"start_features must have shape ({E}, {phi.shape[2]}), one row of features per episode, "
            f"got {start_features.shape}"
        )
    start = check_numbers("start_features", start_features[:, None], start_present, "D")[:, 0]

    episode, step = np.nonzero(present)  # (R,) rows
    phi, after, reward = phi[present], after[present], reward[present]
    at = [np.flatnonzero(step == h) for h in range(H)] if not stationary else None
    if math.isinf(horizon):
        theta, correction, size = _fixed_point(phi, after, reward, discount, start.mean(axis=0))
    else:
        theta, correction, size = _backward(
            phi, after, reward, at, discount, int(horizon), start.mean(axis=0)
        )
    pseudo = start @ theta + E * np.bincount(episode, correction, E)
    estimate = mean_of(pseudo, interval=interval, groups=groups)
    warnings = []
    if size < FEW_ROWS:
        warnings.append(f"fewer than {FEW_ROWS} rows carry the weight at a step: effectively {size:.1f}")
    return replace(estimate, effective_sample_size=size, warnings=tuple(warnings))


def _backward(
    phi: Floats,
    after: Floats,
    reward: Floats,
    at: list[Array] | None,
    discount: float,
    horizon: int,
    start: Floats,
) -> tuple[Floats, Floats, float]:
    """Finite horizon.

    Args: phi and after (R, D), reward (R,), at: rows of every step, None = all at every step; start u_0 (D,).

    Returns: (D,) theta_0; (R,) weighted residuals; the smallest effective sample size of a step.
    """
    every = np.arange(len(phi))
    used = [every if at is None else at[h] for h in range(horizon)]
    inverses = [_inverse(phi[rows]) for rows in (used[:1] if at is None else used)]
    inverses = inverses * horizon if at is None else inverses
    u, weight, size = start, [], math.inf
    for h, rows in enumerate(used):  # forward: which rows the policy's steps are made of
        solved = inverses[h] @ u
        w = phi[rows] @ solved  # (R_h,)
        _check_spanned(u, phi[rows].T @ w, f" at step {h}")
        weight.append(w)
        size = min(size, _effective(w))
        u = discount * (after[rows].T @ w)
    theta, correction = np.zeros(phi.shape[1]), np.zeros(len(phi))
    for h in range(horizon - 1, -1, -1):  # backward: what they are worth
        rows = used[h]
        y = reward[rows] + discount * (after[rows] @ theta)
        theta = inverses[h] @ (phi[rows].T @ y)
        correction[rows] += weight[h] * (y - phi[rows] @ theta)
    return theta, correction, size


def _fixed_point(
    phi: Floats, after: Floats, reward: Floats, discount: float, start: Floats
) -> tuple[Floats, Floats, float]:
    """Without end. Args and returns: as of `_backward`."""
    system = phi.T @ (phi - discount * after)  # (D, D) M
    inverse = np.linalg.pinv(system, rcond=RANK)
    theta = inverse @ (phi.T @ reward)
    solved = inverse.T @ start
    _check_spanned(start, system.T @ solved, "")
    w, residual = phi @ solved, reward + discount * (after @ theta) - phi @ theta
    if np.abs(phi.T @ residual).max() > SPANNED * max(1.0, float(np.abs(phi.T @ reward).max())):
        raise InputError(
            "features have no fixed point for this policy and discount: give others, or a horizon"
        )
    return theta, w * residual, _effective(w)


def _inverse(phi: Floats) -> Floats:
    """(D, D) the pseudo-inverse of sum_i phi_i phi_i'."""
    return np.asarray(np.linalg.pinv(phi.T @ phi, rcond=RANK, hermitian=True))


def _effective(weight: Floats) -> float:
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares > 0 else math.inf  # 0: everybody has left


def _check_spanned(wanted: Floats, made: Floats, when: str) -> None:
    """Refuse a policy whose features the log does not determine: then any value would fit."""
    missing = np.abs(wanted - made)
    if missing.max() > SPANNED * max(1e-300, float(np.abs(wanted).max())):
        raise InputError(
            f"features: the log does not span those of the evaluated policy{when}, most in feature "
            f"{int(np.argmax(missing))}: evaluate a policy that the log supports, or give fewer features"
        )


def _check_features(name: str, values: Array, present: Array, size: int | None) -> Floats:
    values = check_numbers(name, values, present, "D" if size is None else str(size))
    if values.shape[2] != (size or max(1, values.shape[2])):
        raise InputError(f"{name} must have {size or 'one or more'} features, got {values.shape[2]}")
    return values
