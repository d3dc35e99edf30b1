"""BERT4Rec: attention over a whole history, in which some items are hidden and are to be named.

Items i_1 .. i_n of a user, the latest last, some of them replaced by the hidden item, which has a vector of
its own; D numbers each, B blocks, h heads:

    x_t  = dropout(norm(e(i_t) + p(n - t)))             p counts from the end: the latest item has p(0)
    y    = x + dropout(attention(norm(x)))              every query sees all items, before and after it
    x'   = y + dropout(W_2 gelu(W_1 norm(y)))           4 D units; both once for every block
    s_t  = norm(gelu(W norm(x'_t) + b))                 the state at cell t, of what is hidden there
    score(i) = s_t . e(i)                               the same vectors e as at the input

It is trained at the hidden items (objective `cloze`). To score what comes next, a hidden item is appended, so
that the latest max_length - 1 items are read.

Source: Sun and others, "BERT4Rec: sequential recommendation with bidirectional encoder representations from
transformer", CIKM 2019. Ours: norms before attention and feed-forward layers (pre-LN), which trains without
warming up; positions that count from the end; no bias for each item in the scores. The norm of x is in the
authors' code, not in their equations: without it the positions, small at first, go unheard.
"""

from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import (
    SPREAD,
    SequenceEncoder,
    seen_keys,
)
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import gelu  # noqa: E402


class BERT4Rec(SequenceEncoder):
    """Items (U, L) -> states (U, L, D).

    Args:
        items: the vectors e; D is a multiple of `heads`.
        max_length: L, the longest history that is read, 2 or more: one cell is for the item to come.
        blocks: 1 or more.
        heads: 1 or more.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    reads = "around"

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
        if max_length < 2:
            raise InputError(f"max_length must be at least 2, one cell being hidden, got {max_length}")
        self.hidden_item = nn.Parameter(torch.empty(D).normal_(0.0, SPREAD, generator=generator))
        self.positions = nn.Embedding(max_length, D)
        self.norm_of_items = nn.LayerNorm(D)
        self.blocks = nn.ModuleList(
            AttentionBlock(D, heads, dropout, widening=4, activation=gelu) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(D)
        self.line = nn.Linear(D, D)
        self.norm_of_line = nn.LayerNorm(D)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        L, N = items.shape[1], self.num_items
        empty, hidden = items == N, items == N + 1
        vectors = torch.where(hidden[:, :, None], self.hidden_item, self.items(items.clamp(max=N)))
        back = torch.arange(L - 1, -1, -1, device=items.device)
        x = self.dropout(self.norm_of_items(vectors + self.positions(back)) * ~empty[:, :, None])
        seen = seen_keys(empty, past=False)
        for block in self.blocks:
            x = block(x, seen)
        states: Tensor = self.norm_of_line(gelu(self.line(self.norm(x))))
        return states
