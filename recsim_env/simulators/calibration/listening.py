"""A world of repeated listening fitted to a log of consumption: plays, purchases, posts.

What is taken from the log:

    repeat and its growth, temperature,    by maximum likelihood, with standard errors (`fit_actr`)
    decay, popularity exponent
    popularity of an item                  how readily it is discovered (`fit_discovery`)
    sizes of visits                        their empirical law, up to `LARGEST_VISIT` events
    gaps between visits                    of every user their mean, and one Gamma shape (`fit_user_gaps`)

Users differ in their histories and their pace; they have one taste, one memory and one law of the sizes of
visits. The fidelity report shows what that misses.

A calibration is a directory: `calibration.json` (parameters, standard errors, where they come from) and
`calibration.npz` (arrays, read without unpickling). `gym.make("RepeatListen-v0", calibration=DIR)` reads it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.actr import fit_actr
from recsim_env.simulators.calibration.calibration_files import (
    ABOVE_0,
    LARGEST,
    array,
    distribution,
    number,
    read_calibration,
    words,
    write_calibration,
)
from recsim_env.simulators.calibration.user_gaps import fit_user_gaps
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.calibrated import refuse_untrusted
from recsim_env.simulators.worlds.listening import COLDEST, REMEMBERED, ListeningWorld, longest_mean_gap
from recsim_env.simulators.worlds.world import take_rows

LARGEST_VISIT = 200  # events; the rare larger ones count as this
LARGEST_DECAY = 0.999  # the world needs it below 1
WORLD = "RepeatListen-v0"
SCHEMA = 4
PARAMETERS = {  # the least and the most that each can be
    "repeat": (0.0, 1.0),
    "repeat_growth": (-10.0, 10.0),
    "repeat_reference": (1.0, LARGEST),
    "temperature": (COLDEST, LARGEST),
    "decay": (0.0, LARGEST_DECAY),
    "popularity_exponent": (-10.0, 10.0),
    "mean_gap": (ABOVE_0, LARGEST),
    "gap_shape": (ABOVE_0, np.inf),
}
ARRAYS = ("popularity", "session_sizes", "pace", "item_ids")


@dataclass(frozen=True)
class ListeningCalibration:
    """The parameters of a `ListeningWorld`, fitted to a log."""

    repeat: float  # rho, of a user who knows repeat_reference items
    repeat_growth: float  # g
    repeat_reference: float  # L_0
    temperature: float  # T
    decay: float  # d
    popularity_exponent: float  # c
    mean_gap: float  # seconds, of all gaps
    gap_shape: float  # of the Gamma law, infinite if all gaps are equal
    popularity: Floats  # (N,) of discoveries, sums to 1
    pace: Floats  # (U,) the mean gap of each user of the log, in mean_gaps; who had most events comes first
    session_sizes: Floats  # (M,) probability of visits of 1 to M events
    std_errors: dict[str, float]  # of what `fit_actr` fits
    item_ids: Ints  # (N,) of the items in the log
    problems: tuple[str, ...]  # why the fit should not be trusted; empty if nothing speaks against it
    notes: tuple[str, ...]  # what the log does not tell
    about: dict[str, Any]  # size and source of the log

    def world(
        self, *, num_users: int = 200, remembered: int | None = None, force: bool = False, **changes: Any
    ) -> ListeningWorld:
        """The world of this calibration.

        Args:
            num_users: how many; they have the paces of users of the log, spread evenly from those with the
                most events to those with the fewest. Nobody is slower than times of 2^31 seconds allow.
            remembered: plays; None for 500, or as many as there are songs less those on a slate.
            force: build it although there are problems.
            changes: fields of `ListeningWorld` that the log does not tell, such as `slate_size`.

        Raises:
            InputError: there are problems, and `force` is False; a field out of range.
        """
        refuse_untrusted(self.problems, force=force)
        N = len(self.popularity)
        if remembered is None:
            remembered = min(REMEMBERED, N - changes.get("slate_size", 1))
        catalogue = Catalogue(
            features=np.ones((N, 1), np.float32),
            category=np.zeros(N, np.int64),
            popularity=self.popularity,
            quality=np.zeros(N),
            price=np.ones(N),
            group=np.zeros(N, np.int64),
        )
        fitted: dict[str, Any] = {name: getattr(self, name) for name in PARAMETERS}
        fitted |= {
            "session_sizes": self.session_sizes,
            "session_length": len(self.session_sizes),
            "shortest_gap": 0.0,
            "remembered": remembered,
        }
        world = ListeningWorld(catalogue, np.ones((num_users, 1)), **{**fitted, **changes})
        songs = world.remembered + world.horizon
        most = longest_mean_gap(self.session_sizes, songs, world.song_seconds, self.gap_shape)
        pace = self.pace[np.arange(num_users) * len(self.pace) // num_users]
        return replace(world, pace=np.minimum(pace, 0.999 * most / self.mean_gap))

    def save(self, directory: Path) -> None:
        """Write the two files; the directory is made if it is missing."""
        document = {
            **{name: getattr(self, name) for name in PARAMETERS},
            "std_errors": self.std_errors,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "about": self.about,
        }
        arrays = {name: getattr(self, name) for name in ARRAYS}
        write_calibration(directory, WORLD, SCHEMA, document, arrays)

    @classmethod
    def load(cls, directory: str | Path) -> "ListeningCalibration":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, broken, of another world or of a newer version.
        """

        def build(document: dict[str, Any], arrays: dict[str, Array]) -> "ListeningCalibration":
            fields: dict[str, Any] = {name: number(document, name, *PARAMETERS[name]) for name in PARAMETERS}
            popularity = distribution(arrays, "popularity")
            about = document["about"]
            return cls(
                **fields,
                popularity=popularity,
                pace=array(arrays, "pace", (int(number(about, "users", 1, whole=True)),), ABOVE_0),
                session_sizes=distribution(arrays, "session_sizes"),
                std_errors=document["std_errors"],
                item_ids=array(arrays, "item_ids", popularity.shape, 0, whole=True),
                problems=words(document, "problems"),
                notes=words(document, "notes"),
                about=about,
            )

        return read_calibration(directory, WORLD, SCHEMA, build)


