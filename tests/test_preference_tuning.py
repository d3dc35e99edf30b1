"""Preference tuning: what a step does, what the learner is told, and rewards of simulated users."""

import math
from copy import deepcopy

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.preference.reward_model import RewardModel
from recsim_env.agents.generative.preference.rewards import (
    CollaborativeReward,
    RankingReward,
    RuleReward,
    WeightedRewards,
)
from recsim_env.agents.generative.preference.tuning import METHODS, PreferenceTuner, TuningSettings
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import TEMPERATURE, organic_users
from recsim_env.experiments.policy_measures import lists_of, longer, measure
from recsim_env.experiments.relearned_reward import RelearnedReward
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.simulators.worlds.world import take_rows

pytestmark = pytest.mark.extra

N = 40
HISTORY = np.random.default_rng(0).integers(N, size=(30, 6))


def policy_of(seed=0, *, codes=True):
    generator = torch.Generator().manual_seed(seed)
    made = random(N, levels=2, size=8, seed=1) if codes else atomic(N)
    items = CodeVectors(made.codes, made.level_sizes, 16) if codes else ItemVectors(N, 16)
    encoder = SASRec(items, max_length=6, blocks=1, dropout=0.3, generator=generator)
    head = AutoregressiveHead(made.level_sizes, 16, generator=generator) if codes else ProjectionHead(items)
    return GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))


def sharp_policy():
    """One whose items differ in how likely they are."""
    policy, generator = policy_of(5), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
    return policy


def tens(users, items):
    """Items 0, 10, 20 and 30 are liked by all."""
    return (items % 10 == 0).astype(float)


def tuner_of(reward=tens, *, policy=None, next_item=None, **settings):
    chosen = TuningSettings(**{"batch_size": 16, "num_generations": 8, "learning_rate": 5e-3, **settings})
    return PreferenceTuner(policy or policy_of(), HISTORY, reward, chosen, next_item)


def share_of_tens(policy):
    log_pi = policy.eval().log_prob(torch.from_numpy(HISTORY), torch.arange(0, N, 10).expand(30, 4))
    return float(log_pi.detach().exp().sum(dim=1).mean())


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_liked_becomes_likelier(method, codes):
    policy = policy_of(codes=codes)
    assert share_of_tens(policy) == pytest.approx(0.1, abs=0.05)
    tuner = tuner_of(policy=policy, method=method, temperature=0.1)
    for _ in range(60):
        tuner.step()
    assert share_of_tens(tuner.reference) == pytest.approx(0.1, abs=0.05)
    assert share_of_tens(tuner.policy) > 0.7


def test_first_losses():
    """At the reference DPO is ln 2, S-DPO of J others ln(1 + J), and GRPO 0."""
    assert tuner_of(method="dpo").step()["loss"] == pytest.approx(math.log(2), abs=1e-5)

    def first(users, items):  # the first of a group alone is liked
        return (np.arange(items.shape[1]) == 0).astype(float) + 0.0 * items

    found = tuner_of(first, method="softmax_dpo").step()
    assert found["loss"] == pytest.approx(math.log(1 + 7), abs=1e-5)
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert tuner_of(method="grpo").step()["loss"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("method", "beta"), [("dpo", 0.1), ("softmax_dpo", 0.1), ("grpo", 0.0)])
def test_rewards_that_are_all_alike_change_nothing(method, beta):
    answers = iter([tens, lambda users, items: np.ones(items.shape)])
    tuner = tuner_of(lambda users, items: next(answers)(users, items), method=method, beta=beta)
    tuner.step()  # so that there is momentum
    before = deepcopy(tuner.policy.state_dict())
    found = tuner.step()
    assert found["frac_reward_zero_std"] == 1.0
    assert all(torch.equal(before[name], value) for name, value in tuner.policy.state_dict().items())


