"""Bandits that many users teach at once: all that B users of a round answer goes into one posterior.

The bandits in `agents/bandits` are one learner a row and add one answer at a time. Two ways to share:

    SharedCounts    BetaTS or CascadeTS as they are. Every row draws from the same counts; after a round, what
                    each row counted is added up, and all get the sum.
    SharedLinTS     Thompson sampling of a linear model, with what is known of a user and an item together, x,
                    and with an offset b of every item: the model of LinTS, or the hybrid of Li et al. 2010

        click of u on i, looked at with probability w  =  w (x(u, i) . theta + b_i) + noise,
        theta ~ N(theta_0, v^2 / lambda I),     b_i ~ N(0, v^2 / lambda)

    Of all answers r it holds the sums A and c, and of those on item i

        A = lambda I + sum w^2 x x',   c = lambda theta_0 + sum w r x,
        B_i = sum w^2 x,   d_i = lambda + sum w^2,   s_i = sum w r,

    and eliminates the N offsets: with S = A - B' diag(1 / d) B = C C' (Cholesky),

        theta_hat = S^-1 (c - B' (s / d)),                 theta = theta_hat + v C'^-1 z,
        b_hat     = (s - B theta_hat) / d,                 b     = (s - B theta) / d + v z' / sqrt(d),

    z and z' standard normal: a draw from the posterior of all N + D unknowns, for N D^2 a round.

What a list teaches, by `examination` (w of each slot): None = cascade feedback, the slots down to the first
click count as looked at and those below not at all; else every slot counts, with its w. An item alone on a
list of one slot is the same in both, w = 1.

A learner sees numbers of users, what they took by themselves, features of items, and clicks. It shows what
is best under a draw of each user's own, and `lists` by the mean of the posterior, which is no exploration.

Source: Agrawal, Goyal, ICML 2013 (LinTS); Li, Chu, Langford, Schapire, "A contextual-bandit approach to
    personalized news article recommendation", WWW 2010 (the hybrid model, there with bounds and a
    theta of each item); Zong et al., UAI 2016 (CascadeLinTS: a linear model with cascade feedback).
Ours: users share a posterior within a round; offsets in place of a vector for each item; w.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.lin_ts import check_inflation
from recsim_env.agents.bandits.ridge_regressions import check_ridge
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class SharedBandit(Protocol):
    """One learner of all users."""

    slots: int  # of a list that it shows

    def choose(self, users: Ints, luck: "Luck") -> Ints:
        """(B, slots) items for users (B,), under one draw from the posterior each."""

    def learn(self, users: Ints, shown: Ints, clicked: Bools) -> None:
        """Of lists (B, slots) and the clicks on them."""

    def lists(self, users: Ints, k: int) -> Ints:
        """(B, k) items, best first, by the mean of the posterior."""


class SharedCounts:
    """A bandit of the suite that counts, and whose B rows share what they counted.

    Args:
        agent: `BetaTS`, or `CascadeTS` with one state; with B rows that have seen nothing.
    """

    def __init__(self, agent: BetaTS | CascadeTS) -> None:
        self.agent = agent
        if isinstance(agent, BetaTS):
            self.slots, self._tables = 1, [agent.alpha, agent.beta]
        else:
            counts = agent.counts
            self.slots, self._tables = agent.slate_size, [counts.clicks, counts.examinations, counts.rounds]

    def choose(self, users: Ints, luck: "Luck") -> Ints:
        """See `SharedBandit`; B is that of the agent."""
        return self.agent.act(self._seen(users), luck)

    def learn(self, users: Ints, shown: Ints, clicked: Bools) -> None:
        """See `SharedBandit`."""
        before = [table[0].copy() for table in self._tables]
        seen, none = self._seen(users), np.zeros(len(users), np.bool_)
        examined, reward = looked_at(clicked), clicked.sum(axis=1).astype(np.float64)
        self.agent.update(
            Transition(seen, shown, clicked & examined, examined, reward, seen, none, none),
        )
        for table, known in zip(self._tables, before, strict=True):
            table[:] = known + (table - known).sum(axis=0)

    def lists(self, users: Ints, k: int) -> Ints:
        """See `SharedBandit`; the same for all users."""
        if isinstance(self.agent, BetaTS):
            mean = self.agent.alpha[:1] / (self.agent.alpha[:1] + self.agent.beta[:1])
        else:
            counts = self.agent.counts
            mean = (1.0 + counts.clicks[0]) / (2.0 + counts.examinations[0])
        return np.tile(highest(mean, k), (len(users), 1))

    def _seen(self, users: Ints) -> dict[str, Array]:
        return {"state": np.zeros(len(users), np.int64)}


class PairFeatures(Protocol):
    """What is known of a user and an item together."""

    num_items: int
    prior: Floats  # (D,) theta_0

    def of(self, users: Ints, items: Ints) -> Floats:
        """X (R, D) of pairs."""

    def scores(self, users: Ints, theta: Floats) -> Floats:
        """X . theta (B, N) of all items, theta (B, D) of each user."""


class TasteFeatures:
    """X = (f_i, f_i * m_u, 1), with m_u the mean of f over what u took.

    Args:
        features: (N, F) f of the items.
        history: (U, H) what users took, -1 = an empty cell.
    """

    def __init__(self, features: Array, history: Ints) -> None:
        self.features = np.asarray(features, np.float64)
        taken = history >= 0
        total = (self.features[history] * taken[:, :, None]).sum(axis=1)
        self.taste = total / np.maximum(taken.sum(axis=1), 1)[:, None]
        self.num_items, F = self.features.shape
        self.prior = np.zeros(2 * F + 1)

    def of(self, users: Ints, items: Ints) -> Floats:
        """See `PairFeatures`."""
        f = self.features[items]
        return np.concatenate([f, f * self.taste[users], np.ones((len(f), 1))], axis=1)

    def scores(self, users: Ints, theta: Floats) -> Floats:
        """See `PairFeatures`."""
        F = self.features.shape[1]
        of_user = theta[:, :F] + theta[:, F : 2 * F] * self.taste[users]
        return np.asarray(of_user @ self.features.T + theta[:, -1:])


class PolicyFeatures:
    """X = (1 + log pi(i | what u took) / log N, 1): a bandit that begins with the order of a policy.

    The first is 0 of what pi gives the probability of chance, and 1 of what it is sure of; theta_0 = (1, 0).

    Args:
        log_pi: (U, N), N at least 2.
    """

    def __init__(self, log_pi: Array) -> None:
        self.num_items, self.prior = log_pi.shape[1], np.array([1.0, 0.0])
        self.known = 1.0 + np.asarray(log_pi, np.float64) / np.log(self.num_items)

    def of(self, users: Ints, items: Ints) -> Floats:
        """See `PairFeatures`."""
        return np.stack([self.known[users, items], np.ones(len(users))], axis=1)

    def scores(self, users: Ints, theta: Floats) -> Floats:
        """See `PairFeatures`."""
        return np.asarray(theta[:, :1] * self.known[users] + theta[:, 1:])


class SharedLinTS:
    """See the module.

    Args:
        features: x.
        slots: K of a list, 1 to N.
        offsets: whether every item has a b; else b = 0.
        examination: (K,) w in (0, 1], known to the learner; None = cascade feedback.
        penalty: lambda, above 0.
        inflation: v, above 0; 1/2 as in `LinTS`, for rewards from 0 to 1.

    Attributes:
        A: (D, D).
        c: (D,).
        B: (N, D).
        d: (N,).
        s: (N,).

    Raises:
        InputError: a number out of range, examination of another shape.
    """

    def __init__(
        self,
        features: PairFeatures,
        slots: int = 1,
        *,
        offsets: bool = True,
        examination: Floats | None = None,
        penalty: float = 1.0,
        inflation: float = 0.5,
    ) -> None:
        N, D = features.num_items, len(features.prior)
        check_ridge(1, N, D, penalty)
        check_inflation(inflation)
        if not 1 <= slots <= N:
            raise InputError(f"slots must be from 1 to {N} (items), got {slots}")
        if examination is not None and (
            examination.shape != (slots,) or not (examination > 0.0).all() or not (examination <= 1.0).all()
        ):
            raise InputError(
                f"examination must hold {slots} probabilities (slots) above 0, got {examination}"
            )
        self.features, self.slots, self.offsets = features, slots, offsets
        self.examination, self.inflation = examination, inflation
        self.A, self.c = penalty * np.eye(D), penalty * features.prior
        self.B, self.d, self.s = np.zeros((N, D)), np.full(N, penalty), np.zeros(N)

    def choose(self, users: Ints, luck: "Luck") -> Ints:
        """See `SharedBandit`."""
        theta_hat, C = self._posterior()
        z = luck.normal("shared_lin_ts", theta_hat.shape)
        theta = theta_hat + self.inflation * np.linalg.solve(C.T, z.T).T
        scores = self.features.scores(users, theta)
        if self.offsets:
            noise = luck.normal("shared_lin_ts/offsets", self.d.shape) / np.sqrt(self.d)
            scores += (self.s - theta @ self.B.T) / self.d + self.inflation * noise
        return np.asarray(highest(scores, self.slots))

    def learn(self, users: Ints, shown: Ints, clicked: Bools) -> None:
        """See `SharedBandit`."""
        w = np.ones(self.slots) if self.examination is None else self.examination
        used = looked_at(clicked) if self.examination is None else np.ones_like(clicked)
        rows, slots = np.nonzero(used)
        items, r, w = shown[rows, slots], clicked[rows, slots].astype(np.float64), w[slots]
        x = self.features.of(users[rows], items)
        weighted = x * (w**2)[:, None]
        self.A += weighted.T @ x
        self.c += (w * r) @ x
        if self.offsets:
            np.add.at(self.B, items, weighted)
            np.add.at(self.d, items, w**2)
            np.add.at(self.s, items, w * r)

    def lists(self, users: Ints, k: int) -> Ints:
        """See `SharedBandit`."""
        theta_hat, _ = self._posterior()
        scores = self.features.scores(users, np.tile(theta_hat, (len(users), 1)))
        return np.asarray(highest(scores + (self.s - self.B @ theta_hat) / self.d, k))

    def _posterior(self) -> tuple[Floats, Floats]:
        """Theta_hat (D,), C (D, D); without offsets B and s are 0 and change nothing."""
        share = self.B / self.d[:, None]
        S = self.A - self.B.T @ share
        return np.linalg.solve(S, self.c - share.T @ self.s), np.linalg.cholesky(S)


def looked_at(clicked: Bools) -> Bools:
    """(B, K) the slots down to the first click, all where there is none: cascade feedback."""
    return np.asarray(np.cumsum(clicked, axis=1) - clicked == 0)
