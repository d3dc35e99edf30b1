"""What a defence is: it reads a log that may hold fake users, and says how much every user counts.

    victim.fit(log, defence.weights(log)),    scores of users for a detector's curve: defence.suspicion_

So every defence goes with every recommender that takes weights of users. What is built into a recommender
(`AdversarialTraining`), or trained beside it (`LoRec.train`), is no such defence.
"""

from typing import Protocol

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.simulators.log import Log


class Defence(Protocol):
    """Weighs users; U users of a log stand in the order of their ids."""

    suspicion_: Floats  # (U,) after `weights`: higher = more likely a fake

    def weights(self, log: Log) -> Floats:
        """How much every user counts, (U,) finite and 0 or more, from the log alone.

        Args:
            log: of interactions; who is a fake is not told.
        """


def hard_filter(suspicion: Array, threshold: float = 0.5) -> Floats:
    """Weights of 0 for users who are more suspicious than a threshold, and of 1 for the others.

    Args:
        suspicion: (U,) numbers.
        threshold: of them.

    Raises:
        InputError: suspicions that are not finite numbers (U,), or nobody who is left.

    Source: what Zhang and others, "LoRec", SIGIR 2024, compare with (LLM4Dec, Detection: above .5).
    """
    found = as_numbers("suspicion", suspicion)
    if found.ndim != 1:
        raise InputError(f"suspicion must be (U,), one number for every user, got {found.shape}")
    refuse("suspicion", ~np.isfinite(found), found, "suspicions are finite numbers")
    kept = (found <= threshold).astype(np.float64)
    if not kept.any():
        raise InputError(f"all {len(found)} users are more suspicious than {threshold}: raise the threshold")
    return kept
