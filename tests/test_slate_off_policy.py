"""Slate estimators: unbiased where they should be by enumeration of all slates, biased where they should be,
equal to the Open Bandit Pipeline; and the exact marginals of Plackett-Luce policies.

`slate_log_obp.npz` holds the logs and probabilities of `SyntheticSlateBanditDataset` of the Open Bandit
Pipeline 0.5.5 (github.com/st-tech/zr-obp at 8cbd5fa, Apache-2.0; NumPy 2.4.6, scikit-learn 1.9.1, Python
3.11): n_unique_action=6, len_list=3, dim_context=2, reward_type="binary", behavior_policy_function=
linear_behavior_policy_logit, base_reward_function=logistic_reward_function, random_state=12345, 2,000
rounds; reward_structure and click_model ("independent", None), ("cascade_additive", "cascade") and
("standard_additive", None), whose actions are the same; evaluation logits linspace(1, -1, 6); Q from
SlateRegressionModel with DecisionTreeRegressor(max_depth=3, random_state=12345). behavior_logit is that of
the first row less its first item's: all rows have the same up to a constant.
"""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats
from sklearn.tree import DecisionTreeRegressor

from recsim_env.agents.baselines.logging_policies import PlackettLuceSlates
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, EmpiricalBernstein, Estimate
from recsim_env.evaluation.off_policy import (
    aips,
    cascade_dr,
    choose_behavior,
    fit_cascade_q,
    iips,
    importance_weights,
    plackett_luce_log_joint,
    plackett_luce_marginals,
    plackett_luce_marginals_sampled,
    plackett_luce_pair_marginals,
    plackett_luce_slot_prob,
    position_weights,
    prefix_weights,
    pseudo_inverse,
    pseudo_inverse_weights,
    q_of_log,
    relevant_slots,
    rips,
    sips,
    slate_weights,
    slot_diagnostics,
    sn_pseudo_inverse,
    snaips,
    sniips,
    snrips,
    snsips,
    uniform_pseudo_inverse_weights,
)
from recsim_env.user_models.choices import PlackettLuce


class World(NamedTuple):
    """All slates of K out of N items, two Plackett-Luce policies, and what each slot earns on average."""

    slate: np.ndarray  # (S, K)
    logging: np.ndarray  # (N,) logits
    target: np.ndarray  # (N,)
    reward: np.ndarray  # (S, K)

    def log_prob(self, logits: np.ndarray) -> np.ndarray:
        """(S, K) of every slot, given those above."""
        prob = plackett_luce_slot_prob(logits, self.slate)
        return np.log(np.take_along_axis(prob, self.slate[:, :, None], axis=2)[:, :, 0])

    def value(self) -> float:
        """Of the target policy."""
        return float(np.exp(self.log_prob(self.target).sum(axis=1)) @ self.reward.sum(axis=1))

    def mean(self, estimator: Callable[..., Estimate], *columns: np.ndarray) -> float:
        """The expectation of a linear estimator: over logs of one row."""
        chance = np.exp(self.log_prob(self.logging).sum(axis=1))
        return sum(p * estimator(*(c[[s]] for c in columns)).value for s, p in enumerate(chance))

    def weights(self) -> dict[str, np.ndarray]:
        """By the name of the estimator that averages them."""
        K = self.slate.shape[1]
        target, logging = self.log_prob(self.target), self.log_prob(self.logging)
        marginals = [plackett_luce_marginals(logits, K) for logits in (self.target, self.logging)]
        return {
            "sips": slate_weights(target, logging),
            "rips": prefix_weights(target, logging),
            "iips": position_weights(*marginals, self.slate),
        }

    def joint_weights(self, relevant: np.ndarray) -> np.ndarray:
        """(S, K) of the items at the relevant slots."""
        joint = [
            plackett_luce_log_joint(logits, self.slate, relevant) for logits in (self.target, self.logging)
        ]
        return importance_weights(*joint)


