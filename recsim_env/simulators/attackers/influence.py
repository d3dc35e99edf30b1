"""Influence: profiles that climb the gradient of the targets' places in honest users' lists.

The surrogate is a matrix factorisation by alternating least squares, whose every half sweep is a closed form
of the profiles. Fake user m has weights w_mi of items i, relaxed from {0, 1} to [0, 1]; with c = w for fake
users and c = 1 for what honest ones took, one half sweep is

    v_r = A_r^-1 sum over i of c_ri o_i,    A_r = sum over i of c_ri o_i o_i' + alpha0 O'O + l n_r^e I,
          n_r = sum over i of c_ri + alpha0 (number of o)

for rows r of users with vectors o of items, and for rows of items with vectors of users. From vectors of
items drawn from N(0, 1/D), the surrogate's `sweeps` of both sides follow, then users are solved once more, as
when they are scored:

    J(w) = mean over `starts` of such vectors, targets t, honest u without t of sigmoid((s_ut - s_uk) / tau),
           s_ui = p_u . q_i,   k the k-th best item that u has not had,   tau = `softness` x mean |s_uk|

a smooth HR@k. Its gradient goes backwards through all half sweeps, with h_r = A_r^-1 dJ/dv_r:

    dJ/dc_ri = (h_r . o_i)(1 - o_i . v_r) - l e n_r^(e-1) h_r . v_r
    dJ/do_i  = sum over r of c_ri h_r - (c_ri + alpha0) ((o_i . v_r) h_r + (o_i . h_r) v_r)

    start      fake users are popular mimics
    step       a share of the fake users, drawn evenly, a third at first, each change the item of their
               profile with the smallest dJ/dw for the item outside with the largest; taken back if J does not
               rise, and the share is two thirds of what it was
    end        of the start and the end, what has the larger HR@k of surrogates of other seeds is sent

Knowledge: white, a surrogate with `dimension`, `sweeps`, `unobserved`, `regularisation` and `exponent`, as
`ImplicitALSRecommender` has; promotes only. Source: Li and others, "Data poisoning attacks on factorization-
based collaborative filtering", NeurIPS 2016 (gradients through alternating least squares); Tang, Wen, Wang,
"Revisiting adversarially learned injection attacks against recommender systems", RecSys 2020 (through all
steps of a training).
Ours: exchanges of whole items for projected steps of weights, since rounding the weights lost what the steps
had won; several starts, since profiles that are fitted to one win nothing from another.
"""

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from scipy import sparse

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge, Surrogate
from recsim_env.simulators.attackers.profiles import draw_profiles
from recsim_env.simulators.attackers.surrogates import exposure, honest_histories, trained


class Factorisation(Surrogate, Protocol):
    """A surrogate whose half sweeps are those of the module."""

    dimension: int  # D
    sweeps: int
    unobserved: float  # alpha0
    regularisation: float  # l
    exponent: float  # e


@dataclass(frozen=True)
class HalfSweep:
    """The closed form of the module."""

    unobserved: float  # alpha0
    regularisation: float  # l
    exponent: float  # e

    def vectors(self, c: sparse.csr_array, o: Floats) -> Floats:
        """The v (R, D) for weights (R, n) and vectors (n, D)."""
        return self.solved(c, o, c @ o)

    def solved(self, c: sparse.csr_array, o: Floats, right: Floats) -> Floats:
        """A_r^-1 right_r, (R, D)."""
        everyone, n = self.unobserved * o.T @ o, self._n(c)
        everyone_held = self.regularisation * n**self.exponent
        found, eye = np.empty(right.shape), np.eye(o.shape[1])
        for start in range(0, len(right), 1024):
            rows = np.arange(start, min(start + 1024, len(right)))
            left = everyone + everyone_held[rows, None, None] * eye
            for place, r in enumerate(rows):
                cell = slice(c.indptr[r], c.indptr[r + 1])
                some = o[c.indices[cell]]
                left[place] += (some.T * c.data[cell]) @ some
            found[rows] = np.linalg.solve(left, right[rows, :, None])[:, :, 0]
        return found

    def backwards(self, c: sparse.csr_array, o: Floats, v: Floats, to_v: Floats) -> tuple[Floats, Floats]:
        """The h (R, D), from which `to_weights` goes on, and dJ/do (n, D), for dJ/dv (R, D)."""
        h = self.solved(c, o, to_v)
        row = np.repeat(np.arange(c.shape[0]), np.diff(c.indptr))
        some = o[c.indices]
        left_over = c.data * (1.0 - (some * v[row]).sum(axis=1))
        along = c.data * (some * h[row]).sum(axis=1)
        straight = sparse.csr_array((left_over, c.indices, c.indptr), c.shape)
        through = sparse.csr_array((along, c.indices, c.indptr), c.shape)
        everyone = self.unobserved * o @ (h.T @ v + v.T @ h)
        return h, straight.T @ h - through.T @ v - everyone

    def to_weights(self, c: sparse.csr_array, o: Floats, v: Floats, h: Floats) -> Floats:
        """dJ/dc of these rows r (R,) and columns i (n,), all of them (R, n)."""
        held_back = self.regularisation * self.exponent * self._n(c) ** (self.exponent - 1.0)
        return (h @ o.T) * (1.0 - v @ o.T) - (held_back * (h * v).sum(axis=1))[:, None]

    def _n(self, c: sparse.csr_array) -> Floats:
        return np.asarray(c.sum(axis=1)) + self.unobserved * c.shape[1]


