"""What is measured of the slates that an agent shows, beside regret: the option `--metrics coverage,ndcg`.

    coverage   share of the catalogue that was shown so far, |union of A_1 .. A_t| / N
    ndcg       mean over the slates shown so far of NDCG@K with the probability that an item attracts as gain,
               see `policy_metrics.graded_ndcg`; 1 is the K most attractive items, most attractive first. It
               looks at one slate alone: where planning pays, the best agent has not the best NDCG

A learner is one user and its agent, a replicate of `run.py`; or all rows together, where they train one agent
(`training.py`): then coverage is of what all of them were shown, and ndcg the mean over them too.

Coverage keeps one byte for every learner and item, and a checkpoint one bit: beyond 2^30 of them it is
refused. NDCG asks for the attraction of all N items at every step, so it costs time; nothing is measured
unless it is asked for.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.experiments.policy_metrics import graded_ndcg
from recsim_env.experiments.settings import names_of
from recsim_env.simulators.worlds.world import ShowsCandidates, World

METRICS = ("coverage", "ndcg")
MOST_FLAGS = 1 << 30  # learners times items, of coverage
HELP = f"what to measure of the slates beside regret and reward, of {', '.join(METRICS)}"


def metric_names(text: str, world: World, learners: int) -> tuple[str, ...]:
    """The names in a comma-separated list, which may be empty, in the order of METRICS.

    Args:
        text: the list.
        world: that is played in.
        learners: of an agent, see the module.

    Raises:
        InputError: a name that is not known or comes twice, or what this world does not know.
    """
    names = names_of("metrics", "metric", text, METRICS) if text.strip() else []
    if "ndcg" in names and not hasattr(world, "slate_attraction"):
        raise InputError("this world does not say how much an item attracts: leave ndcg out of metrics")
    if "coverage" in names and isinstance(world, ShowsCandidates):
        raise InputError(
            "slates of a world with candidates are places, not items: leave coverage out of metrics"
        )
    if "coverage" in names and learners * world.num_items > MOST_FLAGS:
        raise InputError(
            f"coverage keeps a byte for each of {learners} x {world.num_items:,} replicates and items, more "
            f"than {MOST_FLAGS:,}: leave it out of metrics"
        )
    return tuple(name for name in METRICS if name in names)


class ShownMetrics:
    """Keeps account of slates.

    Args:
        names: of METRICS, as `metric_names` gives them.
        world: that is played in.
        num_rows: B of the slates.
        together: the rows are one learner; else each is one.
    """

    def __init__(self, names: tuple[str, ...], world: World, num_rows: int, *, together: bool) -> None:
        self.names, self.world = names, world
        self.learner = np.zeros(num_rows, np.int64) if together else np.arange(num_rows)
        learners = 1 if together else num_rows
        N = world.num_items if "coverage" in names else 0
        self.shown = np.zeros((learners, N + 1), np.bool_)  # the last column is that of empty slots
        self.ndcg = np.zeros(num_rows)  # summed over steps
        self.steps = np.zeros(1, np.int64)

    def see(self, state: Any, slates: Array) -> None:
        """Count the slates (B, K) that are shown in this state, N or -1 in empty slots."""
        if not self.names:
            return
        self.steps += 1
        if "coverage" in self.names:
            self.shown[self.learner[:, None], slates] = True
        if "ndcg" in self.names:
            filled = np.where(slates >= self.world.num_items, -1, slates)
            self.ndcg += graded_ndcg(self.world, state, filled)

    def values(self) -> Floats:
        """(M, L) of every metric and learner, after one step at least."""
        found = np.zeros((len(self.names), len(self.shown)))
        for m, name in enumerate(self.names):
            if name == "coverage":
                found[m] = self.shown[:, :-1].mean(axis=1)
            else:
                mean = self.ndcg / self.steps
                found[m] = mean if len(mean) == found.shape[1] else mean.mean()
        return found

    def progress(self) -> dict[str, Array]:
        """What `restore` needs to go on."""
        shown: Array = np.packbits(self.shown, axis=1)
        kept: dict[str, Array] = {"steps": self.steps, "ndcg": self.ndcg, "shown": shown}
        return {f"metrics/{name}": array for name, array in kept.items()} if self.names else {}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on where `progress` was called."""
        if self.names:
            self.steps, self.ndcg = arrays["metrics/steps"], arrays["metrics/ndcg"]
            bits = np.unpackbits(arrays["metrics/shown"], axis=1, count=self.shown.shape[1])
            self.shown = bits.astype(np.bool_)
