"""What each wrapper does, by hand, by brute force, or against another implementation."""

import gymnasium as gym
import numpy as np
import pytest

import recsim_env  # noqa: F401
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.envs.wrappers import (
    Candidates,
    DiscreteSlates,
    Flatten,
    History,
    OneSlot,
    ProtoItem,
    Quotas,
    RecordLog,
    RewardShaping,
    ScoresToSlate,
    wrap,
)
from recsim_env.envs.wrappers.cell_search import CellSearch
from recsim_env.envs.wrappers.faiss_search import FaissSearch
from recsim_env.envs.wrappers.quotas import repair_rows
from recsim_env.envs.wrappers.reward_shaping import diversity
from recsim_env.envs.wrappers.scores_to_slate import highest_allowed
from recsim_env.errors import InputError
from recsim_env.simulators.log_files import read_log
from recsim_env.simulators.log_generation import POLICY_LUCK, generate_log
from recsim_env.simulators.luck import Luck

SLATES = {"num_items": 60, "slate_size": 3, "num_users": 20, "num_categories": 5, "dimension": 4}
SLATES |= {"leave_after_click": 0.2, "leave_without_click": 0.4, "intercept": -2.0}


def slate_envs(num_envs=3, **more):
    return gym.make_vec("SlateRec-v0", num_envs=num_envs, **{**SLATES, **more})


def test_the_highest_scores_are_shown():
    """Against a stable sort, with ties, masks and infinities."""
    rng = np.random.default_rng(0)
    for N, K in ((5, 5), (9, 3), (40, 7)):
        scores = np.round(rng.normal(size=(300, N)), 1)
        scores[:, 0], scores[:50, 1] = -0.0, -np.inf
        allowed = rng.random((300, N)) < 0.5
        found = highest_allowed(scores, allowed, K)
        for b in range(300):
            order = [i for i in np.argsort(-scores[b], kind="stable") if allowed[b, i]][:K]
            assert found[b].tolist() == order + [N] * (K - len(order))


def test_scores_are_checked():
    env = wrap(slate_envs(), ScoresToSlate())
    env.reset(seed=0)
    scores = np.zeros((3, 60), np.float32)
    with pytest.raises(InputError, match=r"scores must have shape \(3, 60\), got \(3, 59\)"):
        env.step(scores[:, 1:])
    scores[1, 7] = np.nan
    with pytest.raises(InputError, match=r"scores\[1, 7\] is NaN"):
        env.step(scores)


def test_scores_skip_what_the_mask_forbids():
    given = np.array([[4, -1, 9, 2]])
    env = wrap(slate_envs(1), Candidates(4, lambda observation, luck: given), History(1), ScoresToSlate())
    observation, _ = env.reset(seed=0)
    assert observation["candidates"].tolist() == [[4, 60, 9, 2]]
    assert observation["action_mask"].tolist() == [[1, 0, 1, 1]]
    observation = env.step(np.array([[0.1, 0.9, 0.2, 0.2]]))[0]
    assert observation["history"].tolist() == [[[9, 2, 4]]]


def test_candidates_are_drawn_for_each_user_alone():
    """Distinct, one from each stretch, all items in the long run, anew at every step."""
    env = wrap(slate_envs(200), Candidates(7))
    env.action_space.seed(0)
    seen, (observation, _) = set(), env.reset(seed=0)
    for _ in range(10):
        drawn = observation["candidates"]
        assert (np.diff(drawn, axis=1) > 0).all()
        assert (drawn * 7 // 60 == np.clip(drawn * 7 // 60, 0, 6)).all()
        seen |= set(drawn.ravel().tolist())
        observation = env.step(env.action_space.sample())[0]
        assert not np.array_equal(drawn, observation["candidates"])
    assert seen == set(range(60))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([-1, -1, -1], "no candidate for row 0: a mask with no legal action"),
        ([1, 1, 2], "row 0 one item twice"),
        ([1, 60, 2], r"candidates\[0, 1\] = 60, which is not an item"),
        ([1, 2], r"integers of shape \(1, 3\)"),
    ],
)
def test_candidates_given_are_checked(given, message):
    env = wrap(slate_envs(1), Candidates(3, lambda observation, luck: np.array([given])))
    with pytest.raises(InputError, match=message):
        env.reset(seed=0)


