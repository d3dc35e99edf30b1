"""The one table type of the project: what was shown to whom, and what they clicked.

One row is one slate shown to one user. A log of plain interactions (purchases, plays, ratings) has
slates of one slot, all of them clicked. `log_files` writes and reads logs, `log_generation` makes them from
a world and a policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log_columns import (
    LOG_PROPENSITIES,
    SLATE_SHAPED,
    column_type,
    kept_column,
    refuse,
    refuse_outside,
)

LARGEST = np.finfo(np.float64).max
ROUNDING = 1e-9  # how far above 0 the logarithm of a probability may come out of a computation
SUM_ROUNDING = 1e-6  # how far off a sum of log-propensities may be, absolutely and relatively (float32)

_GENERATED = "generate_log writes it, logs of real users seldom have it"
_REMEDY = {
    "reward": "give it, for instance Log(..., reward=log.clicked.sum(axis=1).astype(float))",
    "log_propensity": "log with a policy that states its propensities, such as RandomSlates",
    "slot_log_propensity": "log with a policy that states its propensities, such as RandomSlates",
    "episode": _GENERATED,
    "step": _GENERATED,
    "seed": _GENERATED,
    "examined": _GENERATED,
    "attraction": "generate_log writes it if the world has slate_attraction; no log of real users has it",
}


@dataclass(frozen=True)
class Log:
    """R slates shown, sorted by user, then time; the columns from `reward` on are None where unknown.

    Columns may be given as any integers, numbers or flags, and are kept as int64 (seed: uint64), float64 and
    bool. A row may be repeated (a basket can hold the same product twice): `check_no_duplicates` is for logs
    where that would be a mistake.

    Raises:
        InputError: a column has the wrong shape or type, or a number that does not fit its type; an id
            below -1; a negative episode or step; a click or a look at an empty slot; a click without a
            look; a time, reward or attraction that is not a number; a log-propensity that is not the
            logarithm of a positive probability; or rows that are not sorted by user, then time. The
            message names the column, the row and the remedy.
    """

    user: Ints  # (R,)
    time: Floats  # (R,) seconds, or any other increasing clock
    slate: Ints  # (R, K) item ids, -1 = empty slot
    clicked: Bools  # (R, K)
    reward: Floats | None = None  # (R,)
    log_propensity: Floats | None = None  # (R,) of the slate under the policy that made the log
    slot_log_propensity: Floats | None = None  # (R, K) of each slot, given the slots above it
    episode: Ints | None = None  # (R,) of the user's seed
    step: Ints | None = None  # (R,) within the episode, from 0
    seed: Array | None = None  # (R,) uint64 of the user: with episode and step, the luck of this row
    examined: Bools | None = None  # (R, K) False in empty slots
    attraction: Floats | None = None  # (R, K) in [0, 1], the hidden truth: agents must not see it
    metadata: Mapping[str, Any] = field(default_factory=dict)  # what JSON holds: env_id, policy, ...

    def __post_init__(self) -> None:
        for name, column in self.columns().items():
            object.__setattr__(self, name, kept_column(name, column, column_type(name)))
        if self.slate.ndim != 2 or self.slate.shape[1] == 0:
            raise InputError(
                f"slate must have shape (R, K) with K of 1 or more, got {self.slate.shape}: "
                "give slates of one item a second axis, slate[:, None]"
            )
        for name, column in self.columns().items():
            self._check_column(name, column)
        empty = self.slate < 0
        refuse_outside(
            "slate", self.slate, -1, np.inf, "is below -1: an empty slot is -1, items are 0 or more"
        )
        refuse(
            "clicked",
            self.clicked & empty,
            self.clicked,
            "clicks an empty slot: set it False",
        )
        if self.examined is not None:
            refuse("examined", self.examined & empty, self.examined, "looks at an empty slot: set it False")
            unseen = self.clicked & ~self.examined
            refuse("examined", unseen, self.examined, "where clicked is True: a clicked slot was looked at")
        self._check_order()

    def _check_column(self, name: str, column: Array) -> None:
        shape = self.slate.shape if name in SLATE_SHAPED else (len(self.slate),)
        if column.shape != shape:
            raise InputError(f"{name} must have shape {shape}, got {column.shape}")
        if name in ("episode", "step"):
            refuse_outside(name, column, 0, np.inf, "is below 0: episodes and steps count from 0")
        elif name in LOG_PROPENSITIES:
            complaint = "is not the logarithm of a positive probability: it must be finite, 0 at most"
            refuse_outside(name, column, -LARGEST, ROUNDING, complaint)
        elif name == "attraction":
            refuse_outside(name, column, 0.0, 1.0, "is not in [0, 1]: attraction is a probability")
        elif column.dtype.kind == "f":
            refuse_outside(name, column, -LARGEST, LARGEST, "is not finite: mend or drop the row")

    def _check_order(self) -> None:
        before = self.user[1:] < self.user[:-1]
        if before.any():
            row = int(np.argmax(before)) + 1
            raise InputError(
                f"user[{row}] = {self.user[row]} comes after user {self.user[row - 1]}: "
                "sort by user, then time, as Log.sorted does"
            )
        backwards = (self.user[1:] == self.user[:-1]) & (self.time[1:] < self.time[:-1])
        if backwards.any():
            row = int(np.argmax(backwards)) + 1
            raise InputError(
                f"time[{row}] = {self.time[row]} is before time[{row - 1}] = {self.time[row - 1]} "
                f"of the same user, {self.user[row]}, a gap of {self.time[row] - self.time[row - 1]}: "
                "sort by user, then time, as Log.sorted does"
            )

    @classmethod
    def from_interactions(cls, user: Array, item: Array, time: Array) -> "Log":
        """The log of (user, item, time) triples: slates of one item each, all clicked.

        Args:
            user: (R,) user ids, integers.
            item: (R,) item ids, integers of 0 or more.
            time: (R,) in any order; ties keep the order given.

        Raises:
            InputError: columns of different lengths or types; see the class.
        """
        columns = {
            name: np.asarray(column) for name, column in (("user", user), ("item", item), ("time", time))
        }
        lengths = {name: column.shape for name, column in columns.items()}
        if len(set(lengths.values())) != 1 or columns["user"].ndim != 1:
            raise InputError(f"user, item and time must have one shape (R,), got {lengths}")
        slate = kept_column("item", columns["item"], column_type("slate"))[:, None]
        clicked = np.ones(slate.shape, np.bool_)
        return cls.sorted(user=columns["user"], time=columns["time"], slate=slate, clicked=clicked)

    @classmethod
    def sorted(cls, *, metadata: Mapping[str, Any] | None = None, **columns: Array) -> "Log":
        """The log of columns whose rows stand in any order; rows of one user and time keep theirs.

        Raises:
            InputError: no user or time, or they differ in length; see the class.
        """
        for name in ("user", "time"):
            if name not in columns:
                raise InputError(f"a log has a column {name}: give one to sort by")
        if np.shape(columns["user"]) != np.shape(columns["time"]):
            shapes = np.shape(columns["user"]), np.shape(columns["time"])
            raise InputError(f"user and time must have one shape, got {shapes[0]} and {shapes[1]}")
        order = np.lexsort((columns["time"], columns["user"]))
        return cls(
            **{name: np.asarray(column)[order] for name, column in columns.items()}, metadata=metadata or {}
        )

    def __len__(self) -> int:
        return len(self.user)

    def columns(self) -> dict[str, Array]:
        """The columns that this log has, by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metadata"}
        return {name: column for name, column in found.items() if column is not None}

    def rows(self, index: Array) -> "Log":
        """Some of the rows, by number or mask, with all their columns."""
        columns: dict[str, Any] = {name: column[index] for name, column in self.columns().items()}
        return Log(**columns, metadata=self.metadata)

    def require(self, name: str) -> Array:
        """A column that some logs lack.

        Raises:
            InputError: this one does; the message says how to get it.
        """
        if name not in _REMEDY:
            raise InputError(f"a log has no column {name!r}: the optional ones are {', '.join(_REMEDY)}")
        column = getattr(self, name)
        if column is None:
            said = self.metadata.get("propensities") if name in LOG_PROPENSITIES else None
            raise InputError(f"log has no {name}{f' ({said})' if said else ''}: {_REMEDY[name]}")
        return np.asarray(column)

    def validate(self, *, unique_times: bool = False) -> None:
        """Check the whole log: all that is checked when a log is made, and what ties its columns together.

        A log that was made is sound until somebody writes into its arrays; a log of a file may be sound
        column by column and yet say two things about one slate.

        Args:
            unique_times: refuse two rows of one user at the same time, too: their order is that of the
                file, not of the clock, which a method that learns from order must know.

        Raises:
            InputError: as the class; or a `log_propensity` that is not the sum of its
                `slot_log_propensity` over the slots that are not empty. The message has row and column.
        """
        columns: dict[str, Any] = self.columns()
        Log(**columns, metadata=self.metadata)
        if self.log_propensity is not None and self.slot_log_propensity is not None:
            total = np.where(self.slate >= 0, self.slot_log_propensity, 0.0).sum(axis=1)
            off = np.abs(total - self.log_propensity) > SUM_ROUNDING * (1.0 + np.abs(total))
            if off.any():
                row = int(np.argmax(off))
                raise InputError(
                    f"log_propensity[{row}] = {self.log_propensity[row]} is not the sum of "
                    f"slot_log_propensity[{row}] over the items shown, {total[row]}: mend one of the two"
                )
        if unique_times and (tied := self.tied_rows()).any():
            row = int(np.argmax(tied))
            raise InputError(
                f"time[{row}] = {self.time[row]} stands twice for user {self.user[row]}, in rows {row} and "
                f"{row + 1}, and {tied.mean():.1%} of all rows are so tied: give a finer clock, or split by "
                "time with a rule for ties"
            )

    def tied_rows(self) -> Bools:
        """(R,) whether another row of the same user has the same time."""
        tied = np.zeros(len(self), np.bool_)
        same = (self.user[1:] == self.user[:-1]) & (self.time[1:] == self.time[:-1])
        tied[1:] |= same
        tied[:-1] |= same
        return tied

    def check_items(self, num_items: int) -> None:
        """Refuse items outside a catalogue of `num_items`."""
        if (self.slate >= num_items).any():
            row, slot = np.argwhere(self.slate >= num_items)[0]
            raise InputError(
                f"slate[{row}, {slot}] = {self.slate[row, slot]} is not an item: "
                f"the catalogue has {num_items} items (0-{num_items - 1}); drop the row or raise num_items"
            )

    def check_users(self, num_users: int) -> None:
        """Refuse users other than 0 to num_users - 1, and one of these without a row."""
        refuse(
            "user",
            (self.user < 0) | (self.user >= num_users),
            self.user,
            f"is not a user: there are {num_users} (0-{num_users - 1}); drop the row or raise num_users",
        )
        absent = np.bincount(self.user, minlength=num_users) == 0
        if absent.any():
            raise InputError(
                f"user {np.argmax(absent)} has no rows, as have {absent.sum()} of {num_users} users: "
                "number the users anew, for instance by np.unique(user, return_inverse=True)"
            )

    def check_not_after(self, time: float) -> None:
        """Refuse rows later than `time`, which a log of the past cannot hold."""
        refuse(
            "time",
            self.time > time,
            self.time,
            f"is in the future, after {time}: drop the row or mend its clock",
        )

    def repeated_row(self) -> tuple[int, int] | None:
        """The first row with the user, time and slate of an earlier one, and the latest such, or None."""
        order = np.lexsort((*self.slate.T, self.time, self.user))  # stable: of equal rows the earliest first
        same = np.diff(self.user[order]) == 0
        same &= np.diff(self.time[order]) == 0
        same &= (np.diff(self.slate[order], axis=0) == 0).all(axis=1)
        if not same.any():
            return None
        again = int(order[1:][same].min())
        return again, int(order[np.flatnonzero(order == again)[0] - 1])

    def check_no_duplicates(self) -> None:
        """Refuse a row that shows the same slate to the same user at the same time as an earlier one."""
        if (repeated := self.repeated_row()) is not None:
            again, before = repeated
            raise InputError(
                f"row {again} repeats row {before} (user {self.user[again]}, "
                f"time {self.time[again]}, slate {self.slate[again].tolist()}): drop it"
            )

    def check_variety(self) -> None:
        """Refuse a log of one user, or of one item, from which no difference can be learned."""
        items = np.unique(self.slate[self.slate >= 0])
        for name, ids in (("users", np.unique(self.user)), ("items", items)):
            if len(ids) < 2:
                found = f"one, {ids[0]}" if len(ids) else "none"
                raise InputError(f"log must hold at least two {name}, got {found}: give a longer log")
