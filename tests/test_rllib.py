"""RLlib on our environments: episodes are exact or refused, masks hold, runs go on to the same bytes."""

import json
import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.rllib")

from gymnasium.vector import AutoresetMode  # noqa: E402
from ray.rllib.algorithms.ppo import PPOConfig  # noqa: E402
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner  # noqa: E402

from recsim_env.envs.batched import BatchedEnv  # noqa: E402
from recsim_env.envs.wrappers import Candidates, DiscreteSlates, OneSlot, wrap  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.evaluation.intervals import mean_estimate  # noqa: E402
from recsim_env.experiments import cli  # noqa: E402
from recsim_env.experiments.env_args import world_of  # noqa: E402
from recsim_env.experiments.log_agents import log_agent  # noqa: E402
from recsim_env.experiments.policy_metrics import measure  # noqa: E402
from recsim_env.experiments.results import Results  # noqa: E402
from recsim_env.experiments.rllib import checkpoints, training  # noqa: E402
from recsim_env.experiments.rllib.algorithms import Sizes, algorithm_config, check_environment  # noqa: E402
from recsim_env.experiments.rllib.connectors import flat_observations  # noqa: E402
from recsim_env.experiments.rllib.flat import Flat, check_masks, legal  # noqa: E402
from recsim_env.experiments.rllib.offline import learn_from, write_offline_data  # noqa: E402
from recsim_env.experiments.rllib.policy import greedy, sampled  # noqa: E402
from recsim_env.experiments.rllib.trained import load_policy  # noqa: E402
from recsim_env.experiments.rllib.training import Settings  # noqa: E402
from recsim_env.experiments.rllib.users import own_users  # noqa: E402
from recsim_env.simulators.log_files import write_logs  # noqa: E402
from recsim_env.simulators.log_generation import generate_log  # noqa: E402

pytestmark = [
    pytest.mark.extra,
    # Ray's own, in its processes and pipes, which it closes when it likes
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ray.util.annotations.RayDeprecationWarning"),
    # RLlib calls Tune's old names, and registers its environment anew for every runner
    pytest.mark.filterwarnings(
        "ignore:.*(UnifiedLogger|JsonLogger|CSVLogger|TBXLogger).*:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*Overriding environment rllib-single-agent-env-v0.*:UserWarning"),
    # Gymnasium's checker of single environments, which RLlib's registration turns on
    pytest.mark.filterwarnings("ignore:.*(Box|obs|env).*:UserWarning:gymnasium"),
]

