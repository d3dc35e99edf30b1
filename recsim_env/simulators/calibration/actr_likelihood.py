"""The likelihood of the two-stage memory, stage by stage, with exact gradients: one row per user.

A basket is what a user consumed at one time, each item once, and memory holds the baskets strictly before it.

The gate: of a basket of K items, at a time when the user knows M, m are known ones. With
rho(M) = 1 / (1 + exp(-b - g x)), x = ln(M / M_0),

    P(m) = Binomial(K, rho) at m              if m < M
         = Binomial(K, rho) at M and above    if m = M: who took all they know could not repeat any further.

The choice: the set R of m known items is drawn without replacement, item i by its weight w_i,

    ln w_i = ln(s_i) / T + c ln p_i,     s_i = sum_j (t - t_j)^-d,     W = sum_known w_i,     W_R = sum_R w_i
    ln P(R) = sum_R ln w_i - sum_{l=0}^{m-1} ln(W - (l/m) W_R)

with p_i how readily users discover i. In which order they were taken is not known; the last sum is
Efron's approximation for ties, in which every member of R is l/m gone at choice l. It is exact for baskets of
one item and for equal weights. Derivatives, with a_i = ln s_i and a'_i = da_i/dd:

    d ln w_i / dd = a'_i / T,      d ln w_i / d ln T = -a_i / T,      d ln w_i / dc = ln p_i

Source: Efron, "The efficiency of Cox's likelihood function for censored data", JASA 72, 1977 (drawing without
replacement is the tie problem of Cox's model); the memory: `user_models/memory/actr.py`.
"""

import numpy as np
from numba import njit
from scipy.special import betainc, betaln, expit, gammaln

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.calibration.histories import Histories

LONGEST_MEMORY = 2000
"""Most recent baskets that are remembered; an item of earlier ones only is new again."""


def gate_counts(histories: Histories) -> tuple[Ints, Ints, Ints, Ints]:
    """(V',) the number of the user, K, m and M of every basket of a user who knows something."""
    h = histories
    known, taken = np.zeros(len(h.time), np.int64), np.zeros(len(h.time), np.int64)
    count_known(h.first_basket, h.first_event, h.item, known, taken)
    some = known > 0
    user = np.repeat(np.arange(len(h.user)), np.diff(h.first_basket))
    return user[some], np.diff(h.first_event)[some], taken[some], known[some]


def gate_log_likelihood(
    counts: tuple[Ints, Ints, Ints, Ints], logit: float, growth: float, reference: float
) -> Floats:
    """(U', 3) ln P of the numbers of repeats of each user, and its derivatives by b = logit and g = growth.

    Args:
        counts: of `gate_counts`.
        logit: b, of the repeat probability of a user who knows M_0 items.
        growth: g.
        reference: M_0.
    """
    user, K, m, M = counts
    x = np.log(M / reference)
    score = logit + growth * x
    rho, log_rho, log_not = expit(score), -np.logaddexp(0.0, -score), -np.logaddexp(0.0, score)
    value = gammaln(K + 1) - gammaln(m + 1) - gammaln(K - m + 1) + m * log_rho + (K - m) * log_not
    slope = m - K * rho  # by the score
    full = (m == M) & (K > M)
    if full.any():
        p, n, k = rho[full], K[full], M[full]
        tail = np.maximum(betainc(k, n - k + 1, p), 1e-300)  # P(Binomial(n, p) >= k)
        value[full] = np.log(tail)
        # d tail / dp = p^(k-1) (1-p)^(n-k) / B(k, n-k+1)
        slope[full] = np.exp(k * log_rho[full] + (n - k + 1) * log_not[full] - betaln(k, n - k + 1)) / tail
    return np.stack([np.bincount(user, part) for part in (value, slope, slope * x)], axis=1)


def choice_log_likelihood(
    histories: Histories, log_popularity: Floats, decay: float, temperature: float, popularity: float
) -> Floats:
    """(U, 4) ln P of what was repeated by each user, and its derivatives by d, ln T and c.

    Args:
        histories: of U users.
        log_popularity: (R,) ln p of the item of each event.
        decay: d.
        temperature: T.
        popularity: c, the exponent.
    """
    h, out = histories, np.zeros((len(histories.user), 4))
    add_choices(
        h.first_basket,
        h.time,
        h.first_event,
        h.item,
        log_popularity,
        float(decay),
        float(temperature),
        float(popularity),
        out,
    )
    return out


