"""The contract of every registered environment: a new id is tested by being registered."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache, partial
from inspect import signature
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import recsim_env  # noqa: F401
from recsim_env.envs.describe import builder
from recsim_env.errors import InputError
from recsim_env.testing import FACE_CONTRACTS, VALUE_CONTRACTS, WORLD_CONTRACTS, WorldCase
from recsim_env.user_models.clicks import PositionBased

MOVIELENS = Path(__file__).parents[2] / "shared" / "data" / "ml-100k"
IDS = sorted(i for i, spec in gym.registry.items() if "recsim_env" in str(spec.entry_point))


def parameters(env_id):
    """What an id cannot be made without; skips where it is not on this machine."""
    if env_id == "CascadeRec-MovieLens-v0":
        if not MOVIELENS.exists():
            pytest.skip("MovieLens is not shipped, and ../shared/data/ml-100k is not here")
        return {"path": str(MOVIELENS)}
    return {}


@pytest.fixture(params=IDS)
def env_id(request):
    return request.param


def make(env_id, **kwargs):
    return gym.make(env_id, **parameters(env_id), **kwargs)


def make_vec(env_id, num_envs, **kwargs):
    return gym.make_vec(env_id, num_envs=num_envs, **parameters(env_id), **kwargs)


def rows_equal(single, batch, i):
    assert single.keys() == batch.keys()
    return all(np.array_equal(single[name], batch[name][i]) for name in single)


def same(one, other):
    """Two observations, or two results of `step`; values may differ in the last bit after planning anew."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            np.allclose(one[name], other[name], rtol=1e-12, atol=0) for name in one
        )
    return same(one[0], other[0]) and one[1:4] == other[1:4] and same(one[4], other[4])


def test_ids_are_there():
    assert {"CascadeRec-v0", "CascadeBandit-v0", "CascadeRec-Grocery-v0", "CascadeRec-MovieLens-v0"} <= set(
        IDS
    )


CONTRACTS = {c.__name__: c for c in (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS)}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract(env_id, contract):
    """With its default parameters: what `recsim_env.testing.check_world` checks of anyone's world."""
    CONTRACTS[contract](case_of(env_id))


@cache
def case_of(env_id):
    return WorldCase(partial(builder(env_id), **parameters(env_id)))


