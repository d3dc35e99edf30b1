"""Every wrapper is the same around one user and around many, and keeps the contract of Gymnasium."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import recsim_env  # noqa: F401
from recsim_env.envs.wrappers import (
    Candidates,
    Change,
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
from recsim_env.errors import InputError

SLATES = {"num_items": 60, "slate_size": 3, "num_users": 20, "num_categories": 5, "dimension": 4}
SLATES |= {"leave_after_click": 0.2, "leave_without_click": 0.4, "intercept": -2.0}


def even_items(observation, luck):
    """Two to six candidates, fewer for users who have come far."""
    items = np.tile(np.arange(0, 12, 2), (len(luck), 1))
    return np.where(np.arange(6) < 6 - np.minimum(observation["step"], 3)[:, None], items, -1)


# name -> id, parameters, changes (innermost first)
CASES = {
    "scores": ("SlateRec-v0", SLATES, lambda: [ScoresToSlate()]),
    "scores_cascade": ("CascadeRec-v0", {}, lambda: [ScoresToSlate()]),
    "proto": ("SlateRec-v0", SLATES, lambda: [ProtoItem()]),
    "proto_l2": ("SlateRec-v0", SLATES, lambda: [ProtoItem(metric="l2")]),
    "one_slot": ("SlateRec-v0", SLATES, lambda: [OneSlot()]),
    "candidates": ("SlateRec-v0", SLATES, lambda: [Candidates(7)]),
    "candidates_given": ("SlateRec-v0", SLATES, lambda: [Candidates(6, even_items), ScoresToSlate()]),
    "candidates_own": ("SlateRec-v0", {**SLATES, "candidates": 6}, lambda: [Candidates(), History(2)]),
    "history": ("SlateRec-v0", SLATES, lambda: [History(3)]),
    "history_drift": ("InterestDrift-v0", {}, lambda: [History(2)]),
    "flatten": ("SlateRec-v0", SLATES, lambda: [Flatten(30)]),
    "discrete": ("CascadeRec-v0", {}, lambda: [DiscreteSlates()]),
    "shaped": (
        "SlateRec-v0",
        SLATES,
        lambda: [RewardShaping(0.5, clicks=1.0, dwell=0.2, diversity=0.3)],
    ),
    "quotas": ("SlateRec-v0", SLATES, lambda: [Quotas([1, 2])]),
    "record": ("SlateRec-v0", SLATES, lambda: [RecordLog()]),
    "all": (
        "SlateRec-v0",
        SLATES,
        lambda: [
            RecordLog(),
            RewardShaping(diversity=0.5),
            Candidates(20),
            Quotas([1, 1]),
            History(2),
            ScoresToSlate(),
            Flatten(),
        ],
    ),
    "slots_of_candidates": (
        "SlateRec-v0",
        SLATES,
        lambda: [Candidates(8), History(2), OneSlot(), Flatten()],
    ),
    "few_lists": ("SlateRec-v0", SLATES, lambda: [Candidates(6), DiscreteSlates()]),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def single(case, **more):
    env_id, parameters, changes = case
    return wrap(gym.make(env_id, **parameters, **more), *changes())


def batch(case, num_envs, **more):
    env_id, parameters, changes = case
    return wrap(gym.make_vec(env_id, num_envs=num_envs, **parameters, **more), *changes())


def legal(env, actions, observation):
    """Random actions, moved to what the mask allows where there is one."""
    mask = observation.get("action_mask") if isinstance(observation, dict) else None
    if mask is None or np.asarray(actions).dtype.kind == "f":
        return actions
    mask = np.atleast_2d(mask)
    actions = np.array(actions)
    rows = actions.reshape(len(mask), -1)
    for b, k in np.ndindex(*rows.shape):
        if rows[b, k] >= mask.shape[1] or not mask[b, rows[b, k]]:
            rows[b, k] = np.argmax(mask[b])
    return rows.reshape(actions.shape)


def equal(one, other, row):
    """One user's observation, and that row of many."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(np.array_equal(one[k], other[k][row]) for k in one)
    return np.array_equal(one, other[row])


def told(info):
    return {k: v for k, v in info.items() if not k.startswith(("_", "final"))}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_row_is_the_single_environment(case, mode):
    """Step for step across episodes, infos included, in every autoreset mode."""
    B = 4
    try:
        envs = batch(case, B, autoreset_mode=mode, max_episode_steps=5)
    except InputError as error:
        assert mode is AutoresetMode.NEXT_STEP
        assert "SAME_STEP or DISABLED around OneSlot" in str(error)  # noqa: PT017
        return
    singles = [single(case, max_episode_steps=5) for _ in range(B)]
    envs.action_space.seed(1)
    observation, _ = envs.reset(seed=30)
    for i, env in enumerate(singles):
        assert equal(env.reset(seed=30 + i)[0], observation, i)
    over, episodes = np.zeros(B, bool), 0
    for _ in range(40):
        if mode is AutoresetMode.DISABLED and over.any():
            observation, _ = envs.reset(options={"reset_mask": over})
            for i in np.flatnonzero(over):
                assert equal(singles[i].reset()[0], observation, i)
            over[:] = False
        actions = legal(envs, envs.action_space.sample(), observation)
        observation, reward, terminated, truncated, info = envs.step(actions)
        assert envs.observation_space.contains(observation)
        for i, env in enumerate(singles):
            if mode is AutoresetMode.NEXT_STEP and over[i]:
                assert equal(env.reset()[0], observation, i)
                assert reward[i] == 0
                assert not np.any([terminated[i], truncated[i]])
                assert all(not np.any(value[i]) for value in told(info).values())
                continue
            seen, gain, left, late, alone = env.step(actions[i])
            assert env.observation_space.contains(seen)
            assert (gain, left, late) == (reward[i], terminated[i], truncated[i])
            ended = left or late
            episodes += ended
            if mode is AutoresetMode.SAME_STEP and ended:
                assert equal(seen, info["final_obs"], i)
                assert info["_final_obs"][i]
                assert equal(alone, info["final_info"], i)
                assert equal(env.reset()[0], observation, i)
            else:
                assert equal(seen, observation, i)
            assert equal(alone, told(info), i)
        over = terminated | truncated
    assert episodes > 4