SMALL = {"num_items": 6, "slate_size": 2, "horizon": 5, "num_states": 3}
TRIVIAL = {"num_items": 4, "horizon": 5}  # of BernoulliBandit-v0: always the same arm is best
PLAY = Sizes(users=4, batch=40, minibatch=20, epochs=2)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(training.__file__).parents[3])  # of the workers
    torch.set_num_threads(1)
    ray.init(
        num_cpus=3,
        include_dashboard=False,
        object_store_memory=200_000_000,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


def runner(config, index=0):
    return SingleAgentEnvRunner(config=config, worker_index=index)


def as_single(env_id, parameters, seed, episode, actions):
    """Rewards, observations and whether it is over, of these actions in the single environment."""
    env = gym.make(env_id, **parameters).unwrapped
    observation, _ = env.reset(seed=seed, options={"episode": episode})
    seen, rewards, over = [observation], [], False
    for action in actions:
        assert not over
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        over = terminated or truncated
    return seen, rewards, over


@pytest.mark.parametrize("env_id", ["CascadeRec-v0", "InterestDrift-v0"])
def test_episodes_of_a_runner_are_those_of_the_single_environment(env_id):
    parameters = SMALL if env_id == "CascadeRec-v0" else {"horizon": 5}
    config = algorithm_config("ppo", env_id, parameters, sizes=PLAY, seed=7)
    played = runner(config)
    flat = Flat(played.env.single_observation_space, played.env.single_action_space)
    done = [e for e in played.sample(num_timesteps=4 * 16, explore=True) if e.is_done]
    assert [len(e) for e in done] == [5] * 12
    for number, episode in enumerate(done):  # all rows end together: row by row, episode by episode
        seed, nth = 7 + number % 4, number // 4
        seen, rewards, over = as_single(env_id, parameters, seed, nth, episode.get_actions())
        assert over
        assert rewards == list(episode.get_rewards())
        rows = flat.rows({name: np.stack([s[name] for s in seen]) for name in seen[0]})
        assert np.array_equal(rows, episode.get_observations())
        # where the step is observed, the end is part of the problem
        assert episode.is_terminated == ("step" in seen[0])


def test_episodes_that_users_leave_are_exact():
    parameters = {"num_items": 30, "slate_size": 3}
    played = runner(algorithm_config("ppo", "SlateRec-v0", parameters, sizes=PLAY, seed=3))
    done = [e for e in played.sample(num_timesteps=400, explore=True) if e.is_done]
    assert len({len(e) for e in done}) > 1  # some left early
    flat = Flat(played.env.single_observation_space, played.env.single_action_space)
    begun = dict.fromkeys(range(4), 0)  # episodes that each row has ended
    for episode in done:
        for row, nth in begun.items():
            try:
                seen, rewards, over = as_single(
                    "SlateRec-v0", parameters, 3 + row, nth, episode.get_actions()
                )
            except AssertionError:  # it is over before these actions are
                continue
            rows = flat.rows({name: np.stack([s[name] for s in seen]) for name in seen[0]})
            if over and np.array_equal(rows, episode.get_observations()):
                assert rewards == list(episode.get_rewards())
                begun[row] += 1
                break
        else:
            pytest.fail(f"no row's next episode is this one of {len(episode)} steps")


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    with pytest.raises(InputError, match="autoreset_mode must be NextStep for RLlib"):
        algorithm_config("ppo", "CascadeRec-v0", {"autoreset_mode": mode})
    config = PPOConfig().environment("recsim_env:CascadeRec-v0", env_config={**SMALL, "autoreset_mode": mode})
    config.env_runners(
        num_env_runners=0,
        gym_env_vectorize_mode="vector_entry_point",
        env_to_module_connector=flat_observations,
    )
    config.callbacks(on_environment_created=own_users)
    with pytest.raises(InputError, match="autoreset_mode must be NextStep for RLlib"):
        runner(config)


def test_rllib_alone_corrupts_episodes_in_same_step():
    """Why the other modes are refused: if RLlib mends this, the refusal can go."""
    config = PPOConfig().environment(
        "recsim_env:CascadeRec-v0", env_config={**SMALL, "autoreset_mode": AutoresetMode.SAME_STEP}
    )
    config.env_runners(
        gym_env_vectorize_mode="vector_entry_point",
        env_to_module_connector=flat_observations,
        num_env_runners=0,
        num_envs_per_env_runner=4,
    )
    lengths = {len(e) for e in runner(config).sample(num_timesteps=100, explore=True) if e.is_done}
    assert lengths != {5}


def test_runners_have_users_of_their_own():
    config = algorithm_config(
        "ppo", "CascadeRec-v0", SMALL, sizes=Sizes(runners=3, users=4, batch=60), seed=10
    )
    seeds = []
    for index in (1, 2, 3):
        played = runner(config, index)
        played.sample(num_timesteps=8, explore=True)
        seeds += list(played.env.unwrapped.luck.seed)
    assert sorted(seeds) == list(range(14, 26))


@pytest.mark.parametrize("env_id", ["CascadeRec-v0", "SlateRec-v0", "ContextualBandit-v0"])
def test_rows_are_gymnasiums_flat_observations(env_id):
    env = gym.make_vec(env_id, num_envs=5)
    observation, _ = env.reset(seed=0)
    space = env.single_observation_space
    rows = Flat(space, env.single_action_space).rows(observation)
    for b in range(5):
        one = {name: value[b] for name, value in observation.items()}
        parts = [gym.spaces.flatten(space[name], one[name]) for name in space]
        assert np.array_equal(rows[b], np.concatenate(parts).astype(np.float32))


def test_rows_of_another_width_are_refused():
    env = check_environment("CascadeRec-v0", SMALL, slots=True)
    observation, _ = env.reset()
    flat = Flat(env.single_observation_space, env.single_action_space)
    flat.rows(observation)
    with pytest.raises(ValueError, match="broadcast"):  # and not: written over the next entry
        flat.rows({**observation, "action_mask": np.ones((16, 7))})


@pytest.mark.parametrize("env_id", ["CascadeRec-v0", "SlateRec-v0"])
def test_dqn_is_measured_on_what_it_was_shown_in_training(env_id):
    parameters = SMALL if env_id == "CascadeRec-v0" else {"num_items": 30, "slate_size": 2, "horizon": 3}
    env = check_environment(env_id, parameters, slots=True)  # single ones behind OneSlot, as runners have
    flat = Flat(env.single_observation_space, env.single_action_space)
    rng, shown, chosen = np.random.default_rng(0), [], []
    observation, _ = env.reset()
    for _ in range(4):
        shown.append(flat.rows(observation))
        chosen.append(np.array([rng.choice(np.flatnonzero(mask)) for mask in observation["action_mask"]]))
        observation, _, terminated, truncated, _ = env.step(chosen[-1])
        if (terminated | truncated).any():
            break
    seen = []

    def act(observation):
        seen.append(flat.rows(observation))
        return chosen[min(len(seen), len(chosen)) - 1]

    world = world_of(env_id, parameters)
    measure(act, world, episodes=16, seed=0, wrap=lambda inner: wrap(inner, OneSlot()))
    for row, again in zip(shown, seen, strict=False):
        assert np.array_equal(row, again)


def test_masks():
    mask = np.array([[1, 0, 1], [0, 0, 1]])
    assert legal(mask, [3, 4]).astype(int).tolist() == [[1, 0, 1, 1, 0, 1, 1], [0, 0, 1, 0, 0, 1, 1]]
    check_masks(mask, [3, 4])
    with pytest.raises(InputError, match=r"action_mask\[1\] leaves no legal action in slot 0"):
        check_masks(np.array([[1, 0, 0], [0, 0, 0]]), [3, 4])


class Never(Candidates):
    def observe(self, observation, luck):
        seen = super().observe(observation, luck)
        return {**seen, "action_mask": np.zeros_like(seen["action_mask"])}


class Half(Candidates):
    """Only every second place may be shown, the others are refused by the environment."""

    def observe(self, observation, luck):
        seen = super().observe(observation, luck)
        self.now = np.where(np.arange(self.now.shape[1]) % 2 == luck.step[:, None] % 2, self.now, -1)
        return {**seen, "action_mask": (self.now >= 0).astype(np.int8)}


def test_a_mask_without_a_legal_action_is_refused_before_work():
    with pytest.raises(InputError, match="leaves no legal action in slot 0"):
        algorithm_config("ppo", "CascadeRec-v0", SMALL, changes=(partial(Never, 4),))


@pytest.mark.parametrize("algorithm", ["ppo", "bc", "marwil"])
def test_masked_networks_never_choose_what_is_forbidden(algorithm):
    config = algorithm_config(algorithm, "CascadeRec-v0", SMALL, changes=(partial(Half, 4),), sizes=PLAY)
    probe = check_environment("CascadeRec-v0", SMALL, changes=(partial(Half, 4),))
    flat = Flat(probe.single_observation_space, probe.single_action_space)
    spec = config.rl_module_spec
    module = spec.module_class(
        observation_space=flat.space, action_space=probe.single_action_space, model_config=spec.model_config
    )
    observation, _ = probe.reset()
    for act in (sampled(module, flat, 0), greedy(module, flat)):
        for _ in range(20):  # the wrapper refuses a forbidden place with an InputError
            observation, *_ = probe.step(act(observation))


def test_masked_training_never_shows_what_is_forbidden():
    config = algorithm_config("ppo", "CascadeRec-v0", SMALL, changes=(partial(Half, 4),), sizes=PLAY)
    algorithm = config.build_algo()
    for _ in range(2):
        result = algorithm.train()
    assert result["env_runners"]["num_env_steps_sampled_lifetime"] == 80
    assert result["env_runners"]["episode_len_min"] == result["env_runners"]["episode_len_max"] == 5
    algorithm.stop()


def trained(tmp_path, algorithm, name="run", **more):
    settings = Settings(
        **{
            "env": "BernoulliBandit-v0",
            "env_args": "num_items=4 horizon=5",
            "algorithm": algorithm,
            "steps": 3000,
            "num_envs": 10,
            "batch": 250,
            "minibatch": 125,
            "evaluations": 3,
            "episodes": 100,
            "learning_rate": 0.01,
            "hidden": 16,
            **more,
        }
    )
    return training.run(settings, tmp_path / name, False), settings


@pytest.mark.parametrize(("algorithm", "action"), [("ppo", "item"), ("dqn", "item"), ("dqn", "slate")])
def test_learns_the_trivial_world(tmp_path, algorithm, action):
    more = {"gamma": 0.0, "steps": 1500} if algorithm == "dqn" else {}  # nothing follows from a slate here
    results, settings = trained(tmp_path, algorithm, dqn_action=action, **more)
    curves = results.curves[algorithm]
    assert curves["regret"].values[-1].mean() < 0.01 * 5
    random = results.curves["random"]["reward"].values[-1]
    assert mean_estimate(curves["reward"].values[-1] - random).interval[0] > 0
    act, world = load_policy(tmp_path / "run")  # what the run leaves is what was measured last
    found = measure(
        act,
        world,
        episodes=settings.episodes,
        seed=training.MEASURED + settings.seed,
        wrap=lambda env: wrap(env, *training.changes_to_play(settings)),
    )
    assert (found["reward"] == curves["reward"].values[-1]).all()


def test_dqn_of_whole_slates_plays_native_vector_environments():
    """Episodes are as long as those of the world, and slates of several items are chosen at once."""
    parameters = {"num_items": 5, "slate_size": 2, "horizon": 4}
    config = algorithm_config("dqn", "CascadeRec-v0", parameters, changes=(DiscreteSlates,), sizes=PLAY)
    assert config.gym_env_vectorize_mode == "vector_entry_point"
    algorithm = config.build_algo()
    for _ in range(3):
        result = algorithm.train()
    inside = algorithm.env_runner.env.unwrapped
    algorithm.stop()
    assert isinstance(inside, BatchedEnv)
    assert algorithm.env_runner.module.action_space.n == 5 + 5 * 4
    assert result["env_runners"]["episode_len_min"] == result["env_runners"]["episode_len_max"] == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"dqn_action": "slate"}, "--dqn-action is for dqn, and ppo has a softmax for every slot"),
        ({"dqn_action": "all", "algorithm": "dqn"}, "dqn_action must be item or slate, got 'all'"),
        (
            {"dqn_action": "slate", "algorithm": "dqn", "env": "CascadeRec-v0", "env_args": "num_items=70"},
            "items in 3 slots make .* slates, more than 100,000",
        ),
    ],
)
def test_actions_that_dqn_cannot_choose_are_refused(tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        trained(tmp_path, **{"algorithm": "ppo", **more})
    assert not (tmp_path / "run").exists()


def test_a_policy_that_is_not_there_or_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        load_policy(tmp_path)
    trained(tmp_path, "ppo", steps=250, episodes=10, evaluations=1)
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    for changed, message in (
        ({"settings": {**about["settings"], "hidden": 8}}, "is a checkpoint of hidden"),
        ({"experiment": "sb3"}, "holds a run of sb3"),
    ):
        (tmp_path / "run" / "run.json").write_text(json.dumps({**about, **changed}))
        with pytest.raises(InputError, match=message):
            load_policy(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    (tmp_path / "run" / "policy.npz").unlink()
    with pytest.raises(InputError, match=r"holds no policy\.npz yet: recsim-env train --resume"):
        load_policy(tmp_path / "run")


def interrupted_after(monkeypatch, saves):
    save, left = checkpoints.save, [saves]

    def counted(*arguments):
        save(*arguments)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", counted)


@pytest.mark.parametrize("algorithm", ["ppo", "bc", "marwil"])
def test_a_run_repeats_and_goes_on_to_the_same_bytes(tmp_path, monkeypatch, algorithm):
    small = {"steps": 1000, "episodes": 20, "evaluations": 4}
    if algorithm != "ppo":
        log_of(tmp_path, 100)
        args = " ".join(f"{name}={value}" for name, value in SMALL.items())
        small |= {"env": "CascadeRec-v0", "env_args": args, "log": str(tmp_path / "log.parquet")}
    trained(tmp_path, algorithm, "whole", **small)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, algorithm, "cut", **small)
    assert cli.main(["train", "--resume", str(tmp_path / "cut")]) == 0
    for name in ("results.csv", "policy.npz"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    if algorithm != "ppo":
        return
    assert cli.main(["train", "--resume", str(tmp_path / "cut")]) == 0  # a finished run is only printed
    assert cli.main(["compare", str(tmp_path / "whole"), "--out", str(tmp_path / "f.png")]) == 0


def test_dqn_goes_on_after_a_kill(tmp_path, monkeypatch):
    """To the end, not to the same bytes: its replay buffer is not saved."""
    small = {"steps": 750, "episodes": 20, "evaluations": 3}  # each after an iteration of 250
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, "dqn", **small)
    assert cli.main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert len(Results.read(tmp_path / "run" / "results.csv").curves["dqn"]["reward"].steps) == 4


def test_checkpoints_of_something_else_are_refused(tmp_path):
    _, settings = trained(tmp_path, "ppo", steps=250, episodes=10, evaluations=1)
    file, task = tmp_path / "run" / "policy.npz", training.task(settings)
    checkpoints.read(file, task)
    with pytest.raises(
        InputError, match="is a checkpoint of env 'BernoulliBandit-v0', and 'CascadeRec-v0' was"
    ):
        checkpoints.read(file, {**task, "env": "CascadeRec-v0"})
    with np.load(file, allow_pickle=False) as saved:
        arrays = dict(saved)
    for key, value, message in (("format", 0, "has format 0"), ("ray", "2.1", "was written with ray 2.1")):
        about = {**json.loads(str(arrays["about"])), key: value}
        np.savez(tmp_path / "other.npz", **{**arrays, "about": np.array(json.dumps(about))})
        with pytest.raises(InputError, match=message):
            checkpoints.read(tmp_path / "other.npz", task)
    (tmp_path / "bad.npz").write_bytes(b"\x80\x04N.")  # a pickle
    with pytest.raises(InputError, match="is not a checkpoint"):
        checkpoints.read(tmp_path / "bad.npz", task)


def test_a_killed_runner_is_replaced():
    config = algorithm_config(
        "ppo", "CascadeRec-v0", SMALL, sizes=Sizes(runners=2, users=4, batch=80, epochs=1)
    )
    algorithm = config.build_algo()
    algorithm.train()
    workers = algorithm.env_runner_group

    def pids():
        return workers.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)

    victim = pids()[0]
    os.kill(victim, signal.SIGKILL)
    begun = time.monotonic()
    while len(now := pids()) < 2 or victim in now:
        assert time.monotonic() - begun < 180  # a process starts slowly where many are at work
        result = algorithm.train()  # goes on with the other one
    before = result["env_runners"]["num_env_steps_sampled_lifetime"]
    assert algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"] == before + 80
    algorithm.stop()


