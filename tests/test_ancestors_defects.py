"""What went wrong in other simulators, tried on ours: a test for each confirmed defect, named for its place.

The defects are facts about published code; the tests exercise our counterpart of each.
"""

import inspect
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import recsim_env  # noqa: F401
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bored_user import bored_user
from recsim_env.simulators.worlds.interest_drift import interest_drift
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.simulators.worlds.world import repeat_rows
from recsim_env.user_models.choices import MultinomialLogit, PlackettLuce, ProbabilityRanking
from recsim_env.user_models.clicks import CLICK_MODELS
from recsim_env.user_models.clicks.all_lists import all_lists
from recsim_env.user_models.preferences import Boredom, Reinforcement

MOVIELENS = Path(__file__).parents[2] / "shared" / "data" / "ml-100k"
IDS = sorted(i for i, spec in gym.registry.items() if "recsim_env" in str(spec.entry_point))

# a second value for every parameter of every id; a dict when others must change for it to matter
SECOND = {
    "CascadeRec-v0": {"num_states": 7, "num_items": 14, "slate_size": 2, "horizon": 9, "world_seed": 1},
    "CascadeBandit-v0": {
        "num_items": 20,
        "slate_size": 2,
        "attraction": 0.4,
        "gap": 0.05,
        "horizon": 9,
        "world_seed": 1,
    },
    "PositionBandit-v0": {
        "num_items": 12,
        "slate_size": 3,
        "highest": 0.9,
        "lowest": 0.3,
        "decay": 0.2,
        "horizon": 9,
        "world_seed": 1,
    },
    "CascadeRec-Grocery-v0": {
        "num_items": 20,
        "num_states": 10,
        "slate_size": 2,
        "horizon": 9,
        "world_seed": 1,
    },
    "CascadeRec-MovieLens-v0": {
        "num_items": 12,
        "num_states": 15,
        "slate_size": 2,
        "horizon": 9,
        "rating_scale": 6.0,
        "path": {"path": str(MOVIELENS)},
    },
    "SlateRec-v0": {
        "num_items": 300,
        "slate_size": 3,
        "clicks": "position_based",
        "num_users": 300,
        "dimension": 8,
        "num_categories": 10,
        "sharpness": 2.0,
        "intercept": -3.0,
        "leave_after_click": 0.15,
        "leave_without_click": 0.5,
        "horizon": 9,
        "interest_observed": False,
        "candidates": 50,
        "candidates_from": {"candidates": 50, "candidates_from": "interest"},
        "calibration": "a directory",
        "force": True,
        "world_seed": 1,
    },
    "RepeatListen-v0": {
        "num_items": 500,
        "slate_size": 3,
        "num_users": 30,
        "num_categories": 20,
        "concentration": 0.1,
        "repeat": 0.4,
        "temperature": 0.5,
        "decay": 0.8,
        "beta": 6.0,
        "session_length": 4,
        "mean_gap": 4000.0,
        "remembered": 50,
        "memory": "approximate",
        "history_length": 5,
        "horizon": 9,
        "calibration": "a directory",
        "force": True,
        "world_seed": 1,
    },
    "InterestDrift-v0": {
        "length_scale": 2.0,
        "num_interests": 3,
        "num_items": 300,
        "slate_size": 3,
        "clicks": "position_based",
        "num_users": 300,
        "dimension": 8,
        "num_categories": 10,
        "sharpness": 4.0,
        "intercept": -2.0,
        "mean_gap": 9.0,
        "gap_shape": 0.3,
        "horizon": 9,
        "interest_observed": True,
        "candidates": 50,
        "candidates_from": {"candidates": 20, "candidates_from": "interest"},
        "world_seed": 1,
    },
    "BoredUser-v0": {
        "num_items": 300,
        "slate_size": 3,
        "clicks": "cascade",
        "num_users": 300,
        "dimension": 8,
        "num_categories": 5,
        "sharpness": 8.0,
        "intercept": -1.0,
        "satiation_factor": 3.0,
        "satiation_memory": 0.2,
        "threshold": 2,
        "window": 20,
        "duration": 20,
        "patience": 2.0,
        "refund": 0.1,
        "horizon": 9,
        "boredom_observed": False,
        "world_seed": 1,
    },
    "GroupSlate-v0": {
        "num_items": 300,
        "slate_size": 3,
        "num_groups": 5,
        "dimension": 4,
        "radius": 2.0,
        "user": "gated",
        "keep": 0.05,
        "no_click_logit": 4.0,
        "horizon": 9,
        "preference_observed": True,
        "world_seed": 1,
    },
    "ShortcutBench-v0": {
        "num_items": 300,
        "slate_size": 3,
        "branching": 20,
        "smooth": 0.0,
        "lag": 2,
        "noise": 0.6,
        "horizon": 9,
        "world_seed": 1,
    },
    "LipschitzBandit-v0": {
        "num_items": 501,
        "kind": "round",
        "peak": 0.6,
        "top": 0.8,
        "floor": 0.2,
        "slope": 2.0,
        "num_peaks": {"kind": "peaks", "num_peaks": 4},
        "horizon": 50,
        "world_seed": {"kind": "peaks", "world_seed": 1},
    },
    "KnapsackBandit-v0": {
        "num_arms": 5,
        "kind": "pricing",
        "budget": 700,
        "horizon": 3000,
        "world_seed": 1,
    },
    "IncentivisedUsers-v0": {
        "num_items": 3,
        "best_mean": 0.6,
        "gap": 0.1,
        "strength": 5.0,
        "kind": {"warm_up": 1, "kind": "history"},
        "warm_up": {"exploration": 1.0, "warm_up": 2},
        "exploration": {"warm_up": 1, "exploration": 1.0},
        "horizon": 50,
    },
    "SemiBandit-v0": {
        "num_items": 20,
        "slate_size": 2,
        "attraction": 0.4,
        "gap": 0.05,
        "kind": "adversarial",
        "horizon": 9,
        "world_seed": 1,
    },
    "LinearCascadeBandit-v0": {
        "num_items": 20,
        "slate_size": 2,
        "dimension": 3,
        "attraction": 0.8,
        "horizon": 9,
        "world_seed": 1,
    },
    "BernoulliBandit-v0": {
        "num_items": 5,
        "low": 0.5,
        "high": 0.6,
        "means": "one_best",
        "horizon": 9,
        "world_seed": 1,
    },
    "GaussianBandit-v0": {
        "num_items": 5,
        "low": -1.0,
        "high": 2.0,
        "means": "drawn",
        "deviation": 0.1,
        "horizon": 9,
        "world_seed": 1,
    },
    "SwitchingBandit-v0": {
        "num_items": 5,
        "kind": "drift",
        "num_switches": {"num_switches": 9, "horizon": 20},
        "drift": {"drift": 0.1, "kind": "drift"},
        "horizon": 9,
        "world_seed": 1,
    },
    "ExpertAdvice-v0": {
        "num_experts": 5,
        "kind": "adversary",
        "best_error": 0.1,
        "gap": 0.4,
        "horizon": 9,
        "world_seed": 1,
    },
    "LinearBandit-v0": {
        "num_items": 7,
        "dimension": 3,
        "fresh_features": False,
        "noise": "coins",
        "deviation": 0.3,
        "horizon": 9,
        "world_seed": 1,
    },
    "ContextualBandit-v0": {
        "num_items": 7,
        "dimension": 2,
        "waves": 1,
        "height": 0.2,
        "horizon": 9,
        "world_seed": 1,
    },
    "Attack-v0": {
        "num_items": 6,
        "num_users": 12,
        "history": 3,
        "fakes": 2,
        "actions": 3,
        "every": 2,
        "k": 3,
        "cost": 0.05,
        "world_seed": 1,
    },
    "PoisonedRec-v0": {
        "inner": "bernoulli_bandit:bernoulli_bandit",
        "inner_args": "num_items=20",
        "share": 0.5,
        "target": 3,
        "fillers": "1 2 3 4 5 6 7 8",
        "session": "episode",
        "world_seed": 1,
    },
}
BASE = {"RepeatListen-v0": {"num_items": 600, "num_users": 20, "remembered": 100}}  # for speed
SMALL = {  # catalogues small enough for every slate to be looked at
    "CascadeRec-v0": {"num_items": 5, "slate_size": 3},
    "CascadeBandit-v0": {"num_items": 5, "slate_size": 3},
    "PositionBandit-v0": {"num_items": 5, "slate_size": 3},
    "CascadeRec-Grocery-v0": {"num_items": 5, "num_states": 4, "slate_size": 3},
    "CascadeRec-MovieLens-v0": {"num_items": 5, "num_states": 4, "slate_size": 3},
    "SlateRec-v0": {"num_items": 5, "slate_size": 3, "num_categories": 2, "num_users": 30},
    "RepeatListen-v0": {
        "num_items": 8,
        "slate_size": 3,
        "num_categories": 2,
        "num_users": 10,
        "remembered": 5,
    },
    "InterestDrift-v0": {"num_items": 5, "slate_size": 3, "num_categories": 2, "num_users": 30},
    "BoredUser-v0": {"num_items": 5, "slate_size": 3, "num_categories": 2, "num_users": 30, "threshold": 2},
    "GroupSlate-v0": {"num_items": 5, "slate_size": 3, "num_groups": 2},
    "ShortcutBench-v0": {"num_items": 5, "slate_size": 3, "branching": 2},
    "SemiBandit-v0": {"num_items": 5, "slate_size": 3, "kind": "adversarial"},
    "LinearCascadeBandit-v0": {"num_items": 5, "slate_size": 3},
    "BernoulliBandit-v0": {},
    "GaussianBandit-v0": {},
    "LipschitzBandit-v0": {"num_items": 101},
    "KnapsackBandit-v0": {"budget": 3, "horizon": 6},
    "IncentivisedUsers-v0": {"num_items": 3},
    "SwitchingBandit-v0": {},
    "ExpertAdvice-v0": {},
    "LinearBandit-v0": {"num_items": 5, "dimension": 3},
    "ContextualBandit-v0": {},
    "Attack-v0": {"cost": 0.0},  # so that the best attack fills its slots, as those do that are looked at
    "PoisonedRec-v0": {"inner_args": "num_items=5 slate_size=3"},
}