def made(behavior: str, K: int, seed: int = 0, N: int = 4) -> World:
    """A world whose reward of a slot is a random number for every choice of items at its relevant slots."""
    rng = np.random.default_rng(seed)
    slate = np.array(list(permutations(range(N), K)))
    relevant, reward = relevant_slots(behavior, K), np.empty(slate.shape)
    for k in range(K):
        seen = np.unique(np.where(relevant[k], slate, -1), axis=0, return_inverse=True)[1].ravel()
        reward[:, k] = rng.random(seen.max() + 1)[seen]
    return World(slate, rng.normal(size=N), rng.normal(size=N), reward)


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("behavior", ["independent", "cascade", "standard"])
def test_inverse_propensity_scores_by_enumeration(behavior: str, K: int) -> None:
    world = made(behavior, K)
    weights, value = world.weights(), world.value()
    for estimator in (sips, rips, iips):
        name = estimator.__name__
        right = {"sips": True, "rips": behavior != "standard", "iips": behavior == "independent"}[name]
        error = abs(world.mean(estimator, world.reward, weights[name]) - value)
        assert error < 1e-12 if right else error > 0.01, name
    slates = world.mean(sips, world.reward.sum(axis=1), weights["sips"])  # rewards of slates are enough
    assert slates == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("K", [2, 3])
def test_cascade_dr_by_enumeration(K: int) -> None:
    world = made("cascade", K)
    S, N = len(world.slate), 4
    weight, prob = world.weights()["rips"], plackett_luce_slot_prob(world.target, world.slate)
    q = np.random.default_rng(1).normal(size=(S, K, N))
    for k in range(K):  # a wrong model, but a function of the items above
        above = (
            np.unique(world.slate[:, :k], axis=0, return_inverse=True)[1].ravel() if k else np.zeros(S, int)
        )
        q[:, k] = q[:, k][above]
    logged, expected = q_of_log(q, prob, world.slate)
    assert world.mean(cascade_dr, world.reward, weight, logged, expected) == pytest.approx(
        world.value(), abs=1e-12
    )
    other = made("standard", K)._replace(logging=world.logging, target=world.target)
    assert abs(other.mean(cascade_dr, other.reward, weight, logged, expected) - other.value()) > 0.01
    zero = np.zeros_like(logged)
    assert cascade_dr(world.reward, weight, zero, zero).value == pytest.approx(
        rips(world.reward, weight).value
    )


def test_cascade_dr_with_the_exact_model_has_no_variance() -> None:
    world = made("cascade", 3)
    prob = plackett_luce_slot_prob(world.target, world.slate)
    # a tree without limits on all slates once learns the exact model
    tree = DecisionTreeRegressor(random_state=0)
    q = fit_cascade_q(world.slate, world.reward, prob, tree)
    assert not hasattr(tree, "tree_")  # it was copied
    columns = (world.reward, world.weights()["rips"], *q_of_log(q, prob, world.slate))
    for s in range(len(world.slate)):
        assert cascade_dr(*(c[[s]] for c in columns)).value == pytest.approx(world.value(), abs=1e-12)
    assert cascade_dr(*columns).std_error < 1e-12


@pytest.mark.parametrize(
    ("behavior", "K"),
    [("independent", 2), ("cascade", 3), ("standard", 3), ("near-1", 3), ("above-1", 3), ("top-1", 3),
     ("top-2", 3)],
)  # fmt: skip
def test_aips_by_enumeration(behavior: str, K: int) -> None:
    world = made(behavior, K)
    weight = world.joint_weights(relevant_slots(behavior, K))
    assert world.mean(aips, world.reward, weight) == pytest.approx(world.value(), abs=1e-12)
    if behavior != "independent":
        narrow = world.joint_weights(relevant_slots("independent", K))
        assert abs(world.mean(aips, world.reward, narrow) - world.value()) > 0.01


def test_aips_with_a_behaviour_for_every_row() -> None:
    both = [made("independent", 3), made("near-1", 3)]
    half = [relevant_slots(b, 3) for b in ("independent", "near-1")]
    for world, relevant in zip(both, half, strict=True):
        mask = np.broadcast_to(relevant, (len(world.slate), 3, 3))
        np.testing.assert_array_equal(world.joint_weights(mask), world.joint_weights(relevant))
        assert world.mean(aips, world.reward, world.joint_weights(mask)) == pytest.approx(
            world.value(), abs=1e-12
        )