@pytest.mark.parametrize("algorithm", ["impala", pytest.param("appo", marks=pytest.mark.slow)])
def test_asynchronous_learners(tmp_path, algorithm):
    results, _ = trained(tmp_path, algorithm, runners=1, steps=500, evaluations=1, episodes=20)
    assert np.isfinite(results.curves[algorithm]["reward"].values).all()


def log_of(tmp_path, users):
    world = world_of("CascadeRec-v0", SMALL)
    agent = log_agent("epsilon_best", "CascadeRec-v0", world, users, 5)
    logs = list(generate_log(world, agent, 5, num_users=users, seed=0, metadata={"env_id": "CascadeRec-v0"}))
    write_logs(logs, tmp_path / "log.parquet")
    return world, logs[0]


def test_offline_rows_are_what_the_users_saw(tmp_path):
    import pyarrow.parquet as pq

    world, log = log_of(tmp_path, 20)
    probe = check_environment("CascadeRec-v0", SMALL)
    flat = Flat(probe.single_observation_space, probe.single_action_space)
    assert write_offline_data(log, world, flat, tmp_path / "rows.parquet") == 100
    rows = pq.read_table(tmp_path / "rows.parquet").to_pydict()
    for user in range(20):
        mine = slice(5 * user, 5 * user + 5)
        actions = np.array(rows["actions"][mine])
        seen, rewards, _ = as_single("CascadeRec-v0", SMALL, user, 0, actions)
        flats = flat.rows({name: np.stack([s[name] for s in seen]) for name in seen[0]})
        assert np.array_equal(flats[:-1], rows["obs"][mine])
        assert np.array_equal(flats[1:], rows["new_obs"][mine])
        assert rewards == rows["rewards"][mine]
        assert rows["terminateds"][mine] == [False] * 4 + [True]
        assert len(set(rows["eps_id"][mine])) == 1
    assert not any(rows["truncateds"])
    assert len(set(rows["eps_id"])) == 20


