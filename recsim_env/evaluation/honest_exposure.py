"""What fakes do to honest users: how often these are shown the targets, and what they lose, fakes left out.

    exposure  honest slates that hold a target / honest slates
    loss      sum of the regret of honest slates / honest slates
    lift      exposure under attack / exposure without

Fakes are known to evaluation alone (`info["fake"]` of a poisoned world).
"""

from typing import NamedTuple

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, ratio_of


class HonestExposure(NamedTuple):
    """Of B replicates; nan where no session was honest."""

    exposure: Floats  # (B,)
    loss: Floats  # (B,) a slate


def honest_exposure(slates: Array, targets: Array, regret: Array, fake: Array) -> HonestExposure:
    """Of T rounds of B replicates.

    Args:
        slates: (T, B, K) that were shown.
        targets: (M,) items.
        regret: (T, B) of each round.
        fake: (T, B) flags.

    Raises:
        InputError: arrays whose shapes do not fit.
    """
    slates, regret, fake = np.asarray(slates), np.asarray(regret, np.float64), np.asarray(fake, np.bool_)
    if slates.ndim != 3 or regret.shape != slates.shape[:2] or fake.shape != slates.shape[:2]:
        raise InputError(
            f"slates must be (T, B, K), regret and fake (T, B), got {slates.shape}, {regret.shape} and "
            f"{fake.shape}"
        )
    honest = ~fake
    count = honest.sum(axis=0)
    shown = np.isin(slates, targets).any(axis=2)
    some = np.maximum(count, 1)
    exposure = np.where(count > 0, (shown & honest).sum(axis=0) / some, np.nan)
    loss = np.where(count > 0, np.where(honest, regret, 0.0).sum(axis=0) / some, np.nan)
    return HonestExposure(exposure, loss)


def exposure_lift(attacked: Array, clean: Array) -> Estimate:
    """Mean exposure of replicates under attack over that of the same replicates without.

    Args:
        attacked: (B,) exposures.
        clean: (B,) of the same seeds.

    Raises:
        InputError: no replicates, one that is not finite, or no exposure at all without the attack.
    """
    return ratio_of(attacked, clean)
