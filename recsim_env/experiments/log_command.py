"""The command `recsim-env log`: what an agent showed to simulated users, and what they did, in one file.

`recsim-env list` says which agents work in which world: all of them in the cascading ones; `random`,
`popularity` and `epsilon_best` in any; `plackett_luce` in all but RepeatListen-v0, whose items do not attract
one by one, and the bandits of one arm a round. Those that state how likely each of their slates was
(`random`, `epsilon_best`, `epsilon_myopic`, `plackett_luce`) make logs that off-policy estimators can use;
the log of any other has no propensities, and its metadata say so.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments.env_args import add_env_arg, parameters, world_of
from recsim_env.experiments.files import check_new, naming
from recsim_env.experiments.log_agents import EPSILON, LOG_AGENTS, SHARPNESS, log_agent

MOST_USERS = 1 << 40  # below it NumPy says how much memory is missing, above it that a shape is no shape

EPILOG = """examples:
  recsim-env log CascadeRec-v0 --agent random --steps 1000 --out random.parquet
  recsim-env log SlateRec-v0 --agent epsilon_best --steps 200 --num-envs 50 \\
      --env-arg num_items=200 --env-arg slate_size=5 --out best.parquet

read it with
  from recsim_env.simulators.log_files import read_log, read_log_batches
  log = read_log("random.parquet")     # log.slate (R, K), log.clicked (R, K), log.log_propensity (R,), ...
or with any reader of Parquet. User i has the seed --seed + i, so its luck does not depend on how many
users and steps are logged beside it. The column attraction is the hidden truth, for
measuring a method and never for learning."""


def add_log_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "log",
        help="write what an agent shows to simulated users, and what they do, into a Parquet file",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("env", metavar="ENV", help="id of an environment; `recsim-env list` names them")
    verb.add_argument(
        "--agent",
        required=True,
        metavar="NAME",
        help="an agent of `recsim-env list`, which learns as it goes; these state their propensities: "
        f"random, epsilon_best (the slate regret is measured against, each slot random with probability "
        f"{EPSILON}), epsilon_myopic (the same of the list that earns most now, in cascading worlds), "
        f"plackett_luce (list sampled item by item, odds = true attraction^{SHARPNESS:g}; not in "
        "RepeatListen-v0 nor in bandits of one arm a round)",
    )
    verb.add_argument("--steps", required=True, type=int, metavar="N", help="slates shown to every user")
    verb.add_argument(
        "--num-envs",
        type=int,
        default=1000,
        metavar="B",
        help="users; the file has N x B rows (default: 1000)",
    )
    verb.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="a new file, such as log.parquet"
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of user 0; user i has seed + i (default: 0)"
    )
    add_env_arg(verb)
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Make the log."""
    from tqdm import tqdm

    from recsim_env.agents.agent import Transition
    from recsim_env.envs.describe import builder
    from recsim_env.simulators.log import Log
    from recsim_env.simulators.log_files import write_logs
    from recsim_env.simulators.log_generation import generate_log

    out = options.out
    for name in ("steps", "num_envs"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if options.num_envs > MOST_USERS:
        raise InputError(f"--num-envs must be at most 2^40, got {options.num_envs}: no memory holds more")
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    builder(options.env)  # refuses an unknown id
    if options.agent not in LOG_AGENTS:
        raise unknown_name("agent", options.agent, LOG_AGENTS)
    check_new(out)
    env_args = parameters(options.env_arg)
    world = world_of(options.env, env_args)
    agent = log_agent(options.agent, options.env, world, options.num_envs, options.steps)
    logs = generate_log(
        world,
        agent,
        options.steps,
        num_users=options.num_envs,
        seed=options.seed,
        learn=lambda *columns: agent.update(Transition(*columns)),
        metadata={"env_id": options.env, "env_args": env_args, "agent": options.agent},
    )

    def shown() -> Iterator[Log]:
        with tqdm(
            total=options.steps * options.num_envs, desc=options.agent, unit="slate", unit_scale=True
        ) as bar:
            for log in logs:
                yield log
                bar.update(len(log))

    with naming(out):
        rows = write_logs(shown(), out)
    with_them = "with propensities" if hasattr(agent, "log_propensities") else "without propensities"
    sys.stdout.write(f"wrote {out}: {rows:,} slates, {out.stat().st_size / 1e6:,.1f} MB, {with_them}\n")