def test_gymnasium_checker(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # the checker is meant for environments, and says so of every wrapper
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version")
        env = single(case)
        if case is CASES["candidates_given"]:
            env.action_space.seed(0)
        check_env(env, skip_render_check=True)


@pytest.mark.extra
def test_stable_baselines_checker(case):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the sb3 extra")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", message=".*unconventional shape"
        )  # of a table, as in the registry's
        warnings.filterwarnings("ignore", message=".*symmetric and normalized Box action space")  # of points
        checker.check_env(single(case), skip_render_check=True)


def test_pickle(case):
    env = single(case)
    observation, _ = env.reset(seed=3)
    env.action_space.seed(0)
    action = legal(env, env.action_space.sample(), observation)
    copy = pickle.loads(pickle.dumps(env))
    one, other = env.step(action), copy.step(action)
    assert equal(
        {"seen": one[0]} if not isinstance(one[0], dict) else one[0],
        {"seen": other[0][None]}
        if not isinstance(other[0], dict)
        else {k: np.asarray(v)[None] for k, v in other[0].items()},
        0,
    )
    assert one[1:4] == other[1:4]


def test_observations_are_the_callers_own(case):
    """Writing into one changes nothing that comes after."""
    one, other = batch(case, 3, autoreset_mode="SameStep"), batch(case, 3, autoreset_mode="SameStep")
    one.action_space.seed(0)
    (a, _), (b, _) = one.reset(seed=1), other.reset(seed=1)
    for _ in range(12):
        actions = legal(one, one.action_space.sample(), b)
        for array in a.values() if isinstance(a, dict) else [a]:
            array[...] = 0
        a, b = one.step(actions)[0], other.step(actions)[0]
        for i in range(3):
            row = {k: v[i] for k, v in b.items()} if isinstance(b, dict) else b[i]
            assert equal(row, a, i)


def test_some_rows_are_reset():
    """reset_mask forgets the history of these rows alone."""
    envs = batch(CASES["history"], 3, autoreset_mode="Disabled")
    envs.action_space.seed(0)
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    observation, _ = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert (observation["history"][0] == 60).all()
    assert (observation["history"][1:, -1] != 60).any(axis=1).all()


def test_a_change_belongs_to_one_environment():
    history = History(2)
    wrap(gym.make("CascadeRec-v0"), history)
    with pytest.raises(InputError, match="stands in an environment already"):
        wrap(gym.make("CascadeRec-v0"), history)
    with pytest.raises(InputError, match="changes must be wrappers of this package"):
        wrap(gym.make("CascadeRec-v0"), History)
    with pytest.raises(InputError, match="must be one of this package's environments"):
        wrap(gym.make("CartPole-v1"), Change())
    copies = gym.make_vec("CascadeRec-v0", num_envs=2, vectorization_mode="sync")
    with pytest.raises(InputError, match="must be a native vector environment"):
        wrap(copies, Change())
    copies.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda: [Flatten(), History(2)], "put Flatten outside of it"),
        (lambda: [ScoresToSlate(), Quotas([1])], "acts by slates, but the actions inside are"),
        (lambda: [History(2), History(2)], "has a history already"),
        (lambda: [History(0)], "length must be a whole number from 1, got 0"),
        (lambda: [Candidates()], "count must be given: this world has no candidate sets"),
        (lambda: [Candidates(2)], "count must be from the slate size"),
        (lambda: [Candidates(None, even_items)], "count must be given with a source"),
        (lambda: [Quotas([9])], r"groups\[8\] = 1 has no quota"),
        (lambda: [ProtoItem(metric="cosine")], "there is no metric 'cosine'"),
        (lambda: [ProtoItem(search="faster")], "there is no search 'faster'"),
        (lambda: [ProtoItem(np.zeros((3, 2)))], r"features must be finite, of shape \(60, D\)"),
        (lambda: [RewardShaping(clicks=np.nan)], "clicks must be a finite number"),
        (lambda: [DiscreteSlates()], "60 items in 3 slots make 208,920 slates, more than 100,000"),
        (lambda: [RecordLog("/no/such/place/log.parquet")], "is not a directory"),
    ],
)
def test_changes_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        wrap(gym.make("SlateRec-v0", **SLATES), *changes())