def test_gradients_of_softmax_dpo_leave_out_who_is_worth_as_much():
    """Of a group of which two are best, the second has no part in the loss of the first."""
    tuner = tuner_of(method="softmax_dpo")
    log_pi = torch.tensor([[0.3, -0.2, 0.5, 0.1]], dtype=torch.float64, requires_grad=True)
    reward, reference = torch.tensor([[1.0, 1.0, 0.0, 0.2]]), torch.zeros(1, 4, dtype=torch.float64)
    tuner._loss(reward, log_pi, reference).backward()
    expected = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    others = torch.tensor([0.5, 0.1], dtype=torch.float64, requires_grad=True)
    (-torch.nn.functional.logsigmoid(-torch.logsumexp(0.1 * (others - expected), dim=0))).backward()
    assert log_pi.grad[0, 1] == 0.0
    torch.testing.assert_close(log_pi.grad[0, [0, 2, 3]], torch.stack([expected.grad, *others.grad]))


def test_a_run_repeats_and_depends_on_rewards_alone():
    """Answers that were written down do as well as users: no gradient sees what these are like."""
    of = organic_users(N, 30, 7, 3, 2, seed=4)
    simulated, answers = SimulatedReward(of.world, of.state, seed=1), []

    def asked(users, items):
        answers.append(simulated(users, items))
        return answers[-1]

    first = tuner_of(asked, method="grpo", seed=3)
    for _ in range(4):
        first.step()
    written = iter(answers)
    second = tuner_of(lambda users, items: next(written), method="grpo", seed=3)
    for _ in range(4):
        second.step()
    ours, theirs = first.policy.state_dict(), second.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert simulated.queries == 4 * 16 * 8


def test_the_log_holds_a_policy():
    """With the guard, what users took next stays likely."""
    next_item = (HISTORY[:, -1] + 1) % N

    def of_next(policy):
        rows, items = torch.from_numpy(HISTORY), torch.from_numpy(next_item)[:, None]
        return float(policy.eval().log_prob(rows, items).detach().mean())

    found = {}
    for weight in (0.0, 1.0):
        tuner = tuner_of(method="dpo", next_item=next_item, ntp_weight=weight)
        for _ in range(40):
            tuner.step()
        found[weight] = of_next(tuner.policy)
    assert found[1.0] > found[0.0] + 1.0


def test_the_reference_moves_when_it_is_asked_to():
    tuner = tuner_of(method="grpo", sync_ref_steps=2, ref_model_mixup_alpha=0.5)
    start = deepcopy(tuner.reference.state_dict())
    tuner.step()
    assert all(torch.equal(start[name], value) for name, value in tuner.reference.state_dict().items())
    tuner.step()
    for name, value in tuner.reference.named_parameters():
        expected = 0.5 * (start[name] + tuner.policy.get_parameter(name))
        torch.testing.assert_close(value, expected.detach())


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda users, items: np.ones(len(items)), r"must return \(16, 8\) rewards, got \(16,\)"),
        (lambda users, items: np.where(items == items[2, 5], np.nan, 1.0), "returned nan for item . of user"),
    ],
)
def test_rewards_that_are_none_are_refused(reward, message):
    with pytest.raises(InputError, match=message):
        tuner_of(reward).step()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "ppo"}, "there is no method 'ppo'"),
        ({"num_generations": 1}, "num_generations must be at least 2, got 1"),
        ({"method": "dpo", "beta": 0.0}, "beta must be above 0"),
        ({"method": "dpo", "loss_type": "hinge"}, "there is no loss_type 'hinge'"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"seed": 1 << 31}, r"seed must be below 2\^31"),
        ({"batch_size": 3.5}, "batch_size must be a whole number"),
        ({"scale_rewards": "all"}, "there is no scale_rewards 'all'"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"ntp_weight": -1.0}, "ntp_weight must be 0 or more"),
        ({"ref_model_mixup_alpha": 0.0}, r"ref_model_mixup_alpha must be in \(0, 1\]"),
        ({"ntp_weight": 0.1}, r"next_item must be \(30,\) where ntp_weight > 0, got None"),
    ],
)
def test_bad_settings_of_tuning(settings, message):
    with pytest.raises(InputError, match=message):
        tuner_of(**settings)


def test_groups_larger_than_the_catalogue_are_refused():
    with pytest.raises(InputError, match="num_generations = 41, but there are 40 items"):
        tuner_of(method="dpo", num_generations=41)
    tuner_of(method="grpo", num_generations=41).step()  # draws with putting back


