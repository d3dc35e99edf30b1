"""The command `recsim-env log`: what an agent showed to simulated users, and what they did, in one file.

Every agent of `recsim-env list` can make a log of the cascading worlds; `random`, `popularity`,
`epsilon_best` and `plackett_luce` make one of any world. Those that state how likely each of their slates was
(`random`, `epsilon_best`, `epsilon_myopic`, `plackett_luce`) make logs that off-policy estimators can use;
the log of any other has no propensities, and its metadata say so.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments.env_args import add_env_arg, parameters, world_of
from recsim_env.experiments.files import check_new, naming

EPSILON = 0.2  # of epsilon_myopic: share of slots that are random
BONUS_SCALE = 0.1  # of the agents that plan, as in the experiments
SHARPNESS = 2.0  # of plackett_luce: odds of an item go with attraction^2
FAINTEST = 1e-3  # attraction of plackett_luce's items, at least, so that every item can be shown
MOST_USERS = 1 << 40  # below it NumPy says how much memory is missing, above it that a shape is no shape
AT_ONCE = 10  # items of which plackett_luce asks the attraction in one slate

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
        help="an agent of `recsim-env list`, which learns as it goes; or one that states its propensities: "
        f"random, epsilon_best (the slate regret is measured against, each slot random with probability "
        f"{EPSILON}), epsilon_myopic (the same of the list that earns most now, in cascading worlds), "
        f"plackett_luce (list sampled item by item, odds = true attraction^{SHARPNESS:g})",
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
    makers = _makers()
    if options.agent not in makers:
        raise unknown_name("agent", options.agent, makers)
    check_new(out)
    env_args = parameters(options.env_arg)
    world = world_of(options.env, env_args)
    agent = makers[options.agent](world, options.num_envs, options.steps)
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


def _makers() -> dict[str, Callable[[Any, int, int], Any]]:
    """How to make each agent from a world, the number of users and of steps."""
    import numpy as np

    from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates, PlackettLuceSlates
    from recsim_env.agents.baselines.popularity import Popularity
    from recsim_env.agents.baselines.random_slates import RandomSlates
    from recsim_env.experiments.agents import AGENTS, Task
    from recsim_env.simulators.worlds.cascade import CascadeWorld
    from recsim_env.simulators.worlds.world import num_rows, repeat_rows

    def for_cascades(make: Callable[[Any, int, int], Any]) -> Callable[[Any, int, int], Any]:
        def checked(world: Any, B: int, steps: int) -> Any:
            if not isinstance(world, CascadeWorld):
                raise InputError(
                    "this agent needs a cascading world, which this is not: random, popularity, epsilon_best "
                    "and plackett_luce work in any"
                )
            return make(world, B, steps)

        return checked

    def of_the_suite(name: str) -> Callable[[Any, int, int], Any]:
        return lambda world, B, steps: AGENTS[name](Task(world, B, -(-steps // world.horizon), BONUS_SCALE))

    def plackett_luce(world: Any, B: int, steps: int) -> Any:
        if not hasattr(world, "slate_attraction"):
            raise InputError(
                "plackett_luce needs a world whose items attract one by one, which this is not: "
                "--agent epsilon_best needs none"
            )
        N = world.num_items
        every = np.resize(
            np.arange(N), (-(-N // AT_ONCE), AT_ONCE)
        )  # as slates, which the world can answer for

        def scores(state: Any) -> Any:  # (B, N)
            B, G = num_rows(state), len(every)
            attraction = world.slate_attraction(repeat_rows(state, G), np.tile(every, (B, 1)))
            return SHARPNESS * np.log(np.maximum(attraction.reshape(B, -1)[:, :N], FAINTEST))

        return PlackettLuceSlates(scores, world.slate_size)

    makers = {name: for_cascades(of_the_suite(name)) for name in AGENTS}
    makers["random"] = lambda world, B, steps: RandomSlates(world.num_items, world.slate_size)
    makers["popularity"] = lambda world, B, steps: Popularity(B, world.num_items, world.slate_size)
    makers["epsilon_best"] = lambda world, B, steps: EpsilonGreedySlates(
        world.best_slate, world.num_items, EPSILON
    )
    makers["epsilon_myopic"] = for_cascades(
        lambda world, B, steps: EpsilonGreedySlates(world.myopic_policy(), world.num_items, EPSILON)
    )
    makers["plackett_luce"] = plackett_luce
    return makers
