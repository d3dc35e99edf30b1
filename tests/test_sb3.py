"""Stable-Baselines3: the VecEnv against single environments and DummyVecEnv, the measurement, trainings."""

import importlib
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import recsim_env
from recsim_env.envs.batched import BatchedEnv
from recsim_env.errors import InputError
from recsim_env.experiments.env_args import world_of
from recsim_env.simulators.worlds.cascade import CascadeWorld

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecCheckNan, VecMonitor, VecNormalize  # noqa: E402

from recsim_env.envs.sb3 import SB3VecEnv  # noqa: E402
from recsim_env.envs.wrappers import Flatten, OneSlot, ScoresToSlate, wrap  # noqa: E402
from recsim_env.experiments import sb3, sb3_checkpoint  # noqa: E402
from recsim_env.experiments.baseline_policies import measure_baselines  # noqa: E402
from recsim_env.experiments.policy_metrics import graded_ndcg, measure  # noqa: E402
from recsim_env.experiments.results import Results  # noqa: E402
from recsim_env.experiments.sb3_callback import PolicyMetrics  # noqa: E402
from recsim_env.experiments.sb3_configs import CONFIGS  # noqa: E402

pytestmark = pytest.mark.extra

ROOT = Path(__file__).parent.parent
LEAVING = {"num_items": 30, "slate_size": 3, "num_users": 20, "horizon": 6, "leave_without_click": 0.4}
torch.set_num_threads(1)


def driven(env, steps, seed):
    """Everything that a VecEnv says under random slates, and the episodes it tells of."""
    rng = np.random.default_rng(seed)
    env.seed(seed)
    seen, episodes = [env.reset()], []
    for _ in range(steps):
        actions = rng.integers(0, 30, (env.num_envs, 3))
        observation, reward, done, infos = env.step(actions)
        assert len(infos) == env.num_envs
        assert len({id(info) for info in infos}) == env.num_envs  # who changes one changes no other
        seen.append((observation, reward.copy(), done.copy(), infos))
        episodes += [
            (row, info["episode"]["r"], info["episode"]["l"]) for row, info in enumerate(infos) if done[row]
        ]
    return seen, episodes


@pytest.mark.parametrize("limit", [None, 4])
def test_equals_dummy_vec_env_step_for_step(limit):
    # the library's own adapter around single environments with the same seeds; users who leave, who are cut
    # off, and who do both at once
    kwargs = {**LEAVING, **({} if limit is None else {"max_episode_steps": limit})}
    native = SB3VecEnv("SlateRec-v0", num_envs=7, flat=False, **kwargs)
    dummy = DummyVecEnv([lambda: Monitor(gym.make("SlateRec-v0", **kwargs)) for _ in range(7)])
    assert native.observation_space == dummy.observation_space
    assert native.action_space == dummy.action_space
    mine, my_episodes = driven(native, 60, 5)
    theirs, their_episodes = driven(dummy, 60, 5)
    assert my_episodes == their_episodes
    assert {length for _, _, length in my_episodes} == set(range(1, (limit or 6) + 1))
    assert mine[0].keys() == theirs[0].keys()
    ends = set()
    for (o1, r1, d1, i1), (o2, r2, d2, i2) in zip(mine[1:], theirs[1:], strict=True):
        for name in o2:
            np.testing.assert_array_equal(o1[name], o2[name])
        np.testing.assert_array_equal(r1, r2)
        assert r1.dtype == r2.dtype == np.float32
        np.testing.assert_array_equal(d1, d2)
        for row in np.flatnonzero(d1):
            assert i1[row]["TimeLimit.truncated"] is bool(i2[row]["TimeLimit.truncated"])
            ends.add(i1[row]["TimeLimit.truncated"])
            for name, value in i2[row]["terminal_observation"].items():
                np.testing.assert_array_equal(i1[row]["terminal_observation"][name], value)
            for name in ("clicked", "examined", "best_value", "slate_value"):
                np.testing.assert_array_equal(i1[row][name], i2[row][name])
        assert all(i1[row] == {} for row in np.flatnonzero(~d1))
    assert ends == {True, False}


