"""Off-policy evaluation of a log that is larger than memory, or than a machine: part by part, over Ray Data.

    def uniform(log):                                  # what the evaluated policy would have done: one of
    100 items
        return {"log_target": np.full(len(log), -np.log(100))}

    print(off_policy_values_of_parts("big", uniform, workers=Workers(8)))

Every part is read piece by piece (`log_scan`, which names a part that is damaged), weighed, and kept as the
sums of `evaluation/off_policy/moments.py`; these are joined in the order of the parts. So the values are
those of `off_policy_values` and `slate_off_policy_values` on the whole log up to rounding (1e-12), and do
not depend on who read what. Memory is that of a piece, at most 2^18 rows, on every worker.
"""

import logging
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy import importance_weights, prefix_weights, slate_weights
from recsim_env.evaluation.off_policy.moments import Moments
from recsim_env.evaluation.off_policy.rows import check_rows
from recsim_env.evaluation.off_policy.slots import check_slot_weights
from recsim_env.evaluation.off_policy.weights import mean_away_from_one, weight_warnings
from recsim_env.experiments.workers import Workers, cluster
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_evaluation import OffPolicyValues
from recsim_env.simulators.log_files import ROW_GROUP
from recsim_env.simulators.log_scan import open_log

BLOCK = 1 << 20  # bytes of what Ray Data passes on at a time: the sums of a part are a few thousand
Weigh = Callable[[Log], Mapping[str, Array]]
"""What the evaluated policy would have done in the rows of a piece; see `off_policy_values_of_parts`."""


def off_policy_values_of_parts(
    path: str | Path, weigh: Weigh, *, workers: Workers | None = None, by_user: bool = True
) -> OffPolicyValues:
    """The mean reward per row that a policy would earn, from the parts of a log.

    Args:
        path: of a log, or of the directory of its parts, such as `recsim-env log --workers` makes.
        weigh: gives of every piece of the log, as arrays by name: of slates of one item `log_target` (R,),
            the log-probability of the item under the evaluated policy, and, for the doubly robust estimators,
            `q_logged` and `q_target` (R,) of a model that was fitted elsewhere (such as on a sample of
            users); of longer slates `slot_log_target` (R, K), each slot given those above it, and, for iips
            and sniips, `position_weight` (R, K). On workers it is called in other processes. A piece of a
            log that `recsim-env log --workers` made holds whole users, so `log_replay.replay` can be asked.
        workers: that read the parts, by Ray Data; None = this process.
        by_user: the rows of a user belong together; they must lie in one part then. False = all rows are
            independent.

    Returns:
        ips, snips, and with a model doubly_robust, self_normalised_doubly_robust; of longer slates sips,
        snsips, rips, snrips, and with position weights iips, sniips.

    Raises:
        InputError: no log, or a damaged one; a column is missing; a user in two parts; bad weights; and of
            `weigh`.
    """
    parts = open_log(path)
    if not parts.num_rows:
        raise InputError("log must hold a row or more, got none")
    for name in _columns(parts.slate_size):
        if name not in parts.columns:
            raise InputError(f"log has no column {name!r}: it has {', '.join(parts.columns)}")
    if workers is None:
        found = [sums_of_part(file, weigh, by_user) for file in parts.paths]
    else:
        found = _on_ray_data([file.resolve() for file in parts.paths], weigh, by_user, workers)
    kept = [one for one in found if one is not None]
    if by_user:
        _check_users(kept)
    whole = kept[0]
    for one in kept[1:]:
        whole = whole.join(one)
    return whole.values()


