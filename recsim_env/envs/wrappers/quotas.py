"""Exposure quotas: slates that show at least so many items of every group, whatever the agent asked for.

    for every group g:  |{k : group of A_k = g}| >= q_g

A slate that misses a quota is repaired, or refused. The repair keeps what it can: for every item that is
missing, groups in order, the best ranked item of the group that is not in the slate takes the first slot that
is empty (or repeats an item above it), else the lowest slot whose group has more than its quota. Where slates
are best planned with quotas in mind, see `best_permutation(..., groups, quotas)`.

`info["repaired"]` (B,) counts the slots that were changed, and `info["shown"]` (B, K) holds the items that
the users saw, -1 in empty slots: `History`, `RewardShaping` and `RecordLog` outside go by them. `best_value`
is of slates without quotas: its difference to `slate_value` contains the price of fairness.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Space
from numba import njit

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.wrappers.change import Change, Info, Observation, Step, entry, items_at
from recsim_env.errors import InputError, as_numbers
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World
from recsim_env.user_models.clicks.fair_permutation import check_quotas


class Quotas(Change):
    """See the module.

    Args:
        quotas: q_g, one for each group from 0.
        groups: (N,) of the items, 0 to G-1; by default `group` of the world's catalogue.
        ranking: (N,) the larger, the sooner an item fills in; by default the catalogue's popularity, or the
            lower number where there is none. Ties by the lower number.
        repair: False refuses slates that miss a quota.

    Raises:
        InputError: quotas that cannot be met: more than the slots, or than the items of a group (of a
            candidate set: when it is shown); groups or a ranking that do not fit; with repair=False a slate
            that misses a quota.
    """

    def __init__(
        self,
        quotas: Sequence[int],
        groups: Array | None = None,
        ranking: Array | None = None,
        repair: bool = True,
    ) -> None:
        self.quotas, self.groups, self.ranking, self.repair = quotas, groups, ranking, repair

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The spaces stay; the quotas are checked."""
        super().bind(world, num_envs, action_space, observation_space)
        self.K, self.M = self.slot_space()
        catalogue: Any = getattr(world, "catalogue", None)
        if self.groups is None and catalogue is None:
            raise InputError("groups must be given: this world has no catalogue that says them")
        self.N = self.M if catalogue is None else catalogue.num_items
        given = np.asarray(catalogue.group if self.groups is None else self.groups)
        self.group, self.quota = check_quotas(given, self.quotas, self.N, self.K)
        if self.ranking is None:
            ranking = np.zeros(self.N) if catalogue is None else catalogue.popularity
        else:
            ranking = as_numbers("ranking", self.ranking)
        if ranking.shape != (self.N,) or np.isnan(ranking).any():
            raise InputError(f"ranking must be numbers of shape ({self.N},), got {ranking.shape}")
        self.rank: Floats = ranking
        self.places: Ints = np.tile(np.arange(self.M), (1, 1))  # (1 or B, M) the item at each place
        self.order: Ints = np.argsort(-ranking, kind="stable")[None]  # (1 or B, M) places, best ranked first
        self.candidates: Ints | None = None
        self.changed: Ints = np.zeros(num_envs, np.int64)

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """Keeps the candidates, where there are any."""
        self.candidates = candidates = entry(observation, "candidates")
        if candidates is not None:
            self.places = np.where(candidates >= self.N, -1, candidates)
            rank = np.where(self.places < 0, -np.inf, self.rank[self.places])
            self.order = np.argsort(-rank, axis=1, kind="stable")
        return observation

    def act(self, actions: Array) -> Array:
        """Slates that meet the quotas."""
        slates = np.ascontiguousarray(self.slates(actions))
        before = slates.copy()
        group = np.where(self.places < 0, -1, self.group[self.places])
        row, short = repair_rows(slates, group, self.order, self.quota)
        if row >= 0:
            raise InputError(
                f"quotas[{short}] = {self.quota[short]} cannot be met in row {row}: too few candidates "
                f"are of group {short}"
            )
        changed = (slates != before).sum(axis=1)
        if not self.repair and changed.any():
            row = int(np.argmax(changed > 0))
            shown = group[row % len(group)][np.unique(before[row][before[row] >= 0])]
            held = np.bincount(shown[shown >= 0], minlength=len(self.quota))
            g = int(np.argmax(held < self.quota))
            raise InputError(
                f"slates[{row}] = {before[row].tolist()} shows {held[g]} items of group {g}, its quota is "
                f"{self.quota[g]}: show more, or let Quotas repair it"
            )
        self.changed = changed
        return np.where(slates < 0, self.M, slates)

    def after(self, step: Step) -> tuple[Floats, Info]:
        """How much was repaired."""
        items = items_at(self.candidates, self.slates(step.actions))
        shown = np.asarray(step.info.get("shown", items))
        return step.reward, {"repaired": self.changed.copy(), "shown": shown}


@njit(cache=True)
def repair_rows(slates: Ints, group: Ints, order: Ints, quota: Ints) -> tuple[int, int]:
    """Change slates (B, K) of places until they meet the quotas (G,); (row, group) that cannot be met, or -1.

    Args:
        slates: -1 in empty slots.
        group: (1 or B, M) of the place, -1 where there is no item.
        order: (1 or B, M) places, the best ranked first.
        quota: (G,).
    """
    B, K = slates.shape
    M, G = group.shape[1], len(quota)
    used, count = np.empty(M, np.bool_), np.empty(G, np.int64)
    free = np.empty(K, np.bool_)
    for b in range(B):
        of, ranked, slate = group[b % len(group)], order[b % len(order)], slates[b]
        used[:], count[:] = False, 0
        for k in range(K):
            free[k] = slate[k] < 0 or used[slate[k]]
            if not free[k]:
                used[slate[k]] = True
                if of[slate[k]] >= 0:
                    count[of[slate[k]]] += 1
        for g in range(G):
            next_best = 0
            while count[g] < quota[g]:
                while next_best < M and (used[ranked[next_best]] or of[ranked[next_best]] != g):
                    next_best += 1
                if next_best == M:
                    return b, g
                slot = -1
                for k in range(K - 1, -1, -1):
                    if free[k]:
                        slot = k
                if slot < 0:
                    for k in range(K):  # the lowest
                        if of[slate[k]] < 0 or count[of[slate[k]]] > quota[of[slate[k]]]:
                            slot = k
                    if of[slate[slot]] >= 0:
                        count[of[slate[slot]]] -= 1
                    used[slate[slot]] = False
                slate[slot], free[slot] = ranked[next_best], False
                used[ranked[next_best]] = True
                count[g] += 1
    return -1, -1