def test_episodes_are_those_of_the_single_environment():
    env = SB3VecEnv("SlateRec-v0", num_envs=4, **LEAVING)
    _, episodes = driven(env, 40, 11)
    rng = np.random.default_rng(11)
    actions = [rng.integers(0, 30, (4, 3)) for _ in range(40)]
    for row in range(4):
        single = gym.make("SlateRec-v0", **LEAVING)
        single.reset(seed=11 + row)
        found, total, length = [], 0.0, 0
        for t in range(40):
            _, reward, terminated, truncated, _ = single.step(actions[t][row])
            total, length = total + reward, length + 1
            if terminated or truncated:
                found.append((row, total, length))
                single.reset()
                total, length = 0.0, 0
        assert found == [episode for episode in episodes if episode[0] == row]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    env = gym.make_vec("CascadeRec-v0", num_envs=2, autoreset_mode=mode)
    with pytest.raises(InputError, match=f"autoreset_mode must be SAME_STEP, got {mode.name}"):
        SB3VecEnv(env)
    with pytest.raises(InputError, match="leave it out"):
        SB3VecEnv("CascadeRec-v0", num_envs=2, autoreset_mode=mode)


def test_borders():
    ready = gym.make_vec("CascadeRec-v0", num_envs=2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(InputError, match="takes no num_envs, slate_size"):
        SB3VecEnv(ready, num_envs=2, slate_size=2)
    with pytest.raises(InputError, match="num_envs must be at least 1"):
        SB3VecEnv("CascadeRec-v0", num_envs=0)
    with pytest.raises(InputError, match="env must be an id or a vector environment"):
        SB3VecEnv(gym.make("CascadeRec-v0"))
    with pytest.raises(InputError, match="CartPole-v1"):
        SB3VecEnv("CartPole-v1", num_envs=2)
    with pytest.raises(InputError, match="did you mean CascadeRec-v0"):
        SB3VecEnv("CascadRec-v0", num_envs=2)
    env = SB3VecEnv("CascadeRec-v0", num_envs=3, render_mode="rgb_array")
    env.reset()
    assert [image.ndim for image in env.get_images()] == [3, 3, 3]
    assert env.render().ndim == 3
    assert env.get_attr("render_mode") == ["rgb_array"] * 3
    assert env.get_attr("world", indices=1)[0] is env.env.unwrapped.world
    assert [slate.shape for slate in env.env_method("best_slates", indices=[0, 2])] == [(3,), (3,)]
    env.set_attr("note", 7)
    assert env.get_attr("note") == [7, 7, 7]
    with pytest.raises(InputError, match="shared by all rows"):
        env.set_attr("note", 7, indices=[1])
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        env.get_attr("nothing")
    assert not env.has_attr("nothing")
    assert env.env_is_wrapped(Monitor) == [True] * 3
    assert env.env_is_wrapped(gym.wrappers.TimeLimit) == [False] * 3
    with pytest.raises(IndexError, match="index 3 is out of range"):
        env.get_attr("world", indices=[3])
    for method in ("reset", "step"):  # two rows: the pair of observation and info would be taken apart
        with pytest.raises(InputError, match=f"call {method} of the SB3VecEnv"):
            SB3VecEnv("CascadeRec-v0", num_envs=2).env_method(method)
    env.set_options([{"episode": 1}, {"episode": 1}, {"episode": 2}])
    with pytest.raises(InputError, match="options must be the same"):
        env.reset()
    env.set_options({"episode": 3})
    env.seed(9)
    third = env.reset()
    again, _ = wrap(gym.make("CascadeRec-v0"), Flatten()).reset(seed=10, options={"episode": 3})
    np.testing.assert_array_equal(third[1], again)
    env.close()


def test_truncation_that_is_final_is_not_bootstrapped():
    for final in (False, True):
        env = SB3VecEnv("CascadeRec-v0", num_envs=2, truncation_is_final=final, horizon=3)
        env.reset()
        for _ in range(3):
            _, _, done, infos = env.step(np.array([[0, 1, 2], [3, 4, 5]]))
        assert done.all()
        assert [info["TimeLimit.truncated"] for info in infos] == [not final] * 2


def test_wrappers_of_stable_baselines3_fit():
    env = SB3VecEnv("CascadeRec-v0", num_envs=4, horizon=5)
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        monitored = VecMonitor(env)
    normal = VecCheckNan(VecNormalize(monitored), raise_exception=True)
    model = PPO("MlpPolicy", normal, n_steps=10, batch_size=20, device="cpu")
    model.learn(80)
    assert [info["l"] for info in model.ep_info_buffer] == [5] * len(model.ep_info_buffer)


@pytest.mark.parametrize("policy", ["MlpPolicy", "MultiInputPolicy"])
def test_ppo_works_at_once(policy):
    model = PPO(
        policy, SB3VecEnv("CascadeRec-v0", num_envs=8, flat=policy == "MlpPolicy"), n_steps=40, batch_size=64
    )
    model.learn(320)
    assert len(model.ep_info_buffer) == 16  # two episodes of 20 in each row
    returns, lengths = evaluate_policy(
        model,
        SB3VecEnv("CascadeRec-v0", num_envs=4, flat=policy == "MlpPolicy"),
        8,
        return_episode_rewards=True,
    )
    assert lengths == [20] * 8
    assert all(0 <= r <= 20 for r in returns)
    single = gym.make("CascadeRec-v0")
    PPO(
        policy, wrap(single, Flatten()) if policy == "MlpPolicy" else single, n_steps=40, batch_size=40
    ).learn(40)


def test_evaluate_policy_agrees_with_measure():
    env = SB3VecEnv("SlateRec-v0", num_envs=50, **LEAVING)
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=50, seed=1, device="cpu")
    env.seed(700)
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=50, return_episode_rewards=True)
    found = measure(
        lambda observation: model.predict(observation, deterministic=True)[0],
        world_of("SlateRec-v0", LEAVING),
        episodes=50,
        seed=700,
        wrap=lambda inner: wrap(inner, Flatten()),
    )
    # evaluate_policy lists episodes by their end, measure by their seed
    assert sorted(zip(returns, lengths, strict=True)) == sorted(
        zip(found["reward"], found["length"], strict=True)
    )
    assert len(set(lengths)) > 1