def test_a_place_of_mask_0_is_refused():
    env = wrap(slate_envs(1), Candidates(4, lambda observation, luck: np.array([[1, -1, 2, 3]])))
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"slates\[0, 1\] = 1 may not be shown now"):
        env.step(np.array([[0, 1, 2]]))


def test_history_by_hand():
    env = wrap(gym.make("CascadeRec-v0"), History(2))
    observation, _ = env.reset(seed=0)
    N = env.unwrapped.world.num_items
    assert (observation["history"] == N).all()
    clicks, gains = [[0] * 3], [0.0]
    for slate in ([1, 2, 3], [4, N, 5], [6, 7, 8]):
        observation, gain, _, _, info = env.step(np.array(slate))
        clicks, gains = [*clicks, info["clicked"].astype(int).tolist()], [*gains, gain]
        assert observation["history"][-1].tolist() == slate
        assert observation["history_clicked"].tolist() == clicks[-2:]
        np.testing.assert_allclose(observation["history_reward"], gains[-2:], rtol=1e-6)
    assert observation["history"].tolist() == [[4, N, 5], [6, 7, 8]]


def test_history_holds_items_where_actions_are_places():
    env = wrap(slate_envs(2, candidates=6), Candidates(), History(1))
    observation, _ = env.reset(seed=0)
    shown = observation["candidates"][:, [5, 0, 3]]
    after = env.step(np.array([[5, 0, 3]] * 2))[0]
    assert np.array_equal(after["history"][:, 0], shown)
    assert np.array_equal(after["slate"], shown)


def test_one_slot_at_a_time_is_the_same_play():
    """The slates that single choices build give the rewards of the slates themselves."""
    slots = wrap(slate_envs(5, horizon=4, autoreset_mode="SameStep"), OneSlot())
    other = slate_envs(5, horizon=4, autoreset_mode="SameStep")
    other.reset(seed=1)
    observation, _ = slots.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        slates = np.array([rng.permutation(60)[:3] for _ in range(5)])
        for k in range(3):
            assert (observation["slot"] == k).all()
            assert observation["partial_slate"][:, :k].tolist() == slates[:, :k].tolist()
            assert (observation["partial_slate"][:, k:] == 60).all()
            assert (observation["action_mask"].sum(axis=1) == 60 - k).all()
            observation, reward, left, late, info = slots.step(slates[:, k])
            if k < 2:
                assert not np.any([reward, left, late])
                assert info["best_value"].tolist() == [0.0] * 5
        seen, expected, gone, ended, about = other.step(slates)
        assert np.array_equal(reward, expected)
        assert np.array_equal(left, gone)
        assert np.array_equal(late, ended)
        assert all(np.array_equal(observation[name], seen[name]) for name in seen)
        assert np.array_equal(info["slate_value"], about["slate_value"])


def test_one_slot_refuses():
    env = wrap(
        slate_envs(
            2,
        ),
        Candidates(4, lambda o, luck: np.array([[1, -1, -1, 5]] * 2)),
    )
    with pytest.raises(InputError, match="autoreset_mode must be SAME_STEP or DISABLED around OneSlot"):
        wrap(env, OneSlot())
    inner = gym.make_vec("SlateRec-v0", num_envs=2, **SLATES, autoreset_mode="Disabled")
    env = wrap(inner, Candidates(4, lambda o, luck: np.array([[1, -1, -1, 5]] * 2)), OneSlot())
    observation, _ = env.reset(seed=0)
    with pytest.raises(InputError, match=r"actions\[1\] = 2 may not be shown now"):
        env.step(np.array([0, 2]))
    observation = env.step(np.array([0, 3]))[0]
    with pytest.raises(InputError, match="reset_mask must be of all rows in the middle of a slate"):
        env.reset(options={"reset_mask": np.array([True, False])})
    assert observation["action_mask"].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    observation = env.step(np.array([3, 0]))[0]
    assert observation["action_mask"].all()  # two candidates, three slots: nothing is left
    observation = env.step(np.array([2, 2]))[0]
    assert observation["slate"].tolist() == [[1, 5, 60], [5, 1, 60]]
    single = wrap(gym.make("SlateRec-v0", **SLATES), OneSlot())
    with pytest.raises(InputError, match="call reset"):
        single.step(0)