@pytest.fixture(params=IDS)
def env_id(request):
    return request.param


def builder(env_id):
    module, function = gym.spec(env_id).kwargs["world"].split(":")
    return getattr(import_module(module), function)


def given(env_id):
    """What an id cannot be made without; skips where it is not on this machine."""
    if env_id == "CascadeRec-MovieLens-v0":
        if not MOVIELENS.exists():
            pytest.skip("MovieLens is not shipped, and ../shared/data/ml-100k is not here")
        return {"path": str(MOVIELENS)}
    return {}


def make(env_id, **parameters):
    return gym.make(env_id, **{**given(env_id), **parameters})


def make_vec(env_id, num_envs, **parameters):
    return gym.make_vec(env_id, num_envs=num_envs, **{**given(env_id), **parameters})


def trajectory(env_id, seed, steps, before_each_step=lambda: None, **parameters):
    """All that an environment says, as bytes."""
    env, said = make(env_id, **parameters), []
    env.action_space.seed(0)
    observation, _ = env.reset(seed=seed)
    for _ in range(steps):
        said += [np.asarray(value).tobytes() for value in observation.values()]
        before_each_step()
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        said += [np.float64(reward).tobytes(), bytes([terminated, truncated])]
        said += [np.asarray(value).tobytes() for value in info.values()]
        if terminated or truncated:
            observation, _ = env.reset()
    return b"".join(said)


