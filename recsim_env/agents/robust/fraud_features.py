"""What gives fake users away in a log: numbers of every user's sequence, which a detector reads.

With m(i) users who had item i, n(i, j) users who had i and j, and a vector v(i) of length 1 of every item:

    popularity     mean, deviation, smallest and largest log m(i) over the user's items; share of them in the
                   tail, which are the items that together have the rarest fifth of all events
    company        c(i, j) = (n(i, j) - 1) / (h + sqrt(m(i) m(j))) over the pairs of the user's different
                   items: mean, largest; log of the largest n(i, j) with c(i, j) of a half or more at h = 0 (1
                   where none is). A shrinkage h of h users makes little of company of fewer
    novelty        share of the user's steps i -> j (i other than j) that no other user made
    jumps          1 - v(i) . v(j) over the user's steps: mean, deviation, largest
    clock          mean and deviation of log(1 + time) between events, share of events at the same time

The user herself is not counted in n(i, j) - 1. Fakes who share several targets have items with much company,
whichever the targets are; with one target they have none, and a mimic of one target is not seen.

Left out is what costs an attacker nothing, and so tells a campaign from others rather than fakes from users:
how long a sequence is, how often it repeats an item, and, unless asked for, its clock, which in an experiment
tells more of the maker of the fakes than of an attacker.

Source: popularity after Burke and others, "Classification features for attack detection in
collaborative recommender systems", KDD 2006; the others are ours, in place of a language model's embedding of
what users did (Zhang and others, "LoRec", SIGIR 2024), which `further` takes where there is one.
"""

import numpy as np

from recsim_env.agents.recommender import clicked_items
from recsim_env.agents.sequential.cooccurrence import cooccurrence_features
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.likeness import cosine_of_pairs, unit_rows
from recsim_env.simulators.log import Log

FEATURES = (
    *("mean popularity", "deviation of popularity", "least popularity", "most popularity", "tail share"),
    *("mean company", "most company", "size of company", "novelty"),
    *("mean jump", "deviation of jumps", "largest jump"),
)
CLOCK_FEATURES = ("mean gap", "deviation of gaps", "same time")
TAIL = 0.2  # of all events
TOGETHER = 0.5  # company from which its size counts
PAIRED = 50  # last different items of a user that are paired with each other


def fraud_features(
    log: Log,
    num_items: int,
    *,
    shrinkage: float = 0.0,
    vectors: Array | None = None,
    further: Array | None = None,
    clock: bool = False,
) -> Floats:
    """The features above, (U, F), of the users of a log in the order of their ids.

    Args:
        log: of interactions.
        num_items: N.
        shrinkage: h, 0 or more.
        vectors: (N, D) of items, of any length; None = `cooccurrence_features` of this log.
        further: (U, E) columns of the caller, which come last.
        clock: whether the `CLOCK_FEATURES` follow the `FEATURES`.

    Raises:
        InputError: a log without clicks or with items outside the catalogue, vectors that are not (N, D),
            further columns that are not (U, E), or numbers in either that are not finite.
    """
    if not 0.0 <= shrinkage < np.inf:
        raise InputError(f"shrinkage must be 0 or more, got {shrinkage}")
    user, item, num_items = clicked_items(log, num_items)
    ids, row = np.unique(user, return_inverse=True)
    U = len(ids)
    if vectors is None:
        vectors = cooccurrence_features(user, item, num_items)
    unit = np.asarray(unit_rows(vectors, num_items))
    step = np.flatnonzero(row[1:] == row[:-1])
    pair = np.unique(np.stack([row, item]), axis=1)
    audience = np.bincount(pair[1], minlength=num_items)
    columns = [
        *_popularity(row, item, audience, U),
        *_company(row, item, audience, U, num_items, shrinkage),
        _novelty(row[step], item[step], item[step + 1], U, num_items),
        *_jumps(row[step], 1.0 - cosine_of_pairs(unit, item[step], item[step + 1]), U),
    ]
    if clock:
        time = np.repeat(log.time, np.count_nonzero(log.clicked, axis=1))
        gap = time[step + 1] - time[step]
        mean, deviation, _ = _jumps(row[step], np.log1p(gap), U)
        columns += [mean, deviation, _mean(row[step], gap == 0, U)]
    found = np.stack(columns, axis=1)
    return found if further is None else np.concatenate([found, _checked(further, U)], axis=1)


