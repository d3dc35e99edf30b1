"""The loop: an agent acts on an environment, learns from what follows, and its regret is recorded.

Regret is pseudo-regret: at every step the world says what the best slate is worth and what the shown
one is (both with the best slates ever after), and the differences are summed. No click is in it, so a
curve is smooth; its expectation is the regret of the definition, sum_k V*(s_1) - V^{pi_k}(s_1), whatever
the policy (the performance-difference lemma).
"""

import os
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode

from recsim_env.agents.agent import Agent, Transition
from recsim_env.arrays import Array, Ints
from recsim_env.envs.batched import BatchedEnv
from recsim_env.experiments import checkpoint
from recsim_env.experiments.results import Curve, log_steps
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.simulators.luck import Luck

CHECKPOINT_SECONDS = float(os.environ.get("RECSIM_ENV_CHECKPOINT_SECONDS", "2"))  # between two saves
AGENT_LUCK = 1 << 63  # added to the seed of a replicate: the agent's luck is not that of its user


class Progress(Protocol):
    """What the loop tells of itself; a tqdm bar is one."""

    def update(self, n: int) -> Any:
        """Another n steps are done."""


@dataclass(frozen=True)
class Race:
    """How long each agent plays, and how its steps are counted."""

    last: int  # the step at which to stop
    count_rounds: bool  # a step is a slate shown; else an episode
    seed: int  # of replicate 0; replicate i has seed + i


def play(
    name: str, agent: Agent, env: BatchedEnv, race: Race, directory: RunDirectory, progress: Progress
) -> dict[str, Curve]:
    """Let one agent play to the end, from its checkpoint if there is one.

    Args:
        name: of the agent.
        agent: with as many rows as the environment.
        env: with autoreset mode DISABLED, whose episodes all have the same length.
        race: see `Race`.
        directory: where checkpoints go.
        progress: told of every step.

    Returns:
        The curves `regret` and `reward`, cumulative.
    """
    assert env.autoreset_mode is AutoresetMode.DISABLED
    file = directory.checkpoint(name)
    steps = log_steps(race.last)
    seeds = [race.seed + i for i in range(env.num_envs)]
    luck = Luck.from_seeds([AGENT_LUCK + seed for seed in seeds])
    regret, reward = np.zeros(env.num_envs), np.zeros(env.num_envs)
    records = np.zeros((2, len(steps), env.num_envs))
    episode = step = recorded = 0
    if file.exists():
        saved = checkpoint.load(file, agent)
        regret, reward, records = saved["regret"], saved["reward"], saved["records"]
        episode, step, recorded = (int(n) for n in saved["position"])
        progress.update(step)
    env.reset(seed=seeds)
    last_saved = time.monotonic()
    while step < race.last:
        observation, _ = env.reset(options={"episode": episode})
        episode_luck = luck.of_episode(episode)
        before = step
        for h in range(env.world.horizon):
            slates = agent.act(observation, episode_luck.at(h))
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
            observation = next_observation
            step += race.count_rounds
            if race.count_rounds and step == steps[recorded]:
                records[:, recorded] = regret, reward
                recorded += 1
                if step == race.last:
                    break
        if not race.count_rounds:
            step += 1
            if step == steps[recorded]:
                records[:, recorded] = regret, reward
                recorded += 1
        episode += 1
        progress.update(step - before)
        if time.monotonic() - last_saved > CHECKPOINT_SECONDS or step == race.last:
            position = np.array([episode, step, recorded])
            state: dict[str, Array] = {
                "regret": regret,
                "reward": reward,
                "records": records,
                "position": position,
            }
            checkpoint.save(file, agent, state)
            last_saved = time.monotonic()
    return curves(steps, records)


def curves(steps: Ints, records: Array) -> dict[str, Curve]:
    """The two curves from records (2, P, B)."""
    return {"regret": Curve(steps, records[0]), "reward": Curve(steps, records[1])}