def disturb():
    """Move the global generators about."""
    np.random.seed(random.randrange(1000))  # noqa: NPY002 - the global generator is what is tried here
    random.seed()


def within_errors(samples, exact, errors=5.0):
    """Whether the mean over the first axis is the exact one; rare events may not occur at all."""
    deviation = np.sqrt(np.maximum(samples.var(axis=0), exact * (1.0 - np.minimum(exact, 1.0))))
    return (np.abs(samples.mean(axis=0) - exact) <= errors * deviation / np.sqrt(len(samples)) + 1e-12).all()


def test_recsim_equal_seeds_and_actions_give_equal_bytes(env_id):
    """RecSim: choices came from the global generator, so two environments of one seed parted company."""
    state = np.random.get_state()  # noqa: NPY002 - the global generator must not be touched
    python_state = random.getstate()
    one = trajectory(env_id, 7, 30)
    assert np.array_equal(state[1], np.random.get_state()[1])  # noqa: NPY002
    assert state[2:] == np.random.get_state()[2:]  # noqa: NPY002
    assert python_state == random.getstate()
    assert one == trajectory(env_id, 7, 30)
    if env_id != "Attack-v0":  # nothing is drawn there
        assert one != trajectory(env_id, 8, 30)


@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_recsim_every_click_model_runs_on_this_numpy(name):
    """RecSim: a choice model asserted on an empty array, which this NumPy refuses, for valid scores."""
    model = CLICK_MODELS[name].default(4)
    attraction = np.array([[0.5, 0.0, 1.0, 0.2], [0.0, 0.0, 0.0, 0.0]])
    response = model.sample(attraction, np.full((2, model.draws_per_slot, 4), 0.1))
    assert not response.clicked[attraction == 0.0].any()
    for probability in (
        model.click_prob(attraction),
        model.examine_prob(attraction),
        model.conditional_click_prob(attraction, response.clicked),
    ):
        assert probability.shape == (2, 4)
        assert ((probability >= 0.0) & (probability <= 1.0)).all()
    assert np.isfinite(model.log_prob(attraction, response.clicked)).all()


