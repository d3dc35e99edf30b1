"""Ways in which a data set gives its answers away, each held against what chance alone would show.

A check says how often something gives the target away (`value`), how often it would by chance (`chance`),
and whether the difference is an alarm. The limits are ours: a check that clean logs of every kind pass and
that a leak worth cheating with does not. A leak of a fraction of a percent of the targets can pass, and so
can kinds of leaks that are not looked for: no alarm is no proof. Letters: R events, B users who are asked
for their last event, N items.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.likeness import cosine_of_pairs, unit_rows
from recsim_env.evaluation.questions import Questions, ask_last

COPIED_EVENTS = 0.001  # share of the targets that stand in the log a second time, same user, item and time
COPIED_USERS = 0.01  # share of the users whose whole sequence another user has too,
SHORTEST_COPY = 5  # of this length at least: shorter ones coincide
MORE_REPEATS = 0.3  # by how much more targets than last events may repeat the history
NEAR_IDS = 5  # ids of last item and target that differ by this at most are near
MORE_AHEAD = 0.01  # by how much targets may be near ahead of the last item more, or less, than behind it
SORTED_IDS = 0.8  # rank correlation of id and popularity
NEW_ITEMS = 0.4  # how far from a half the mean place of new items among all ids may be,
ENOUGH_NEW = 20  # if there are so many of them
TIE_ORDER = 0.05  # how far from a half the mean place of the last event of a tie may be
COLUMN = 0.3  # rank correlation of a column with being a target more often than training tells
COLUMN_NAMES = 0.05  # by how much more targets than chance a column of the last item may name
FEATURES = 1.5  # how much more alike last item and target may be than the two items before them
SURE = 6.0  # standard errors

RENUMBER = "number the items anew at random, or let nothing read ids as numbers or break ties by them"
SHUFFLE = "shuffle the rows of one time (splits.shuffle_ties), or hold out all of them"


@dataclass(frozen=True)
class Leak:
    """One check."""

    name: str
    alarm: bool
    value: float  # nan where the check does not apply
    chance: float  # what `value` would be without a leak
    says: str  # one sentence with the numbers
    remedy: str = ""  # what to do about an alarm


def find_leaks(
    user: Array,
    item: Array,
    time: Array,
    num_items: int,
    *,
    features: Mapping[str, Array | sparse.csr_array] | None = None,
    columns: Mapping[str, Array] | None = None,
    item_ids: Array | None = None,
    seed: int = 0,
) -> tuple[Leak, ...]:
    """All checks of a log that is sorted by user, then time.

    Args:
        user: (R,).
        item: (R,) 0 to N - 1.
        time: (R,).
        num_items: N.
        features: (N, D) each, by name.
        columns: (N,) numbers each, by name; where they are whole, they are also read as item ids.
        item_ids: (N,) what the columns call the items; None = 0 to N - 1.
        seed: of the shuffles that stand for chance.

    Raises:
        InputError: nobody with two events, or features or columns that are not one finite row per item.
    """
    asked = ask_last(user)
    rng = np.random.default_rng(seed)
    last, target = item[asked.last], item[asked.target]
    trained = np.bincount(item[asked.train], minlength=num_items)
    found = [
        copied_events(user, item, time, asked),
        copied_users(user, item),
        repeats(user, item, asked),
        ids_ahead(last, target),
        ids_by_popularity(np.bincount(item, minlength=num_items)),
        ids_of_new_items(target, trained),
        *order_in_ties(user, item, time, num_items),
    ]
    called = np.arange(num_items) if item_ids is None else np.asarray(item_ids)
    for name, column in (columns or {}).items():
        found += column_tells(name, _numbers(name, column, num_items), called, last, target, trained, rng)
    for name, table in (features or {}).items():
        found.append(features_tell(name, unit_rows(table, num_items), item, asked))
    return tuple(found)


def copied_events(user: Array, item: Array, time: Array, asked: Questions) -> Leak:
    """Held-out events that the rest of the log holds too: same user, item and time."""
    order = np.lexsort((time, item, user))
    same = np.append(False, (np.diff(user[order]) == 0) & (np.diff(item[order]) == 0))
    same[1:] &= np.diff(time[order]) == 0
    twice = np.zeros(len(user), np.bool_)
    twice[order] = same | np.append(same[1:], False)
    share = float(twice[asked.target].mean())
    says = f"{share:.2%} of the held-out events stand in the log a second time (same user, item and time)"
    return Leak(
        "copied events", share > COPIED_EVENTS, share, 0.0, says, "drop the copies, or hold out all of them"
    )


def copied_users(user: Array, item: Array) -> Leak:
    """Users whose whole sequence is that of another user, so that the target of one trains the other.

    Where an item has hardly more than one successor, short sequences coincide by themselves.
    """
    _, start, size = np.unique(user, return_index=True, return_counts=True)
    long = np.flatnonzero(size >= SHORTEST_COPY)
    items = np.asarray(item, np.int64)
    times: dict[bytes, int] = {}
    keys = [items[start[u] : start[u] + size[u]].tobytes() for u in long]
    for key in keys:
        times[key] = times.get(key, 0) + 1
    copies = sum(times[key] > 1 for key in keys)
    share = copies / max(len(long), 1)
    says = f"{share:.2%} of the users with {SHORTEST_COPY} events or more have the sequence of another user"
    return Leak("copied users", share > COPIED_USERS, share, 0.0, says, "keep one of the copies")


def repeats(user: Array, item: Array, asked: Questions) -> Leak:
    """Targets that stand in their own history more often than the events before them do in theirs."""
    _, first = np.unique(np.stack([user, item]), axis=1, return_index=True)
    new = np.zeros(len(user), np.bool_)
    new[first] = True  # the first row of each pair: np.unique keeps the order of the rows
    known = asked.before >= 0
    targets, before = ~new[asked.target][known], ~new[asked.last][known]
    if not known.any():
        return Leak("repeated targets", False, np.nan, np.nan, "no user has three events")
    value, chance = float(targets.mean()), float(before.mean())
    error = np.sqrt(max(value * (1 - value) + chance * (1 - chance), 1e-12) / len(targets))
    alarm = value - chance > max(MORE_REPEATS, SURE * error)
    says = f"{value:.1%} of the targets stand in the history before them; of the events before, {chance:.1%}"
    remedy = "find out how targets came into the histories, and drop them there"
    return Leak("repeated targets", bool(alarm), value, chance, says, remedy)


def ids_ahead(last: Ints, target: Ints) -> Leak:
    """Ids that were given in the order of the sequences: the target's is the next one, not the one before.

    Ids near to each other may mean items alike, which is no leak; but likeness knows no direction.
    """
    gap = target - last
    ahead, behind = (
        float(((gap > 0) & (gap <= NEAR_IDS)).mean()),
        float(((gap < 0) & (gap >= -NEAR_IDS)).mean()),
    )
    error = np.sqrt(max(ahead + behind, 1 / len(gap)) / len(gap))
    says = (
        f"{ahead:.1%} of the targets have one of the {NEAR_IDS} ids after the last item's "
        f"({float((gap == 1).mean()):.1%} the very next one), {behind:.1%} one of the {NEAR_IDS} before it"
    )
    alarm = bool(abs(ahead - behind) > max(MORE_AHEAD, SURE * error))
    return Leak("ids follow sequences", alarm, ahead, behind, says, RENUMBER)


def ids_by_popularity(count: Ints) -> Leak:
    """Ids sorted by popularity: whoever breaks ties by id then ranks by a popularity that knows the test."""
    rho = _rank_correlation(np.arange(len(count)), count)
    says = f"rank correlation of id and number of events: {rho:+.2f}"
    return Leak("ids by popularity", abs(rho) > SORTED_IDS, rho, 0.0, says, RENUMBER)


def ids_of_new_items(target: Ints, trained: Ints) -> Leak:
    """Items that no training event has, and that their ids give away (numbered by date, at the end)."""
    new = np.unique(target[trained[target] == 0])
    if len(new) < ENOUGH_NEW:
        return Leak("ids of new items", False, np.nan, 0.5, f"{len(new)} targets are new items: too few")
    place = float(new.mean() / max(len(trained) - 1, 1))
    says = (
        f"the ids of the {len(new)} items first seen as a target stand at {place:.0%} of all (50 % by chance)"
    )
    return Leak("ids of new items", abs(place - 0.5) > NEW_ITEMS, place, 0.5, says, RENUMBER)


def order_in_ties(user: Array, item: Array, time: Array, num_items: int) -> tuple[Leak, Leak]:
    """Rows with one user and time, sorted by popularity or id: which of them stands last is then no luck."""
    begins = np.append(True, (np.diff(user) != 0) | (np.diff(time) != 0))
    group = np.cumsum(begins) - 1
    size = np.bincount(group)
    inside = size[group] > 1
    count = np.bincount(item, minlength=num_items)
    ends = np.append(begins[1:], True)[inside]
    found = []
    for name, key in (("popularity", count[item]), ("id", item)):
        if np.count_nonzero(inside) < ENOUGH_NEW:
            found.append(Leak(f"{name} in ties", False, np.nan, 0.5, "too few events share a time"))
            continue
        place = _place_in_group(group[inside], key[inside])[ends]
        place = place[~np.isnan(place)]
        if len(place) < ENOUGH_NEW:
            says = f"too few events share a time with one of another {name}"
            found.append(Leak(f"{name} in ties", False, np.nan, 0.5, says))
            continue
        value = float(place.mean())
        error = float(place.std() / np.sqrt(len(place)))
        alarm = abs(value - 0.5) > max(TIE_ORDER, SURE * error)
        says = (
            f"of events with one time, the row that stands last is at {value:.0%} of their order by {name} "
            "(50 % by chance)"
        )
        found.append(Leak(f"{name} in ties", bool(alarm), value, 0.5, says, SHUFFLE))
    return found[0], found[1]


def column_tells(
    name: str,
    column: Floats,
    item_ids: Array,
    last: Ints,
    target: Ints,
    trained: Ints,
    rng: np.random.Generator,
) -> list[Leak]:
    """A column of the items that knows how often they are targets, or which target comes after them."""
    expected = trained * (len(target) / max(trained.sum(), 1))
    surprise = (np.bincount(target, minlength=len(trained)) - expected) / np.sqrt(expected + 1)
    rho = _rank_correlation(column, surprise)
    alarm = abs(rho) > COLUMN and abs(rho) * np.sqrt(len(column)) > SURE
    says = f"rank correlation with being a target more often than training tells: {rho:+.2f}"
    remedy = "leave the column out of all features"
    found = [Leak(f"column {name}", bool(alarm), rho, 0.0, says, remedy)]
    if (column == np.floor(column)).all():
        value = float((column[last] == item_ids[target]).mean())
        chance = float((column[last] == item_ids[rng.permutation(target)]).mean())
        says = (
            f"{value:.1%} of the targets are the id in this column of the last item, {chance:.1%} by chance"
        )
        alarm = value - chance > COLUMN_NAMES
        found.append(Leak(f"column {name} as an id", bool(alarm), value, chance, says, remedy))
    return found


def features_tell(name: str, unit: Array | sparse.csr_array, item: Ints, asked: Questions) -> Leak:
    """Features that were made with the targets: last item and target are alike as no two before them are.

    Features that were made with all events alike, targets and those before, pass.
    """
    known = asked.before >= 0
    if np.count_nonzero(known) < ENOUGH_NEW:
        return Leak(f"features {name}", False, np.nan, np.nan, "too few users have three events")
    before, last, target = (item[rows[known]] for rows in (asked.before, asked.last, asked.target))
    test, earlier = cosine_of_pairs(unit, last, target), cosine_of_pairs(unit, before, last)
    value, chance = float(test.mean()), float(earlier.mean())
    error = float((test - earlier).std() / np.sqrt(len(test)))
    alarm = value - chance > SURE * error and value > FEATURES * chance
    says = f"mean cosine of last item and target {value:.3f}, of the two items before {chance:.3f}"
    remedy = "make the features anew, of training events alone"
    return Leak(f"features {name}", bool(alarm), value, chance, says, remedy)


def _place_in_group(group: Ints, key: Array) -> Floats:
    """(R,) place in its group by key, 0 lowest to 1 highest, ties in the middle, nan if all tie."""
    order = np.lexsort((key, group))
    ordered_group, ordered_key = group[order], key[order]
    fresh = np.append(True, (np.diff(ordered_group) != 0) | (np.diff(ordered_key) != 0))
    level = np.cumsum(fresh) - 1
    middle = (np.bincount(level, np.arange(len(order))) / np.bincount(level))[level]
    first = np.searchsorted(ordered_group, ordered_group)
    size = np.searchsorted(ordered_group, ordered_group, side="right") - first
    place = np.empty(len(order))
    place[order] = np.where(
        np.bincount(level)[level] < size, (middle - first) / np.maximum(size - 1, 1), np.nan
    )
    return place


def _rank_correlation(first: Array, second: Array) -> float:
    """Spearman's, 0 where one of them is constant."""
    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def _numbers(name: str, column: Array, num_items: int) -> Floats:
    numbers = np.asarray(column)
    if numbers.shape != (num_items,) or numbers.dtype.kind not in "biuf" or not np.isfinite(numbers).all():
        raise InputError(
            f"columns[{name!r}] must hold {num_items} finite numbers, got {numbers.dtype} "
            f"of shape {numbers.shape}"
        )
    return numbers.astype(np.float64)
