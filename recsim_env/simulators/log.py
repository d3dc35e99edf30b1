"""The one table type of the project: what was shown to whom, and what they clicked.

One row is one slate shown to one user. A log of plain interactions (purchases, plays, ratings) has
slates of one slot, all of them clicked.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError


@dataclass(frozen=True)
class Log:
    """R slates shown, sorted by user, then time.

    Raises:
        InputError: a column has the wrong shape, a click on an empty slot, a time that is not finite,
            or rows that are not sorted by user, then time; the message names the column and the row.
    """

    user: Ints  # (R,)
    time: Floats  # (R,) seconds, or any other increasing clock
    slate: Ints  # (R, K) item ids, -1 = empty slot
    clicked: Bools  # (R, K)
    reward: Floats | None = None  # (R,)
    log_propensity: Floats | None = None  # (R,) of the slate under the policy that made the log
    slot_log_propensity: Floats | None = None  # (R, K)

    def __post_init__(self) -> None:
        rows = len(self.user)
        if self.slate.ndim != 2:
            raise InputError(f"slate must have shape (R, K), got {self.slate.shape}")
        wanted: dict[str, tuple[int, ...]] = {
            "user": (rows,),
            "time": (rows,),
            "slate": (rows, self.slate.shape[1]),
            "clicked": self.slate.shape,
            "reward": (rows,),
            "log_propensity": (rows,),
            "slot_log_propensity": self.slate.shape,
        }
        for name, shape in wanted.items():
            column = getattr(self, name)
            if column is not None and column.shape != shape:
                raise InputError(f"{name} must have shape {shape}, got {column.shape}")
        _refuse("time", ~np.isfinite(self.time), self.time, "is not finite")
        _refuse("slate", np.any(self.slate < -1, axis=1), self.slate, "holds an id below -1")
        _refuse(
            "clicked", np.any(self.clicked & (self.slate < 0), axis=1), self.clicked, "clicks an empty slot"
        )
        same_user = np.diff(self.user) == 0
        backwards = (np.diff(self.user) < 0) | (same_user & (np.diff(self.time) < 0))
        _refuse(
            "time", np.append(False, backwards), self.time, "comes after a later row: sort by user, then time"
        )

    @classmethod
    def from_interactions(cls, user: Array, item: Array, time: Array) -> "Log":
        """The log of (user, item, time) triples: slates of one item each, all clicked.

        Args:
            user: (R,) user ids.
            item: (R,) item ids, 0 or more.
            time: (R,) in any order; ties keep the order given.
        """
        order = np.lexsort((time, user))
        slate = np.asarray(item, np.int64)[order, None]
        return cls(
            np.asarray(user, np.int64)[order],
            np.asarray(time, np.float64)[order],
            slate,
            np.ones(slate.shape, np.bool_),
        )

    def __len__(self) -> int:
        return len(self.user)


def _refuse(name: str, bad: Array, column: Array, complaint: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{name}[{row}] = {column[row]} {complaint}")
