"""Train an algorithm of Stable-Baselines3 on simulated users, and hold it against what learns nothing.

`replicates` networks are trained from different seeds. Training is cut into `evaluations` parts; after each,
the network plays `episodes` users that it was not trained on, greedily, and so do the baselines: random,
popular, myopic and optimal slates (`baseline_policies`). Replicate r of every policy faces the same users and
luck, so differences are paired. A curve is the mean over these episodes: reward, regret, NDCG and coverage of
an episode (`policy_metrics`), at environment steps of training; and `kl`, how far the last update moved the
policy, where the algorithm says so (PPO does).

A run that was killed goes on to the same bytes: every part begins with fresh users and random numbers that
depend on seed and part alone, so the networks, the optimisers and the replay buffer are all it needs.
"""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode
from tqdm import tqdm

from recsim_env import __version__
from recsim_env.arrays import Array, Floats
from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.wrappers import wrap
from recsim_env.errors import InputError, require
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.experiments import figure, sb3_checkpoint
from recsim_env.experiments.baseline_policies import measure_baselines
from recsim_env.experiments.env_args import parameters, world_of
from recsim_env.experiments.policy_metrics import METRICS, measure
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory, open_run
from recsim_env.experiments.sb3_configs import ACTIONS, ALGORITHMS, changes, config_of
from recsim_env.experiments.settings import as_json, option, parts, positive
from recsim_env.experiments.tensorboard import write_events
from recsim_env.simulators.worlds.world import World

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

NAME = "sb3"
RECORDED = (*METRICS, "kl")
TRAINING, EVALUATION = 1 << 40, 1 << 41  # seeds of users to train on and to measure on: they never meet


@dataclass(frozen=True)
class Settings:
    """Options of the command line; 0 and an empty text take what `sb3_configs` has for algorithm and env."""

    env: str = option("CascadeRec-v0", "id of an environment; `recsim-env list` names them")
    env_args: str = option("", "a parameter of the environment, such as slate_size=5", each="env-arg")
    algorithm: str = option("ppo", f"one of {', '.join(ALGORITHMS)}")
    actions: str = option("", f"how the network acts, one of {', '.join(ACTIONS)}; see sb3_configs")
    steps: int = option(0, "environment steps to train for, of all environments together")
    num_envs: int = option(0, "environments stepped together")
    keywords: str = option("", "an argument of the algorithm, such as learning_rate=0.001", each="set")
    replicates: int = option(3, "networks trained from different seeds")
    evaluations: int = option(10, "how often a network is measured while it is trained")
    episodes: int = option(500, "users it is measured on")
    seed: int = option(0, "seed of replicate 0; replicate i has seed + i")


def run(settings: Settings, out: Path, resume: bool) -> Results:
    """Train and measure, or do what is left of it, in the directory `out`.

    Raises:
        InputError: the library is missing; a setting out of range, an algorithm, environment or way to act
            that does not exist or does not fit the others; a checkpoint of something else.
    """
    require("stable_baselines3", "sb3")
    settings = completed(settings)
    world = world_of(settings.env, parameters(parts(settings.env_args)))
    new_model(settings, world, 0)  # refuses what does not fit, before the directory is made
    with open_run(out, NAME, as_json(settings), resume) as directory:
        if directory.finished:
            results = Results.read(directory.results)
        else:
            results = _train_and_measure(settings, world, directory)
            results.write(directory.results)
            figure.save_panel(directory.path / "figure.png", lambda axes: draw(axes, results, settings))
            directory.finish()
    print_table(results, settings)
    sys.stdout.write(f"wrote {out}/: results.csv, figure.png, tensorboard/, policies/, run.json\n")
    return results


def completed(settings: Settings) -> Settings:
    """The settings with every default filled in, as `run.json` holds them.

    Raises:
        InputError: a setting out of range, or an unknown algorithm.
    """
    env = settings.env.removeprefix("recsim_env:")
    config = config_of(settings.algorithm, env)
    for name in ("steps", "num_envs"):
        if getattr(settings, name) < 0:
            raise InputError(f"{name} must be 0 or more, got {getattr(settings, name)}")
    positive(replicates=settings.replicates, evaluations=settings.evaluations, episodes=settings.episodes)
    if settings.seed < 0:
        raise InputError(f"seed must be 0 or more, got {settings.seed}")
    keywords = {**config.keywords, **parameters(parts(settings.keywords), "--set")}
    texts = [f"{name}={json.dumps(value)}" for name, value in sorted(keywords.items())]
    return replace(
        settings,
        env=env,
        env_args=settings.env_args or config.world,
        actions=settings.actions or config.actions,
        steps=settings.steps or config.steps,
        num_envs=settings.num_envs or config.num_envs,
        keywords=shlex.join(texts),
    )