def test_measure_equals_one_user_after_the_other():
    rng = np.random.default_rng(3)
    slates = [rng.permuted(np.tile(np.arange(30), (9, 1)), axis=1)[:, :3] for _ in range(6)]
    steps = iter(slates)
    found = measure(lambda _: next(steps), world_of("SlateRec-v0", LEAVING), episodes=9, seed=40)
    for i in range(9):
        env = gym.make("SlateRec-v0", **LEAVING)
        env.reset(seed=40 + i)
        world, state_of = env.unwrapped.world, lambda e=env: e.unwrapped._state
        reward = regret = 0.0
        ndcg, shown = [], set()
        for t in range(6):
            state = state_of()
            attraction = world.slate_attraction(state, np.arange(30)[None])[0]
            discount = 1 / np.log2([2, 3, 4])
            gain = attraction[slates[t][i]] @ discount
            ndcg.append(gain / (np.sort(attraction)[::-1][:3] @ discount))
            shown |= set(slates[t][i].tolist())
            _, r, terminated, truncated, info = env.step(slates[t][i])
            reward, regret = reward + r, regret + info["best_value"] - info["slate_value"]
            if terminated or truncated:
                break
        assert found["length"][i] == t + 1
        assert found["reward"][i] == reward
        assert found["regret"][i] == pytest.approx(regret, abs=1e-12)
        assert found["ndcg"][i] == pytest.approx(np.mean(ndcg), abs=1e-12)
        assert found["coverage"][i] == len(shown) / 30


def test_drift_is_how_far_interests_went_within_the_episode():
    world = world_of("InterestDrift-v0", {"num_items": 20, "slate_size": 2, "num_users": 50})
    slates = np.tile([3, 7], (6, 1))
    found = measure(lambda _: slates, world, episodes=6, seed=9, max_episode_steps=4)
    for i in range(6):
        env = gym.make("InterestDrift-v0", num_items=20, slate_size=2, num_users=50)
        env.reset(seed=9 + i)
        interests = [env.unwrapped._state.interest[0].astype(float)]
        for _ in range(3):  # the fourth slate is shown to the user as the third visit left them
            env.step(slates[i])
            interests.append(env.unwrapped._state.interest[0].astype(float))
        moved = np.linalg.norm(interests[-1] - interests[0]) / np.linalg.norm(interests[0])
        assert found["drift"][i] == pytest.approx(moved, abs=1e-12)
        assert moved > 0
    assert "drift" not in measure(
        lambda _: np.tile([0, 1, 2], (2, 1)), world_of("SlateRec-v0", LEAVING), episodes=2, seed=0
    )


