"""A policy that learns without its catalogue, and is decoded with it: the other side of constrained training.

    loss    - mean over steps of sum over levels l of log softmax over all V_l codes of logit(c_l | h, c_1 ..)

Codes that no item has after a prefix are candidates of the softmax, so it learns from every step which may
follow. A search goes along the catalogue all the same, where log pi is what it is for any policy.

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023, whose loss
it is; MSCGRec, 2025, which holds it against that over codes that may follow.
"""

from recsim_env.agents.generative.generative_recommender import GenerativeRecommender, PolicyEncoder
from recsim_env.agents.generative.heads.head import Past
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.sequences import Rows
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402


class AllCodes(GenerativeRecommender):
    """A recommender that learns by the loss above: an ablation, for policies without preferences.

    Args:
        of: an untrained recommender, whose policy and settings it takes over.
    """

    def __init__(self, of: GenerativeRecommender) -> None:
        self.__dict__.update(vars(of))

    def _mean_loss(self, network: SequenceEncoder, states: Tensor, rows: Rows) -> Tensor:
        assert isinstance(network, PolicyEncoder)
        items, targets = (torch.from_numpy(part).to(states.device) for part in (rows.items, rows.targets))
        past = network.policy.steps(states, items)
        return over_all_codes(network.policy, past, targets.clamp(min=0))[targets >= 0].mean()


def over_all_codes(policy: GenerativePolicy, past: Past, items: Tensor) -> Tensor:
    """Cross-entropy (U, Q) of an item (U, Q) at every step of a past, over all codes of each level."""
    codes = policy.trie.codes[items]
    logits = policy.head(past, codes[:, :, None, :-1])
    each = [
        cross_entropy(
            values[:, :, 0].flatten(0, 1) / policy.temperature, codes[..., level].flatten(), reduction="none"
        )
        for level, values in enumerate(logits)
    ]
    return torch.stack(each).sum(dim=0).view_as(items)
