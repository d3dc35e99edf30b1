"""Choices: one item of a slate or none, and whole rankings, from the utilities of items.

Multinomial logit: over the slots that hold an item, beside no click at all,

    P(click at i) = exp(v_i) / (exp(v_0) + sum_j exp(v_j)),      P(no click) = exp(v_0) / (the same)

Plackett-Luce: a ranking is filled from the top, each place by a multinomial logit over the items left,

    P(pi) = prod_j exp(v_{pi_j}) / sum_{l >= j} exp(v_{pi_l})

and the items in descending order of v_i - log(-log u_i), u_i uniform, are such a ranking (Gumbel noise).

Probability ranking: by descending probability, ties in random order: the limit of Plackett-Luce as utilities
with the same order grow apart.

Sources: Luce, "Individual choice behavior", 1959; McFadden, "Conditional logit analysis of qualitative choice
behavior", in Zarembka (ed.), Frontiers in Econometrics, 1974; Plackett, "The analysis of permutations",
Applied Statistics 24, 1975; Yellott, "The relationship between Luce's choice axiom, Thurstone's theory of
comparative judgment, and the double exponential distribution", J. Mathematical Psychology 15, 1977;
Robertson, "The probability ranking principle in IR", J. Documentation 33, 1977.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.clicks.response import Response
from recsim_env.user_models.slots import sum_over_slots

SMALLEST = 2.0**-54  # stands for a uniform of 0, whose logarithm is infinite


@dataclass(frozen=True)
class MultinomialLogit:
    """A user who compares all items of the slate and clicks one of them, or none."""

    no_click_logit: float  # v_0, finite; in nats, as utilities are: ln(K) = as likely as K items of utility 0

    def __post_init__(self) -> None:
        if not np.isfinite(self.no_click_logit):
            raise InputError(f"no_click_logit must be finite, got {self.no_click_logit}")

    def sample(self, utility: Floats, listed: Bools, u: Floats) -> Response:
        """What users click; they look at every slot that holds an item.

        Args:
            utility: (B, K) v, finite where listed.
            listed: (B, K) which slots hold an item.
            u: (B,) uniforms: the first slot whose cumulative probability exceeds u is clicked.
        """
        B, K = utility.shape
        weight, top = np.empty((K, B)).T, np.full(B, self.no_click_logit)
        below_the_top(utility, listed, top, weight)
        np.exp(weight.T, out=weight.T)  # NumPy's is many at a time, a compiled loop's one by one
        response = Response(np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T)
        click_one(weight, np.exp(self.no_click_logit - top), listed, u, *response)
        return response

    def click_prob(self, utility: Floats, listed: Bools) -> Floats:
        """(B, K) P(click at k); 0 in empty slots."""
        _, weight, none = self._weights(utility, listed)
        return np.asarray(weight / (sum_over_slots(weight) + none)[:, None])

    def no_click_prob(self, utility: Floats, listed: Bools) -> Floats:
        """(B,) P(no click)."""
        _, weight, none = self._weights(utility, listed)
        return np.asarray(none / (sum_over_slots(weight) + none))

    def log_prob(self, utility: Floats, listed: Bools, clicked: Bools) -> Floats:
        """(B,) exact log-probability of the clicks (B, K); -inf for two clicks, or one in an empty slot."""
        top, weight, none = self._weights(utility, listed)
        chosen = np.where(clicked & listed, utility, -np.inf).max(axis=1)
        count = clicked.sum(axis=1)
        logit = np.where(count == 0, self.no_click_logit, np.where(count == 1, chosen, -np.inf))
        return np.asarray(logit - top - np.log(sum_over_slots(weight) + none))

    def _weights(self, utility: Floats, listed: Bools) -> tuple[Floats, Floats, Floats]:
        """The largest logit t (B,), and exp(v - t) of slots (B, K) and of no click (B,): none overflows."""
        held = np.where(listed, utility, -np.inf)
        top = np.maximum(held.max(axis=1), self.no_click_logit)
        return top, np.exp(held - top[:, None]), np.exp(self.no_click_logit - top)


@dataclass(frozen=True)
class PlackettLuce:
    """Random rankings: the larger the utility of an item, the further up it stands."""

    def rank(self, utility: Floats, u: Floats) -> Ints:
        """(B, K) the slots of the ranking from the top, by Gumbel keys.

        Args:
            utility: (B, K) v, finite.
            u: (B, K) uniforms.
        """
        keys = utility - np.log(-np.log(np.maximum(u, SMALLEST)))
        return np.argsort(-keys, axis=1, kind="stable")

    def log_prob(self, utility: Floats, order: Ints) -> Floats:
        """(B,) exact log-probability that the ranking begins with these items; -inf if one is repeated.

        Args:
            utility: (B, K) v, finite.
            order: (B, k) slots 0 to K - 1 from the top, k <= K; all K for a whole ranking.
        """
        rows, left, log_prob = np.arange(len(order)), np.array(utility, np.float64), np.zeros(len(order))
        for place in order.T:  # (B,)
            top = left.max(axis=1)
            total = np.exp(left - top[:, None]).sum(axis=1)
            log_prob += left[rows, place] - top - np.log(total)
            left[rows, place] = -np.inf
        return log_prob


@dataclass(frozen=True)
class ProbabilityRanking:
    """The best ranking, if the worth of an item does not depend on the others: by descending probability."""

    def rank(self, probability: Floats, u: Floats) -> Ints:
        """(B, K) the slots of the ranking from the top.

        Args:
            probability: (B, K) of being relevant.
            u: (B, K) uniforms; of equal items that of smaller u goes first.
        """
        return np.asarray(np.lexsort((u, -probability)))

    def log_prob(self, probability: Floats, order: Ints) -> Floats:
        """(B,) exact log-probability that the ranking begins with these items.

        A whole ranking in descending order has -sum log(m!) over groups of m equal items, any other -inf.

        Args:
            probability: (B, K) of being relevant.
            order: (B, k) slots 0 to K - 1 from the top, k <= K.
        """
        rows, left, log_prob = np.arange(len(order)), np.array(probability, np.float64), np.zeros(len(order))
        for place in order.T:  # (B,)
            best = left.max(axis=1)
            tied = (left == best[:, None]).sum(axis=1)
            log_prob += np.where(left[rows, place] == best, -np.log(tied), -np.inf)
            left[rows, place] = -np.inf
        return log_prob


@njit(cache=True)
def below_the_top(utility: Floats, listed: Bools, top: Floats, difference: Floats) -> None:
    """Raise top (B,) to the largest listed utility, and write v - top (B, K), minus infinity in empty slots.

    Slot by slot, like `click_one`, so that the inner loops run along the users and have no branches.
    """
    B, K = utility.shape
    for k in range(K):
        for b in range(B):
            top[b] = max(top[b], utility[b, k]) if listed[b, k] else top[b]
    for k in range(K):
        for b in range(B):
            difference[b, k] = utility[b, k] - top[b] if listed[b, k] else -np.inf


@njit(cache=True)
def click_one(
    weight: Floats, no_click: Floats, listed: Bools, u: Floats, clicked: Bools, examined: Bools
) -> None:
    """The compiled loop of `MultinomialLogit.sample`: writes clicked and examined (B, K).

    The weights (B, K) stand in a row, the no-click mass (B,) at its end, and u (B,) of the way is in one.
    """
    B, K = weight.shape
    total, mark, above = np.zeros(B), np.empty(B), np.zeros(B)
    for k in range(K):
        for b in range(B):
            total[b] += weight[b, k]
    for b in range(B):
        mark[b] = u[b] * (total[b] + no_click[b])
    for k in range(K):
        for b in range(B):
            below = above[b] + weight[b, k]
            clicked[b, k] = (above[b] <= mark[b]) & (mark[b] < below)
            examined[b, k] = listed[b, k]
            above[b] = below
