"""A recommender that acts: its lists, their exact probabilities, what it remembers, and its true reward."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.agents.agent import Transition
from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.recommender_agent import RecommenderAgent
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.worlds.shortcut_bench import SuccessionWorld
from recsim_env.testing import check_agent

SCORES = np.array([0.3, 1.2, -0.4, 0.9, 0.0])


class Fixed:
    """Scores that move with the last item, so that the history counts."""

    num_items_ = 5

    def fit(self, log):
        return self

    def scores(self, history):
        last = history[:, -1:]
        return SCORES + 0.5 * ((np.arange(5) == last + 1) & (last >= 0))


def agent(B=1, K=2, **more):
    return RecommenderAgent(Fixed(), B, K, **more)


def step(slates, clicked, ended=False):
    slates, clicked = np.atleast_2d(slates), np.atleast_2d(clicked).astype(bool)
    done = np.full(len(slates), ended)
    return Transition({}, slates, clicked, clicked, clicked.sum(axis=1), {}, done, np.zeros_like(done))


def test_it_remembers_clicks_and_begins_anew():
    one = agent(history_length=3)
    luck = Luck.from_seeds(np.arange(1))
    assert_array_equal(one.act({}, luck), [[1, 3]])
    one.update(step([4, 2], [1, 1]))
    assert_array_equal(one.clicked, [[-1, 4, 2]])
    assert_array_equal(one.act({}, luck), [[3, 1]])  # after 2 comes 3
    one.update(step([3, 1], [0, 1]))
    one.update(step([0, 3], [0, 1]))
    assert_array_equal(one.clicked, [[2, 1, 3]])  # 4 is forgotten
    assert_array_equal(one.act({}, luck), [[4, 0]])
    one.update(step([4, 0], [1, 0], ended=True))
    assert_array_equal(one.clicked, [[-1, -1, -1]])
    again = agent(mask_history=False)
    again.update(step([1, 3], [1, 0]))
    assert_array_equal(again.act({}, luck), [[1, 3]])


def test_where_nothing_is_left_slots_are_empty():
    one = agent(K=3)
    for item in (0, 1, 4):
        one.update(step([item, -1, -1], [1, 0, 0]))
    assert_array_equal(one.act({}, Luck.from_seeds(np.arange(1))), [[3, 2, -1]])


def test_it_reads_the_observation_if_told_to():
    one = agent(history=lambda seen: np.where(seen["history"] == 5, -1, seen["history"]))
    seen = {"history": np.array([[5, 1, 0]])}
    assert_array_equal(one.act(seen, Luck.from_seeds(np.arange(1))), [[3, 4]])


@pytest.mark.parametrize("mask", [True, False])
def test_probabilities_of_drawn_lists_are_exact(mask):
    one = agent(lists="plackett_luce", temperature=0.7, mask_history=mask)
    one.update(step([2, 0], [1, 0]))
    theta = np.exp((SCORES + 0.5 * (np.arange(5) == 3)) / 0.7)
    if mask:
        theta[2] = 0.0
    total = 0.0
    lists = np.array(list(itertools.permutations(range(5), 2)))
    expected = {}
    for a, b in lists:
        chance = theta[a] / theta.sum() * theta[b] / (theta.sum() - theta[a])
        found = np.exp(one.log_propensities({}, np.array([[a, b]])).sum())
        assert found == pytest.approx(chance, rel=1e-9, abs=1e-300)
        expected[a, b], total = chance, total + found
    assert total == pytest.approx(1.0)
    many = agent(B=40_000, lists="plackett_luce", temperature=0.7, mask_history=mask)
    many.clicked[:, -1] = 2
    drawn = many.act({}, Luck.from_seeds(np.arange(40_000)))
    for (a, b), chance in expected.items():
        share = (drawn == [a, b]).all(axis=1).mean()
        assert abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / 40_000) + 1e-12


def test_lists_that_are_not_drawn_have_probability_one():
    one = agent()
    assert_array_equal(one.log_propensities({}, np.array([[1, 3]])), [[0.0, 0.0]])
    assert_array_equal(one.log_propensities({}, np.array([[1, 2]])), [[0.0, -np.inf]])
    assert_array_equal(one.log_propensities({}, np.array([[0, 3]])), [[-np.inf, -np.inf]])


def test_diversified_by_hand():
    """Items 1 and 3 are the two best and alike; with diversity, another direction comes second."""
    vectors = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [3.0, 0.1], [-1.0, 0.2]])
    luck = Luck.from_seeds(np.arange(1))
    by_score = agent(K=4, lists="diversified", vectors=vectors, diversity=0.0)
    assert_array_equal(by_score.act({}, luck), [[1, 3, 0, 4]])
    r = (SCORES - SCORES.min()) / np.ptp(SCORES)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for diversity in (0.3, 0.6, 1.0):
        expected = [int(r.argmax())] if diversity < 1 else [0]
        while len(expected) < 4:
            gain = {
                i: (1 - diversity) * r[i] - diversity * max(unit[i] @ unit[j] for j in expected)
                for i in set(range(5)) - set(expected)
            }
            expected.append(max(gain, key=gain.get))
        found = agent(K=4, lists="diversified", vectors=vectors, diversity=diversity).act({}, luck)
        assert_array_equal(found, [expected])
    masked = agent(K=4, lists="diversified", vectors=vectors)
    masked.update(step([1, 3, -1, -1], [1, 0, 0, 0]))
    assert 1 not in masked.act({}, luck)


def test_it_keeps_what_every_agent_promises():
    log = Log.from_interactions(np.arange(30), np.arange(30) % 5, np.zeros(30))
    for lists in ("top_k", "plackett_luce"):
        check_agent(
            lambda world, B, lists=lists: RecommenderAgent(
                PopularityRecommender(num_items=world.num_items).fit(log), B, world.slate_size, lists=lists
            ),
            learns=False,
        )


def test_true_reward_of_what_was_learned_from_a_log():
    """In ShortcutBench a Markov table is nearly as good as the best slate, if it reads who did what."""
    law = succession_law(num_items=60, branching=3, noise=0.1)
    world = SuccessionWorld(law, slate_size=5, horizon=20)
    log = succession_log(law, num_users=800, length=9, seed=1)
    B, luck = 300, Luck.from_seeds(np.arange(300) + 1000)

    def history(seen):
        return np.where(seen["history"] == 60, -1, seen["history"])

    markov, popular = MarkovRecommender(num_items=60).fit(log), PopularityRecommender(num_items=60).fit(log)
    players = {
        "random": RandomSlates(60, 5),
        "popular": RecommenderAgent(popular, B, 5, mask_history=False),
        "clicks": RecommenderAgent(markov, B, 5, mask_history=False),
        "markov": RecommenderAgent(markov, B, 5, history=history, mask_history=False),
        "drawn": RecommenderAgent(
            markov, B, 5, history=history, mask_history=False, lists="plackett_luce", temperature=3.0
        ),
    }
    rewards = {}
    for name, player in players.items():
        state, total, best = world.begin(luck), np.zeros(B), np.zeros(B)
        for t in range(20):
            seen = world.observe(state)
            slates = player.act(seen, Luck.from_seeds(np.arange(B)).at(t))
            total += world.expected_reward(state, slates)
            best += world.expected_reward(state, world.best_slate(state))
            state, o = world.respond(state, slates, luck.at(t))
            player.update(
                Transition(seen, slates, *o.response, o.reward, world.observe(state), o.left, o.left)
            )
        rewards[name] = total.mean() / best.mean()
    assert rewards["random"] < 0.12
    assert rewards["markov"] > 0.93
    assert rewards["markov"] > rewards["drawn"] > rewards["popular"]
    assert rewards["markov"] > rewards["clicks"] + 0.2  # who does not see what was taken unshown knows less


def test_logs_of_it_state_their_propensities():
    law = succession_law(num_items=12, branching=3)
    world = SuccessionWorld(law, slate_size=2, horizon=5)
    markov = MarkovRecommender(num_items=12).fit(succession_log(law, num_users=200, length=9))
    player = RecommenderAgent(markov, 50, 2, lists="plackett_luce", mask_history=False)
    (log,) = generate_log(world, player, num_users=50, steps=5, seed=3)
    assert log.log_propensity is not None
    assert (log.log_propensity < 0).all()
    assert_allclose(log.slot_log_propensity.sum(axis=1), log.log_propensity)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"lists": "best"}, "there is no kind of list 'best'"),
        ({"K": 6}, "slate_size must be at most the 5 items of the recommender, got 6"),
        ({"temperature": 0.0}, "temperature must be above 0 and finite, got 0.0"),
        ({"diversity": 2.0}, "diversity must be from 0 to 1, got 2.0"),
        ({"lists": "diversified"}, r"diversified needs finite vectors of shape \(5, D\), got None"),
        ({"history_length": 0}, "history_length must be at least 1, got 0"),
    ],
)
def test_bad_arguments(more, message):
    with pytest.raises(InputError, match=message):
        agent(**more)
    with pytest.raises(InputError, match="MarkovRecommender has learned nothing yet"):
        RecommenderAgent(MarkovRecommender(), 1, 1)
