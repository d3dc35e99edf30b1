"""Bayes-UCB: pull the arm with the largest upper quantile of its posterior.

In round t, with the posterior Beta(alpha_a, beta_a) of arm a,

    q_t(a) = Q(1 - 1 / (t (log T)^c); Beta(alpha_a, beta_a)),    A_t = argmax_a q_t(a),
    alpha_A += X_t,  beta_A += 1 - X_t

with T the number of rounds that will be played. The theorem has c = 5, the authors use c = 0, which needs no
T. In round 1 of c = 0 the level would be 0, and is that of round 2. A reward between 0 and 1 counts as that
share of a win. Quantiles are moved from round to round by `beta_quantiles.py` and are within 1e-6 of the
exact ones.

Feedback: the reward of the arm pulled.
Bound: for c >= 5 and rewards of 0 and 1, E n_a(T) <= (1 + eps) log T / KL(mu_a || mu*) + o(log T) pulls of an
    arm with gap > 0: the best possible; the constants are not explicit, so no bound is drawn.
Source: Kaufmann, Cappe, Garivier, "On Bayesian upper confidence bounds for bandit problems", AISTATS 2012,
    algorithm 1 and theorem 1.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.agents.bandits.beta_quantiles import NEAR, series, shift, solve
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class BayesUCB:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: K.
        prior: (alpha, beta), or (K, 2) with one pair for every arm; at least 1 each.
        c: of (log T)^c, 0 or more.
        horizon: T, at least 3; needed if c is above 0.

    Attributes:
        alpha: (B, K) of the posterior.
        beta: (B, K).
        anchors: (B, K, 7) of each arm: a quantile, its v = -log of the tail, the tail, the three coefficients
            of quantiles of higher v, and the v at which the quantile was last found from nothing.
        rounds: (B,).
        ties: (B, K) what orders equal quantiles.

    Raises:
        InputError: a size below its least value, a prior of another shape or below 1, a negative c, c without
            a horizon, a horizon below 3.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        prior: tuple[float, float] | Floats = (1.0, 1.0),
        c: float = 0.0,
        horizon: int | None = None,
    ) -> None:
        check_sizes(num_replicates, num_items)
        pairs = as_numbers("prior", prior)
        if pairs.shape not in ((2,), (num_items, 2)):
            raise InputError(f"prior must have shape (2,) or ({num_items}, 2), got {pairs.shape}")
        if not (np.isfinite(pairs).all() and pairs.min() >= 1.0):
            raise InputError(f"prior must hold finite numbers of 1 or more, got {pairs.min()}")
        if not 0.0 <= c < np.inf:
            raise InputError(f"c must be 0 or more and finite, got {c}")
        if c > 0.0 and horizon is None:
            raise InputError(
                f"horizon must be given with c = {c:g}: the level is 1 - 1 / (t (log horizon)^c)"
            )
        if horizon is not None and not horizon >= 3:
            raise InputError(f"horizon must be at least 3, got {horizon}")
        alpha, beta = np.broadcast_to(pairs, (num_items, 2)).T
        self.alpha, self.beta = np.tile(alpha, (num_replicates, 1)), np.tile(beta, (num_replicates, 1))
        self.ties = np.zeros((num_replicates, num_items))
        self.rounds = np.zeros(num_replicates)
        self.extra = 0.0 if horizon is None else float(c * np.log(np.log(horizon)))  # of v
        self.anchors = np.zeros((num_replicates, num_items, 7))
        for a in range(num_items):
            v = np.log(2.0) + self.extra
            _settle(alpha[a], beta[a], v, alpha[a] / (alpha[a] + beta[a]), self.anchors[0, a])
        self.anchors[:] = self.anchors[0]

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest quantile, (B, 1)."""
        self.ties = tie_breakers(self.ties, luck, "bayes_ucb/ties")
        slates: Ints = highest_quantile(
            self.alpha, self.beta, self.anchors, self.rounds, self.extra, self.ties
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Move the posterior of the arm pulled.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        slates, reward = transition.slates, transition.reward
        row = observe(slates, reward, self.alpha, self.beta, self.anchors, self.rounds, self.extra)
        if row >= 0:
            raise out_of_range(row, reward, (0.0, 1.0))


@njit(cache=True)
def highest_quantile(
    alpha: Floats, beta: Floats, anchors: Floats, rounds: Floats, extra: float, ties: Floats
) -> Ints:
    """The arm of largest quantile + ties of every row, (B, 1); anchors that are far in v are renewed."""
    B, K = alpha.shape
    slates = np.empty((B, 1), np.int64)
    round_before, v, wanted = -1.0, 0.0, 1.0
    for b in range(B):
        if rounds[b] != round_before:  # rows are in step, so one logarithm serves all of them
            round_before = rounds[b]
            v = np.log(max(rounds[b] + 1.0, 2.0)) + extra
            wanted = np.exp(-v)
        best, highest = 0, -np.inf
        for a in range(K):
            anchor = anchors[b, a]
            dv = v - anchor[1]
            if dv > NEAR:
                tail = anchor[2]
                _go(alpha[b, a], beta[b, a], tail, tail / anchor[3], v, wanted, anchor)
                dv = 0.0
            quantile = anchor[0] + dv * (anchor[3] + dv * (anchor[4] + dv * anchor[5])) + ties[b, a]
            if quantile > highest:
                best, highest = a, quantile
        slates[b, 0] = best
    return slates


@njit(cache=True)
def observe(
    slates: Ints, reward: Floats, alpha: Floats, beta: Floats, anchors: Floats, rounds: Floats, extra: float
) -> int:
    """Count one reward; returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(slates)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    round_before, v, wanted = -1.0, 0.0, 1.0
    for b in range(len(slates)):
        rounds[b] += 1.0
        if rounds[b] != round_before:
            round_before = rounds[b]
            v = np.log(rounds[b] + 1.0) + extra  # of the next round
            wanted = np.exp(-v)
        a = slates[b, 0]
        anchor = anchors[b, a]
        p, q, x = alpha[b, a], beta[b, a], anchor[0]
        alpha[b, a], beta[b, a] = p + reward[b], q + 1.0 - reward[b]
        tail = anchor[2]
        f = tail / anchor[3]
        if reward[b] == 1.0:
            _go(p + 1.0, q, tail + f * x * (1.0 - x) / p, f * x * (p + q) / p, v, wanted, anchor)
        elif reward[b] == 0.0:
            _go(p, q + 1.0, tail - f * x * (1.0 - x) / q, f * (1.0 - x) * (p + q) / q, v, wanted, anchor)
        else:
            _settle(alpha[b, a], beta[b, a], v, x, anchor)
    return -1


@njit(inline="always")
def _go(a: float, b: float, tail: float, f: float, v: float, wanted: float, anchor: Floats) -> None:
    """Move an anchor, at whose x the tail and density are these, to the quantile of v; wanted = exp(-v)."""
    x = anchor[0]
    near = False
    if v - anchor[6] < 0.7 and tail > 0.0:  # errors add up, and weigh more the smaller the tail
        near, x, f = shift(a, b, tail, f, x, v, wanted)
    if near:
        anchor[0], anchor[1], anchor[2] = x, v, wanted
        anchor[3], anchor[4], anchor[5] = series(a, b, wanted, x, f)
    else:
        _settle(a, b, v, x, anchor)


@njit(cache=True)
def _settle(a: float, b: float, v: float, x: float, anchor: Floats) -> None:
    """Put an anchor (7,) at the quantile of v, which is found from nothing, starting at x."""
    x, f = solve(a, b, v, x)
    tail = np.exp(-v)
    anchor[0], anchor[1], anchor[2], anchor[6] = x, v, tail, v
    anchor[3], anchor[4], anchor[5] = series(a, b, tail, x, f)
