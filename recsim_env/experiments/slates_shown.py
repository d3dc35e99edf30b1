"""Pictures of what an agent showed: the first steps of a run, played again for its first user.

The users' luck and the agent's are counter-based, so a fresh agent with the run's seeds shows what the agent
of the run showed, slate for slate.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.arrays import Array
from recsim_env.envs.rendering import picture
from recsim_env.envs.scene import Scene
from recsim_env.errors import InputError
from recsim_env.experiments.run import AGENT_LUCK, Race
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World

STEPS = (1, 10, 100)  # whose slates are drawn
SHARE = 0.05  # of the run, that may be played again


@dataclass(frozen=True)
class Shown:
    """A slate with what was clicked."""

    step: int  # of the run, as in `results.csv`
    png: bytes
    width: int
    height: int


def slates_shown(agent: Agent, world: World, rows: int, race: Race) -> list[Shown]:
    """The slate of the first user at steps 1, 10 and 100 of a run; of an episode, if steps are, the first.

    At most 5 % of the run is played again, so a run of less than 20 steps has no picture; neither has a world
    that nobody has said how to draw.

    Args:
        agent: a fresh one, as the run began with.
        world: of the run.
        rows: replicates of the run.
        race: the run's.
    """
    wanted = [step for step in STEPS if step <= race.last * SHARE]
    found: list[Shown] = []
    for step, scene in played_again(agent, world, rows, race) if wanted else ():
        if step in wanted:
            try:
                found.append(as_png(step, picture(world, scene, 0)))
            except InputError:
                return []
        if len(found) == len(wanted):
            break
    return found


def played_again(agent: Agent, world: World, rows: int, race: Race) -> Iterator[tuple[int, Scene]]:
    """What `play` did, step by step: of a race that counts episodes, their first slates."""
    seeds = [race.seed + i for i in range(rows)]
    all_users, all_mine = Luck.from_seeds(seeds), Luck.from_seeds([AGENT_LUCK + seed for seed in seeds])
    step = episode = 0
    while True:
        users, mine = all_users.of_episode(episode), all_mine.of_episode(episode)
        state = world.begin(users)
        observation = world.observe(state)
        for h in range(world.horizon):
            before, seen = state, observation
            slates = agent.act(seen, mine.at(h))
            state, outcome = world.respond(before, slates, users.at(h))
            observation = world.observe(state)
            if race.count_rounds or h == 0:
                step += 1
                yield step, Scene(state, before, slates, outcome)
            over = np.full(rows, h + 1 == world.horizon)
            agent.update(
                Transition(seen, slates, *outcome.response, outcome.reward, observation, outcome.left, over)
            )
        episode += 1


def as_png(step: int, frame: Array) -> Shown:
    """The frame (height, width, 3) as a PNG of 64 colours."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).quantize(64).save(file, "PNG")
    height, width = frame.shape[:2]
    return Shown(step, file.getvalue(), width, height)
