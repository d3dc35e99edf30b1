"""The attack turned round: the attacker acts, and the world is a recommender that is trained again and again.

In step h the attacker sends one fake user, whose items are the slate. After every r-th fake user the
recommender is trained on the honest users and all fakes so far; with e its exposure of the target (the
probability that an honest user who has not had it finds it among their first k), and c the cost of an action,

    reward = e after this step - c (items that the fake user took),
    V_h(S, e) = max over profiles p of e' - c |p| + V_{h+1}(S + p, e'),      V_M = 0

where S is the multiset of profiles so far. There is no luck in it, so where there are few multisets the plan
is exact; where there are many, nobody knows the best attack, and its values are nan.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from math import comb
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import target_exposure
from recsim_env.simulators.attackers.attack import FakeUsers, Surrogate
from recsim_env.simulators.attackers.injection import inject
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck, world_generator
from recsim_env.simulators.worlds.world import Entry, Outcome
from recsim_env.user_models.clicks import Response

MOST_ITEMS = 60  # a profile is kept as the bits of a whole number
MOST_PLANS = 20_000  # multisets of profiles up to which the plan is made
Profiles = tuple[int, ...]  # sorted


class Victim(Protocol):
    """A recommender that is trained on honest users and fakes."""

    def exposure(self, fakes: Bools) -> float:
        """Of the target, 0 to 1, once it has seen fakes (F, N): who took which items."""


@dataclass(frozen=True)
class CooccurrenceVictim:
    """Scores an item by how many users, honest or fake, had it together with each item of the history.

    score(u, j) = sum over i in the history of u of #{users with i and j}; ties are at random.
    """

    had: Bools  # (U, N) by honest users
    target: int
    k: int  # places of a list

    def exposure(self, fakes: Bools) -> float:
        """See `Victim`."""
        had, fake = self.had.astype(np.float64), fakes.astype(np.float64)  # counts, which are exact
        asked = ~self.had[:, self.target]
        score = had[asked] @ (had.T @ had + fake.T @ fake)  # diagonals count only for what they have had
        candidate = ~self.had[asked]
        mine = score[:, [self.target]]
        better = (candidate & (score > mine)).sum(axis=1)
        tied = (candidate & (score == mine)).sum(axis=1)  # itself among them
        return float(np.clip((self.k - better) / tied, 0.0, 1.0).mean())


class AttackState(NamedTuple):
    """Where B attacks are."""

    profiles: Ints  # (B, M) bits of the items that each fake user took, 0 for those to come
    exposure: Floats  # (B,) of the recommender as it was trained last
    step: Ints  # (B,) fake users sent


@dataclass(frozen=True)
class AttackWorld:
    """See the module.

    Raises:
        InputError: too many items, a number out of range, a target that is no item.
    """

    plans_ahead: ClassVar[bool] = True  # see `World`

    victim: Victim
    num_items: int  # N, 2 to 60
    target: int
    slate_size: int  # A, actions of a fake user, 1 to N
    horizon: int  # M, fake users
    every: int = 1  # r, fake users between two trainings
    cost: float = 0.0  # c of an action, 0 or more

    def __post_init__(self) -> None:
        if not 2 <= self.num_items <= MOST_ITEMS:
            raise InputError(f"num_items must be from 2 to {MOST_ITEMS}, got {self.num_items}")
        if not 0 <= self.target < self.num_items:
            raise InputError(f"target must be an item, 0 to {self.num_items - 1}, got {self.target}")
        if not 1 <= self.slate_size <= self.num_items:
            raise InputError(f"actions must be from 1 to num_items ({self.num_items}), got {self.slate_size}")
        for name, value in (("fakes", self.horizon), ("every", self.every)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if not 0.0 <= self.cost < np.inf:
            raise InputError(f"cost must be 0 or more and finite, got {self.cost}")

    def begin(self, luck: Luck) -> AttackState:
        """No fakes yet."""
        B = len(luck)
        clean = self._exposure_of(())
        return AttackState(np.zeros((B, self.horizon), np.int64), np.full(B, clean), np.zeros(B, np.int64))

    def observe(self, state: AttackState) -> dict[str, Array]:
        """Fakes sent, and how exposed the target is: what an attacker sees who looks at lists."""
        return {"step": state.step.copy(), "exposure": state.exposure.astype(np.float32)[:, None]}

    def observation_entries(self) -> dict[str, Entry]:
        """Steps 0 to M, and a share."""
        return {"step": Entry(0, self.horizon), "exposure": Entry(0, 1, (1,), np.float32)}

    def respond(self, state: AttackState, slates: Ints, luck: Luck) -> tuple[AttackState, Outcome]:
        """Send a fake user each who takes the items of slates (B, A), -1 in empty slots."""
        after, reward = self._sent(state, slates)
        taken = first_time(slates)
        best, value = self.values(state, slates)
        left = np.zeros(len(slates), np.bool_)
        return after, Outcome(reward, left, Response(taken, taken.copy()), best, value)

    def expected_reward(self, state: AttackState, slates: Ints) -> Floats:
        """(B,) there is no luck in it."""
        return self._sent(state, slates)[1]

    def best_slate(self, state: AttackState) -> Ints:
        """(B, A) the fake user of the best plan, items by id; the target alone where nobody knows it."""
        slates = np.full((len(state.step), self.slate_size), -1)
        slates[:, 0] = self.target
        if self.exact:
            for b, key in enumerate(self._keys(state)):
                if len(key[0]) < self.horizon:
                    items = items_of(self._plan[key][1])
                    slates[b] = [*items, *[-1] * (self.slate_size - len(items))]
        return slates

    def values(self, state: AttackState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) V_h and (B,) what this fake user earns, followed by the best; nan where nobody knows."""
        B = len(slates)
        if not self.exact:
            return np.full(B, np.nan), np.full(B, np.nan)
        after, reward = self._sent(state, slates)
        best = np.array([self._plan[key][0] for key in self._keys(state)])
        follows = np.array([self._plan[key][0] for key in self._keys(after)])
        return best, np.where(state.step < self.horizon, reward + follows, 0.0)

    @property
    def exact(self) -> bool:
        """Whether there are few enough attacks to plan over all of them."""
        kinds = sum(comb(self.num_items, a) for a in range(1, self.slate_size + 1))
        return comb(kinds + self.horizon, self.horizon) <= MOST_PLANS

    def _sent(self, state: AttackState, slates: Ints) -> tuple[AttackState, Floats]:
        """The state after these fake users, and the rewards (B,)."""
        bits = np.where(first_time(slates), 1 << np.maximum(slates, 0), 0).sum(axis=1)
        going = state.step < self.horizon  # after the last one nothing is sent
        profiles, step = state.profiles.copy(), state.step + 1
        rows = np.flatnonzero(going)
        profiles[rows, state.step[rows]] = bits[rows]
        exposure = state.exposure.copy()
        for b in np.flatnonzero(going & (step % self.every == 0)):
            exposure[b] = self._exposure_of(tuple(sorted(profiles[b, : step[b]].tolist())))
        reward = exposure - self.cost * first_time(slates).sum(axis=1)
        return AttackState(profiles, exposure, step), reward

    def _keys(self, state: AttackState) -> list[tuple[Profiles, float]]:
        """Of the plan, by row."""
        sent = np.minimum(state.step, self.horizon)
        return [
            (tuple(sorted(row[:h].tolist())), float(e))
            for row, h, e in zip(state.profiles, sent, state.exposure, strict=True)
        ]

    def _exposure_of(self, profiles: Profiles) -> float:
        if self.exact:
            return self._exposures[profiles]
        return self.victim.exposure(members(profiles, self.num_items))

    @cached_property
    def _kinds(self) -> list[int]:
        """All profiles, as bits."""
        sizes, items = range(1, self.slate_size + 1), range(self.num_items)
        return sorted(sum(1 << i for i in some) for size in sizes for some in combinations(items, size))

    @cached_property
    def _exposures(self) -> dict[Profiles, float]:
        """Of every multiset of profiles that the recommender can be trained on."""
        sizes = range(0, self.horizon + 1, self.every)
        return {
            some: self.victim.exposure(members(some, self.num_items))
            for size in sizes
            for some in combinations_with_replacement(self._kinds, size)
        }

    @cached_property
    def _plan(self) -> dict[tuple[Profiles, float], tuple[float, int]]:
        """Value and best profile of every state that can be reached, by backward induction."""
        plan: dict[tuple[Profiles, float], tuple[float, int]] = {}

        def value(sent: Profiles, exposure: float) -> float:
            key = sent, exposure
            if key not in plan:
                best, choice = 0.0, 0
                if len(sent) < self.horizon:
                    best = -np.inf
                    for kind in self._kinds:
                        after = tuple(sorted((*sent, kind)))
                        trained = len(after) % self.every == 0
                        e = self._exposures[after] if trained else exposure
                        worth = e - self.cost * kind.bit_count() + value(after, e)
                        if worth > best:
                            best, choice = worth, kind
                plan[key] = best, choice
            return plan[key][0]

        value((), self._exposures[()])
        return plan


