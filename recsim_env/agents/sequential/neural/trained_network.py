"""A network that is trained epoch by epoch, rated after each, and kept as it was when it was best.

Training ends `patience` epochs after the best one, or after `epochs`. All chance depends on seed and epoch
alone, so a training that is interrupted between epochs and goes on from `network_`, `optimiser_`, `best_` and
`validation_` does what it would have done, on one machine and in one version of PyTorch.
"""

from typing import Generic, TypeVar

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

LONGEST_GRADIENT = 5.0

Network = TypeVar("Network", bound=nn.Module)


def luck_of_epoch(seed: int, epoch: int) -> tuple[np.random.Generator, torch.Generator, int]:
    """What an epoch draws from: two generators, and the seed of the second."""
    drawn = np.random.SeedSequence([seed, epoch]).generate_state(2)
    second = int(drawn[1])
    return np.random.default_rng(drawn[0]), torch.Generator().manual_seed(second), second


class TrainedNetwork(Generic[Network]):
    """What recommenders that train one share; they make `network_`, `best_` and `optimiser_`."""

    epochs: int
    patience: int
    learning_rate: float
    seed: int
    network_: Network
    best_: Network
    optimiser_: torch.optim.Optimizer
    validation_: Floats  # (epochs,) after each

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing."""
        done = len(self.validation_)
        return done >= self.epochs or (done > 0 and done > int(self.validation_.argmax()) + self.patience)

    def luck_of_epoch(self) -> tuple[np.random.Generator, torch.Generator, int]:
        """What the next epoch draws from, see the function."""
        return luck_of_epoch(self.seed, len(self.validation_))

    def learn(self, value: Tensor, step: int) -> None:
        """One step down a loss.

        Args:
            value: the loss.
            step: of the epoch.

        Raises:
            InputError: a loss that is no number.
        """
        if not torch.isfinite(value):
            raise InputError(
                f"the loss is {value.item()} at step {step} of epoch {len(self.validation_)}: lower "
                f"learning_rate ({self.learning_rate}); best_ is the network with the best validation so far"
            )
        self.optimiser_.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.network_.parameters(), LONGEST_GRADIENT)
        self.optimiser_.step()

    def rate(self, network: Network, found: float) -> None:
        """End an epoch with the validation of a network, which is kept if it is the best."""
        if len(self.validation_) == 0 or found > self.validation_.max():
            self.best_.load_state_dict(network.state_dict())
        self.validation_ = np.append(self.validation_, found)
