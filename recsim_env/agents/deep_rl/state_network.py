"""Observations of our worlds as numbers, and two layers on top: the state h(s) that a head then reads.

    entry of an observation                          numbers it becomes
    `step`                                           step / H
    a whole number of at most 64 values              one-hot
    a whole number of more values                    a learnt vector of 16 numbers (users, items)
    several whole numbers (the last slate)           the same, one after the other
    flags (the last clicks)                          0 or 1
    real numbers x with |x| <= b, b <= 100           x / b
    real numbers of a larger bound (days away)       sign(x) log(1 + |x|) / log(1 + b)

    h(s) = relu(W_2 relu(W_1 x(s) + c_1) + c_2)

Nothing is kept of earlier observations: what a user did before the last slate is not seen. Weights are
drawn from the generator that is given, uniform in +-1/sqrt(inputs), and from nowhere else.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

MOST_ONE_HOT = 64
EMBEDDED = 16
LARGE = 100.0


class Entry(Protocol):
    """What one entry of an observation can be; `World.observation_entries` holds such."""

    @property
    def low(self) -> float:
        """The least value."""

    @property
    def high(self) -> float:
        """The largest."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""

    @property
    def dtype(self) -> type:
        """np.int64, np.float32, or np.int8 for flags."""


class StateNetwork(nn.Module):
    """Observations -> h(s) (B, units).

    Args:
        entries: of the observation, by name; the order is kept.
        units: of both layers.
        generator: of the first weights.

    Attributes:
        inputs: length of x(s).

    Raises:
        InputError: no entries.
    """

    def __init__(self, entries: Mapping[str, Entry], units: int, generator: torch.Generator) -> None:
        super().__init__()
        if not entries:
            raise InputError("entries must name at least one entry of the observation, got none")
        self.entries = dict(entries)
        self.embeddings = nn.ModuleDict()
        self.inputs = 0
        for name, entry in self.entries.items():
            values, cells = int(entry.high) + 1, int(np.prod(entry.shape, dtype=np.int64))
            if _way(name, entry) == "embedded":
                table = torch.empty(values, EMBEDDED).normal_(generator=generator)
                learnt = nn.Embedding.from_pretrained(table, freeze=False)
                self.embeddings[name] = learnt
            width = {"embedded": EMBEDDED, "one_hot": values}.get(_way(name, entry), 1)
            self.inputs += width * cells
        self.first = linear(self.inputs, units, generator)
        self.second = linear(units, units, generator)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """h(s) (B, units), of an observation by `tensors`."""
        hidden: Tensor = torch.relu(self.second(torch.relu(self.first(self.encode(observation)))))
        return hidden

    def encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        """x(s) (B, inputs)."""
        parts = []
        for name, entry in self.entries.items():
            x, way = observation[name], _way(name, entry)
            bound = max(abs(entry.low), abs(entry.high), 1e-9)
            if way == "embedded":
                x = self.embeddings[name](x)
            elif way == "one_hot":
                x = nn.functional.one_hot(x, int(entry.high) + 1).float()
            elif way == "logarithm":
                x = torch.sign(x) * torch.log1p(x.abs()) / np.log1p(bound)
            else:
                x = x.float() / bound
            parts.append(x.reshape(len(x), -1))
        return torch.cat(parts, dim=1)


def _way(name: str, entry: Entry) -> str:
    if entry.dtype is np.int64 and name != "step":
        return "one_hot" if entry.high < MOST_ONE_HOT else "embedded"
    return "logarithm" if entry.dtype is np.float32 and max(-entry.low, entry.high) > LARGE else "divided"


def tensors(arrays: Mapping[str, Array], entries: Mapping[str, Entry], prefix: str = "") -> dict[str, Tensor]:
    """The entries of an observation, `prefix` before each name, as tensors of their dtypes.

    Raises:
        InputError: an entry is missing.
    """
    found = {}
    for name, entry in entries.items():
        if prefix + name not in arrays:
            raise InputError(f"the observation has no {name!r}, it has {', '.join(arrays) or 'nothing'}")
        found[name] = torch.from_numpy(np.array(arrays[prefix + name], entry.dtype, order="C"))
    return found


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer whose weights and constants are uniform in +-1/sqrt(inputs)."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer


def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Move the weights of a target network this share of the way (Polyak averaging)."""
    with torch.no_grad():
        for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
            mine.lerp_(theirs, share)
