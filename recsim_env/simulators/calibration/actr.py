"""Memory fitted to a log: how likely users repeat, how fast they forget, how sharply they choose.

A basket is what a user consumed at one time, and memory holds the baskets strictly before it. Of a basket of
K items, at a time when the user knows M, let m be known ones, R the set of these, and

    s_i(d) = sum_j (t - t_j)^-d,      w_i = s_i^(1/T),      W = sum_known w_i,      W_R = sum_R w_i

    log L_choice(d, T) = sum_baskets [ sum_{i in R} ln w_i - sum_{l=0}^{m-1} ln(W - (l/m) W_R) ]
    log L_gate(rho) = sum_{m<M} ln rho^m (1 - rho)^(K-m) + sum_{m=M} ln P(Binomial(K, rho) >= M)

A basket holds an item once: what was taken is no longer there for the next choice. In which order it was
taken is not known; the sum over l is Efron's approximation for ties, in which every member of R is l/m gone
at choice l. For baskets of one item it is the exact s_i^(1/T) / sum_known s^(1/T). A user who took all they
know could not repeat any further, hence the second sum of the gate, which is maximised on its own.

The gradient is compiled and exact, with a_i = ln s_i and a'_i = da_i/dd, so that d ln w_i / dd = a'_i / T and
d ln w_i / d ln T = -a_i / T. Standard errors are those of the observed information, minus the second
derivatives of log L, by central differences of the gradient. They treat baskets as independent given the
parameters, and all users as alike; where users differ they are too small.

The unit of time does not matter: it multiplies all s_i alike.

Sources: Anderson et al., "An integrated theory of the mind", Psychological Review 111, 2004 (s_i); Tran et
al., "Transformers Meet ACT-R", RecSys 2024 (repeated listening); Efron, "The efficiency of Cox's likelihood
function for censored data", JASA 72, 1977.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.optimize import minimize, minimize_scalar
from scipy.special import bdtrc

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.histories import Histories, histories_of
from recsim_env.simulators.log import Log
from recsim_env.user_models.memory import TwoStageMemory

DECAYS = (0.0, 3.0)
"""Where d is looked for; 0 is a memory of counts alone."""
TEMPERATURES = (0.05, 20.0)
"""Where T is looked for."""
LONGEST_MEMORY = 2000
"""Most recent baskets that are remembered; an item of earlier ones only is new again."""
STEP = 1e-4  # of the differences that make the information


class StandardErrors(NamedTuple):
    """Of each parameter; nan for one on its bound, or one that the log does not tell from another."""

    decay: float
    temperature: float
    repeat: float


@dataclass(frozen=True)
class ActrFit:
    """A memory of maximum likelihood."""

    memory: TwoStageMemory
    std_errors: StandardErrors
    log_likelihood: Floats  # (iterations + 1,) of the choices of known items, in nats, from start to end
    converged: bool  # the search for decay and temperature ended by itself
    on_bound: tuple[str, ...]  # parameters that lie on the bound of the search: no maximum was found inside
    num_repeats: int  # choices of known items


def fit_actr(log: Log) -> ActrFit:
    """Fit a `TwoStageMemory` to what users consumed; the formulas are at the top of this file.

    Args:
        log: interactions, such as `read_interactions` gives: what is clicked was consumed.

    Raises:
        InputError: nothing is clicked, nobody repeats, or nobody who repeats had two items to choose from.
    """
    histories = histories_of(log)
    sizes = gate_counts(histories)
    _, taken, known = sizes
    if not taken.any():
        users = len(histories.user)
        raise InputError(
            f"log must hold repeats, got none by {users} {'user' if users == 1 else 'users'}: give a longer "
            "log, of consumption that can be repeated, from which second times were not dropped"
        )
    if not (taken[known > 1] > 0).any():
        raise InputError(
            "log must hold repeats of users who know two items or more, got none: with one item there is "
            "nothing to choose; give a log of more items"
        )

    def loss(point: Floats) -> tuple[float, Floats]:
        value, gradient = choice_log_likelihood(histories, point[0], np.exp(point[1]))
        return -value / taken.sum(), -gradient / taken.sum()

    bounds = np.array([DECAYS, np.log(TEMPERATURES)])  # of (d, ln T)
    start = np.array([0.5, 0.0])
    curve = [-loss(start)[0]]
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=lambda intermediate_result: curve.append(-float(intermediate_result.fun)),
        options={"ftol": 1e-13, "gtol": 1e-7, "maxiter": 200},
    )
    free = (found.x > bounds[:, 0] + 1e-6) & (found.x < bounds[:, 1] - 1e-6)
    decay_error, log_temperature_error = _errors(histories, found.x, free)
    repeat, repeat_error = fit_gate(*sizes)
    memory = TwoStageMemory(repeat, float(np.exp(found.x[1])), float(found.x[0]))
    on_bound = [name for name, inside in zip(("decay", "temperature"), free, strict=True) if not inside]
    return ActrFit(
        memory=memory,
        std_errors=StandardErrors(decay_error, memory.temperature * log_temperature_error, repeat_error),
        log_likelihood=np.array(curve) * taken.sum(),
        converged=bool(found.success),
        on_bound=(*on_bound, "repeat") if np.isnan(repeat_error) else tuple(on_bound),
        num_repeats=int(taken.sum()),
    )


def choice_log_likelihood(histories: Histories, decay: float, temperature: float) -> tuple[float, Floats]:
    """The value of log L_choice in nats, and its derivatives (2,) by d and by ln T."""
    out = np.zeros(3)
    h = histories
    add_choices(h.first_basket, h.time, h.first_event, h.item, float(decay), float(temperature), out)
    return float(out[0]), out[1:]


def _errors(histories: Histories, point: Floats, free: Array) -> tuple[float, float]:
    """Standard errors of d and ln T, of those that are free; nan for others."""
    information = np.empty((2, 2))
    for p in range(2):
        up, down = point.copy(), point.copy()
        up[p], down[p] = point[p] + STEP, max(point[p] - STEP, 0.0) if p == 0 else point[p] - STEP
        gradients = [choice_log_likelihood(histories, x[0], np.exp(x[1]))[1] for x in (up, down)]
        information[p] = (gradients[1] - gradients[0]) / (up[p] - down[p])
    information = (information + information.T) / 2
    errors = np.full(2, np.nan)
    part = information[np.ix_(free, free)]
    # a flat direction has curvature of the size of rounding, of either sign: it tells nothing
    if free.any() and np.linalg.eigvalsh(part)[0] > 1e-9 * np.abs(information).max():
        errors[free] = np.sqrt(np.diagonal(np.linalg.inv(part)))
    return float(errors[0]), float(errors[1])


def gate_counts(histories: Histories) -> tuple[Ints, Ints, Ints]:
    """(V',) K, m and M of every basket of a user who knows something."""
    h = histories
    known, taken = np.zeros(len(h.time), np.int64), np.zeros(len(h.time), np.int64)
    count_known(h.first_basket, h.first_event, h.item, known, taken)
    some = known > 0
    return np.diff(h.first_event)[some], taken[some], known[some]


def fit_gate(size: Ints, taken: Ints, known: Ints) -> tuple[float, float]:
    """The rho of highest log L_gate, and its standard error; nan for a rho of 0 or 1.

    Args:
        size: (V,) K of each basket.
        taken: (V,) m of them known.
        known: (V,) M that the user knew, 1 or more.
    """
    open_ended = taken < known
    repeats, chances = taken[open_ended].sum(), size[open_ended].sum()
    # one term for each (K, M) there is, not for each basket
    cells, times = np.unique(np.stack([size, known])[:, ~open_ended], axis=1, return_counts=True)

    def log_likelihood(rho: float) -> float:
        all_taken = np.log(np.maximum(bdtrc(cells[1] - 1, cells[0], rho), 1e-300)) @ times
        return float(repeats * np.log(rho) + (chances - repeats) * np.log1p(-rho) + all_taken)

    if chances == repeats and (cells[0] == cells[1]).all():
        return 1.0, float("nan")  # nothing was new that could have been old
    if taken.sum() == 0:
        return 0.0, float("nan")
    rho = float(
        minimize_scalar(
            lambda x: -log_likelihood(x), bounds=(1e-9, 1.0 - 1e-9), method="bounded", options={"xatol": 1e-9}
        ).x
    )
    step = 1e-3 * min(rho, 1.0 - rho)
    second = log_likelihood(rho + step) - 2.0 * log_likelihood(rho) + log_likelihood(rho - step)
    return rho, float(step / np.sqrt(-second)) if second < 0.0 else float("nan")


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
    decay: float,
    temperature: float,
    out: Floats,
) -> None:
    """Add log L_choice and its derivatives by d and ln T to out (3,)."""
    for u in range(len(first_basket) - 1):
        begin, end = first_basket[u], first_basket[u + 1]
        events = first_event[end] - first_event[begin]
        strength, slope, weight = np.empty(events), np.empty(events), np.empty(events)
        met = 0  # items 0 to met - 1 were consumed before this basket
        for v in range(begin, end):
            repeats = False
            for e in range(first_event[v], first_event[v + 1]):
                repeats |= item[e] < met
            if repeats:
                strengths_before(begin, v, time, first_event, item, decay, met, strength, slope)
                add_basket(
                    item[first_event[v] : first_event[v + 1]], met, temperature, strength, slope, weight, out
                )
            for e in range(first_event[v], first_event[v + 1]):
                met = max(met, item[e] + 1)


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
    basket: Ints, met: int, temperature: float, strength: Floats, slope: Floats, weight: Floats, out: Floats
) -> None:
    """Add the term of one basket to out (3,). Writes a_i over s_i, a'_i over ds_i/dd, and w_i over weight."""
    top = -np.inf
    for i in range(met):
        if strength[i] > 0.0:  # else forgotten
            slope[i] /= strength[i]
            strength[i] = np.log(strength[i])
            top = max(top, strength[i])
        else:
            strength[i] = -np.inf
    W, Wd, Wa = 0.0, 0.0, 0.0  # sums of w, w a' and w a, and below those over R
    for i in range(met):
        if strength[i] > -np.inf:
            weight[i] = np.exp((strength[i] - top) / temperature)
            W += weight[i]
            Wd += weight[i] * slope[i]
            Wa += weight[i] * (strength[i] - top)
    R, Rd, Ra, m = 0.0, 0.0, 0.0, 0
    for i in basket:
        if i < met and strength[i] > -np.inf:
            R += weight[i]
            Rd += weight[i] * slope[i]
            Ra += weight[i] * (strength[i] - top)
            m += 1
            out[0] += (strength[i] - top) / temperature
            out[1] += slope[i] / temperature
            out[2] -= (strength[i] - top) / temperature
    for choice in range(m):
        gone = choice / m
        left = W - gone * R
        out[0] -= np.log(left)
        out[1] -= (Wd - gone * Rd) / (temperature * left)
        out[2] += (Wa - gone * Ra) / (temperature * left)
