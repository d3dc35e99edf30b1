"""Learners of rankings from clicks alone, in the cascade and in the position-based model."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits import batch_rank, bubble_rank, top_rank
from recsim_env.agents.bandits.batch_rank import BatchRank
from recsim_env.agents.bandits.bubble_rank import BubbleRank
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.pbm_ucb import EPSILON, PBMUCB
from recsim_env.agents.bandits.ranked_bandits import RankedBandits
from recsim_env.agents.bandits.top_rank import TopRank
from recsim_env.errors import InputError
from recsim_env.experiments.checkpoint import load, save
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.position_bandit import PositionBandit, position_bandit
from recsim_env.user_models.clicks import PositionBased

CASCADE = cascade_bandit(num_items=4, slate_size=2, attraction=0.4, gap=0.4, horizon=100)
POSITION = position_bandit(num_items=4, slate_size=3, highest=0.9, lowest=0.0, decay=0.5, horizon=100)
WORLDS = {"cascade": CASCADE, "position": POSITION}


def examination(world):
    """What PBM-UCB is told: in the cascade, where it is no fact of the slots, that all are examined."""
    return world.examination if isinstance(world, PositionBandit) else np.ones(world.slate_size)


AGENTS = {
    "ranked_bandits": lambda world, B, T: RankedBandits(B, world.num_items, world.slate_size),
    "batch_rank": lambda world, B, T: BatchRank(B, world.num_items, world.slate_size, T),
    "top_rank": lambda world, B, T: TopRank(B, world.num_items, world.slate_size, T),
    "bubble_rank": lambda world, B, T: BubbleRank(B, world.num_items, world.slate_size, T),
    "pbm_ucb": lambda world, B, T: PBMUCB(B, world.num_items, world.slate_size, examination(world)),
}


@pytest.fixture(params=AGENTS)
def name(request):
    return request.param


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]


def attraction(world):
    return world.attraction if isinstance(world, PositionBandit) else world.attraction[0]


def random_regret(world):
    """Per round, of a list drawn uniformly: the mean over all lists, at the first step."""
    slates = np.array(list(permutations(range(world.num_items), world.slate_size)))
    state = world.begin(Luck.from_seeds(range(len(slates))))
    reward = world.expected_reward(state, slates)
    return float(reward.max() - reward.mean())


def with_attraction(world, a):
    """A cascade with other items."""
    return replace(world, attraction=a[None, :])


def wrong_pairs(attractions):
    """(B,) pairs of slots whose upper item is the less attractive one, of attractions (B, K)."""
    upper, lower = np.triu_indices(attractions.shape[1], 1)
    return (attractions[:, upper] < attractions[:, lower]).sum(axis=1)


class Watched:
    """An agent, with a look at it after every update."""

    def __init__(self, agent, look):
        self.agent, self.look = agent, look

    def act(self, observation, luck):
        return self.agent.act(observation, luck)

    def update(self, transition):
        self.agent.update(transition)
        self.look(self.agent, transition)


# What all of them do


def test_learns(name, world):
    """Regret over the second half well below that over the first, and far below that of random lists."""
    T, B = 10_000, 12
    _, curve = drive(world, AGENTS[name](world, B, T), B, T // world.horizon)
    half, whole = curve[len(curve) // 2 - 1].mean(), curve[-1].mean()
    assert whole - half < 0.8 * half
    assert whole < 0.5 * T * random_regret(world)


def test_rows_are_single_runs(name, world):
    """With a short T, so that batches split, orders grow and lists change within the run."""
    make, T = AGENTS[name], 40
    together, curve = drive(world, make(world, 5, T), 5, 6, seed=3)
    again, _ = drive(world, make(world, 5, T), 5, 6, seed=3)
    assert np.array_equal(together, again)
    for row in range(5):
        alone, alone_curve = drive(world, make(world, 1, T), 1, 6, seed=3 + row)
        assert np.array_equal(alone[:, 0], together[:, row])
        assert np.array_equal(alone_curve[:, 0], curve[:, row])


def test_slates_are_lists_of_distinct_items(name):
    world = position_bandit(num_items=7, slate_size=5, horizon=100)
    shown, _ = drive(world, AGENTS[name](world, 8, 100), 8, 6)
    assert shown.dtype == np.int64
    assert shown.shape == (600, 8, 5)
    assert shown.min() >= 0
    assert shown.max() < 7
    assert (np.diff(np.sort(shown, axis=2), axis=2) > 0).all()
    assert len(np.unique(shown[0], axis=0)) > 1  # equal indices are not ordered by id


def test_as_many_slots_as_items(name):
    world = position_bandit(num_items=3, slate_size=3, highest=0.9, lowest=0.1, horizon=100)
    shown, _ = drive(world, AGENTS[name](world, 4, 50), 4, 3)
    assert (np.sort(shown, axis=2) == np.arange(3)).all()
    alone = position_bandit(num_items=2, slate_size=1, highest=0.9, lowest=0.1, horizon=100)
    shown, _ = drive(alone, AGENTS[name](alone, 4, 50), 4, 3)
    assert set(shown.ravel().tolist()) == {0, 1}


def test_what_agents_are_given_is_left_alone(name, world):
    agent, kept = AGENTS[name](world, 3, 40), []

    def keep(*arrays):
        kept.extend((a, a.copy()) for a in arrays)

    class Watching:
        def act(self, observation, luck):
            keep(*observation.values(), luck.seed, luck.episode, luck.step)
            slates = agent.act(observation, luck)
            keep(slates)
            return slates

        def update(self, t):
            keep(t.slates, t.clicked, t.examined, t.reward, *t.observation.values())
            agent.update(t)

    drive(world, Watching(), 3, 1)
    assert all(np.array_equal(now, then) for now, then in kept)


def test_only_clicks_are_used(name, world):
    """Whatever is said of which slots were examined: the lists are the same."""

    class Blind:
        def __init__(self):
            self.agent = AGENTS[name](world, 4, 40)

        def act(self, observation, luck):
            return self.agent.act({}, luck)

        def update(self, t):
            nothing = np.zeros_like(t.examined)
            t = Transition({}, t.slates, t.clicked, nothing, t.reward, {}, t.terminated, t.truncated)
            self.agent.update(t)

    blind, _ = drive(world, Blind(), 4, 4)
    seeing, _ = drive(world, AGENTS[name](world, 4, 40), 4, 4)
    assert np.array_equal(blind, seeing)


def test_saved_and_loaded(name, world, tmp_path):
    """All that is learned is in arrays: another one goes on where the first stopped."""
    first = AGENTS[name](world, 3, 40)
    drive(world, first, 3, 3)
    save(tmp_path / "agent.npz", first, {})
    second = AGENTS[name](world, 3, 40)
    load(tmp_path / "agent.npz", second)
    assert np.array_equal(drive(world, first, 3, 2, seed=9)[0], drive(world, second, 3, 2, seed=9)[0])


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((0, 4, 2), "num_replicates must be at least 1, got 0"),
        ((1, 4, 5), "slate_size must be from 1 to num_items, 4, got 5"),
        ((1, 4, 0), "slate_size must be from 1 to num_items, 4, got 0"),
    ],
    ids=["replicates", "long slate", "no slot"],
)
def test_bad_sizes(name, sizes, words):
    more = {"ranked_bandits": (), "pbm_ucb": (np.ones(sizes[2]),)}.get(name, (100,))
    kind = {
        "ranked_bandits": RankedBandits,
        "batch_rank": BatchRank,
        "top_rank": TopRank,
        "bubble_rank": BubbleRank,
        "pbm_ucb": PBMUCB,
    }[name]
    with pytest.raises(InputError, match=words):
        kind(*sizes, *more)
    if name not in ("ranked_bandits", "pbm_ucb"):
        with pytest.raises(InputError, match="num_rounds must be at least 2, got 1"):
            kind(1, 4, 2, 1)


# Ranked bandits


def test_credit_goes_to_the_choice():
    """A slot whose choice was replaced is paid 0, whatever the replacement earned."""
    agent = RankedBandits(1, 3, 2)
    agent.chosen = np.array([[1, 1]])
    agent.update(transition([[1, 2]], [[True, True]]))
    assert agent.choices.tolist() == [[[0, 1, 0], [0, 1, 0]]]
    assert agent.clicks.tolist() == [[[0, 1, 0], [0, 0, 0]]]


def test_replacements_are_uniform():
    """With both slots sure of item 0, the second shows the others equally often."""
    agent = RankedBandits(1, 4, 2)
    agent.choices[:], agent.clicks[:], agent.rounds[:] = 1e6, 0.0, 1
    agent.clicks[:, :, 0] = 1e6
    luck = Luck.from_seeds([5])
    shown = np.array([agent.act({}, luck.at(t))[0] for t in range(3000)])
    assert (shown[:, 0] == 0).all()
    counts = np.bincount(shown[:, 1], minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 1000).max() < 5 * math.sqrt(3000 * 2 / 9)


# TopRank


def transition(slates, clicked):
    """What a learner of clicks reads of a round."""
    slates, clicked = np.array(slates), np.array(clicked)
    zero, no = np.zeros(len(slates)), np.zeros(len(slates), np.bool_)
    return Transition({}, slates, clicked, np.zeros_like(clicked), zero, {}, no, no)


def random_rounds(B, N, K, rounds, seed, strength):
    """Slates of distinct items in random order, clicked with probability `strength` (N,)."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        slates = rng.permuted(np.tile(np.arange(N), (B, 1)), axis=1)[:, :K]
        yield slates, rng.random((B, K)) < strength[slates]


