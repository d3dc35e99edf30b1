"""Sequence estimators: unbiased by enumeration, equal to plain loops, and against exact values of a world."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, EmpiricalBernstein, Normal
from recsim_env.evaluation.off_policy import (
    cumulative_weights,
    diagnose_steps,
    fqe_linear,
    fqe_tabular,
    fqe_torch,
    importance_weights,
    per_decision_ips,
    sequential_doubly_robust,
    trajectory_ips,
    weighted_doubly_robust,
    weighted_per_decision_ips,
    weighted_trajectory_ips,
)
from recsim_env.experiments.cli import main
from recsim_env.simulators.episodes import to_episodes
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import read_log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.log_replay import replay
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder

# A Markov decision process of 2 states, 2 actions and 3 steps, whose users may leave: next state 2 = left.
H, DISCOUNT = 3, 0.9
START = np.array([0.7, 0.3])
MOVE = np.array([[[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]], [[0.6, 0.4, 0.0], [0.2, 0.5, 0.3]]])  # (s, a, s')
REWARD = np.array([[[1.0, 0.2, -0.5], [0.0, 2.0, 0.0]], [[0.3, 0.7, 0.0], [-1.0, 0.4, 3.0]]])  # (s, a, s')
LOGGING, TARGET = np.array([[0.4, 0.6], [0.75, 0.25]]), np.array([[0.8, 0.2], [0.35, 0.65]])
STAY = MOVE[:, :, :2] / MOVE[:, :, :2].sum(axis=2, keepdims=True)


def exact(
    move: Any, reward: Any, policy: Any, horizon: int = H, discount: float = DISCOUNT
) -> tuple[Any, Any]:
    """(horizon+1, S) V and (horizon, S, A) Q by plain loops; policy (S, A) or (horizon, S, A)."""
    S, A = move.shape[:2]
    policy = np.broadcast_to(policy, (horizon, S, A))
    V, Q = np.zeros((horizon + 1, S + 1)), np.zeros((horizon, S, A))
    for h in reversed(range(horizon)):
        for s in range(S):
            for a in range(A):
                for t in range(move.shape[2]):
                    Q[h, s, a] += move[s, a, t] * (reward[s, a, t] + discount * V[h + 1, t])
            V[h, s] = policy[h, s] @ Q[h, s]
    return V[:, :S], Q


def every_trajectory(move: Any = MOVE, horizon: int = H, start: Any = START) -> tuple[Any, ...]:
    """All trajectories: state, action, next_state (T, horizon), present, and their chances when logged."""
    found: list[tuple[Any, float]] = []

    def go_on(path: list[tuple[int, int, int]], chance: float, state: int) -> None:
        if state == 2 or len(path) == horizon:
            found.append((path, chance))
            return
        for a in range(2):
            for t in range(move.shape[2]):
                if (p := chance * LOGGING[state, a] * move[state, a, t]) > 0:
                    go_on([*path, (state, a, t)], p, t)

    for s in range(2):
        go_on([], start[s], s)
    steps = np.full((len(found), horizon, 3), -1)
    for e, (path, _) in enumerate(found):
        steps[e, : len(path)] = path
    return (*np.moveaxis(steps, 2, 0), steps[:, :, 0] >= 0, np.array([chance for _, chance in found]))


def weights_of(state: Any, action: Any, present: Any) -> Any:
    return np.where(present, TARGET[state, action] / LOGGING[state, action], np.nan)


def sample(episodes: int, seed: int, move: Any = MOVE) -> dict[str, Any]:
    """Logged episodes, as the estimators take them."""
    *steps, present, chance = every_trajectory(move)
    drawn = np.random.default_rng(seed).choice(len(chance), episodes, p=chance / chance.sum())
    state, action, after = (column[drawn] for column in steps)
    present = present[drawn]
    return {
        "state": state,
        "action": action,
        "reward": np.where(present, REWARD[state, action, after], np.nan),
        "next_state": np.where(after == 2, -1, after),
        "present": present,
    }


def test_unbiased_by_enumeration() -> None:
    """sum over all trajectories of chance x estimate = the exact value, whatever q is."""
    state, action, after, present, chance = every_trajectory()
    assert chance.sum() == pytest.approx(1, abs=1e-14)
    assert len(chance) > 150
    value = START @ exact(MOVE, REWARD, TARGET)[0][0]
    q = np.random.default_rng(0).normal(size=(H, 2, 2))
    steps = np.arange(H)
    q_of = q[steps, state, action]
    v_of = np.einsum("eha,eha->eh", TARGET[state], q[steps, state])
    reward, weight = REWARD[state, action, after], weights_of(state, action, present)
    found = np.zeros(3)
    for e in range(len(chance)):
        one = {"present": present[e : e + 1], "discount": DISCOUNT}
        r, w = reward[e : e + 1], weight[e : e + 1]
        dr = sequential_doubly_robust(r, w, q_of[e : e + 1], v_of[e : e + 1], **one)
        estimates = trajectory_ips(r, w, **one), per_decision_ips(r, w, **one), dr
        found += chance[e] * np.array([estimate.value for estimate in estimates])
    assert_allclose(found, value, rtol=0, atol=1e-12)


def test_exact_model_of_a_deterministic_world_has_no_variance() -> None:
    move = np.zeros((2, 2, 2))
    move[[0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0]] = 1
    reward = REWARD[:, :, :2]
    values, q = exact(move, reward, TARGET)
    state, action, after, present, _ = every_trajectory(move, start=np.array([1.0, 0.0]))
    steps = np.arange(H)
    arrays = (
        reward[state, action, after],
        weights_of(state, action, present),
        q[steps, state, action],
        values[steps, state],
    )
    for estimator in (sequential_doubly_robust, weighted_doubly_robust):
        estimate = estimator(*arrays, discount=DISCOUNT)
        assert estimate.value == pytest.approx(values[0, 0], abs=1e-12)
        assert estimate.std_error < 1e-12
    assert per_decision_ips(*arrays[:2], discount=DISCOUNT).std_error > 0.1


def random_episodes(seed: int, E: int = 17, steps: int = 4) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    present = np.arange(steps) < rng.integers(1, steps + 1, E)[:, None]
    reward, q, value = rng.normal(size=(3, E, steps))
    weight = rng.gamma(1.0, size=(E, steps))
    for array in (reward, q, value, weight):
        array[~present] = np.nan  # what is not present is not looked at
    return reward, weight, q, value, present


@pytest.mark.parametrize("seed", range(5))
def test_the_papers_formulas_in_plain_loops(seed: int) -> None:
    reward, weight, q, value, present = random_episodes(seed)
    E, steps, g = *reward.shape, 0.8
    length = present.sum(axis=1)
    rho = [[math.prod(weight[e, : min(h, length[e] - 1) + 1]) for h in range(steps)] for e in range(E)]
    total = [sum(rho[e][h] for e in range(E)) for h in range(steps)]
    G = [sum(g**h * reward[e, h] for h in range(length[e])) for e in range(E)]

    def v(e: int, h: int) -> float:
        return float(value[e, h]) if h < length[e] else 0.0

    cells = [(e, h) for e in range(E) for h in range(length[e])]
    expected = {
        trajectory_ips: sum(rho[e][-1] * G[e] for e in range(E)) / E,
        weighted_trajectory_ips: sum(rho[e][-1] * G[e] for e in range(E)) / total[-1],
        per_decision_ips: sum(g**h * rho[e][h] * reward[e, h] for e, h in cells) / E,
        weighted_per_decision_ips: sum(g**h * rho[e][h] * reward[e, h] / total[h] for e, h in cells),
        sequential_doubly_robust: sum(
            g**h * ((rho[e][h - 1] if h else 1) * v(e, h) + rho[e][h] * (reward[e, h] - q[e, h]))
            for e, h in cells
        )
        / E,
        weighted_doubly_robust: sum(v(e, 0) for e in range(E)) / E
        + sum(g**h * rho[e][h] / total[h] * (reward[e, h] - q[e, h] + g * v(e, h + 1)) for e, h in cells),
    }
    for estimator, number in expected.items():
        model = (q, value) if "doubly" in estimator.__name__ else ()
        estimate = estimator(reward, weight, *model, present=present, discount=g)
        assert estimate.value == pytest.approx(number, abs=1e-12)
        assert estimate.count == E
    zeros = np.zeros((E, steps))
    for robust, plain in (
        (sequential_doubly_robust, per_decision_ips),
        (weighted_doubly_robust, weighted_per_decision_ips),
    ):
        without_model = robust(reward, weight, zeros, zeros, present=present, discount=g)
        assert without_model.value == pytest.approx(expected[plain], abs=1e-12)


def test_by_hand() -> None:
    reward = np.array([[1.0, 2.0], [3.0, 0.0], [5.0, 4.0]])
    weight = np.array([[2.0, 0.5], [1.0, 9.0], [0.0, 1.0]])
    present = np.array([[True, True], [True, False], [True, True]])  # rho: 2 1 | 1 1 | 0 0
    common = {"present": present, "discount": 0.5}
    assert_array_equal(cumulative_weights(weight, present), [[2, 1], [1, 1], [0, 0]])
    assert trajectory_ips(reward, weight, **common).value == (1 * 2 + 1 * 3 + 0) / 3
    assert weighted_trajectory_ips(reward, weight, **common).value == 5 / 2
    assert per_decision_ips(reward, weight, **common).value == (2 + 0.5 * 2 + 3) / 3
    stepwise = weighted_per_decision_ips(reward, weight, **common)
    assert stepwise.value == pytest.approx((2 + 3) / 3 + 0.5 * 2 / 2)  # the second episode, over, is in both
    assert stepwise.effective_sample_size == 2
    found = diagnose_steps(cumulative_weights(weight, present))
    assert_allclose(found.effective_sample_size, [9 / 5, 2])
    assert_allclose(found.largest_share, [2 / 3, 1 / 2])
    assert_allclose(found.share_zero, [1 / 3, 1 / 3])


@pytest.mark.parametrize("estimator", [weighted_trajectory_ips, weighted_per_decision_ips])
def test_weighted_forms_are_biased_and_consistent(estimator: Any) -> None:
    """Exact bias of one episode and of two, over all pairs of trajectories; then 400 logs of 200."""
    state, action, after, _, chance = every_trajectory(STAY, horizon=2)
    present = np.ones(state.shape, np.bool_)
    reward, weight = REWARD[state, action, after], weights_of(state, action, present)
    value = START @ exact(STAY, REWARD, TARGET, 2)[0][0]
    logged = START @ exact(STAY, REWARD, LOGGING, 2)[0][0]
    one = sum(p * estimator(reward[[e]], weight[[e]], discount=DISCOUNT).value for e, p in enumerate(chance))
    assert one == pytest.approx(logged, abs=1e-12)  # one episode: the value of the policy that logged it
    two = sum(
        chance[e]
        * chance[f]
        * (1 + (f > e))
        * estimator(reward[[e, f]], weight[[e, f]], discount=DISCOUNT).value
        for e in range(len(chance))
        for f in range(e, len(chance))
    )
    assert abs(two - value) < 0.75 * abs(one - value)
    rng = np.random.default_rng(5)
    logs = rng.choice(len(chance), (400, 200), p=chance / chance.sum())
    estimates = [estimator(reward[log], weight[log], discount=DISCOUNT) for log in logs]
    values = np.array([estimate.value for estimate in estimates])
    assert abs(values.mean() - value) < 4 * values.std() / 20 + 0.02 * abs(one - value)
    assert np.mean([e.std_error for e in estimates]) == pytest.approx(values.std(ddof=1), rel=0.1)


def test_intervals_and_groups() -> None:
    log = sample(300, 1)
    reward, present = log["reward"], log["present"]
    weight = weights_of(log["state"], log["action"], present)
    q, value = np.zeros((2, *reward.shape))
    boot = Bootstrap(resamples=4000)
    for estimator, model in (
        (trajectory_ips, ()),
        (weighted_trajectory_ips, ()),
        (per_decision_ips, ()),
        (weighted_per_decision_ips, ()),
        (sequential_doubly_robust, (q, value)),
        (weighted_doubly_robust, (q, value)),
    ):
        normal = estimator(reward, weight, *model, present=present)
        resampled = estimator(reward, weight, *model, present=present, interval=boot)
        assert resampled.value == normal.value
        assert np.abs(np.subtract(resampled.interval, normal.interval)).max() < 0.25 * normal.std_error
        twice = [np.repeat(array, 2, axis=0) for array in (reward, weight, *model)]
        groups = np.repeat(np.arange(300), 2)
        for interval in (Normal(), boot):
            grouped = estimator(
                *twice, present=np.repeat(present, 2, axis=0), groups=groups, interval=interval
            )
            same = normal if interval == Normal() else resampled
            assert grouped.value == pytest.approx(normal.value)
            assert grouped.std_error == pytest.approx(normal.std_error)
            assert grouped.interval == pytest.approx(same.interval)
            assert grouped.count == 300


def test_long_horizons_say_so() -> None:
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((2000, 40)) < 0.5, 1.8, 0.2)
    estimate = per_decision_ips(np.ones((2000, 40)), weight)
    found = diagnose_steps(cumulative_weights(weight, np.ones(weight.shape, np.bool_)))
    step = int(np.argmax(found.effective_sample_size < 30))
    assert 3 < step < 20
    assert f"fewer than 30 of 2,000 episodes carry the weight from step {step} on" in estimate.warnings[0]
    assert "the horizon of 40 steps is long" in estimate.warnings[1]
    assert "alone carries" in estimate.warnings[2]
    assert not estimate.believable
    fair = per_decision_ips(np.ones((2000, 2)), weight[:, :2])
    assert fair.believable
    assert fair.effective_sample_size == pytest.approx(2000 / 1.64**2, rel=0.1)
    half = per_decision_ips(np.ones((2000, 2)), np.full((2000, 2), 0.5))
    assert "the mean weight is 0.5 +- 0 at step 0, not 1" in half.warnings[0]
    assert per_decision_ips(np.ones((2000, 2)), np.full((2000, 2), 0.5), clipped=True).believable


# fitted Q evaluation


def empirical(log: dict[str, Any]) -> tuple[Any, Any]:
    """move and reward (S, A, S + 1) of a log, the last next state = left, by counting."""
    counts, sums = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    for s, a, r, t in zip(
        *(log[k][log["present"]] for k in ("state", "action", "reward", "next_state")), strict=True
    ):
        counts[s, a, t] += 1  # t = -1 is the last
        sums[s, a, t] += r
    return counts / counts.sum(axis=2, keepdims=True), sums / np.maximum(counts, 1)


def at_step(log: dict[str, Any], h: int) -> dict[str, Any]:
    return {name: column[:, [h]] for name, column in log.items()}


BY_STEP = np.array([TARGET, 1 - TARGET, LOGGING])


@pytest.mark.parametrize("target", [TARGET, BY_STEP], ids=["policy", "policy of the step"])
@pytest.mark.parametrize("seed", [0, 1])
def test_tabular_is_the_exact_value_of_the_empirical_model(seed: int, target: Any) -> None:
    log = sample(200, seed)
    first = np.bincount(log["state"][:, 0], minlength=2) / 200
    value = first @ exact(*empirical(log), target)[0][0]
    estimate = fqe_tabular(**log, target=target, discount=DISCOUNT)
    assert estimate.value == pytest.approx(value, abs=1e-12)
    V = np.zeros(2)
    for h in reversed(range(H)):  # a law of its own for every step
        move, reward = empirical(at_step(log, h))
        Q = (move * (reward + DISCOUNT * np.append(V, 0))).sum(axis=2)
        V = (np.broadcast_to(target, (H, 2, 2))[h] * Q).sum(axis=1)
    by_step = fqe_tabular(**log, target=target, discount=DISCOUNT, stationary=False)
    assert by_step.value == pytest.approx(first @ V, abs=1e-12)
    assert by_step.effective_sample_size < estimate.effective_sample_size  # fewer rows for every number
    timed = {**log, "state": log["state"] + 2 * np.arange(H)}
    after = log["next_state"] + 2 * np.arange(1, H + 1)
    timed["next_state"] = np.where((log["next_state"] < 0) | (np.arange(H) == H - 1), -1, after)
    by_state = np.broadcast_to(target, (H, 2, 2)).reshape(2 * H, 2)
    with_time = fqe_tabular(**timed, target=by_state, discount=DISCOUNT)
    assert with_time.value == pytest.approx(by_step.value, abs=1e-12)
    assert with_time.std_error == pytest.approx(by_step.std_error, abs=1e-12)
    assert with_time.effective_sample_size == pytest.approx(by_step.effective_sample_size)


def test_tabular_without_end_is_the_limit_of_long_horizons() -> None:
    log = sample(300, 3)
    infinite = fqe_tabular(**log, target=TARGET, discount=0.95, horizon=math.inf)
    long = fqe_tabular(**log, target=TARGET, discount=0.95, horizon=800)
    assert infinite.value == pytest.approx(long.value, abs=1e-12)
    assert infinite.std_error == pytest.approx(long.std_error, abs=1e-12)
    assert infinite.interval == pytest.approx(long.interval)


@pytest.mark.parametrize("options", [{}, {"stationary": False}, {"horizon": math.inf}, {"horizon": 9}])
def test_linear_with_one_hot_features_is_tabular(options: dict[str, Any]) -> None:
    log = sample(250, 7)
    pairs, own = np.eye(4), log["state"] * 2 + log["action"]
    policy = np.zeros((3, 4))  # row -1: of those who left
    policy[:2] = np.kron(np.eye(2), np.ones((1, 2))) * TARGET.reshape(-1)
    arrays = {
        "features": np.where(log["present"][..., None], pairs[np.where(log["present"], own, 0)], np.nan),
        "reward": log["reward"],
        "next_features": policy[np.where(log["present"], log["next_state"], -1)],
        "start_features": policy[log["state"][:, 0]],
    }
    common = {"present": log["present"], "discount": 0.9, **options, "groups": np.arange(250) // 2}
    table = fqe_tabular(**log, target=TARGET, **{k: v for k, v in common.items() if k != "present"})
    unused = np.zeros((*log["state"].shape, 1))  # a feature that is always 0 changes nothing
    for more in (0, 1):
        if more:
            for name in ("features", "next_features"):
                arrays[name] = np.concatenate([arrays[name], arrays[name][..., :1], unused], axis=2)
            start = arrays["start_features"]
            arrays["start_features"] = np.concatenate([start, start[:, :1], unused[:, 0]], axis=1)
        linear = fqe_linear(**arrays, **common)
        assert linear.value == pytest.approx(table.value, abs=1e-8)
        assert linear.std_error == pytest.approx(table.std_error, abs=1e-8)
        assert linear.effective_sample_size == pytest.approx(table.effective_sample_size)


def test_linear_is_least_squares() -> None:
    """With features that are not one-hot, against numpy's least squares, step by step."""
    rng = np.random.default_rng(4)
    E, D = 60, 3
    features, after = rng.normal(size=(E, H, D)), rng.normal(size=(E, H, D))
    reward, start = rng.normal(size=(E, H)), rng.normal(size=(E, D))
    theta, pooled = np.zeros(D), np.zeros(D)
    flat, flat_after = features.reshape(-1, D), after.reshape(-1, D)
    for h in reversed(range(H)):
        theta = np.linalg.lstsq(features[:, h], reward[:, h] + 0.9 * after[:, h] @ theta)[0]
        pooled = np.linalg.lstsq(flat, reward.ravel() + 0.9 * flat_after @ pooled)[0]
    by_step = fqe_linear(features, reward, after, start, discount=0.9, stationary=False)
    assert by_step.value == pytest.approx((start @ theta).mean(), abs=1e-10)
    assert fqe_linear(features, reward, after, start, discount=0.9).value == pytest.approx(
        (start @ pooled).mean(), abs=1e-10
    )
    fixed = np.linalg.solve(flat.T @ (flat - 0.9 * flat_after), flat.T @ reward.ravel())
    endless = fqe_linear(features, reward, after, start, discount=0.9, horizon=math.inf)
    assert endless.value == pytest.approx((start @ fixed).mean(), abs=1e-8)