def first_time(slates: Ints) -> Bools:
    """(B, A) items that no slot above holds."""
    A = slates.shape[1]
    above = np.tril(np.ones((A, A), np.bool_), -1)
    return np.asarray((slates >= 0) & ~((slates[:, :, None] == slates[:, None, :]) & above).any(axis=2))


def items_of(bits: int) -> list[int]:
    """The items of a profile, by id."""
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


def members(profiles: Profiles, num_items: int) -> Bools:
    """(F, N) who took which items."""
    bits = np.array(profiles, np.int64).reshape(-1, 1)
    return (bits >> np.arange(num_items) & 1).astype(np.bool_)


@dataclass(frozen=True)
class RecommenderVictim:
    """Any recommender, trained on a log in which fakes follow the honest users."""

    make: Any  # seed -> an untrained `Surrogate`
    log: Log  # of honest users
    history: Ints  # (U, H) of theirs, -1 on the left
    num_items: int  # N
    target: int
    k: int  # places of a list
    seed: int = 0  # of each training

    def exposure(self, fakes: Bools) -> float:
        """See `Victim`; fakes take their items by id."""
        rows = np.full(fakes.shape, -1)
        for row, took in zip(rows, fakes, strict=True):
            row[: took.sum()] = np.flatnonzero(took)
        log = inject(self.log, FakeUsers(rows), self.seed)
        recommender: Surrogate = self.make(self.seed)
        recommender.fit(log)
        scores = recommender.scores(self.history)
        found = target_exposure(scores, self.history, np.array([self.target]), self.k)
        return found.mean()["hit_rate"]