# --- rewards


def test_simulated_rewards_are_clicks_of_users_as_they_are():
    of = organic_users(N, 50, 7, 3, 2, seed=4)
    reward = SimulatedReward(of.world, of.state, seed=1)
    users, items = np.array([3, 7, 3]), np.array([[1, 2, 1], [5, 5, 9], [1, 2, 1]])
    draws = np.stack([reward(users, items) for _ in range(4000)])
    assert reward.queries == 4000 * 9
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert np.array_equal(draws[:, :, 0][:, [0, 2]], draws[:, :, 2][:, [0, 2]])  # one luck for a user's group
    slates = np.full((9, 3), -1)
    slates[:, 0] = items.ravel()
    state = take_rows(of.state, users.repeat(3))
    expected = of.world.expected_reward(state, slates).reshape(3, 3)
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=5 * 0.5 / math.sqrt(4000))
    assert not of.state.step.any()


def test_feedback_of_one_user_is_independent():
    """Else a reward model would learn who was lucky: residuals of rows of one user do not go together."""
    of = organic_users(N, 200, 7, 3, 2, seed=4)
    reward = SimulatedReward(of.world, of.state, seed=1)
    users = np.repeat(np.arange(200), 20)
    items = np.random.default_rng(0).integers(N, size=(4000, 1))
    slates = np.pad(items, ((0, 0), (0, 2)), constant_values=-1)
    probable = of.world.expected_reward(take_rows(of.state, users), slates)
    residual = ((reward(users, items)[:, 0] - probable) / np.sqrt(probable * (1 - probable))).reshape(200, 20)
    together = (residual.sum(axis=1) ** 2 - (residual**2).sum(axis=1)) / (20 * 19)
    assert abs(together.mean()) < 4 * together.std() / math.sqrt(200)
    assert together.mean() < 0.03


def test_worlds_with_candidates_are_refused():
    world = slate_rec(num_items=50, slate_size=3, candidates=10)
    with pytest.raises(InputError, match="the world shows candidates"):
        SimulatedReward(world, world.begin(Luck.from_seeds([1])), seed=0)


def test_people_take_what_is_near_and_not_what_is_good():
    of = organic_users(60, 3000, 5, 3, 2, seed=2)
    user, features = 11, of.world.catalogue.features
    again = organic_users(60, 3000, 4000, 3, 2, seed=2)
    share = np.exp(features @ again.world.interest[user].astype(float) / TEMPERATURE)
    share /= share.sum()
    often = share > 0.005
    seen = np.bincount(again.taken[user], minlength=60)
    expected = np.append(share[often], share[~often].sum()) * 4000
    assert chisquare(np.append(seen[often], seen[~often].sum()), expected).pvalue > 1e-3
    count = np.bincount(of.taken.ravel(), minlength=60)
    assert abs(np.corrcoef(count, of.world.catalogue.quality)[0, 1]) < 0.4  # 60 items by chance: 0.13
    log = of.log(np.array([5, 9]))
    assert log.user.tolist() == [0] * 5 + [1] * 5
    assert log.slate[5:, 0].tolist() == of.taken[9].tolist()


def test_a_reward_model_learns_who_likes_what():
    rng = np.random.default_rng(1)
    history = np.where(
        rng.random((200, 1)) < 0.5, rng.integers(20, size=(200, 6)), rng.integers(20, 40, size=(200, 6))
    )
    users, items = rng.integers(200, size=20_000), rng.integers(N, size=20_000)
    likes = (history[users, 0] < 20) == (items < 20)
    feedback = rng.random(20_000) < np.where(likes, 0.8, 0.1)
    model = RewardModel(history, N).fit(users, items, feedback)
    found = model.reward(np.arange(200), np.tile([3, 33], (200, 1)))
    group = (history[:, 0] >= 20).astype(int)
    assert found[np.arange(200), group].mean() == pytest.approx(0.8, abs=0.07)
    assert found[np.arange(200), 1 - group].mean() == pytest.approx(0.1, abs=0.07)
    again = RewardModel(history, N).fit(users, items, feedback)
    assert np.array_equal(again.reward(np.arange(200), np.tile([3, 33], (200, 1))), found)
    with pytest.raises(InputError, match="feedback must be 0 or 1"):
        model.fit(users, items, rng.random(20_000))
    with pytest.raises(InputError, match="must be as many"):
        model.fit(users, items[1:], feedback)
    with pytest.raises(InputError, match=r"users\[0\] = -1"):
        model.fit(users - users[0] - 1, items, feedback)
    with pytest.raises(InputError, match=r"there are 40 \(0-39\)"):
        model.fit(users, items + 20, feedback)
    with pytest.raises(InputError, match="one or more, got"):
        RewardModel(history[:, :0], N)
    with pytest.raises(InputError, match="dimension"):
        RewardModel(history, N, dimension=0)