def test_recsim_every_choice_model_runs_on_this_numpy():
    """RecSim: as above, for comparisons of a whole slate, with empty slots and nothing at all."""
    utility = np.array([[0.5, -3.0, 2.0], [0.0, 0.0, 0.0]])
    listed = np.array([[True, False, True], [False] * 3])
    choice = MultinomialLogit(0.0)
    clicked = choice.sample(utility, listed, np.array([0.3, 0.3])).clicked
    assert not clicked[~listed].any()
    assert np.isfinite(choice.log_prob(utility, listed, clicked)).all()
    u = np.array([[0.2, 0.4, 0.9], [0.1, 0.1, 0.0]])
    for ranking in (PlackettLuce(), ProbabilityRanking()):
        order = ranking.rank(utility, u)
        assert (np.sort(order, axis=1) == np.arange(3)).all()
        assert np.isfinite(ranking.log_prob(utility, order)).all()


def test_recsim_the_reset_observation_is_in_its_space_and_closing_twice_is_fine(env_id):
    """RecSim: what reset() returned was outside observation_space, and close() was not implemented."""
    for env in (make(env_id), make_vec(env_id, 3)):
        observation, _ = env.reset(seed=3)
        assert env.observation_space.contains(observation)
        env.close()
        env.close()


@pytest.mark.parametrize("name", sorted(CLICK_MODELS))
def test_recsim_click_rates_by_position_follow_the_documented_formula(name):
    """RecSim: the cascade's attention was a thinning by position, not the power that its comment stated."""
    n = 40_000
    world = slate_rec(num_items=40, slate_size=5, clicks=name, num_users=5, num_categories=5, intercept=-1.0)
    state = world.begin(Luck.from_seeds([2]))
    slates = world.best_slate(state)[:, ::-1].copy()
    slates[0, 3] = -1
    _, outcome = world.respond(repeat_rows(state, n), slates.repeat(n, axis=0), Luck.from_seeds(np.arange(n)))
    exact = world.clicks.click_prob(world.slate_attraction(state, slates))[0]
    assert exact[3] == 0.0
    assert within_errors(outcome.response.clicked.astype(float), exact)


def statistics(env_id, **parameters):
    """The spaces, and all that 100 users say in 30 steps: those of even number see the best slates."""
    env = make_vec(env_id, 100, **parameters)
    env.action_space.seed(0)
    observation, _ = env.reset(seed=5)
    said = [str(env.single_action_space), str(env.single_observation_space), env.world.horizon]
    state = env.world.begin(Luck.from_seeds(np.arange(100)))
    for h in range(30):
        said += [value.tobytes() for value in observation.values()]
        slates = np.where(np.arange(100)[:, None] % 2, env.action_space.sample(), env.world.best_slate(state))
        slates = np.where(slates < 0, env.world.num_items, slates)
        state, _ = env.world.respond(
            state, np.where(slates == env.world.num_items, -1, slates), Luck.from_seeds(np.arange(100)).at(h)
        )
        observation, *said_too, _ = env.step(slates)
        said += [value.tobytes() for value in said_too]
    return said


def test_recogym_every_parameter_is_documented_and_changes_what_is_measured(env_id):
    """RecoGym: prob_leave_bandit was read by nothing."""
    build = builder(env_id)
    names = list(inspect.signature(build).parameters)
    assert sorted(names) == sorted(SECOND[env_id]), f"give each parameter of {env_id} a second value"
    base = BASE.get(env_id, {})
    first = statistics(env_id, **base)
    for name, value in SECOND[env_id].items():
        assert f"\n        {name}: " in (build.__doc__ or ""), name
        if name in ("path", "calibration", "force"):
            continue  # places of data, of which `given` had to fill in the first; tested with their readers
        second = value if isinstance(value, dict) else {name: value}
        others = {key: v for key, v in second.items() if key != name}
        without = statistics(env_id, **base, **others) if others else first
        assert statistics(env_id, **{**base, **second}) != without, name


