"""Optimistic planning in a cascading MDP: the backward induction that CascadingVI and its kin share.

For h = H-1 .. 0 and every state, with empirical q^ and p^ from `CascadeModel` and n the counts behind them,

    q_up = min(q^ + b_q, 1),   q_low = max(q^ - b_q, 0)
    w_up(a) = r(a) + p^ V_up + b_w                          (a = "no click" has r = 0 and q = 1)
    (V_up, A) = best list for (q_up, w_up),    V_up <- min(V_up, H - h)
    V_low = sum_i [prod_{j<i} (1 - q_up(A_j))] q_low(A_i) max(r + p^ V_low - b_w, 0), "no click" last

An item without counts has b_q = 1, b_w = H. The bonuses, with L the confidence width of the agent:

    VARIANCE   b_q = min( 2 sqrt(q^(1-q^) L/n) + 5 L/n, 1 )
               b_w = min( 2 sqrt(Var_p^(V_up) L/n) + 2 sqrt(p^ (V_up-V_low)^2 L/n) + 5 H L/n, H )
    RANGE      b_q = min( sqrt(L/n), 1 ),   b_w = min( H sqrt(L/n), H ): the largest variance, 1/4 and H^2/4,
               in place of the empirical one
    BEST       b_q = min( 4 sqrt(q^(1-q^) L/n) + 15 L/n, 1 )
               b_w = min( 4 sqrt(Var_p^(V_up) L/n) + 15 H^2 L'/n + (2/H) p^ (V_up-V_low), H )
               with L + log(8e(n+1)) for L and L + S log(8e(n+1)) for L'

Three things are ours. V_up is cut at H - h, the steps that are left, not at H, and each bracket of V_low is
cut at 0: both only make the bounds tighter. And where no item is worth more than no click, but one must be
shown, optimism takes q_low for q_up: there the value falls in q, and q_up would not be an upper bound.

Source: Du, Srikant, Chen, "Cascading Reinforcement Learning", ICLR 2024: VARIANCE is Algorithm 2, RANGE
the comparison "CascadingVI-Bonus", BEST Algorithm 3. The structure is the paper's; the constants (2, 5,
4, 15) are from memory of it and were not checked against its text.
"""

import math

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.user_models.clicks.best_permutation import best_row, scratch

VARIANCE, RANGE, BEST = 0, 1, 2


@njit(cache=True)
def plan(
    # which rows, how
    rows: Bools,
    bonus: int,
    L: float,
    scale: float,
    lists: Ints,
    # what the learners know
    examinations: Floats,
    clicks: Floats,
    moves: Floats,
    successors: Floats,
    reward: Floats,
    # what is written
    policy: Ints,
    upper: Floats,
    lower: Floats,
) -> None:
    """Plan anew for the learners in `rows` (B,).

    Args:
        rows: (B,) whom to plan for.
        bonus: VARIANCE, RANGE or BEST.
        L: confidence width; `scale` (bonus_scale squared) multiplies every logarithm.
        scale: see L.
        lists: (0, K) to find the best list by `best_row`, or all lists (L, K) to go through them.
        examinations: (B, S, N), and clicks, moves, successors, reward: see `CascadeModel`.
        clicks: (B, S, N)
        moves: (B, S, N+1)
        successors: (B, S, N+1, S)
        reward: (B, S, N)
        policy: (B, H, S, K), written.
        upper: (B, H+1, S), written but for the last row, which stays 0.
        lower: (B, H+1, S), as upper.
    """
    _, H, S, K = policy.shape
    N = reward.shape[2]
    order, F, take = scratch(N, K)
    q_up, q_low = np.empty((S, N)), np.empty((S, N))
    w_up, w_low = np.empty(N + 1), np.empty(N + 1)
    for b in range(len(rows)):
        if not rows[b]:
            continue
        for s in range(S):
            for a in range(N):
                n = examinations[b, s, a]
                q = clicks[b, s, a] / max(n, 1.0)
                width = attraction_bonus(bonus, q, n, L, scale)
                q_up[s, a], q_low[s, a] = min(q + width, 1.0), max(q - width, 0.0)
        for h in range(H - 1, -1, -1):
            V_up, V_low = upper[b, h + 1], lower[b, h + 1]
            for s in range(S):
                for a in range(N + 1):
                    r = reward[b, s, a] if a < N else 0.0
                    n = moves[b, s, a]
                    if n == 0.0:
                        w_up[a], w_low[a] = r + H, 0.0
                        continue
                    mean, square, gap, low = moments(successors[b, s, a], n, V_up, V_low)
                    width = worth_bonus(bonus, mean, square, gap, low, n, L, scale, H, S)
                    w_up[a], w_low[a] = r + mean + width, max(r + low - width, 0.0)
                A = policy[b, h, s]
                if len(lists) == 0:
                    no_click = float(w_up[N])
                    value = best_row(q_up[s], w_up[:N], no_click, A, order, F, take)
                else:
                    value = best_of_lists(q_up[s], w_up, lists, A)
                if w_up[A[0]] <= w_up[N]:
                    value = best_reluctant(q_low[s], w_up, A)
                upper[b, h, s] = min(value, H - h)
                lower[b, h, s] = value_from_below(q_up[s], q_low[s], w_low, A)


