"""Importance weights of slates: of the whole, of the part down to a slot, and of the item at a slot.

With A_k the item at slot k = 0 ... K-1, pi the policy that is evaluated and pi_0 the one that made the log,

    slate      w     = prod_{j < K}  pi(A_j | A_<j) / pi_0(A_j | A_<j)
    prefix     w_k   = prod_{j <= k} pi(A_j | A_<j) / pi_0(A_j | A_<j)
    position   w_k   = pi(A_k at slot k) / pi_0(A_k at slot k)           (marginal over other slots)

Each has mean 1 at every slot if pi_0 can do whatever pi can. Their variance falls from the first to the last,
and so does what they are right for: see `standard_ips`, `reward_interaction_ips` and `independent_ips`.

An empty slot (-1) belongs to the context and not to the policy: it has weight 1 and factor 1, and its reward
should be 0. So a log of slates of several lengths is averaged over all its rows.
"""

from dataclasses import replace

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy.slots import check_slates, check_slot_distribution, check_slots
from recsim_env.evaluation.off_policy.weights import WeightDiagnostics, diagnose, importance_weights


def slate_weights(
    slot_log_target: Array, slot_log_logging: Array, *, slate: Array | None = None, clip: float | None = None
) -> Floats:
    """(R,) the weight of the whole slate.

    Args:
        slot_log_target: (R, K) log pi of the item at every slot, given the slots above; -inf allowed.
        slot_log_logging: (R, K) the same of pi_0, `Log.slot_log_propensity`.
        slate: (R, K) with -1 in empty slots; None = none is empty.
        clip: the largest weight.

    Raises:
        InputError: as `importance_weights`, naming row and slot.
    """
    target, logging = _by_slot(slot_log_target, slot_log_logging, slate)
    return importance_weights(_sums(target)[:, -1], _sums(logging)[:, -1], clip=clip)


def prefix_weights(
    slot_log_target: Array, slot_log_logging: Array, *, slate: Array | None = None, clip: float | None = None
) -> Floats:
    """(R, K) the weight of the slots from the top down to each. Arguments and errors as `slate_weights`."""
    target, logging = _by_slot(slot_log_target, slot_log_logging, slate)
    return importance_weights(_sums(target), _sums(logging), clip=clip)


def position_weights(
    target_marginal: Array, logging_marginal: Array, slate: Array, *, clip: float | None = None
) -> Floats:
    """(R, K) the weight of the item at each slot by itself.

    Args:
        target_marginal: (R, K, N) P(item at slot) under pi, or (K, N) if it is the same in all rows;
            `plackett_luce_marginals` gives it for Plackett-Luce policies.
        logging_marginal: the same of pi_0.
        slate: (R, K) what was shown, -1 = empty slot.
        clip: the largest weight.

    Raises:
        InputError: bad shapes, items or probabilities; or an item that pi_0 never shows where it stands.
    """
    shape = np.shape(slate)
    if len(shape) != 2:
        raise InputError(f"slate must have shape (R, K), got {shape}")
    target = check_slot_distribution("target_marginal", target_marginal, (shape[0], shape[1]))
    logging = check_slot_distribution("logging_marginal", logging_marginal, (shape[0], shape[1]))
    if target.shape != logging.shape:
        raise InputError(
            f"target_marginal must have as many items as logging_marginal, {logging.shape[2]}, "
            f"got {target.shape[2]}"
        )
    slate = check_slates(slate, target.shape[2])
    shown = np.maximum(slate, 0)[:, :, None]
    with np.errstate(divide="ignore"):  # log 0 is refused for the log's policy, and right for the other
        log_target = np.log(np.take_along_axis(target, shown, axis=2)[:, :, 0])
        log_logging = np.log(np.take_along_axis(logging, shown, axis=2)[:, :, 0])
    empty = slate < 0
    log_target, log_logging = np.where(empty, 0.0, log_target), np.where(empty, 0.0, log_logging)
    return importance_weights(np.minimum(log_target, 0.0), np.minimum(log_logging, 0.0), clip=clip)


def slot_diagnostics(slot_weight: Array, *, clipped: bool = False) -> tuple[WeightDiagnostics, ...]:
    """`diagnose` of the weights (R, K) of every slot, top first."""
    (slot_weight,) = check_slots(slot_weight=slot_weight)
    return tuple(diagnose(column, clipped=clipped) for column in slot_weight.T)


def with_slot_diagnostics(estimate: Estimate, slot_weight: Floats, *, clipped: bool = False) -> Estimate:
    """The estimate with the smallest effective sample size of all slots, and the warnings of that slot."""
    found = slot_diagnostics(slot_weight, clipped=clipped)
    worst = min(range(len(found)), key=lambda k: found[k].effective_sample_size)
    warnings = [f"slot {worst}: {warning}" for warning in found[worst].warnings]
    others = [str(k) for k, slot in enumerate(found) if slot.warnings and k != worst]
    if others:
        named = f"slot{'s' * (len(others) > 1)} {', '.join(others)}"
        warnings.append(f"{named}: warnings as well, `slot_diagnostics` gives them")
    return replace(
        estimate,
        effective_sample_size=found[worst].effective_sample_size,
        warnings=(*estimate.warnings, *warnings),
    )


def _by_slot(log_target: Array, log_logging: Array, slate: Array | None) -> tuple[Floats, Floats]:
    """(R, K) both, 0 in empty slots, checked slot by slot so that an error names the slot."""
    log_target = as_numbers("slot_log_target", log_target)
    log_logging = as_numbers("slot_log_logging", log_logging)
    if log_logging.ndim != 2 or log_logging.size == 0:
        raise InputError(
            f"slot_log_logging must have shape (R, K), R and K of 1 or more, got {log_logging.shape}: "
            "weights of slots need the propensity of every slot"
        )
    if slate is not None:
        if np.shape(slate) != log_logging.shape:
            raise InputError(
                f"slate must have the shape of slot_log_logging, {log_logging.shape}, got {np.shape(slate)}"
            )
        empty = as_numbers("slate", slate) < 0
        log_logging = np.where(empty, 0.0, log_logging)
        log_target = np.where(empty, 0.0, log_target) if log_target.shape == empty.shape else log_target
    importance_weights(log_target, log_logging, clip=1.0)  # for its checks
    return log_target, log_logging


def _sums(log_prob: Floats) -> Floats:
    return np.asarray(np.minimum(np.cumsum(log_prob, axis=1), 0.0))
