"""A cascading MDP fitted to a log of baskets.

How a basket log is read as a cascade: the user comes back in a state s given by the basket of the visit
before, is imagined to look down a list, and takes the first item that attracts; item a attracts with the
probability q(s,a) that the basket of such a visit holds a. After a click on a the user moves by
p(.|s,a), the next state of those visits whose basket holds a; without a click by the next state of those
that hold none of the N items.

Limits of this reading: nobody was shown a list, so q is a rate of purchase and not of response to a
recommendation; a basket often holds several of the N items, a cascade lets one be clicked; attraction is
independent between items given the state; what a purchase does to the next state is association, not
effect (a large shop follows its own rhythm, whatever was in it); the time between visits is left out.

    n(s), n(s,a), n(s,s'), n(s,a,s')   visits in state s; ... with a in the basket; ... that move to s'; both
    q_0(a)     = (n(a) + 1/2) / (n + 1)                                  the stateless model
    q(s,a)     = (n(s,a) + c q_0(a)) / (n(s) + c)                        c = prior_visits
    start(s)   = (n(s) + 1) / (n + S)
    p_0(s'|s)  = (n(s,s') + d start(s')) / (n(s) + d)                    d = prior_moves
    p(s'|s,a)  = (n(s,a,s') + d p_0(s'|s)) / (n(s,a) + d),               likewise for "no click"

A state is a cluster (k-means) of basket vectors: the mean of the PPMI-SVD vectors of the items in the
basket (`baskets.item_vectors`), scaled to length 1, beside N indicators times `shown_weight` of which of
the N items it holds. A first visit has no state and is counted only as the last one of the second.
Items in fewer than `min_visits` visits have no vector; a visit that holds no other is left out entirely,
so that the visit after it continues from the one before.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.sparse import csr_array

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.baskets import Visits, item_vectors, visits_of
from recsim_env.simulators.log import Log

KMEANS_SAMPLE = 20_000
"""Most baskets that the centres are learned from; all are assigned to them afterwards."""


@dataclass(frozen=True)
class FittedCascadeMDP:
    """Tables for a `CascadeWorld`, and what it takes to tell the state of a basket. See the module."""

    attraction: Floats  # (S, N) q
    transition: Floats  # (S, N+1, S) p; column N of the second axis is "no click"
    start: Floats  # (S,) share of visits in each state
    stateless: Floats  # (N,) q_0
    item_ids: Ints  # (N,) ids in the log, in most visits first
    visits_in_state: Ints  # (S,) n(s), which the rows of the tables rest on
    vocabulary: Ints  # (M,) ids of the items that have a vector, increasing
    vectors: Floats  # (M, D)
    centres: Floats  # (S, D+N)
    shown_weight: float

    def states_of(self, visits: Visits) -> Ints:
        """(V,) the cluster of each visit's own basket, of visits restricted to the vocabulary."""
        return nearest(basket_vectors(visits, self.vectors, self.item_ids, self.shown_weight), self.centres)

    def state_of_basket(self, basket: Ints) -> int:
        """The state of a user whose last basket held these items (ids in the log).

        Raises:
            InputError: none of them is in the vocabulary.
        """
        items = np.unique(np.asarray(basket, np.int64))
        if len(items) == 0:
            raise InputError("basket must hold an item that the fit knows, got none")
        whole = csr_array(np.ones((1, len(items))))
        visit = Visits(np.zeros(1, np.int64), items, whole).restricted_to(self.vocabulary)
        if len(visit) == 0:
            raise InputError(f"basket must hold an item that the fit knows, got {items.tolist()}")
        return int(self.states_of(visit)[0])

    def log_likelihood(self, log: Log) -> tuple[Ints, Floats, Floats]:
        """How well the state tells each visit's basket, in nats, beside the model without state.

            sum over the N items of  y log q(s,a) + (1 - y) log(1 - q(s,a)),     y = 1 if the basket holds a

        Returns:
            For every visit that has one before it: its user, the log-likelihood with q(s,a), and with
            q_0(a), each (V',).
        """
        return self.log_likelihood_of(visits_of(log))

    def log_likelihood_of(self, visits: Visits) -> tuple[Ints, Floats, Floats]:
        """`log_likelihood` of visits."""
        visits = visits.restricted_to(self.vocabulary)
        last = visits.of_last_visit(self.states_of(visits))
        known = np.flatnonzero(last >= 0)
        bought = visits.baskets[known][:, columns_of(visits.items, self.item_ids)].toarray()  # (V', N)
        with_state, without = self.attraction[last[known]], self.stateless
        return (
            visits.user[known],
            np.asarray((bought * np.log(with_state) + (1.0 - bought) * np.log1p(-with_state)).sum(axis=1)),
            np.asarray((bought * np.log(without) + (1.0 - bought) * np.log1p(-without)).sum(axis=1)),
        )