def test_aips_holds_the_others() -> None:
    world, weights = made("standard", 3), made("standard", 3).weights()
    for behavior, name in (("independent", "iips"), ("cascade", "rips")):
        weight = world.joint_weights(relevant_slots(behavior, 3))
        np.testing.assert_allclose(weight, weights[name], rtol=1e-12)
    weight = world.joint_weights(relevant_slots("standard", 3))
    np.testing.assert_allclose(weight, np.repeat(weights["sips"][:, None], 3, axis=1), rtol=1e-12)
    assert aips(world.reward, weight).value == pytest.approx(sips(world.reward, weights["sips"]).value)
    assert snaips(world.reward, weight).value == pytest.approx(snsips(world.reward, weights["sips"]).value)


def test_behaviours_by_hand() -> None:
    flags = {name: relevant_slots(name, 4).astype(int).tolist() for name in ("above-1", "near-1", "top-2")}
    assert flags["above-1"] == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert flags["near-1"] == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert flags["top-2"] == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_behaviour_is_found_in_data() -> None:
    behaviors = ("standard", "cascade", "independent")
    worlds = [made("independent", 2, seed=5), made("standard", 2, seed=5)]
    rng, rows = np.random.default_rng(0), 30_000
    reward, weight, truth = [], [], 0.0
    for world in worlds:
        chance = np.exp(world.log_prob(world.logging).sum(axis=1))
        drawn = rng.choice(len(chance), rows, p=chance / chance.sum())
        reward.append(rng.random((rows, 2)) < world.reward[drawn])
        weight.append(np.stack([world.joint_weights(relevant_slots(b, 2))[drawn] for b in behaviors]))
        truth += world.value() / 2
    reward, weight = np.concatenate(reward), np.concatenate(weight, axis=1)
    choice = choose_behavior(reward, weight, context_group=np.repeat([4, 9], rows))
    assert (choice[:rows] == 2).all()  # independent users: the fewest slots
    assert (choice[rows:, 0] == 0).all()  # the first slot of standard users: a cascade lacks the second
    chosen = aips(reward, np.take_along_axis(weight, choice[None], axis=0)[0])
    assert abs(chosen.value - truth) < 3 * chosen.std_error
    wrong = aips(reward, weight[2])
    assert abs(wrong.value - truth) > 5 * wrong.std_error
    assert chosen.std_error < aips(reward, weight[0]).std_error


@pytest.mark.parametrize("K", [2, 3])
def test_pseudo_inverse_by_enumeration(K: int) -> None:
    world = made("independent", K)
    pairs = plackett_luce_pair_marginals(world.logging, K)
    for logits in (
        world.target,
        np.array([0.0, 300.0, 600.0, 150.0]),
    ):  # the second is deterministic, but for e-65
        this = world._replace(target=logits)
        weight = pseudo_inverse_weights(this.slate, plackett_luce_marginals(logits, K), pairs)
        assert this.mean(pseudo_inverse, this.reward.sum(axis=1), weight) == pytest.approx(
            this.value(), abs=1e-12
        )
    chance = np.exp(world.log_prob(world.logging).sum(axis=1))
    assert chance @ weight == pytest.approx(1, abs=1e-12)
    assert weight.min() < 0
    other = made("standard", K)._replace(logging=world.logging)
    weight = pseudo_inverse_weights(other.slate, plackett_luce_marginals(other.target, K), pairs)
    assert abs(other.mean(pseudo_inverse, other.reward, weight) - other.value()) > 0.01


@pytest.mark.parametrize(("N", "K"), [(4, 2), (4, 3), (4, 4), (5, 1)])
def test_pseudo_inverse_of_uniform_logs(N: int, K: int) -> None:
    world = made("independent", K, N=N)._replace(logging=np.zeros(N))
    marginal = plackett_luce_marginals(world.target, K)
    weight = uniform_pseudo_inverse_weights(world.slate, marginal)
    assert world.mean(pseudo_inverse, world.reward, weight) == pytest.approx(world.value(), abs=1e-12)
    pairs = plackett_luce_pair_marginals(world.logging, K)
    np.testing.assert_allclose(
        pseudo_inverse_weights(world.slate, marginal, pairs), weight, rtol=1e-11, atol=1e-11
    )
    every = np.broadcast_to(pairs, (len(world.slate), *pairs.shape))
    np.testing.assert_allclose(
        pseudo_inverse_weights(world.slate, marginal, every), weight, rtol=1e-11, atol=1e-11
    )
    # of all slates once the mean weight is 1, and self-normalising changes nothing
    assert sn_pseudo_inverse(world.reward, weight).value == pytest.approx(world.value(), abs=1e-12)
    if K == 1:
        np.testing.assert_allclose(weight, world.weights()["sips"], rtol=1e-12)