def test_linear_without_a_fixed_point_is_refused() -> None:
    """A feature that stands for twice itself a step later, at a discount of a half, has any value."""
    features = np.eye(2)[[[0], [1]]]  # (E, H, D)
    after = np.array([[[0.0, 0.0]], [[0.0, 2.0]]])
    start = np.array([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="features have no fixed point for this policy and discount"):
        fqe_linear(features, np.ones((2, 1)), after, start, discount=0.5, horizon=math.inf)


def test_standard_errors_of_fqe_are_those_of_repeated_logs_and_of_refits() -> None:
    estimates = [fqe_tabular(**sample(400, 100 + i), target=TARGET, discount=DISCOUNT) for i in range(500)]
    values = np.array([estimate.value for estimate in estimates])
    truth = START @ exact(MOVE, REWARD, TARGET)[0][0]
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(500) + 0.05 * values.std()
    assert np.mean([e.std_error for e in estimates]) == pytest.approx(values.std(ddof=1), rel=0.1)
    covered = [e.interval[0] <= truth <= e.interval[1] for e in estimates]
    assert 0.92 <= np.mean(covered) <= 0.98
    log, rng = sample(400, 8), np.random.default_rng(0)
    refits = []
    for _ in range(400):
        drawn = rng.integers(0, 400, 400)
        again = {name: column[drawn] for name, column in log.items()}
        refits.append(fqe_tabular(**again, target=TARGET, discount=DISCOUNT).value)
    one = fqe_tabular(**log, target=TARGET, discount=DISCOUNT, interval=Bootstrap(0.9))
    assert one.std_error == pytest.approx(np.std(refits), rel=0.12)
    ends = np.quantile(refits, [0.05, 0.95])
    assert np.abs(ends - one.interval).max() < 0.35 * one.std_error


def test_fqe_says_what_it_lacks() -> None:
    log = sample(200, 0)
    never = {**log, "action": np.where(log["state"] == 1, 0, log["action"])}
    with pytest.raises(
        InputError, match=r"target gives action 1 the chance 0.65 in state 1 at step 0, and the"
    ):
        fqe_tabular(**never, target=TARGET)
    only = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert fqe_tabular(**never, target=only).believable  # the policy needs no more
    few = {name: column[:12] for name, column in log.items()}
    estimate = fqe_tabular(**few, target=TARGET, stationary=False)
    assert "fewer than 30 rows carry the weight" in estimate.warnings[0]
    assert "fewer than 5 times: the standard error is too small" in estimate.warnings[1]


def torch_arrays(log: dict[str, Any]) -> dict[str, Any]:
    pairs = np.eye(4).reshape(2, 2, 4)
    stays = log["present"] & (log["next_state"] >= 0)
    return {
        "features": pairs[np.maximum(log["state"], 0), np.maximum(log["action"], 0)],
        "reward": log["reward"],
        "next_features": pairs[np.where(stays, log["next_state"], 0)],
        "next_chance": np.where(stays[..., None], TARGET[np.where(stays, log["next_state"], 0)], 0.0),
        "start_features": pairs[log["state"][:, 0]],
        "start_chance": TARGET[log["state"][:, 0]],
        "present": log["present"],
    }


TORCH = {
    "fits": H,
    "discount": DISCOUNT,
    "hidden": (16,),
    "epochs": 10,
    "learning_rate": 0.01,
    "progress": False,
}


@pytest.mark.extra
def test_torch_finds_the_value_of_the_table() -> None:
    """Within 0.03, where the value of the policy that logged is 0.4 away."""
    pytest.importorskip("torch")
    log = sample(1000, 2)
    table = fqe_tabular(**log, target=TARGET, discount=DISCOUNT)
    logged = fqe_tabular(**log, target=LOGGING, discount=DISCOUNT)
    arrays = torch_arrays(log)
    estimate = fqe_torch(**arrays, **TORCH)
    assert abs(table.value - logged.value) > 0.3
    assert abs(estimate.value - table.value) < 0.03
    again = fqe_torch(**{name: array[:40] for name, array in arrays.items()}, **TORCH)
    assert again.value == fqe_torch(**{name: array[:40] for name, array in arrays.items()}, **TORCH).value
    assert math.isnan(estimate.std_error)
    assert "no standard error: fitted once" in estimate.warnings[0]
    small = {name: array[:300] for name, array in arrays.items()}
    first = fqe_torch(**small, **TORCH, refits=5)
    of_table = fqe_tabular(
        **{name: column[:300] for name, column in log.items()}, target=TARGET, discount=DISCOUNT
    )
    assert 0.4 < first.std_error / of_table.std_error < 2.2  # five refits
    assert first.believable


@pytest.mark.extra
def test_refits_of_torch_draw_episodes_anew() -> None:
    """A value that is the share of episodes of one kind has the standard error of a share."""
    pytest.importorskip("torch")
    kind = np.eye(2)[np.arange(100) % 2]  # (E, D): earn 0 or 1, and are over
    estimate = fqe_torch(
        kind[:, None],
        kind[:, 1:],
        np.zeros((100, 1, 1, 2)),
        np.zeros((100, 1, 1)),
        kind[:, None],
        np.ones((100, 1)),
        **{**TORCH, "fits": 1, "hidden": (), "epochs": 200, "learning_rate": 0.1},
        refits=12,
    )
    assert estimate.value == pytest.approx(0.5, abs=0.02)
    assert 0.025 < estimate.std_error < 0.1  # 0.05


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[torch\]'"):
        fqe_torch(**torch_arrays(sample(3, 0)), **TORCH)


# logs of a world


def whole(world: Any, policy: Any, steps: int, users: int, seed: int = 0, **metadata: Any) -> Log:
    pieces = list(generate_log(world, policy, steps, num_users=users, seed=seed, metadata=metadata))
    columns = [piece.columns() for piece in pieces]
    joined = {name: np.concatenate([piece[name] for piece in columns]) for name in columns[0]}
    return Log.sorted(**joined, metadata=pieces[0].metadata)


LADDERS = {
    "CascadeRec-v0": ({}, 400, {"myopic": 9.0094, "optimal": 11.0391}, 0.6),
    "of 30 lists": ({"num_items": 6, "slate_size": 2}, 200, {"myopic": 6.2823, "optimal": 7.5901}, 0.13),
}


@pytest.mark.parametrize("name", LADDERS)
def test_fqe_finds_the_exact_value_in_the_ladder(name: str) -> None:
    """Random slates say what the myopic and the optimal policy are worth over 20 steps.

    Of the 1,320 lists of CascadeRec-v0 the 600,000 slates show each 45 times in a state, so the standard
    error is a quarter of what tells the two policies apart; the ladder of 30 lists tells them apart.
    """
    sizes, steps, values, largest_error = LADDERS[name]
    world = engagement_ladder(**sizes)
    log = whole(world, RandomSlates(world.num_items, world.slate_size), steps, 1500)
    played, episodes = replay(world, log), to_episodes(log)
    base = world.num_items ** np.arange(world.slate_size)
    arrays = (
        episodes.pad(played.observation["state"], -1),
        episodes.slate @ base,
        episodes.reward,
        episodes.pad(played.next_observation["state"], -1),
    )
    for which, policy in (("myopic", world.myopic_policy()), ("optimal", world.optimal_policy)):
        policy = np.broadcast_to(policy, (world.horizon, *policy.shape[-2:]))
        assert policy.min() >= 0
        target = np.zeros((*policy.shape[:2], base[-1] * world.num_items))
        np.put_along_axis(target, (policy @ base)[..., None], 1.0, axis=2)
        estimate = fqe_tabular(*arrays, target=target, groups=episodes.user)
        truth = world.mean_start_value(world.policy_values(policy))
        assert truth == pytest.approx(values[which], abs=1e-4)
        assert estimate.believable
        assert estimate.std_error < largest_error
        assert abs(estimate.value - truth) < 4 * estimate.std_error


def value_of(world: Any, policy: Any) -> float:
    """Exact value of a policy that states propensities, over all full lists, by plain backward induction."""
    from itertools import permutations

    lists = np.array(list(permutations(range(world.num_items), world.slate_size)))
    V = np.zeros((world.horizon + 1, world.num_states))
    for h in reversed(range(world.horizon)):
        for s in range(world.num_states):
            seen = {"state": np.full(len(lists), s), "step": np.full(len(lists), h)}
            chance = np.exp(policy.log_propensities(seen, lists).sum(axis=1))
            for p, items in zip(chance, lists, strict=True):
                reach = 1.0
                for a in items:
                    q = world.attraction[s, a]
                    V[h, s] += p * reach * q * (world.reward[s, a] + world.transition[s, a] @ V[h + 1])
                    reach *= 1 - q
                V[h, s] += p * reach * (world.transition[s, world.num_items] @ V[h + 1])
    return float(world.mean_start_value(V))


def test_a_log_of_the_command_tells_the_value_of_other_policies(tmp_path: Path) -> None:
    sizes = {"num_states": 4, "num_items": 5, "slate_size": 2, "horizon": 4}
    out = tmp_path / "log.parquet"
    command = ["log", "CascadeRec-v0", "--agent", "random", "--steps", "41", "--num-envs", "3000"]
    options = [word for name, value in sizes.items() for word in ("--env-arg", f"{name}={value}")]
    assert main([*command, *options, "--out", str(out)]) == 0
    log = read_log(out)
    with pytest.raises(InputError, match=r"ends after 1 of 4 steps .*: keep the first 10 .* by first=10"):
        to_episodes(log)
    episodes = to_episodes(log, first=10)
    world = engagement_ladder(**sizes)
    seen = replay(world, log).observation
    for epsilon, lists in ((0.5, world.optimal_policy), (0.7, world.myopic_policy())):
        policy = EpsilonGreedySlates(lists, world.num_items, epsilon)
        truth = value_of(world, policy)
        log_target = policy.log_propensities(seen, log.slate).sum(axis=1)
        weight = importance_weights(episodes.pad(log_target, 0.0), episodes.log_propensity)
        gap = truth - episodes.reward.sum(axis=1).mean()  # what the policies differ by
        for estimator, error in (
            (trajectory_ips, gap),
            (weighted_trajectory_ips, gap / 2),
            (per_decision_ips, gap / 2),
            (weighted_per_decision_ips, gap / 4),
        ):
            estimate = estimator(episodes.reward, weight, groups=episodes.user)
            assert estimate.believable
            assert estimate.count == 3000
            assert estimate.std_error < error
            assert abs(estimate.value - truth) < 4 * estimate.std_error


SMALL = engagement_ladder(3, 5, 2, 4)


class Leaving:
    """The ladder with users who leave with a click on the top slot."""

    num_items, slate_size, horizon = 5, 2, 4
    begin, observe = staticmethod(SMALL.begin), staticmethod(SMALL.observe)

    def respond(self, state: Any, slates: Any, luck: Any) -> Any:
        state, outcome = SMALL.respond(state, slates, luck)
        return state, outcome._replace(left=outcome.response.clicked[:, 0])


def test_episodes_of_users_who_leave() -> None:
    log = whole(Leaving(), RandomSlates(5, 2), 8, 2000)
    left = replay(Leaving(), log).left
    with pytest.raises(
        InputError, match=r"lack their end\): keep the first 2 of every user, which are whole"
    ):
        to_episodes(log, left=left)
    episodes = to_episodes(log, first=2, left=left)
    assert len(episodes) == 4000
    assert_array_equal(episodes.user, np.repeat(np.arange(2000), 2))
    assert_array_equal(episodes.episode, np.tile([0, 1], 2000))
    length = episodes.present.sum(axis=1)
    assert set(length) == {1, 2, 3, 4}
    e = int(np.argmax(length == 2))
    rows = episodes.row[e, :2]
    assert_array_equal(log.step[rows], [0, 1])
    assert_array_equal(episodes.row[e, 2:], [-1, -1])
    assert_array_equal(episodes.slate[e], [*log.slate[rows], [-1, -1], [-1, -1]])
    assert_array_equal(episodes.clicked[e, :2], log.clicked[rows])
    assert not episodes.clicked[e, 2:].any()
    assert_array_equal(episodes.pad(left, False)[e], [False, True, False, False])
    # the value of episodes of the policy that made the log, by FQE with leaving, is their mean
    played = replay(Leaving(), log)
    after = np.where(played.left, -1, played.next_observation["state"])
    value = fqe_tabular(
        episodes.pad(played.observation["state"], 0),
        episodes.slate @ [1, 5],
        episodes.reward,
        episodes.pad(after, -1),
        np.tile(
            np.bincount([a + 5 * b for a in range(5) for b in range(5) if a != b], minlength=25) / 20, (3, 1)
        ),
        present=episodes.present,
    )
    mean = episodes.reward.sum(axis=1)
    assert abs(value.value - mean.mean()) < 4 * mean.std() / math.sqrt(4000)


def small_log(**changes: Any) -> Log:
    columns = {
        "user": [0, 0, 0, 1, 1],
        "time": [0, 1, 2, 0, 1],
        "slate": np.zeros((5, 1), int),
        "clicked": np.ones((5, 1), bool),
        "reward": [1.0, 2, 3, 4, 5],
        "episode": [0, 0, 1, 0, 0],
        "step": [0, 1, 0, 0, 1],
        **changes,
    }
    return Log(**{name: np.asarray(column) for name, column in columns.items()})


def test_episodes_by_hand() -> None:
    log = small_log()
    for options in ({"first": 1}, {"left": np.array([False, False, True, False, True])}):
        episodes = to_episodes(log, horizon=2, **options)
        expected = [[0, 1], [3, 4]] if "first" in options else [[0, 1], [2, -1], [3, 4]]
        assert_array_equal(episodes.row, expected)
    assert_array_equal(episodes.reward, [[1, 2], [3, 0], [4, 5]])
    with pytest.raises(InputError, match="log has no log_propensity"):
        _ = episodes.log_propensity
    with pytest.raises(InputError, match=r"one entry per row of the log, \(5, \.\.\.\), got \(4,\)"):
        episodes.pad(np.zeros(4), 0.0)


LEFT = np.zeros(5, np.bool_)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"horizon": 2}, r"^episode 1 of user 0, from row 2, ends after 1 of 2 steps with the log"),
        ({}, {"horizon": 2, "left": LEFT}, "keep the first 1 of every user"),
        ({}, {"horizon": 3, "first": 2}, r"\(2 of 3 .*log 3 slates or more of every user"),
        ({}, {"horizon": 1}, r"step\[1\] = 1 is beyond the horizon of 1 steps"),
        ({}, {}, "horizon must be the most steps .* got None: the log does not say it"),
        ({}, {"horizon": 0}, "1 or more, got 0"),
        ({}, {"horizon": 2, "first": 0}, "first must be 1 or more, got 0"),
        ({"step": [0, 2, 0, 0, 1]}, {"horizon": 3}, r"step\[1\] = 2 comes after step 0 .*\(user 0, epis"),
        ({"step": [0, 1, 0, 1, 2]}, {"horizon": 3}, r"step\[3\] = 1 is the first of user 1, episode 0"),
        ({"step": [0, 0, 0, 0, 1]}, {"horizon": 3}, r"step\[1\] = 0 comes after step 0"),
        ({"episode": [1, 1, 0, 0, 0]}, {"horizon": 3}, r"episode\[2\] = 0 of user 0 begins after episode 1"),
        ({"episode": None}, {"horizon": 3}, "log has no episode"),
        ({}, {"horizon": 3, "left": LEFT[:4]}, r"left must be bool of shape \(5,\), got bool of \(4,\)"),
        ({}, {"horizon": 3, "left": ~LEFT}, r"left\[0\] is True, but row 1 is the next step"),
    ],
)  # fmt: skip
def test_bad_logs(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    log = small_log()
    columns: dict[str, Any] = {**log.columns(), **changes}
    log = Log(**{name: np.asarray(column) for name, column in columns.items() if column is not None})
    with pytest.raises(InputError, match=message):
        to_episodes(log, **options)


ONES, BAD = np.ones((2, 3)), np.array([[1, 1, 1], [1, np.nan, 1]])
HOLE = np.array([[True, True, True], [True, False, True]])
INTS = np.zeros((2, 3), int)
HALF = np.full((1, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: per_decision_ips(np.ones(3), ONES), r"reward must have shape \(E, H\).* got \(3,\)"),
        (lambda: per_decision_ips(np.ones((0, 3)), ONES), r"E and H of 1 or more, got \(0, 3\)"),
        (lambda: per_decision_ips(BAD, ONES), r"reward\[1, 1\] = nan \(episode 1, step 1\): it must"),
        (lambda: per_decision_ips(ONES, BAD), r"weight\[1, 1\] = nan \(episode 1, step 1\)"),
        (lambda: per_decision_ips(ONES, -ONES), r"weight\[0, 0\] = -1.0 \(episode 0, step 0\): weights"),
        (lambda: per_decision_ips(ONES, np.full((2, 3), 1e200)), r"product of weight\[0, 1\] = inf .*: clip"),
        (lambda: per_decision_ips(ONES, ONES[:, :2]), r"weight must have shape \(2, 3\), .* got \(2, 2\)"),
        (lambda: per_decision_ips(ONES, ONES.astype(str)), "weight must hold numbers"),
        (lambda: per_decision_ips(ONES, ONES, discount=1.1), r"discount must be in \[0, 1\], got 1.1"),
        (lambda: per_decision_ips(ONES, ONES, present=HOLE), r"present\[1, 2\] = True .*: the step bef"),
        (lambda: per_decision_ips(ONES, ONES, present=~HOLE), r"present\[0, 0\] = False .*has a first step"),
        (lambda: per_decision_ips(ONES, ONES, present=ONES), "present must be bool of the shape of reward"),
        (lambda: per_decision_ips(ONES, ONES, groups=np.zeros(3)), r"groups must have shape \(2,\)"),
        (lambda: weighted_per_decision_ips(ONES, ONES, groups=np.zeros(3)), r"groups must have shape \(2,\)"),
        (lambda: weighted_per_decision_ips(ONES, [[1, 0, 1]] * 2), "at step 1 all 2 weights are 0"),
        (lambda: weighted_trajectory_ips(ONES, [[1, 0, 1]] * 2), "over whole episodes all 2 weights are 0"),
        (
            lambda: weighted_doubly_robust(ONES, ONES, ONES, ONES, interval=EmpiricalBernstein(0.0, 1.0)),
            "not for self-normalised estimates",
        ),
        (lambda: weighted_doubly_robust(ONES, [[1, 0, 1]] * 2, ONES, ONES), "at step 1 all 2 weights are 0"),
        (lambda: sequential_doubly_robust(ONES, ONES, BAD, ONES), r"q\[1, 1\] = nan"),
        (lambda: sequential_doubly_robust(ONES, ONES, ONES, ONES[:1]), r"value must have shape \(2, 3\)"),
        (lambda: fqe_tabular(INTS + 1, INTS, ONES, INTS, HALF), r"state\[0, 0\] = 1 .*knows 0 to 0"),
        (lambda: fqe_tabular(INTS, INTS + 2, ONES, INTS, HALF), r"action\[0, 0\] = 2 .*knows 0 to 1"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS - 2, HALF), r"next_state\[0, 0\] = -2 .*knows -1 to 0"),
        (lambda: fqe_tabular(ONES, INTS, ONES, INTS, HALF), "state must hold integers"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, 2 * HALF), r"target\[0\] must hold prob.* a sum of 2.0"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, np.full((1, 2), np.nan)), "target.* got a sum of nan"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, HALF[0]), r"shape \(S, A\) or \(3, S, A\), got \(2,\)"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, HALF, horizon=math.inf), "needs a discount below 1"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, HALF, horizon=2.5), "horizon must be a whole number"),
        (lambda: fqe_tabular(INTS, INTS, ONES, INTS, HALF, horizon=4, stationary=False), "must be 3 at most"),
        (
            lambda: fqe_tabular(INTS, INTS, ONES, INTS, HALF, horizon=math.inf, discount=0.5),
            "target gives action 1 the chance 0.5 in state 0, and the log never shows it there",
        ),
        (lambda: fqe_linear(ONES, ONES, ONES, ONES), r"features must have shape \(2, 3, D\)"),
        (
            lambda: fqe_linear(ONES[..., None], ONES, BAD[..., None], ONES[:, :1]),
            r"next_features\[1, 1, 0\] = nan \(episode 1, step 1\)",
        ),
        (
            lambda: fqe_linear(np.eye(2)[INTS], ONES, np.eye(2)[INTS], np.eye(2)),
            "features: the log does not span those of the evaluated policy at step 0, most in feature 1",
        ),
        (
            lambda: fqe_linear(np.eye(2)[INTS], ONES, np.eye(2)[INTS + 1], np.eye(2)[[0, 0]], discount=0.5,
                               horizon=math.inf),
            "features: the log does not span those of the evaluated policy, most in feature",
        ),
    ],
)  # fmt: skip
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.extra
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fits": 0}, "fits must be 1 or more, got 0"),
        ({"refits": 1}, "refits must be 0 or 2 and more, got 1: one has no spread"),
        ({"next_chance": np.full((4, 3, 2), 0.3)}, r"next_chance\[0, 0\] .*sum to 0 or 1, got a sum of 0.6"),
        ({"start_chance": np.zeros((4, 2))}, r"start_chance\[0, 0\] .*sum to 1, got a sum of 0"),
        ({"start_features": np.zeros((4, 2, 3))}, r"start_features must end in axes \(M, 4\)"),
        ({"features": np.zeros((4, 3))}, r"features must have shape \(4, 3, D\), .* got \(4, 3\)"),
        ({"learning_rate": 1e30}, "fit [0-2] diverged: lower learning_rate"),
    ],
)
def test_bad_input_of_torch(changes: dict[str, Any], message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=message):
        fqe_torch(**{**torch_arrays(sample(4, 0)), **TORCH, **changes})
