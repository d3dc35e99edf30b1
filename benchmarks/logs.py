"""Rows per CPU-second of a log, generated and written and read. About 60 s: python benchmarks/logs.py

CascadeRec-v0 with slates of 5, every column there is. Limits: the same step of the world without a log, and
NumPy's `save` of the same arrays. Below: what the codecs of Parquet cost, and how much memory a log needs.
"""

import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pyarrow.parquet as pq
from timing import header, row, seconds

import recsim_env  # noqa: F401
from recsim_env.agents.baselines.logging_policies import EpsilonGreedySlates, PlackettLuceSlates
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.simulators.log_files import read_log, read_log_batches, write_logs
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck

B, T = 4096, 64
ROWS = B * T


def main() -> None:
    """Print the tables."""
    world = gym.make("CascadeRec-v0", slate_size=5).unwrapped.world  # type: ignore[attr-defined]
    random = RandomSlates(world.num_items, 5)
    policies = {
        "random": random,
        "epsilon-greedy": EpsilonGreedySlates(world.myopic_policy(), world.num_items, 0.2),
        "Plackett-Luce": PlackettLuceSlates(np.log(world.attraction), 5),
    }
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)

    def play() -> None:
        for t in range(T):
            world.respond(state, random.act(world.observe(state), luck.at(t)), luck.at(t))

    def rate(call: Callable[[], object]) -> float:
        return ROWS / seconds(call, budget=1.0, rounds=4) / 1e6

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        header()
        alone = rate(play)
        for name, policy in policies.items():
            made = rate(lambda policy=policy: sum(map(len, generate_log(world, policy, T, num_users=B))))
            both = rate(lambda policy=policy: write_logs(generate_log(world, policy, T, num_users=B), path))
            row(
                f"{name}: generate and write, rows/s",
                f"{both:.2f} M",
                "1 M" if name == "random" else "",
                f"generate alone {made:.2f} M"
                + (f", act and respond alone {alone:.2f} M" if name == "random" else "")
                + f"; {path.stat().st_size / ROWS:.1f} bytes a row",
            )
        write_logs(generate_log(world, random, T, num_users=B), path)
        pieces, whole = rate(lambda: sum(map(len, read_log_batches(path)))), rate(lambda: read_log(path))
        row("read in pieces, rows/s", f"{pieces:.2f} M", "", f"read_log, sorted as a whole {whole:.2f} M")

        columns = list(read_log(path).columns().values())
        with (Path(folder) / "raw.npy").open("wb") as file:

            def save() -> None:
                file.seek(0)
                for column in columns:
                    np.save(file, column)

            row("NumPy's save, rows/s", f"{rate(save):.2f} M", "", f"{file.tell() / ROWS:.1f} bytes a row")
        table = pq.read_table(path)
        for codec in ("none", "lz4", "zstd"):
            for dictionary in (False, True):

                def write(codec: str = codec, dictionary: bool = dictionary) -> None:
                    pq.write_table(table, path, compression=codec, use_dictionary=dictionary)

                name = f"Parquet alone, {codec}{', dictionaries' * dictionary}, rows/s"
                row(name, f"{rate(write):.2f} M", "", f"{path.stat().st_size / ROWS:.1f} bytes a row")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = write_logs(generate_log(world, random, 10 * T, num_users=B), path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        row(f"memory that {rows:,} rows add, MB", f"{grown:.0f}", "", "of all that this script used so far")


if __name__ == "__main__":
    sys.exit(main())