def fit_cascade_mdp(
    log: Log,
    *,
    num_items: int = 25,
    num_states: int = 20,
    dim: int = 32,
    shown_weight: float = 1.0,
    min_visits: int = 5,
    prior_visits: float = 10.0,
    prior_moves: float = 20.0,
    seed: int = 0,
) -> FittedCascadeMDP:
    """Fit a cascading MDP to a log of baskets; the formulas are at the top of this file.

    Args:
        log: what each user bought, and when; any `Log` will do, clicks are purchases.
        num_items: N, the items in most visits (ties: lower id) are the catalogue.
        num_states: S, clusters of baskets.
        dim: D, dimensions of the item vectors.
        shown_weight: weight of the N indicators beside the mean item vector, which has length 1.
        min_visits: items in fewer visits have no vector.
        prior_visits: c, how many visits' worth of q_0 a state starts from.
        prior_moves: d, how many moves' worth of p_0 an item starts from.
        seed: of the k-means; the same log, seed and library versions give the same fit.

    Raises:
        InputError: an argument out of range, a log with fewer items than N or without returning users,
            or with fewer different basket vectors than S.
    """
    return fit_visits(
        visits_of(log),
        num_items=num_items,
        num_states=num_states,
        dim=dim,
        shown_weight=shown_weight,
        min_visits=min_visits,
        prior_visits=prior_visits,
        prior_moves=prior_moves,
        seed=seed,
    )