def tuned_by_rounds(asked, rounds=3):
    """Weights after rounds of two gradients of DPO, each on a model that learned from 40 clicks more."""
    policy = policy_of()
    reward = RelearnedReward(policy, HISTORY, asked, 40, seed=3)
    tuner = tuner_of(reward, policy=policy, method="dpo", seed=3)
    for done in range(rounds):
        if done:
            reward.relearn(tuner.policy, 40)
        for _ in range(2):
            tuner.step()
    return tuner.policy.state_dict(), reward


def test_a_relearned_reward_sees_clicks_alone_and_counts_them():
    """Clicks that were written down do as well as users: neither policy nor model sees what these are."""
    of = organic_users(N, 30, 7, 3, 2, seed=4)
    simulated, written = SimulatedReward(of.world, of.state, seed=1), []

    def asked(users, items):
        written.append((users, items, simulated(users, items)))
        return written[-1][2]

    ours, reward = tuned_by_rounds(asked)
    assert simulated.queries == 3 * 40
    assert reward.rounds == 3
    answers = iter(written)

    def replayed(users, items):
        before = next(answers)
        assert np.array_equal(users, before[0])
        assert np.array_equal(items, before[1])
        return before[2]

    theirs, again = tuned_by_rounds(replayed)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    known, other = reward.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(known[name], other[name]) for name in known)
    users, items, clicks = (np.concatenate(part) for part in zip(*written, strict=True))
    alone = RewardModel(HISTORY, N, seed=3).fit(users, items[:, 0], clicks[:, 0])  # of all that was asked
    pool, every = np.arange(30), np.tile(np.arange(N), (30, 1))
    assert np.array_equal(alone.reward(pool, every), reward(pool, every))


def test_every_round_asks_about_what_the_policy_draws_by_then():
    """Items are a sample of the policy that was given, and users and draws are others every round."""
    asked = []

    def clicks(users, items):
        asked.append((users, items[:, 0]))
        return np.zeros(items.shape)

    first, then = policy_of(0), sharp_policy()
    reward = RelearnedReward(first, HISTORY, clicks, 4000, seed=1)
    before = reward.model
    reward.relearn(then, 4000)
    reward.relearn(then, 4000)
    assert reward.model is not before
    for policy, (users, items) in zip((first, then, then), asked, strict=True):
        pi = policy.eval().log_prob(torch.from_numpy(HISTORY), torch.arange(N).expand(30, N)).detach().exp()
        expected = pi.double()[torch.from_numpy(users)].sum(dim=0).numpy()
        seen = np.bincount(items, minlength=N)
        often = expected > 5.0
        cells = np.append(seen[often], seen[~often].sum()), np.append(expected[often], expected[~often].sum())
        there = cells[1] > 0
        assert chisquare(cells[0][there], cells[1][there] / cells[1].sum() * 4000).pvalue > 1e-3
    assert not np.array_equal(asked[1][0], asked[2][0])
    assert not np.array_equal(asked[1][1], asked[2][1])
    with pytest.raises(InputError, match="feedbacks must be at least 1, got 0"):
        reward.relearn(then, 0)