@njit(cache=True)
def count_known(first_basket: Ints, first_event: Ints, item: Ints, known: Ints, taken: Ints) -> None:
    """Write how many items are known before each basket (V,), and how many of these are in it (V,)."""
    for u in range(len(first_basket) - 1):
        begin, end = first_basket[u], first_basket[u + 1]
        events = first_event[end] - first_event[begin]
        plays = np.zeros(events, np.int64)  # of each item, in the baskets that are remembered
        count = 0
        for v in range(begin, end):
            known[v] = count
            for e in range(first_event[v], first_event[v + 1]):
                taken[v] += plays[item[e]] > 0
            for e in range(first_event[v], first_event[v + 1]):
                count += plays[item[e]] == 0
                plays[item[e]] += 1
            if v - begin >= LONGEST_MEMORY:
                old = v - LONGEST_MEMORY
                for e in range(first_event[old], first_event[old + 1]):
                    plays[item[e]] -= 1
                    count -= plays[item[e]] == 0


@njit(cache=True, error_model="numpy")
def add_choices(
    first_basket: Ints,
    time: Floats,
    first_event: Ints,
    item: Ints,
    log_popularity: Floats,
    decay: float,
    temperature: float,
    popularity: float,
    out: Floats,
) -> None:
    """The compiled loop of `choice_log_likelihood`: adds to out (U, 4)."""
    for u in range(len(first_basket) - 1):
        begin, end = first_basket[u], first_basket[u + 1]
        events = first_event[end] - first_event[begin]
        strength, slope, weight = np.empty(events), np.empty(events), np.empty(events)
        liked = np.empty(events)  # ln p of each item met
        met = 0  # items 0 to met - 1 were consumed before this basket
        for v in range(begin, end):
            repeats = False
            for e in range(first_event[v], first_event[v + 1]):
                repeats |= item[e] < met
            if repeats:
                strengths_before(begin, v, time, first_event, item, decay, met, strength, slope)
                basket = item[first_event[v] : first_event[v + 1]]
                add_basket(basket, met, temperature, popularity, liked, strength, slope, weight, out[u])
            for e in range(first_event[v], first_event[v + 1]):
                if item[e] >= met:
                    liked[item[e]] = log_popularity[e]
                    met = item[e] + 1


@njit(cache=True, error_model="numpy")
def strengths_before(
    begin: int,
    v: int,
    time: Floats,
    first_event: Ints,
    item: Ints,
    decay: float,
    met: int,
    strength: Floats,
    slope: Floats,
) -> None:
    """Write s_i and ds_i/dd of items 0 to met - 1 at basket v of the user whose first one is `begin`."""
    strength[:met] = 0.0
    slope[:met] = 0.0
    for p in range(max(begin, v - LONGEST_MEMORY), v):
        log_age = np.log(time[v] - time[p])
        power = np.exp(-decay * log_age)
        for e in range(first_event[p], first_event[p + 1]):
            strength[item[e]] += power
            slope[item[e]] -= log_age * power


@njit(cache=True, error_model="numpy")
def add_basket(
    basket: Ints,
    met: int,
    temperature: float,
    popularity: float,
    liked: Floats,
    strength: Floats,
    slope: Floats,
    weight: Floats,
    out: Floats,
) -> None:
    """Add the term of one basket to out (4,). Writes a_i over s_i, a'_i over ds_i/dd, and w_i over weight."""
    top = -np.inf
    for i in range(met):
        if strength[i] > 0.0:  # else forgotten
            slope[i] /= strength[i]
            strength[i] = np.log(strength[i])
            top = max(top, strength[i])
        else:
            strength[i] = -np.inf
    W, Wd, Wa, Wp = 0.0, 0.0, 0.0, 0.0  # sums of w, w a', w a and w ln p, and below those over R
    for i in range(met):
        if strength[i] > -np.inf:
            weight[i] = np.exp((strength[i] - top) / temperature + popularity * liked[i])
            W += weight[i]
            Wd += weight[i] * slope[i]
            Wa += weight[i] * (strength[i] - top)
            Wp += weight[i] * liked[i]
    R, Rd, Ra, Rp, m = 0.0, 0.0, 0.0, 0.0, 0
    for i in basket:
        if i < met and strength[i] > -np.inf:
            R += weight[i]
            Rd += weight[i] * slope[i]
            Ra += weight[i] * (strength[i] - top)
            Rp += weight[i] * liked[i]
            m += 1
            out[0] += (strength[i] - top) / temperature + popularity * liked[i]
            out[1] += slope[i] / temperature
            out[2] -= (strength[i] - top) / temperature
            out[3] += liked[i]
    for choice in range(m):
        gone = choice / m
        left = W - gone * R
        out[0] -= np.log(left)
        out[1] -= (Wd - gone * Rd) / (temperature * left)
        out[2] += (Wa - gone * Ra) / (temperature * left)
        out[3] -= (Wp - gone * Rp) / left
