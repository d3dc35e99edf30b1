"""What users looked like at every row of a log, by playing it again: a log with seeds needs no such column.

The luck of a row is a function of its seed, episode and step, and a world is pure, so the same slates lead
through the same states. Clicks and rewards must come out as logged, or the log is of another world.
"""

from collections.abc import Iterator
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
    """Play every episode of a log again, and keep what was observed.

    Args:
        world: that the log was made with, with the same parameters.
        log: with seed, episode and step; whole episodes from their first step, which may lack their end.

    Raises:
        InputError: a column is missing, an episode lacks its beginning, or another world made the log.
    """
    before: dict[str, Array] = {}
    after: dict[str, Array] = {}
    slates, left = log.slate.copy(), np.zeros(len(log), np.bool_)
    for played in play_again(world, log):
        for columns, state in ((before, played.state), (after, played.next_state)):
            for name, value in world.observe(state).items():
                if name not in columns:
                    columns[name] = np.empty((len(log), *value.shape[1:]), value.dtype)
                columns[name][played.rows] = value
        slates[played.rows], left[played.rows] = played.slates, played.left
    return Replay(before, after, slates, left)


class Played(NamedTuple):
    """The h-th step of all P episodes that are so long."""

    rows: Ints  # (P,) of the log
    state: Any  # of the world, of P users, before
    slates: Ints  # (P, K) as the world takes them
    next_state: Any  # after
    left: Bools  # (P,)


def play_again(world: World, log: Log) -> Iterator[Played]:
    """Every episode of a log, step by step, all of them at once.

    Args and errors: as of `replay`.
    """
    seed, episode, step = log.require("seed"), log.require("episode"), log.require("step")
    candidates = world if isinstance(world, ShowsCandidates) else None
    if log.slate.shape[1] != world.slate_size:
        raise InputError(
            f"slates must have {world.slate_size} slots, as in this world, got {log.slate.shape[1]}: the log "
            "was made with another world or other parameters (see its metadata)"
        )
    log.check_items(candidates.catalogue.num_items if candidates else world.num_items)
    starts = _starts(seed, episode, step)
    length = np.diff(np.append(starts, len(log)))
    luck = Luck(seed, episode, step)
    state = world.begin(luck.rows(starts))
    for h in range(int(length.max(initial=0))):
        going = length > h
        state = take_rows(state, going)
        starts, length = starts[going], length[going]
        rows = starts + h
        slates = candidates.places(state, log.slate[rows]) if candidates else log.slate[rows]
        after, outcome = world.respond(state, slates, luck.rows(rows))
        _check_same("clicked", rows, outcome.response.clicked, log.clicked)
        if log.reward is not None:
            _check_same("reward", rows, outcome.reward, log.reward)
        yield Played(rows, state, slates, after, outcome.left)
        state = after


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


def _check_same(name: str, rows: Ints, found: Any, logged: Array) -> None:
    differs = found != logged[rows]
    if differs.any():
        row = int(rows[np.argwhere(differs)[0, 0]])
        raise InputError(
            f"{name}[{row}] is not what this world gives: the log was made with another world, other "
            "parameters (see its metadata) or another version"
        )
