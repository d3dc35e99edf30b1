"""Bayesian personalised ranking of a policy: the next item above one that was drawn instead.

    loss = mean over steps of  -log sigma(log pi(i | h) - log pi(j | h))

i is what came next after h, and j is drawn uniformly from the items that the user's row does not hold, one a
step. With a projection head the normalisers cancel, and it is BPR of inner products; the loss of a pair is
that of `dpo_loss` without a reference, at beta = 1. The identifiers of i and j are read at every step, which
makes the head's work three times that of cross-entropy alone.

Source: Rendle and others, "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009; Wang and
others, "Content-based collaborative generation for recommender systems" (ColaRec), CIKM 2024, and its code
(Junewang0614/ColaRec), which adds it to the likelihood of identifiers. Ours: pairs are scored by log pi,
where ColaRec takes the inner product of what its encoder makes of a user and of an item's text; all steps,
where it takes one target a user; the weight, which there is 1 beside .08 of cross-entropy.
"""

from typing import cast

from recsim_env.agents.generative.generative_recommender import PolicyEncoder
from recsim_env.agents.generative.preference.dpo import dpo_loss
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.pisa.bpr import draw_negatives
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class PairwiseRanking(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.

    Raises:
        InputError: a weight out of range; `begin`: a network without a policy, or no more items than a row
            may hold, of which none could be drawn.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__(weight)

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the policy, and at how long rows are."""
        if not isinstance(network, PolicyEncoder):
            raise InputError("pairwise ranking needs a GenerativeRecommender: it compares log pi of items")
        longest = min(int(sequences.length.max()), network.max_length + 1)
        if longest >= sequences.num_items:
            raise InputError(
                f"pairwise ranking draws items that a user's row does not hold: rows have up to {longest} "
                f"items, and there are {sequences.num_items}; lower max_length of the encoder"
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
        policy, N = cast(PolicyEncoder, network).policy, sequences.num_items
        items, targets = torch.from_numpy(rows.items), torch.from_numpy(rows.targets)
        held = torch.cat([items, targets.where(targets >= 0, N)], dim=1)
        every = torch.arange(1, N + 1, dtype=torch.float64) / N
        drawn = draw_negatives(held[:, None], every, generator)[:, 0, items.shape[1] :]
        items, targets, drawn = (part.to(states.device) for part in (items, targets, drawn))
        past = policy.steps(states, items)
        if network.reads == "whole":  # earlier states have read the item that comes next
            past, targets, drawn = past.last, targets[:, -1:], drawn[:, -1:]
        pairs = torch.stack([targets.clamp(min=0), drawn], dim=2)
        log_pi = policy.log_prob_of(past, pairs)[targets >= 0]
        return dpo_loss(log_pi[:, 0], log_pi[:, 1:], beta=1.0)
