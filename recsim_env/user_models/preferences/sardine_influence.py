"""The click influence of SARDINE: a weighted mean with what was clicked, scaled back to length 1.

    u' = v / |v|,      v = keep u + (1 - keep) (1/|C|) sum_{k in C} f_k         over the clicked slots C

The topics of the clicked items gain, and all others lose in proportion to each other, since the length is
held at 1. Users without a click stay where they are. (The released code takes the mean over items *and*
topics, one number, and adds it to every topic alike; the mean here is over items.)

Source: Deffayet and others, "SARDINE: a simulator for automated recommendation in dynamic and interactive
environments", 2024.
"""

import math
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class SardineInfluence:
    """The pull of clicks on interests of length 1.

    Raises:
        InputError: keep is outside [0, 1].
    """

    keep: float  # weight of the old interest, 0 to 1; SARDINE's omega

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 1:
            raise InputError(f"keep must be from 0 to 1, got {self.keep}")

    def step(self, interest: Floats, features: Array, clicked: Bools) -> Floats:
        """The interest (B, D) after a slate.

        Args:
            interest: (B, D) of length 1.
            features: (B, K, D) of what was shown.
            clicked: (B, K).

        Raises:
            InputError: the weighted mean of a user is 0 and has no direction.
        """
        share = clicked / np.maximum(clicked.sum(axis=1, keepdims=True), 1)  # (B, K)
        clicked_mean = np.einsum("bk,bkd->bd", share, features)
        mixed = self.keep * interest + (1.0 - self.keep) * clicked_mean
        length = np.sqrt(np.einsum("bd,bd->b", mixed, mixed))
        moves: Bools = np.any(clicked, axis=1)
        if (moves & (length == 0)).any():
            row = int(np.argmax(moves & (length == 0)))
            raise InputError(
                f"interest[{row}] and the clicked features cancel out: there is no direction left"
            )
        return np.where(moves[:, None], mixed / np.where(moves, length, math.inf)[:, None], interest)