def test_measure_behind_one_slot_is_that_of_the_slates():
    world = world_of("SlateRec-v0", LEAVING)
    slates = np.argsort(np.random.default_rng(8).random((20, 30)))[:, :3]
    whole = measure(lambda _: slates, world, episodes=20, seed=6)
    slots = measure(
        lambda seen: slates[np.arange(20), seen["slot"]],
        world,
        episodes=20,
        seed=6,
        wrap=lambda env: wrap(env, OneSlot()),
    )
    assert len(set(whole["length"])) > 1
    for name, values in whole.items():
        np.testing.assert_array_equal(values, slots[name])


def test_measure_by_closed_forms():
    world = world_of("CascadeRec-v0", {})
    found = measure_baselines(world, episodes=2000, seed=0)
    assert found["optimal"]["regret"].max() < 1e-9
    for name, exact in {
        "optimal": world.mean_start_value(world.optimal_values()),
        "myopic": world.mean_start_value(world.policy_values(world.myopic_policy())),
    }.items():
        error = found[name]["reward"].std() / 2000**0.5
        assert abs(found[name]["reward"].mean() - exact) < 4 * error
    # reward and regret of one policy differ by the optimum in expectation; popular = most attractive = NDCG 1
    lost = found["optimal"]["reward"] - found["myopic"]["reward"] - found["myopic"]["regret"]
    assert abs(lost.mean()) < 4 * lost.std() / 2000**0.5
    assert found["popular"]["ndcg"] == pytest.approx(1.0)
    with pytest.raises(InputError, match="episodes must be at least 1, got 0"):
        measure(lambda o: o, world, episodes=0, seed=0)
    with pytest.raises(InputError, match="seed must be 0 or more, got -1"):
        measure(lambda o: o, world, episodes=1, seed=-1)


def test_ndcg_by_hand():
    world = CascadeWorld(
        attraction=np.array([[0.4, 0.2, 0.0], [0.0, 0.0, 0.0]]),
        transition=np.full((2, 4, 2), 0.5),
        reward=np.ones((2, 3)),
        slate_size=2,
        horizon=1,
    )
    state = world.begin(recsim_env.simulators.luck.Luck.from_seeds(range(3)))
    state = type(state)(np.array([0, 0, 1]), np.zeros(3, np.int64))
    half = 1 / np.log2(3)
    ideal = 0.4 + 0.2 * half
    found = graded_ndcg(world, state, np.array([[1, 0], [0, 0], [2, -1]]))
    np.testing.assert_allclose(found, [(0.2 + 0.4 * half) / ideal, 0.4 / ideal, 1.0])


def test_callback_logs_what_measure_finds(tmp_path):
    env = SB3VecEnv("CascadeRec-v0", num_envs=4, num_items=4, slate_size=2, horizon=5)
    model = PPO("MlpPolicy", env, n_steps=10, batch_size=20, seed=0, tensorboard_log=str(tmp_path / "tb"))
    callback = PolicyMetrics(every=80, episodes=30, seed=5, out=tmp_path / "out")
    model.learn(200, callback=callback)
    curves = Results.read(tmp_path / "out" / "results.csv").curves["ppo"]
    assert curves["regret"].steps.tolist() == [0, 80, 160, 200]
    world = env.env.unwrapped.world
    last = measure(
        lambda o: model.predict(o, deterministic=True)[0],
        world,
        episodes=30,
        seed=5,
        wrap=lambda inner: wrap(inner, Flatten()),
    )
    for name in ("reward", "regret", "ndcg", "coverage"):
        assert curves[name].values[-1, 0] == last[name].mean()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next((tmp_path / "tb").iterdir())))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"regret", "regret_std_error", "ndcg", "coverage", "reward", "kl", "rollout/ep_rew_mean"} <= tags
    assert events.Scalars("regret")[-1].value == pytest.approx(last["regret"].mean())
    scores = SB3VecEnv(wrap(BatchedEnv(4, world, autoreset_mode=AutoresetMode.SAME_STEP), ScoresToSlate()))
    with pytest.raises(InputError, match=r"wrap_env must be given.*ScoresToSlate"):
        PPO("MlpPolicy", scores, n_steps=10, batch_size=20).learn(40, callback=PolicyMetrics())