@pytest.mark.parametrize("algorithm", ["bc", "marwil"])
def test_cloning_earns_what_the_logging_policy_earns(tmp_path, algorithm):
    world, log = log_of(tmp_path, 1000)
    probe = check_environment("CascadeRec-v0", SMALL)
    flat = Flat(probe.single_observation_space, probe.single_action_space)
    config = algorithm_config(
        algorithm, "CascadeRec-v0", SMALL, sizes=Sizes(minibatch=500), learning_rate=0.01
    )
    learn_from(config, tmp_path / "log.parquet", world, flat, tmp_path / "rows")
    learner = config.build_algo()
    for _ in range(150):
        learner.train()
    module = learner.learner_group._learner.module["default_policy"]
    B = 4000
    earned = measure(sampled(module, flat, 0), world, episodes=B, seed=1 << 41)["reward"]
    modal = measure(greedy(module, flat), world, episodes=B, seed=1 << 41)["regret"]
    learner.stop()
    logged = log.reward.reshape(-1, 5).sum(axis=1)  # one episode of each user
    rng = np.random.default_rng(0)
    random = measure(lambda _: np.argsort(rng.random((B, 6)))[:, :2], world, episodes=B, seed=1 << 41)[
        "reward"
    ]
    gained = mean_estimate(earned - random)
    assert gained.value > 4 * gained.std_error
    if algorithm == "bc":
        spread = np.hypot(mean_estimate(earned).std_error, mean_estimate(logged).std_error)
        # a little less: slots drawn independently may repeat an item, which the logging policy never does
        assert 0.95 * logged.mean() - 3 * spread < earned.mean() < logged.mean() + 3 * spread
        assert modal.mean() < 0.02  # the best slate is what the logging policy shows most


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algorithm", "ppoo"], "did you mean ppo?"),
        (["--env", "CartPole-v1"], "CartPole-v1"),
        (["--algorithm", "bc"], "give --log FILE"),
        (["--algorithm", "impala"], "needs --runners 1"),
        (["--steps", "0"], "steps must be positive"),
        (["--env-arg", "num_itemz=3"], "num_itemz"),
        (["--env-arg", "autoreset_mode=SameStep"], "autoreset_mode"),
    ],
)
def test_bad_input(tmp_path, capsys, arguments, message):
    out = tmp_path / "run"
    assert cli.main(["train", "--library", "rllib", *arguments, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_address_that_does_not_answer(tmp_path, capsys):
    arguments = ["train", "--library", "rllib", "--address", "127.0.0.1:1", "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_missing_library_names_its_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.rllib", None)
    assert cli.main(["train", "--library", "rllib", "--out", str(tmp_path / "run")]) == 2
    assert "pip install 'recsim-env[rllib]'" in capsys.readouterr().err


def test_the_page_works_as_pasted(capsys):
    page = (Path(__file__).parents[1] / "docs" / "rllib.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "docs/rllib.md", "exec"), {})
    returned, reward, regret = (float(word) for word in capsys.readouterr().out.split()[-3:])
    assert returned > 0
    assert reward > 0
    assert regret > 0


@pytest.mark.slow
def test_ppo_learns_the_ladder(tmp_path):
    """Three networks from different seeds, with the defaults; the figures of docs/rllib.md."""
    less: dict[str, list[float]] = {"random": [], "popular": [], "myopic": []}
    for seed in range(3):
        settings = Settings(seed=seed, evaluations=1, episodes=500)
        regret = {
            name: curves["regret"].values[-1].mean()
            for name, curves in training.run(settings, tmp_path / str(seed), False).curves.items()
        }
        for other, gains in less.items():
            gains.append(regret[other] - regret["ppo"])
    for other, gains in less.items():
        found = mean_estimate(np.array(gains))
        print(f"less regret than {other}: {found.value:.2f} {np.round(found.interval, 2)}")
        assert found.interval[0] > 0, f"PPO is not surely better than {other}"


@pytest.mark.slow
def test_search(tmp_path):
    from ray import tune

    from recsim_env.experiments.rllib.search import search

    best = search(
        "ppo",
        "BernoulliBandit-v0",
        {"learning_rate": tune.grid_search([1e-6, 1e-2])},
        env_config=TRIVIAL,
        trials=1,
        iterations=8,
        grace=2,
        sizes=PLAY,
        out=tmp_path,
        at_once=1,
    )
    assert best.config == {"learning_rate": 1e-2}
    assert best.metrics["steps"] <= 8 * 40
