"""Who attacks in `Attack-v0`: fakes that are sent as they are, the best of all, and agents that learn.

All have the same budget, M fake users of at most A items each, and are paid what the world pays. An attack is
the items (M, A) of its fake users, -1 in empty places.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recsim_env.agents.baselines.item_knn import ItemKNNRecommender
from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import require, unknown_name
from recsim_env.experiments.attacks import ATTACKS
from recsim_env.experiments.deep_agents import DEEP_AGENTS, DeepTask
from recsim_env.experiments.group_attacker import GroupAttacker
from recsim_env.experiments.settings import names_of
from recsim_env.experiments.training import one_thread, train
from recsim_env.simulators.attackers.attack import Budget, Goal, fake_users, known
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.attack import AttackWorld, CooccurrenceVictim

METRICS = ("reward", "exposure", "paid")
COUNTS = 1e9  # shrinkage with which item-kNN scores by how many users had both, as the victim does
GROUPS = "groups"
LEARNERS = (GROUPS, "reinforce_value", "reinforce_top_k", "reinforce", "wolpertinger")


def learner_names(text: str) -> list[str]:
    """`groups,reinforce_value` -> the names.

    Raises:
        InputError: none, an unknown one, one twice, or torch is missing.
    """
    names = names_of("agents", "agent", text, LEARNERS)
    if names != [GROUPS]:
        require("torch", "torch")
    return names


def played(world: AttackWorld, fakes: Ints) -> dict[str, Floats]:
    """What attacks (B, M, A) come to, (B,) each.

    Returns:
        reward: of the episode, summed.
        exposure: of the target after the last fake user.
        paid: cost of all actions.
    """
    luck = Luck.from_seeds(range(len(fakes)))  # which nothing is drawn from
    state, reward = world.begin(luck), np.zeros(len(fakes))
    for h in range(world.horizon):
        state, outcome = world.respond(state, fakes[:, h], luck)
        reward += outcome.reward
    taken = np.array([[bits.bit_count() for bits in row] for row in state.profiles.tolist()])
    return {"reward": reward, "exposure": state.exposure, "paid": world.cost * taken.sum(axis=1)}


def chosen(world: AttackWorld, choose: Callable[[Any], Ints]) -> Ints:
    """The attack (M, A) of somebody who chooses a slate (1, A) in each state."""
    luck = Luck.from_seeds([0])
    state, fakes = world.begin(luck), []
    for _ in range(world.horizon):
        fakes.append(choose(state))
        state, _ = world.respond(state, fakes[-1], luck)
    return np.concatenate(fakes)


def greedy_attack(agent: Any, world: AttackWorld) -> Ints:
    """The attack (M, A) of an agent that has learned."""
    return chosen(world, lambda state: agent.greedy(world.observe(state)))


def any_items(world: AttackWorld, draws: int, seed: int) -> Ints:
    """(draws, M, A) items drawn evenly, the target among the others."""
    rng = np.random.default_rng([seed, 1])
    return np.argsort(rng.random((draws, world.horizon, world.num_items)), axis=2)[:, :, : world.slate_size]


def scripted(name: str, world: AttackWorld, victim: CooccurrenceVictim, draws: int, seed: int) -> Ints:
    """(draws, M, A) of an attack of `ATTACKS`, which is told what its level of knowledge has.

    Args:
        name: of the attack.
        world: with the budget.
        victim: the world's, whose honest users are known.
        draws: of its chance.
        seed: of the first of them.

    Raises:
        InputError: an unknown name, and see `fake_users`.
    """
    user, item = np.nonzero(victim.had)
    clock, clicked = np.arange(len(user), dtype=np.float64), np.ones((len(user), 1), np.bool_)
    log, N = Log(user=user, time=clock, slate=item[:, None], clicked=clicked), world.num_items

    def victims_kind(seed: int) -> ItemKNNRecommender:
        return ItemKNNRecommender(neighbours=N, shrinkage=COUNTS, seed=seed, num_items=N)

    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    goal, budget = Goal(np.array([world.target])), Budget(world.horizon, world.slate_size)
    told, attacker = known(ATTACKS[name].level, log, N, surrogate=victims_kind), ATTACKS[name].make()
    if hasattr(attacker, "k"):
        attacker.k = victim.k  # of the lists that a planner looks at
    seeds = range(seed * draws, (seed + 1) * draws)
    return np.stack([fake_users(attacker, goal, budget, told, one).items for one in seeds])


def learner(name: str, world: AttackWorld, had: Bools, rows: int, episodes: int, seed: int) -> Any:
    """An agent of `LEARNERS` that has not learned yet."""
    if name == GROUPS:
        popularity = had.sum(axis=0).astype(np.int64)
        return GroupAttacker(
            popularity, world.target, world.horizon, world.slate_size, num_rows=rows, seed=seed
        )
    explores = max(1, episodes * world.horizon // 2)
    return DEEP_AGENTS[name](DeepTask(world, rows, seed, 1.0, 0.001, 64, explores, 1))


def learning(agent: Any, world: AttackWorld, rows: int, episodes: Ints, seed: int) -> Iterator[float]:
    """Let an agent play whole episodes, in parts.

    Args:
        agent: which learns.
        world: in which.
        rows: attacks at once.
        episodes: (P,) of a row at the end of each part, rising.
        seed: of the luck of its exploration.

    Yields:
        The mean reward of an attack of each part, with exploration.
    """
    for part, count in enumerate(np.diff(episodes, prepend=0)):
        with one_thread():
            _, curves = train(
                agent,
                world,
                steps=int(count) * world.horizon,
                num_rows=rows,
                seed=(seed * len(episodes) + part) * rows,
                file=None,
                progress=lambda _: None,
            )
        yield float(curves["reward"][-1] / count)
