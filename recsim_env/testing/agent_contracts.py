"""Contracts of an agent, in a world that it can act in."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recsim_env.agents.agent import Agent, Transition
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.experiments import checkpoint
from recsim_env.experiments.rounds import AGENT_LUCK
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World, put_rows
from recsim_env.testing.contracts import Broken
from recsim_env.testing.global_randomness import left_alone
from recsim_env.testing.value_contracts import slate_fault
from recsim_env.testing.world_case import copied, difference

ERRORS = 4  # standard errors by which an agent that learns is better than chance


@dataclass(frozen=True)
class AgentCase:
    """An agent to check.

    Args:
        make: gives a new agent for (world, number of replicates B) at each call.
        world: that it acts in; random slates must lose something there.
        steps: of the run in which it has to learn.
        replicates: B of that run.
        share: of what random slates lose, which the agent must stay below.
        few: steps of the other contracts, at most.
    """

    make: Callable[[World, int], Agent]
    world: World
    steps: int = 2_000
    replicates: int = 20
    share: float = 1.0
    few: int = 120

    def agent(self, rows: int) -> Agent:
        """A new one for B replicates."""
        return self.make(self.world, rows)


class Played(NamedTuple):
    """A run of B replicates."""

    slates: Ints  # (T, B, K)
    regret: Floats  # (T, B) cumulative


def play(world: World, agent: Agent, rows: int, steps: int, seed: int = 0, uneven: bool = False) -> Played:
    """Let an agent act and learn; a row whose user left or whose episode is over begins the next one.

    Args:
        world: that it acts in.
        agent: with as many rows.
        rows: B.
        steps: T.
        seed: of row 0; row i has seed + i.
        uneven: truncate the episodes of the user with seed s after 3 + s mod 4 steps, so that they end apart.
    """
    seeds = range(seed, seed + rows)
    user, mine = Luck.from_seeds(seeds), Luck.from_seeds([AGENT_LUCK + s for s in seeds])
    limit = np.array([3 + s % 4 for s in seeds]) if uneven else np.full(rows, world.horizon)
    limit = np.minimum(limit, world.horizon)
    state, elapsed = world.begin(user), np.zeros(rows, np.int64)
    observation, lost = world.observe(state), np.zeros(rows)
    shown, regret = np.empty((steps, rows, world.slate_size), np.int64), np.empty((steps, rows))
    for t in range(steps):
        slates = agent.act(observation, Luck(mine.seed, mine.episode, elapsed))
        if t == 0:
            _check_slates(slates, rows, world, 0)
        shown[t] = slates
        state, o = world.respond(state, slates, Luck(user.seed, user.episode, elapsed))
        elapsed = elapsed + 1
        truncated: Bools = elapsed >= limit
        after = world.observe(state)
        agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, truncated))
        lost = lost + o.best_value - o.slate_value
        regret[t] = lost
        over = o.left | truncated
        if over.any():
            began = np.flatnonzero(over)
            user = Luck(user.seed, user.episode + over, user.step)
            mine = Luck(mine.seed, mine.episode + over, mine.step)
            state = put_rows(state, began, world.begin(user.rows(began)))
            elapsed = np.where(over, 0, elapsed)
            after = world.observe(state)
        observation = after
    return Played(shown, regret)


def _check_slates(slates: Any, rows: int, world: World, t: int) -> None:
    fault = slate_fault(slates, (rows, world.slate_size), world.num_items)
    if fault:
        raise Broken(
            f"slates of step {t}: {fault}",
            "return distinct items from the top, int64, -1 in unused slots at the end",
        )


def slates_are_lists_of_distinct_items(case: AgentCase) -> None:
    """`act` returns slates (B, K), int64: distinct items from the top, at least one, then -1.

    A world counts a second showing as an empty slot, so that a repeated item is a loss that nothing reports.
    """
    rows, steps = 6, _few(case)
    shown = play(case.world, case.agent(rows), rows, steps).slates
    for t in range(steps):
        _check_slates(shown[t], rows, case.world, t)


def _few(case: AgentCase) -> int:
    return min(case.few, case.steps)


def the_same_seed_shows_the_same_slates(case: AgentCase) -> None:
    """Two new agents with the same luck do the same.

    A run that cannot be repeated cannot be checked; all chance comes from the luck that `act` is given.
    """
    steps = _few(case)
    one, other = (play(case.world, case.agent(5), 5, steps, seed=20) for _ in range(2))
    found = difference(one.slates, other.slates, "slates[step, row, slot]")
    if found:
        raise Broken(
            f"two runs of one seed: {found}",
            "draw from luck.uniform('name of the agent', shape), or seed the library's generator when it "
            "is made",
        )


def rows_do_not_depend_on_each_other(case: AgentCase) -> None:
    """Replicate i shows the same slates alone and in a batch: rows are independent learners.

    A run of B rows is B replicates, and their spread an error bar, only if no row sees another.
    """
    steps = _few(case)
    together = play(case.world, case.agent(5), 5, steps, seed=20)
    for row in (0, 1, 4):
        alone = play(case.world, case.agent(1), 1, steps, seed=20 + row)
        _same_row(together, alone, row, "in a batch of 5 and then alone")


def _same_row(together: Played, alone: Played, row: int, how: str) -> None:
    found = difference(together.slates[:, row], alone.slates[:, 0], "slates[step, slot]")
    found = found or difference(together.regret[:, row], alone.regret[:, 0], "regret[step]")
    if found:
        raise Broken(
            f"row {row}, {how}: {found}",
            "hold one learner per row; an agent that shares what it learns says so (independent_rows=False)",
        )


def episodes_end_row_by_row(case: AgentCase) -> None:
    """The end of an episode (`terminated` or `truncated`) in one row changes nothing in another.

    Vector environments end rows at different times; an agent that begins anew when any row ends, or when all
    do, has lost its place in the others.
    """
    steps = min(60, case.steps)
    together = play(case.world, case.agent(5), 5, steps, seed=20, uneven=True)
    for t in range(steps):
        _check_slates(together.slates[t], 5, case.world, t)
    for row in (0, 1, 3):
        alone = play(case.world, case.agent(1), 1, steps, seed=20 + row, uneven=True)
        found = difference(together.slates[:, row], alone.slates[:, 0], "slates[step, slot]")
        if found:
            raise Broken(
                f"row {row} among rows whose episodes end at other times, and then alone: {found}",
                "use the flags of each row: np.where(terminated | truncated, ...), not any() or all()",
            )


class _Watching:
    """Keeps a copy of all that an agent is given and returns."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.kept: list[tuple[str, Array, Array]] = []

    def keep(self, name: str, *arrays: Array) -> None:
        self.kept.extend((name, array, array.copy()) for array in arrays)

    def act(self, observation: dict[str, Array], luck: Luck) -> Ints:
        self.keep("the observation that act was given", *observation.values())
        self.keep("the luck", luck.seed, luck.episode, luck.step)
        slates = self.agent.act(observation, luck)
        self.keep("slates that act returned", slates)
        return slates

    def update(self, t: Transition) -> None:
        self.keep("the transition", t.slates, t.clicked, t.examined, t.reward, t.terminated, t.truncated)
        self.keep("an observation of the transition", *t.observation.values(), *t.next_observation.values())
        self.agent.update(t)


