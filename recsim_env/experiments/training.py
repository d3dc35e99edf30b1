"""The loop of an agent with networks: B users under one agent, step by step, with a checkpoint to go on from.

A row begins its next episode where the last one ended, by the user's leaving or at the horizon, under the
next episode of its luck. Regret is summed as in `experiments/run.py`. All rows train one agent, so they are
no replicates: what is recorded is their mean, one number a training, and several trainings make an interval.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.experiments import checkpoint
from recsim_env.experiments.results import log_steps
from recsim_env.experiments.run import CHECKPOINT_SECONDS
from recsim_env.experiments.shown_metrics import ShownMetrics
from recsim_env.simulators.log_generation import POLICY_LUCK, SeesStates
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World, columns, put_rows, take_rows, with_columns

TEST_SEEDS = 1 << 31  # from a training's first seed to that of the users on whom it is tested


def train(
    agent: Any,
    world: World,
    *,
    steps: int,
    num_rows: int,
    seed: int,
    file: Path | None,
    progress: Callable[[int], Any],
    metrics: tuple[str, ...] = (),
) -> tuple[Ints, dict[str, Floats]]:
    """Let an agent learn from `steps` slates of every row, from its checkpoint if there is one.

    Args:
        agent: see `Agent`; with `logged` (L,) and its module's LOGGED names, these are recorded too.
        world: where it learns.
        steps: slates shown to each row.
        num_rows: B.
        seed: of row 0; row i has seed + i.
        file: where the checkpoint goes; None = none is kept.
        progress: told of every step.
        metrics: of the slates, see `shown_metrics`; all rows are one learner.

    Returns:
        The steps (P,) and by metric (P,) `regret` and `reward`, cumulative and the mean over rows, the
        metrics, and what the agent logs of itself at these steps.
    """
    seeds = np.arange(num_rows, dtype=np.uint64) + np.uint64(seed)
    episode, elapsed = np.zeros(num_rows, np.int64), np.zeros(num_rows, np.int64)
    names = ("regret", "reward", *metrics, *logged_names(agent))
    measured = ShownMetrics(metrics, world, num_rows, together=True)
    recorded_at = log_steps(steps)
    totals, records = np.zeros(2), np.zeros((len(names), len(recorded_at)))
    state, step = world.begin(Luck(seeds, episode, elapsed)), 0
    if file is not None and file.exists():
        saved = checkpoint.load(file, agent)
        episode, elapsed, totals, records = (
            saved[key] for key in ("episode", "elapsed", "totals", "records")
        )
        state = with_columns(state, [saved[f"state/{i}"] for i in range(len(columns(state)))])
        measured.restore(saved)
        step = int(saved["step"])
        progress(step)
    observation = world.observe(state)
    last_saved = time.monotonic()
    while step < steps:
        if isinstance(agent, SeesStates):
            agent.see(state)
        slates = agent.act(observation, Luck(seeds + np.uint64(POLICY_LUCK), episode, elapsed))
        measured.see(state, slates)
        state, outcome = world.respond(state, slates, Luck(seeds, episode, elapsed))
        elapsed = elapsed + 1
        truncated = (elapsed >= world.horizon) & ~outcome.left
        after = world.observe(state)
        agent.update(
            Transition(observation, slates, *outcome.response, outcome.reward, after, outcome.left, truncated)
        )
        totals += (outcome.best_value - outcome.slate_value).mean(), outcome.reward.mean()
        over = outcome.left | truncated
        if over.any():
            rows = np.flatnonzero(over)
            episode, elapsed = episode + over, np.where(over, 0, elapsed)
            state = put_rows(state, rows, world.begin(Luck(seeds, episode, elapsed).rows(rows)))
            after = world.observe(state)
        observation = after
        step += 1
        progress(1)
        place = np.searchsorted(recorded_at, step)
        if recorded_at[place] == step:
            logged = agent.logged if hasattr(agent, "logged") else ()
            records[:, place] = *totals, *measured.values()[:, 0], *logged
        late = step == steps or time.monotonic() - last_saved > CHECKPOINT_SECONDS
        if file is not None and late:
            kept = {"episode": episode, "elapsed": elapsed, "totals": totals, "records": records}
            states = {f"state/{i}": column for i, column in enumerate(columns(state))}
            kept |= {**states, **measured.progress(), "step": np.array(step)}
            checkpoint.save(file, agent, kept)
            last_saved = time.monotonic()
    return recorded_at, dict(zip(names, records, strict=True))


def logged_names(agent: Any) -> tuple[str, ...]:
    """What an agent logs of itself, from its module; nothing of one that logs nothing."""
    if not hasattr(agent, "logged"):
        return ()
    names: tuple[str, ...] = sys.modules[type(agent).__module__].LOGGED
    return names


def play_episodes(agent: Any, world: World, *, episodes: int, seed: int) -> dict[str, Floats]:
    """One episode of each of many users, without exploration and without learning.

    Args:
        agent: acts by `greedy(observation)` if it has it.
        world: where it plays.
        episodes: B.
        seed: of the first user, the next have the next seeds.

    Returns:
        `reward` and `regret` (B,) of the episodes; agents tested under one seed meet the same users and luck.
    """
    luck = Luck.from_seeds(np.arange(episodes, dtype=np.uint64) + np.uint64(seed))
    mine = Luck.from_seeds(luck.seed + np.uint64(POLICY_LUCK))
    found = {"reward": np.zeros(episodes), "regret": np.zeros(episodes)}
    state, rows = world.begin(luck), np.arange(episodes)  # of the users who are still there
    for h in range(world.horizon):
        if isinstance(agent, SeesStates):
            agent.see(state)
        observation: dict[str, Array] = world.observe(state)
        greedy = getattr(agent, "greedy", None)
        slates = greedy(observation) if greedy else agent.act(observation, mine.rows(rows).at(h))
        state, outcome = world.respond(state, slates, luck.rows(rows).at(h))
        found["reward"][rows] += outcome.reward
        found["regret"][rows] += outcome.best_value - outcome.slate_value
        if outcome.left.any():
            state, rows = take_rows(state, ~outcome.left), rows[~outcome.left]
        if len(rows) == 0:
            break
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for PyTorch, if it is there: the sums of several depend on their number in the last bits."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
