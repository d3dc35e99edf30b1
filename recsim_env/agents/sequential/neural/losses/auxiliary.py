"""What an encoder is trained for beside naming the next item: further losses, added to the objective.

    loss = objective + sum over auxiliaries of auxiliary.weight * auxiliary.loss

An auxiliary is a network of its own (it may have nothing to learn), so that what it learns is trained, kept
and taken up again with the encoder. It draws from the generator that it is given, and from nothing else.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class Auxiliary(nn.Module):
    """One further loss.

    Args:
        weight: of it in the whole loss, above 0.

    Raises:
        InputError: a weight out of range.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        check_ranges({}, {}, {"weight": weight})
        self.weight = weight

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Before the first epoch, once: look at what is learned from, make what is learned; default none."""

    def begin_epoch(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Before every epoch; what is made here must depend on the arguments alone. Default nothing."""

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """A number.

        Args:
            network: the encoder, in training.
            sequences: all that is learned from.
            rows: of the batch.
            states: (B, L, D) of the encoder for `rows`.
            generator: on the processor, wherever the states are.
        """
        raise NotImplementedError
