"""Does a world of slates resemble the log it was fitted to? Held-out sessions, lived again.

The fitted world shows the held-out slates to the same users: the statistics of `fidelity` compare what is
clicked. To these are added

    clicks a slate, slates without a click
    clicked before unclicked    share of the pairs of a clicked and an unclicked item of one slate of which
                                the world finds the clicked one more attractive (an AUC; ties count half);
                                for the simulated log this is how well clicks can be told if the world is true
    click rate by prediction    (a curve) over the world's probability of a click
    slates a session, sessions without a click

For the last two every held-out session is begun again and goes on until the user leaves or the horizon ends
it; when the slates of the session are used up, the user's other held-out slates follow, in a circle. They
take only sessions that began so early that the log would show the longest one whole, as a cut one is short.

Both logs have the same users and slates, which makes their statistics alike beyond what z (`fidelity`) takes
into account: z is nearer to 0 than if the users were others. Three numbers (intercept, sharpness, weight of
quality) were fitted to the same slates, so the overall click rate agrees by construction. Times count
the slates of a user, so a visit is a slate with clicks, and a gap is the number of slates from one such to
the next.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.evaluation.over_users import histogram_by_user, ratio_over_users
from recsim_env.simulators.calibration.fidelity import fidelity
from recsim_env.simulators.calibration.fidelity_report import FidelityReport, Panel, Row
from recsim_env.simulators.calibration.slates import SlateFit
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.user_models.affinity import attraction_of_slates
from recsim_env.user_models.clicks.totals import show

BINS = 10  # of the curve of click rates over predictions


@dataclass(frozen=True)
class LivedAgain:
    """The held-out slates with the clicks of the log and of the world, and S sessions of each.

    Both logs have the number of the session, 0 to S-1, as `episode`; `time` counts the slates of a user.
    """

    real: Log
    simulated: Log
    slates: Ints  # (S,) slates that the user stayed for in the world
    silent: Bools  # (S,) and clicked nothing on
    early: Bools  # (S,) the real session began so early that the log would show the longest one whole


def simulate_held_out(world: SlateWorld, fit: SlateFit, *, seed: int = 0) -> LivedAgain:
    """Show the held-out sessions again; see the top of this file.

    Args:
        world: of `fit.calibration`, or another of the same users and items.
        fit: gives the sessions.
        seed: of the first session.
    """
    held = np.flatnonzero(fit.held_out)
    held = held[np.lexsort((fit.session[held], fit.log.user[held]))]  # stable
    user, slate, session = fit.log.user[held], fit.log.slate[held], fit.session[held]
    begins = np.flatnonzero(np.append(True, np.diff(session) != 0))  # (S,) first row of each session
    S = len(begins)
    number = np.repeat(np.arange(S), np.diff(np.append(begins, len(held))))
    luck = Luck.from_seeds(np.arange(S) + seed)

    def click(row: Ints, now: Luck) -> Bools:
        u = now.uniform("click", (world.clicks.draws_per_slot, world.slate_size))
        return show(world.clicks, attraction_in(world, user[row], slate[row]), u).clicked

    rows = np.arange(len(held))
    clicked = click(rows, luck.rows(number).at(rows - begins[number]))
    # the first row of the user of each session, and how many rows they have
    first, place, count = np.unique(user, return_index=True, return_inverse=True, return_counts=True)[1:]
    first, count = first[place[begins]], count[place[begins]]
    slates, silent, live = np.zeros(S, np.int64), np.ones(S, np.bool_), np.arange(S)
    for h in range(world.horizon if fit.whole_sessions else 0):
        now = luck.rows(live).at(h)
        any_click = click(first[live] + (begins[live] - first[live] + h) % count[live], now).any(axis=1)
        slates[live] += 1
        silent[live] &= ~any_click
        leave = np.where(any_click, world.leave_after_click, world.leave_without_click)
        live = live[now.uniform("leave") >= leave]
    early = np.zeros(S, np.bool_)
    if fit.sessions is not None and fit.whole_sessions:
        early = fit.sessions.early[session[begins]]
    time = (rows - np.unique(user, return_index=True)[1][place]).astype(np.float64)
    real = Log(user, time, slate, fit.log.clicked[held], episode=number)
    return LivedAgain(real, Log(user, time, slate, clicked, episode=number), slates, silent, early)


def attraction_in(world: SlateWorld, user: Ints, slate: Ints) -> Floats:
    """(R, K) a(u, i) of slates (R, K) for users of the population (R,); 0 in empty slots."""
    offset = (world.intercept + world.catalogue.quality).astype(np.float32)
    return attraction_of_slates(world.interest[user], world.catalogue.features, offset, slate)


def slate_fidelity(world: SlateWorld, fit: SlateFit, *, seed: int = 0) -> FidelityReport:
    """The report of a world of slates on the held-out sessions of its log.

    Args: as of `simulate_held_out`.

    Raises:
        InputError: the world makes no click.
    """
    again = simulate_held_out(world, fit, seed=seed)
    sides = (again.real, again.simulated)
    report = fidelity(*sides, num_items=world.num_items)
    rows = [
        _row("clicks a slate", [(log.user, log.clicked.sum(axis=1), np.ones(len(log))) for log in sides]),
        _row(
            "slates without a click",
            [(log.user, log.clicked.sum(axis=1) == 0, np.ones(len(log))) for log in sides],
        ),
        _row("clicked before unclicked", [(log.user, *_told(world, log)) for log in sides]),
    ]
    left_out = list(report.left_out)
    if again.early.any():
        length, none, who = _sessions(again.real)
        ones = np.ones(len(who))
        compared = {
            "slates a session": (length, again.slates),
            "sessions without a click": (none, again.silent),
        }
        for name, values in compared.items():
            rows.append(
                _row(name, [(who[again.early], value[again.early], ones[again.early]) for value in values])
            )
    else:
        left_out.append(
            f"slates a session: no held-out session began {world.horizon} slates before the log ends"
            if fit.whole_sessions
            else "slates a session: single slates are held out, not sessions"
        )
    return FidelityReport(
        (*report.rows[:3], *rows, *report.rows[3:]),
        (_by_prediction(world, sides), *report.panels),
        tuple(left_out),
        (
            f"held-out sessions only: {len(sides[0]):,} of {len(fit.log):,} slates; both logs have the same "
            "users and slates",
            "times count the slates of a user: a visit is a slate with clicks",
            *fit.calibration.notes,
            *report.notes,
        ),
        fit.calibration.problems,
    )


_Parts = tuple[Array, Array, Array]  # users (R,), a number of each row, and what its sum is divided by


def _row(name: str, sides: list[_Parts]) -> Row:
    """The ratio of two sums over the rows of each log."""
    numbers: list[float] = []
    for user, part, whole in sides:
        found = ratio_over_users(np.bincount(user, part), np.bincount(user, whole))
        numbers += [float(found.value), float(found.std_error)]
    return Row(name, *numbers)


def _told(world: SlateWorld, log: Log) -> tuple[Floats, Floats]:
    """(R,) pairs of a clicked and an unclicked item of a slate that the world orders so, and all pairs."""
    attraction = attraction_in(world, log.user, log.slate)
    unclicked = (log.slate >= 0) & ~log.clicked
    right, pairs = np.zeros(len(log)), np.zeros(len(log))
    for k in range(log.slate.shape[1]):
        mine = attraction[:, k, None]
        before = (mine > attraction) + 0.5 * (mine == attraction)
        right += log.clicked[:, k] * (before * unclicked).sum(axis=1)
        pairs += log.clicked[:, k] * unclicked.sum(axis=1)
    return right, pairs


def _sessions(log: Log) -> tuple[Ints, Bools, Ints]:
    """(S,) slates of every session, whether nothing was clicked, and the user."""
    number = log.require("episode")
    who = np.empty(int(number.max()) + 1, np.int64)
    who[number] = log.user
    return np.bincount(number), np.bincount(number, log.clicked.sum(axis=1)) == 0, who


def _by_prediction(world: SlateWorld, sides: tuple[Log, Log]) -> Panel:
    """Click rates over the world's probability of a click, in bins of as many slots of the real log."""
    U = world.num_users
    slots = []
    for log in sides:
        shown = log.slate >= 0
        predicted = world.clicks.click_prob(attraction_in(world, log.user, log.slate))[shown]
        slots.append((np.repeat(log.user, shown.sum(axis=1)), predicted, log.clicked[shown]))
    real = slots[0][1]
    inner = np.unique(np.quantile(real, np.linspace(0.0, 1.0, BINS + 1)[1:-1], method="higher"))
    edges = np.concatenate([[-np.inf], inner[inner > real.min()], [np.inf]])  # each bin has a slot
    rates = [
        ratio_over_users(
            histogram_by_user(user[clicked], edges, predicted[clicked], U),
            histogram_by_user(user, edges, predicted, U),
        )
        for user, predicted, clicked in slots
    ]
    place = np.searchsorted(edges, real, side="right") - 1
    middle = np.bincount(place, real, len(edges) - 1) / np.bincount(place, minlength=len(edges) - 1)
    return Panel(
        "Prediction", "probability of a click in the world", "click rate", middle, rates[0], rates[1]
    )