def test_flat_observation_by_hand():
    env = wrap(gym.make("SlateRec-v0", **SLATES), Flatten(most_one_hot=21))
    flat, _ = env.reset(seed=0)
    inner = env.env.unwrapped
    raw = inner.world.observe(inner._state)
    features = inner.world.catalogue.features
    how = {part.entry: part for part in env.change.layout}
    assert {name: part.how for name, part in how.items()} == {
        "user": "one_hot",
        "step": "one_hot",
        "slate": "features",
        "clicked": "as_is",
        "interest": "as_is",
    }
    assert flat[how["user"].start : how["user"].stop].argmax() == raw["user"][0]
    assert (flat[how["slate"].start : how["slate"].stop] == 0).all()
    flat = env.step(np.array([7, 60, 9]))[0]
    shown = flat[how["slate"].start : how["slate"].stop].reshape(3, 4)
    assert np.array_equal(shown, [features[7], np.zeros(4), features[9]])
    assert flat[how["step"].start : how["step"].stop].argmax() == 1
    assert np.array_equal(flat[how["interest"].start : how["interest"].stop], raw["interest"][0])
    assert flat.shape == (20 + 21 + 12 + 3 + 4,)
    scaled = wrap(gym.make("SlateRec-v0", **SLATES), Flatten(0))
    assert scaled.reset(seed=0)[0][scaled.change.layout[list(how).index("user")].start] == np.float32(
        raw["user"][0] / 19
    )


def test_every_slate_has_its_number():
    env = wrap(gym.make("CascadeRec-v0"), DiscreteSlates())
    change, N = env.change, env.unwrapped.world.num_items
    L = env.action_space.n
    assert sum(np.prod(range(N, N - k, -1)) for k in (1, 2, 3)) == L
    assert np.array_equal(change.numbers(change.lists), np.arange(L))
    assert change.numbers(np.where(change.lists < 0, N, change.lists)).tolist() == list(range(L))
    with pytest.raises(InputError, match="is none of the lists"):
        change.numbers(np.array([[1, 1, 2]]))
    env.reset(seed=0)
    with pytest.raises(InputError, match="is not a slate: there are"):
        env.step(L)


def test_shaped_reward_by_hand():
    weights = {"reward": 0.5, "clicks": 2.0, "dwell": 3.0, "diversity": 4.0}
    env = wrap(slate_envs(50), RewardShaping(**weights))
    plain = slate_envs(50)
    env.reset(seed=0)
    plain.reset(seed=0)
    actions = plain.action_space.sample()
    actions[0], actions[1] = [3, 60, 60], [3, 9, 60]
    shaped = env.step(actions)[1]
    reward, about = plain.step(actions)[1::3]
    f = plain.unwrapped.world.catalogue.features.astype(float)
    for b in range(50):
        items = [i for i in actions[b] if i < 60]
        pairs = [
            (1 - f[i] @ f[j] / np.linalg.norm(f[i]) / np.linalg.norm(f[j])) / 2
            for x, i in enumerate(items)
            for j in items[:x]
        ]
        expected = 0.5 * reward[b] + 2 * about["clicked"][b].sum() + 3 * about["examined"][b].mean()
        expected += 4 * (np.mean(pairs) if pairs else 0.0)
        assert shaped[b] == pytest.approx(expected, abs=1e-9)


