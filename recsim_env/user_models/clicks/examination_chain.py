"""The chain of examinations that cascade-like models share, compiled.

The user examines slot k, clicks it if it attracts, and goes on to slot k + 1 with a probability that depends
on what happened:

    E_1 = 1,      C_k = E_k A_k,      A_k ~ Bernoulli(a_k)
    P(E_{k+1} = 1 | E_k = 1, C_k = 0) = s_k,      P(E_{k+1} = 1 | E_k = 1, C_k = 1) = c_k

A model is its s_k (after a skip) and c_k (after a click), both (B, K). Everything else is here: with
e_k = P(E_k = 1 | C_1 .. C_{k-1}), the forward filter

    P(C_k = 1 | C_1 .. C_{k-1}) = a_k e_k
    e_{k+1} = c_k after a click,      e_k (1 - a_k) s_k / (1 - a_k e_k) after none

gives the probability of any clicks, and with n_k = P(no click from k on | E_k = 1), the backward pass

    n_{K+1} = 1,      n_k = (1 - a_k) (1 - s_k + s_k n_{k+1})

gives what was examined below the last click, which fitting needs.
"""

from abc import ABC, abstractmethod

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats
from recsim_env.user_models.clicks.checks import check_draws
from recsim_env.user_models.clicks.response import Response
from recsim_env.user_models.slots import sum_over_slots


class ExaminationChain(ABC):
    """A click model of this chain: all of `ClickModel` but `default` and `fit`, from `passage`."""

    draws_per_slot = 2

    @abstractmethod
    def passage(self, attraction: Floats) -> tuple[Floats, Floats]:
        """s_k and c_k, (B, K) both: the probability to go on after a skip, and after a click."""

    def sample(self, attraction: Floats, u: Floats) -> Response:
        """See `ClickModel`; u (B, 2, K): attraction, then going on."""
        check_draws(attraction, u, self.draws_per_slot)
        return sample_chain(attraction, *self.passage(attraction), u)

    def click_prob(self, attraction: Floats) -> Floats:
        """(B, K) a_k P(E_k = 1)."""
        return attraction * self.examine_prob(attraction)

    def examine_prob(self, attraction: Floats) -> Floats:
        """(B, K) P(E_k = 1) = prod_{j<k} ((1 - a_j) s_j + a_j c_j)."""
        return examine_prob_of_chain(attraction, *self.passage(attraction))

    def conditional_click_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B, K) by the forward filter."""
        return conditional_click_prob_of_chain(attraction, *self.passage(attraction), clicked)

    def log_prob(self, attraction: Floats, clicked: Bools) -> Floats:
        """(B,) exact log-probability of the clicks."""
        return log_prob_of_clicks(self.conditional_click_prob(attraction, clicked), clicked)


def sample_chain(attraction: Floats, after_skip: Floats, after_click: Floats, u: Floats) -> Response:
    """Clicks and examinations: u (B, 2, K), the first row for attraction, the second for going on."""
    B, K = attraction.shape
    response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
    walk_chain(attraction, after_skip, after_click, u[:, 0], u[:, 1], *response)
    return response


def examine_prob_of_chain(attraction: Floats, after_skip: Floats, after_click: Floats) -> Floats:
    """(B, K) P(E_k = 1) = prod_{j<k} ((1 - a_j) s_j + a_j c_j)."""
    goes_on = (1.0 - attraction) * after_skip + attraction * after_click
    reached = np.cumprod(goes_on, axis=1)
    return np.concatenate([np.ones_like(reached[:, :1]), reached[:, :-1]], axis=1)


def conditional_click_prob_of_chain(
    attraction: Floats, after_skip: Floats, after_click: Floats, clicked: Bools
) -> Floats:
    """(B, K) P(C_k = 1 | C_1 .. C_{k-1}), by the forward filter."""
    B, K = attraction.shape
    prob = np.empty((K, B)).T
    filter_chain(attraction, after_skip, after_click, clicked, prob)
    return prob


def log_prob_of_clicks(conditional: Floats, clicked: Bools) -> Floats:
    """(B,) sum_k log P(C_k | clicks above) from P(C_k = 1 | clicks above) (B, K); -inf for the impossible."""
    with np.errstate(divide="ignore"):
        return sum_over_slots(np.where(clicked, np.log(conditional), np.log1p(-conditional)))


@njit(cache=True)
def walk_chain(
    attraction: Floats,
    after_skip: Floats,
    after_click: Floats,
    u: Floats,
    v: Floats,
    clicked: Bools,
    examined: Bools,
) -> None:
    """The loop of `sample_chain`, slot by slot; u and v (B, K), clicked and examined (B, K) are written."""
    B, K = attraction.shape
    for k in range(K):
        for b in range(B):
            looks = k == 0 or (
                examined[b, k - 1]
                and v[b, k - 1] < (after_click[b, k - 1] if clicked[b, k - 1] else after_skip[b, k - 1])
            )
            examined[b, k] = looks
            clicked[b, k] = looks and u[b, k] < attraction[b, k]


@njit(cache=True, error_model="numpy")
def filter_chain(
    attraction: Floats, after_skip: Floats, after_click: Floats, clicked: Bools, prob: Floats
) -> None:
    """The forward filter: prob (B, K) is written. After clicks that cannot be, nothing is examined."""
    B, K = attraction.shape
    for b in range(B):
        examined = 1.0
        for k in range(K):
            a = attraction[b, k]
            prob[b, k] = a * examined
            miss = 1.0 - a * examined
            if clicked[b, k]:
                examined = after_click[b, k] if a * examined > 0.0 else 0.0
            elif miss > 0.0:
                examined = examined * (1.0 - a) * after_skip[b, k] / miss
            else:
                examined = 0.0


@njit(cache=True, error_model="numpy")
def smooth_chain(
    attraction: Floats,
    after_skip: Floats,
    after_click: Floats,
    clicked: Bools,
    examined: Floats,
    went_on: Floats,
) -> float:
    """Write P(E_k = 1 | all clicks) and P(E_k = 1, E_{k+1} = 1 | all clicks), (K,) both, of one slate.

    Args: attraction (K,), the others of that length or longer; went_on at the last slot is what the model
        says, as nothing there is observed.

    Returns: the log-probability of the clicks.
    """
    K = len(attraction)
    last = -1
    for k in range(K):
        if clicked[k]:
            last = k
    log_prob, none_below = 0.0, 1.0
    for k in range(K - 1, last, -1):  # went_on holds P(E_{k+1} = 1 | E_k = 1, no click from k on) for now
        s = after_skip[k]
        rest = 1.0 - s + s * none_below
        went_on[k] = s * none_below / rest if rest > 0.0 else 0.0
        none_below = (1.0 - attraction[k]) * rest
    present = 1.0
    for k in range(last + 1):
        examined[k] = went_on[k] = 1.0
        if k < last:
            log_prob += np.log(
                attraction[k] * after_click[k] if clicked[k] else (1.0 - attraction[k]) * after_skip[k]
            )
        else:
            c = after_click[k]
            rest = 1.0 - c + c * none_below
            log_prob += np.log(attraction[k] * rest)
            went_on[k] = present = c * none_below / rest if rest > 0.0 else 0.0
    if last < 0:
        log_prob = np.log(none_below)
    for k in range(last + 1, K):
        examined[k] = present
        went_on[k] *= present
        present = went_on[k]
    return log_prob
