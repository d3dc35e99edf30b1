"""Episodes of different length in one array (E, H): row e is an episode, column h its step.

A mask `present` (E, H) says which steps took place: True from step 0 up to the last one, False after it (the
user left). The rule of every estimator of sequences here: a step that did not take place earns nothing, has
weight 1 (nothing was chosen), and is worth nothing: q = V = 0. So a short episode stays in every average over
episodes, with the weight it had when it ended. What is written in cells that are not present is ignored.
"""

import math

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, as_numbers


def check_reward(reward: Array, present: Array | None) -> tuple[Floats, Bools]:
    """(E, H) the rewards, 0 where nothing took place, and (E, H) which steps did.

    Args:
        reward: (E, H).
        present: (E, H) bool; None = every episode has H steps.

    Raises:
        InputError: another shape, no episode, an episode without a first step or with a hole, or a reward
            that is not finite, named by episode and step.
    """
    reward = as_numbers("reward", reward)
    if reward.ndim != 2 or reward.size == 0:
        raise InputError(
            f"reward must have shape (E, H), one row per episode, with E and H of 1 or more, "
            f"got {reward.shape}"
        )
    mask = np.ones(reward.shape, np.bool_) if present is None else np.asarray(present)
    if mask.shape != reward.shape or mask.dtype != np.bool_:
        raise InputError(
            f"present must be bool of the shape of reward, {reward.shape}, got {mask.dtype} of {mask.shape}"
        )
    refuse("present", ~mask[:, :1], mask, "every episode has a first step")
    hole = mask[:, 1:] & ~mask[:, :-1]
    refuse("present", np.pad(hole, ((0, 0), (1, 0))), mask, "the step before it did not take place")
    return check_numbers("reward", reward, mask), mask


def check_numbers(name: str, values: Array, present: Bools, *more: str) -> Floats:
    """(E, H), or (E, H, D) if `more` is "D", as float64, 0 where nothing took place.

    Raises:
        InputError: another shape, or a number that is not finite where something took place.
    """
    values = as_numbers(name, values)
    if values.shape[:2] != present.shape or values.ndim != 2 + len(more):
        shape = ", ".join([*map(str, present.shape), *more])
        raise InputError(f"{name} must have shape ({shape}), of episodes and steps, got {values.shape}")
    values = np.where(present.reshape(present.shape + (1,) * (values.ndim - 2)), values, 0.0)
    refuse(name, ~np.isfinite(values), values, "it must be finite")
    return values


def check_ids(name: str, ids: Array, present: Bools, low: int, count: int) -> Ints:
    """(E, H) integers from `low` to `count` - 1, `low` where nothing took place.

    Raises:
        InputError: another shape or type, or a number out of range where something took place.
    """
    ids = np.asarray(ids)
    if ids.shape != present.shape or ids.dtype.kind not in "iu":
        raise InputError(
            f"{name} must hold integers of shape {present.shape}, got {ids.dtype} of {ids.shape}"
        )
    ids = np.where(present, ids, low).astype(np.int64)
    bad = (ids < low) | (ids >= count)
    refuse(name, bad, ids, f"the evaluated policy knows {low} to {count - 1}")
    return ids


def check_discount(discount: float) -> None:
    """Refuse a discount outside [0, 1]."""
    if not 0 <= discount <= 1:
        raise InputError(f"discount must be in [0, 1], got {discount!r}")


def check_horizon(horizon: float | None, steps: int, discount: float, stationary: bool) -> float:
    """How many steps a policy is evaluated for: a whole number, or infinity.

    Args:
        horizon: None = `steps`.
        steps: H of the padded arrays.
        discount: gamma.
        stationary: whether one law holds at all steps.

    Raises:
        InputError: no whole number, no end and no discount, or more steps than a law was logged for.
    """
    horizon = steps if horizon is None else horizon
    if math.isinf(horizon):
        if discount == 1:
            raise InputError("horizon = inf needs a discount below 1: a sum without end has no value")
    elif not (horizon >= 1 and horizon == int(horizon)):
        raise InputError(f"horizon must be a whole number of 1 or more, or math.inf, got {horizon!r}")
    if not stationary and horizon > steps:
        raise InputError(
            f"horizon must be {steps} at most, the steps that were logged, got {horizon}: "
            "without stationary=True a step is fitted on its own rows"
        )
    return horizon


def discounts(discount: float, horizon: int) -> Floats:
    """(H,) 1, gamma, gamma^2, ...

    Raises:
        InputError: a discount outside [0, 1].
    """
    check_discount(discount)
    return np.asarray(float(discount) ** np.arange(horizon))


def refuse(name: str, bad: Array, values: Array, complaint: str) -> None:
    """Name the first bad cell by its episode and step."""
    if np.any(bad):
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(str(i) for i in where)
        at = f"episode {where[0]}, step {where[1]}"
        raise InputError(f"{name}[{place}] = {values[where]} ({at}): {complaint}")
