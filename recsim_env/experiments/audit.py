"""What a data set can be solved with, by whom, and which claims it can therefore carry.

Baselines learn from all but the last two events of every user and rank the full catalogue for the last one,
given all before it: the usual leave-one-out with the second-last event left to validation. Where 1 % of the
rows or fewer repeat a (user, item) pair the history is masked, as nobody comes back; TGH masks nothing, as
published. Rows with one time are put in random order first; leaks are looked for in the order of the file.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse

from recsim_env.agents.baselines.feature_similarity import FeatureSimilarityRecommender
from recsim_env.agents.baselines.item_knn import ItemKNNRecommender
from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
from recsim_env.agents.recommender import Recommender, target_ranks
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.transition_graph import TGH_1, TGH_2, TransitionGraphRecommender
from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate, mean_estimate
from recsim_env.evaluation.leaks import find_leaks
from recsim_env.evaluation.questions import ask_last, padded_history
from recsim_env.evaluation.shortcuts import (
    HistoryDependence,
    ShortcutReport,
    history_dependence,
    shortcut_report,
)
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.item_terms import read_item_features, read_item_numbers, title_features
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import is_log, read_log
from recsim_env.simulators.splits import shuffle_ties

K = 10  # of NDCG@K and HR@K: TGH ranks ten items
REPEATS = 0.01  # share of rows that repeat a (user, item) pair, up to which the history is masked
HISTORY = ("item-kNN", "Markov-2")  # who is shown the last n items only


@dataclass(frozen=True)
class Baseline:
    """How well one of them does."""

    name: str
    ndcg: Estimate
    hit_rate: Estimate
    masked: bool  # whether items of the history were left out


@dataclass(frozen=True)
class Audit:
    """What `audit` found."""

    name: str  # of the data set
    clock: str  # what its times are
    report: ShortcutReport
    baselines: tuple[Baseline, ...]
    notes: tuple[str, ...]  # how it was read

    @property
    def best(self) -> Baseline:
        """The baseline with the highest NDCG."""
        return max(self.baselines, key=lambda one: float(one.ndcg.value))

    @property
    def dependence(self) -> tuple[str, HistoryDependence]:
        """The best of the recommenders that were shown part of the history, and what it kept."""
        return max(self.report.history.items(), key=lambda one: one[1].value[-1])


def audit(source: str, *, seed: int = 0, progress: bool = False) -> Audit:
    """Audit a data set.

    Args:
        source: the name of a shipped data set, a directory or file that `read_dataset` takes, or the
            Parquet file of a log; of slates the clicks are taken.
        seed: of ties in time, of equal scores and of chances.
        progress: whether to show a bar on standard error.

    Raises:
        InputError: no such data, what its reader refuses, or nobody with two events.
    """
    from tqdm import tqdm

    data = _read(source)
    raw, name, features = data.log, data.name, data.features
    N = int(raw.slate.max()) + 1
    pairs = np.unique(np.stack([raw.user, raw.slate[:, 0]]), axis=1).shape[1]
    mask = 1 - pairs / len(raw) <= REPEATS
    log = shuffle_ties(raw, seed)
    asked = ask_last(log.user)
    train, item = log.rows(asked.train), log.slate[:, 0]
    history, target = padded_history(log.user, item, asked), item[asked.target]

    makers: dict[str, Callable[[], Recommender]] = {
        "popularity": partial(PopularityRecommender, num_items=N),
        "Markov-1": partial(MarkovRecommender, order=1, num_items=N),
        "Markov-2": partial(MarkovRecommender, order=2, num_items=N),
        "item-kNN": partial(ItemKNNRecommender, seed=seed, num_items=N),
    }
    for kind, table in features.items():
        makers[f"features alone, {kind}"] = partial(FeatureSimilarityRecommender, table)
    for kind, given in (("co-occurrence", None), *features.items()):
        for number, budgets in enumerate((TGH_1, TGH_2), start=1):
            makers[f"TGH-{number}, {kind}"] = partial(
                TransitionGraphRecommender, budgets=budgets, features=given, seed=seed, num_items=N
            )
    baselines, dependence = [], {}
    with tqdm(total=len(makers) + 1, desc=name, unit="step", disable=not progress) as bar:
        for title, make in makers.items():
            bar.set_postfix_str(title)
            fitted = make().fit(train)
            masked = mask and not title.startswith("TGH")
            rank = target_ranks(fitted, history, target, mask_history=masked)
            baselines.append(
                Baseline(title, mean_estimate(rank.ndcg(K)), mean_estimate(rank.hit_rate(K)), masked)
            )
            if title in HISTORY:
                dependence[title] = history_dependence(fitted.scores, history, target, k=K, mask_history=mask)
            bar.update()
        bar.set_postfix_str("shortcuts and leaks")
        report = shortcut_report(log, num_items=N, features=features, seed=seed)
        leaks = find_leaks(
            raw.user,
            raw.slate[:, 0],
            raw.time,
            N,
            features=features,
            columns=data.columns,
            item_ids=data.item_ids,
            seed=seed,
        )
        bar.update()
    report = replace(report, leaks=leaks, history=dependence)
    return Audit(name, data.clock, report, tuple(baselines), data.notes)


@dataclass(frozen=True)
class _Source:
    """A data set as the audit needs it."""

    log: Log
    name: str
    clock: str
    features: dict[str, sparse.csr_array] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)
    item_ids: Array | None = None  # (N,) what the columns call the items
    notes: tuple[str, ...] = ()


def _read(source: str) -> _Source:
    path = Path(source)
    if is_log(path):
        log = read_log(path)
        events = _clicks(log, source)
        notes = (f"Read: the {len(events):,} clicks of {len(log):,} slates, those of one slate at one time.",)
        return _Source(events, path.name, "time", notes=notes)
    data = read_events(source)
    features = read_item_features(source, data.item_ids)
    if "titles" not in features and data.item_names is not None:
        features["titles"] = title_features(data.item_names)
    columns = read_item_numbers(source, data.item_ids)
    return _Source(_clicks(data.log, source), data.name, data.clock, features, columns, data.item_ids)


def _clicks(log: Log, source: str) -> Log:
    """What was clicked, an event a row."""
    if not log.clicked.any():
        raise InputError(f"{source} holds no click: there is nothing to predict")
    row, _ = np.nonzero(log.clicked)
    return Log.from_interactions(log.user[row], log.slate[log.clicked], log.time[row])
