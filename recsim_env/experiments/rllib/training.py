"""Train a policy with Ray RLlib: PPO, DQN, IMPALA, APPO, or from a log BC and MARWIL.

At even distances the policy as it is, without exploring, plays one episode with each of `episodes` users, the
same ones every time; random, myopic and optimal slates play with them too, so that differences are paired.
The step of the results is a step of the environment while learning (of a log, a row learned from).
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.envs.wrappers import DiscreteSlates, OneSlot, wrap
from recsim_env.envs.wrappers.change import Change
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import figure
from recsim_env.experiments.env_args import parameters, world_of
from recsim_env.experiments.files import write_atomically
from recsim_env.experiments.policy_metrics import METRICS, measure
from recsim_env.experiments.race import show
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory, open_run
from recsim_env.experiments.settings import as_json, option, parts, positive

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    from recsim_env.experiments.rllib.flat import Flat

NAME = "rllib"
OFFLINE = ("bc", "marwil")
MEASURED = 1 << 41  # seed of the first user that policies are measured on: none is learned from
ITERATIONS_APART = 1_000_003  # between the seeds of two iterations


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    env: str = option("CascadeRec-v0", "id of an environment; `recsim-env list` names them")
    env_args: str = option("", "a parameter of the environment, such as slate_size=5", each="env-arg")
    algorithm: str = option("ppo", "ppo, dqn, impala or appo; bc or marwil learn from --log")
    dqn_action: str = option(
        "item",
        "what dqn chooses at a time: item (slot by slot, in single environments) or slate (of all slates, "
        "100,000 at most, in native vector environments)",
    )
    steps: int = option(200_000, "environment steps to learn from; with --log, rows")
    runners: int = option(0, "processes that play; 0 = this one. With --address they run on the cluster")
    num_envs: int = option(32, "users of each runner, stepped together")
    batch: int = option(1280, "steps of one iteration, rounded up to whole episodes of all users")
    minibatch: int = option(320, "steps of one gradient")
    epochs: int = option(4, "times that ppo goes through a batch")
    learning_rate: float = option(1e-3, "of Adam")
    gamma: float = option(1.0, "discount; regret is without")
    entropy: float = option(
        0.003, "bonus for unpredictable slates; dqn explores with 10 times this in the end"
    )
    hidden: int = option(64, "units of each of the two layers")
    log: str = option("", "file of `recsim-env log` that bc and marwil learn from")
    evaluations: int = option(20, "how often the policy is measured")
    episodes: int = option(200, "users that it is measured with")
    address: str = option(
        "", "HOST:PORT of a Ray cluster, or auto for that of this machine; none = start Ray here"
    )
    seed: int = option(0, "of the users that are learned from, of first weights and of exploration")


def run(settings: Settings, out: Path, resume: bool) -> Results:
    """Train, or go on training, in the directory `out`."""
    require("ray.rllib", "rllib")
    require("torch", "rllib")
    _check(settings)
    logging.getLogger("ray").setLevel(logging.ERROR)  # it tells of its API at every algorithm
    from recsim_env.experiments.rllib.algorithms import CONFIGS, full_id
    from recsim_env.experiments.workers import Workers, check_answers, cluster

    if settings.algorithm not in CONFIGS:
        raise unknown_name("algorithm", settings.algorithm, CONFIGS)
    full_id(settings.env)
    config = config_of(settings)
    if settings.address:
        check_answers(settings.address)
    asked = {**as_json(settings), "address": ""}  # a run may go on elsewhere
    with open_run(out, NAME, asked, resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            with cluster(Workers(settings.runners + 1, settings.address)):
                results = _train(settings, config, directory)
            _write(results, settings, directory)
    _report(results, settings, directory)
    return results


def _write(results: Results, settings: Settings, directory: RunDirectory) -> None:
    """All that a finished run leaves; the checkpoint goes last, so that a kill is made good."""
    from recsim_env.experiments.tensorboard import write_events

    for agent, curves in results.curves.items():
        write_events(directory.path / "tensorboard", agent, curves)
    results.write(directory.results)
    figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
    learned = directory.checkpoint("state").read_bytes()
    write_atomically(directory.path / "policy.npz", lambda temporary: _write_bytes(temporary, learned))
    directory.finish()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def config_of(settings: Settings) -> "AlgorithmConfig":
    """RLlib's config of these settings."""
    from recsim_env.experiments.rllib.algorithms import Sizes, algorithm_config

    return algorithm_config(
        settings.algorithm,
        settings.env,
        parameters(parts(settings.env_args)),
        changes=(DiscreteSlates,) if settings.dqn_action == "slate" else (),
        sizes=Sizes(settings.runners, settings.num_envs, settings.batch, settings.minibatch, settings.epochs),
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        entropy=settings.entropy,
        hidden=settings.hidden,
        seed=settings.seed,
    )


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    env = settings.env.rpartition(":")[2]
    return env + (f" ({', '.join(parts(settings.env_args))})" if settings.env_args else "")


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Reward of an episode against steps of learning."""
    figure.draw_curves(axes, results, "reward", label, style)
    axes.set(title=title(settings), xlabel="environment steps learned from", ylabel="reward of an episode")


def task(settings: Settings) -> dict[str, Any]:
    """What a checkpoint must agree in with the run that reads it."""
    names = ("env", "env_args", "algorithm", "dqn_action", "hidden")
    return {name: getattr(settings, name) for name in names}


def changes_to_play(settings: Settings) -> list[Change]:
    """The wrappers of an environment that a trained policy plays in, innermost first."""
    if settings.algorithm != "dqn":
        return []
    return [OneSlot() if settings.dqn_action == "item" else DiscreteSlates()]


def _check(settings: Settings) -> None:
    positive(steps=settings.steps, evaluations=settings.evaluations, episodes=settings.episodes)
    if settings.dqn_action not in ("item", "slate"):
        raise InputError(f"dqn_action must be item or slate, got {settings.dqn_action!r}")
    if settings.dqn_action == "slate" and settings.algorithm != "dqn":
        raise InputError(f"--dqn-action is for dqn, and {settings.algorithm} has a softmax for every slot")
    if settings.algorithm in OFFLINE and not settings.log:
        raise InputError(
            f"{settings.algorithm} learns from a log: give --log FILE, such as `recsim-env log` writes it"
        )
    if settings.log and settings.algorithm not in OFFLINE:
        raise InputError(f"--log is for {' and '.join(OFFLINE)}, and {settings.algorithm} plays for itself")
    if settings.algorithm in ("impala", "appo") and settings.runners < 1:
        raise InputError(f"{settings.algorithm} needs --runners 1 or more: it learns while others play")


def _train(settings: Settings, config: "AlgorithmConfig", directory: RunDirectory) -> Results:
    """The loop: iterate, measure at even distances, save after every iteration."""
    from tqdm import tqdm

    from recsim_env.experiments.baseline_policies import measure_baselines
    from recsim_env.experiments.rllib import checkpoints

    world = world_of(settings.env, parameters(parts(settings.env_args)))
    file = directory.path / "checkpoints" / "state.npz"
    about: dict[str, Any] = {"task": task(settings), "iteration": 0, "sampled": 0, "points": [], "found": {}}
    if file.exists():
        checkpoints.read(file, about["task"])  # refused before anything is started
    if settings.log:
        from recsim_env.experiments.rllib.offline import learn_from

        learn_from(config, Path(settings.log), world, flat_of(settings), directory.path / "checkpoints")
    algorithm = config.build_algo()
    try:
        act = policy_of(algorithm, settings)

        def measured(play: Callable[..., Any]) -> dict[str, Floats]:
            return measure(
                play,
                world,
                episodes=settings.episodes,
                seed=MEASURED + settings.seed,
                wrap=lambda env: wrap(env, *changes_to_play(settings)),
            )

        restored = file.exists()
        if restored:
            about = checkpoints.restore(file, algorithm, about["task"])
        points = about["points"]
        with tqdm(total=settings.steps, desc=settings.algorithm, unit="step", unit_scale=True) as bar:
            bar.update(min(about["sampled"], settings.steps))
            while True:
                due = len(points) * settings.steps / settings.evaluations
                if about["sampled"] >= due:
                    points.append(about["sampled"])
                    for metric, values in measured(act).items():
                        about["found"].setdefault(metric, []).append(values.tolist())
                if about["iteration"] and not restored:
                    checkpoints.save(file, algorithm, about)
                if about["sampled"] >= settings.steps:
                    break
                restored = False
                sampled = _iterate(algorithm, settings, about["iteration"])
                bar.update(min(sampled, settings.steps) - min(about["sampled"], settings.steps))
                about["iteration"] += 1
                about["sampled"] = sampled
    finally:
        logdir = Path(algorithm.logdir)
        algorithm.stop()
        if logdir.is_dir() and not any(logdir.iterdir()):
            logdir.rmdir()  # RLlib makes one for every algorithm
    results = Results()
    steps = np.array(points)
    results.curves[settings.algorithm] = {
        metric: Curve(steps, np.array(about["found"][metric]))
        for metric in METRICS
        if metric in about["found"]
    }
    for other, level in measure_baselines(
        world, episodes=settings.episodes, seed=MEASURED + settings.seed
    ).items():
        ends = steps[[0, -1]]
        results.curves[other] = {
            m: Curve(ends, np.tile(level[m], (len(ends), 1))) for m in METRICS if m in level
        }
    return results


def policy_of(algorithm: "Algorithm", settings: Settings) -> Callable[..., Any]:
    """The policy that an algorithm has learned so far, without exploring."""
    from recsim_env.experiments.rllib.policy import greedy

    module = algorithm.learner_group._learner.module["default_policy"]  # of this process: num_learners=0
    return greedy(module, flat_of(settings))


def flat_of(settings: Settings) -> "Flat":
    """How what the network sees becomes rows."""
    from recsim_env.experiments.rllib.algorithms import check_environment
    from recsim_env.experiments.rllib.flat import Flat

    slots = settings.algorithm == "dqn" and settings.dqn_action == "item"
    changes = (DiscreteSlates,) if settings.dqn_action == "slate" else ()
    env = check_environment(settings.env, parameters(parts(settings.env_args)), slots, changes)
    return Flat(env.single_observation_space, env.single_action_space)


def _iterate(algorithm: "Algorithm", settings: Settings, iteration: int) -> int:
    """One iteration of RLlib; returns the steps learned from since the beginning."""
    from ray.rllib.utils.debug import update_global_seed_if_necessary

    from recsim_env.experiments.rllib.users import Begin

    seed = settings.seed + ITERATIONS_APART * (iteration + 1)
    update_global_seed_if_necessary("torch", seed % (1 << 32))
    if settings.algorithm in OFFLINE:
        algorithm.offline_data.begin(seed)
        for _ in range(max(1, settings.batch // settings.minibatch)):
            result = algorithm.train()
        return int(result["num_env_steps_sampled_lifetime"])
    if settings.algorithm == "ppo" or iteration == 0:
        algorithm.env_runner_group.foreach_env_runner(Begin(seed % (1 << 32), iteration << 20))
    if settings.algorithm == "dqn":
        algorithm.local_replay_buffer.rng = np.random.default_rng(seed)  # RLlib leaves it to chance
    result = algorithm.train()
    return int(result["env_runners"]["num_env_steps_sampled_lifetime"])


def _report(results: Results, settings: Settings, directory: RunDirectory) -> None:
    """Last values, mean and standard error over users, and the difference to each policy, user by user."""
    mine = {metric: curve.values[-1] for metric, curve in results.curves[settings.algorithm].items()}
    metrics = [metric for metric in METRICS if metric in mine]
    sys.stdout.write(
        f"\n{'policy':10}" + "".join(f"{metric:>20}" for metric in metrics) + "   reward less that of it\n"
    )
    for agent, curves in results.curves.items():
        cells = "".join(f"{show(mean_estimate(curves[metric].values[-1]), 3):>20}" for metric in metrics)
        less = mean_estimate(mine["reward"] - curves["reward"].values[-1])
        shown = "" if agent == settings.algorithm else f"{show(less, 3):>20}"
        sys.stdout.write(f"{agent:10}{cells}   {shown}\n")
    sys.stdout.write(
        f"an episode of {settings.episodes} users, mean +- standard error; the last column is paired\n"
        f"wrote {directory.path}/: results.csv, figure.png, tensorboard/, run.json, policy.npz\n"
    )