def fit_visits(
    visits: Visits,
    *,
    num_items: int,
    num_states: int,
    dim: int,
    shown_weight: float,
    min_visits: int,
    prior_visits: float,
    prior_moves: float,
    seed: int,
) -> FittedCascadeMDP:
    """`fit_cascade_mdp` of visits."""
    for name, value, least in (("num_items", num_items, 1), ("num_states", num_states, 1), ("dim", dim, 1)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    for name, prior in (("prior_visits", prior_visits), ("prior_moves", prior_moves)):
        if not (np.isfinite(prior) and prior > 0):  # with 0, a probability could be 0 and its log infinite
            raise InputError(f"{name} must be positive, got {prior}")
    counts = np.asarray(visits.baskets.sum(axis=0)).ravel()
    if np.count_nonzero(counts) < num_items:
        raise InputError(
            f"num_items must be at most {np.count_nonzero(counts)}, the items bought, got {num_items}"
        )
    popular = np.argsort(-counts, kind="stable")[:num_items]
    item_ids = visits.items[popular]
    visits = visits.restricted_to(visits.items[counts >= min(min_visits, counts[popular[-1]])])

    vectors = item_vectors(visits.baskets, dim)
    points = basket_vectors(visits, vectors, item_ids, shown_weight)
    centres = cluster_centres(points, num_states, seed)
    state = nearest(points, centres)  # (V,) where each visit leaves the user
    last = visits.of_last_visit(state)
    moved = np.flatnonzero(last >= 0)
    if len(moved) == 0:
        raise InputError("a fit needs users with two visits or more, but in this log every user comes once")
    bought = visits.baskets[moved][:, columns_of(visits.items, item_ids)]
    return FittedCascadeMDP(
        *_tables(last[moved], state[moved], csr_array(bought), num_states, prior_visits, prior_moves),
        item_ids=item_ids,
        visits_in_state=np.bincount(last[moved], minlength=num_states),
        vocabulary=visits.items,
        vectors=vectors,
        centres=centres,
        shown_weight=shown_weight,
    )


def _tables(
    state: Ints, next_state: Ints, bought: csr_array, S: int, c: float, d: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Tables q (S, N), p (S, N+1, S), start (S,), q_0 (N,) of V' moves and baskets (V', N)."""
    V, N = bought.shape
    in_state = np.bincount(state, minlength=S)  # (S,) n(s)
    stateless = (np.asarray(bought.sum(axis=0)).ravel() + 0.5) / (V + 1.0)
    move = state * S + next_state
    moves = np.bincount(move, minlength=S * S).reshape(S, S)  # n(s,s')
    one_hot = csr_array((np.ones(V), (move, np.arange(V))), shape=(S * S, V))
    with_item = (one_hot @ bought).toarray().reshape(S, S, N).transpose(0, 2, 1)  # (S, N, S) n(s,a,s')
    nothing = move[np.diff(bought.indptr) == 0]
    without = np.bincount(nothing, minlength=S * S).reshape(S, 1, S)
    counts = np.concatenate([with_item, without], axis=1)  # (S, N+1, S)

    attraction = (with_item.sum(axis=2) + c * stateless) / (in_state[:, None] + c)
    start = (in_state + 1.0) / (V + S)
    whatever = (moves + d * start) / (in_state[:, None] + d)  # (S, S) p_0(s'|s)
    transition = (counts + d * whatever[:, None, :]) / (counts.sum(axis=2, keepdims=True) + d)
    return attraction, transition / transition.sum(axis=2, keepdims=True), start, stateless


def basket_vectors(visits: Visits, vectors: Floats, item_ids: Ints, shown_weight: float) -> Floats:
    """(V, D+N) what a basket is clustered by: its items' mean, of length 1, and which of the N it holds."""
    mean = visits.baskets @ vectors
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)  # a zero vector stays zero
    shown = visits.baskets[:, columns_of(visits.items, item_ids)].toarray()
    return np.hstack([mean, shown_weight * shown])


def cluster_centres(points: Floats, S: int, seed: int) -> Floats:
    """(S, D) k-means centres of (V, D) points, k-means++ starts, on a sample of `KMEANS_SAMPLE`.

    Raises:
        InputError: fewer than S different points.
    """
    rng = np.random.default_rng(seed)
    if len(points) > KMEANS_SAMPLE:
        points = points[rng.choice(len(points), KMEANS_SAMPLE, replace=False)]
    if len(points) < 100 * S:  # cheap, and only a small log can have too few
        distinct = len(np.unique(points.round(9), axis=0))
        if distinct < S:
            raise InputError(
                f"num_states must be at most {distinct}, the number of different basket vectors, got {S}"
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a cluster that empties keeps its centre: no harm
        centres, _ = kmeans2(points, S, iter=30, minit="++", rng=rng)
    return np.asarray(centres)


def nearest(points: Floats, centres: Floats) -> Ints:
    """(V,) the nearest centre of each point, by |x - c|^2 = |x|^2 - 2 x.c + |c|^2 with |x| left out."""
    cost = (centres**2).sum(axis=1) - 2.0 * (points @ centres.T)
    return np.asarray(np.argmin(cost, axis=1), np.int64)


def columns_of(items: Ints, wanted: Ints) -> Ints:
    """Where each wanted id stands among the increasing ids."""
    return np.asarray(np.searchsorted(items, wanted), np.int64)