# a world in which one slate is right, whatever the user does: what an algorithm that works must learn
TRIVIAL = {
    "env": "CascadeBandit-v0",
    "env_args": "num_items=4 slate_size=1 attraction=0.9 gap=0.8 horizon=4",
    "replicates": 1,
    "evaluations": 2,
    "episodes": 50,
}
QUICK = {
    "ppo": {
        "steps": 3200,
        "num_envs": 16,
        "keywords": "n_steps=20 batch_size=160 learning_rate=0.005 gamma=0.5",
    },
    "a2c": {"steps": 6400, "num_envs": 16, "keywords": "n_steps=8 learning_rate=0.005 gamma=0.5"},
    "dqn": {
        "steps": 3200,
        "num_envs": 16,
        "keywords": "learning_starts=200 learning_rate=0.005 buffer_size=2000 batch_size=64 gamma=0.5 "
        "train_freq=1 target_update_interval=160 exploration_fraction=0.5",
    },
    "sac": {
        "steps": 1600,
        "num_envs": 16,
        "keywords": "learning_starts=200 learning_rate=0.005 buffer_size=2000 batch_size=64 gamma=0.5 "
        "train_freq=1",
    },
}


@pytest.mark.parametrize("algorithm", QUICK)
def test_learns_the_trivial_world_repeats_and_resumes(algorithm, tmp_path, monkeypatch, capsys):
    settings = sb3.Settings(algorithm=algorithm, **TRIVIAL, **QUICK[algorithm])
    results = sb3.run(settings, tmp_path / "a", False)
    regret = results.curves[algorithm]["regret"].values[:, 0]
    assert regret[-1] < 0.01  # of 4 steps that cost 0.8 each if wrong
    assert results.curves["random"]["regret"].values[-1, 0] > 1.5
    assert "optimal" in capsys.readouterr().out
    if algorithm == "ppo":  # nothing moved it before the first update
        assert results.curves["ppo"]["kl"].values[0, 0] == 0
        assert results.curves["ppo"]["kl"].values[1, 0] > 0
    else:
        assert "kl" not in results.curves[algorithm]

    # stopped after the first part, as a kill would, and gone on with: the same bytes
    class KilledError(Exception):
        pass

    kept = sb3_checkpoint.save

    def save_then_die(path, *args, **kwargs):
        kept(path, *args, **kwargs)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(sb3_checkpoint, "save", save_then_die)
        with pytest.raises(KilledError):
            sb3.run(settings, tmp_path / "b", False)
    sb3.run(settings, tmp_path / "b", True)
    for name in ("results.csv",):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    model, world = sb3.load_policy(tmp_path / "b" / "policies" / "replicate_0.pt")
    asked = sb3.completed(settings)
    found = sb3.policy_of(model, asked, world, sb3.EVALUATION)
    assert found["regret"].mean() == results.curves[algorithm]["regret"].values[-1, 0]


