"""What tokenisers that are trained share: features of mean 0 and variance 1, and the loop of Adam."""

from collections.abc import Callable, Iterable

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class Standardised:
    """Features (N, D) less their mean, over the deviation of all their numbers.

    Attributes:
        x: (N, D) float32.
    """

    def __init__(self, features: Floats) -> None:
        self._mean = features.mean(axis=0)
        centred = features - self._mean
        self._spread = max(float(centred.std()), 1e-12)
        self.x = torch.from_numpy(centred / self._spread).float()

    def features(self, x: Tensor) -> Floats:
        """The features that (N, D) stand for.

        Raises:
            InputError: some are no numbers.
        """
        found: Floats = x.double().numpy() * self._spread + self._mean
        if not np.isfinite(found).all():
            raise InputError(
                "what the codes stand for is no number after the last epoch: lower learning_rate"
            )
        return found


def minimise(
    parameters: Iterable[nn.Parameter],
    num_items: int,
    loss: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    begin_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Steps of Adam down a loss.

    Args:
        parameters: that are trained.
        num_items: N.
        loss: rows (B,) of a batch -> its loss.
        generator: of the batches.
        epochs: how often every item has its turn.
        batch_size: items of one gradient.
        learning_rate: of Adam.
        begin_epoch: what is done before each.

    Raises:
        InputError: a loss that is no number.
    """
    optimiser = torch.optim.Adam(parameters, learning_rate, fused=True)
    for epoch in range(epochs):
        begin_epoch()
        for rows in torch.randperm(num_items, generator=generator).split(batch_size):
            value = loss(rows)
            if not torch.isfinite(value):
                raise InputError(f"the loss is {value.item()} in epoch {epoch}: lower learning_rate")
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
