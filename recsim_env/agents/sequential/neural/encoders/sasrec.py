"""SASRec: self-attention over the items of a history, each of which sees itself and what came before it.

Items i_1 .. i_n of a user, the latest last, D numbers each, B blocks, h heads:

    x_t  = sqrt(D) e(i_t) + p(n - t)                 p counts from the end: the latest item has p(0)
    y    = x + dropout(attention(norm(x)))           query t sees keys s <= t
    x'   = y + dropout(W_2 relu(W_1 norm(y)))        both once for every block
    s_t  = norm(x'_t)                                the state after t items
    score(i) = s_n . e(i)                            the same vectors e as at the input

Norms stand before attention and feed-forward layers (pre-LN), which trains without warming up.

Source: Kang, McAuley, "Self-attentive sequential recommendation", ICDM 2018. Ours: pre-LN, and positions
that count from the end, as they do there once a history is padded to a fixed length.
"""

from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder, seen_keys
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class SASRec(SequenceEncoder):
    """Items (U, L) -> states (U, L, D).

    Args:
        items: the vectors e; D is a multiple of `heads`.
        max_length: L, the longest history that is read, 1 or more.
        blocks: 1 or more.
        heads: 1 or more.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        items: ItemVectors,
        *,
        max_length: int = 50,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks}, {}, {})
        D = items.dimension
        self.positions = nn.Embedding(max_length, D)
        self.blocks = nn.ModuleList(AttentionBlock(D, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        states: Tensor = self.norm(self.hidden(items)[-1])
        return states

    def embed(self, items: Tensor) -> Tensor:
        """What enters the first block, (U, L, D)."""
        L = items.shape[1]
        back = torch.arange(L - 1, -1, -1, device=items.device)
        x = self.items(items) * self.items.dimension**0.5 + self.positions(back)
        entering: Tensor = self.dropout(x * (items != self.num_items)[:, :, None])
        return entering

    def hidden(self, items: Tensor) -> list[Tensor]:
        """What enters the first block, and what leaves each, (U, L, D)."""
        found = [self.embed(items)]
        seen = seen_keys(items == self.num_items)
        for block in self.blocks:
            found.append(block(found[-1], seen))
        return found
