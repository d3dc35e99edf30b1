"""Importance weights of sequences, and how few episodes carry the sum after some steps.

    rho_{e,h} = prod_{j <= h} w_{e,j},      w_{e,j} = pi(a_j | s_j) / pi_0(a_j | s_j)

is the weight of the first h + 1 steps of episode e. Its mean is 1 at every step, and its variance grows
exponentially with the steps: with V_j = E[w_j^2] it is prod_j V_j - 1 where steps are independent. So
estimates that are made of it are for short horizons, or for policies close to the one that made the log;
the effective sample size of every step says where it ends.

Source: Precup, Sutton, Singh, "Eligibility traces for off-policy policy evaluation", ICML 2000.
"""

from dataclasses import dataclass, replace

import numpy as np

from recsim_env.arrays import Array, Bools, Floats
from recsim_env.errors import InputError, as_numbers
from recsim_env.evaluation.intervals import Estimate
from recsim_env.evaluation.off_policy.padded_episodes import check_numbers, refuse
from recsim_env.evaluation.off_policy.weights import FAR_FROM_ONE, FEW_ROWS, LARGE_SHARE


def cumulative_weights(weight: Array, present: Bools) -> Floats:
    """(E, H) rho; after the end of an episode it stays what it was.

    Args:
        weight: (E, H) of every step by itself, finite and 0 or more: `importance_weights` of arrays (E, H).
        present: (E, H) which steps took place.

    Raises:
        InputError: another shape, a weight that is negative or not finite, or a product too large for a
            float, named by episode and step.
    """
    if np.ndim(present) != 2 or np.asarray(present).dtype != np.bool_:
        raise InputError(f"present must be bool of shape (E, H), got shape {np.shape(present)}")
    weight = check_numbers("weight", weight, np.asarray(present))
    refuse("weight", weight < 0, weight, "weights are 0 or more")
    with np.errstate(over="ignore"):
        rho: Floats = np.asarray(np.cumprod(np.where(present, weight, 1.0), axis=1))
    refuse("product of weight", np.isinf(rho), rho, "too large for a number: clip the weights")
    return rho


@dataclass(frozen=True)
class StepDiagnostics:
    """What cumulative weights (E, H) look like at every step; `warnings` say what is wrong with them."""

    episodes: int  # E
    effective_sample_size: Floats  # (H,) episodes that carry weight, 0 if none does
    mean: Floats  # (H,) 1 in expectation, if nothing is clipped and the log's policy covers the other
    mean_std_error: Floats  # (H,)
    largest_share: Floats  # (H,) of the sum of weights on the episode with most; nan if all are 0
    share_zero: Floats  # (H,) episodes that the evaluated policy would never have made up to here
    warnings: tuple[str, ...]


def diagnose_steps(rho: Floats, *, clipped: bool = False) -> StepDiagnostics:
    """Look at the cumulative weights before believing an average of them.

    Args:
        rho: (E, H) of `cumulative_weights`.
        clipped: whether the weights of steps were clipped: their mean need not be 1 then.

    Raises:
        InputError: another shape, or a weight that is negative or not finite.
    """
    rho = as_numbers("rho", rho)
    if rho.ndim != 2 or rho.size == 0:
        raise InputError(f"rho must have shape (E, H), E and H of 1 or more, got {rho.shape}")
    refuse("rho", ~((rho >= 0) & np.isfinite(rho)), rho, "weights are finite and 0 or more")
    E, H = rho.shape
    largest = rho.max(axis=0)
    scaled = rho / np.where(largest > 0, largest, 1.0)  # so that no square overflows
    total, squares = scaled.sum(axis=0), np.einsum("eh,eh->h", scaled, scaled)
    size = np.divide(total**2, squares, out=np.zeros(H), where=total > 0)
    share = np.divide(1.0, total, out=np.full(H, np.nan), where=total > 0)
    mean = total / E * largest
    error = scaled.std(axis=0, ddof=1) / np.sqrt(E) * largest if E > 1 else np.full(H, np.nan)
    warnings = []
    few = size < FEW_ROWS
    if few.any():
        first, last = int(np.argmax(few)), float(size[-1])
        message = f"fewer than {FEW_ROWS} of {E:,} episodes carry the weight from step {first} on"
        warnings.append(f"{message}; at the last step, {H - 1}, the effective sample size is {last:.1f}")
        if first > 0:
            advice = f"the horizon of {H} steps is long for these two policies"
            warnings.append(f"{advice}: weights multiply; use fitted Q evaluation or a shorter horizon")
    if share[-1] > LARGE_SHARE:
        row = int(np.argmax(rho[:, -1]))
        warnings.append(f"episode {row} alone carries {share[-1]:.0%} of all weight at the last step")
    off = np.abs(mean - 1) > FAR_FROM_ONE * error + 1e-9  # weights of 1 up to rounding have no error
    if not clipped and E > 1 and off.any():
        h = int(np.argmax(off))
        warnings.append(
            f"the mean weight is {mean[h]:.3g} +- {error[h]:.2g} at step {h}, not 1: the log lacks episodes "
            "that the evaluated policy makes, or its propensities are not those that made the log"
        )
    return StepDiagnostics(E, size, mean, error, share, np.mean(rho == 0, axis=0), tuple(warnings))


def with_step_diagnostics(estimate: Estimate, rho: Floats, *, clipped: bool) -> Estimate:
    """The estimate with the effective sample size at the last step, and the warnings of all steps."""
    found = diagnose_steps(rho, clipped=clipped)
    size = float(found.effective_sample_size[-1])
    return replace(estimate, effective_sample_size=size, warnings=(*estimate.warnings, *found.warnings))