def fit_listening(log: Log, *, seconds: float = 1.0, name: str = "") -> ListeningCalibration:
    """Fit the world of repeated listening to what users consumed; the rules are at the top of this file.

    Args:
        log: interactions; the clicked slots are the events, and events at one time are a visit.
        seconds: of a unit of the log's clock, such as 86400 for days.
        name: of the log, for the record.

    Raises:
        InputError: nothing to fit: see `fit_actr`; nobody has three visits; seconds is not above 0.
    """
    if not (np.isfinite(seconds) and seconds > 0.0):
        raise InputError(f"seconds must be above 0, got {seconds}")
    fit = fit_actr(log)
    rows, _ = np.nonzero(log.clicked)
    user, time = log.user[rows], log.time[rows] * seconds
    new_visit = np.append(True, (np.diff(user) != 0) | (np.diff(time) > 0))
    sizes = np.bincount(np.cumsum(new_visit) - 1)
    problems = [f"{name} lies on the bound of its search" for name in fit.on_bound]
    if not fit.converged:
        problems.append("the search for memory and discoveries did not converge")
    if fit.memory.decay >= 1.0:
        problems.append(f"decay {fit.memory.decay:.3g} is not below 1, as the world needs it")
    if fit.memory.temperature < COLDEST:
        problems.append(
            f"temperature {fit.memory.temperature:.3g} is below {COLDEST}, the least of the world"
        )
    # not censored at the end: who never comes back has no long gap
    gaps = fit_user_gaps(log.rows(np.unique(rows)))
    mean_gap = float(np.average(gaps.mean, weights=gaps.num_gaps))
    notes = []
    if np.all(gaps.mean == 1.0) and np.isinf(gaps.common_shape):
        notes.append(
            f"every gap between visits is 1: the log's time counts visits and is no clock, so a mean gap of "
            f"{seconds:g} seconds is what was asked for, not what users do"
        )
    users, num_events = np.unique(user, return_counts=True)
    pace = np.full(len(users), np.median(gaps.mean) / mean_gap)  # for those with one visit
    pace[np.searchsorted(users, gaps.user)] = gaps.mean / mean_gap
    events = np.bincount(np.minimum(sizes, LARGEST_VISIT))[1:]
    return ListeningCalibration(
        repeat=fit.memory.repeat,
        repeat_growth=fit.memory.repeat_growth,
        repeat_reference=fit.memory.repeat_reference,
        temperature=max(fit.memory.temperature, COLDEST),
        decay=min(fit.memory.decay, LARGEST_DECAY),
        popularity_exponent=fit.popularity_exponent,
        mean_gap=mean_gap * seconds,
        gap_shape=gaps.common_shape,
        popularity=fit.discovery.weight,
        session_sizes=events / events.sum(),
        pace=pace[np.argsort(-num_events, kind="stable")],
        std_errors=fit.std_errors._asdict(),
        item_ids=fit.discovery.item_id,
        problems=tuple(problems),
        notes=tuple(notes),
        about={"log": name, "users": len(users), "events": len(user), "items": len(fit.discovery.item_id)},
    )


def simulate_like(world: ListeningWorld, log: Log, *, seconds: float = 1.0, seed: int = 0) -> Log:
    """A log of newcomers to whom nothing is recommended, each with as many events as a user of the log.

    Events of one session stand at its beginning, as the events of a visit do in a log of baskets.

    Args:
        world: one that a calibration made, or any.
        log: gives the number of users and of their events.
        seconds: of a unit of the clock of the new log.
        seed: of the first user.
    """
    rows, _ = np.nonzero(log.clicked)
    events = np.sort(np.unique(log.user[rows], return_counts=True)[1])[::-1]  # most first
    luck = Luck.from_seeds(np.arange(len(events)) + seed)
    state = world.newcomers(np.arange(len(events)) % world.num_users, luck)
    users, items, times = [], [], []
    for t in range(events[0]):
        active = int(np.searchsorted(-events, -t))  # users with more than t events
        if active < 0.9 * len(state.now):
            state = take_rows(state, np.arange(active))
        B = len(state.now)
        times.append(state.session_start[:active])
        state, _ = world.respond(state, np.full((B, world.slate_size), -1), luck.rows(np.arange(B)).at(t))
        items.append(state.recent[:active, 0])
        users.append(np.arange(active))
    return Log.from_interactions(
        np.concatenate(users), np.concatenate(items), np.concatenate(times) / seconds
    )
