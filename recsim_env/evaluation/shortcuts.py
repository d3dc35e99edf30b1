"""What a log of sequences can be solved with: which shortcuts a model could take instead of modelling them.

Three published diagnostics (few successors per item, successors that look alike, little use of a long
history), in the measurable forms of this file, and with them ties in time, repetition and leaks (`leaks`).

Protocol of everything here: the events of a user in their order, seq; the graph is of all users' seq[:-2],
a question is seq[:-1] and its target is seq[-1]. Users with two events are asked too, with a graph that
knows their first; those with one event only add to the graph, which is nothing. Letters: R events, B users
who are asked, N items, L lengths of history.

Source: Han et al. 2026, arXiv 2605.07125, for the diagnostics; their formulas of the last two were not found,
those here are ours. Critique that they are cross-sectional: `ShortcutBench` removes one at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy import sparse

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.leaks import Leak, find_leaks
from recsim_env.evaluation.likeness import cosine_of_pairs, unit_rows
from recsim_env.evaluation.log_statistics import repeat_ratio
from recsim_env.evaluation.questions import Questions, ask_last, padded_history
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import rank_of
from recsim_env.evaluation.transition_graph import rings, transition_counts

DEPTH = 3  # rings
RANDOM_PAIRS = 200_000
Scores = Callable[[Array], Array]
"""(b, h) histories, -1 padded on the left, to (b, N) scores: a fitted recommender's method `scores`."""


class EventLog(Protocol):
    """What is needed of a log: one item a row, sorted by user, then time."""

    @property
    def user(self) -> Array:
        """(R,)."""

    @property
    def time(self) -> Array:
        """(R,)."""

    @property
    def slate(self) -> Array:
        """(R, 1) item ids."""


@dataclass(frozen=True)
class Branching:
    """How many different items follow an item."""

    num_edges: int  # different pairs (item, next item)
    mean: float  # edges / N
    median: float  # over all N items
    seen_once: float  # share of the edges with count 1


@dataclass(frozen=True)
class RingCoverage:
    """Where the target stands in the graph, seen from the last item."""

    share: tuple[float, ...]  # of the targets in ring 1, 2, 3
    size: tuple[float, ...]  # mean number of items in ring 1, 2, 3, over all N items


@dataclass(frozen=True)
class Smoothness:
    """Whether what follows an item looks like it: mean cosines of features."""

    edge: float  # of the two ends of each different edge
    target: float  # of last item and target
    random: float  # of two items drawn at random, each of the N equally likely

    @property
    def lift(self) -> float:
        """Edge / random; nan where random pairs have nothing in common."""
        return self.edge / self.random if self.random > 0 else float("nan")


@dataclass(frozen=True)
class HistoryDependence:
    """NDCG@k of one recommender that is shown only the last n items of each history."""

    lengths: tuple[int, ...]  # n, 0 = the whole history
    value: tuple[float, ...]

    def kept(self, length: int) -> float:
        """The value at a length / with the whole history; nan where that is 0."""
        whole = self.value[self.lengths.index(0)]
        return self.value[self.lengths.index(length)] / whole if whole > 0 else float("nan")


@dataclass(frozen=True)
class ShortcutReport:
    """What `shortcut_report` found."""

    num_users: int
    num_items: int  # N
    num_events: int  # R
    num_asked: int  # B
    branching: Branching
    coverage: RingCoverage
    smoothness: Mapping[str, Smoothness]  # by name of the features
    history: Mapping[str, HistoryDependence]  # by name of the recommender
    tied_share: float  # of the pairs of consecutive events of a user, with one time
    tied_targets: float  # of the targets, with the time of the event before
    repeat_share: float  # of the events, whose item their user had at an earlier time
    repeated_targets: float  # of the targets, that stand in the history they are asked with
    later_training: float  # median over targets of the share of training events with a later time
    leaks: tuple[Leak, ...] = field(default=())  # one for every check, whether it raises an alarm or not

    @property
    def alarms(self) -> tuple[Leak, ...]:
        """The leaks that were found."""
        return tuple(leak for leak in self.leaks if leak.alarm)


def shortcut_report(
    log: EventLog,
    *,
    num_items: int | None = None,
    features: Mapping[str, Array | sparse.csr_array] | None = None,
    columns: Mapping[str, Array] | None = None,
    item_ids: Array | None = None,
    scores: Mapping[str, Scores] | None = None,
    mask_history: bool = False,
    seed: int = 0,
) -> ShortcutReport:
    """Measure the shortcuts of a log of interactions, and look for leaks.

    Args:
        log: one item a row (R, 1), sorted by user, then time, such as a `Log`. Rows with one time count in
            the order of the log.
        num_items: N; None = 1 + the largest id.
        features: (N, D) each, by name: what the items are.
        columns: (N,) numbers each, by name: other columns of the items, which are searched for leaks.
        item_ids: (N,) what the columns call the items; None = 0 to N - 1.
        scores: of recommenders that were fitted to seq[:-2] of all users, by name, for the dependence on
            history.
        mask_history: whether items of the (whole) history are no candidates there.
        seed: of the random pairs and of the chances that leaks are held against.

    Raises:
        InputError: slates of several items, a log that is not sorted, nobody with two events, an item
            outside the catalogue, or features of another shape.
    """
    user, time, item, N = _columns(log, num_items)
    asked = ask_last(user)
    last, target = item[asked.last], item[asked.target]
    graph = transition_counts(user[asked.train], item[asked.train], N)
    history = padded_history(user, item, asked)
    follows = user[1:] == user[:-1]
    return ShortcutReport(
        num_users=len(np.unique(user)),
        num_items=N,
        num_events=len(user),
        num_asked=len(target),
        branching=branching(graph),
        coverage=ring_coverage(graph, last, target),
        smoothness={
            name: smoothness(table, graph, last, target, seed=seed)
            for name, table in (features or {}).items()
        },
        history={
            name: history_dependence(function, history, target, mask_history=mask_history)
            for name, function in (scores or {}).items()
        },
        tied_share=float((time[1:] == time[:-1])[follows].mean()),
        tied_targets=float((time[asked.target] == time[asked.last]).mean()),
        repeat_share=float(repeat_ratio(user, item, time).value),
        repeated_targets=float((history == target[:, None]).any(axis=1).mean()),
        later_training=_later_training(time, asked),
        leaks=find_leaks(
            user, item, time, N, features=features, columns=columns, item_ids=item_ids, seed=seed
        ),
    )


