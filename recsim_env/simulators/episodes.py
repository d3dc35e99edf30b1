"""A log cut into episodes: one row per episode, one column per step, for estimators of sequences.

    log rows       (user 0, episode 0, step 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), ...
    row (E, H)     [[0, 1, -1], [2, -1, -1], [3, ...]]        -1 where an episode was over

Only whole episodes can be averaged. The last episode of a user may lack its end, because the log ends
there; leaving just those out would favour short episodes, which more often fit in. What is fair is to keep
the first m episodes of every user, with m so small that all of them are whole: with T slates per user and a
horizon H, m = T // H is.

    episodes = to_episodes(read_log("random.parquet"))
    weight = importance_weights(episodes.pad(log_target, 0.0), episodes.log_propensity)
    per_decision_ips(episodes.reward, weight, present=episodes.present, groups=episodes.user)
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class Episodes:
    """E episodes of H steps at most; columns of the log are cut when they are asked for."""

    log: Log
    row: Ints  # (E, H) of the log, -1 where the episode was over

    def __len__(self) -> int:
        return len(self.row)

    @property
    def present(self) -> Bools:
        """(E, H) which steps took place."""
        return np.asarray(self.row >= 0)

    @property
    def user(self) -> Ints:
        """(E,) whose each episode is."""
        return np.asarray(self.log.user[self.row[:, 0]])

    @property
    def episode(self) -> Ints:
        """(E,) its number, as in the log."""
        return np.asarray(self.log.require("episode")[self.row[:, 0]])

    @property
    def reward(self) -> Floats:
        """(E, H), 0 where the episode was over."""
        return self.pad(self.log.require("reward"), 0.0)

    @property
    def log_propensity(self) -> Floats:
        """(E, H), 0 where the episode was over.

        Raises:
            InputError: the log's policy stated none.
        """
        return self.pad(self.log.require("log_propensity"), 0.0)

    @property
    def slate(self) -> Ints:
        """(E, H, K), -1 where the episode was over."""
        return self.pad(self.log.slate, -1)

    @property
    def clicked(self) -> Bools:
        """(E, H, K), False where the episode was over."""
        return self.pad(self.log.clicked, False)

    def pad(self, column: Array, fill: float) -> Array:
        """(E, H, ...) anything with one entry per row of the log, such as a state of `replay`.

        Args:
            column: (R, ...).
            fill: what stands where the episode was over.

        Raises:
            InputError: not one entry per row of the log.
        """
        column = np.asarray(column)
        if column.shape[:1] != (len(self.log),):
            raise InputError(
                f"column must have one entry per row of the log, ({len(self.log)}, ...), got {column.shape}"
            )
        padded = column[self.row]
        padded[self.row < 0] = fill
        return np.asarray(padded)


def to_episodes(
    log: Log, *, horizon: int | None = None, first: int | None = None, left: Array | None = None
) -> Episodes:
    """Cut a log into whole episodes.

    Args:
        log: with the columns episode and step, as `generate_log` writes them.
        horizon: H, the steps after which an episode ends in any case; None = the log's metadata say it.
        first: m, keep the first m episodes of every user; None = all.
        left: (R,) bool, whether the user left after a row: `replay(world, log).left`. Without it an episode
            below the horizon counts as whole if the same user has another one after it.

    Raises:
        InputError: no rows, a column is missing, no horizon; an episode lacks its beginning, a step, or its
            end, or is longer than the horizon; a user who left and stayed. The message names the row.
    """
    episode, step = log.require("episode"), log.require("step")
    if not len(log):
        raise InputError("log must hold an episode, got no rows")
    horizon = log.metadata.get("horizon") if horizon is None else horizon
    if not isinstance(horizon, (int, np.integer)) or isinstance(horizon, bool) or horizon < 1:
        raise InputError(
            f"horizon must be the most steps of an episode, 1 or more, got {horizon!r}"
            f"{': the log does not say it' if horizon is None else ''}"
        )
    for name, number in (("first", first),):
        if number is not None and number < 1:
            raise InputError(f"{name} must be 1 or more, got {number}")
    starts = _starts(log, episode, step)
    length = np.diff(np.append(starts, len(log)))  # (P,)
    user = log.user[starts]
    if (length > horizon).any():
        row = int(starts[np.argmax(length > horizon)] + horizon)
        raise InputError(f"step[{row}] = {step[row]} is beyond the horizon of {horizon} steps: raise horizon")
    followed = np.append(user[1:] == user[:-1], False)  # (P,) by another episode of the same user
    over = (length == horizon) | (followed if left is None else _left(log, left, starts, length))
    keep = np.ones(len(starts), np.bool_)
    if first is not None:
        begins = np.append(0, np.flatnonzero(~followed)[:-1] + 1)  # (U,) first episode of every user
        keep = np.arange(len(starts)) - np.repeat(begins, np.diff(np.append(begins, len(starts)))) < first
    unfinished = keep & ~over
    if unfinished.any():
        place = int(np.argmax(unfinished))
        least = int(np.unique(log.user, return_counts=True)[1].min()) // horizon
        remedy = (
            f"keep the first {least} of every user, which are whole, by first={least}"
            if least
            else f"log {horizon} slates or more of every user"
        )
        raise InputError(
            f"episode {episode[starts[place]]} of user {user[place]}, from row {starts[place]}, ends after "
            f"{length[place]} of {horizon} steps with the log ({unfinished.sum()} of {keep.sum()} episodes "
            f"lack their end): {remedy}"
        )
    starts, length = starts[keep], length[keep]
    steps = np.arange(horizon)
    return Episodes(log, np.where(steps < length[:, None], starts[:, None] + steps, -1))


def _starts(log: Log, episode: Ints, step: Ints) -> Ints:
    """(P,) the first row of every episode."""
    same = np.zeros(len(step), np.bool_)
    same[1:] = (log.user[1:] == log.user[:-1]) & (episode[1:] == episode[:-1])
    before = np.concatenate([[0], step[:-1]])
    gap = same & (step != before + 1)
    if gap.any():
        row = int(np.argmax(gap))
        raise InputError(
            f"step[{row}] = {step[row]} comes after step {step[row - 1]} of the same episode (user "
            f"{log.user[row]}, episode {episode[row]}): rows are missing, or not in order of time"
        )
    orphan = ~same & (step != 0)
    if orphan.any():
        row = int(np.argmax(orphan))
        raise InputError(
            f"step[{row}] = {step[row]} is the first of user {log.user[row]}, episode {episode[row]}: "
            "the episode lacks its beginning; drop its rows, or give the whole log (read_log, not its pieces)"
        )
    starts = np.flatnonzero(~same)
    user, number = log.user[starts], episode[starts]
    again = np.flatnonzero((user[1:] == user[:-1]) & (number[1:] <= number[:-1]))
    if len(again):
        row = int(starts[again[0] + 1])
        raise InputError(
            f"episode[{row}] = {episode[row]} of user {log.user[row]} begins after episode "
            f"{number[again[0]]}: episodes are numbered in order of time"
        )
    return starts


def _left(log: Log, left: Array, starts: Ints, length: Ints) -> Bools:
    """(P,) whether an episode ended because the user left."""
    left = np.asarray(left)
    if left.shape != (len(log),) or left.dtype != np.bool_:
        raise InputError(f"left must be bool of shape ({len(log)},), got {left.dtype} of {left.shape}")
    last = starts + length - 1
    stayed = left.copy()
    stayed[last] = False
    if stayed.any():
        row = int(np.argmax(stayed))
        raise InputError(f"left[{row}] is True, but row {row + 1} is the next step of the same episode")
    return np.asarray(left[last])
