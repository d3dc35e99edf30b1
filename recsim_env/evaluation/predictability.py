"""How predictable is what people take next? Four simple rules, the same on every log.

A log whose users are all alike is best predicted by popularity; one of creatures of habit by what they had
most (P-Top) or strongest in memory; one of sequences by a table of transitions (Markov). So these figures
tell worlds apart, and say whether a simulated log is as easy or hard as the real one it stands for.

Protocol. The unit is a visit: all events of one user at one time, or with one session id; what is
predicted is the set of distinct items of a visit, from what came before it. Held out are the last tenth of
the visits of every user with two or more (rounded up; at least one, never all); everything before is
training. Learned from training, of all users: the popularity of items and the table of transitions. Updated
up to the visit that is predicted: the user's own history. All N items are candidates, none is masked.

    popularity   events of the item in training
    p_top        events of the item in the user's history
    strength     sum over the user's events of the item of (t - t_j)^-d, t = the first time of the visit: the
                 order of the base level (BLL) of ACT-R
    markov       mean over the items a of the user's previous visit of c(a, i) / sum_i c(a, i), where c counts
                 in training how often i was in the visit right after one with a; what no such item leads to
                 stands behind, by popularity

`p_top` and `strength` rank only items that the user had before; empty places are misses. Ties are broken
at random, and the figures are the exact expectations over that. With m the number of distinct items of the
visit and rank their places in the list,

    NDCG@k = sum_{rank <= k} 1/log2(rank + 1) / sum_{j <= min(k, m)} 1/log2(j + 1),
    hit@k  = 1 if any of them has rank <= k,
    NDCG@k of repetitions = the same NDCG with m counting only the items that the user had before,
                            over the visits that have one,

averaged over the held-out visits of a user, then over users; standard errors are over users.

Source: rules, sets and NDCG as in the listening experiments of "Transformers Meet ACT-R" (RecSys 2024),
which hold out the last 10 sessions instead of a tenth and draw users.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.over_users import check_times, place_of_user
from recsim_env.evaluation.predictability_kernels import predict_visits
from recsim_env.evaluation.visits import split_sessions

RULES = ("popularity", "p_top", "strength", "markov")


@dataclass(frozen=True)
class Predictability:
    """What the rules reach on a log; the keys of each are `RULES`."""

    ndcg: dict[str, Estimate]
    hit: dict[str, Estimate]
    ndcg_of_repetitions: dict[str, Estimate] | None  # None if no held-out visit has a repetition
    k: int
    num_users: int  # who are evaluated
    num_visits: int  # that are predicted


def next_item_predictability(
    user: Array,
    item: Array,
    time: Array,
    num_items: int,
    *,
    session: Array | None = None,
    held_out: float = 0.1,
    k: int = 10,
    decay: float = 0.5,
) -> Predictability:
    """NDCG@k and hit@k of the four rules on the last visits of every user.

    Work grows with sum_u (held-out visits of u) x (events of u): 3 to 4 s on one core for 1 M events of 500
    users, each a visit of its own.

    Args:
        user: (R,) ids.
        item: (R,) ids, 0 to N - 1.
        time: (R,) any increasing clock; strength depends on its ratios, not on its unit.
        num_items: N.
        session: (R,) ids of visits; one must end before the user's next begins. None = every distinct time
            of a user is a visit.
        held_out: share of each user's visits, in (0, 1).
        k: length of the list, 1 or more.
        decay: d of strength, above 0; ACT-R's is 0.5.

    Raises:
        InputError: no event, columns of different lengths, an item outside the catalogue, a time that is not
            finite, sessions of a user that overlap, a bad option, or no user with two visits.
    """
    item = np.asarray(item)
    place, time = place_of_user(user, len(item)), check_times(time, len(item))
    bad = (item < 0) | (item >= num_items)
    if bad.any():
        row = int(np.argmax(bad))
        known = f"the catalogue has {num_items} items (0-{num_items - 1})"
        raise InputError(f"item[{row}] = {item[row]} is not an item: {known}")
    for name, ok, rule, value in (
        ("held_out", 0 < held_out < 1, "between 0 and 1", held_out),
        ("k", k >= 1, "1 or more", k),
        ("decay", 0 < decay < np.inf, "positive", decay),
    ):
        if not ok:
            raise InputError(f"{name} must be {rule}, got {value!r}")
    # events by user, then time, then visit; first event of every visit, first visit of every user
    visit = split_sessions(place, time, 0.0) if session is None else np.asarray(session)
    if visit.shape != item.shape:
        raise InputError(f"session must have shape {item.shape}, as the other columns, got {visit.shape}")
    order = np.lexsort((visit, time, place))
    place, item, time, visit = place[order], item[order].astype(np.int64), time[order], visit[order]
    change = (np.diff(place) != 0) | (visit[1:] != visit[:-1])
    _check_visits(place, time, visit, change)
    start = np.flatnonzero(np.append(True, change))
    owner = place[start]
    visits = np.bincount(owner)
    end = np.cumsum(visits)
    held = np.minimum(np.ceil(held_out * visits - 1e-9).astype(np.int64), visits - 1)
    first_held = end - held
    if not held.any():
        raise InputError("predictability needs a user with two visits, but no user of this log comes back")
    training = np.arange(len(start)) < first_held[owner]
    visit_of_event = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(item))))
    popularity = np.bincount(item[training[visit_of_event]], minlength=num_items)
    table = transitions(item, visit_of_event, owner, training, num_items)
    gain = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2, k + 2))))
    score = np.full((int(held.sum()), len(RULES), 3), np.nan)
    predict_visits(
        item, time, np.append(start, len(item)), np.append(0, end), first_held, popularity,
        table.indptr.astype(np.int64), table.indices.astype(np.int64), table.data, decay, gain, score,
    )  # fmt: skip
    per_user = np.repeat(np.arange(len(held)), held)
    return Predictability(
        ndcg=_mean_over_users(score[:, :, 0], per_user),
        hit=_mean_over_users(score[:, :, 1], per_user),
        ndcg_of_repetitions=(
            None if np.isnan(score[:, 0, 2]).all() else _mean_over_users(score[:, :, 2], per_user)
        ),
        k=k,
        num_users=int(np.count_nonzero(held)),
        num_visits=len(score),
    )


def transitions(item: Ints, visit: Ints, owner: Ints, training: Bools, num_items: int) -> csr_array:
    """(N, N) P(i | a): of what was had in the visits right after those with item a, the share that is i.

    Args:
        item: (R,) ids by visit.
        visit: (R,) number of the visit of each event, 0 to V-1, increasing.
        owner: (V,) user of each visit; the visits of a user stand together, by time.
        training: (V,) whether the visit counts.
        num_items: N.
    """
    baskets = csr_array((np.ones(len(item)), (visit, item)), shape=(len(owner), num_items))
    baskets.sum_duplicates()
    baskets.data[:] = 1.0  # an item counts once however often it is in a visit
    follows = np.flatnonzero((owner[1:] == owner[:-1]) & training[1:] & training[:-1])
    counts = csr_array(baskets[follows].T @ baskets[follows + 1])
    total = np.asarray(counts.sum(axis=1)).ravel()
    counts.data /= np.repeat(total, np.diff(counts.indptr))
    return counts


def _check_visits(place: Ints, time: Floats, visit: Array, change: Bools) -> None:
    """Refuse visits of one user that overlap in time."""
    again = place[1:] == place[:-1]
    tied = change & again & (np.diff(time) <= 0)
    first = np.append(True, change)
    twice = np.unique(np.stack([place[first], visit[first]]), axis=1).shape[1] < np.count_nonzero(first)
    if tied.any() or twice:
        row = int(np.argmax(tied)) if tied.any() else 0
        found = f", such as {visit[row]} and {visit[row + 1]} at time {time[row]}" if tied.any() else ""
        raise InputError(
            f"session must number visits of a user that follow each other in time, but some overlap{found}"
        )


def _mean_over_users(score: Floats, user: Ints) -> dict[str, Estimate]:
    """Mean over each user's visits, then over users; visits without a value (nan) are left out."""
    estimates = {}
    for rule, column in zip(RULES, score.T, strict=True):
        has = ~np.isnan(column)
        count = np.bincount(user[has])
        mean = np.bincount(user[has], column[has])[count > 0] / count[count > 0]
        estimate = mean_estimate(mean)
        estimates[rule] = Estimate(float(estimate.value), float(estimate.std_error), estimate.count)
    return estimates