def test_top_rank_is_its_plain_twin():
    """Sets and loops over all pairs, from the equations at the top of the module."""
    B, N, K, T = 2, 6, 4, 30
    agent = TopRank(B, N, K, T)
    c = 4 * math.sqrt(2 / math.pi) / math.erf(math.sqrt(2))
    S, M = np.zeros((B, N, N)), np.zeros((B, N, N))
    G = [set() for _ in range(B)]  # (j, i): i is better
    blocks = [[set(range(N))] for _ in range(B)]
    for slates, clicked in random_rounds(B, N, K, 500, 1, np.linspace(0.9, 0.0, N)):
        agent.update(transition(slates, clicked))
        for b in range(B):
            C = dict.fromkeys(range(N), 0) | dict(zip(slates[b].tolist(), clicked[b].tolist(), strict=True))
            for P in blocks[b]:
                for i in P:
                    for j in P - {i}:
                        S[b, i, j] += C[i] - C[j]
                        M[b, i, j] += abs(C[i] - C[j])
            for i in range(N):
                for j in range(N):
                    n = M[b, i, j]
                    if n > 0 and S[b, i, j] >= math.sqrt(2 * n * math.log(c * math.sqrt(n) * T)):
                        G[b].add((j, i))
            blocks[b], rest = [], set(range(N))
            while rest:
                top = {j for j in rest if not any((j, i) in G[b] for i in rest)}
                blocks[b].append(top)
                rest = rest - top
            assert {(j, i) for i, j in np.argwhere(agent.better[b]).tolist()} == G[b]
            assert [
                set(np.flatnonzero(agent.block[b] == d).tolist()) for d in range(len(blocks[b]))
            ] == blocks[b]
        assert np.array_equal(agent.lead, S)
        assert np.array_equal(agent.clicks_apart, M)
    assert all(len(g) >= 5 for g in G)
    assert all(len(p) >= 3 for p in blocks)


