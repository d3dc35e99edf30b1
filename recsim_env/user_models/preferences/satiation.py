"""Satiation: what was consumed lately is worth less, and recovers.

    s'_c = memory (s_c + consumed_c),        worth of an item of topic c = value - factor s_c

with memory for a step, or memory^gap over a gap of time.

RecLab's `Topics` has this law with factor `satiation_factor`, memory `satiation_decay` and topics as items.
There the sampled rating subtracts the satiation and the "dense ratings" that its perfect baseline uses add
it; here the worth of an item is one function, used for clicks and optimum alike. `RecLabSatiation` adds the
ratings, with their exact mean, the noise, and topics that satiate more slowly once they bore.

Source: Leqi, Kilinc-Karzan, Lipton, Montgomery, "Rebounding bandits for modeling satiation effects", NeurIPS
2021; Krauth et al., "RecLab", 2020.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError


@dataclass(frozen=True)
class Satiation:
    """How fast topics satiate and recover.

    Raises:
        InputError: a parameter out of range.
    """

    factor: float  # what one consumption takes off the worth, 0 or more
    memory: float = 0.9  # of a step (or of a unit of time, if gaps are given), 0 to 1 (1 excluded)

    def __post_init__(self) -> None:
        if not 0.0 <= self.factor < np.inf:
            raise InputError(f"factor must be 0 or more and finite, got {self.factor}")
        if not 0.0 <= self.memory < 1.0:
            raise InputError(f"memory must be from 0 to below 1, got {self.memory}")

    def loss(self, satiation: Floats) -> Floats:
        """(B, C) what to take off the worth of items of each topic."""
        return self.factor * satiation

    def step(self, satiation: Floats, consumed: Floats, gap: Floats | None = None) -> Floats:
        """Satiation (B, C) after a slate of which consumed (B, C) were clicked; gap (B,) in units of time."""
        keep = self.memory if gap is None else (self.memory**gap)[:, None]
        return np.asarray(keep * (satiation + consumed))