def test_recogym_users_leave_as_often_as_the_parameter_says():
    """RecoGym: the probability of leaving after a recommendation was ignored."""
    n = 20_000
    for after_click, without in ((0.0, 0.0), (0.1, 0.3), (0.3, 0.9)):
        world = slate_rec(slate_size=1, leave_after_click=after_click, leave_without_click=without)
        state = world.begin(Luck.from_seeds(np.arange(n)))
        _, outcome = world.respond(state, world.best_slate(state), Luck.from_seeds(np.arange(n)))
        clicked = outcome.response.clicked.any(axis=1)
        assert 0.1 < clicked.mean() < 0.95
        assert within_errors(outcome.left[clicked].astype(float), np.float64(after_click))
        assert within_errors(outcome.left[~clicked].astype(float), np.float64(without))


def test_sardine_drift_moves_only_the_topics_of_the_clicked_items():
    """SARDINE: a mean without an axis added one number to every topic, wherever the clicked items were."""
    features = np.zeros((1, 3, 10))
    features[0, 0, [0, 4]], features[0, 1, 2], features[0, 2, 9] = [0.8, 0.2], 0.9, 0.5
    interest = np.linspace(-0.4, 0.5, 10)[None]
    after = Reinforcement(0.1).step(interest, features, np.array([[True, True, False]]), np.zeros(1))
    assert np.flatnonzero(after[0] != interest[0]).tolist() == [0, 2, 4]
    assert len(np.unique((after - interest)[0, [0, 2, 4]].round(6))) == 3


def test_sardine_the_oracle_is_seeded_by_nothing(env_id):
    """SARDINE: an oracle of seed 7 did not act twice alike, for it drew from the global generator."""
    world = make(env_id).unwrapped.world
    state = world.begin(Luck.from_seeds(np.arange(5)))
    best = world.best_slate(state)
    disturb()
    assert np.array_equal(world.best_slate(state), best)


def test_sardine_the_oracle_is_the_best_of_all_slates(env_id):
    """SARDINE: the oracle ignored a part of the reward. Ours is held against every slate there is."""
    world = make(env_id, **SMALL[env_id]).unwrapped.world
    slates = all_lists(world.num_items, world.slate_size)
    luck = Luck.from_seeds(np.arange(4))
    state = world.begin(luck)
    for h in range(3):
        for b in range(4):
            alone = repeat_rows(type(state)(*(_row(column, b) for column in state)), len(slates))
            best, shown = world.values(alone, slates)
            assert shown.max() == pytest.approx(best[0], abs=2e-6), (h, b)
        state, _ = world.respond(state, world.best_slate(state), luck.at(h))


def _row(column, b):
    if isinstance(column, tuple):
        return type(column)(*(_row(inner, b) for inner in column))
    return column[b : b + 1]


@pytest.mark.parametrize("build", [slate_rec, interest_drift, bored_user])
def test_kuaisim_probabilities_span_their_range_by_one_sigmoid(build):
    """KuaiSim: a sigmoid of a sigmoid put every probability in [0.5, 0.73]."""
    world = build(num_items=60, slate_size=60, sharpness=12.0, intercept=-4.0, num_categories=10)
    state = world.begin(Luck.from_seeds(np.arange(300)))
    slates = np.tile(np.arange(60), (300, 1))
    attraction = world.slate_attraction(state, slates)
    logit = (
        -4.0 + world.catalogue.quality + world.interest_of(state).astype(float) @ world.catalogue.features.T
    )
    np.testing.assert_allclose(attraction, 1.0 / (1.0 + np.exp(-logit)), atol=2e-6)
    assert attraction.min() < 1e-3
    assert attraction.max() > 0.99