def _popularity(row: Ints, item: Ints, audience: Ints, U: int) -> list[Floats]:
    """Of every user's events."""
    events = np.bincount(item, minlength=len(audience))
    order = np.argsort(events, kind="stable")
    in_tail = np.zeros(len(audience), np.bool_)
    in_tail[order[np.cumsum(events[order]) <= TAIL * len(item)]] = True
    popularity = np.log(audience[item])
    mean, deviation, most = _jumps(row, popularity, U)
    least = np.full(U, np.inf)
    np.minimum.at(least, row, popularity)
    return [mean, deviation, least, most, _mean(row, in_tail[item], U)]


def _company(row: Ints, item: Ints, audience: Ints, U: int, num_items: int, shrinkage: float) -> list[Floats]:
    """Of every pair of a user's last different items."""
    last = len(row) - 1 - np.unique(row[::-1] * num_items + item[::-1], return_index=True)[1]
    last = np.sort(last)  # where every user's items stand for the last time
    row, item = row[last], item[last]
    of, low, high = [], [], []
    for apart in range(1, PAIRED):
        same = row[apart:] == row[:-apart] if apart < len(row) else np.zeros(0, np.bool_)
        if not same.any():
            break
        one, other = item[apart:][same], item[:-apart][same]
        of.append(row[apart:][same])
        low.append(np.minimum(one, other))
        high.append(np.maximum(one, other))
    if not of:
        return [np.zeros(U), np.zeros(U), np.zeros(U)]
    user, first, second = np.concatenate(of), np.concatenate(low), np.concatenate(high)
    _, key, count = np.unique(first * num_items + second, return_inverse=True, return_counts=True)
    together = count[key]
    expected = np.sqrt(audience[first] * audience[second])
    company = (together - 1) / (shrinkage + expected)
    most, size = np.zeros(U), np.ones(U)
    np.maximum.at(most, user, company)
    np.maximum.at(size, user, np.where(together - 1 >= TOGETHER * expected, together, 1))
    return [_mean(user, company, U), most, np.log(size)]


def _novelty(row: Ints, first: Ints, second: Ints, U: int, num_items: int) -> Floats:
    """The share of a user's steps between different items that she alone made."""
    real = first != second
    row, step = row[real], first[real] * num_items + second[real]
    one_each = np.unique(np.stack([row, step]), axis=1)
    known, users = np.unique(one_each[1], return_counts=True)
    return _mean(row, users[np.searchsorted(known, step)] == 1, U)


def _mean(row: Ints, value: Array, U: int) -> Floats:
    """Of every user; 0 where there is nothing."""
    return np.bincount(row, value, U) / np.maximum(1, np.bincount(row, minlength=U))


def _jumps(row: Ints, value: Floats, U: int) -> list[Floats]:
    """Mean, deviation and largest of every user; 0 where there is nothing."""
    mean, most = _mean(row, value, U), np.full(U, -np.inf)
    np.maximum.at(most, row, value)
    return [mean, np.sqrt(_mean(row, (value - mean[row]) ** 2, U)), np.where(np.isfinite(most), most, 0.0)]


def _checked(further: Array, U: int) -> Floats:
    """The caller's columns."""
    found = np.asarray(further, np.float64)
    if found.ndim != 2 or len(found) != U or not np.isfinite(found).all():
        raise InputError(f"further columns must be finite numbers of shape ({U}, E), got {found.shape}")
    return found
