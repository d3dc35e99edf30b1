"""Checks of what the slate estimators are given: one number, or one item, per row of the log and slot."""

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse
from recsim_env.evaluation.off_policy.rows import ROUNDING


def check_slots(**columns: Array) -> list[Floats]:
    """The columns, each (R, K), as float64.

    Raises:
        InputError: one is not a table of numbers, they differ in shape, or a number is not finite; the
            message names column, row and slot.
    """
    kept: list[Floats] = []
    for name, column in columns.items():
        column = as_numbers(name, column)
        if column.ndim != 2 or column.size == 0:
            raise InputError(
                f"{name} must have shape (R, K), a row of the log and a slot each, R and K of 1 or more, "
                f"got {column.shape}"
            )
        if kept and column.shape != kept[0].shape:
            raise InputError(
                f"{name} must have the shape of {next(iter(columns))}, {kept[0].shape}, got {column.shape}"
            )
        refuse(name, ~np.isfinite(column), column, "it is not finite: mend or drop the row")
        kept.append(column)
    return kept


def check_slot_weights(slot_reward: Array, slot_weight: Array) -> tuple[Floats, Floats]:
    """(R, K) both as float64.

    Raises:
        InputError: as `check_slots`, and a negative weight.
    """
    slot_reward, slot_weight = check_slots(slot_reward=slot_reward, slot_weight=slot_weight)
    refuse("slot_weight", slot_weight < 0, slot_weight, "weights are 0 or more")
    return slot_reward, slot_weight


def check_slate_rewards(reward: Array) -> Floats:
    """(R,) the reward of each slate, of (R,), or summed of (R, K).

    Raises:
        InputError: another shape, or a reward that is not finite; the message names row and slot.
    """
    reward = as_numbers("reward", reward)
    if reward.ndim == 2:
        return np.asarray(check_slots(reward=reward)[0].sum(axis=1))
    if reward.ndim != 1 or len(reward) == 0:
        raise InputError(f"reward must have shape (R, K) or (R,), R of 1 or more, got {reward.shape}")
    refuse("reward", ~np.isfinite(reward), reward, "it is not finite: mend or drop the row")
    return reward


def check_slates(slate: Array, num_items: int, *, full: bool = False) -> Ints:
    """(R, K) the items as int64, -1 = empty slot.

    Args:
        slate: (R, K).
        num_items: N.
        full: whether empty slots are refused.

    Raises:
        InputError: another shape, no integers, an item outside the catalogue, an item twice in a slate, or
            an empty slot where none may be; the message names row and slot.
    """
    slate = np.asarray(slate)
    if slate.ndim != 2 or slate.size == 0 or slate.dtype.kind not in "iu":
        raise InputError(f"slate must hold integers of shape (R, K), got {slate.dtype} of {slate.shape}")
    slate = slate.astype(np.int64, copy=False)
    refuse(
        "slate",
        (slate < -1) | (slate >= num_items),
        slate,
        f"it is not an item: the catalogue has {num_items} items (0-{num_items - 1})",
    )
    if full:
        refuse("slate", slate < 0, slate, "the slot is empty, and this needs full slates: drop the row")
    for k in range(1, slate.shape[1]):
        twice = (slate[:, :k] == slate[:, k, None]) & (slate[:, k, None] >= 0)
        if twice.any():
            row = int(np.argmax(twice.any(axis=1)))
            raise InputError(f"slate[{row}, {k}] = {slate[row, k]} is in the slate twice: drop the row")
    return slate


def check_slot_distribution(name: str, probability: Array, shape: tuple[int, int]) -> Floats:
    """(R, K, N) a distribution over items for every slot, of (R, K, N), or of (K, N) if all rows share it.

    Raises:
        InputError: another shape, no probability, or a slot that does not sum to 1, naming it.
    """
    probability = as_numbers(name, probability)
    if probability.ndim not in (2, 3) or probability.size == 0 or probability.shape[-2] != shape[1]:
        raise InputError(
            f"{name} must have shape ({shape[0]}, {shape[1]}, N), or ({shape[1]}, N) if it is the same in "
            f"all rows, got {probability.shape}"
        )
    if probability.ndim == 3 and len(probability) != shape[0]:
        raise InputError(f"{name} must have {shape[0]} rows as slate has, got {len(probability)}")
    bad = ~((probability >= 0) & (probability <= 1 + ROUNDING))
    refuse(name, bad, probability, "it is not a probability in [0, 1]")
    total = probability.sum(axis=-1)
    off = np.abs(total - 1) > ROUNDING
    refuse(f"the sum of {name}", off, total, "the probabilities of the items at a slot must sum to 1")
    return np.broadcast_to(probability, (*shape, probability.shape[-1]))