def branching(graph: sparse.csr_array) -> Branching:
    """Out-degrees of a graph of transitions, (N, N)."""
    degree = np.diff(graph.indptr)
    once = float((graph.data == 1).mean()) if graph.nnz else float("nan")
    return Branching(int(graph.nnz), float(degree.mean()), float(np.median(degree)), once)


def ring_coverage(graph: sparse.csr_array, last: Array, target: Array) -> RingCoverage:
    """Share of the targets (B,) in the rings of the last items (B,), and how large rings are."""
    size, ring = rings(graph, last, target, DEPTH)
    share = tuple(float((ring == r + 1).mean()) for r in range(DEPTH))
    return RingCoverage(share, tuple(float(s) for s in size.mean(axis=0)))


def smoothness(
    features: Array | sparse.csr_array, graph: sparse.csr_array, last: Array, target: Array, *, seed: int = 0
) -> Smoothness:
    """Mean cosines of the features (N, D) along edges, from last items (B,) to targets (B,), and by chance.

    An item without features has cosine 0 with all.

    Raises:
        InputError: features that `unit_rows` refuses.
    """
    unit = unit_rows(features, graph.shape[0])
    row, column = sparse.coo_array(graph).coords
    first, second = np.random.default_rng(seed).integers(0, graph.shape[0], (2, RANDOM_PAIRS))
    return Smoothness(
        *(
            float(cosine_of_pairs(unit, a, b).mean()) if len(a) else float("nan")
            for a, b in ((row, column), (last, target), (first, second))
        )
    )


def history_dependence(
    scores: Scores,
    history: Array,
    target: Array,
    *,
    lengths: tuple[int, ...] = (1, 2, 3, 5, 0),
    k: int = 10,
    mask_history: bool = False,
) -> HistoryDependence:
    """Show a fitted recommender only the last n items, and see what is left of its NDCG@k.

    Full ranking, one target per user, ties in expectation. With `mask_history` the items of the whole
    history are left out at every length, so that only what is scored changes, not what may be recommended.

    Args:
        scores: (b, h) histories to (b, N) scores.
        history: (B, H), -1 padded on the left.
        target: (B,).
        lengths: n, 0 = the whole history.
        k: of NDCG@k.
        mask_history: see above.

    Raises:
        InputError: a negative length, or scores that `rank_of` refuses.
    """
    if not lengths or min(lengths) < 0:
        raise InputError(f"lengths must hold numbers of items, 0 = the whole history, got {lengths}")
    values = []
    for length in lengths:
        shown = history[:, -length:] if length else history
        total, done = 0.0, 0
        step = max(1, BLOCK_CELLS // max(1, scores(shown[:1]).shape[1]))
        for start in range(0, len(target), step):
            rows = slice(start, start + step)
            rank = rank_of(scores(shown[rows]), target[rows], history[rows] if mask_history else None)
            total, done = total + float(rank.ndcg(k).sum()), done + len(rank.better)
        values.append(total / max(done, 1))
    return HistoryDependence(tuple(lengths), tuple(values))


def _columns(log: EventLog, num_items: int | None) -> tuple[Ints, Floats, Ints, int]:
    slate = np.asarray(log.slate)
    if slate.ndim != 2 or slate.shape[1] != 1 or len(slate) == 0:
        raise InputError(
            f"log must hold interactions, slates of one item (R, 1), not empty, got {slate.shape}: "
            "make it with Log.from_interactions"
        )
    user, time, item = np.asarray(log.user), np.asarray(log.time, np.float64), slate[:, 0].astype(np.int64)
    if user.shape != item.shape or time.shape != item.shape:
        raise InputError(f"log must have one user and time a row, got {user.shape} and {time.shape}")
    N = int(item.max()) + 1 if num_items is None else num_items
    bad = (item < 0) | (item >= N)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"slate[{row}, 0] = {item[row]} is not an item: the catalogue has {N} (0-{N - 1})")
    backwards = (user[1:] < user[:-1]) | ((user[1:] == user[:-1]) & (time[1:] < time[:-1]))
    if backwards.any():
        row = int(np.argmax(backwards)) + 1
        raise InputError(f"row {row} of the log is out of order: sort by user, then time, as Log.sorted does")
    return user.astype(np.int64), time, item, N


def _later_training(time: Floats, asked: Questions) -> float:
    trained = np.sort(time[asked.train])
    later = 1 - np.searchsorted(trained, time[asked.target], side="right") / max(len(trained), 1)
    return float(np.median(later))
