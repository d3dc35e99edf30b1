"""ReaRec's ensemble reasoning: the mean of all steps is used, and steps are to predict different things.

With the states s_k of `LatentReasoning` (read-out mean) after k = 0 .. R steps at one position of a user, and
p_k = softmax of the scores s_k . c(i) of all items:

    loss = -mean over users and pairs k != j of KL(p_k || sg p_j),    in nats; sg: no gradient passes

The position is drawn, one a user of the batch, from those with a next item: scores of all items at all
positions and steps would take longer than all the rest.

Source: Tang and others, "Think before recommend" (ReaRec), 2025, arXiv 2503.22675, and its public code, where
the loss has the weight 0.05 and the gradient stops at p_j too. Ours: the position that is drawn; it reasons
after one position alone.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import check_reasoning, steps_of
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class EnsembleReasoning(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.

    Raises:
        InputError: a weight out of range; `begin`: an encoder that does not reason, or is not read out by
            the mean of its steps.
    """

    def __init__(self, *, weight: float = 0.05) -> None:
        super().__init__(weight)

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the encoder."""
        read_out = check_reasoning(network, "EnsembleReasoning").read_out
        if read_out != "mean":
            raise InputError(
                f"EnsembleReasoning needs the read-out mean, got {read_out}: nothing would hold the steps "
                "that differ to the next item"
            )

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        chance = torch.rand(rows.targets.shape, generator=generator)
        drawn = chance.masked_fill(torch.from_numpy(rows.targets) < 0, -1.0).argmax(dim=1).to(states.device)
        found = steps_of(network, states)
        at = found[torch.arange(len(found), device=found.device), drawn]  # (B, R + 1, D)
        log_p = torch.log_softmax(at @ network.candidates().T, dim=-1)
        with torch.autocast(log_p.device.type, enabled=False):  # it is a difference of two large sums
            return -mean_divergence(log_p).mean()


def mean_divergence(log_p: Tensor) -> Tensor:
    """The mean of KL(p_k || sg p_j) over pairs k != j, (B,), of log p (B, K, N), K of 2 or more."""
    K = log_p.shape[1]
    p, fixed = log_p.exp(), log_p.detach()
    own = (p * log_p).sum(dim=-1)  # (B, K)
    across = p @ fixed.mT  # (B, K, K)
    return (
        (K - 1) * own.sum(dim=1) - across.sum(dim=(1, 2)) + across.diagonal(dim1=1, dim2=2).sum(dim=1)
    ) / (K * (K - 1))
