"""A world of repeated listening fitted to a log of consumption: plays, purchases, posts.

What is taken from the log:

    repeat, temperature, decay     by maximum likelihood, with standard errors (`fit_actr`)
    popularity of discoveries      of item i, in proportion to the users who ever consumed it, since each of
                                   them discovered it once
    sizes of visits                their empirical law, up to `LARGEST_VISIT` events
    gaps between visits            a Gamma law of the gaps seen, by maximum likelihood (`fit_gaps`)

Users differ in their histories alone: they have one taste, one repeat propensity and one law of visits. The
fidelity report shows what that misses.

A calibration is a directory: `calibration.json` (parameters, standard errors, where they come from) and
`calibration.npz` (arrays, read without unpickling). `gym.make("RepeatListen-v0", calibration=DIR)` reads it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.actr import fit_actr
from recsim_env.simulators.calibration.sessions import fit_gaps
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.listening import ListeningWorld
from recsim_env.simulators.worlds.world import take_rows
from recsim_env.user_models.sessions import GammaGaps

LARGEST_VISIT = 200  # events; the rare larger ones count as this
SCHEMA = 1
PARAMETERS = ("repeat", "temperature", "decay", "mean_gap", "gap_shape")


@dataclass(frozen=True)
class ListeningCalibration:
    """The parameters of a `ListeningWorld`, fitted to a log."""

    repeat: float  # rho
    temperature: float  # T
    decay: float  # d
    mean_gap: float  # seconds
    gap_shape: float  # of the Gamma law, infinite if all gaps are equal
    popularity: Floats  # (N,) of discoveries, sums to 1
    session_sizes: Floats  # (M,) probability of visits of 1 to M events
    std_errors: dict[str, float]  # of repeat, temperature and decay
    item_ids: Ints  # (N,) of the items in the log
    problems: tuple[str, ...]  # why the fit should not be trusted; empty if nothing speaks against it
    about: dict[str, Any]  # size and source of the log

    def world(self, *, num_users: int = 200, force: bool = False, **changes: Any) -> ListeningWorld:
        """The world of this calibration.

        Args:
            num_users: U, all of the same law.
            force: build it although there are problems.
            changes: fields of `ListeningWorld` that the log does not tell, such as `slate_size`.

        Raises:
            InputError: there are problems, and `force` is False; a field out of range.
        """
        if self.problems and not force:
            raise InputError(
                f"this calibration is not to be trusted ({'; '.join(self.problems)}): "
                "fit a longer log, or pass force=True to use it all the same"
            )
        N = len(self.popularity)
        catalogue = Catalogue(
            features=np.ones((N, 1), np.float32),
            category=np.zeros(N, np.int64),
            popularity=self.popularity,
            quality=np.zeros(N),
            price=np.ones(N),
            group=np.zeros(N, np.int64),
        )
        fitted: dict[str, Any] = {name: getattr(self, name) for name in PARAMETERS}
        sizes = {
            "session_sizes": self.session_sizes,
            "session_length": len(self.session_sizes),
            "shortest_gap": 0.0,
        }
        return ListeningWorld(catalogue, np.ones((num_users, 1)), **{**fitted, **sizes, **changes})

    def save(self, directory: Path) -> None:
        """Write the two files; the directory is made if it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        document = {
            "schema": SCHEMA,
            "world": "RepeatListen-v0",
            **{name: getattr(self, name) for name in PARAMETERS},
            "std_errors": self.std_errors,
            "problems": list(self.problems),
            "about": self.about,
        }
        with (directory / "calibration.npz.part").open("wb") as file:
            np.savez(
                file, popularity=self.popularity, session_sizes=self.session_sizes, item_ids=self.item_ids
            )
        (directory / "calibration.json.part").write_text(json.dumps(document, indent=2) + "\n")
        for name in ("calibration.npz", "calibration.json"):
            (directory / f"{name}.part").replace(directory / name)

    @classmethod
    def load(cls, directory: str | Path) -> "ListeningCalibration":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, broken, of another world or of a newer version.
        """
        directory = Path(directory)
        path = directory / "calibration.json"
        again = "make it with: recsim-env calibrate LOG --world RepeatListen-v0 --out DIR"
        if not path.is_file():
            raise InputError(
                f"calibration must be a directory with calibration.json, got {directory}: {again}"
            )
        try:
            document = json.loads(path.read_text())
            if document["schema"] != SCHEMA or document["world"] != "RepeatListen-v0":
                raise InputError(
                    f"{path} is of world {document['world']!r} and schema {document['schema']!r}, needed are "
                    f"'RepeatListen-v0' and {SCHEMA}: {again}"
                )
            with np.load(directory / "calibration.npz", allow_pickle=False) as arrays:
                popularity, sizes = arrays["popularity"], arrays["session_sizes"]
                item_ids = arrays["item_ids"]
            return cls(
                **{name: float(document[name]) for name in PARAMETERS},
                popularity=np.asarray(popularity, np.float64),
                session_sizes=np.asarray(sizes, np.float64),
                std_errors=document["std_errors"],
                item_ids=item_ids,
                problems=tuple(document["problems"]),
                about=document["about"],
            )
        except InputError:
            raise
        except Exception as error:  # whatever a broken file makes of JSON and NumPy
            raise InputError(f"{directory} holds no readable calibration ({error}): {again}") from None


def fit_listening(log: Log, *, seconds: float = 1.0, name: str = "") -> ListeningCalibration:
    """Fit the world of repeated listening to what users consumed; the rules are at the top of this file.

    Args:
        log: interactions; the clicked slots are the events, and events at one time are a visit.
        seconds: of a unit of the log's clock, such as 86400 for days.
        name: of the log, for the record.

    Raises:
        InputError: nothing to fit: see `fit_actr`; all users have one visit; seconds is not above 0.
    """
    if not (np.isfinite(seconds) and seconds > 0.0):
        raise InputError(f"seconds must be above 0, got {seconds}")
    fit = fit_actr(log)
    rows, slots = np.nonzero(log.clicked)
    user, time, item = log.user[rows], log.time[rows] * seconds, log.slate[rows, slots]
    item_ids, item = np.unique(item, return_inverse=True)
    pairs = np.unique(np.stack([user, item]), axis=1)
    discoverers = np.bincount(pairs[1], minlength=len(item_ids)).astype(np.float64)
    new_visit = np.append(True, (np.diff(user) != 0) | (np.diff(time) > 0))
    sizes = np.bincount(np.cumsum(new_visit) - 1)
    starts, who = time[new_visit], user[new_visit]
    between = np.diff(starts)[np.diff(who) == 0]
    problems = [f"{name} lies on the bound of its search" for name in fit.on_bound]
    if not fit.converged:
        problems.append("the search for decay and temperature did not converge")
    if fit.memory.decay >= 1.0:
        problems.append(f"decay {fit.memory.decay:.3g} is not below 1, as the world needs it")
    if len(between) and np.ptp(between) == 0.0:  # the clock counts visits
        gaps = GammaGaps(float(between[0]), np.inf)
    else:
        found = fit_gaps(log)  # not censored at the end: who never comes back has no long gap
        gaps = GammaGaps(found.gaps.mean * seconds, found.gaps.shape)
        if not found.converged:
            problems.append("the search for the law of gaps did not converge")
        if found.on_bound:
            problems.append("the shape of the gaps lies on the bound of its search")
    events = np.bincount(np.minimum(sizes, LARGEST_VISIT))[1:]
    errors = fit.std_errors
    return ListeningCalibration(
        repeat=fit.memory.repeat,
        temperature=fit.memory.temperature,
        decay=min(fit.memory.decay, 0.999),
        mean_gap=gaps.mean,
        gap_shape=gaps.shape,
        popularity=discoverers / discoverers.sum(),
        session_sizes=events / events.sum(),
        std_errors={"repeat": errors.repeat, "temperature": errors.temperature, "decay": errors.decay},
        item_ids=item_ids,
        problems=tuple(problems),
        about={"log": name, "users": len(np.unique(user)), "events": len(user), "items": len(item_ids)},
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
