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
from recsim_env.experiments.workers import add_workers, workers_of

MOST_USERS = 1 << 40  # below it NumPy says how much memory is missing, above it that a shape is no shape

EPILOG = """examples:
  recsim-env log CascadeRec-v0 --agent random --steps 1000 --out random.parquet
  recsim-env log SlateRec-v0 --agent epsilon_best --steps 200 --num-envs 50 \\
      --env-arg num_items=200 --env-arg slate_size=5 --out best.parquet

with --workers N, users are shared out and PATH is a directory: one part holds all slates of some users, and
the parts hold what one process writes into one file. A command that was killed goes on when it is given
again.
      recsim-env log SlateRec-v0 --agent random --steps 100 --num-envs 1000000 --workers 8 --out big

read it with
  from recsim_env.simulators.log_files import read_log, read_log_batches
  # the directory: for piece in recsim_env.simulators.log_scan.open_log("big").pieces(): ...
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
        "--out",
        required=True,
        type=Path,
        metavar="PATH",
        help="a new file, such as log.parquet; with --workers a new directory of part files",
    )
    verb.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of user 0; user i has seed + i (default: 0)"
    )
    add_env_arg(verb)
    add_workers(verb)
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Make the log."""
    from tqdm import tqdm

    from recsim_env.envs.describe import builder
    from recsim_env.experiments.log_parts import LogSettings, log_pieces, write_parts
    from recsim_env.simulators.log import Log
    from recsim_env.simulators.log_files import write_logs

    out, workers = options.out, workers_of(options)
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
    settings = LogSettings(
        options.env,
        parameters(options.env_arg),
        options.agent,
        options.steps,
        options.num_envs,
        options.seed,
    )
    world = world_of(settings.env, settings.env_args)
    agent = log_agent(settings.agent, settings.env, world, 1, settings.steps)  # refuses what cannot act there
    with_them = "with propensities" if hasattr(agent, "log_propensities") else "without propensities"
    if workers is not None:
        parts = write_parts(settings, out, workers)
        rows, size = options.steps * options.num_envs, sum(file.stat().st_size for file in out.iterdir())
        sys.stdout.write(
            f"wrote {out}/: {rows:,} slates, {size / 1e6:,.1f} MB in {parts} parts, {with_them}\n"
        )
        return

    def shown() -> Iterator[Log]:
        total = options.steps * options.num_envs
        # the delay leaves bad input, which the first piece may refuse, its one line
        with tqdm(total=total, desc=options.agent, unit="slate", unit_scale=True, delay=0.5) as bar:
            for log in log_pieces(settings, 0, settings.num_envs):
                yield log
                bar.update(len(log))

    with naming(out):
        rows = write_logs(shown(), out)
    sys.stdout.write(f"wrote {out}: {rows:,} slates, {out.stat().st_size / 1e6:,.1f} MB, {with_them}\n")