@njit(inline="always")
def moments(count: Floats, n: float, V_up: Floats, V_low: Floats) -> tuple[float, float, float, float]:
    """p^ V_up, p^ V_up^2, p^ (V_up - V_low)^2 and p^ V_low, with p^ = count / n, count (S,)."""
    mean, square, gap, low = 0.0, 0.0, 0.0, 0.0
    for t in range(len(count)):
        c = count[t]
        mean += c * V_up[t]
        square += c * V_up[t] * V_up[t]
        gap += c * (V_up[t] - V_low[t]) ** 2
        low += c * V_low[t]
    return mean / n, square / n, gap / n, low / n


@njit(inline="always")
def attraction_bonus(bonus: int, q: float, n: float, L: float, scale: float) -> float:
    """b_q: see the module."""
    if n == 0.0:
        return 1.0
    if bonus == RANGE:
        return min(math.sqrt(scale * L / n), 1.0)
    if bonus == VARIANCE:
        width = scale * L / n
        return min(2.0 * math.sqrt(q * (1.0 - q) * width) + 5.0 * width, 1.0)
    width = scale * (L + math.log(8.0 * math.e * (n + 1.0))) / n
    return min(4.0 * math.sqrt(q * (1.0 - q) * width) + 15.0 * width, 1.0)


@njit(inline="always")
def worth_bonus(
    bonus: int,
    mean: float,
    square: float,
    gap: float,
    low: float,
    n: float,
    L: float,
    scale: float,
    H: int,
    S: int,
) -> float:
    """b_w: see the module."""
    variance = max(square - mean * mean, 0.0)
    if bonus == RANGE:
        return min(H * math.sqrt(scale * L / n), 1.0 * H)
    if bonus == VARIANCE:
        width = scale * L / n
        return min(
            2.0 * math.sqrt(variance * width) + 2.0 * math.sqrt(gap * width) + 5.0 * H * width, 1.0 * H
        )
    log_n = math.log(8.0 * math.e * (n + 1.0))
    width, wide = scale * (L + log_n) / n, scale * (L + S * log_n) / n
    return min(4.0 * math.sqrt(variance * width) + 15.0 * H * H * wide + 2.0 / H * (mean - low), 1.0 * H)


@njit(cache=True)
def best_of_lists(q: Floats, w: Floats, lists: Ints, slate: Ints) -> float:
    """Write the list of largest value f(A; q, w) among `lists` (L, K) into slate; w (N+1,), no click last."""
    best, best_value = 0, -np.inf
    for i in range(len(lists)):
        value, reach = 0.0, 1.0
        for a in lists[i]:
            if a < 0:
                break
            value += reach * q[a] * w[a]
            reach *= 1.0 - q[a]
        value += reach * w[len(w) - 1]
        if value > best_value:
            best, best_value = i, value
    slate[:] = lists[best]
    return best_value


@njit(cache=True)
def best_reluctant(q_low: Floats, w: Floats, slate: Ints) -> float:
    """Write the best single item where no click is worth more than none: few clicks are hoped for."""
    best, best_value = 0, -np.inf
    for a in range(len(q_low)):
        value = q_low[a] * w[a] + (1.0 - q_low[a]) * w[len(w) - 1]
        if value > best_value:
            best, best_value = a, value
    slate[:] = -1
    slate[0] = best
    return best_value


@njit(inline="always")
def value_from_below(q_up: Floats, q_low: Floats, w_low: Floats, slate: Ints) -> float:
    """sum_i [prod_{j<i} (1 - q_up)] q_low w_low over the slate, "no click" last."""
    value, reach = 0.0, 1.0
    for a in slate:
        if a < 0:
            break
        value += reach * q_low[a] * w_low[a]
        reach *= 1.0 - q_up[a]
    return value + reach * w_low[len(w_low) - 1]
