"""TIFU-kNN: a user as decayed counts of items, and the users most like them; the strongest simple rival.

The h earlier sessions of a user are parted, in order, into m groups of x or x + 1 each, the longer ones last
(h groups of one if h < m). With b_j in {0, 1}^N the items of the j-th session of a group of x,

    v_g = 1/x sum_{j=1..x} r_b^(x-j) b_j          the latest session of a group counts 1
    v   = 1/m sum_{g=1..m} r_g^(m-g) v_g          the latest group counts 1
    score = alpha v + (1 - alpha) 1/k sum of v' over the k other users nearest to v, by Euclidean distance

Other users are those of training, as their training sessions left them; the user is not among them.

Source: Hu, He, Gao, Zhang, "Modeling personalized item frequency information for next-basket recommendation",
SIGIR 2020, equations 2-5. Its repository (HaojiHu/TIFUKNN) decays sessions by their distance from the last of
all, rather than of their group, and gives the latest of m' < m groups less than weight 1; we go by the paper.
"""

from typing import Self

import numpy as np
from scipy import sparse

from recsim_env.agents.sequential.session_recommender import check_sessions
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.sessions_split import TRAIN, Sessions, SessionSplit


class TIFUKNN:
    """A session recommender; see `SessionRecommender`.

    Args:
        neighbours: k, 1 or more; all other users where there are fewer.
        within_decay: r_b, 0 to 1.
        group_decay: r_g, 0 to 1.
        groups: m, 1 or more.
        alpha: 0 to 1; 1 leaves the neighbours out.

    After `fit`: `num_items_`; `user_vectors_`, sparse (U, N) v after training; `user_ids_`, (U,).

    The defaults are those of its authors for TaFeng, a log of groceries.
    """

    num_items_: int
    user_vectors_: sparse.csr_array  # (U, N)
    user_ids_: Ints  # (U,)

    def __init__(
        self,
        *,
        neighbours: int = 300,
        within_decay: float = 0.9,
        group_decay: float = 0.7,
        groups: int = 7,
        alpha: float = 0.7,
    ) -> None:
        self.neighbours, self.groups, self.alpha = neighbours, groups, alpha
        self.within_decay, self.group_decay = within_decay, group_decay

    def fit(self, split: SessionSplit) -> Self:
        """Make every user's vector.

        Raises:
            InputError: a number out of range.
        """
        whole = {"neighbours": self.neighbours, "groups": self.groups}
        shares = {"within_decay": self.within_decay, "group_decay": self.group_decay, "alpha": self.alpha}
        check_ranges(whole, shares, {})
        sessions = split.sessions
        self.num_items_, self.user_ids_ = sessions.num_items, sessions.user_ids
        count = np.bincount(sessions.user[split.rows(TRAIN)], minlength=len(sessions.user_ids))
        self.user_vectors_ = self._vectors(sessions, sessions.first[:-1], count)
        self._squares = np.asarray((self.user_vectors_**2).sum(axis=1)).ravel()
        return self

    def scores(self, sessions: Sessions, rows: Array) -> Floats:
        """See `SessionRecommender`; users who are equally near come in the order of training.

        Raises:
            InputError: as `check_sessions`.
        """
        check_sessions(self, sessions)
        rows = np.asarray(rows)
        user = sessions.user[rows]
        own = self._vectors(sessions, sessions.first[user], rows - sessions.first[user])
        # |v - v'|^2 without |v|^2, which is the same for all v'
        apart = self._squares - 2.0 * np.asarray((own @ self.user_vectors_.T).toarray())  # (B, U)
        apart[sessions.user_ids[user][:, None] == self.user_ids_] = np.inf
        nearest = np.argsort(apart, axis=1, kind="stable")[:, : self.neighbours]
        b, place = np.nonzero(np.isfinite(np.take_along_axis(apart, nearest, axis=1)))
        k = np.maximum(np.bincount(b, minlength=len(rows)), 1)
        shape = (len(rows), len(self.user_ids_))
        near = sparse.csr_array((1.0 / k[b], (b, nearest[b, place])), shape)
        scores = self.alpha * own + (1.0 - self.alpha) * (near @ self.user_vectors_)
        return np.asarray(scores.toarray())

    def _vectors(self, sessions: Sessions, begin: Ints, count: Ints) -> sparse.csr_array:
        """(B, N) v of users after the `count` (B,) sessions from `begin` (B,)."""
        b = np.repeat(np.arange(len(begin)), count)
        j = np.arange(len(b)) - (np.cumsum(count) - count)[b]  # 0 = the earliest
        m = np.minimum(count, self.groups)
        short, rest = np.divmod(
            count, np.maximum(m, 1)
        )  # m - rest groups of `short`, then `rest` of one more
        of_short = (m - rest) * short  # sessions in short groups
        late = j >= of_short[b]
        x = short[b] + late
        group = np.where(late, (m - rest)[b] + (j - of_short[b]) // x, j // x)
        inside = np.where(late, (j - of_short[b]) % x, j % x)
        weight = self.within_decay ** (x - 1 - inside) / x * self.group_decay ** (m[b] - 1 - group) / m[b]
        items = sessions.items[begin[b] + j]
        event, column = np.nonzero(items >= 0)
        shape = (len(begin), sessions.num_items)
        return sparse.csr_array((weight[event], (b[event], items[event, column])), shape)
