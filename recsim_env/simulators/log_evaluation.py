"""What a policy would earn, from a `Log`: every single-action estimator in one call, side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError, refuse
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy import (
    believable_slope,
    candidate_cuts,
    check_support,
    clipped_ips,
    cross_fit,
    direct_method,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    draw_folds,
    importance_weights,
    ips,
    model_values,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
)
from recsim_env.evaluation.off_policy.rows import check_distribution
from recsim_env.simulators.log import Log

AGREE = 1e-4  # relative difference of two statements of one propensity, as float32 leaves
ESTIMATORS = (
    "ips",
    "snips",
    "clipped_ips",
    "direct_method",
    "doubly_robust",
    "self_normalised_doubly_robust",
    "switch_doubly_robust",
    "doubly_robust_optimistic_shrinkage",
)


class OffPolicyValues(dict[str, Estimate]):
    """Estimates of one policy's value by name of estimator; prints as a table, warnings below.

    Attributes:
        logged: what the log's own policy earned, to compare with.
    """

    def __init__(self, estimates: Mapping[str, Estimate], logged: Estimate) -> None:
        super().__init__(estimates)
        self.logged = logged

    def __str__(self) -> str:
        """One line per estimator, numbered warnings below, each said once."""
        wide = max(len(name) for name in ("the log's mean", *self))
        said = list(dict.fromkeys(w for estimate in self.values() for w in estimate.warnings))
        lines = [
            f"{'estimator':{wide}}  {'value':>10}  {'std error':>10}  {'interval':^24}  {'eff. rows':>9}"
        ]
        for name, estimate in {"the log's mean": self.logged, **self}.items():
            low, high = estimate.interval
            size = estimate.effective_sample_size
            line = (
                f"{name:{wide}}  {estimate.value:10.4g}  {estimate.std_error:10.2g}  "
                f"{f'[{low:.4g}, {high:.4g}]':^24}  {'-' if size is None else f'{size:,.0f}':>9}"
            )
            notes = "".join(f" ({said.index(w) + 1})" for w in estimate.warnings)
            lines.append(line + notes)
        return "\n".join(
            [*lines, *(f"NOT TO BE BELIEVED ({i}): {warning}" for i, warning in enumerate(said, 1))]
        )


def off_policy_values(
    log: Log,
    target_probability: Array,
    estimators: Sequence[str] = ESTIMATORS,
    *,
    logging_probability: Array | None = None,
    model: Any = None,
    context: Array | None = None,
    position: Array | None = None,
    folds: int = 3,
    seed: int = 0,
    interval: Interval | None = None,
    by_user: bool = True,
) -> OffPolicyValues:
    """The mean reward per row that a policy would earn, by several estimators.

    Clip, threshold and shrinkage are chosen by `believable_slope`; the model of rewards is cross-fitted, the
    rows of a user in one fold.

    Args:
        log: of slates of one item, with reward and log_propensity.
        target_probability: (R, N), or (N,) if the same in all rows: what the evaluated policy shows. Where
            an item can stand at several positions, that of being shown at the position of the row, of which
            `log_propensity` must be too.
        estimators: names from `ESTIMATORS`, and "replay" for policies whose every row is certain.
        logging_probability: (R, N) or (N,) of the log's policy, if it is known for all items: support is
            judged by it, else by the items that the log shows. It must agree with `log_propensity`.
        model: a scikit-learn regressor, or classifier of rewards 0 and 1; None = mean rewards of items.
        context: (R, D) features for the model.
        position: (R,) integers, where the item stood, for the model, which is one per position then.
        folds: of the cross-fitting.
        seed: of the folds.
        interval: how intervals are made; `Normal()` if None. Empirical Bernstein ones are for ips,
            clipped_ips and doubly_robust without by_user.
        by_user: the rows of a user belong together; False = all rows are independent.

    Raises:
        InputError: no rows; slates of several items, or an empty one; no reward or no propensities in the
            log; a policy that shows items that the log's does not, naming them; a `logging_probability` that
            did not make the log; an unknown estimator; and what the estimators raise.
    """
    if log.slate.shape[1] != 1:
        raise InputError(
            f"log must show slates of one item, got {log.slate.shape[1]}: slate_off_policy_values is for "
            "longer ones"
        )
    if not len(log):
        raise InputError("log must hold a row or more, got none")
    refuse("slate", log.slate < 0, log.slate, "nothing was shown: drop the row")
    for name in estimators:
        if name not in (*ESTIMATORS, "replay"):
            raise InputError(f"estimators has {name!r}, known are {', '.join(ESTIMATORS)} and replay")
    reward, log_propensity = log.require("reward"), log.require("log_propensity")
    action = log.slate[:, 0]
    target = check_distribution("target_probability", target_probability, len(log))
    log.check_items(target.shape[1])
    check_support(target_probability, action=action, logging_probability=logging_probability)
    if logging_probability is not None:
        _check_propensities(logging_probability, action, log_propensity)
    with np.errstate(divide="ignore"):
        log_target = np.log(np.minimum(target[np.arange(len(log)), action], 1.0))  # 1 up to rounding
    weight = importance_weights(log_target, log_propensity)
    groups = log.user if by_user else None
    options: dict[str, Any] = {"interval": interval, "groups": groups}
    columns: tuple[Array, ...] = ()  # reward, weight, q_logged, q_target of the estimators with a model
    if not set(estimators) <= {"ips", "snips", "clipped_ips", "replay"}:
        fold = draw_folds(len(log), folds, seed=seed, groups=groups)
        q = cross_fit(reward, action, fold, target.shape[1], model=model, context=context, position=position)
        columns = (reward, weight, *model_values(q, action, target))

    def chosen(call: Callable[[float], Estimate], power: int = 1) -> Estimate:
        """The estimate of the chosen cut; shrinkages are squares of cuts, and inf shrinks nothing."""
        cuts = candidate_cuts(weight) ** power
        candidates = [call(float(cut)) for cut in (cuts if power == 1 else [*cuts, np.inf])]
        return candidates[believable_slope(candidates)]

    calls: dict[str, Callable[[], Estimate]] = {
        "replay": lambda: replay(
            reward, action, _certain(target), propensity=np.exp(np.minimum(log_propensity, 0)), **options
        ),
        "ips": lambda: ips(reward, weight, **options),
        "snips": lambda: snips(reward, weight, **options),
        "clipped_ips": lambda: chosen(lambda cut: clipped_ips(reward, weight, clip=cut, **options)),
        "direct_method": lambda: direct_method(
            columns[3], residual=weight * (reward - columns[2]), **options
        ),
        "doubly_robust": lambda: doubly_robust(*columns, **options),
        "self_normalised_doubly_robust": lambda: self_normalised_doubly_robust(*columns, **options),
        "switch_doubly_robust": lambda: chosen(
            lambda cut: switch_doubly_robust(*columns, threshold=cut, **options)
        ),
        "doubly_robust_optimistic_shrinkage": lambda: chosen(
            lambda cut: doubly_robust_optimistic_shrinkage(*columns, shrinkage=cut, **options), power=2
        ),
    }
    return OffPolicyValues({name: calls[name]() for name in estimators}, mean_of(reward, groups=groups))


def _check_propensities(logging_probability: Array, action: Array, log_propensity: Array) -> None:
    """Refuse a distribution that gives what the log shows another probability than the log says."""
    logging = check_distribution("logging_probability", logging_probability, len(action))
    shown, said = logging[np.arange(len(action)), action], np.exp(log_propensity)
    off = np.abs(shown - said) > AGREE * said
    if off.any():
        row = int(np.argmax(off))
        raise InputError(
            f"logging_probability[{row}, {action[row]}] = {shown[row]:.6g}, but log_propensity[{row}] is the "
            f"logarithm of {said[row]:.6g} ({off.sum():,} rows differ): give that of the policy that made "
            "the log, its rows in the order of the log"
        )


def _certain(target: Array) -> Array:
    """(R,) the items of a deterministic policy, or the probabilities as they are, which replay refuses."""
    return np.asarray(target.argmax(axis=1)) if (target.max(axis=1) == 1).all() else target
