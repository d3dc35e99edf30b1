"""The loop: an agent acts on an environment, learns from what follows, and its regret is recorded.

Regret is pseudo-regret: at every step the world says what the best slate is worth and what the shown
one is (both with the best slates ever after), and the differences are summed. No click is in it, so a
curve is smooth; its expectation is the regret of the definition, sum_k V*(s_1) - V^{pi_k}(s_1), whatever
the policy (the performance-difference lemma).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from recsim_env.agents.agent import Agent, Transition
from recsim_env.arrays import Array, Floats
from recsim_env.envs.batched import BatchedEnv
from recsim_env.experiments import checkpoint
from recsim_env.experiments.cells import save_arrays
from recsim_env.experiments.results import Curve, log_steps
from recsim_env.experiments.shown_metrics import ShownMetrics
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World

CHECKPOINT_SECONDS = float(os.environ.get("RECSIM_ENV_CHECKPOINT_SECONDS", "2"))  # between two saves
AGENT_LUCK = 1 << 63  # added to the seed of a replicate: the agent's luck is not that of its user


@dataclass(frozen=True)
class Race:
    """How long each agent plays, and how its steps are counted."""

    last: int  # the step at which to stop
    count_rounds: bool  # a step is a slate shown; else an episode
    seed: int  # of replicate 0; replicate i has seed + i
    replicates: int  # independent users, and learners, of every agent
    metrics: tuple[str, ...] = ()  # beside regret and reward, see `shown_metrics`


def play(
    make: Callable[[int], Agent],
    world: World,
    race: Race,
    first: int,
    last: int,
    file: Path,
    saved_at: Path,
    progress: Callable[[int], Any],
) -> None:
    """Let an agent play some of the replicates to the end, from its checkpoint if there is one.

    Args:
        make: the agent of so many rows; rows do not depend on one another.
        world: whose episodes all have the same length.
        race: see `Race`.
        first: replicate.
        last: replicate, not itself played.
        file: that is written at the end: `records` (3 + M, P, last - first), cumulative regret, reward and
            value of the best slates, and the M metrics of the race, at the P steps of `log_steps`.
        saved_at: the checkpoint.
        progress: told of every step.
    """
    agent = make(last - first)
    env = BatchedEnv(last - first, world, autoreset_mode=AutoresetMode.DISABLED)
    steps = log_steps(race.last)
    seeds = [race.seed + i for i in range(first, last)]
    luck = Luck.from_seeds([AGENT_LUCK + seed for seed in seeds])
    regret, reward, best = np.zeros((3, env.num_envs))
    records = np.zeros((3 + len(race.metrics), len(steps), env.num_envs))
    metrics = ShownMetrics(race.metrics, world, env.num_envs, together=False)
    episode = started = step = recorded = 0
    env.reset(seed=seeds)
    observation: dict[str, Array] = {}
    if saved_at.exists():
        saved = checkpoint.load(saved_at, agent)
        regret, reward, best, records = (saved[key] for key in ("regret", "reward", "best", "records"))
        episode, started, step, recorded = (int(n) for n in saved["position"])
        metrics.restore(saved)
        progress(step)
        if started:
            env.reset(options={"episode": episode})
            observation = env.restore(saved)
    last_saved = time.monotonic()
    while step < race.last:
        if started == 0:
            observation, _ = env.reset(options={"episode": episode})
        episode_luck = luck.of_episode(episode)
        for h in range(started, env.world.horizon):
            slates = agent.act(observation, episode_luck.at(h))
            metrics.see(env.state, slates)
            next_observation, earned, terminated, truncated, info = env.step(slates)
            agent.update(
                Transition(
                    observation,
                    slates,
                    info["clicked"],
                    info["examined"],
                    earned,
                    next_observation,
                    terminated,
                    truncated,
                )
            )
            regret += info["best_value"] - info["slate_value"]
            reward += earned
            if not env.world.plans_ahead:
                best += info["best_value"]
            observation = next_observation
            ended = h + 1 == env.world.horizon
            if race.count_rounds or ended:
                step += 1
                progress(1)
                if step == steps[recorded]:
                    records[:, recorded] = regret, reward, best, *metrics.values()
                    recorded += 1
            if step == race.last:
                break
            if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
                position = np.array([episode + ended, 0 if ended else h + 1, step, recorded])
                totals = {"regret": regret, "reward": reward, "best": best, "records": records}
                kept = {**totals, "position": position, **env.progress(), **metrics.progress()}
                checkpoint.save(saved_at, agent, kept)
                last_saved = time.monotonic()
        episode, started = episode + 1, 0
    save_arrays(file, {"records": records})


def curves_of(world: World, race: Race, records: Floats) -> dict[str, Curve]:
    """What came of an agent on all replicates.

    Args:
        world: that it played in.
        race: the same.
        records: (3 + M, P, B), see `play`.

    Returns:
        Cumulative curves: `regret` and `reward`; `realised_regret`, where the world does not plan ahead: what
        the best slates of the moment were to earn less what was earned, so regret plus the luck of the
        rewards; and `regret_fixed`, where the world knows it (`fixed_regret`): regret less that of the
        best fixed arm in hindsight, which is regret against that arm; then the metrics of the race.
    """
    steps = log_steps(race.last)
    regret, reward, best, *measured = records
    found = {"regret": Curve(steps, regret), "reward": Curve(steps, reward)}
    if not world.plans_ahead:
        found["realised_regret"] = Curve(steps, best - reward)
    if hasattr(world, "fixed_regret"):
        found["regret_fixed"] = Curve(steps, regret - world.fixed_regret()[steps][:, None])
    return found | {name: Curve(steps, one) for name, one in zip(race.metrics, measured, strict=True)}
