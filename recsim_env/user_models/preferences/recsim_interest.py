"""The interest evolution of RecSim: a click moves the interest towards what was clicked, or away from it.

    u' = clip( u +- rate (1 - |u|) f (f - u),  -1, 1 ),      + with probability f . (u + 1) / 2

in every dimension, with f the features of the clicked item. The step fades as an interest becomes strong, is
0 in dimensions that the item does not have, and mostly goes towards what the user likes already. Users
without a click stay where they are. (RecSim draws the direction from NumPy's global generator, so that its
seed does not decide it; here it is an argument.)

Source: Ie and others, "RecSim: a configurable simulation platform for recommender systems", arXiv 1909.04847,
2019, section 5; the formula is that of the released environment `interest_evolution`.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class RecSimInterest:
    """One click per slate, interests in [-1, 1].

    Raises:
        InputError: a rate outside [0, 1].
    """

    rate: float = 0.3  # share of the way at interest 0; RecSim's alpha_y_intercept

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InputError(f"rate must be from 0 to 1, got {self.rate}")

    def towards_prob(self, interest: Floats, features: Array) -> Floats:
        """(B,) P(the interest moves towards features (B, D)), f . (u + 1)/2, held within [0, 1].

        For one-hot features it needs no holding: it is how far from disgust (-1) to delight (1) the user is.
        """
        return np.clip(np.einsum("bd,bd->b", 0.5 * (interest + 1.0), features), 0.0, 1.0)

    def step(self, interest: Floats, features: Array, clicked: Bools, u: Floats) -> Floats:
        """The interest (B, D) after a slate.

        Args:
            interest: (B, D) in [-1, 1].
            features: (B, K, D) of what was shown.
            clicked: (B, K); of several clicks only the first counts, as in RecSim.
            u: (B,) uniforms; towards if u < `towards_prob`.
        """
        first = features[np.arange(len(clicked)), np.argmax(clicked, axis=1)]  # (B, D)
        sign = np.where(u < self.towards_prob(interest, first), 1.0, -1.0) * clicked.any(axis=1)
        moved = interest + sign[:, None] * self.rate * (1.0 - np.abs(interest)) * first * (first - interest)
        return np.clip(moved, -1.0, 1.0)
