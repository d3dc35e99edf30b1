"""Interests that clicks pull: a click moves the user towards what was clicked, or away from it.

With f_d the mean of coordinate d over the clicked items that have it (f_kd != 0), two forms by name:

    "towards"  u'_d = u_d + rate (f_d - u_d)
    "signed"   u'_d = u_d + rate s (1 - |u_d|) f_d, with s = +1 with probability (u . f + 1) / 2, else -1:
               a click may also put off

A coordinate that no clicked item has does not move. Both are ours, after SARDINE and RecSim; their own laws,
which differ in step, scale and bounds, are `SardineInfluence` and `RecSimInterest`.

Source: Deffayet et al., "SARDINE", 2024; Ie et al., "RecSim", 2019, section 5.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class Reinforcement:
    """The pull of clicks.

    Raises:
        InputError: a rate outside [0, 1], an unknown form.
    """

    rate: float  # share of the way that one slate moves the interest, 0 to 1
    form: str = "towards"  # or signed

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise InputError(f"rate must be from 0 to 1, got {self.rate}")
        if self.form not in ("towards", "signed"):
            raise InputError(f"form must be towards or signed, got {self.form!r}")

    def step(self, interest: Floats, features: Array, clicked: Bools, u: Floats) -> Floats:
        """The interest after a slate.

        Args:
            interest: (B, D); in [-1, 1] it stays there, if the features are.
            features: (B, K, D) of the slate, in [-1, 1].
            clicked: (B, K).
            u: (B,) uniforms, used by the signed form only.

        Returns:
            (B, D).
        """
        has = (features != 0.0) & clicked[:, :, None]  # (B, K, D)
        count = has.sum(axis=1)
        mean = np.where(has, features, 0.0).sum(axis=1) / np.maximum(count, 1)  # (B, D)
        if self.form == "towards":
            return np.where(count > 0, interest + self.rate * (mean - interest), interest)
        liking = np.clip((np.einsum("bd,bd->b", interest, mean) + 1.0) / 2.0, 0.0, 1.0)
        sign = np.where(u < liking, 1.0, -1.0)[:, None]
        return np.asarray(interest + self.rate * sign * (1.0 - np.abs(interest)) * mean)
