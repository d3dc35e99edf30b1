"""LoRec's weights of users: who is suspicious again and again counts for less, who never is for no less.

    c_u = 3 to begin with, for each of U users. After epoch e = 1, 2, ... with scores s_u, if e is a multiple
    of 5 (of 10 from epoch 31 on), or an update was postponed at the epoch before:

        flagged:   s_u > threshold, the mean of all s if there is no other;   F of them
        F < U / 3:   c_u - 1 for the flagged,   c_u + F / (U - F) for the others
        otherwise:   nothing, and the update is postponed to the next epoch

    weight of u = sigma(c_u) / sigma(3), where a value between .5 and 1 is 1;   from epoch 30 on, 1 before

So the sum of all c_u stays, and it takes four flags until a user counts for less (c_u = -1: .28).

Source: Zhang and others, "LoRec: combating poisons with large language model for robust sequential
recommendation", SIGIR 2024; all numbers are those of its public code (Kaike-Zhang/LoRec). Ours: an update
that was postponed to an epoch that has one anyway is made once there, not twice.
"""

import numpy as np
from scipy.special import expit

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges

START, MOST_FLAGGED, AS_BEFORE = 3.0, 1.0 / 3.0, 0.5
RARER_FROM = 30  # the last epoch of the shorter interval


class UserReweighting:
    """See the module.

    Args:
        users: U, 1 or more.
        every: epochs from update to update until epoch 30, twice as many after it.
        warm_up: the epoch from which the weights apply.

    After any number of `end_epoch`: `counter` (U,), the c_u; `epoch`, how many there were.

    Raises:
        InputError: a number below 1.
    """

    def __init__(self, users: int, *, every: int = 5, warm_up: int = 30) -> None:
        check_ranges({"users": users, "every": every, "warm_up": warm_up}, {}, {})
        self.every, self.warm_up = every, warm_up
        self.counter, self.epoch, self.postponed = np.full(users, START), 0, False

    def end_epoch(self, score: Array, threshold: float | None = None) -> bool:
        """Take the scores (U,) after one more epoch; whether the counters changed.

        Args:
            score: (U,) higher = more likely a fake.
            threshold: above which a user is flagged; None = the mean of the scores.

        Raises:
            InputError: scores of another shape, or not finite.
        """
        score = np.asarray(score, np.float64)
        if score.shape != self.counter.shape or not np.isfinite(score).all():
            raise InputError(
                f"scores must be finite numbers of shape {self.counter.shape}, got {score.shape}"
            )
        self.epoch += 1
        interval = self.every if self.epoch <= RARER_FROM else 2 * self.every
        if self.epoch % interval and not self.postponed:
            return False
        flagged = score > (score.mean() if threshold is None else threshold)
        self.postponed = bool(flagged.sum() >= MOST_FLAGGED * len(flagged))
        if self.postponed:
            return False
        self.counter = np.where(flagged, self.counter - 1.0, self.counter + flagged.sum() / (~flagged).sum())
        return True

    @property
    def weights(self) -> Floats:
        """(U,) by which the next epoch is weighed."""
        if self.epoch + 1 < self.warm_up:
            return np.ones(len(self.counter))
        weight: Floats = expit(self.counter) / expit(START)
        return np.where((weight > AS_BEFORE) & (weight < 1.0), 1.0, weight)