def test_top_rank_order_is_true(world):
    """On 100 replicates: the guarantee is 1 - N^2 / T for each, and much is lost in the union over pairs."""
    T, a = 5000, attraction(world)
    agent = TopRank(100, world.num_items, world.slate_size, T)
    drive(world, agent, 100, T // world.horizon)
    better, worse = np.nonzero(agent.better)[1:]
    assert (a[better] > a[worse]).all()
    assert agent.better.any(axis=(1, 2)).all()


def test_top_rank_lists_respect_the_blocks_and_are_uniform_within():
    agent = TopRank(1, 5, 3, 100)
    agent.block[0] = [1, 0, 1, 0, 1]
    luck = Luck.from_seeds([2])
    shown = np.array([agent.act({}, luck.at(t))[0] for t in range(3000)])
    lists, counts = np.unique(shown, axis=0, return_counts=True)
    assert {tuple(row) for row in lists.tolist()} == {(*p, i) for p in ((1, 3), (3, 1)) for i in (0, 2, 4)}
    assert np.abs(counts - 500).max() < 5 * math.sqrt(3000 * 5 / 36)


def test_top_rank_with_a_cycle():
    """A contradiction in G: the items on it and behind it share the last block."""
    better = np.zeros((5, 5), np.bool_)
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 1), (2, 4)):
        better[i, j] = True
    block = np.zeros(5, np.int64)
    top_rank._divide(better, block)
    assert block.tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("kind", WORLDS)