def new_model(settings: Settings, world: World, replicate: int) -> "BaseAlgorithm":
    """An untrained model with its environment.

    Args:
        settings: completed.
        world: of the settings.
        replicate: whose seed its first weights are drawn from.

    Raises:
        InputError: the algorithm takes no such keyword, or no such actions.
    """
    import stable_baselines3
    import torch

    from recsim_env.envs.sb3 import SB3VecEnv

    torch.set_num_threads(1)  # of small networks: several only wait for each other
    env = BatchedEnv(settings.num_envs, world, autoreset_mode=AutoresetMode.SAME_STEP)
    # the step is observed: the end of an episode is part of the problem
    final = "step" in world.observation_entries()
    vec_env = SB3VecEnv(wrap(env, *changes(settings.actions)), truncation_is_final=final)
    keywords = parameters(parts(settings.keywords), "--set")
    kind = getattr(stable_baselines3, settings.algorithm.upper())
    for name, value in keywords.items():
        default = getattr(signature(kind).parameters.get(name), "default", None)
        if isinstance(default, int | float) and isinstance(value, str):
            raise InputError(f"--set {name} must be a number, such as {default}, got {value!r}")
    try:
        model: BaseAlgorithm = kind(
            "MlpPolicy", vec_env, seed=settings.seed + replicate, device="cpu", **keywords
        )
    except (AssertionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        if "action space" in reason:
            raise InputError(
                f"actions={settings.actions} does not fit {settings.algorithm}: {reason}"
            ) from None
        raise InputError(f"{settings.algorithm} does not take these arguments: {reason}") from None
    return model


def policy_of(model: "BaseAlgorithm", settings: Settings, world: World, seed: int) -> dict[str, Floats]:
    """What the model earns, acting greedily: see `measure`."""
    return measure(
        lambda observation: model.predict(observation, deterministic=True)[0],
        world,
        episodes=settings.episodes,
        seed=seed,
        wrap=lambda env: wrap(env, *changes(settings.actions)),
    )


def about(settings: Settings, replicate: int) -> dict[str, Any]:
    """What a checkpoint is of; one of anything else is refused."""
    told = ("env", "env_args", "algorithm", "actions", "num_envs", "keywords")
    return {
        **{name: getattr(settings, name) for name in told},
        "seed": settings.seed + replicate,
        "recsim-env": __version__,
        "stable-baselines3": version("stable-baselines3"),
        "format": 1,
    }


def load_policy(path: Path) -> tuple["BaseAlgorithm", World]:
    """A trained model, and the world it was trained in, from `DIR/policies/replicate_0.pt`.

    Raises:
        InputError: no checkpoint, or one of another version of this package or of the library.
    """
    require("stable_baselines3", "sb3")
    told = sb3_checkpoint.about(path)
    known = {name: told[name] for name in Settings.__dataclass_fields__ if name in told}
    settings = Settings(**known)
    world = world_of(settings.env, parameters(parts(settings.env_args)))
    model = new_model(settings, world, 0)
    sb3_checkpoint.load(path, model, about(settings, 0))
    return model, world


def _train_and_measure(settings: Settings, world: World, directory: RunDirectory) -> Results:
    agent, found = settings.algorithm, []
    with tqdm(total=settings.replicates * settings.steps, desc=agent, unit="step") as bar:
        for replicate in range(settings.replicates):
            found.append(_train(settings, world, directory.path, replicate, bar))
    steps = found[0]["steps"]
    results = Results({agent: _curves(steps, found)})
    by_replicate = [
        measure_baselines(world, episodes=settings.episodes, seed=_measured_on(settings, replicate))
        for replicate in range(settings.replicates)
    ]
    ends = np.array([0, steps[-1]])
    for name in by_replicate[0]:
        means = [{m: v.mean().repeat(2) for m, v in baselines[name].items()} for baselines in by_replicate]
        results.curves[name] = _curves(ends, means)
    for name, curves in results.curves.items():
        write_events(directory.path / "tensorboard", name, curves)
    return results


def _train(settings: Settings, world: World, out: Path, replicate: int, bar: Any) -> dict[str, Array]:
    """(P,) curves of one replicate, and `steps`; from its checkpoint if there is one."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Progress(BaseCallback):
        def _on_step(self) -> bool:
            bar.update(self.training_env.num_envs)
            return True

    file = out / "checkpoints" / f"replicate_{replicate}.pt"
    model = new_model(settings, world, replicate)
    _count_exploration_from_the_start(model, settings.steps)
    seed = _measured_on(settings, replicate)
    curves: dict[str, Array] = {}
    if file.exists():
        curves = sb3_checkpoint.load(file, model, about(settings, replicate))
        bar.update(int(curves["steps"][-1]))
    else:
        curves = _longer(curves, 0, {**policy_of(model, settings, world, seed), **_moved(model)})
    for part in range(len(curves["steps"]) - 1, settings.evaluations):
        end = settings.steps * (part + 1) // settings.evaluations
        _begin_part(model, settings.seed + replicate, part)
        left = max(1, end - model.num_timesteps)
        model.learn(left, callback=Progress(), log_interval=1 << 62, reset_num_timesteps=False)
        found = {**policy_of(model, settings, world, seed), **_moved(model)}
        curves = _longer(curves, model.num_timesteps, found)
        sb3_checkpoint.save(file, model, about(settings, replicate), buffer=True, extra=curves)
        write_events(out / "tensorboard", settings.algorithm, _curves(curves["steps"], [curves]))
    sb3_checkpoint.save(out / "policies" / file.name, model, about(settings, replicate))
    return curves


def _moved(model: "BaseAlgorithm") -> dict[str, Floats]:
    """`kl` (1,): how far the last update moved the policy, as Stable-Baselines3 estimates it for PPO."""
    if not hasattr(model, "target_kl"):
        return {}
    logged = {} if model.num_timesteps == 0 else model.logger.name_to_value
    return {"kl": np.array([logged.get("train/approx_kl", 0.0)])}


def _begin_part(model: "BaseAlgorithm", seed: int, part: int) -> None:
    """Fresh users and fresh random numbers, which depend on seed and part alone."""
    from stable_baselines3.common.utils import set_random_seed

    drawn = int(np.random.SeedSequence([seed, part]).generate_state(1)[0])
    set_random_seed(drawn)
    model.action_space.seed(drawn)
    assert model.env is not None
    model.env.seed(TRAINING + (drawn << 4))
    model._last_obs = None  # `learn` then begins with a reset


def _count_exploration_from_the_start(model: "BaseAlgorithm", steps: int) -> None:
    """DQN's exploration falls with the share of all steps that is done, not of one call of `learn`."""
    if hasattr(model, "exploration_schedule"):
        schedule = model.exploration_schedule
        model.exploration_schedule = lambda _: schedule(1.0 - min(1.0, model.num_timesteps / steps))


def _measured_on(settings: Settings, replicate: int) -> int:
    return EVALUATION + (settings.seed + replicate) * settings.episodes


def _longer(curves: Mapping[str, Array], step: int, found: Mapping[str, Floats]) -> dict[str, Array]:
    """The curves with the means of one more measurement."""
    point = {"steps": np.array([step]), **{m: np.array([found[m].mean()]) for m in RECORDED if m in found}}
    return {name: np.concatenate([curves.get(name, p[:0]), p]) for name, p in point.items()}


def _curves(steps: Array, replicates: list[Any]) -> dict[str, Curve]:
    there = [m for m in RECORDED if m in replicates[0]]
    return {m: Curve(steps, np.stack([one[m] for one in replicates], axis=1)) for m in there}


def less_regret(results: Results, agent: str, other: str) -> Estimate:
    """By how much less regret of an episode the agent ends with, its error over replicates; see `Estimate`.

    The replicates are paired. Regret holds no luck of clicks: the sharper way to say who earns more.
    """
    mine, theirs = (results.curves[name]["regret"].values[-1] for name in (agent, other))
    return mean_estimate(theirs - mine)


def print_table(results: Results, settings: Settings) -> None:
    """What each policy earns an episode at the end, and by how much its regret exceeds the trained one's."""
    agent = settings.algorithm
    width = max(len(name) for name in results.curves)
    sys.stdout.write(f"\n{title(settings)}: mean of an episode, {settings.replicates} replicates\n")
    metrics = [m for m in METRICS if m in results.curves[agent]]
    sys.stdout.write(
        f"{'':{width}}" + "".join(f"{m:>10}" for m in metrics) + f"   {agent} has less regret by\n"
    )
    for name, curves in sorted(results.curves.items(), key=lambda row: -row[1]["reward"].values[-1].mean()):
        line = "".join(f"{curves[m].values[-1].mean():10.3f}" for m in metrics)
        if name != agent:
            gain = less_regret(results, agent, name)
            low, high = gain.interval
            line += f"   {gain.value:+.3f}"
            line += "" if np.isnan(float(low)) else f"  95 % interval [{low:+.3f}, {high:+.3f}]"
        sys.stdout.write(f"{name:{width}}{line}\n")


def title(settings: Settings) -> str:
    """What the run is about, for a picture; runs with one title are comparable."""
    settings = completed(settings)
    return settings.env + (f" ({settings.env_args})" if settings.env_args else "")


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Reward of an episode against environment steps."""
    figure.draw_curves(axes, results, "reward", label, style)
    axes.set(title=title(settings), xlabel="environment steps of training", ylabel="reward of an episode")
