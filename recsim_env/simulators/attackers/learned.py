"""Learned: a policy composes profiles of groups of items, rewarded by the targets' places in a surrogate.

    groups     0 = the targets; 1..G = all other items from popular to rare, cut so that each group has about
               the same number of honest events (one that nobody had counts as a half)
    policy     pi(g | f) = softmax(a_g + b_fg),   f the group of the action before, or "start"
    profile    A groups from the policy; fake user m takes of group 0 the targets in turn, from the m-th on,
               of another group items that are drawn evenly without putting back
    reward     R = HR@k of the targets over honest users who have not had them, of a surrogate that is trained
               with M fake users of one composition; -R to demote
    update     of `batch` compositions: (a, b) <- (a, b) + rate sum of (R - mean R) / deviation of R
               x gradient of log pi(composition)     (REINFORCE, Williams 1992)

One composition for all fake users of an episode: with one each, episodes would differ too little to learn
from. Compositions of a batch are tried with the same luck (items, clocks, surrogate), which is another one
for each batch. At the end the best of every batch and the policy's most likely composition are tried once
more, all with the same new luck, and the one with the largest R is sent.

Knowledge: white; of the surrogate nothing but its scores is used. Where ratings are not known, a demotion
leaves out group 0. Source: Song and others, "PoisonRec", ICDE 2020 (a policy over targets and a tree of items
by popularity; rewards of a recommender that is trained again). Ours: groups for the tree, a table for the
recurrent network, REINFORCE with a batch's mean for proximal policy optimisation, HR@k for the number of
lists.
"""

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.attackers.attack import Budget, Goal, Knowledge
from recsim_env.simulators.attackers.surrogates import exposure, honest_histories, trained


class LearnedAttacker:
    """See the module.

    Args:
        groups: G.
        batches: updates.
        batch: compositions of an update, 2 or more.
        rate: of the updates, above 0.
        k: places of a list.
        judges: honest users at most whose lists count, drawn evenly.

    After `profiles`: `rewards_`, R (batches, batch).

    Raises:
        InputError: a number out of range; `profiles`: no log or surrogate, or a budget without a filler.
    """

    rewards_: Floats

    def __init__(
        self,
        *,
        groups: int = 6,
        batches: int = 6,
        batch: int = 6,
        rate: float = 0.3,
        k: int = 50,
        judges: int = 1000,
    ) -> None:
        whole = {"groups": groups, "batches": batches, "batch": batch, "k": k, "judges": judges}
        check_ranges(whole, {}, {"rate": rate})
        if batch < 2:
            raise InputError(f"batch must be 2 or more, got {batch}: rewards are compared within it")
        self.groups, self.batches, self.batch, self.rate = groups, batches, batch, rate
        self.k, self.judges = k, judges

    def profiles(self, goal: Goal, budget: Budget, known: Knowledge, seed: int) -> Ints:
        """See `Attacker`."""
        known.need("LearnedAttacker", "log", "surrogate")
        rng = np.random.default_rng([seed, 8])
        members = popularity_groups(goal, budget, known, self.groups, rng)
        if len(members) < 2:
            raise InputError("a learned attack needs a filler beside the targets: raise items of the budget")
        history = honest_histories(known, self.judges, rng)
        sign = -1.0 if goal.demote else 1.0
        first = 1 if goal.demote and known.ratings is None else 0
        common, moved = np.zeros(len(members)), np.zeros((len(members) + 1, len(members)))
        common[:first] = -np.inf

        def tried(composition: Ints, turn: int) -> tuple[float, Ints]:
            rows = filled(composition, members, budget.users, np.random.default_rng([seed, 9, turn]))
            surrogate = trained(self, rows, goal, known, seed + turn)
            return sign * exposure(surrogate, history, goal, known, self.k), rows

        rewards, finalists = np.zeros((self.batches, self.batch)), []
        for turn in range(self.batches):
            drawn = [drawn_composition(common, moved, budget.actions, rng) for _ in range(self.batch)]
            rewards[turn] = [tried(composition, turn)[0] for composition in drawn]
            finalists.append(drawn[int(np.argmax(rewards[turn]))])
            common, moved = reinforced(common, moved, drawn, rewards[turn], self.rate)
        finalists.append(drawn_composition(common, moved, budget.actions, None))
        ends = [tried(composition, self.batches) for composition in finalists]
        self.rewards_ = rewards
        return ends[int(np.argmax([R for R, _ in ends]))][1]


def policy(common: Floats, moved: Floats, before: int) -> Floats:
    """Law pi (G,) behind group `before`; -1 = start."""
    logit = common + moved[before]
    weight = np.exp(logit - logit.max())
    return np.asarray(weight / weight.sum())


def policy_gradient(common: Floats, moved: Floats, composition: Ints) -> tuple[Floats, Floats]:
    """The gradient of log pi(composition) in a (G,) and b (G + 1, G), whose last row is the start."""
    to_common, to_moved = np.zeros(common.shape), np.zeros(moved.shape)
    before = -1
    for group in composition:
        step = -policy(common, moved, before)
        step[group] += 1.0
        to_common += step
        to_moved[before] += step
        before = int(group)
    return to_common, to_moved


def reinforced(
    common: Floats, moved: Floats, compositions: list[Ints], rewards: Floats, rate: float
) -> tuple[Floats, Floats]:
    """The policy (a, b) after one update from a batch of compositions and their rewards (batch,)."""
    better = (rewards - rewards.mean()) / max(float(rewards.std()), 1e-12)
    steps = [policy_gradient(common, moved, composition) for composition in compositions]
    common = common + rate * sum(b * step[0] for b, step in zip(better, steps, strict=True))
    return common, moved + rate * sum(b * step[1] for b, step in zip(better, steps, strict=True))


def drawn_composition(common: Floats, moved: Floats, actions: int, rng: np.random.Generator | None) -> Ints:
    """Groups (A,) from the policy; without a generator the most likely ones, one after the other."""
    found: list[int] = []
    for _ in range(actions):
        law = policy(common, moved, found[-1] if found else -1)
        found.append(int(np.argmax(law)) if rng is None else int(rng.choice(len(law), p=law)))
    return np.array(found)


def popularity_groups(
    goal: Goal, budget: Budget, known: Knowledge, count: int, rng: np.random.Generator
) -> list[Ints]:
    """The targets, then other items in groups of about the same number of events; none is empty."""
    others = np.setdiff1d(np.arange(known.num_items), goal.targets)
    weight = np.maximum(known.popularity[others], 0.5)
    if budget.items is not None and budget.items - len(goal.targets) < len(others):
        key = np.log(weight) + rng.gumbel(size=len(others))  # drawn by popularity, without putting back
        kept = np.sort(np.argsort(-key, kind="stable")[: budget.items - len(goal.targets)])
        others, weight = others[kept], weight[kept]
    order = np.argsort(-weight, kind="stable")
    share = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    group = np.minimum((share * count).astype(np.int64), count - 1)
    parts = [others[order[group == g]] for g in range(count)]
    return [goal.targets] + [part for part in parts if len(part)]


def filled(composition: Ints, members: list[Ints], users: int, rng: np.random.Generator) -> Ints:
    """Items (M, A) of fake users of one composition; a group that is used up begins again."""
    rows = np.empty((users, len(composition)), np.int64)
    for m in range(users):
        for group, items in enumerate(members):
            place = np.flatnonzero(composition == group)
            turn = np.roll(items, -(m % len(items))) if group == 0 else rng.permutation(items)
            rows[m, place] = np.resize(turn, len(place))
    return rows