@dataclass(frozen=True)
class SmoothHits:
    """J of the module."""

    step: HalfSweep
    starts: Floats  # (S, N, D) vectors of items
    honest: sparse.csr_array  # (U, N) 1.0 where taken
    judges: Ints  # (B,) of the U honest users, whose lists count
    targets: Ints  # (T,)
    k: int
    softness: float
    sweeps: int

    def gradient(self, weight: Floats) -> tuple[float, Floats]:
        """J and dJ/dw (M, N) at w (M, N)."""
        found = [self._of_start(start, weight) for start in self.starts]
        return float(np.mean([J for J, _ in found])), np.mean([slope for _, slope in found], axis=0)

    def _of_start(self, Q: Floats, weight: Floats) -> tuple[float, Floats]:
        U, step = self.honest.shape[0], self.step
        c = sparse.csr_array(sparse.vstack([self.honest, sparse.csr_array(weight)]))
        by_item = sparse.csr_array(c.T)
        kept = []
        for _ in range(self.sweeps):
            P = step.vectors(c, Q)
            kept.append((Q, P))
            Q = step.vectors(by_item, P)
        J, to_items = self._hits(Q)
        found = np.zeros(weight.shape)
        for before, P in reversed(kept):
            h, to_users = step.backwards(by_item, P, Q, to_items)
            found += step.to_weights(by_item, P[U:], Q, h).T
            h, to_items = step.backwards(c, before, P, to_users)
            fakes = sparse.csr_array(c[U:])
            found += step.to_weights(fakes, before, P[U:], h[U:])
            Q = before
        return J, found

    def _hits(self, Q: Floats) -> tuple[float, Floats]:
        """J and dJ/dQ (N, D)."""
        mine = sparse.csr_array(self.honest[self.judges])
        P = self.step.vectors(mine, Q)
        had = mine.toarray() > 0
        scores = np.where(had, -np.inf, P @ Q.T)
        kth = np.argpartition(-scores, self.k - 1, axis=1)[:, self.k - 1]
        at_k = scores[np.arange(len(kth)), kth]
        temperature = self.softness * np.abs(at_k).mean()
        without = 1.0 - had[:, self.targets]
        share = without / (np.maximum(without.sum(axis=0), 1.0) * len(self.targets))
        far = np.where(without > 0, scores[:, self.targets] - at_k[:, None], 0.0) / temperature
        near = 1.0 / (1.0 + np.exp(-np.clip(far, -500.0, 500.0)))
        slope = share * near * (1.0 - near) / temperature
        # tau moves with the scores, too: J depends on them by far, which is a ratio
        spread = float((slope * far).sum()) * self.softness * np.sign(at_k) / len(kth)
        down = slope.sum(axis=1) + spread
        to_users = slope @ Q[self.targets] - down[:, None] * Q[kth]
        _, to_items = self.step.backwards(mine, Q, P, to_users)
        np.add.at(to_items, self.targets, slope.T @ P)
        np.add.at(to_items, kth, -down[:, None] * P)
        return float((share * near).sum()), to_items