@dataclass(frozen=True)
class PartSums:
    """What is kept of a part: columns are those of `_row_columns`."""

    path: str
    names: tuple[str, ...]  # of the columns
    rows: Moments  # of rows
    samples: Moments  # of users, or again of rows
    largest: Floats  # (m,) the largest value of every column
    place: tuple[str, ...]  # (m,) and where it is
    users: tuple[int, int]  # the first and the last

    def join(self, other: "PartSums") -> "PartSums":
        """Of both; `users` is of no more use."""
        if self.names != other.names:
            raise InputError(
                f"weigh gave {', '.join(other.names)} of {other.path}, and others of {self.path}"
            )
        place = [
            a if x >= y else b
            for a, b, x, y in zip(self.place, other.place, self.largest, other.largest, strict=True)
        ]
        return replace(
            self,
            rows=self.rows.join(other.rows),
            samples=self.samples.join(other.samples),
            largest=np.maximum(self.largest, other.largest),
            place=tuple(place),
        )

    def values(self) -> OffPolicyValues:
        """The estimates."""
        at = {name: i for i, name in enumerate(self.names)}
        one = [at["one"]]

        def estimate(name: str, parts: list[int], wholes: list[int], weights: list[int]) -> Estimate:
            return self._diagnosed(self.samples.sum_of_ratios(parts, wholes, name), weights)

        def slots(column: str) -> list[int]:
            return [i for name, i in at.items() if name.startswith(f"{column}/")]

        found, w = {}, [at["weight"]]
        first, second = ("ips", "snips") if "weighted/slot 0" not in at else ("sips", "snsips")
        found[first] = estimate(first, [at["weighted"]], one, w)
        found[second] = estimate(second, [at["weighted"]], w, w)
        if "residual" in at:
            found["doubly_robust"] = estimate("doubly_robust", [at["corrected"]], one, w)
            name = "self_normalised_doubly_robust"
            found[name] = estimate(name, [at["residual"], at["q_target"]], [*w, *one], w)
        for column, first, second in (("", "rips", "snrips"), ("position ", "iips", "sniips")):
            weights, weighted = slots(f"{column}weight"), slots(f"{column}weighted")
            if weights:
                # a plain mean of the sum over slots: every slot's part over the number of rows
                found[first] = estimate(first, weighted, one * len(weighted), weights)
                found[second] = estimate(second, weighted, weights, weights)
        return OffPolicyValues(found, self.samples.sum_of_ratios([at["reward"]], one, "the log's mean"))

    def _diagnosed(self, estimate: Estimate, weights: list[int]) -> Estimate:
        """With the effective sample size of its weights, of the worst slot if there are several."""
        sizes, warnings = zip(*(self._weight(column) for column in weights), strict=True)
        worst = min(range(len(weights)), key=lambda k: sizes[k])
        said = list(warnings[worst])
        if len(weights) > 1 or "/" in self.names[weights[0]]:
            said = [f"slot {worst}: {warning}" for warning in said]
            others = [str(k) for k in range(len(weights)) if warnings[k] and k != worst]
            if others:
                said.append(f"slot{'s' * (len(others) > 1)} {', '.join(others)}: warnings as well")
        return replace(estimate, effective_sample_size=sizes[worst], warnings=(*estimate.warnings, *said))

    def _weight(self, column: int) -> tuple[float, list[str]]:
        """Effective sample size and warnings of the weights in a column."""
        n, mean, largest = self.rows.count, float(self.rows.mean[column]), float(self.largest[column])
        squares = float(self.rows.spread[column, column]) + n * mean**2
        size = (n * mean) ** 2 / squares if squares > 0 else 0.0
        error = float(np.sqrt(self.rows.spread[column, column] / (n - 1) / n)) if n > 1 else np.nan
        away = mean_away_from_one(mean, error) if n > 1 else []
        share = largest / (n * mean) if mean > 0 else np.nan
        return size, weight_warnings(n, size, largest, share, self.place[column], away)


def sums_of_part(path: Path, weigh: Weigh, by_user: bool) -> PartSums | None:
    """Read a part, None if it has no rows."""
    parts = open_log(path)
    rows: Moments | None = None
    names: tuple[str, ...] = ()
    largest, place = np.empty(0), [""]
    users: list[Ints] = []
    sums: list[Floats] = []
    start = 0
    for log in parts.pieces(piece_rows=ROW_GROUP):
        columns = _row_columns(log, weigh(log))
        names, values = tuple(columns), np.stack(list(columns.values()), axis=1)  # (R, m)
        found = Moments.of(values)
        top = values.argmax(axis=0)
        here = [f"row {start + row} of {path.name}" for row in top]
        if rows is None:
            rows, largest, place = found, values.max(axis=0), here
        else:
            rows = rows.join(found)
            place = [
                b if y > x else a for a, b, x, y in zip(place, here, largest, values.max(axis=0), strict=True)
            ]
            largest = np.maximum(largest, values.max(axis=0))
        user, of_user = np.unique(log.user, return_inverse=True)
        users.append(user)
        sums.append(_sums(of_user, values, len(user)) if by_user else np.empty((0, values.shape[1])))
        start += len(log)
    if rows is None:
        return None
    everyone, of_user = np.unique(np.concatenate(users), return_inverse=True)
    samples = Moments.of(_sums(of_user, np.concatenate(sums), len(everyone))) if by_user else rows
    ends = int(everyone[0]), int(everyone[-1])
    return PartSums(str(path), names, rows, samples, largest, tuple(place), ends)