def test_the_true_reward_stays_in_info():
    env, plain = wrap(slate_envs(30), RewardShaping(0.0, clicks=-1.0)), slate_envs(30)
    env.reset(seed=2)
    plain.reset(seed=2)
    actions = plain.action_space.sample()
    _, shaped, _, _, info = env.step(actions)
    _, reward, _, _, about = plain.step(actions)
    assert np.array_equal(info["true_reward"], reward)
    assert np.array_equal(shaped, -reward)
    assert np.array_equal(info["slate_value"], about["slate_value"])


def test_diversity_is_0_of_one_item_and_half_of_orthogonal_ones():
    unit = np.eye(3)
    items = np.array([[0, -1, -1], [0, 1, 2], [0, 0, -1]])
    assert diversity(unit, items).tolist() == [0.0, 0.5, 0.0]


def test_repair_meets_quotas_and_keeps_what_it_can():
    """Random slates: quotas met, distinct, as few slots changed as any repair must change."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        N, K = 12, rng.integers(1, 6)
        G = rng.integers(1, 4)
        group = np.concatenate([np.repeat(np.arange(G), 4), np.zeros(N, int)])[:N]
        quota = np.bincount(rng.integers(G, size=rng.integers(0, K + 1)), minlength=G)
        quota = np.minimum(quota, 4)
        slate = rng.permutation(N)[:K]
        slate[rng.random(K) < 0.2] = -1
        slates = slate[None].copy()
        assert repair_rows(slates, group[None], rng.permutation(N)[None], quota) == (-1, -1)
        shown = slates[0][slates[0] >= 0]
        assert len(np.unique(shown)) == len(shown)
        assert (np.bincount(group[shown], minlength=G) >= quota).all()
        before = np.bincount(group[slate[slate >= 0]], minlength=G)
        assert (slates[0] != slate).sum() == np.maximum(quota - before, 0).sum()
        assert not ((slate >= 0) & (slates[0] < 0)).any()


def test_quotas_by_hand():
    groups, ranking = np.arange(60) % 2, np.arange(60)
    env = wrap(slate_envs(2), Quotas([1, 2], groups, ranking))
    env.reset(seed=0)
    observation, _, _, _, info = env.step(np.array([[2, 4, 6], [1, 60, 3]]))
    # the lowest slots go first; an empty slot before any; the highest ranked of the group come
    assert observation["slate"].tolist() == [[2, 57, 59], [1, 58, 3]]
    assert info["repaired"].tolist() == [2, 1]
    assert (info["slate_value"] <= info["best_value"]).all()
    strict = wrap(slate_envs(1), Quotas([1, 2], groups, repair=False))
    strict.reset(seed=0)
    strict.step(np.array([[2, 1, 3]]))
    with pytest.raises(
        InputError, match=r"slates\[0\] = \[2, 4, 1\] shows 1 items of group 1, its quota is 2"
    ):
        strict.step(np.array([[2, 4, 1]]))


@pytest.mark.parametrize("candidates", [None, 20])
def test_what_is_remembered_is_what_was_shown(candidates):
    """History and log outside of Quotas hold the repaired slate."""
    recorder, groups = RecordLog(), np.arange(60) % 2
    inner = [] if candidates is None else [Candidates(candidates)]
    env = wrap(slate_envs(3), *inner, Quotas([2, 1], groups), RewardShaping(), History(1), recorder)
    env.action_space.seed(0)
    env.reset(seed=0)
    observation, _, _, _, info = env.step(env.action_space.sample())
    assert info["repaired"].any()
    assert np.array_equal(observation["history"][:, 0], observation["slate"])
    assert np.array_equal(np.where(recorder.log().slate < 0, 60, recorder.log().slate), observation["slate"])
    slates = np.array([[1, 3, 5]] * 3)
    if candidates is None:
        env = wrap(slate_envs(3), Quotas([2, 1], groups), told := RecordLog())
        env.reset(seed=0)
        told.tell(np.zeros((3, 3)))
        with pytest.raises(InputError, match="are of slates that Quotas repaired"):
            env.step(slates)


@pytest.mark.parametrize(
    ("quotas", "groups", "message"),
    [
        ([2, 2], np.arange(60) % 2, "they sum to 4, and a slate has 3 slots"),
        ([0, 1], np.zeros(60, int), r"quotas\[1\] = 1 cannot be met: group 1 has 0 items"),
        ([1], np.arange(60) % 2, r"groups\[1\] = 1 has no quota"),
        ([1], np.zeros(5, int), r"groups must be integers of shape \(60,\)"),
    ],
)
def test_quotas_that_cannot_be_met(quotas, groups, message):
    with pytest.raises(InputError, match=message):
        wrap(slate_envs(2), Quotas(quotas, groups))


def test_quotas_that_candidates_cannot_meet():
    env = wrap(
        slate_envs(1), Candidates(3, lambda o, luck: np.array([[0, 2, 4]])), Quotas([0, 1], np.arange(60) % 2)
    )
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"quotas\[1\] = 1 cannot be met in row 0: too few candidates"):
        env.step(np.array([[0, 1, 2]]))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("candidates", [None, 6])
def test_the_log_is_that_of_generate_log(mode, candidates, tmp_path):
    """Every column, to the last bit, across episodes, in every autoreset mode."""
    B, T = 6, 15
    path = tmp_path / "log.parquet"
    envs = gym.make_vec(
        "SlateRec-v0", num_envs=B, **SLATES, candidates=candidates, horizon=4, autoreset_mode=mode
    )
    world, N = envs.unwrapped.world, envs.unwrapped.world.num_items
    agent = RandomSlates(N, 3)
    recorder = RecordLog(path, {"env_id": "SlateRec-v0"})
    env = wrap(envs, recorder)
    observation, _ = env.reset(seed=9)
    over, count = np.zeros(B, bool), np.zeros(B, int)
    seeds = np.arange(9, 9 + B, dtype=np.uint64) + np.uint64(POLICY_LUCK)
    while count.min() < T:
        if mode == "Disabled" and over.any():
            observation, _ = env.reset(options={"reset_mask": over})
        now = envs.unwrapped.luck
        slates = agent.act(observation, Luck(seeds, now.episode, now.step))
        recorder.tell(agent.log_propensities(observation, slates))
        observation, _, left, late, _ = env.step(slates)
        count += ~(over & (mode == "NextStep"))
        over = left | late
    env.close()
    log = read_log(path)
    log.validate()
    expected = next(generate_log(world, agent, T, num_users=B, seed=9, piece_rows=10**6))
    log = log.rows(log.time < T)
    assert log.metadata["env_id"] == "SlateRec-v0"
    assert set(expected.columns()) - set(log.columns()) == {"attraction"}
    for name, column in log.columns().items():
        assert np.array_equal(column, expected.columns()[name]), name
    assert log.episode.max() > 1


def test_a_log_of_one_user_without_propensities(tmp_path):
    recorder = RecordLog()
    env = wrap(gym.make("CascadeRec-v0"), recorder)
    env.reset(seed=4)
    for _ in range(3):
        env.step(np.array([1, 2, 3]))
    log = recorder.log()
    assert log.step.tolist() == [0, 1, 2]
    assert log.seed.tolist() == [4] * 3
    with pytest.raises(InputError, match=r"log has no log_propensity \(the agent told none to RecordLog\)"):
        log.require("log_propensity")
    recorder.tell(np.zeros(3))
    with pytest.raises(InputError, match="at this step but not at the first"):
        env.step(np.array([1, 2, 3]))
    with pytest.raises(InputError, match="is not the logarithm of a positive probability"):
        recorder.tell([0.0, -np.inf, 0.0])
    env.close()
    path = tmp_path / "log.parquet"
    path.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        RecordLog(path)
    unplayed = RecordLog()
    wrap(gym.make("CascadeRec-v0"), unplayed)
    with pytest.raises(InputError, match="no step was taken"):
        unplayed.log()


def nearest_by_sorting(points, features, metric, K):
    f, a = features.astype(np.float64), points.astype(np.float64)
    score = a @ f.T if metric == "inner_product" else -((a[:, None] - f[None]) ** 2).sum(axis=2)
    return np.argsort(-score, axis=1, kind="stable")[:, :K]


def catalogues():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 6))
    yield rng.normal(size=(300, 5))  # one cell
    yield centres[rng.integers(20, size=9000)] + 0.1 * rng.normal(size=(9000, 6))  # clusters
    yield rng.normal(size=(9000, 7)) * rng.gamma(1.0, size=(9000, 1))  # none, of all lengths


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("search", [CellSearch, pytest.param(FaissSearch, marks=pytest.mark.extra)])
def test_exact_searches_are_exact(search, metric):
    if search is FaissSearch:
        pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    for features in catalogues():
        features = features.astype(np.float32)
        points = (features[rng.integers(len(features), size=40)] * 1.1).astype(np.float32)
        points[:5] = rng.normal(size=points[:5].shape) * 10
        index = search(features, metric)
        found = index.nearest(points, 10)
        assert np.array_equal(found, nearest_by_sorting(points, features, metric, 10))
        for b in (0, 17):
            assert np.array_equal(index.nearest(points[b : b + 1], 10)[0], found[b])
        assert index.nearest(points[:2], len(features))[:, -1].min() >= 0


def test_equal_items_stand_in_order():
    """A thousand copies of one item: rounding cannot tell them apart, the lower number comes first."""
    features = np.ones((9000, 4), np.float32)
    features[5000:] = 0.5
    index = CellSearch(features, "inner_product")
    assert index.nearest(np.ones((2, 4), np.float32), 12).tolist() == [list(range(12))] * 2


def test_a_search_of_some_cells_finds_most():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 4)).astype(np.float32)
    points = features[:200]
    exact = CellSearch(features, "l2").nearest(points, 10)
    some = CellSearch(features, "l2", probes=6).nearest(points, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, some, strict=True)])
    assert 0.8 < recall <= 1.0
    few = CellSearch(features, "l2", probes=1).nearest(points, 500)
    assert (few >= 0).all()  # a cell holds fewer than 500: then the rest of the items are searched
    with pytest.raises(InputError, match="probes must be at least 1, got 0"):
        CellSearch(features, "l2", probes=0)


def test_a_proto_item_shows_the_nearest():
    env = wrap(slate_envs(2), ProtoItem(metric="l2"))
    env.reset(seed=0)
    features = env.unwrapped.world.catalogue.features
    observation = env.step(features[[8, 31]])[0]
    assert observation["slate"].tolist() == nearest_by_sorting(features[[8, 31]], features, "l2", 3).tolist()
    assert observation["slate"][:, 0].tolist() == [8, 31]
    with pytest.raises(InputError, match=r"points\[1, 0\] is NaN"):
        env.step(np.where(np.arange(2)[:, None] == 1, np.nan, features[:2]))
    with pytest.raises(InputError, match="leave candidates out"):
        wrap(slate_envs(2, candidates=6), ProtoItem())


@pytest.mark.extra
def test_faiss_cells():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 4)).astype(np.float32)
    index = FaissSearch(features, "l2", "IVF64,Flat", probes=8)
    found, exact = index.nearest(features[:100], 10), CellSearch(features, "l2").nearest(features[:100], 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)]) > 0.8
    with pytest.raises(InputError, match="index = 'Nonsense' cannot be made"):
        FaissSearch(features, "l2", "Nonsense")


def test_faiss_that_is_not_there(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[faiss\]'"):
        wrap(gym.make("SlateRec-v0", **SLATES), ProtoItem(search="faiss"))