def test_pseudo_inverse_of_rare_items() -> None:
    """An item that the log shows once in 10^13 slates is rare, not absent."""
    world = made("independent", 2)._replace(logging=np.array([0.0, 0.0, 0.5, -30.0]))
    pairs = plackett_luce_pair_marginals(world.logging, 2)
    weight = pseudo_inverse_weights(world.slate, plackett_luce_marginals(world.target, 2), pairs)
    assert world.mean(pseudo_inverse, world.reward, weight) == pytest.approx(world.value(), rel=1e-9)


def test_pseudo_inverse_of_what_the_log_does_not_tell_apart() -> None:
    slate = np.array([[0, 1], [2, 3]] * 20)  # the first item decides the second
    pairs = np.einsum("sia,sjb->iajb", *[np.eye(4)[slate]] * 2) / len(slate)
    mixture = np.array([[0.7, 0, 0.3, 0], [0, 0.7, 0, 0.3]])
    weight = pseudo_inverse_weights(slate, mixture, pairs)
    np.testing.assert_allclose(weight, np.tile([1.4, 0.6], 20))
    mixture[1] = [0, 0.2, 0, 0.8]
    with pytest.raises(InputError, match=r"target_marginal\[0\] is no mixture"):
        pseudo_inverse_weights(slate, mixture, pairs)


def test_self_normalised_forms() -> None:
    world = made("independent", 3)._replace(logging=np.zeros(4))  # all slates once are the log's distribution
    weights = world.weights()
    for estimator in (snsips, snrips, sniips, snaips):
        weight = weights[estimator.__name__[2:].replace("aips", "rips")]
        found = estimator(world.reward, weight)
        assert found.value == pytest.approx(world.value(), abs=1e-12)
        assert estimator(world.reward, 7 * weight, clipped=True).value == pytest.approx(found.value)
        uneven = np.random.default_rng(0).gamma(1.0, size=weight.shape)
        assert estimator(np.ones((24, 3)), uneven).value == pytest.approx(3)
        with pytest.raises(InputError, match="not for"):
            estimator(world.reward, weight, interval=EmpiricalBernstein(0.0, 9.0))
    by_slot = np.random.default_rng(1).gamma(1.0, size=(24, 3))
    by_hand = sum(np.average(world.reward[:, k], weights=by_slot[:, k]) for k in range(3))
    assert sniips(world.reward, by_slot).value == pytest.approx(by_hand)