def _sums(of_user: Ints, values: Floats, users: int) -> Floats:
    """(U, m) of (R, m)."""
    return np.stack([np.bincount(of_user, column, users) for column in values.T], axis=1)


def _columns(slate_size: int) -> tuple[str, ...]:
    return ("reward", "log_propensity") if slate_size == 1 else ("slot_log_propensity",)


def _row_columns(log: Log, given: Mapping[str, Array]) -> dict[str, Floats]:
    """The columns that are summed, each (R,)."""
    one_item = log.slate.shape[1] == 1
    known = ("log_target", "q_logged", "q_target") if one_item else ("slot_log_target", "position_weight")
    if known[0] not in given or not set(given) <= set(known):
        raise InputError(
            f"weigh must give {known[0]}, and may give {' and '.join(known[1:])}, got {', '.join(given)}"
        )
    one = np.ones(len(log))
    if one_item:
        weight = importance_weights(given["log_target"], log.require("log_propensity"))
        reward, weight = check_rows(reward=log.require("reward"), weight=weight)
        columns = {"one": one, "reward": reward, "weight": weight, "weighted": weight * reward}
        if "q_logged" in given or "q_target" in given:
            none = np.empty(0)  # refused, by name
            q_logged, q_target, _ = check_rows(
                q_logged=given.get("q_logged", none), q_target=given.get("q_target", none), reward=reward
            )
            residual = weight * (reward - q_logged)
            columns |= {"residual": residual, "q_target": q_target, "corrected": q_target + residual}
        return columns
    of_slots = given["slot_log_target"], log.require("slot_log_propensity")
    weight = slate_weights(*of_slots, slate=log.slate)
    reward, prefix = check_slot_weights(
        log.clicked.astype(np.float64), prefix_weights(*of_slots, slate=log.slate)
    )
    total = reward.sum(axis=1)
    columns = {"one": one, "reward": total, "weight": weight, "weighted": weight * total}
    of_kind = {"": prefix}
    if "position_weight" in given:
        of_kind["position "] = check_slot_weights(reward, given["position_weight"])[1]
    for kind, weights in of_kind.items():
        for k in range(reward.shape[1]):
            columns[f"{kind}weight/slot {k}"] = weights[:, k]
            columns[f"{kind}weighted/slot {k}"] = weights[:, k] * reward[:, k]
    return columns


def _check_users(parts: list[PartSums]) -> None:
    """Refuse parts that may share a user."""
    ordered = sorted(parts, key=lambda part: part.users)
    for one, other in pairwise(ordered):
        if other.users[0] <= one.users[1]:
            raise InputError(
                f"{one.path} has users up to {one.users[1]}, {other.path} from {other.users[0]}: the rows of "
                "a user must lie in one part, as `recsim-env log --workers` writes it, or give by_user=False"
            )


def _on_ray_data(paths: list[Path], weigh: Weigh, by_user: bool, workers: Workers) -> list[PartSums | None]:
    """The sums of all parts, in their order."""

    def score(row: dict[str, Any]) -> dict[str, Any]:
        try:
            found: Any = sums_of_part(Path(row["path"]), weigh, by_user)
        except InputError as error:
            found = error
        return {"number": row["number"], "sums": pickle.dumps(found)}

    with cluster(workers):
        from ray.data import DataContext, TaskPoolStrategy, from_items

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = BLOCK  # else it waits for shared memory that sums do not need
        items = [{"number": number, "path": str(path)} for number, path in enumerate(paths)]
        data = from_items(items, override_num_blocks=len(items))
        size = TaskPoolStrategy(size=workers.count)
        rows = data.map(score, num_cpus=1, compute=size).take_all()
    found = [pickle.loads(row["sums"]) for row in sorted(rows, key=lambda row: row["number"])]
    for one in found:
        if isinstance(one, InputError):
            raise one
    return found
