"""What a policy is worth to users that nobody learned from, and what it makes of the log.

slate_reward    exact expected clicks on the K likeliest items
session         sum of the same over the world's horizon; clicked items are added to the history
regret          what the best slate would have earned more than the first one
ndcg@10         of the item that each user took next by themselves
kl              mean over 16 items drawn of log pi - log pi_ref
coverage        share of the catalogue on the first slates of all users
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import require
from recsim_env.evaluation.ranking import ndcg
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy

LISTED, DRAWN = 10, 16
METRICS = ("slate_reward", "session", "regret", "ndcg@10", "kl", "coverage")
Lists = Callable[[Ints, Ints], Ints]
"""Histories (B, H) and numbers (B,) of users -> lists (B, 10), best first."""


def lists_of(policy: "GenerativePolicy") -> Lists:
    """What a policy would show."""
    require("torch", "torch")
    import torch

    def lists(history: Ints, users: Ints) -> Ints:
        found, _ = policy.eval().generate(torch.from_numpy(history), LISTED)
        return np.asarray(found.cpu().numpy())

    return lists


def measure(lists: Lists, of: OrganicUsers, users: Ints, seed: int) -> dict[str, float]:
    """All metrics but `kl`.

    Args:
        lists: of the policy.
        of: the world.
        users: (B,) whom to show something.
        seed: of their clicks in a session.
    """
    world, K = of.world, of.world.slate_size
    state, luck = take_rows(of.state, users), Luck.from_seeds(users + (seed << 32))
    history, target = of.taken[users, :-1], of.taken[users, -1]
    ranked = lists(history, users)
    found = {"ndcg@10": float(ndcg(ranked, target[:, None], LISTED).mean())}
    first = ranked[:, :K]
    reward = world.expected_reward(state, first)
    found["slate_reward"] = session = float(reward.mean())
    found["regret"] = float((world.expected_reward(state, world.best_slate(state)) - reward).mean())
    found["coverage"] = len(np.unique(first)) / world.num_items
    slates = first
    for step in range(1, world.horizon):
        state, outcome = world.respond(state, slates, luck.at(step))
        history = longer(history, slates, outcome.response.clicked)
        slates = lists(history, users)[:, :K]
        session += float(world.expected_reward(state, slates).mean())
    return {**found, "session": session}


def divergence(policy: "GenerativePolicy", reference: "GenerativePolicy", history: Ints, seed: int) -> float:
    """An estimate of KL(pi || pi_ref) over users, by items drawn from pi."""
    require("torch", "torch")
    import torch

    rows = torch.from_numpy(history)
    luck = Luck.from_seeds(np.arange(len(rows)) + (seed << 32)).of_episode(1)  # a tuner draws in episode 0
    items, log_pi = policy.eval().generate(rows, DRAWN, "sample", luck=luck)
    with torch.no_grad():
        return float((log_pi - reference.eval().log_prob(rows, items)).mean())


def longer(history: Ints, slates: Ints, clicked: Bools) -> Ints:
    """Histories with the clicked items behind them, from the top of the slate; as wide as before."""
    shown = np.where(clicked, slates, -1)
    joined = np.concatenate([history, shown], axis=1)
    order = np.argsort(joined >= 0, axis=1, kind="stable")  # empty cells to the left, the rest as it stood
    return np.asarray(np.take_along_axis(joined, order, axis=1)[:, -history.shape[1] :])
