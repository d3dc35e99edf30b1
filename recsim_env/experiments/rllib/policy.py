"""A trained network as a policy: observations (B, ...) -> slates (B, K), most probable slot by slot."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns

from recsim_env.arrays import Array, Ints
from recsim_env.experiments.rllib.flat import Flat


def greedy(module: Any, flat: Flat) -> Callable[[dict[str, Array]], Ints]:
    """What the network would show if it did not explore.

    Args:
        module: an RLModule, such as `algorithm.get_module()`.
        flat: how its observations become rows.
    """

    def act(observation: dict[str, Array]) -> Ints:
        rows = torch.as_tensor(flat.rows(observation))
        with torch.no_grad():
            outputs = module.forward_inference({Columns.OBS: rows})
        if Columns.ACTIONS in outputs:  # DQN
            return np.asarray(outputs[Columns.ACTIONS], np.int64)
        logits = outputs[Columns.ACTION_DIST_INPUTS]
        chosen = [part.argmax(dim=-1) for part in logits.split(flat.choices, dim=-1)]
        return np.stack([part.numpy() for part in chosen], axis=1).astype(np.int64)

    return act


def greedy_by_slot(
    module: Any, flat: Flat, num_items: int, slate_size: int
) -> Callable[[dict[str, Array]], Ints]:
    """The same of a network that fills one slot at a time, as `OneSlot` shows it the slate so far."""
    choose = greedy(module, flat)

    def act(observation: dict[str, Array]) -> Ints:
        B = len(next(iter(observation.values())))
        slates = np.full((B, slate_size), num_items)
        allowed = np.ones((B, num_items + 1), np.int8)
        for k in range(slate_size):
            allowed[:, num_items] = k > 0
            seen = {"slot": np.full(B, k), "partial_slate": slates, "action_mask": allowed}
            slates[:, k] = choose({**observation, **seen})
            allowed[np.arange(B), slates[:, k]] = 0
        return slates

    return act


def sampled(module: Any, flat: Flat, seed: int) -> Callable[[dict[str, Array]], Ints]:
    """Slates drawn from the network's own probabilities, as it explores; not of DQN."""
    draws = torch.Generator().manual_seed(seed)

    def act(observation: dict[str, Array]) -> Ints:
        rows = torch.as_tensor(flat.rows(observation))
        with torch.no_grad():
            logits = module.forward_inference({Columns.OBS: rows})[Columns.ACTION_DIST_INPUTS]
        parts = [torch.softmax(part, dim=-1) for part in logits.split(flat.choices, dim=-1)]
        chosen = [torch.multinomial(part, 1, generator=draws)[:, 0] for part in parts]
        return np.stack([part.numpy() for part in chosen], axis=1).astype(np.int64)

    return act