def test_a_model_that_is_relearned_finds_out_where_it_was_wrong():
    """Of items that the first policy never shows the model knows nothing; a policy that does shows them."""
    liked = np.arange(N) < 5

    def clicks(users, items):
        return liked[items].astype(float)

    generator = np.random.default_rng(0)

    class Shows:
        """Draws from some items, whatever the history."""

        def __init__(self, items):
            self.items, self.num_items = items, N

        def generate(self, history, k, mode, luck):
            drawn = torch.from_numpy(generator.choice(self.items, size=(len(history), k)))
            return drawn, drawn * 0.0

    reward = RelearnedReward(Shows(np.arange(10)), HISTORY, clicks, 3000, seed=0)
    pool, bad = np.arange(30), np.tile(np.arange(30, 40), (30, 1))
    before = reward(pool, bad).mean()
    reward.relearn(Shows(np.arange(30, 40)), 3000)
    good = np.tile(np.arange(5), (30, 1))
    assert before > 0.2
    assert reward(pool, bad).mean() < 0.05
    assert reward(pool, good).mean() > 0.9  # the first round is not forgotten


# --- measures


def test_measures_of_one_who_knows():
    of = organic_users(60, 40, 7, 10, 3, seed=2)
    users = np.arange(40)

    def best(history, rows):
        return of.world.best_slate(take_rows(of.state, rows))

    found = measure(best, of, users, seed=0)
    assert found["regret"] == 0.0
    assert found["session"] == pytest.approx(3 * found["slate_reward"])
    reward = of.world.expected_reward(of.state, of.world.best_slate(of.state)).mean()
    assert found["slate_reward"] == pytest.approx(reward)
    assert found["coverage"] == len(np.unique(of.world.best_slate(of.state))) / 60


def test_clicked_items_end_a_history():
    history = np.array([[-1, 4, 5], [1, 2, 3]])
    clicked = np.array([[True, False, True], [False, False, False]])
    with_clicks = longer(history, np.array([[7, 8, 9], [7, 8, 9]]), clicked)
    assert with_clicks.tolist() == [[5, 7, 9], [1, 2, 3]]


def test_lists_are_those_of_beams():
    policy = policy_of()
    lists = lists_of(policy)(HISTORY, np.arange(30))
    assert np.array_equal(lists, policy.generate(torch.from_numpy(HISTORY), 10)[0].numpy())


NEXT = np.array([4, 9, 2])
USERS, ITEMS = np.array([2, 0]), np.array([[2, 5, 7], [1, 3, 8]])


def test_rewards_of_the_log():
    assert RuleReward(NEXT)(USERS, ITEMS).tolist() == [[1, 0, 0], [0, 0, 0]]
    weight = 1 / np.log2([2, 3, 4])
    expected = [[0, *(-weight[1:] / weight.sum())], [0, 0, 0]]
    np.testing.assert_allclose(RankingReward(NEXT)(USERS, ITEMS), expected)
    both = WeightedRewards([RuleReward(NEXT), RankingReward(NEXT)], [2.0, 1.0])
    np.testing.assert_allclose(both(USERS, ITEMS), expected + 2.0 * RuleReward(NEXT)(USERS, ITEMS))


def test_rewards_of_another_recommender():
    of = organic_users(60, 50, 9, 3, 2, seed=2)
    recommender = MarkovRecommender(order=1, num_items=60).fit(of.log(np.arange(50)))
    found = CollaborativeReward(recommender, of.taken)(np.array([3, 8]), np.array([[1, 2], [30, 1]]))
    scores = recommender.scores(of.taken[[3, 8]])
    expected = (scores - scores.mean(axis=1)[:, None]) / scores.std(axis=1)[:, None]
    np.testing.assert_allclose(found, [[expected[0, 1], expected[0, 2]], [expected[1, 30], expected[1, 1]]])


def test_rewards_that_cannot_be():
    with pytest.raises(InputError, match="next_item must be integers of 1 axes"):
        RuleReward(np.ones((3, 2), int))
    with pytest.raises(InputError, match="next_item must be integers"):
        RankingReward(np.ones(3))
    with pytest.raises(InputError, match="reward_weights must be finite, one for each of 1 rewards"):
        WeightedRewards([RuleReward(NEXT)], [1.0, 2.0])