def what_it_is_given_is_left_alone(case: AgentCase) -> None:
    """Neither `act` nor `update` changes what it is handed, nor slates that were returned earlier.

    Loops and logs keep these arrays.
    """
    watching = _Watching(case.agent(3))
    play(case.world, watching, 3, min(40, case.steps))
    for name, now, then in watching.kept:
        found = difference(then, now, name)
        if found:
            raise Broken(found, "write into arrays of your own, and return new slates at each step")


def global_randomness_is_left_alone(case: AgentCase) -> None:
    """No draw comes from NumPy's or Python's global generator.

    Their state is shared by the whole program, so that results would depend on what else runs.
    """
    with left_alone("the agent", "the luck that act is given (luck.uniform('name of the agent', shape))"):
        play(case.world, case.agent(3), 3, min(40, case.steps))


class _Swapping:
    """Saves its agent after some steps, and goes on with a new one that loads the file."""

    def __init__(self, case: AgentCase, rows: int, at: int, file: Path) -> None:
        self.case, self.rows, self.at, self.file = case, rows, at, file
        self.agent = case.agent(rows)
        self.steps = 0

    def act(self, observation: dict[str, Array], luck: Luck) -> Ints:
        if self.steps == self.at:
            checkpoint.save(self.file, self.agent, {})
            loaded = self.case.agent(self.rows)
            checkpoint.load(self.file, loaded)
            _same_arrays(self.agent, loaded)
            self.agent = loaded
        self.steps += 1
        return self.agent.act(observation, luck)

    def update(self, transition: Transition) -> None:
        self.agent.update(transition)


