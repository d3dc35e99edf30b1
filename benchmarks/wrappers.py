"""Wrappers: the search for the items nearest to a proto-item, and what a wrapper adds to a step. 4 minutes:

    OMP_NUM_THREADS=1 python benchmarks/wrappers.py

1,000,000 items of 32 features, 256 points, the 10 nearest; times are CPU milliseconds of one thread for the
whole batch, the best of several, once the index is built. faiss spreads a batch over the cores, so its cells
are also timed by the clock with all of them. Points
are items with noise of length 0.3. Recall is the share of the true 10 nearest that is found. `clusters` is
the synthetic catalogue of SlateRec-v0 (20 categories), `no clusters` has items uniform on the sphere, the
hardest case for every index.
Limit: the matrix product of all points with all items, in blocks, which every search without an index needs.
"""

import os
import sys
import time

import gymnasium as gym
import numpy as np
from timing import header, row, seconds

import recsim_env  # noqa: F401
from recsim_env.envs.wrappers import Candidates, Flatten, History, ProtoItem, Quotas, ScoresToSlate, wrap
from recsim_env.envs.wrappers.cell_search import CellSearch
from recsim_env.envs.wrappers.faiss_search import FaissSearch
from recsim_env.envs.wrappers.nearest import build_search
from recsim_env.simulators.catalogue import synthetic_catalogue

N, D, B, K = 1_000_000, 32, 256, 10


def product(points, features):
    out = np.empty((B, 4096), np.float32)
    for start in range(0, N - 4095, 4096):
        np.matmul(points, features[start : start + 4096].T, out=out)


def searches() -> None:
    """The table of searches."""
    rng = np.random.default_rng(0)
    sphere = rng.standard_normal((N, D), dtype=np.float32)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    for name, features in (("clusters", synthetic_catalogue(N, D, 20).features), ("no clusters", sphere)):
        noise = 0.3 / np.sqrt(D) * rng.standard_normal((B, D))
        points = (features[rng.integers(N, size=B)] + noise).astype(np.float32)
        limit = 1e3 * seconds(lambda p=points, f=features: product(p, f), 0.1, 3)
        truth = None
        kinds = [
            ("exact", lambda f: build_search("exact", f, "inner_product")),
            *[(f"cells, {p} of 1000", lambda f, p=p: CellSearch(f, "inner_product", p)) for p in (8, 16, 64)],
        ]
        try:
            import faiss

            faiss.omp_set_num_threads(1)
            kinds += [
                ("faiss, flat", lambda f: FaissSearch(f, "inner_product")),
                ("faiss_cells", lambda f: build_search("faiss_cells", f, "inner_product")),
                (
                    "faiss IVF1024,Flat, 16 probes",
                    lambda f: FaissSearch(f, "inner_product", "IVF1024,Flat", 16),
                ),
            ]
        except ImportError:
            print("faiss is not installed: pip install 'recsim-env[faiss]'")
        for kind, build in kinds:
            begun = time.process_time()
            index = build(features)
            building = time.process_time() - begun
            found = index.nearest(points, K)
            truth = found if truth is None else truth
            recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(truth, found, strict=True)])
            spent = 1e3 * seconds(lambda i=index, p=points: i.nearest(p, K), 0.1, 3)
            row(
                f"{name}: {kind}",
                f"{spent:.1f} ms",
                "10 ms" if "faiss" in kind else "100 ms",
                f"recall {recall:.3f}; product {limit:.0f} ms; built in {building:.0f} s",
            )
            if kind == "faiss_cells":
                faiss.omp_set_num_threads(os.cpu_count() or 1)
                clock = min(clocked(lambda i=index, p=points: i.nearest(p, K)) for _ in range(7))
                faiss.omp_set_num_threads(1)
                row(f"  on {os.cpu_count()} cores, by the clock", f"{1e3 * clock:.1f} ms", "10 ms", "")
            sys.stdout.flush()


def clocked(work) -> float:
    """Seconds of the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def steps() -> None:
    """What wrappers add to a step of SlateRec-v0, 256 users."""
    plain = gym.make_vec("SlateRec-v0", num_envs=B)
    plain.action_space.seed(0)
    plain.reset(seed=0)
    slates = plain.action_space.sample()
    alone = 1e6 * seconds(lambda: plain.step(slates), 0.1, 3)
    for name, changes in (
        ("Candidates(100)", [Candidates(100)]),
        ("ScoresToSlate", [ScoresToSlate()]),
        ("History(5)", [History(5)]),
        ("Flatten", [Flatten()]),
        ("Quotas([2, 2])", [Quotas([2, 2])]),
        ("ProtoItem, 1,000 items", [ProtoItem()]),
    ):
        envs = wrap(gym.make_vec("SlateRec-v0", num_envs=B), *changes)
        envs.action_space.seed(0)
        envs.reset(seed=0)
        actions = envs.action_space.sample()
        spent = 1e6 * seconds(lambda e=envs, a=actions: e.step(a), 0.1, 3)
        row(f"a step with {name}", f"{spent:.0f} us", "", f"without it {alone:.0f} us")


def main() -> None:
    """Print the tables."""
    header()
    steps()
    searches()


if __name__ == "__main__":
    main()
