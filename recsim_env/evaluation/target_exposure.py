"""How much an attack is worth: where its targets stand in the lists of honest users who have not had them.

    HR@k(t)   mean over users u without t of P(rank of t among what u has not had <= k)
    NDCG@k(t) the same of 1 / log2(rank + 1) for ranks up to k
    lift      mean over t of HR@k(t) after the attack, over the same without

Detectors are rated by the AUC of their scores, and by the honest users whom a threshold flags.

Source: Zhang and others, "LoRec", SIGIR 2024 (T-HR@50, T-NDCG@50).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.ranking import TargetRank, rank_of


@dataclass(frozen=True)
class TargetExposure:
    """Of T targets and U honest users; nan where the user has had the target."""

    hit_rate: Floats  # (U, T)
    ndcg: Floats  # (U, T)
    rank: Floats  # (U, T) expected, from 1

    def mean(self) -> dict[str, float]:
        """Means over users of each target, then over targets."""
        found = {"hit_rate": self.hit_rate, "ndcg": self.ndcg, "rank": self.rank}
        return {name: float(np.nanmean(values, axis=0).mean()) for name, values in found.items()}


def target_exposure(
    blocks: Array | Iterable[Array], history: Array, targets: Array, k: int = 50
) -> TargetExposure:
    """Where targets stand in rankings of the full catalogue.

    Args:
        blocks: scores (U, N), or blocks of them in the order of users.
        history: (U, H) items of each honest user, -1 = none; what is in it is no candidate.
        targets: (T,) items.
        k: places of a list.

    Raises:
        InputError: a target that all these users have had, so that nobody is left to show it to.
    """
    history, targets = np.asarray(history), np.asarray(targets)
    had = np.stack([(history == t).any(axis=1) for t in targets], axis=1)
    if had.all(axis=0).any():
        wrong = targets[had.all(axis=0)][0]
        raise InputError(f"every honest user has had target {wrong}: choose a target that some have not")
    parts: list[list[TargetRank]] = [[] for _ in targets]
    start = 0
    for block in [blocks] if isinstance(blocks, np.ndarray) else blocks:
        rows = history[start : start + len(block)]
        for place, target in enumerate(targets):
            parts[place].append(rank_of(block, np.full(len(rows), target), rows))
        start += len(block)

    def joined(values: list[list[Floats]]) -> Floats:
        return np.where(had, np.nan, np.stack([np.concatenate(one) for one in values], axis=1))

    return TargetExposure(
        joined([[one.hit_rate(k) for one in part] for part in parts]),
        joined([[one.ndcg(k) for one in part] for part in parts]),
        joined([[1.0 + one.better + one.tied / 2 for one in part] for part in parts]),
    )


def detection_auc(score: Array, fake: Array) -> float:
    """P(score of a fake user > that of an honest one), ties half; nan without either.

    Args:
        score: (U,) higher = more likely a fake.
        fake: (U,) flags.
    """
    score, fake = np.asarray(score, np.float64), np.asarray(fake, np.bool_)
    fakes, honest = score[fake], np.sort(score[~fake])
    if not len(fakes) or not len(honest):
        return float("nan")
    below, up_to = (np.searchsorted(honest, fakes, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(honest)))


def false_positive_share(flagged: Bools, fake: Bools) -> float:
    """Honest users who were flagged, over all honest users; nan without any."""
    honest = ~np.asarray(fake, np.bool_)
    return float(np.asarray(flagged, np.bool_)[honest].mean()) if honest.any() else float("nan")


def roc(score: Array, fake: Array) -> tuple[Floats, Floats]:
    """False-positive shares and true-positive shares of all thresholds, from (0, 0) to (1, 1).

    Args:
        score: (U,).
        fake: (U,) flags, some of both.
    """
    score, fake = np.asarray(score, np.float64), np.asarray(fake, np.bool_)
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true, false = np.cumsum(fake[order])[ends], np.cumsum(~fake[order])[ends]
    return np.append(0.0, false / max(1, (~fake).sum())), np.append(0.0, true / max(1, fake.sum()))


def cost_per_lift(actions: float, before: float, after: float) -> float:
    """Fake actions for each point (.01) of hit rate that was won; infinite where nothing was.

    Args:
        actions: of all fake users.
        before: hit rate of the targets without them.
        after: with them.
    """
    won = 100.0 * (after - before)
    return float(actions / won) if won > 0 else float("inf")
