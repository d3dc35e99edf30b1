"""Agents on a world without Gymnasium: the shortest loop."""

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.experiments import rounds as rounds_of
from recsim_env.simulators.luck import Luck


def drive(world, agent, B, episodes, seed=0, each_episode=None):
    """Slates of every step (T, B, K) and cumulative regret after every episode (E, B)."""
    user, mine = Luck.from_seeds(np.arange(B) + seed), Luck.from_seeds(np.arange(B) + seed + (1 << 40))
    regret, curve, shown = np.zeros(B), [], []
    for e in range(episodes):
        user_luck, my_luck = user.of_episode(e), mine.of_episode(e)
        state = world.begin(user_luck)
        observation = world.observe(state)
        for h in range(world.horizon):
            slates = agent.act(observation, my_luck.at(h))
            shown.append(slates)
            if h == 0 and each_episode:
                each_episode(agent)
            state, o = world.respond(state, slates, user_luck.at(h))
            after = world.observe(state)
            agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, o.left))
            observation = after
            regret = regret + o.best_value - o.slate_value
        curve.append(regret)
    return np.array(shown), np.array(curve)


def play_rounds(world, agent, B, seed=0, rounds=None):
    """Slates (T, B, K) and cumulative regret (T, B) of every round of one episode."""
    played = rounds_of.play_rounds(world, agent, B, rounds, seed)
    return played.slates, played.regret
