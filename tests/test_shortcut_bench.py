"""ShortcutBench: its law by counting, each knob kills its shortcut, and the table of the trial run."""

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

import recsim_env  # noqa: F401
from recsim_env.agents.recommender import target_ranks
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.transition_graph import TGH_1, TGH_2, TransitionGraphRecommender
from recsim_env.errors import InputError
from recsim_env.evaluation.ranking import rank_of
from recsim_env.evaluation.shortcuts import ShortcutReport, shortcut_report
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.shortcut_bench import SuccessionLaw, succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out


def test_the_law_by_counting() -> None:
    law = succession_law(num_items=12, branching=3, smooth=0.0, noise=0.4, world_seed=3)
    rng = np.random.default_rng(0)
    draws = law.next_item(np.full(200_000, 7), rng.random((200_000, 2)))
    share = np.bincount(draws, minlength=12) / len(draws)
    wanted = np.full(12, 0.4 / 12)
    wanted[law.successors[7]] += 0.6 / 3
    assert (np.abs(share - wanted) < 5 * np.sqrt(wanted / len(draws))).all()
    anywhere = np.bincount(law.next_item(np.full(200_000, -1), rng.random((200_000, 2))), minlength=12)
    assert (np.abs(anywhere / 200_000 - 1 / 12) < 5 * np.sqrt(1 / 12 / 200_000)).all()


@pytest.mark.parametrize(("smooth", "near"), [(1.0, 8), (0.5, 4), (0.0, 0)])
def test_smooth_is_the_share_of_nearest_neighbours(smooth: float, near: int) -> None:
    law = succession_law(num_items=300, branching=8, smooth=smooth)
    likeness = law.features @ law.features.T
    np.fill_diagonal(likeness, -2)
    nearest = np.argsort(-likeness, axis=1)[:, :8]
    for i in range(300):
        assert len(set(law.successors[i].tolist()) - {i}) == 8
        shared = len(set(nearest[i, :near].tolist()) & set(law.successors[i].tolist()))
        assert shared == near
    if smooth == 0.0:
        by_chance = np.mean([len(set(a) & set(b)) for a, b in zip(nearest, law.successors, strict=True)])
        assert by_chance < 0.5  # 8 x 8 / 299 = .21
    assert_array_equal(law.features, succession_law(num_items=300, branching=3, lag=4).features)


def test_what_follows_stands_lag_steps_back() -> None:
    for lag in (1, 2, 3):
        law = succession_law(num_items=100, branching=4, lag=lag, noise=0.0)
        log = succession_log(law, num_users=300, length=8, seed=lag)
        items = log.slate.reshape(300, 8)
        follows = (law.successors[items[:, :-lag]] == items[:, lag:, None]).any(axis=2)
        assert follows.all()
        assert_array_equal(log.time.reshape(300, 8), np.tile(np.arange(8), (300, 1)))
    assert_array_equal(succession_log(law, seed=5).slate, succession_log(law, seed=5).slate)
    assert (succession_log(law, seed=5).slate != succession_log(law, seed=6).slate).any()


def _solved(branching: int, smooth: float, lag: int) -> tuple[ShortcutReport, dict[str, float]]:
    law = succession_law(branching=branching, smooth=smooth, lag=lag)
    log = succession_log(law)
    split = leave_one_out(log)
    train = leave_one_out(split.train).train
    value = {}
    for name, fitted in (
        ("TGH-1", TransitionGraphRecommender(budgets=TGH_1, features=law.features, num_items=1500)),
        ("TGH-2", TransitionGraphRecommender(budgets=TGH_2, features=law.features, num_items=1500)),
        ("Markov", MarkovRecommender(num_items=1500)),
    ):
        rank = target_ranks(fitted.fit(train), split.history, split.target, mask_history=False)
        value[name] = float(rank.ndcg(10).mean())
    value["lag known"] = _lagged_table(train, split.history, split.target, law)
    return shortcut_report(log, num_items=1500, features={"x": law.features}), value


def _lagged_table(train: Log, history: np.ndarray, target: np.ndarray, law: SuccessionLaw) -> float:
    """NDCG@10 of counting what came `lag` steps after: the data still hold the law that a shortcut misses."""
    lag = law.lag
    same = train.user[lag:] == train.user[:-lag]
    pairs = train.slate[:-lag, 0][same], train.slate[lag:, 0][same]
    counts = sparse.csr_array((np.ones(len(pairs[0])), pairs), (law.num_items, law.num_items))
    return float(rank_of(counts[history[:, -lag]].toarray(), target).ndcg(10).mean())