class InfluenceAttacker:
    """See the module.

    Args:
        steps: 1 or more.
        starts: of vectors, 1 or more.
        k: places of a list.
        judges: honest users at most whose lists count, drawn evenly.
        softness: of the hit rate, above 0.

    After `profiles`: `objective_`, J at the start and after each step.

    Raises:
        InputError: a number out of range; `profiles`: a demotion, no log or surrogate, or one without the
            closed form.
    """

    objective_: list[float]

    def __init__(
        self, *, steps: int = 12, starts: int = 3, k: int = 50, judges: int = 1000, softness: float = 0.1
    ) -> None:
        whole = {"steps": steps, "starts": starts, "k": k, "judges": judges}
        check_ranges(whole, {}, {"softness": softness})
        self.steps, self.starts, self.k = steps, starts, k
        self.judges, self.softness = judges, softness

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        known.need("InfluenceAttacker", "log", "surrogate")
        if goal.demote:
            raise InputError("InfluenceAttacker promotes only: demote with LearnedAttacker")
        first = draw_profiles(goal, budget, known, seed, law=known.popularity.astype(np.float64))
        allowed = np.ones(known.num_items, np.bool_)
        if budget.items is not None:
            allowed = np.isin(np.arange(known.num_items), np.append(first, goal.targets))
        everyone = honest_histories(known, None, np.random.default_rng(0))
        rng = np.random.default_rng([seed, 4])
        judges = np.sort(rng.permutation(len(everyone))[: self.judges])
        of = self._objective(everyone, judges, goal, known, seed, rng)
        last = self._climbed(of, first, allowed, rng)
        worth = [
            sum(
                exposure(trained(self, rows, goal, known, seed + s), everyone[judges], goal, known, self.k)
                for s in range(self.starts)
            )
            for rows in (first, last)
        ]
        return last if worth[1] > worth[0] else first

    def _climbed(self, of: SmoothHits, items: Ints, allowed: Bools, rng: np.random.Generator) -> Ints:
        """Items (M, A) after the steps."""
        M, share = len(items), 1.0 / 3.0
        J, gradient = of.gradient(_flags(items, len(allowed)))
        self.objective_ = [J]
        for _ in range(self.steps):
            taken = _flags(items, len(allowed)) > 0
            into = np.where(taken | ~allowed, -np.inf, gradient).argmax(axis=1)
            held = np.take_along_axis(gradient, items, axis=1)
            out = np.where(items >= 0, held, np.inf).argmin(axis=1)
            who = rng.permutation(M)[: max(1, round(share * M))]
            who = who[gradient[who, into[who]] > held[who, out[who]]]
            tried = items.copy()
            tried[who, out[who]] = into[who]
            found, slope = of.gradient(_flags(tried, len(allowed)))
            if found > J:
                items, J, gradient = tried, found, slope
            else:
                share /= 1.5
            self.objective_.append(J)
        return items

    def _objective(
        self, everyone: Ints, judges: Ints, goal: Goal, known: Knowledge, seed: int, rng: np.random.Generator
    ) -> SmoothHits:
        """J of the surrogate's settings."""
        assert known.surrogate is not None
        surrogate = known.surrogate(seed)
        names = ("dimension", "sweeps", "unobserved", "regularisation", "exponent")
        missing = [name for name in names if not hasattr(surrogate, name)]
        if missing:
            raise InputError(
                f"InfluenceAttacker needs a surrogate with {', '.join(names)}, and "
                f"{type(surrogate).__name__} has no {missing[0]}: give it an ImplicitALSRecommender"
            )
        like = cast(Factorisation, surrogate)
        shape = self.starts, known.num_items, like.dimension
        return SmoothHits(
            step=HalfSweep(like.unobserved, like.regularisation, like.exponent),
            starts=rng.normal(0.0, like.dimension**-0.5, shape),
            honest=_taken(everyone, known.num_items),
            judges=judges,
            targets=goal.targets,
            k=min(self.k, known.num_items - everyone.shape[1]),
            softness=self.softness,
            sweeps=like.sweeps,
        )


def _taken(items: Ints, num_items: int) -> sparse.csr_array:
    """(M, N) 1.0 where an item is taken."""
    row, column = np.nonzero(items >= 0)
    found = sparse.csr_array((np.ones(len(row)), (row, items[row, column])), (len(items), num_items))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def _flags(items: Ints, num_items: int) -> Floats:
    """The same, not sparse."""
    return np.asarray(_taken(items, num_items).toarray())
