"""What `import recsim_env` costs, and the memory of many users. About 15 s: python benchmarks/imports.py

Limit: importing Gymnasium alone. Memory is what the process grew by over the import, the libraries and
compiled code that even two users need counted apart.
"""

import statistics
import subprocess
import sys

from timing import header, row

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
HEAVY = (
    "import sys, recsim_env; print([m for m in ('torch','ray','pandas','matplotlib') if m in sys.modules])"
)
MEMORY = """
import resource, gymnasium, recsim_env
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
one = gymnasium.make_vec("CascadeRec-v0", num_envs=2)
one.reset(seed=0); one.step(one.action_space.sample())
libraries = peak()
env = gymnasium.make_vec("CascadeRec-v0", num_envs=16384)
env.reset(seed=0)
action = env.action_space.sample()
for _ in range(50): env.step(action)
print(libraries - before, peak() - libraries)
"""


def fresh(code: str) -> str:
    """What a fresh process prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    """Print the table."""
    ours, gymnasium = (
        statistics.median(float(fresh(IMPORT.format(name))) for _ in range(7))
        for name in ("recsim_env", "gymnasium")
    )
    fresh(MEMORY)  # compile once, so that the compiler's own memory is not counted
    libraries, users = (float(part) for part in fresh(MEMORY).split())
    header()
    row(
        "import recsim_env",
        f"{ours:.2f} s",
        "0.5 s",
        f"gymnasium alone {gymnasium:.2f} s; heavy modules loaded: {fresh(HEAVY)}",
    )
    row(
        "memory of 16,384 users of CascadeRec-v0",
        f"{users:.0f} MB",
        "64 MB",
        f"two users: {libraries:.0f} MB, numba, scipy and compiled code",
    )


if __name__ == "__main__":
    main()