def test_kuaisim_the_same_input_twice_has_the_same_probability(env_id):
    """KuaiSim: the response model was left in training mode, where dropout makes it a lottery."""
    env = make_vec(env_id, 20)
    env.action_space.seed(0)
    world = env.world
    luck = Luck.from_seeds(np.arange(20))
    state = world.begin(luck)
    for h in range(3):
        slates = env.action_space.sample()
        slates[slates == world.num_items] = -1
        expected = world.expected_reward(state, slates)
        (one, first), (other, second) = (world.respond(state, slates, luck.at(h)) for _ in range(2))
        assert expected.tobytes() == world.expected_reward(state, slates).tobytes()
        for a, b in zip(_leaves((one, first)), _leaves((other, second)), strict=True):
            assert a.tobytes() == b.tobytes()
        state = one


def _leaves(value):
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, tuple) else [value]


def test_kuaisim_no_environment_starts_processes_or_imports_networks():
    """KuaiSim: reset started eight workers, and an untrained layer was a part of the dynamics."""
    code = (
        "import sys, multiprocessing, threading, gymnasium as gym, recsim_env\n"
        f"for i in {[i for i in IDS if given_without_data(i)]}:\n"
        "    env = gym.make(i); env.reset(seed=0); env.step(env.action_space.sample())\n"
        "print(multiprocessing.active_children(), threading.active_count(), 'torch' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert shown.stdout.strip() == "[] 1 False"
    assert multiprocessing.active_children() == []


def given_without_data(env_id):
    return env_id != "CascadeRec-MovieLens-v0"


def test_virtualtaobao_the_seed_covers_every_generator(env_id):
    """VirtualTaobao: seed() set torch's generator alone, and users came from others."""
    assert trajectory(env_id, 7, 15) == trajectory(env_id, 7, 15, disturb)


@pytest.mark.parametrize("threshold", [1, 2, 3, 4, 5])
def test_easyrl4rec_the_window_holds_all_there_is_until_it_is_full(threshold):
    """EasyRL4Rec: a slice from below 0 made the window 1, 2, 2, 1, 5, 5, 5 clicks long at t = 1 to 7."""
    law = Boredom(1, threshold=threshold, window=5, duration=1)
    state, bored = law.begin(1), []
    for _ in range(7):
        state = law.step(state, np.zeros((1, 1), int), np.ones((1, 1), bool))
        bored.append(bool(law.bored(state)[0, 0]))
    assert bored == [min(t, 5) >= threshold for t in range(1, 8)]


def test_easyrl4rec_users_come_from_the_seed():
    """EasyRL4Rec: seed() set torch's generator, but users were drawn by Python's."""
    for env_id in ("SlateRec-v0", "BoredUser-v0", "InterestDrift-v0", "RepeatListen-v0"):
        users = []
        for _ in range(2):
            disturb()
            env = make_vec(env_id, 30)
            users.append(env.reset(seed=9)[0]["user"].tolist())
        assert users[0] == users[1]
        assert len(set(users[0])) > 10


def test_reclab_the_true_value_is_the_mean_of_samples_under_satiation():
    """RecLab: the truth shown to its perfect baseline added the satiation that the samples subtracted."""
    n = 40_000
    world = bored_user(
        num_items=6,
        slate_size=1,
        num_categories=3,
        num_users=1,
        clicks="document_click_through_rate",
        intercept=-0.5,
        satiation_factor=1.0,
        satiation_memory=0.5,
        threshold=1000,
        window=1000,
        patience=1e6,
    )
    state, worth = world.begin(Luck.from_seeds([0])), []
    item = world.best_slate(state)
    topic = world.catalogue.category[item[0, 0]]
    for repeats in range(4):  # after 0, 1, 2, 3 clicks on the item
        s = sum(0.5**k for k in range(1, repeats + 1))
        assert state.satiation[0, topic] == pytest.approx(s)
        expected = world.expected_reward(state, item)[0]
        luck = Luck.from_seeds(np.arange(n) + 1000 * n * repeats)
        _, outcome = world.respond(repeat_rows(state, n), item.repeat(n, axis=0), luck)
        assert within_errors(outcome.reward, expected)
        worth.append(expected)
        state = state._replace(satiation=world.satiation.step(state.satiation, np.eye(3)[[topic]]))
    assert (np.diff(worth) < 0.0).all()
    logit = np.log(worth) - np.log1p(-np.array(worth))
    np.testing.assert_allclose(logit[0] - logit, [0.0, 0.5, 0.75, 0.875], atol=1e-5)


FULL = {  # the longest slate: the whole catalogue, or all but what listeners remember
    "CascadeRec-v0": {"slate_size": 12},
    "CascadeBandit-v0": {"slate_size": 16, "gap": 0.15},
    "PositionBandit-v0": {"slate_size": 10},
    "CascadeRec-Grocery-v0": {"slate_size": 25},
    "CascadeRec-MovieLens-v0": {"slate_size": 10},
    "SlateRec-v0": {"num_items": 30, "slate_size": 30},
    "RepeatListen-v0": {"num_items": 60, "remembered": 20, "slate_size": 40},
    "InterestDrift-v0": {"num_items": 30, "slate_size": 30},
    "BoredUser-v0": {"num_items": 30, "slate_size": 30},
    "GroupSlate-v0": {"num_items": 30, "slate_size": 30},
    "ShortcutBench-v0": {"num_items": 30, "slate_size": 30},
    "SemiBandit-v0": {"slate_size": 16},
    "LinearCascadeBandit-v0": {"num_items": 30, "slate_size": 30},
    "Attack-v0": {"actions": 5},
    "PoisonedRec-v0": {"inner_args": "slate_size=16 gap=0.15"},
}
OF_ONE = {"Attack-v0": {"actions": 1}, "PoisonedRec-v0": {"inner_args": "slate_size=1"}}


@pytest.mark.parametrize("longest", [False, True])
def test_reclab_slates_of_one_and_of_everything_work(env_id, longest):
    """RecLab: a user model failed by a matrix of the wrong shape on slates of one item."""
    if "slate_size" not in inspect.signature(builder(env_id)).parameters and env_id not in OF_ONE:
        assert make(env_id).unwrapped.world.slate_size == 1
        pytest.skip("a round of this world pulls one arm")
    runs(env_id, **(FULL[env_id] if longest else OF_ONE.get(env_id, {"slate_size": 1})))


def runs(env_id, **parameters):
    """Five users take four steps; everything stays in its space and the best slate is not passed."""
    env = make_vec(env_id, 5, **parameters)
    env.action_space.seed(1)
    env.reset(seed=1)
    for _ in range(4):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward).all()
        assert (info["slate_value"] <= info["best_value"] + 1e-9).all()


