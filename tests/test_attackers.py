"""Fake users: what each attacker's law says, budgets that hold, logs that stay honest where they were."""

import numpy as np
import pytest
from scipy.stats import chisquare

from recsim_env.errors import InputError
from recsim_env.simulators.attackers.attack import Budget, FakeUsers, Goal, fake_users, known
from recsim_env.simulators.attackers.average_fillers import AverageAttacker
from recsim_env.simulators.attackers.bandwagon import BandwagonAttacker
from recsim_env.simulators.attackers.injection import inject, is_fake
from recsim_env.simulators.attackers.popular_mimic import PopularMimicAttacker
from recsim_env.simulators.attackers.random_fillers import RandomAttacker
from recsim_env.simulators.attackers.segment import SegmentAttacker
from recsim_env.simulators.log import Log

N, U = 40, 60


def honest(ratings=True, seed=0):
    """Users who take item i with a weight that falls with i."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / (1 + np.arange(N))
    rows = [rng.choice(N, rng.integers(4, 9), replace=False, p=weight / weight.sum()) for _ in range(U)]
    user = np.repeat(np.arange(U) * 3, [len(row) for row in rows])
    item = np.concatenate(rows)
    more = {"reward": np.clip(np.round(rng.normal(3 + (item % 3 == 0), 1)), 1, 5)} if ratings else {}
    return Log.sorted(
        user=user,
        time=np.concatenate([np.sort(rng.uniform(0, 100, len(row))) for row in rows]),
        slate=item[:, None],
        clicked=np.ones((len(user), 1), bool),
        **more,
    )


LOG = honest()
GOAL = Goal(np.array([37, 21]))
ATTACKERS = {
    "random": RandomAttacker(),
    "average": AverageAttacker(),
    "bandwagon": BandwagonAttacker(),
    "segment": SegmentAttacker(),
    "popular_mimic": PopularMimicAttacker(),
    "paired_mimic": PopularMimicAttacker(paired=True),
}


def grey(log=LOG, **more):
    return known("grey", log, N, **more)


@pytest.mark.parametrize("name", ATTACKERS)
@pytest.mark.parametrize("items", [None, 7])
def test_budgets_hold_and_promoted_targets_are_taken(name, items):
    fakes = fake_users(ATTACKERS[name], GOAL, Budget(9, 8, items), grey(), seed=4)
    assert fakes.items.shape == (9, 8)
    assert len(np.setdiff1d(fakes.items, [-1])) <= (items or N)
    for target in GOAL.targets:
        assert (fakes.items == target).any(axis=1).all()
    assert fakes.ratings[np.isin(fakes.items, GOAL.targets)].tolist() == [5.0] * int(
        np.isin(fakes.items, GOAL.targets).sum()
    )
    assert np.array_equal(np.isnan(fakes.ratings), fakes.items < 0)
    if name != "paired_mimic":  # others take everything once
        for row in fakes.items:
            assert len(np.unique(row[row >= 0])) == (row >= 0).sum()


@pytest.mark.parametrize("name", ATTACKERS)
def test_a_fake_user_does_not_depend_on_how_many_there_are(name):
    few, many = (fake_users(ATTACKERS[name], GOAL, Budget(M, 8), grey(), seed=4) for M in (3, 20))
    assert np.array_equal(few.items, many.items[:3])
    other = fake_users(ATTACKERS[name], GOAL, Budget(20, 8), grey(), seed=5)
    assert not np.array_equal(other.items, many.items)


def fillers(name, seed=1, users=1500, actions=3):
    items = fake_users(ATTACKERS[name], Goal(np.array([37])), Budget(users, actions), grey(), seed=seed).items
    return items[items != 37]


def test_random_fillers_are_even():
    counts = np.bincount(fillers("random"), minlength=N)
    assert counts[37] == 0
    assert chisquare(np.delete(counts, 37)).pvalue > 1e-3


def test_a_mimic_takes_one_filler_by_popularity():
    taken = fillers("popular_mimic", actions=2)
    law = np.bincount(LOG.slate[:, 0], minlength=N).astype(float)
    law[37] = 0.0
    wanted = law / law.sum() * len(taken)
    common = wanted >= 5
    counts = np.bincount(taken, minlength=N)
    observed, expected = np.append(counts[common], counts[~common].sum()), wanted[common]
    expected = np.append(expected, wanted[~common].sum())
    assert chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_bandwagons_take_what_is_popular():
    fakes = fake_users(BandwagonAttacker(popular=2), GOAL, Budget(5, 8), grey(), seed=1)
    popular = np.argsort(-np.bincount(LOG.slate[:, 0], minlength=N), kind="stable")[:2]
    for item in popular:
        assert (fakes.items == item).any(axis=1).all()
        assert (fakes.ratings[fakes.items == item] == 5.0).all()
    rest = fakes.items[~np.isin(fakes.items, [*popular, *GOAL.targets])]
    assert len(np.unique(rest)) > 10


def test_segments_are_near_a_target():
    features = np.random.default_rng(0).normal(size=(N, 3))
    features[[4, 5]] = 2 * features[37] + 0.001
    fakes = fake_users(
        SegmentAttacker(2), Goal(np.array([37])), Budget(4, 6), grey(features=features), seed=1
    )
    assert (np.isin(fakes.items, [4, 5]).sum(axis=1) == 2).all()
    assert (fakes.ratings[np.isin(fakes.items, [4, 5, 37])] == 5.0).all()
    assert (fakes.ratings[~np.isin(fakes.items, [4, 5, 37])] == 1.0).all()
    # without features: who was had by the same users, by a loop
    fakes = fake_users(SegmentAttacker(1), Goal(np.array([3])), Budget(4, 4), grey(), seed=1)
    had = np.array(
        [[((LOG.user == u) & (LOG.slate[:, 0] == i)).any() for i in range(N)] for u in np.unique(LOG.user)]
    ).astype(int)
    cosine = [
        had[:, 3] @ had[:, i] / np.sqrt(max(1, had[:, 3].sum()) * max(1, had[:, i].sum())) for i in range(N)
    ]
    cosine[3] = -1.0
    assert (fakes.items == np.argmax(cosine)).any(axis=1).all()


def test_average_fillers_are_rated_as_their_items_are():
    fakes = fake_users(AverageAttacker(), Goal(np.array([37])), Budget(3000, 3), grey(), seed=1)
    mean = {i: LOG.reward[LOG.slate[:, 0] == i].mean() for i in (0, 1)}
    spread = {i: LOG.reward[LOG.slate[:, 0] == i].std() for i in (0, 1)}
    for i in (0, 1):
        drawn = np.clip(np.random.default_rng(0).normal(mean[i], spread[i], 100_000), 1, 5).mean()
        mine = fakes.ratings[fakes.items == i]
        assert abs(mine.mean() - drawn) < 4 * mine.std() / np.sqrt(len(mine))


def test_paired_mimics_put_a_target_behind_every_filler():
    fakes = fake_users(PopularMimicAttacker(paired=True), GOAL, Budget(5, 9), grey(), seed=1)
    assert np.isin(fakes.items[:, 1::2], GOAL.targets).all()
    assert not np.isin(fakes.items[:, ::2], GOAL.targets).any()


def test_demotions_rate_targets_worst_and_leave_them_out_without_ratings():
    down = Goal(GOAL.targets, demote=True)
    fakes = fake_users(RandomAttacker(), down, Budget(5, 6), grey(), seed=1)
    assert (fakes.ratings[np.isin(fakes.items, GOAL.targets)] == 1.0).all()
    assert np.isin(fakes.items, GOAL.targets).sum() == 10
    plain = fake_users(RandomAttacker(), down, Budget(5, 6), grey(honest(ratings=False)), seed=1)
    assert not np.isin(plain.items, GOAL.targets).any()
    assert plain.ratings is None


def test_no_budget_changes_nothing():
    fakes = fake_users(RandomAttacker(), GOAL, Budget(0, 6), grey())
    assert inject(LOG, fakes) is LOG


def test_honest_rows_stay_as_they_are():
    fakes = fake_users(BandwagonAttacker(), GOAL, Budget(6, 7), grey(), seed=2)
    both = inject(LOG, fakes, seed=2)
    assert np.array_equal(both.user[: len(LOG)], LOG.user)
    for name, column in LOG.columns().items():
        assert np.array_equal(both.columns()[name][: len(LOG)], column)
    late = both.user > LOG.user[-1]
    assert is_fake(both.user, LOG).tolist() == late.tolist()
    assert np.array_equal(both.slate[late, 0].reshape(6, 7), fakes.items)
    assert np.array_equal(both.reward[late].reshape(6, 7), fakes.ratings)
    assert both.time[late].min() >= LOG.time.min()
    assert both.time[late].max() <= LOG.time.max()
    fewer = inject(LOG, FakeUsers(fakes.items[:2], fakes.ratings[:2]), seed=2)
    assert np.array_equal(fewer.time, both.time[: len(fewer)])


class Cheat:
    """Returns what it is given."""

    def __init__(self, items):
        self.items = np.asarray(items)

    def profiles(self, goal, budget, known, seed):
        return self.items


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Goal(np.array([], int)), "one or more"),
        (lambda: Goal(np.array([3, 3])), "each once"),
        (lambda: Budget(-1, 3), "0 or more, got -1"),
        (lambda: Budget(1, 0), "actions of a budget must be 1 or more"),
        (lambda: known("red", LOG, N), "black, grey, white, got 'red'"),
        (lambda: known("white", LOG, N), "needs a surrogate"),
        (lambda: fake_users(RandomAttacker(), Goal(np.array([N])), Budget(1, 3), grey()), "target 40 is not"),
        (lambda: fake_users(RandomAttacker(), GOAL, Budget(1, 1), grey()), "no room for 2 targets"),
        (lambda: fake_users(RandomAttacker(), GOAL, Budget(1, 3, 1), grey()), "1 items has no room for 2"),
        (lambda: fake_users(RandomAttacker(), GOAL, Budget(1, 41), grey()), "lower actions"),
        (
            lambda: fake_users(AverageAttacker(), GOAL, Budget(1, 3), grey(honest(ratings=False))),
            "AverageAttacker needs ratings",
        ),
        (
            lambda: fake_users(SegmentAttacker(), GOAL, Budget(1, 3), known("black", LOG, N)),
            r"SegmentAttacker needs log, .*level grey",
        ),
        (lambda: BandwagonAttacker(0), "popular"),
        (lambda: SegmentAttacker(0), "segment"),
        (lambda: fake_users(Cheat([[1, 2]]), GOAL, Budget(1, 3), grey()), r"must return item ids \(1, 3\)"),
        (lambda: fake_users(Cheat([[1, 2, N]]), GOAL, Budget(1, 3), grey()), "what is no item"),
        (lambda: fake_users(Cheat([[1, -1, 2]]), GOAL, Budget(1, 3), grey()), "behind an empty place"),
        (lambda: fake_users(Cheat([[1, 2, 3]]), GOAL, Budget(1, 3, 2), grey()), "touched 3 items"),
        (lambda: inject(LOG, FakeUsers(np.zeros((U + 1, 2), int))), "more than the 60 honest ones"),
        (
            lambda: inject(
                Log.sorted(**{**LOG.columns(), "seed": LOG.user}), FakeUsers(np.zeros((1, 2), int))
            ),
            "fake users have no seed",
        ),
    ],
)
def test_bad_attacks(call, message):
    with pytest.raises(InputError, match=message):
        call()
