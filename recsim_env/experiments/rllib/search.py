"""Search for the settings of an algorithm with Ray Tune: trials that fall behind are stopped early (ASHA).

    from ray import tune
    from recsim_env.experiments.rllib.search import search

    best = search("ppo", "CascadeRec-v0", {"learning_rate": tune.loguniform(1e-4, 1e-2)}, trials=8)
    best.config       # {"learning_rate": ...}
    best.metrics      # {"reward": ..., "regret": ..., "steps": ...}

A trial is judged by what its policy earns without exploring, on users that no trial learns from, the same for
all of them. Asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter
Tuning", MLSys 2020): after `grace`, 3 grace, 9 grace ... iterations a trial goes on if it is among the best
third of those that came so far.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from recsim_env.errors import InputError
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.policy_metrics import measure
from recsim_env.experiments.rllib.algorithms import (
    PLAIN,
    Sizes,
    algorithm_config,
    check_environment,
    full_id,
)
from recsim_env.experiments.rllib.flat import Flat
from recsim_env.experiments.rllib.policy import greedy

SEARCHED = ("learning_rate", "gamma", "entropy", "hidden", "seed")
MEASURED = 1 << 42  # seed of the first user that trials are judged on; the final measurement has others


def search(
    algorithm: str,
    env_id: str,
    space: Mapping[str, Any],
    *,
    env_config: Mapping[str, Any] | None = None,
    trials: int = 8,
    iterations: int = 27,
    grace: int = 3,
    episodes: int = 200,
    sizes: Sizes = PLAIN,
    out: Path | None = None,
    at_once: int | None = None,
) -> Any:
    """The best trial, a `ray.tune.Result`.

    Args:
        algorithm: ppo, impala or appo.
        env_id: of this package.
        space: by name of an argument of `algorithm_config`, what Tune may draw it from.
        env_config: parameters of the environment.
        trials: to begin.
        iterations: of the longest trial.
        grace: iterations that every trial gets.
        episodes: that judge a policy.
        sizes: of each trial; its runners are processes of their own.
        out: directory of Tune's files, TensorBoard events among them; `~/ray_results` if None.
        at_once: trials that run at a time; as many as there are processors if None.

    Raises:
        InputError: an argument that is not searched, or numbers out of range; as `algorithm_config`.
    """
    if algorithm not in ("ppo", "impala", "appo"):
        raise InputError(f"algorithm must be ppo, impala or appo to be searched for, got {algorithm!r}")
    for name in space:
        if name not in SEARCHED:
            raise InputError(f"space must name {', '.join(SEARCHED)}, got {name!r}")
    for name, value in {
        "trials": trials,
        "iterations": iterations,
        "grace": grace,
        "episodes": episodes,
    }.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if grace > iterations:
        raise InputError(f"grace must be at most iterations ({iterations}), got {grace}")
    algorithm_config(algorithm, env_id, env_config, sizes=sizes)  # refuses what is wrong before trials start
    name, given = full_id(env_id), dict(env_config or {})

    def trial(drawn: dict[str, Any]) -> None:
        world = world_of(name, given)
        config = algorithm_config(algorithm, name, given, sizes=sizes, **drawn)
        probe = check_environment(name, given)
        flat = Flat(probe.single_observation_space, probe.single_action_space)
        learner = config.build_algo()
        for _ in range(iterations):
            result = learner.train()
            act = greedy(learner.learner_group._learner.module["default_policy"], flat)
            found = measure(act, world, episodes=episodes, seed=MEASURED)
            steps = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
            tune.report({**{m: float(v.mean()) for m, v in found.items()}, "steps": steps})
        learner.stop()

    one = tune.PlacementGroupFactory([{"CPU": 1.0}] * (1 + sizes.runners))
    tuner = tune.Tuner(
        tune.with_resources(trial, one),
        param_space=dict(space),
        tune_config=tune.TuneConfig(
            metric="reward",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=at_once,
            scheduler=ASHAScheduler(max_t=iterations, grace_period=grace, reduction_factor=3),
        ),
        run_config=tune.RunConfig(storage_path=None if out is None else str(out.resolve()), verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    return results.get_best_result()
