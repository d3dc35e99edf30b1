"""The sessions of a log of slates: where they begin and end, when users leave, which are held out of a fit.

A session is an episode of the log. One viewer has its episodes one after the other (a viewer is a `seed`, in
a generated log, else a `user`), so that an episode with another one behind it is over, and the last one of a
viewer may have been cut by the end of the log. With H the longest session, a slate tells something about
leaving if it is not the H-th of its session, where all sessions end, and not the last of a cut one:

    l_1 = slates with a click that ended a session / slates with a click that tell something,

and l_0 likewise without a click: the maximum of the likelihood of leaving after each slate with a
probability of its own kind. `SlateWorld` needs l_0 >= l_1; where the rates are the other way round, the
maximum under that rule is one rate for both. Where every session is the last of its viewer, and some are
shorter than H, nobody is seen to leave and nobody can be: that fit is not to be trusted.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log


@dataclass(frozen=True)
class SlateSessions:
    """S sessions of a log of R rows."""

    session: Ints  # (R,) number of the session, 0 to S-1
    place: Ints  # (R,) slates of the session before this one
    length: Ints  # (S,) slates
    cut: Bools  # (S,) the last of its viewer: nobody knows whether it was over
    early: Bools  # (S,) the log holds at least H slates of its viewer from its beginning on

    @property
    def horizon(self) -> int:
        """H, slates of the longest session."""
        return int(self.length.max())


@dataclass(frozen=True)
class LeaveFit:
    """The probabilities of leaving after a slate."""

    after_click: float  # l_1
    without_click: float  # l_0
    std_errors: Floats  # (2,) of l_1 and l_0, as if slates were independent; nan where nobody left
    slates: Ints  # (2,) that tell something, with a click and without
    problems: tuple[str, ...]  # empty if nothing speaks against it


def sessions_of(log: Log) -> SlateSessions | None:
    """The sessions of a log; None if it has no column `episode`."""
    if log.episode is None:
        return None
    viewer = log.user if log.seed is None else log.seed
    order = np.lexsort((log.episode, viewer))  # stable: rows of a session keep their order in the log
    begins = np.append(True, _changes(viewer[order]) | _changes(log.episode[order]))
    first = np.flatnonzero(begins)
    length = np.diff(np.append(first, len(log)))
    session, place = np.empty(len(log), np.int64), np.empty(len(log), np.int64)
    session[order] = np.repeat(np.arange(len(first)), length)
    place[order] = np.arange(len(log)) - np.repeat(first, length)
    last_of_viewer = np.append(_changes(viewer[order][first]), True)
    end_of_viewer = np.append(first, len(log))[1:][last_of_viewer]
    number = np.cumsum(last_of_viewer) - last_of_viewer  # of the viewer of each session
    early = first + length.max() <= end_of_viewer[number]
    return SlateSessions(session, place, length.astype(np.int64), last_of_viewer, early)


def fit_leaving(log: Log, sessions: SlateSessions) -> LeaveFit:
    """Rates of leaving by maximum likelihood; the rules are at the top of this file."""
    ends = sessions.place == sessions.length[sessions.session] - 1
    tells = (sessions.place < sessions.horizon - 1) & ~(ends & sessions.cut[sessions.session])
    kind = np.where(log.clicked.any(axis=1), 0, 1)
    slates = np.bincount(kind[tells], minlength=2)
    left = np.bincount(kind[tells & ends], minlength=2)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the nan that is promised
        rate = left / slates
        error = np.where(left > 0, np.sqrt(rate * (1.0 - rate) / slates), np.nan)
    problems = []
    short = int((sessions.length < sessions.horizon).sum())
    if sessions.cut.all() and short:
        problems.append(
            f"{short:,} of {len(sessions.length):,} sessions are shorter than the longest, but each is the "
            "last of its user, where the log may have been cut: it does not tell whether anybody left"
        )
    if slates.sum() == 0:
        rate[:] = 0.0
    else:
        rate = np.where(slates == 0, rate[::-1], rate)  # of the kind never seen: as the other
    if rate[0] > rate[1]:
        z = (rate[0] - rate[1]) / np.sqrt(max(np.nansum(error**2), 1e-300))
        if z > 2.0:
            problems.append(
                f"users leave more often after a click ({rate[0]:.3f}) than without one ({rate[1]:.3f}, "
                f"{z:.1f} standard errors apart), which this world cannot do"
            )
        rate = np.full(2, left.sum() / slates.sum())
        error = np.full(2, np.sqrt(rate[0] * (1.0 - rate[0]) / slates.sum()))
    return LeaveFit(float(rate[0]), float(rate[1]), error, slates.astype(np.int64), tuple(problems))


def hold_out(
    log: Log, sessions: SlateSessions | None, share: float, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Deal the sessions of every user: some are fitted to, some are held out.

    Whole sessions are held out, since clicks of one session are alike in reality. Where the log has none, or
    no user has two, single slates are. A user's only session (or slate) is never held out.

    Args:
        log: of R rows.
        sessions: of the log, if it has any.
        share: that is held out, in (0, 1).
        rng: which.

    Returns:
        (R,) number of the session, or of the slate, and (R,) whether it is held out.

    Raises:
        InputError: no user has two slates.
    """
    for unit in ([] if sessions is None else [sessions.session]) + [np.arange(len(log))]:
        owner = np.empty(int(unit.max()) + 1, np.int64)
        owner[unit] = log.user
        users, place = np.unique(owner, return_inverse=True)
        chance = rng.random(len(owner))
        highest = np.zeros(len(users))
        np.maximum.at(highest, place, chance)
        stays = chance == highest[place]
        if not stays.all():
            lowest = chance[~stays].min()
            return unit, (~stays & (chance <= max(share, lowest)))[unit]
    raise InputError(
        "every user of the log has one slate, and none can be held out of the fit of their interests: "
        "give a log of users who come back"
    )


def _changes(column: Array) -> Bools:
    return np.asarray(column[1:] != column[:-1])