def attack(
    num_items: int = 5,
    num_users: int = 20,
    history: int = 2,
    fakes: int = 3,
    actions: int = 2,
    every: int = 1,
    k: int = 2,
    cost: float = 0.02,
    world_seed: int = 0,
) -> AttackWorld:
    """Be the attacker: send fake users whose items make a recommender show the least popular item.

    Story:
        A recommender learns which items go together from who had what. You own an item that hardly anybody
        has, and can send a few fake users. Which items should they take beside yours, so that honest users
        are shown it, at what each action costs?

    Slate (action):
        The items that one fake user takes, in any order; an item named twice is taken once.

    Observation:
        `step`, fake users sent, and `exposure` (1,), that of the target in the recommender as it is trained.
        What was sent is not in it: nothing is drawn, so every attack can be carried out by `step` alone.

    What the user does:
        Honest users are given; they took `history` items each by a popularity that falls as 1 / rank. The
        recommender scores an item by how many users had it together with each item of a history.

    Reward:
        The share of honest users who have not had the target and find it among their first k, less cost for
        each item that the fake user took.

    Episode end:
        Truncated after the last fake user.

    Regret is measured against:
        The best attack, exactly, where there are at most 20,000 multisets of fake users; else nobody knows
        it, and values are nan.

    Parameters (default, range, source):
        num_items: N (5, 2 to 60; ours).
        num_users: U, honest (20, at least 2; ours).
        history: items of each (2, 1 to N - 1; ours).
        fakes: M, fake users, which is the budget (3, at least 1; ours).
        actions: A, items of each at most (2, 1 to N; ours).
        every: fake users between two trainings (1, at least 1; ours).
        k: places of a list (2, 1 to N; ours).
        cost: of an action (0.02, 0 or more; ours).
        world_seed: of who had what (0).

    Known simplifications:
        Honest users do not come and go, and the attacker sees the exposure that it is paid for.

    Version history:
        v0: first version.

    Source: the form is ours; attackers as learners are those of Song and others, "PoisonRec", ICDE 2020 (from
        memory).

    Raises:
        InputError: a parameter out of range.
    """
    rng = world_generator(world_seed)
    if num_users < 2:
        raise InputError(f"num_users must be at least 2, got {num_users}")
    if not 1 <= history < num_items:
        raise InputError(f"history must be from 1 to num_items - 1, {num_items - 1}, got {history}")
    if not 1 <= k <= num_items:
        raise InputError(f"k must be from 1 to num_items, {num_items}, got {k}")
    key = rng.gumbel(size=(num_users, num_items)) - np.log(1.0 + np.arange(num_items))
    had = key.argsort(axis=1).argsort(axis=1) >= num_items - history
    target = int(had.sum(axis=0).argmin())
    had[:, target] &= np.arange(num_users) > 0  # somebody has not had it
    return AttackWorld(CooccurrenceVictim(had, target, k), num_items, target, actions, fakes, every, cost)
