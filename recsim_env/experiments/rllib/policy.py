"""A trained network as a policy: observations (B, ...) -> slates (B, K), most probable slot by slot.

A network of DQN fills one slot at a time: (B,) items, for an environment behind `OneSlot`; or it chooses
among all slates: (B,) numbers, behind `DiscreteSlates`.
"""

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
