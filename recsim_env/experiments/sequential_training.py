"""What a sequence model is asked, and its training with a checkpoint to go on from."""

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.experiments import checkpoint
from recsim_env.experiments.run import CHECKPOINT_SECONDS
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.datasets.interactions import Interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import HeldOut, leave_one_out, shuffle_ties, split_by_time

REPEATS = 0.01  # share of rows that repeat a (user, item) pair, up to which the history is masked


@lru_cache(maxsize=1)
def asked(source: str, split: str, quantile: float) -> tuple[Interactions, HeldOut, Log, bool]:
    """The data, what is asked of it, what is learned from without validation's, and whether to mask."""
    data = read_events(source)
    log = shuffle_ties(data.log, 0)
    pairs = np.unique(np.stack([log.user, log.slate[:, 0]]), axis=1).shape[1]
    mask = 1.0 - pairs / len(log) <= REPEATS
    held = leave_one_out(log) if split == "leave_one_out" else next_after(log, quantile)
    return data, held, leave_one_out(held.train).train, mask


def next_after(log: Log, quantile: float) -> HeldOut:
    """What every user took first after the date, given all they had before it."""
    date = split_by_time(log, quantile=quantile).boundary
    late = log.time >= date
    first_late = late & np.append(True, (log.user[1:] != log.user[:-1]) | ~late[:-1])
    kept = log.rows(~late | first_late)
    after = kept.time >= date
    with_both = np.intersect1d(kept.user[after], kept.user[~after])
    train = kept.rows(~after)
    held = leave_one_out(kept.rows(np.isin(kept.user, with_both)))
    return HeldOut(train, held.user, held.history, held.relevant, held.gaps, held.tied_share)


def train_to_the_end(recommender: Any, log: Log, saved_at: Path, progress: Callable[[int], Any]) -> float:
    """Train from the checkpoint, if there is one, to the end; returns all processor time of the epochs."""
    recommender.begin(log)
    spent = 0.0
    if saved_at.exists():
        spent = float(checkpoint.load(saved_at, recommender)["spent"])
        progress(len(recommender.validation_))
    last_saved = time.monotonic()
    while not recommender.finished:
        started = time.process_time()
        recommender.train_epoch()
        spent += time.process_time() - started
        progress(1)
        if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            checkpoint.save(saved_at, recommender, {"spent": np.array(spent)})
            last_saved = time.monotonic()
    progress(recommender.epochs - len(recommender.validation_))
    return spent