def test_top_rank_bound(kind):
    """The mean of 100 replicates is below it, and it says something: it is below what random lists lose."""
    a, T = np.array([0.0, 0.1, 0.7, 0.3]), 20_000
    world = (
        PositionBandit(a, np.array([1.0, 0.8]), 100) if kind == "position" else with_attraction(CASCADE, a)
    )
    _, curve = drive(world, TopRank(100, 4, 2, T), 100, T // 100)
    bound = top_rank.regret_bound(np.array([T]), attraction=a, slate_size=2, num_rounds=T)[0]
    assert curve[-1].mean() < bound < T * random_regret(world)


def test_bounds_by_hand():
    T, K, N = np.array([1000]), 2, 3
    log = math.log(top_rank.C * math.sqrt(1000) * 1000)
    free = K * N**2 + K * N + math.sqrt(4 * K**3 * N * 1000 * log)
    a = np.array([0.2, 0.8, 0.5])
    by_gaps = K * N**2 + 3 + 6 * log * (1.3 / 0.3 + 1.0 / 0.6 + 0.7 / 0.3)
    assert by_gaps < free
    np.testing.assert_allclose(
        top_rank.regret_bound(T, attraction=a, slate_size=K, num_rounds=1000), [by_gaps]
    )
    near = np.array([0.2, 0.8, 0.79])
    np.testing.assert_allclose(
        top_rank.regret_bound(T, attraction=near, slate_size=K, num_rounds=1000), [free]
    )
    below = np.array([0.2, 0.2, 0.8, 0.5])  # a tie of items that are not among the best K costs nothing
    by_gaps = K * 16 + 5 + 6 * log * (1.3 / 0.3 + 2 * 1.0 / 0.6 + 2 * 0.7 / 0.3)
    np.testing.assert_allclose(
        top_rank.regret_bound(T, attraction=below, slate_size=K, num_rounds=1000), [by_gaps]
    )
    batch = batch_rank.regret_bound(T, attraction=a, slate_size=K, num_rounds=1000)
    np.testing.assert_allclose(batch, [192 * 8 * 3 / (0.2 * 0.3) * math.log(1000) + 24 * (3 * math.e + 2)])
    bubble = bubble_rank.regret_bound(
        T, attraction=a, examination=np.array([1.0, 0.5, 0.25]), wrong_pairs=2, num_rounds=1000
    )
    np.testing.assert_allclose(bubble, [180 * 3 * 4 * (2 + 4) / 0.3 * 4 * math.log(1000) + 27])


def test_bounds_before_the_last_round():
    """They never fall, and depend on T through delta."""
    t, a = np.array([1, 10, 500, 1000]), np.array([0.2, 0.8, 0.5])
    top = top_rank.regret_bound(t, attraction=a, slate_size=2, num_rounds=1000)
    assert (np.diff(top) > 0).all()
    log = math.log(top_rank.C * math.sqrt(10) * 1000)
    np.testing.assert_allclose(top[1], 18 * 0.01 + 6 + math.sqrt(4 * 8 * 3 * 10 * log))
    batch = batch_rank.regret_bound(t, attraction=a, slate_size=2, num_rounds=1000)
    assert batch.shape == (4,)
    assert (batch == batch[-1]).all()
    bubble = bubble_rank.regret_bound(t, attraction=a, examination=np.ones(3), wrong_pairs=0, num_rounds=1000)
    np.testing.assert_allclose(bubble[-1] - bubble[2], 27 * 0.75)


def test_bounds_refuse_gaps_of_zero():
    a, T = np.array([0.5, 0.5, 0.1]), np.array([100])
    with pytest.raises(InputError, match=r"the best 2 items and the next apart, got a gap of 0\.0"):
        batch_rank.regret_bound(T, attraction=a, slate_size=2, num_rounds=100)
    with pytest.raises(InputError, match=r"attraction must tell all items apart, got a gap of 0\.0"):
        bubble_rank.regret_bound(T, attraction=a, examination=np.ones(3), wrong_pairs=1, num_rounds=100)
    assert np.isfinite(
        top_rank.regret_bound(T, attraction=a, slate_size=2, num_rounds=100)
    ).all()  # by the other bound


# BatchRank


def test_batches_partition_the_slots(world):
    """At all times, with enough items for its slots in each batch and no item in two."""
    T, sizes = 60, set()

    def look(agent, t):
        slots, items = agent.batch_of_slot, agent.batch_of_item
        for b in range(len(slots)):
            firsts = np.unique(slots[b])
            assert firsts[0] == 0
            assert (slots[b, firsts] == firsts).all()
            assert (np.diff(slots[b]) >= 0).all()
            assert set(items[b].tolist()) - {-1} == set(firsts.tolist())
            for first in firsts:
                assert (items[b] == first).sum() >= (slots[b] == first).sum()
            sizes.add(len(firsts))

    agent = Watched(BatchRank(6, world.num_items, world.slate_size, T), look)
    drive(world, agent, 6, 20)
    ties = world is CASCADE  # its two best items are alike: they share a batch for good
    assert max(sizes) == (1 if ties else world.slate_size)


def test_batch_rank_shows_the_least_shown():
    """Every batch fills its slots with its least shown items, and shows no eliminated one."""
    world = position_bandit(num_items=8, slate_size=4, highest=0.9, lowest=0.0, decay=0.3, horizon=100)
    agent, before = BatchRank(6, 8, 4, 10), {}

    class Watching:
        def act(self, observation, luck):
            slates = agent.act(observation, luck)
            for b in range(6):
                for first in np.unique(agent.batch_of_slot[b]):
                    shown = slates[b, agent.batch_of_slot[b] == first]
                    rest = np.setdiff1d(np.flatnonzero(agent.batch_of_item[b] == first), shown)
                    assert (agent.batch_of_item[b, shown] == first).all()
                    if len(rest):
                        assert agent.showings[b, shown].max() <= agent.showings[b, rest].min()
            return slates

        def update(self, t):
            before["eliminated"] = (agent.batch_of_item < 0).any()
            agent.update(t)

    drive(world, Watching(), 6, 12)
    assert before["eliminated"]


def test_batch_rank_is_its_plain_twin():
    """The pseudo-code with dictionaries, for what follows from lists and clicks; limits by SciPy's roots."""
    N, K, T = 6, 3, 8
    agent = BatchRank(1, N, K, T)
    budget = math.log(T) + 3 * math.log(max(math.log(T), 1.0))
    batches = {0: ((0, K), set(range(N)), 0)}  # first slot -> slots, items, stage
    n, c = dict.fromkeys(range(N), 0), dict.fromkeys(range(N), 0)
    strength, rng, luck = np.linspace(0.9, 0.05, N), np.random.default_rng(4), Luck.from_seeds([0])
    splits = eliminations = 0
    for t in range(6000):
        slates = agent.act({}, luck.at(t))
        clicked = rng.random((1, K)) < strength[slates]
        agent.update(transition(slates, clicked))
        for first, ((begin, end), items, stage) in list(batches.items()):
            if len(items) == 1:
                continue
            least = min(n[d] for d in items)
            for k in range(begin, end):
                d = int(slates[0, k])
                if n[d] == least:
                    n[d] += 1
                    c[d] += int(clicked[0, k])
            n_l = math.ceil(16 * 4**stage * math.log(T))
            if min(n[d] for d in items) < n_l:
                continue
            L = {d: limit(c[d] / n_l, 0.0, budget / n_l) for d in items}
            U = {d: limit(c[d] / n_l, 1.0, budget / n_l) for d in items}
            order = sorted(items, key=lambda d: (-L[d], d))
            good = [k for k in range(1, end - begin) if L[order[k - 1]] > max(U[d] for d in order[k:])]
            for d in items:
                n[d] = c[d] = 0
            if good:
                s, splits = good[-1], splits + 1
                batches[first] = ((begin, begin + s), set(order[:s]), 0)
                batches[begin + s] = ((begin + s, end), set(order[s:]), 0)
            else:
                kept = {d for d in items if U[d] >= L[order[end - begin - 1]]}
                eliminations += len(items) - len(kept)
                batches[first] = ((begin, end), kept, stage + 1)
        for first, ((begin, end), items, stage) in batches.items():
            assert set(np.flatnonzero(agent.batch_of_item[0] == first).tolist()) == items
            assert (agent.batch_of_slot[0, begin:end] == first).all()
            assert agent.stage[0, first] == stage
    assert splits == 2
    assert eliminations > 0


def limit(mean, far, budget):
    """The confidence limit by the roots of SciPy."""
    from scipy.optimize import brentq
    from scipy.special import rel_entr

    def over(q):
        return rel_entr(mean, q) + rel_entr(1 - mean, 1 - q) - budget

    edge = abs(far - 1e-15)
    if mean == far or over(edge) <= 0:
        return far
    return brentq(over, mean, edge, xtol=1e-14)


def test_top_rank_loses_less_than_batch_rank(world):
    """As in the figures of its paper."""
    T, B = 10_000, 30
    _, top = drive(world, AGENTS["top_rank"](world, B, T), B, T // world.horizon)
    _, batch = drive(world, AGENTS["batch_rank"](world, B, T), B, T // world.horizon)
    gap = batch[-1] - top[-1]
    assert gap.mean() > 4 * gap.std(ddof=1) / math.sqrt(B)


def test_stated_bounds_hold():
    """BatchRank's and BubbleRank's, which are far above: 100 replicates where gaps are distinct."""
    T = 2000
    a, theta = POSITION.attraction, POSITION.examination
    _, curve = drive(POSITION, AGENTS["batch_rank"](POSITION, 100, T), 100, T // 100)
    assert (
        curve[-1].mean() < batch_rank.regret_bound(np.array([T]), attraction=a, slate_size=3, num_rounds=T)[0]
    )
    world = PositionBandit(np.sort(a)[1:], theta, 100)
    _, curve = drive(world, BubbleRank(100, 3, 3, T, initial=np.arange(3)), 100, T // 100)
    bound = bubble_rank.regret_bound(
        np.array([T]), attraction=world.attraction, examination=theta, wrong_pairs=3, num_rounds=T
    )
    assert curve[-1].mean() < bound[0]


# BubbleRank


@pytest.mark.parametrize("first", ["best", "worst", "random"])
@pytest.mark.parametrize("kind", WORLDS)
def test_bubble_rank_is_safe(kind, first):
    """On 100 replicates, in every round: K/2 pairs more than the first list in the wrong order at most.

    And the list kept only gets better. The guarantee is 1 - K^2 / T for each replicate.
    """
    K, T = 6, 3000
    a = np.array([0.02, 0.04, 0.06, 0.7, 0.75, 0.8])
    if kind == "cascade":
        world = with_attraction(cascade_bandit(num_items=K, slate_size=K, horizon=100), a / 2)
    else:
        world = PositionBandit(a, np.arange(1.0, K + 1) ** -0.3, 100)
    lists = {
        "best": np.tile(np.argsort(-a), (100, 1)),
        "worst": np.tile(np.argsort(a), (100, 1)),
        "random": np.random.default_rng(0).permuted(np.tile(np.arange(K), (100, 1)), axis=1),
    }[first]
    kept, V0, most = [wrong_pairs(a[lists])], wrong_pairs(a[lists]), []

    def look(agent, t):
        V = wrong_pairs(a[t.slates])
        assert (V <= V0 + K / 2).all()
        most.append((V - V0).max())
        now = wrong_pairs(a[agent.order])
        assert (now <= kept[0]).all()
        kept[0] = now

    drive(world, Watched(BubbleRank(100, K, K, T, initial=lists), look), 100, T // 100)
    if first == "best":
        assert max(most) == K / 2  # exchanges of all pairs occur
        assert (kept[0] == 0).all()
    else:
        assert kept[0].mean() < V0.mean() - 1


def test_bubble_rank_is_its_plain_twin():
    """The paper's pseudo-code for N = K, given the lists that were shown."""
    B, K, T = 2, 5, 3
    first = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    agent = BubbleRank(B, K, K, T, initial=first)
    base = first.tolist()
    s, n = np.zeros((B, K, K)), np.zeros((B, K, K))
    strength, rng, luck = np.linspace(0.0, 0.9, K), np.random.default_rng(7), Luck.from_seeds([1, 2])
    log = 4 * math.log(T)
    for t in range(1500):
        slates = agent.act({}, luck.at(t))
        clicked = rng.random((B, K)) < strength[slates]
        h = (t + 1) % 2  # t begins at 1 in the paper
        for b in range(B):
            shown, free = slates[b].tolist(), base[b].copy()
            for k in range(h, K - 1, 2):
                i, j = base[b][k], base[b][k + 1]
                if s[b, i, j] > 2 * math.sqrt(n[b, i, j] * log):
                    assert shown[k : k + 2] == [i, j]
                free[k : k + 2] = shown[k : k + 2]
                assert {*shown[k : k + 2]} == {i, j}
                i, j = shown[k], shown[k + 1]
                if clicked[b, k] != clicked[b, k + 1]:
                    won = int(clicked[b, k]) - int(clicked[b, k + 1])
                    s[b, i, j] += won
                    s[b, j, i] -= won
                    n[b, i, j] += 1
                    n[b, j, i] += 1
            assert shown == free  # nothing else has moved
            for k in range(K - 1):
                i, j = base[b][k], base[b][k + 1]
                if s[b, j, i] > 2 * math.sqrt(n[b, j, i] * log):
                    base[b][k], base[b][k + 1] = j, i
        agent.update(transition(slates, clicked))
        assert agent.order.tolist() == base
        assert np.array_equal(agent.lead, s)
        assert np.array_equal(agent.clicks_apart, n)
    assert base[0] == [4, 3, 2, 1, 0]


def test_bubble_rank_exchanges_half_of_the_time():
    """Before anything is known; both pairs of a list of five, each on its own, the first slot in no pair."""
    agent = BubbleRank(1, 5, 5, 100, initial=np.arange(5))
    luck = Luck.from_seeds([3])
    shown = np.array([agent.act({}, luck.at(t))[0] for t in range(2000)])
    assert (shown[:, 0] == 0).all()
    one, other = shown[:, 1] == 2, shown[:, 3] == 4
    assert np.abs(one.sum() - 1000) < 5 * math.sqrt(500)
    assert np.abs((one & other).sum() - 500) < 5 * math.sqrt(375)


def test_bubble_rank_finds_items_off_its_list():
    """The best items wait at the end of the queue: they come in, one after the other."""
    agent = BubbleRank(10, 4, 2, 20_000, initial=np.array([0, 1]))
    world = PositionBandit(np.array([0.0, 0.05, 0.7, 0.9]), np.array([1.0, 0.9]), 100)
    drive(world, agent, 10, 200)
    assert (agent.order[:, :2] == [3, 2]).all()
    assert (np.sort(agent.order, axis=1) == np.arange(4)).all()


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ([0, 1, 2], r"initial must have shape \(2,\) or \(3, 2\), got \(3,\)"),
        ([0, 4], "initial must hold items 0-3, got 0 to 4"),
        ([1, 1], "initial must hold every item once at most"),
        ([0.0, 1.0], "initial must hold items, whole numbers, got float64"),
    ],
    ids=["shape", "item", "twice", "floats"],
)
def test_bad_initial_lists(initial, words):
    with pytest.raises(InputError, match=words):
        BubbleRank(3, 4, 2, 100, initial=np.array(initial))


# PBM-UCB


def test_pbm_ucb_is_its_plain_twin():
    B, N, theta = 2, 5, [0.3, 1.0, 0.6]
    agent = PBMUCB(B, N, 3, np.array(theta))
    luck = Luck.from_seeds([1, 2])
    history = [[] for _ in range(B)]
    for t, (slates, clicked) in enumerate(random_rounds(B, N, 3, 60, 3, np.linspace(0.9, 0.1, N))):
        shown = agent.act({}, luck.at(t))
        for b in range(B):
            U = []
            for i in range(N):
                seen = [(k, c) for slate, hits in history[b] for k, c in hits.items() if slate[k] == i]
                E = sum(theta[k] for k, _ in seen)
                if E == 0:
                    U.append(math.inf)
                    continue
                delta = (1 + EPSILON) * math.log(t + 1)
                width = math.sqrt(len(seen) / E) * math.sqrt(delta / (2 * E))
                U.append(sum(c for _, c in seen) / E + width)
            by_examination = [U[shown[b, k]] for k in (1, 2, 0)]
            finite = np.minimum(by_examination, 1e6)
            np.testing.assert_allclose(finite, np.minimum(sorted(U, reverse=True)[:3], 1e6), atol=1e-8)
            history[b].append((slates[b].tolist(), dict(enumerate(clicked[b].tolist()))))
        agent.update(transition(slates, clicked))


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        ([1.0, 0.5, 0.2], r"one probability for each of 2 slots, got shape \(3,\)"),
        ([1.0, 1.5], r"examination\[1\] = 1\.5 is not a probability"),
        ([-0.1, 0.5], r"examination\[0\] = -0\.1 is not a probability"),
        ([np.nan, 0.5], r"examination\[0\] = nan is not a probability"),
    ],
    ids=["length", "above 1", "below 0", "nan"],
)
def test_bad_examination(theta, words):
    with pytest.raises(InputError, match=words):
        PBMUCB(1, 4, 2, np.array(theta))
    if len(theta) == 2:
        with pytest.raises(InputError, match=words.split(" is")[0]):
            PositionBandit(np.array([0.1, 0.2, 0.3, 0.4]), np.array(theta), 10)


def test_pbm_ucb_beats_the_cascade_where_examination_is_steep():
    """CascadeUCB1 is given what the cascade would infer: that slots down to the last click were examined."""

    class Inferring:
        def __init__(self, B, N, K):
            self.agent, self.state = CascadeUCB(B, 1, N, K), {"state": np.zeros(B, np.int64)}

        def act(self, observation, luck):
            return self.agent.act(self.state, luck)

        def update(self, t):
            below = np.cumsum(t.clicked[:, ::-1], axis=1)[:, ::-1] > 0
            examined = below | ~t.clicked.any(axis=1, keepdims=True)
            self.agent.update(
                Transition(self.state, t.slates, t.clicked, examined, t.reward, {}, t.terminated, t.truncated)
            )

    world = position_bandit(num_items=8, slate_size=5, highest=0.9, lowest=0.1, decay=2.0, horizon=100)
    B = 60
    _, knowing = drive(world, PBMUCB(B, 8, 5, world.examination), B, 120)
    _, inferring = drive(world, Inferring(B, 8, 5), B, 120)
    gap = inferring[-1] - knowing[-1]
    assert gap.mean() > 4 * gap.std(ddof=1) / math.sqrt(B)
    late = (inferring[-1] - inferring[59]) - (knowing[-1] - knowing[59])
    assert late.mean() > 4 * late.std(ddof=1) / math.sqrt(B)


# The world


def test_position_bandit_best_slate_by_brute_force():
    """Also where examination does not fall from the top."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        world = PositionBandit(rng.random(5), rng.random(3), 10)
        slates = np.array(list(permutations(range(5), 3)))
        state = world.begin(Luck.from_seeds(range(len(slates))))
        best, value = world.values(state, slates)
        np.testing.assert_allclose(
            value, (world.attraction[slates] * world.examination).sum(axis=1), rtol=1e-12
        )
        assert (value <= best).all()
        assert value.max() == best[0]
        assert world.values(state, world.best_slate(state))[1][0] == best[0]


def test_position_bandit_clicks_are_those_of_the_click_model():
    """Click for click under one luck, in the mean as `values` says; empty slots and repeats are not seen."""
    world = position_bandit(num_items=6, slate_size=4, highest=0.8, lowest=0.1)
    B = 40_000
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    slates = np.tile([3, 1, 3, -1], (B, 1))
    after, o = world.respond(state, slates, luck)
    a = np.tile([world.attraction[3], world.attraction[1], 0.0, 0.0], (B, 1))
    response = PositionBased(world.examination).sample(a, luck.uniform("click", (2, 4)))
    assert np.array_equal(o.response.clicked, response.clicked)
    assert np.array_equal(o.response.examined[:, :2], response.examined[:, :2])
    assert not o.response.examined[:, 2:].any()
    assert (after.step == 1).all()
    assert not o.left.any()
    error = o.reward.std() / math.sqrt(B)
    assert abs(o.reward.mean() - o.slate_value[0]) < 5 * error
    assert np.array_equal(o.reward, o.response.clicked.sum(axis=1))
    assert o.reward.max() == 2
    assert world.reward_range == (0.0, 4.0)
    with pytest.raises(IndexError, match="outside the catalogue"):
        world.respond(state, np.full((B, 4), 6), luck)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"slate_size": 11}, r"slate_size must be from 1 to the number of items \(10\), got 11"),
        ({"highest": 1.2}, r"highest must be in \(0, 1\], got 1\.2"),
        ({"lowest": 0.5}, r"lowest must be in \[0, highest\), got 0\.5"),
        ({"decay": -1.0}, r"decay must be at least 0 and finite, got -1\.0"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
    ],
    ids=["items", "slots", "highest", "lowest", "decay", "horizon"],
)
def test_bad_worlds(setting, words):
    with pytest.raises(InputError, match=words):
        position_bandit(**setting)
