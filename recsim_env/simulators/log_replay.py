"""What users looked like at every row of a log, by playing it again: a log with seeds needs no such column.

The luck of a row is a function of its seed, episode and step, and a world is pure, so the same slates lead
through the same states. Clicks and rewards must come out as logged, or the log is of another world.
"""

from typing import Any, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Bools, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import ShowsCandidates, World, take_rows


class Replay(NamedTuple):
    """R rows, as their users were."""

    observation: dict[str, Array]  # (R, ...) before the slate was shown, as the policy saw it
    next_observation: dict[str, Array]  # (R, ...) after it, before the next episode begins
    slates: Ints  # (R, K) as the world takes them: places in the candidate set, where there is one
    left: Bools  # (R,) the user left after this slate


def replay(world: World, log: Log) -> Replay:
    """Play every episode of a log again.

    Args:
        world: that the log was made with, with the same parameters.
        log: with seed, episode and step; whole episodes from their first step, which may lack their end.

    Raises:
        InputError: a column is missing, an episode lacks its beginning, or another world made the log.
    """
    seed, episode, step = log.require("seed"), log.require("episode"), log.require("step")
    candidates = world if isinstance(world, ShowsCandidates) else None
    log.check_items(candidates.catalogue.num_items if candidates else world.num_items)
    starts = _starts(seed, episode, step)
    length = np.diff(np.append(starts, len(log)))
    luck = Luck(seed, episode, step)
    state = world.begin(luck.rows(starts))
    before = {name: np.empty((len(log), *v.shape[1:]), v.dtype) for name, v in world.observe(state).items()}
    after = {name: column.copy() for name, column in before.items()}
    slates, left = log.slate.copy(), np.zeros(len(log), np.bool_)
    for h in range(int(length.max(initial=0))):
        going = length > h
        state = take_rows(state, going)
        starts, length = starts[going], length[going]
        rows = starts + h
        _store(before, rows, world.observe(state))
        if candidates:
            slates[rows] = candidates.places(state, log.slate[rows])
        state, outcome = world.respond(state, slates[rows], luck.rows(rows))
        _check_same("clicked", rows, outcome.response.clicked, log.clicked)
        if log.reward is not None:
            _check_same("reward", rows, outcome.reward, log.reward)
        _store(after, rows, world.observe(state))
        left[rows] = outcome.left
    return Replay(before, after, slates, left)


def _starts(seed: Array, episode: Ints, step: Ints) -> Ints:
    """(P,) the first row of every episode."""
    first = step == 0
    follows = np.zeros(len(step), np.bool_)
    follows[1:] = (seed[1:] == seed[:-1]) & (episode[1:] == episode[:-1]) & (step[1:] == step[:-1] + 1)
    orphan = ~first & ~follows
    if orphan.any():
        row = int(np.argmax(orphan))
        raise InputError(
            f"step[{row}] = {step[row]} does not follow the row above, and is no beginning: give whole "
            "episodes, as read_log does (the pieces of read_log_batches cut through them)"
        )
    return np.flatnonzero(first)


def _store(columns: dict[str, Array], rows: Ints, values: dict[str, Array]) -> None:
    for name, value in values.items():
        columns[name][rows] = value


def _check_same(name: str, rows: Ints, found: Any, logged: Array) -> None:
    differs = found != logged[rows]
    if differs.any():
        row = int(rows[np.argwhere(differs)[0, 0]])
        raise InputError(
            f"{name}[{row}] is not what this world gives: the log was made with another world, other "
            "parameters (see its metadata) or another version"
        )