# Out-degree, cosine along edges, ring-1 coverage, NDCG@10 of TGH and Markov: measured in a trial run by
# another program, whose features had another dimension and law: what depends on them agrees less closely.
TRIAL = [
    (3, 1.0, 1, 5.3, 0.35, 0.835, 0.595, 0.594),
    (10, 1.0, 1, 9.7, 0.43, 0.649, 0.305, 0.308),
    (40, 1.0, 1, 13.9, 0.38, 0.245, 0.082, 0.081),
    (100, 1.0, 1, 15.1, 0.30, 0.114, 0.034, 0.035),
    (10, 0.0, 1, 9.7, 0.00, 0.646, 0.253, 0.308),
]


@pytest.mark.parametrize(("b", "smooth", "lag", "degree", "cosine", "covered", "tgh", "markov"), TRIAL)
def test_the_table_of_the_trial_run(
    b: int, smooth: float, lag: int, degree: float, cosine: float, covered: float, tgh: float, markov: float
) -> None:
    report, value = _solved(b, smooth, lag)
    error = 0.5 / np.sqrt(4000)  # of a mean of NDCG over users
    assert abs(report.branching.mean - degree) < 0.15
    assert abs(report.smoothness["x"].edge - cosine) < 0.07
    assert abs(report.coverage.share[0] - covered) < 4 * error
    assert abs(value["Markov"] - markov) < 3 * error
    assert abs(value["TGH-1"] - tgh) < 0.04
    assert not report.alarms


def test_each_knob_kills_its_shortcut() -> None:
    """And no other: at lag 2 and 4 the data are as easy as before for whoever looks at the right place."""
    _, easy = _solved(3, 1.0, 1)
    assert min(easy.values()) > 0.5
    _, branched = _solved(100, 1.0, 1)
    assert max(branched.values()) < 0.05
    report, rough = _solved(10, 0.0, 1)
    _, smooth = _solved(10, 1.0, 1)
    assert abs(report.smoothness["x"].edge) < 0.01
    assert abs(rough["Markov"] - smooth["Markov"]) < 0.03  # a table does not look at features
    assert rough["TGH-1"] < smooth["TGH-1"] - 0.05
    for lag, within in ((2, 0.02), (4, 0.01)):
        report, late = _solved(3, 1.0, lag)
        assert report.coverage.share[0] < 0.1
        assert max(late["TGH-1"], late["Markov"]) < within
        assert late["lag known"] > 0.45
    # TGH-2 looks two steps back, at features alone: lag 2 leaves it those, and smooth 0 takes them
    _, two = _solved(3, 1.0, 2)
    assert 0.05 < two["TGH-2"] < 0.15
    _, none = _solved(3, 0.0, 2)
    assert none["TGH-2"] < 0.01


def test_the_world_obeys_the_law_of_the_log() -> None:
    """And pays what the law says: with the lag known nothing is lost but to chance, without it all."""
    for lag in (1, 2):
        world = gym.make("ShortcutBench-v0", num_items=200, slate_size=5, lag=lag, noise=0.0).unwrapped.world
        luck = Luck.from_seeds(np.arange(400))
        state, earned, missed = world.begin(luck), 0.0, 0.0
        for step in range(20):
            best = world.best_slate(state)
            assert all(len(set(slate)) == 5 for slate in best.tolist())
            assert_array_equal(best[:, :3], world.law.successors[state.history[:, -lag]])
            wrong = world.law.successors[state.history[:, -1 if lag == 2 else -2]]
            missed += float(world.expected_reward(state, wrong).mean())
            after, outcome = world.respond(state, best, luck.at(step))
            earned += float(outcome.reward.mean())
            assert_array_equal(after.history[:, :-1], state.history[:, 1:])
            assert (after.history[:, -1:] == world.law.successors[state.history[:, -lag]]).any(axis=1).all()
            state = after
        assert earned == 20.0
        assert missed < 20 * 0.2  # neighbours of neighbours are neighbours now and then
    assert sorted(world.observe(state)) == ["clicked", "history", "slate", "step"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: succession_law(num_items=1), "num_items must be at least 2, got 1"),
        (lambda: succession_law(10, 10), "branching must be from 1 to num_items - 1, 9, got 10"),
        (lambda: succession_law(10, 0), "branching must be from 1"),
        (lambda: succession_law(smooth=1.5), r"smooth must be in \[0, 1\], got 1.5"),
        (lambda: succession_law(noise=-0.1), r"noise must be in \[0, 1\], got -0.1"),
        (lambda: succession_law(lag=0), "lag must be at least 1, got 0"),
        (
            lambda: succession_log(succession_law(10, 2), num_users=0),
            "num_users and length must be at least 1",
        ),
    ],
)
def test_bad_input(call: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
