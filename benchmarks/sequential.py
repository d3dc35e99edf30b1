"""SASRec: an epoch of training, and lists for 1,000 users. 1 min: python benchmarks/sequential.py

On users and items as many as Beauty's (22,363 and 12,101, nine events each, made by ShortcutBench), or on a
log: python benchmarks/sequential.py DIRECTORY; further names after it are of other encoders. One thread.
Beside validation and lists stands what their largest product alone takes, that of states and items: the rest
is overhead.
"""

import sys
import time

import numpy as np
import torch
from timing import header, row, seconds

from recsim_env.agents.recommender import recommend
from recsim_env.experiments.sequential_models import recommender_of, training_of
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.log import Log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out

USERS, ITEMS = 22_363, 12_101
EPOCHS = 3  # of which the fastest counts, after one that is not timed
LISTED = 1_000


def beauty_like() -> Log:
    """Lengths as in Beauty: 5 or more, few long ones, nine on average."""
    rng = np.random.default_rng(0)
    length = np.minimum(5 + rng.geometric(1 / 4.9, USERS) - 1, 50)
    log = succession_log(succession_law(num_items=ITEMS, branching=10), num_users=USERS, length=50)
    return log.rows(np.flatnonzero(np.tile(np.arange(50), USERS) < np.repeat(length, 50)))


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    log, num_items = beauty_like(), ITEMS
    if len(sys.argv) > 1:
        data = read_events(sys.argv[1])
        log, num_items = data.log, data.num_items
    held = leave_one_out(log)
    table, users = torch.randn(64, num_items), torch.randn(len(held.user), 64)
    header()
    for name in sys.argv[2:] or ["sasrec"]:
        training = training_of(name, "amazon-beauty-2014", {})
        recommender = recommender_of(name, training, num_items=num_items, seed=0, mask_history=True)
        recommender.begin(held.train)
        recommender.train_epoch()
        best = float("inf")
        for _ in range(EPOCHS):
            started = time.process_time()
            recommender.train_epoch()
            best = min(best, time.process_time() - started)
        validation = seconds(recommender._validation_ranks)
        product = seconds(lambda: [part @ table for part in users.split(86)])
        row(f"{name}: an epoch of training", f"{best - validation:.1f} s", "3 s", "")
        row(f"{name}: its validation", f"{validation:.1f} s", "", f"the product alone {product:.2f} s")
        history = held.history[:LISTED]

        def lists(recommender=recommender, history=history) -> None:  # type: ignore[no-untyped-def]
            recommend(recommender, history, 10, mask_history=True)

        product = seconds(lambda: users[:LISTED] @ table)
        beside = f"the product alone {1000 * product:.0f} ms"
        row(f"{name}: lists of 10 for 1,000 users", f"{1000 * seconds(lists):.0f} ms", "100 ms", beside)


if __name__ == "__main__":
    main()
