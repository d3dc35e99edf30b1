"""ManCAR's graph prior: each step of the reasoning is drawn to where the item graph says that users go.

With the states s_tk of `LatentReasoning` after t items and k = 0 .. R steps, the prior g_t over the
neighbours of the recent items (see `Neighbourhood`), and the next item i:

    b_k  = (R + 1 - k) / (R + 2)                                how much of the graph is left at step k
    q_tk = b_k g_t + (1 - b_k) [the next item]                  the teacher of step k
    loss = mean over t and k of KL(q_tk || softmax_j(s_tk . c(j))),    in nats

So reasoning begins in the neighbourhood of the recent items and narrows down to one of them; where no item is
followed by any in the log, the teacher is the next item alone. What is left of KL(g_t || p_tk) is the drift.
As q is a mixture, its cross-entropy is a full softmax of the next item and a line:
-sum_j q(j) log p(j) = -log p(i) + s . c(i) - s . sum_j q(j) c(j), so no score is computed twice.

Source: Yang and others, "ManCAR: manifold-constrained latent reasoning with adaptive test-time computation
for sequential recommendation", 2026: KL to a prior over the item graph's neighbourhood, and a teacher that
sharpens from step to step. Its public code (FuCongResearchSquad/ManCAR) has the next item first and ten
neighbours after it, weighted by exp(-rank / (R + 1 - k)); the next item's weight rises from .29 to .63 there
for R = 2, and from .25 to .75 here. Ours: frequencies in place of ranks, b_k, and no neighbours among the
inputs of the encoder, which it has too. The transition to be predicted is one of those counted.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import check_reasoning, steps_of
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.neighbourhood import (
    Neighbourhood,
    check_neighbourhood,
    share_of_id,
)
from recsim_env.agents.sequential.neural.losses.objectives import loss
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class GraphPrior(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        recent: items whose neighbours count, 1 or more.
        neighbours: of each, 1 or more.
        fading: weight of an item over that of the one after it, above 0, at most 1.

    Raises:
        InputError: a number out of range; `begin`: an encoder that does not reason.
    """

    neighbourhood_: Neighbourhood

    def __init__(
        self, *, weight: float = 1.0, recent: int = 3, neighbours: int = 10, fading: float = 0.5
    ) -> None:
        super().__init__(weight)
        check_neighbourhood(recent, neighbours, fading)
        self.recent, self.neighbours, self.fading = recent, neighbours, fading

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the encoder, and count transitions."""
        check_reasoning(network, "GraphPrior")
        self.neighbourhood_ = Neighbourhood(
            sequences, recent=self.recent, neighbours=self.neighbours, fading=self.fading
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
        items, targets = (torch.from_numpy(part).to(states.device) for part in (rows.items, rows.targets))
        known = targets >= 0
        target = targets[known]
        ids, share = (part[known] for part in self.neighbourhood_(items))  # (M, C) each
        of_id, is_next = share_of_id(ids, share), ids == target[:, None]
        of_next = (share * is_next).sum(dim=1)
        table = network.candidates()
        of_target, of_prior = table[target], self.neighbourhood_.mean_vectors(items, table)[known]
        found = steps_of(network, states)
        steps, value = found.shape[2], found.sum() * 0.0
        for k in range(steps):
            left = (steps - k) / (steps + 1) * share.sum(dim=1)  # b_k, or 0 without neighbours
            b = left[:, None]
            own = torch.xlogy(b * share, b * of_id + (1 - b) * is_next).sum(dim=1)
            own = own + torch.xlogy(1 - left, 1 - left + left * of_next)  # sum_j q(j) log q(j)
            s = found[:, :, k][known]
            line = (s * b * (of_target - of_prior)).sum(dim=1)
            nll = loss("full_softmax", s, target, network.candidates, network.num_items, generator)
            value = value + (nll + (own + line).mean()) / steps
        return value