def _same_arrays(saved: Agent, loaded: Agent) -> None:
    arrays = [
        copied({name: getattr(*place) for name, place in checkpoint.arrays_of(agent).items()})
        for agent in (saved, loaded)
    ]
    found = difference(arrays[0], arrays[1])
    if found:
        raise Broken(f"loaded from its checkpoint: {found}", "let properties return what is assigned to them")


def a_run_goes_on_from_its_checkpoint(case: AgentCase) -> None:
    """Saved in the middle and loaded into a new agent, it does what it would have done, to the byte.

    A run that was killed goes on so. What is saved are the NumPy arrays among the attributes of the agent and
    of its parts (`experiments/checkpoint.py`): counters in plain numbers, lists and dictionaries are lost.
    """
    steps = _few(case)
    whole = play(case.world, case.agent(4), 4, steps)
    for at in sorted({1, (5 * steps) // 12}):
        with tempfile.TemporaryDirectory() as folder:
            swapped = play(case.world, _Swapping(case, 4, at, Path(folder) / "a" / "agent.npz"), 4, steps)
        found = difference(whole.slates, swapped.slates, "slates[step, row, slot]")
        if found:
            raise Broken(
                f"saved and loaded after {at} steps, uninterrupted and then not: {found}",
                "hold all that is learned, counters too, in NumPy arrays",
            )


def it_learns(case: AgentCase) -> None:
    """Its regret is below that of random slates, by four standard errors over replicates.

    Slates that are valid and repeat can still ignore every click; an agent that does not learn is told so by
    `learns=False`.
    """
    B, T = case.replicates, case.steps
    total = play(case.world, case.agent(B), B, T).regret[-1]
    chance = play(case.world, RandomSlates(case.world.num_items, case.world.slate_size), B, T).regret[-1]
    below_chance(total, chance, case.share)


def below_chance(total: Floats, chance: Floats, share: float) -> None:
    """Refuse regrets (B,) that are not below a share of those of chance (B,), by four standard errors."""
    error = np.hypot(*(x.std(ddof=1) / np.sqrt(len(x)) for x in (total, share * chance)))
    if not total.mean() < share * chance.mean() - ERRORS * error:
        most = f"{share:g} of " if share != 1.0 else ""
        raise Broken(
            f"regret {total.mean():.4g} in the mean of {len(total)} replicates, and {most}random slates' "
            f"{share * chance.mean():.4g} (standard error of the difference {error:.2g})",
            "see that update is read by act; give it more steps or a world where more is to gain, or "
            "learns=False",
        )


AGENT_CONTRACTS: tuple[Callable[[AgentCase], None], ...] = (
    slates_are_lists_of_distinct_items,
    the_same_seed_shows_the_same_slates,
    rows_do_not_depend_on_each_other,
    episodes_end_row_by_row,
    what_it_is_given_is_left_alone,
    global_randomness_is_left_alone,
    a_run_goes_on_from_its_checkpoint,
    it_learns,
)
