"""How readily users discover each item: a Plackett-Luce law of the order in which they meet them.

A user who wants something new takes item i with probability p_i / sum of p_j over the items j they do not
know, so what a user discovers, in order, is the top of a Plackett-Luce ranking. The number of users who ever
discovered an item is no estimate of p_i: it saturates, because nobody discovers an item twice.

A basket holds m new items, of weight P_b together, in no known order; with S_b the weight of all that was
unknown before it, its likelihood is Efron's approximation for ties, as in `actr_likelihood`:

    ln L = sum_b [ sum_{i in b} ln p_i - sum_{l=0}^{m-1} ln(S_b - (l/m) P_b) ]

with independent Gamma(1 + a, a N) priors on the weights, a = 1/2 discoveries by a user who knows nothing:
else an item that everybody met first would take all the weight. With n_i the users who discovered i,

    d ln L / d ln p_i = n_i + a - p_i (r_i + a N),     r_i = sum over all discoveries made while i was unknown
                                                        of (1, or 1 - l/m if i is in that basket)
                                                           / (S_b - (l/m) P_b)

goes to L-BFGS-B. At the maximum sum_i p_i = 1, as scaling all weights changes no choice.

Source: Plackett, "The analysis of permutations", Applied Statistics 24, 1975; Hunter, "MM algorithms for
generalized Bradley-Terry models", Annals of Statistics 32, 2004 (partial rankings); Efron, "The efficiency of
Cox's likelihood function for censored data", JASA 72, 1977 (ties).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.calibration.histories import Histories

PSEUDO_DISCOVERIES = 0.5
"""Of every item, by a user who knows nothing."""
LEAST = 1e-9
"""Smallest weight that is looked for: differences of sums of weights tell it from 0."""
NEAR = 0.01
"""How far from the maximum the search may end, in standard errors of the log weights."""


@dataclass(frozen=True)
class Discovery:
    """Weights of N items in the choice of something new."""

    item_id: Ints  # (N,) increasing
    weight: Floats  # (N,) p, positive; sums to 1
    converged: bool

    def relative(self, item_id: Ints) -> Floats:
        """N p_i of these items, of any shape: 1 on average. One that nobody discovered has the least of all.

        Args:
            item_id: ids in the log.
        """
        place = np.minimum(np.searchsorted(self.item_id, item_id), len(self.item_id) - 1)
        weight = np.where(self.item_id[place] == item_id, self.weight[place], self.weight.min())
        return np.asarray(len(self.item_id) * weight)


def fit_discovery(histories: Histories) -> Discovery:
    """The weights of largest posterior density; the formulas are at the top of this file."""
    h = histories
    user = h.user_of_event
    met = np.sort(np.unique(np.stack([user, h.item]), axis=1, return_index=True)[1])  # first of each pair
    item_id, item = np.unique(h.item_id[met], return_inverse=True)
    user = user[met]
    N, times = len(item_id), np.bincount(item).astype(np.float64)
    basket = np.repeat(np.arange(len(h.time)), np.diff(h.first_event))[met]
    _, first, basket, size = np.unique(basket, return_index=True, return_inverse=True, return_counts=True)
    gone = (np.arange(len(met)) - first[basket]) / size[basket]  # l/m of each discovery
    last = np.append(np.flatnonzero(np.diff(user)), len(user) - 1)  # of each user
    begin = np.append(0, last[:-1] + 1)
    number = np.repeat(np.arange(len(last)), last - begin + 1)  # of the user of each discovery
    total = times.sum()
    scale = 1.0 / np.sqrt(times + PSEUDO_DISCOVERIES)  # about the standard errors of the log weights

    def loss(scaled: Floats) -> tuple[float, Floats]:
        weight = np.exp(scaled * scale)
        p = weight[item]
        down = np.cumsum(p[::-1])[::-1]  # of this discovery and all later ones, of later users, too
        never = np.maximum(weight.sum() - np.bincount(number, p), 0.0)  # (users,) what a user never met
        unknown = down[first] - np.append(down[1:], 0.0)[last][number[first]] + never[number[first]]
        together = np.bincount(basket, p)[basket]  # P_b
        left = np.maximum(
            unknown[basket] - gone * together, (1.0 - gone) * together
        )  # S_b >= P_b, but rounding
        up = np.cumsum(1.0 / left)
        later = up[last][number] - up[first[basket] + size[basket] - 1]  # baskets of the user
        saved = np.bincount(item, later + np.bincount(basket, gone / left)[basket], N)
        risk = up[-1] - saved + PSEUDO_DISCOVERIES * N
        value = (times + PSEUDO_DISCOVERIES) @ (scaled * scale) - np.log(left).sum()
        value -= PSEUDO_DISCOVERIES * N * weight.sum()
        slope = times + PSEUDO_DISCOVERIES - weight * risk
        return -float(value) / total, -slope * scale / total

    found = minimize(
        loss,
        np.log(times / total) / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, None) for low in np.log(LEAST) / scale],
        options={"ftol": 1e-15, "gtol": 1e-4 * NEAR / total, "maxiter": 500},
    )
    weight = np.exp(found.x * scale)
    uphill = -found.jac * total  # by a standard error of each log weight
    rest = np.where(weight > LEAST * (1.0 + 1e-6), np.abs(uphill), uphill)  # on the bound it may fall
    return Discovery(item_id, weight / weight.sum(), bool(rest.max() < NEAR))
