"""A log as a directory of parts, made by workers: each part holds all slates of some of the users.

    log/part-00000.parquet (users 0 to 9999)    log/part-00001.parquet (users 10000 to 19999)    ...

Together the parts hold, row for row, what one process writes into one file: what happens to user i does not
depend on who is logged beside it. A part is a row group, sorted by user, then time, which is what bounds the
memory of whoever makes or reads it. Until all are there they lie in `log.part/`; the same command goes on
there.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from recsim_env.agents.agent import Transition
from recsim_env.experiments.cells import Cell, run_cells
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.files import naming
from recsim_env.experiments.log_agents import log_agent
from recsim_env.experiments.run_directory import open_run
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import ROW_GROUP, write_logs
from recsim_env.simulators.log_generation import PIECE_ROWS, generate_log

LEAST_PARTS = 16  # where there are as many users: so that as many workers have something to do


@dataclass(frozen=True)
class LogSettings:
    """What is logged."""

    env: str
    env_args: dict[str, Any]
    agent: str
    steps: int  # slates shown to every user
    num_envs: int  # users
    seed: int  # of user 0


def log_pieces(settings: LogSettings, first: int, last: int, piece_rows: int = PIECE_ROWS) -> Iterator[Log]:
    """What the users from `first` to before `last` do, in pieces of at least so many rows."""
    world = world_of(settings.env, settings.env_args)
    agent = log_agent(settings.agent, settings.env, world, last - first, settings.steps)
    logs = generate_log(
        world,
        agent,
        settings.steps,
        num_users=last - first,
        seed=settings.seed + first,
        piece_rows=piece_rows,
        learn=lambda *columns: agent.update(Transition(*columns)),
        metadata={
            "env_id": settings.env,
            "env_args": settings.env_args,
            "agent": settings.agent,
            "num_users": settings.num_envs,
            "seed": settings.seed,
        },
    )
    for log in logs:
        yield replace(log, user=log.user + first) if first else log


def write_parts(settings: LogSettings, out: Path, workers: Workers) -> int:
    """Write the directory `out`, or what is left of it after a kill; returns the number of parts.

    Raises:
        InputError: another log is begun there, or another process is at work; and see `run_cells`.
    """
    users = settings.num_envs
    size = max(1, min(ROW_GROUP // settings.steps, -(-users // LEAST_PARTS)))
    work = out.with_name(out.name + ".part")
    with open_run(work, "log", asdict(settings), resume=True) as directory:
        cells = [
            Cell(
                name=f"part-{number:05}",
                file=directory.cell(f"part-{number:05}", ".parquet"),
                checkpoint=directory.checkpoint(f"part-{number:05}"),
                size=settings.steps * min(size, users - first),
                label=settings.agent,
                work=partial(write_part, settings, first, min(first + size, users)),
            )
            for number, first in enumerate(range(0, users, size))
        ]
        run_cells(cells, directory.path, workers, "slate")
        with naming(out):
            directory.cells.rename(out)
        shutil.rmtree(work)
    return len(cells)


def write_part(
    settings: LogSettings, first: int, last: int, file: Path, _: Path, progress: Callable[[int], Any]
) -> None:
    """Write the part of the users from `first` to before `last`."""
    rows = (last - first) * settings.steps
    write_logs(log_pieces(settings, first, last, min(rows, ROW_GROUP)), file)
    progress(rows)
