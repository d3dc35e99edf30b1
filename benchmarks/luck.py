"""Nanoseconds of a random draw of `Luck`. About 30 s: python benchmarks/luck.py

Limit: NumPy's Generator (PCG64), which cannot say what user 7 draws at step 3 without drawing all before.
"""

import numpy as np
from timing import header, row, seconds

from recsim_env.simulators.luck import Luck


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    header()
    for B in (1024, 4096):
        luck = Luck.from_seeds(np.arange(B))
        for n in (1, 4, 16):
            ours = seconds(lambda luck=luck, n=n: luck.uniform("click", (n,))) / B / n * 1e9
            numpy = seconds(lambda B=B, n=n: rng.random((B, n))) / B / n * 1e9
            at_least = "2.5 ns" if n > 1 else ""
            row(f"uniform, {B:,} users x {n}", f"{ours:.2f} ns", at_least, f"NumPy {numpy:.2f} ns")
    luck, a, b = Luck.from_seeds(np.arange(1024)), np.full((1024, 16), 3.0), np.full((1024, 16), 9.0)
    for name, call, limit in (
        ("normal", lambda: luck.normal("z", (16,)), lambda: rng.standard_normal((1024, 16))),
        ("beta", lambda: luck.beta("b", a, b), lambda: rng.beta(a, b)),
    ):
        cells = 1024 * 16
        row(
            f"{name}, 1,024 users x 16",
            f"{seconds(call) / cells * 1e9:.1f} ns",
            "",
            f"NumPy {seconds(limit) / cells * 1e9:.1f} ns",
        )


if __name__ == "__main__":
    main()
