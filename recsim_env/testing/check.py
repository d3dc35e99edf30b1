"""`check_world` and `check_agent`: all contracts of one world or agent, and a report."""

from collections.abc import Callable
from typing import Any

from recsim_env.agents.agent import Agent
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.world import World
from recsim_env.testing.agent_contracts import AGENT_CONTRACTS, AgentCase
from recsim_env.testing.contracts import Report, check
from recsim_env.testing.face_contracts import FACE_CONTRACTS
from recsim_env.testing.value_contracts import VALUE_CONTRACTS
from recsim_env.testing.world_case import WorldCase
from recsim_env.testing.world_contracts import WORLD_CONTRACTS


def check_world(make_world: Callable[[], World], seed: int = 0) -> Report:
    """Check that a world keeps what every world promises.

    Args:
        make_world: gives a new copy of the world at each call, such as `lambda: my_world(num_items=6)`. Take
            it small: then every slate is tried against the best one, and all is over in seconds.
        seed: of users and slates.

    Returns:
        What was checked; `print` shows a table.

    Raises:
        ContractError: contracts are broken; the message names each, what was found and what to do.
        InputError: `make_world` is not a function, or gives no world.
    """
    _callable("make_world", make_world, "lambda: my_world(num_items=6)")
    world = make_world()
    missing = [name for name in _METHODS if not callable(getattr(world, name, None))]
    if missing:
        raise InputError(
            f"make_world must give a World, got {type(world).__name__} without {', '.join(missing)}: "
            "see recsim_env/simulators/worlds/world.py"
        )
    return check(
        _name(make_world, world),
        (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS),
        WorldCase(make_world, seed),
        {},
        first=("sizes_are_declared", "states_have_a_row_for_each_user"),
    )


_METHODS = ("begin", "observe", "observation_entries", "respond", "expected_reward", "best_slate", "values")


def check_agent(
    make_agent: Callable[[World, int], Agent],
    make_world: Callable[[], World] | None = None,
    steps: int = 2_000,
    learns: bool = True,
    independent_rows: bool = True,
) -> Report:
    """Check that an agent keeps what every agent promises.

    Args:
        make_agent: gives a new agent for (world, number of replicates B) at each call, such as
            `lambda world, B: MyAgent(B, world.num_items, world.slate_size)`.
        make_world: the world it acts in; by default five items of which two attract, in slates of two. It
            should be one where an agent that learns beats random slates soon.
        steps: slates shown to each of 20 users in the run that has to show learning.
        learns: False for an agent that does not: then it need not beat random slates.
        independent_rows: False for an agent whose rows share what they learn, such as one network; an agent
            that says `rows_learn_together` need not be told of again.

    Returns:
        What was checked; `print` shows a table.

    Raises:
        ContractError: contracts are broken; the message names each, what was found and what to do.
        InputError: an argument out of range, or no agent.
    """
    _callable("make_agent", make_agent, "lambda world, B: MyAgent(B, world.num_items, world.slate_size)")
    if make_world is None:
        make_world = five_items
    _callable("make_world", make_world, "lambda: my_world(num_items=6)")
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    world = make_world()
    agent = make_agent(world, 2)
    missing = [name for name in ("act", "update") if not callable(getattr(agent, name, None))]
    if missing:
        raise InputError(
            f"make_agent must give an Agent, got {type(agent).__name__} without {', '.join(missing)}: "
            "see recsim_env/agents/agent.py"
        )
    skipped = {}
    if not learns:
        skipped["it_learns"] = "learns=False"
    together = getattr(agent, "rows_learn_together", False)
    if together or not independent_rows:
        shared = "rows_do_not_depend_on_each_other", "episodes_end_row_by_row"
        skipped |= dict.fromkeys(shared, "rows_learn_together" if together else "independent_rows=False")
    case = AgentCase(make_agent, world, steps)
    return check(
        _name(make_agent, agent),
        AGENT_CONTRACTS,
        case,
        skipped,
        first=("slates_are_lists_of_distinct_items",),
    )


def five_items() -> World:
    """Two of five items attract: the trivial world of `check_agent`."""
    return cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)


def _callable(name: str, value: Any, example: str) -> None:
    if not callable(value):
        raise InputError(f"{name} must be a function, such as {example}, got {value!r}")


def _name(make: Any, made: Any) -> str:
    """How the report calls it."""
    name = getattr(make, "__name__", "<lambda>")
    return type(made).__name__ if name in ("<lambda>", "<locals>") else str(name)