def test_gymnasium_checker_of_pictures(env_id):
    """The contract leaves out render modes, which a world of others need not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(env_id, render_mode="rgb_array").unwrapped)


@pytest.mark.extra
def test_stable_baselines_checker(env_id):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # SB3's own networks want vectors of features flattened; a table (N, D) is what learners of arms read
        warnings.filterwarnings("ignore", message="Your observation features has an unconventional shape")
        # the warning names the recommended Dict of Box spaces; a Dict of Discrete is what SB3 one-hot encodes
        checker.check_env(make(env_id).unwrapped, skip_render_check=True)


def test_disabled_autoreset_refuses_a_step_too_many(env_id):
    env = make_vec(env_id, 2, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    with pytest.raises(InputError, match="the episode of row 0 is over"):
        env.step(env.action_space.sample())


def test_the_best_slate_is_an_action(env_id):
    env, envs = make(env_id).unwrapped, make_vec(env_id, 3)
    with pytest.raises(InputError, match="call reset"):
        env.best_slate()
    env.reset(seed=4)
    envs.reset(seed=4)
    assert np.array_equal(env.best_slate(), envs.unwrapped.best_slates()[0])
    assert env.action_space.contains(env.best_slate())
    _, _, _, _, info = env.step(env.best_slate())
    assert info["slate_value"] == pytest.approx(info["best_value"], abs=1e-9)


def test_a_step_after_the_end_is_refused(env_id):
    env = make(env_id).unwrapped
    env.reset(seed=0)
    if env.world.horizon > 2_000:
        pytest.skip("it takes too long until the end")
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        over = terminated or truncated
    with pytest.raises(InputError, match="call reset"):
        env.step(env.action_space.sample())


def test_info_tells_what_the_user_did(env_id):
    env = make_vec(env_id, 256)
    env.action_space.seed(0)
    env.reset(seed=0)
    actions = env.action_space.sample()
    _, reward, _, _, info = env.step(actions)
    clicked = info["clicked"]
    if env_id.startswith("Cascade"):
        assert (clicked.sum(axis=1) <= 1).all()
    assert ((reward > 0) <= clicked.any(axis=1)).all()


BAD = [
    (lambda a, N: a[:, :-1], "(slates|action) must have shape"),
    (lambda a, N: a.astype(float), "slates must hold integers, got float64"),
    (
        lambda a, N: np.where(np.arange(a.shape[1]) == 1, N + 1, a),
        r"slates\[0, 1\] = .* is not an item: the catalogue",
    ),
    (lambda a, N: np.where(np.arange(a.shape[1]) == 1, -2, a), r"slates\[0, 1\] = -2 is not an item"),
    (lambda a, N: np.where(np.arange(a.shape[1]) == 0, N, a), "the first slot must hold an item"),
    (lambda a, N: np.where(np.arange(a.shape[1]) == 0, -1, a), "the first slot must hold an item"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_slates(env_id, spoil, message):
    env = make_vec(env_id, 1)
    env.reset(seed=0)
    N, K = env.world.num_items, env.world.slate_size
    if K == 1 and "0, 1" in message:
        pytest.skip("a slate of one item has no second slot")
    with pytest.raises(InputError, match=message):
        env.step(spoil(np.zeros((1, K), np.int64), N))
    single = make(env_id)
    single.reset(seed=0)
    with pytest.raises(InputError, match=message):
        single.step(spoil(np.zeros((1, K), np.int64), N)[0])


def test_bad_arguments():
    with pytest.raises(InputError, match="there is no parameter 'num_states_': did you mean num_states"):
        gym.make("CascadeRec-v0", num_states_=3)
    with pytest.raises(InputError, match="num_states must be at least 2, got 1"):
        gym.make("CascadeRec-v0", num_states=1)
    with pytest.raises(InputError, match=r"gap must be in \(0, attraction\]"):
        gym.make("CascadeBandit-v0", gap=0.5)
    with pytest.raises(InputError, match="path"):
        gym.make("CascadeRec-MovieLens-v0")
    env = gym.make("CascadeRec-v0")
    with pytest.raises(InputError, match="call reset"):
        env.step(np.zeros(3, np.int64))
    with pytest.raises(InputError, match="seeds"):
        env.reset(seed=1 << 65)
    with pytest.raises(InputError, match="seed must be one integer or 3 of them, got 2"):
        gym.make_vec("CascadeRec-v0", num_envs=3).reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("env_id", "parameters", "message"),
    [
        (
            "SlateRec-v0",
            {"interest_observed": "False"},
            "interest_observed must be True or False, got 'False'",
        ),
        ("SlateRec-v0", {"slate_size": 3.0}, "slate_size must be a whole number, got 3.0"),
        ("SlateRec-v0", {"slate_size": True}, "slate_size must be a whole number, got True"),
        ("SlateRec-v0", {"clicks": 3}, "clicks must be text, got 3"),
        ("SlateRec-v0", {"sharpness": "x"}, "sharpness must be a number, got 'x'"),
        ("SlateRec-v0", {"sharpness": float("nan")}, "sharpness must be a number, got nan"),
        ("SlateRec-v0", {"candidates": 2.5}, "candidates must be a whole number or None, got 2.5"),
        ("SlateRec-v0", {"calibration": 3}, "calibration must be text or a path or None, got 3"),
        ("SlateRec-v0", {"foo": 3}, "there is no parameter 'foo'"),
        ("GroupSlate-v0", {"world_seed": None}, "world_seed must be a whole number, got None"),
        ("BernoulliBandit-v0", {"horizon": 10**20}, r"horizon must be at most 2\^53 in size, got 10{20}"),
        ("BernoulliBandit-v0", {"low": 10**400}, r"low must be at most 2\^53 in size"),
        ("BernoulliBandit-v0", {"num_items": np.uint64(1 << 63)}, r"num_items must be at most 2\^53"),
        (
            "BernoulliBandit-v0",
            {"num_items": 10**15},
            "num_items=1000000000000000: this world does not fit into memory, take smaller sizes",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_parameters_of_another_type_or_size_are_refused(env_id, parameters, message):
    with pytest.raises(InputError, match=message):
        gym.make(env_id, **parameters)
    with pytest.raises(InputError, match=message):
        gym.make_vec(env_id, num_envs=2, **parameters)


def test_numbers_of_numpy_are_parameters_too():
    """Also those of few bits, which overflow as soon as they are counted with."""
    world = gym.make("KnapsackBandit-v0", budget=np.uint8(255), horizon=np.int16(300)).unwrapped.world
    assert (world.budget, world.horizon) == (255, 300)
    assert (
        world.optimal_value
        == gym.make("KnapsackBandit-v0", budget=255, horizon=300).unwrapped.world.optimal_value
    )


def test_an_episode_may_be_longer_than_the_table_of_its_steps(monkeypatch):
    """Longer than memory, even; the luck of later steps is what it would be."""
    gym.make("BernoulliBandit-v0", horizon=10**12)
    monkeypatch.setattr("recsim_env.envs.single_user.STEPS_KEPT", 3)
    env, batch = gym.make("BernoulliBandit-v0"), gym.make_vec("BernoulliBandit-v0", num_envs=1)
    env.reset(seed=5), batch.reset(seed=5)
    rewards = [(env.step([4])[1], batch.step([[4]])[1][0]) for _ in range(30)]
    assert all(one == other for one, other in rewards)
    assert len(set(rewards[3:])) == 2


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_seeds_of_worlds_are_whole_numbers(env_id, seed):
    if "world_seed" not in signature(builder(env_id)).parameters:
        pytest.skip("nothing in this world is drawn")
    with pytest.raises(InputError, match=rf"world_seed must be a whole number from 0 to .*, got {seed}"):
        make(env_id, world_seed=seed)


def test_click_models_that_do_not_know_all_slots_are_refused():
    world = make("SlateRec-v0", num_items=20, num_users=3, slate_size=3).world
    with pytest.raises(
        InputError, match="slates of 3 slots are longer than examination, which is known for 2"
    ):
        replace(world, clicks=PositionBased(np.ones(2)))


@pytest.mark.parametrize("env_id", ["SlateRec-v0", "InterestDrift-v0"])
def test_a_source_of_candidates_needs_candidates(env_id):
    with pytest.raises(InputError, match="candidates_from = 'interest' needs candidates: give their number"):
        make(env_id, candidates_from="interest")
    env = make(env_id, num_items=400, candidates=30, candidates_from="interest")
    observation, _ = env.reset(seed=4)
    assert len(set(observation["candidates"].tolist())) == 30


def test_numpy_numbers_and_whole_numbers_for_numbers_are_fine():
    gym.make("SlateRec-v0", slate_size=np.int32(3), sharpness=5, num_items=np.int64(50), num_users=5)
    gym.make("InterestDrift-v0", length_scale=np.inf, num_users=3, mean_gap=np.float32(2.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode": -1}, "episode must be a whole number from 0 to 2\\^32 - 1.*, got -1"),
        ({"episode": 1.5}, "episode must be a whole number from 0"),
        ({"episode": 1 << 32}, "episode must be a whole number from 0"),
        ({"episode": 1 << 70}, "episode must be a whole number from 0"),
        ({"episode": "a"}, "episode must be a whole number from 0"),
        ({"episode": [1, 2, 3]}, "episode must be a whole number from 0"),
        ({"epsode": 3}, "there is no option of reset 'epsode': did you mean episode"),
        ("a", "options must be a dictionary with episode"),
    ],
)
def test_bad_options_of_reset(options, message):
    for env in (make("CascadeBandit-v0"), make_vec("CascadeBandit-v0", 2)):
        with pytest.raises(InputError, match=message):
            env.reset(seed=0, options=options)
        env.reset(seed=0, options={"episode": None})


def test_episodes_of_rows_and_masks_as_lists():
    env = make_vec("CascadeRec-v0", 3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0, options={"episode": [4, 5, 6]})
    observation, _ = env.reset(options={"episode": 9, "reset_mask": [True, False, True]})
    for i, episode in enumerate((9, 5, 9)):
        alone, _ = make("CascadeRec-v0").reset(seed=i, options={"episode": episode})
        assert rows_equal(alone, observation, i)
    for mask in ([True], np.ones(3)):
        with pytest.raises(InputError, match="reset_mask must be bool of shape"):
            env.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("steps", [0, -3, 2.5])
def test_episodes_of_no_length_are_refused(steps):
    with pytest.raises(InputError, match=f"max_episode_steps must be a whole number from 1, got {steps}"):
        make_vec("CascadeRec-v0", 2, max_episode_steps=steps)


def test_the_first_bad_slot_is_named():
    env = make("SlateRec-v0")
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"slates\[0, 1\] = -2 is not an item"):
        env.step(np.array([0] + [-2] * 9))
    with pytest.raises(InputError, match=r"action must have shape \(10,\), got \(9,\): one number a slot"):
        env.step(np.arange(9))


GOLDEN = json.loads((Path(__file__).parent / "golden_rewards.json").read_text())


def test_golden_rewards(env_id):
    """An id's dynamics never change: a change means a new version."""
    if env_id not in GOLDEN:
        pytest.skip("its rewards depend on a file that is not shipped")
    assert rewards(env_id) == GOLDEN[env_id]


def rewards(env_id):
    env = make_vec(env_id, 40)
    env.reset(seed=2026)
    N, K = env.world.num_items, env.world.slate_size
    slates = (np.arange(40)[:, None] + np.arange(K)) % N
    return [float(env.step(slates)[1].sum()) for _ in range(10)]


def test_import_is_light():
    heavy = [
        *("torch", "stable_baselines3", "ray", "faiss", "tensorboard", "pandas", "pyarrow", "sklearn"),
        *("matplotlib", "PIL", "numba", "scipy", "pytest"),
    ]
    code = f"import sys, recsim_env; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert shown.stdout.strip() == "[]"


def test_namespaced_id_needs_no_import():
    code = "import gymnasium; gymnasium.make('recsim_env:CascadeRec-v0').reset(seed=0); print('made')"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert shown.stdout.strip() == "made"
