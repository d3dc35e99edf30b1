"""SETRec's head: some queries, which do not see each other, each look for one of the tokens of the next item.

    o_q      = query q, after blocks of attention to all that was read (see `decoder.py`)
    score(i) = sum over q of b_q o_q . t_q(i),      b = softmax of learned numbers, t the tokens of item i

One code an item, as of `projection.py`: pi is a softmax of the scores. `QueryLoss` trains every query alone
as well: mean over q of the cross-entropy of o_q . t_q(i) over all items, and the autoencoder of the tokens.

Source: Lin and others, "Order-agnostic identifier for large language model-based generative recommendation"
(SETRec), 2025, and its code (Linxyhaha/SETRec). Ours: queries begin at the last state; the sum over queries
is trained as well as each, so that pi is what is learned.
"""

from typing import cast

from recsim_env.agents.generative.generative_recommender import PolicyEncoder
from recsim_env.agents.generative.heads.decoder import DecoderBlock
from recsim_env.agents.generative.heads.head import Past
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.set_tokens import SetTokens
from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD, SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402


class SetQueryHead(ProjectionHead):
    """See the module.

    Args:
        items: their tokens.
        blocks: of attention, 1 or more.
        heads: of attention.
        dropout: from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range, other items.
    """

    def __init__(
        self,
        items: SetTokens,
        *,
        blocks: int = 1,
        heads: int = 2,
        dropout: float = 0.1,
        generator: torch.Generator,
    ) -> None:
        if not isinstance(items, SetTokens):
            raise InputError(f"SetQueryHead needs items of SetTokens, got {type(items).__name__}")
        super().__init__(items)
        self.items: SetTokens = items
        check_ranges({"blocks": blocks}, {}, {})
        queries = items.tokens().shape[1]
        self.queries = nn.Parameter(torch.randn(queries, items.dimension, generator=generator))
        self.shares = nn.Parameter(torch.zeros(queries))
        self.blocks = nn.ModuleList(
            DecoderBlock(items.dimension, heads, dropout, 2, 0, 1) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(items.dimension)
        with torch.no_grad():
            for name, parameter in self.blocks.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, SPREAD, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()

    def forward(self, past: Past, codes: Tensor) -> list[Tensor]:
        """See `IdentifierHead`."""
        share = torch.softmax(self.shares, dim=0)
        wanted = (share[:, None] * self.wanted(past)).flatten(2)
        return [(wanted @ self.items.tokens().flatten(1).T).unsqueeze(2)]

    def wanted(self, past: Past) -> Tensor:
        """The o (U, Q, queries, D)."""
        x = (past.state.unsqueeze(2) + self.queries).unsqueeze(3)  # each an identifier of its own to a block
        for block in self.blocks:
            x = block(x, past)
        found: Tensor = self.norm(x.squeeze(3))
        return found


class QueryLoss(Auxiliary):
    """Cross-entropy of every query alone, and `reconstruction` times the loss of the tokens' autoencoder.

    Args:
        weight: of both, above 0.
        reconstruction: alpha, 0 or more.

    Raises:
        InputError: a number out of range; `begin`: a policy without such a head.
    """

    def __init__(self, *, weight: float = 1.0, reconstruction: float = 0.7) -> None:
        super().__init__(weight)
        if reconstruction < 0:
            raise InputError(f"reconstruction must be 0 or more, got {reconstruction}")
        self.reconstruction = reconstruction

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the policy."""
        if not isinstance(network, PolicyEncoder) or not isinstance(network.policy.head, SetQueryHead):
            raise InputError("QueryLoss needs a GenerativeRecommender with a SetQueryHead")

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        policy = cast(PolicyEncoder, network).policy
        head = cast(SetQueryHead, policy.head)
        items, targets = (torch.from_numpy(part).to(states.device) for part in (rows.items, rows.targets))
        known, tokens = targets >= 0, head.items.tokens()
        wanted = head.wanted(policy.steps(states, items))[known]
        value = self.reconstruction * head.items.reconstruction()
        for query in range(wanted.shape[1]):
            scores = wanted[:, query] @ tokens[:, query].T / policy.temperature
            value = value + cross_entropy(scores, targets[known]) / wanted.shape[1]
        return value
