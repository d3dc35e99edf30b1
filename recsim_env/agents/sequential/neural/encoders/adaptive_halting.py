"""Adaptive halting: each user's reasoning stops once a step hardly changes what is predicted.

With the state m_k of a user after k steps of `LatentReasoning`, as its read-out makes it of s_0 .. s_k, and
p_k = softmax of the scores m_k . c(i) of all items:

    k* = the first k of 1 .. R with KL(p_k || p_k-1) < threshold, or R if there is none;    state = m_k*

Users who have stopped are not computed any further. Each step costs the scores of all items, once for every
user who is still in it.

Source: Yang and others, "ManCAR: manifold-constrained latent reasoning with adaptive test-time computation
for sequential recommendation", 2026, and its public code (FuCongResearchSquad/ManCAR), which takes the
divergence the other way round, KL(p_k-1 || p_k).
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import LatentReasoning, check_reasoning
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class AdaptiveHalting(SequenceEncoder):
    """Items (U, L) -> the state after the last of them, in all cells (U, L, D); not for training.

    Args:
        encoder: a trained `LatentReasoning` of 1 step or more.
        threshold: in nats, above 0.

    Raises:
        InputError: another encoder, a number out of range. `forward`: it is in training.
    """

    reads = "whole"  # only the state after the last item is one
    encoder: LatentReasoning

    def __init__(self, encoder: SequenceEncoder, *, threshold: float = 0.03) -> None:
        super().__init__(encoder.items, encoder.max_length)
        check_ranges({}, {}, {"threshold": threshold})
        self.encoder, self.threshold = check_reasoning(encoder, "AdaptiveHalting"), threshold
        self.eval()

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`."""
        return self.halted(items)[0][:, None].expand(-1, items.shape[1], -1)

    def halted(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """The state (U, D) after the last item, and the steps (U,) that it took, 1 to R.

        Raises:
            InputError: it is in training.
        """
        if self.training:
            raise InputError(
                "AdaptiveHalting is for a trained network: train the LatentReasoning, then wrap it"
            )
        state, memory = self.encoder.read(items, last_alone=True)
        table = self.encoder.candidates().T
        shown, steps = state[:, 0], torch.zeros(len(items), dtype=torch.int64, device=items.device)
        before = torch.log_softmax(shown @ table, dim=-1)
        going, total = torch.arange(len(items), device=items.device), state
        for step in range(self.encoder.steps):
            state = self.encoder.step(step, state, memory)
            total = total + state
            found = total / (step + 2) if self.encoder.read_out == "mean" else state
            log_p = torch.log_softmax(found[:, 0] @ table, dim=-1)
            shown = shown.index_put((going,), found[:, 0])
            steps[going] = step + 1
            left = ((log_p.exp() * (log_p - before)).sum(dim=-1) >= self.threshold).nonzero()[:, 0]
            if len(left) == 0:
                break
            state, total, before, going = state[left], total[left], log_p[left], going[left]
            memory = memory.rows(left)
        return shown, steps

    def candidates(self, items: Tensor | None = None) -> Tensor:
        """Those of the wrapped encoder."""
        return self.encoder.candidates(items)