@pytest.mark.parametrize("number", [0, 1])
def test_the_page_works_as_pasted(number, capsys):
    page = (ROOT / "docs" / "rl.md").read_text(encoding="utf-8")
    section = page.split("## Stable-Baselines3\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    exec(compile(blocks[number], "docs/rl.md", "exec"), {})
    if number == 0:
        regret = eval(capsys.readouterr().out)
        assert list(regret) == [0, 10240, 20480, 30720]
        assert regret[30720] < regret[0]


def test_what_a_checkpoint_is_of_is_checked(tmp_path):
    settings = sb3.completed(sb3.Settings(num_envs=4, steps=80, replicates=1, evaluations=1, episodes=5))
    settings = replace(settings, keywords="n_steps=20 batch_size=80", env_args="horizon=5")
    world = world_of("CascadeRec-v0", {"horizon": 5})
    model = sb3.new_model(settings, world, 0)
    file = tmp_path / "policy.pt"
    sb3_checkpoint.save(file, model, sb3.about(settings, 0))
    for other, found in {
        replace(settings, env_args="horizon=6"): "is of env_args 'horizon=5', and 'horizon=6' is asked for",
        replace(settings, env="SlateRec-v0"): "is of env 'CascadeRec-v0'",
        replace(settings, algorithm="a2c"): "is of algorithm 'ppo'",
    }.items():
        with pytest.raises(InputError, match=re.escape(found)):
            sb3_checkpoint.load(file, model, sb3.about(other, 0))
    for name in ("recsim-env", "stable-baselines3"):
        with pytest.raises(InputError, match=f"is of {name} '.*', and '0.0.1' is asked for"):
            sb3_checkpoint.load(file, model, {**sb3.about(settings, 0), name: "0.0.1"})
    wider = replace(settings, keywords=settings.keywords + """ 'policy_kwargs={"net_arch": [8]}'""")
    with pytest.raises(InputError, match="does not fit this model"):
        sb3_checkpoint.load(file, sb3.new_model(wider, world, 0), sb3.about(settings, 0))
    with pytest.raises(InputError, match="does not exist"):
        sb3.load_policy(tmp_path / "nothing.pt")
    (tmp_path / "half.pt").write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="is no checkpoint"):
        sb3.load_policy(tmp_path / "half.pt")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_a_checkpoint_that_would_execute_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"about": "{}", "parameters": Evil(), "variables": {}}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="is no checkpoint"):
        sb3.load_policy(tmp_path / "evil.pt")
    model = PPO("MlpPolicy", SB3VecEnv("CascadeRec-v0", num_envs=2), n_steps=20, batch_size=40)
    model.save(tmp_path / "of_the_library.zip")  # holds pickled objects: not ours to load
    with pytest.raises(InputError, match="is no checkpoint"):
        sb3.load_policy(tmp_path / "of_the_library.zip")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"algorithm": "td3"}, "there is no algorithm 'td3'"),
        ({"env": "CascadRec-v0"}, "did you mean"),
        ({"env_args": "slate_sise=2"}, "there is no parameter 'slate_sise'"),
        ({"actions": "words"}, "there is no way to act 'words'"),
        ({"algorithm": "dqn", "actions": "scores"}, "actions=scores does not fit dqn"),
        (
            {"algorithm": "sac", "actions": "slate"},
            "actions=slate does not fit sac",
        ),
        ({"keywords": "learning_rate"}, "--set must be KEY=VALUE, such as learning_rate=0.001, got"),
        ({"keywords": "learning_rat=1"}, "ppo does not take these arguments"),
        ({"keywords": "n_steps=abc"}, "--set n_steps must be a number, such as 2048, got 'abc'"),
        ({"keywords": "learning_rate=-1"}, "ppo does not take these arguments: Invalid learning rate"),
        ({"keywords": "n_steps=0"}, "ppo does not take these arguments: `n_steps * n_envs`"),
        ({"steps": -1}, "steps must be 0 or more, got -1"),
        ({"replicates": 0}, "replicates must be positive, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_settings_are_refused_before_the_directory_is_made(changed, message, tmp_path):
    with pytest.raises(InputError, match=re.escape(message)):
        sb3.run(replace(sb3.Settings(), **changed), tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[sb3\]'"):
        sb3.run(sb3.Settings(), tmp_path / "run", False)
    monkeypatch.delitem(sys.modules, "recsim_env.envs.sb3")
    with pytest.raises(InputError, match=r"pip install 'recsim-env\[sb3\]'"):
        importlib.import_module("recsim_env.envs.sb3")


def test_a_run_killed_by_sigkill_goes_on_to_the_same_bytes(tmp_path):
    settings = {**TRIVIAL, **QUICK["a2c"], "algorithm": "a2c", "evaluations": 40, "replicates": 2}
    line = "from pathlib import Path; from recsim_env.experiments import sb3; "
    line += f"sb3.run(sb3.Settings(**{settings!r}), "
    file = tmp_path / "killed" / "checkpoints" / "replicate_1.pt"
    run = subprocess.Popen(
        [sys.executable, "-c", f"{line}Path({str(tmp_path / 'killed')!r}), False)"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    while not file.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results.csv").exists()
    sb3.run(sb3.Settings(**settings), tmp_path / "killed", True)
    sb3.run(sb3.Settings(**settings), tmp_path / "whole", False)
    whole, killed = ((tmp_path / name / "results.csv").read_bytes() for name in ("whole", "killed"))
    assert whole == killed


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "env"), list(CONFIGS))
def test_the_tuned_settings_learn(algorithm, env, tmp_path):
    results = sb3.run(sb3.Settings(env=env, algorithm=algorithm), tmp_path / "run", False)
    for other in ("random", "popular", "myopic"):
        if other in results.curves and not (other == "popular" and env == "CascadeRec-v0"):
            low, _ = sb3.less_regret(results, algorithm, other).interval
            assert low > 0, f"{algorithm} in {env} is not surely better than {other}"