WITHOUT_ATTRACTION = ("global_click_through_rate", "rank_click_through_rate")
OPTIONS = {  # parameters that are words, and every word; of one id as "ID parameter"
    "clicks": sorted(CLICK_MODELS),
    "candidates_from": ["catalogue", "interest"],
    "user": ["linear", "gated"],
    "memory": ["exact", "approximate"],
    "kind": ["stochastic", "adversarial"],
    "means": ["even", "one_best", "drawn"],
    "LipschitzBandit-v0 kind": ["tent", "round", "peaks"],
    "KnapsackBandit-v0 kind": ["bernoulli", "pricing"],
    "IncentivisedUsers-v0 kind": ["recommendation", "history"],
    "SwitchingBandit-v0 kind": ["piecewise", "drift", "adversary"],
    "ExpertAdvice-v0 kind": ["stochastic", "adversary"],
    "noise": ["normal", "coins"],
    "inner": ["cascade_bandit:cascade_bandit", "bernoulli_bandit:bernoulli_bandit"],
    "inner_args": ["", "num_items=20"],
    "fillers": ["", "3 8"],
    "session": ["slate", "episode"],
}


def test_scope_rl_every_option_runs(env_id):
    """scope-rl: reward_type="binary" crashed on the first step, by a misspelt method."""
    for name, parameter in inspect.signature(builder(env_id)).parameters.items():
        if isinstance(parameter.default, bool):
            values = [False, True]
        elif isinstance(parameter.default, str):
            values = OPTIONS.get(f"{env_id} {name}") or OPTIONS[name]
        else:
            continue
        with_it = {"candidates": 20} if name == "candidates_from" else {}
        for value in values:
            if env_id == "BoredUser-v0" and value in WITHOUT_ATTRACTION:
                with pytest.raises(InputError, match="clicks must be a model in which items attract"):
                    runs(env_id, **{name: value})
            else:
                runs(env_id, **{name: value, **with_it})


def test_scope_rl_options_run_together():
    """scope-rl: as above, for candidates with every click model."""
    for clicks, source in itertools.product(OPTIONS["clicks"], OPTIONS["candidates_from"]):
        runs("SlateRec-v0", num_items=200, clicks=clicks, candidates=15, candidates_from=source)
    for clicks in OPTIONS["clicks"]:
        runs("InterestDrift-v0", clicks=clicks, candidates=30)
