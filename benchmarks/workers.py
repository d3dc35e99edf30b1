"""What workers are worth: a run of minutes with two and with one. 12 minutes: python benchmarks/workers.py

Each pair runs the same command with `--workers 1` and `--workers 2`, one after the other, and in turns which
comes first: seconds of a shared machine mean little alone. Beside them stand CPU-seconds of the command and
all processes below it, which a busy machine changes less; what Ray costs is theirs less those of the same run
in one process. The serial part is what a run with next to nothing to play takes. What the machine itself
allows is measured in the same minutes: two processes at once, each with half of the replicates, without Ray
and without anything to put together. Needs the extra `ray`.

    python benchmarks/workers.py --pairs 1 --rounds 5000     a short look
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import header, row

ROOT = Path(__file__).parents[1]
AGENTS = "ucb1,kl_ucb,beta_ts,gaussian_ts,bayes_ucb,moss"
TICKS = os.sysconf("SC_CLK_TCK")


def below(process: int) -> dict[int, float]:
    """CPU-seconds so far of a process and all below it, by id."""
    parents, spent = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents[int(place.name)] = int(fields[1])
        spent[int(place.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    found, grew = {process}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} | found
        grew, found = more != found, more
    return {one: spent[one] for one in found if one in spent}


def begin(out: Path, rounds: int, replicates: int, *how: str) -> "subprocess.Popen[bytes]":
    """A run in a process of its own."""
    command = [sys.executable, "-m", "recsim_env.experiments.cli", "run", "bandits", "--agents", AGENTS]
    command += ["--rounds", str(rounds), "--replicates", str(replicates), "--out", str(out), *how]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def measure(rounds: int, replicates: int, *how: str) -> tuple[float, float, bytes]:
    """Wall seconds, CPU-seconds and results of a run."""
    out = Path(tempfile.mkdtemp()) / "run"
    start, spent = time.monotonic(), {}
    process = begin(out, rounds, replicates, *how)
    while process.poll() is None:
        spent |= below(process.pid)
        time.sleep(0.1)
    wall = time.monotonic() - start
    if process.returncode:
        sys.exit(f"{' '.join(map(str, process.args))} ended with {process.returncode}")
    found = (out / "results.csv").read_bytes()
    shutil.rmtree(out.parent)
    return wall, sum(spent.values()), found


def two_halves(rounds: int, replicates: int) -> float:
    """Wall seconds of two processes at once, each with half of the replicates."""
    place, start = Path(tempfile.mkdtemp()), time.monotonic()
    halves = [begin(place / name, rounds, replicates // 2) for name in ("first", "second")]
    if any(process.wait() for process in halves):
        sys.exit("one of two processes failed")
    shutil.rmtree(place)
    return time.monotonic() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60_000)
    parser.add_argument("--replicates", type=int, default=1000)
    options = parser.parse_args()
    size = options.rounds, options.replicates
    measure(20, 2)  # compiles
    measure(20, 2, "--workers", "1")
    cells = len(re.findall(",", AGENTS)) + 1
    serial, _, _ = measure(20, 2, "--workers", "1")
    alone, cpu_alone, found = measure(*size)
    ratios, one, two, cpu, halves = [], [], [], [], []
    for pair in range(options.pairs):
        for count in ("1", "2") if pair % 2 == 0 else ("2", "1"):
            wall, spent, same = measure(*size, "--workers", count)
            assert same == found, "workers changed a result"
            (one if count == "1" else two).append(wall)
            if count == "1":
                cpu.append(spent)
        ratios.append(one[-1] / two[-1])
        halves.append(two_halves(*size))
        print(
            f"pair {pair}: {one[-1]:.1f} s with one worker, {two[-1]:.1f} s with two, {ratios[-1]:.2f}x; "
            f"two halves at once {halves[-1]:.1f} s"
        )
    header()
    row(
        "two workers against one",
        f"{statistics.median(ratios):.2f}x",
        "1.6x",
        f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} pairs; load {os.getloadavg()[0]:.0f}",
    )
    limit = alone / statistics.median(halves)
    row("  two halves at once, without Ray", f"{limit:.2f}x", "-", "what the machine allows, start included")
    row("one worker against this process", f"{statistics.median(one) / alone:.2f}x", "-", f"{alone:.1f} s")
    extra = statistics.median(cpu) - cpu_alone
    row("CPU-seconds that Ray adds to a run", f"{extra:.1f} s", "-", f"of {cpu_alone:.1f} s without it")
    row("  of these, for each cell", f"{extra / cells:.2f} s", "-", f"{cells} cells; most is the start")
    row("serial part: a run with nothing to play", f"{serial:.1f} s", "-", "start, imports, table, figure")


if __name__ == "__main__":
    main()
