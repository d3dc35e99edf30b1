"""The command `recsim-env check`: what every world and agent promises, checked of yours."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments.env_args import add_env_arg, parameters, world_of


def add_check_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "check",
        help="check that a world or an agent of yours keeps what every one promises",
        description="Check a world (module:function, or the id of an environment), or with --agent an agent "
        "in that world: shapes, purity, luck, exact values, Gymnasium; distinct slates, repeatable runs, "
        "checkpoints, "
        "learning. Prints a table; exits with 1 where a contract is broken.",
        epilog="examples: recsim-env check my_worlds:my_world --env-arg num_items=6; "
        "recsim-env check CascadeBandit-v0 --agent my_agents:my_agent, a function of (world, num_replicates)",
    )
    verb.add_argument(
        "world", metavar="WORLD", help="module:function that makes it, or an id such as CascadeBandit-v0"
    )
    verb.add_argument(
        "--agent", metavar="MODULE:FUNCTION", help="makes an agent from (world, num_replicates)"
    )
    verb.add_argument(
        "--steps", type=int, default=2000, metavar="N", help="in which the agent learns (default: 2000)"
    )
    verb.add_argument("--no-learning", action="store_true", help="the agent does not learn")
    verb.add_argument("--shared-rows", action="store_true", help="the agent's rows share what they learn")
    add_env_arg(verb)
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Print the report; exits with 1 where a contract is broken."""
    from recsim_env.testing import ContractError, check_agent, check_world

    make = partial(world_of, options.world, parameters(options.env_arg))
    try:
        if options.agent is None:
            report = check_world(make)
        else:
            report = check_agent(
                _function(options.agent),
                make,
                options.steps,
                learns=not options.no_learning,
                independent_rows=not options.shared_rows,
            )
    except ContractError as error:
        sys.stdout.write(f"{error}\n")
        raise SystemExit(1) from None
    sys.stdout.write(f"{report}\n")


def _function(source: str) -> Callable[..., Any]:
    module, _, name = source.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--agent must be module:function, got {source!r} ({error})") from None
    function: Callable[..., Any] = found
    return function
