"""A limit on exposure: lists are served one after another, and no item may stand on too many of them.

    shown_i(n) <= burst + rate_i n,      shown_i(n) the lists, of the first n, on which item i was new,
    list n = the k best items by score that may be shown still; places stay empty where fewer than k may

So an item earns credit with every list, whoever gets it, and spends one on every list that it stands on; what
was not spent is kept. An item that the user has had is neither counted nor refused. With

    rate_i = factor k users who took i / sum over items j of users who took j

lists of k that are filled in proportion to what users took need factor = 1; below that not all can be filled.

Against fakes: fakes are users of the log like others, and raise the rate of what they take, but by no more
than their share. Of U users with L items each and F fakes, a target that A honest users and all fakes took is
new on at most burst / n + factor k / L (A + F) / (U + F) of n lists, whatever a recommender has learned from
them. The limit sees no fakes: it holds back whatever is shown more than it was taken, which takes from honest
users, too. A log of before the attack, or weights of a defence, bring F down. Where lists are long beside
profiles (k / L) and targets have no audience, the bound is above what an attack wins, and it does nothing.

Source: rate limits by token buckets; ours for lists, and the rates. `poisoning_game.py` has it for a matrix,
in expectation and without taking the next best.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from recsim_env.agents.recommender import (
    Recommender,
    check_history,
    check_weights,
    clicked_items,
    score_blocks,
)
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, check_ranges, refuse
from recsim_env.simulators.log import Log


class ExposureLimit:
    """A queue of users; see the module.

    Args:
        rates: (N,) credit that each item earns with a list, 0 or more, infinite = no limit.
        burst: credit of every item before the first list, 0 or more.
        k: places of a list, 1 or more.

    Attributes:
        served: n, lists so far.
        shown: (N,) of them on which an item was new.

    Raises:
        InputError: rates that are no numbers of 0 or more, a burst below 0, k below 1.
    """

    def __init__(self, rates: Array, burst: float = 10.0, k: int = 50) -> None:
        found = as_numbers("rates", rates)
        if found.ndim != 1 or not len(found):
            raise InputError(f"rates must be (N,), one number for every item, got {found.shape}")
        refuse("rates", ~(found >= 0), found, "rates are 0 or more")
        if not 0.0 <= burst < np.inf:
            raise InputError(f"burst must be 0 or more and finite, got {burst}")
        check_ranges({"k": k}, {}, {})
        self.rates, self.burst, self.k = found, float(burst), k
        self.served, self.shown = 0, np.zeros(len(found), np.int64)

    def serve(self, scores: Array, had: Array) -> Ints:
        """Lists of the next users in the queue, (B, k), best first, -1 in empty places.

        Args:
            scores: (B, N) finite, higher is better; ties go to the lowest item id.
            had: (B, H) items that each user has had, -1 = empty cell; they are not on the list.

        Raises:
            InputError: scores or items of a wrong shape, scores that are not finite.
        """
        return self.next_users(scores, had)[0]

    def next_users(self, scores: Array, had: Array) -> tuple[Ints, Floats]:
        """Their lists as of `serve`, and the scores (B, N), refused items of each below all others.

        Of what a user has not had, the k best by these scores are the list, if it is full.
        """
        had, N = np.asarray(had), len(self.rates)
        lowered = np.array(as_numbers("scores", scores))  # written to
        if lowered.ndim != 2 or lowered.shape[1] != N:
            raise InputError(f"scores must be (B, {N}), as there are {N} rates, got {lowered.shape}")
        refuse("scores", ~np.isfinite(lowered), lowered, "scores are finite")
        if had.ndim != 2 or len(had) != len(lowered) or not np.issubdtype(had.dtype, np.integer):
            found = f"{had.dtype} of {had.shape}"
            raise InputError(f"had must hold integers of shape ({len(lowered)}, H), got {found}")
        refuse("had", (had < -1) | (had >= N), had, f"there are {N} items (0-{N - 1}), -1 = empty")
        lists = np.full((len(lowered), self.k), -1, np.int64)
        serve(lowered, had.astype(np.int64), self.rates, self.burst, self.served, self.shown, lists)
        self.served += len(lowered)
        return lists, lowered


@njit(cache=True)
def serve(
    scores: Floats, had: Ints, rates: Floats, burst: float, served: int, shown: Ints, lists: Ints
) -> None:
    """Write lists, count what is on them, and lower the scores of what may not be."""
    (B, N), k = scores.shape, lists.shape[1]
    best, out = np.empty(k), np.zeros(N, np.bool_)
    for u in range(B):
        row, n = scores[u], served + u + 1
        span = 1.0 + row.max() - row.min()
        out[:] = False
        for i in had[u]:
            if i >= 0:
                out[i] = True
        length = 0
        for i in range(N):
            if out[i]:
                continue
            if shown[i] + 1 > burst + rates[i] * n:
                row[i] -= span
                continue
            if length == k and not row[i] > best[k - 1]:
                continue
            place = min(length, k - 1)
            while place > 0 and row[i] > best[place - 1]:
                best[place], lists[u, place] = best[place - 1], lists[u, place - 1]
                place -= 1
            best[place], lists[u, place] = row[i], i
            length = min(length + 1, k)
        for place in range(length):
            shown[lists[u, place]] += 1


class LimitedRecommender:
    """A recommender behind the limit, for `recommend`, `target_ranks` and `score_blocks`.

    Whoever asks for the scores of all users opens the queue anew, in the order of rows: so every measure of
    the same users, whatever number of places it looks at, up to k, sees the same lists. It has no `scores`:
    what a user is shown depends on those before.

    Args:
        recommender: fitted.
        rates: (N,) as of `ExposureLimit`, or one number for all items.
        burst: as there.
        k: as there.

    Raises:
        InputError: not fitted, or what `ExposureLimit` refuses.
    """

    def __init__(
        self, recommender: Recommender, rates: Array | float, burst: float = 10.0, k: int = 50
    ) -> None:
        check_history(recommender, np.empty((0, 1), np.int64))
        self.recommender, self.num_items_ = recommender, recommender.num_items_
        self.rates = np.full(self.num_items_, rates) if np.ndim(rates) == 0 else np.asarray(rates)
        self.burst, self.k = burst, k
        if len(self._queue().rates) != self.num_items_:
            raise InputError(
                f"rates must be ({self.num_items_},), as the recommender knows, got {self.rates.shape}"
            )

    def score_blocks(self, history: Array, gaps: Array | None = None) -> Iterator[Floats]:
        """Scores of the rows in order, in blocks (B, N), refused items of each below all others.

        Args:
            history: (U, H) items that each user has had, -1 on the left.
            gaps: (U, H) of a recommender that reads them.

        Raises:
            InputError: a user for whom fewer than k items may be shown.
        """
        queue = self._queue()
        for block in score_blocks(self.recommender, history, gaps):
            first = queue.served
            had = np.asarray(history)[first : first + len(block)]
            lists, lowered = queue.next_users(block, had)
            short = np.flatnonzero(lists[:, -1] < 0)
            if len(short):
                found = int((lists[short[0]] >= 0).sum())
                raise InputError(
                    f"only {found} items may be shown to user {first + short[0]}, who has {self.k} places: "
                    "raise the rates or the burst"
                )
            yield lowered

    def _queue(self) -> ExposureLimit:
        return ExposureLimit(self.rates, self.burst, self.k)


def fair_rates(log: Log, num_items: int, k: int, weights: Array | None = None) -> Floats:
    """The rates of the module for factor = 1, (N,); they sum to k.

    Args:
        log: of interactions.
        num_items: N.
        k: places of a list.
        weights: (U,) of the users in the order of their ids, as a `Defence` gives them; None = 1.

    Raises:
        InputError: a log without clicks or with other items, weights that `check_weights` refuses.
    """
    user, item, N = clicked_items(log, num_items)
    known, row = np.unique(user, return_inverse=True)
    weight = check_weights(np.ones(len(known)) if weights is None else weights, len(known))
    pairs = np.unique(row * N + item)  # who takes an item twice is one user
    taken = np.bincount(pairs % N, weight[pairs // N], N)
    return np.asarray(k * taken / taken.sum())