def test_errors_of_self_normalised_forms_agree_with_repetitions() -> None:
    world, rng = made("standard", 3), np.random.default_rng(2)
    world = world._replace(
        target=(world.target + world.logging) / 2
    )  # heavier weights need more rows than 2,000
    weight = world.weights()["rips"]
    drawn = rng.choice(24, (1000, 2000), p=np.exp(world.log_prob(world.logging).sum(axis=1)))
    values = np.array([snrips(world.reward[d], weight[d]).value for d in drawn])
    errors = [snrips(world.reward[d], weight[d]).std_error for d in drawn[:100]]
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.08)
    one = drawn[0]
    low, high = snrips(world.reward[one], weight[one], interval=Bootstrap(resamples=4000)).interval
    assert (high - low) / 3.92 == pytest.approx(errors[0], rel=0.08)
    same = np.repeat(one[:500], 4)  # four equal rows a user: a quarter of the samples
    grouped = snrips(world.reward[same], weight[same], groups=np.arange(2000) // 4)
    assert grouped.std_error == pytest.approx(snrips(world.reward[one[:500]], weight[one[:500]]).std_error)


def test_empty_slots_count_as_weight_one_and_reward_zero() -> None:
    slate = np.array([[0, 1, -1], [2, 0, 1], [1, -1, -1]])
    target, logging = np.log([[0.5, 0.2, 0.1]] * 3), np.log([[0.25, 0.4, 0.2]] * 3)
    logging[0, 2] = np.nan  # what is written in empty slots does not matter
    expected = [[2, 1, 1], [2, 1, 0.5], [2, 2, 2]]
    np.testing.assert_allclose(prefix_weights(target, logging, slate=slate), expected)
    np.testing.assert_allclose(slate_weights(target, logging, slate=slate), [1, 0.5, 2])
    marginals = np.full((3, 3), 1 / 3), np.array([[0.5, 0.25, 0.25]] * 3)
    found = position_weights(*marginals, slate)
    np.testing.assert_allclose(found, [[2 / 3, 4 / 3, 1], [4 / 3, 2 / 3, 4 / 3], [4 / 3, 1, 1]])
    logged, _ = q_of_log(np.ones((3, 3, 3)), np.full((3, 3, 3), 1 / 3), slate)
    assert (logged == (slate >= 0)).all()


def test_a_slate_of_one_is_single_action_scoring() -> None:
    world = made("standard", 1)
    weights = world.weights()
    for name in ("rips", "iips"):
        np.testing.assert_allclose(weights[name][:, 0], weights["sips"])


def test_the_worst_slot_speaks() -> None:
    rng = np.random.default_rng(0)
    weight = np.stack([np.ones(400), rng.exponential(size=400), rng.pareto(0.3, size=400)], axis=1)
    estimate = rips(np.ones((400, 3)), weight)
    found = slot_diagnostics(weight)
    assert estimate.effective_sample_size == found[2].effective_sample_size < 30
    assert [len(slot.warnings) > 0 for slot in found] == [False, False, True]
    assert all(warning.startswith("slot 2: ") for warning in estimate.warnings)
    assert not estimate.believable
    both = iips(np.ones((400, 3)), weight[:, [2, 2, 0]])
    assert both.warnings[-1].startswith("slot 1: warnings as well")
    assert rips(np.ones((400, 3)), weight[:, [0, 1, 1]]).believable
    few = pseudo_inverse(np.ones(400), np.where(np.arange(400) < 20, 20.0, 0.0))
    assert few.effective_sample_size == pytest.approx(20)
    assert few.warnings == ("the effective sample size is 20.0 of 400 rows",)
    assert pseudo_inverse(np.ones(400), np.ones(400)).believable
    absent = pseudo_inverse(np.ones(400), np.where(np.arange(400) % 2, 1.0, -0.5))
    assert "not 1" in absent.warnings[-1]


TABLE = {  # the published-code golden table: Open Bandit Pipeline 0.5.5, see the top of this file
    "independent": (1.582238, 1.599574, 1.575656, 1.567295, 1.671947, 1.580843, 1.597349, 1.605674),
    "cascade": (1.220081, 1.161057, 1.009241, 1.137785, 1.213590, 1.013124, 1.153591, 1.162849),
    "standard": (1.650067, 1.476272, 1.049448, 1.282026, 1.543066, 1.052835, 1.309630, 1.325634),
}


@pytest.fixture(scope="module")
def obp() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "slate_log_obp.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("structure", TABLE)
def test_golden_table_of_the_open_bandit_pipeline(obp: dict[str, np.ndarray], structure: str) -> None:
    reward = obp[f"reward_{structure}"]
    weight = {
        "sips": importance_weights(np.log(obp["target_pscore"]), np.log(obp["pscore"])),
        "iips": importance_weights(
            np.log(obp["target_pscore_item_position"]), np.log(obp["pscore_item_position"])
        ),
        "rips": importance_weights(np.log(obp["target_pscore_cascade"]), np.log(obp["pscore_cascade"])),
    }
    found = [
        estimator(reward, weight[name])
        for estimator, name in (
            (sips, "sips"), (iips, "iips"), (rips, "rips"),
            (snsips, "sips"), (sniips, "iips"), (snrips, "rips")
        )
    ]  # fmt: skip
    q = obp[f"q_logged_{structure}"], obp[f"q_expected_{structure}"]
    found.append(cascade_dr(reward, weight["rips"], *q))
    np.testing.assert_allclose([e.value for e in found], TABLE[structure][1:], atol=1e-6)
    truth, independent = TABLE[structure][0], found[1]
    if structure == "independent":
        assert abs(independent.value - truth) < 3 * independent.std_error
    else:  # as published: the bias of IIPS is far outside its own interval, which looks sure of it
        assert truth - independent.value > 5 * independent.std_error
        assert independent.believable
    assert abs(found[0].value - truth) < 3 * found[0].std_error


def test_weights_and_models_of_the_open_bandit_pipeline(obp: dict[str, np.ndarray]) -> None:
    slate = obp["slate"].astype(np.int64)
    target, logging = np.linspace(1, -1, 6), obp["behavior_logit"]
    for logits, prefix in ((target, "target_"), (logging, "")):
        shown = np.take_along_axis(plackett_luce_marginals(logits, 3).T, slate, axis=0)
        np.testing.assert_allclose(shown, obp[prefix + "pscore_item_position"], rtol=1e-12)
        prob = np.take_along_axis(plackett_luce_slot_prob(logits, slate), slate[:, :, None], axis=2)[:, :, 0]
        np.testing.assert_allclose(prob.cumprod(axis=1), obp[prefix + "pscore_cascade"], rtol=1e-12)
        np.testing.assert_allclose(prob.prod(axis=1), obp[prefix + "pscore"], rtol=1e-12)
    prob = plackett_luce_slot_prob(target, slate)
    tree = DecisionTreeRegressor(max_depth=3, random_state=12345)
    q = fit_cascade_q(slate, obp["reward_cascade"], prob, tree, context=obp["context"])
    logged, expected = q_of_log(q, prob, slate)
    np.testing.assert_allclose(logged, obp["q_logged_cascade"], atol=1e-9)
    np.testing.assert_allclose(expected, obp["q_expected_cascade"], atol=1e-9)


def enumerated(theta: np.ndarray, K: int) -> tuple[np.ndarray, np.ndarray]:
    """All slates (S, K) and their probabilities (S,), by plain loops."""
    slates, chances = [], []
    for slate in permutations(range(len(theta)), K):
        chance, left = 1.0, set(range(len(theta)))
        for item in slate:
            chance *= np.exp(theta[item]) / sum(np.exp(theta[b]) for b in left)
            left.remove(item)
        slates.append(slate)
        chances.append(chance)
    return np.array(slates), np.array(chances)


@pytest.mark.parametrize(("N", "K"), [(1, 1), (4, 1), (4, 2), (4, 4), (6, 3), (7, 4), (6, 6)])
def test_marginals_are_those_of_enumeration(N: int, K: int) -> None:
    theta = 2 * np.random.default_rng(N * 10 + K).normal(size=(2, N))
    marginals, pairs = plackett_luce_marginals(theta, K), plackett_luce_pair_marginals(theta, K)
    for b in range(2):
        slates, chances = enumerated(theta[b], K)
        holds = np.eye(N)[slates]  # (S, K, N)
        np.testing.assert_allclose(marginals[b], np.einsum("s,ska->ka", chances, holds), rtol=1e-12)
        both = np.einsum("s,sja,skb->jakb", chances, holds, holds)
        np.testing.assert_allclose(pairs[b], both, rtol=1e-12, atol=1e-16)
        np.testing.assert_array_equal(plackett_luce_marginals(theta[b], K), marginals[b])
        some = slates[:: max(1, len(slates) // 20)]
        relevant = np.random.default_rng(b).random((len(some), K, K)) < 0.4
        joint = plackett_luce_log_joint(theta[b], some, relevant)
        same = (some[:, None, None] == slates[None, :, None]) | ~relevant[:, None]  # (r, S, K, K)
        np.testing.assert_allclose(
            np.exp(joint), np.einsum("s,rsk->rk", chances, same.all(axis=3)), rtol=1e-12
        )


def test_marginals_of_extreme_logits_lose_nothing() -> None:
    marginal = plackett_luce_marginals(np.array([700.0, 0.0, 0.0, 0.0]), 2)
    np.testing.assert_allclose(marginal[1, 1:], 1 / 3, rtol=1e-12)
    np.testing.assert_allclose(marginal[0, 1:], np.exp(-700), rtol=1e-12)
    assert marginal[1, 0] == pytest.approx(3 * np.exp(-700), rel=1e-12)


def test_marginals_of_many_items_sum_to_one() -> None:
    marginal = plackett_luce_marginals(np.random.default_rng(0).normal(size=40), 5)
    np.testing.assert_allclose(marginal.sum(axis=1), 1, rtol=1e-12)
    sampled = plackett_luce_marginals_sampled(np.random.default_rng(0).normal(size=40), 5, samples=20_000)
    np.testing.assert_allclose(sampled[0], marginal[0], rtol=1e-12)
    spread = np.sqrt(marginal * (1 - marginal) / 20_000)
    assert (np.abs(sampled - marginal)[1:] < 4 * spread[1:]).all()
    np.testing.assert_allclose(sampled.sum(axis=1), 1, rtol=1e-12)
    assert (
        plackett_luce_marginals_sampled(np.zeros(400), 9, samples=2) > 0
    ).all()  # far too many to count out


def test_sampled_slates_have_the_marginals() -> None:
    theta, rng = np.array([1.0, 0.3, -0.5, 0.0, 0.8]), np.random.default_rng(7)
    slates = np.argsort(-(theta + rng.gumbel(size=(40_000, 5))), axis=1)[:, :3]
    for k, expected in enumerate(plackett_luce_marginals(theta, 3)):
        counts = np.bincount(slates[:, k], minlength=5)
        assert stats.chisquare(counts, 40_000 * expected).pvalue > 1e-4


def test_the_policies_that_make_logs_agree() -> None:
    rng = np.random.default_rng(3)
    scores, state = rng.normal(size=(5, 7)), rng.integers(5, size=60)
    slate = np.argsort(rng.random((60, 7)), axis=1)[:, :4]
    prob = np.take_along_axis(plackett_luce_slot_prob(scores[state], slate), slate[:, :, None], axis=2)[
        :, :, 0
    ]
    logged = PlackettLuceSlates(scores, 4).log_propensities({"state": state}, slate)
    np.testing.assert_allclose(np.log(prob), logged, rtol=1e-12)
    whole = PlackettLuce().log_prob(scores[state], slate)
    np.testing.assert_allclose(np.log(prob).sum(axis=1), whole, rtol=1e-12)


ONES, HALF = np.ones((2, 2)), np.full((2, 3), 1 / 3)
SLATE = np.array([[0, 1], [2, 0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sips(ONES, np.ones(3)), "slate_weight must have 2 rows as reward has, got 3"),
        (lambda: sips(np.array([[1, 2], [3, np.nan]]), np.ones(2)), r"reward\[1, 1\] = nan: it is not"),
        (lambda: sips(np.ones(2), np.array([1, -1])), r"weight\[1\] = -1.0"),
        (lambda: snsips(ONES, np.zeros(2)), "all rows have weight 0"),
        (lambda: iips(ONES, np.ones((2, 3))), r"slot_weight must have the shape of slot_reward, \(2, 2\)"),
        (lambda: rips(ONES, np.array([[1, 1], [-2.0, 1]])), r"slot_weight\[1, 0\] = -2.0: weights are"),
        (lambda: aips(np.array([["a"]]), np.ones((1, 1))), "slot_reward must hold numbers"),
        (lambda: sniips(ONES, np.array([[1, 0], [1, 0]])), "at slot 1 all 2 weights are 0"),
        (lambda: cascade_dr(ONES, ONES, ONES, np.full((2, 2), np.inf)), r"q_expected\[0, 0\] = inf"),
        (lambda: q_of_log(np.ones((2, 2, 3)), np.ones((2, 2, 3)), SLATE), r"sum of slot_target\[0, 0\] = 3"),
        (lambda: q_of_log(np.full((2, 2, 3), np.nan), HALF, SLATE), r"q\[0, 0, 0\] = nan"),
        (lambda: fit_cascade_q(-SLATE, ONES, HALF, DecisionTreeRegressor()), r"slate\[1, 0\] = -2"),
        (
            lambda: fit_cascade_q(SLATE, ONES, HALF, DecisionTreeRegressor(), context=np.ones(2)),
            r"context must have shape \(2, D\)",
        ),
        (
            lambda: slate_weights(np.zeros((2, 2)), np.array([[0, -1], [-np.inf, 0]])),
            r"log_logging\[1, 0\] = -inf: the log's policy cannot",
        ),
        (lambda: prefix_weights(np.array([[0, 0.2]]), np.zeros((1, 2))), r"log_target\[0, 1\] = 0.2"),
        (lambda: prefix_weights(np.zeros(2), np.zeros(2)), "need the propensity of every slot"),
        (lambda: prefix_weights(ONES, -ONES, slate=np.ones((2, 3))), "slate must have the shape of slot_log"),
        (lambda: position_weights(HALF, 2 * HALF, SLATE), r"the sum of logging_marginal\[0\] = 2"),
        (lambda: position_weights(HALF, HALF[:1], SLATE), r"logging_marginal must have shape \(2, 2, N\)"),
        (lambda: position_weights(HALF, np.full((2, 4), 0.25), SLATE), "as many items as logging_m.*, 4"),
        (lambda: position_weights(HALF, np.eye(3)[:2], SLATE), r"log_logging\[1, 0\] = -inf"),
        (lambda: position_weights(HALF, HALF, SLATE + 2), r"slate\[0, 1\] = 3: .* has 3 items \(0-2\)"),
        (lambda: position_weights(HALF, HALF, np.zeros((2, 2), int)), r"slate\[0, 1\] = 0 is .* twice"),
        (lambda: pseudo_inverse(np.ones(2), np.array([1, np.nan])), r"weight\[1\] = nan"),
        (lambda: pseudo_inverse(np.ones(2), np.ones(3)), r"weight must have shape \(2,\)"),
        (
            lambda: pseudo_inverse_weights(
                SLATE, HALF, np.array([1.0, 1, 0])[None, :, None, None] * np.ones((2, 3, 2, 3))
            ),
            r"target_marginal\[0, 0, 2\] = .* never puts item 2 at slot 0",
        ),
        (lambda: pseudo_inverse_weights(SLATE, HALF, np.ones((2, 3, 2))), "logging_pairs must have shape"),
        (lambda: uniform_pseudo_inverse_weights(SLATE - 1, HALF), r"slate\[0, 0\] = -1: the slot is empty"),
        (lambda: relevant_slots("top-0", 3), "behavior must be independent, .* got 'top-0'"),
        (lambda: relevant_slots("cascades", 3), "got 'cascades'"),
        (lambda: choose_behavior(ONES, np.ones((1, 2, 3))), "behaviour 0: slot_weight must have the shape"),
        (lambda: choose_behavior(ONES, np.ones((1, 2, 2)), context_group=np.arange(2)), "has no other row"),
        (lambda: plackett_luce_marginals(np.array([[0, np.nan]]), 1), r"logits\[0, 1\] = nan: it is not"),
        (lambda: plackett_luce_marginals(np.zeros(3), 4), "slate_size must be .* from 1 to N = 3, got 4"),
        (lambda: plackett_luce_marginals(np.array([0, 800]), 1), r"logits\[0\] are 800 apart"),
        (lambda: plackett_luce_marginals(np.zeros(200), 6), "use plackett_luce_marginals_sampled"),
        (lambda: plackett_luce_pair_marginals(np.zeros((60_000, 10)), 5), "give fewer rows at a time"),
        (lambda: plackett_luce_log_joint(np.zeros(3), SLATE, ONES), "relevant must hold flags"),
        (lambda: plackett_luce_log_joint(np.zeros((3, 3)), SLATE, ONES > 0), "logits must have 2 rows"),
        (lambda: plackett_luce_slot_prob(np.zeros(3), SLATE - 1), r"slate\[0, 0\] = -1: the slot is empty"),
        (lambda: plackett_luce_marginals_sampled(np.zeros(3), 2, samples=0), "samples must be 1 or more"),
    ],
)  # fmt: skip
def test_bad_input(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
