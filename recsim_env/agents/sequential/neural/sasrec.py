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

from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402

SPREAD = 0.02  # standard deviation of the first weights


class SASRec(nn.Module):
    """Items (U, L) -> states (U, L, D).

    Args:
        num_items: N.
        max_length: L, the longest history that is read, 1 or more.
        dimension: D, a multiple of `heads`.
        blocks: 1 or more.
        heads: 1 or more.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        generator: of the first weights.

    Attributes:
        items: (N + 1, D) vectors e; the last row is that of an empty cell, and 0.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        num_items: int,
        *,
        max_length: int = 50,
        dimension: int = 64,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        whole = {"num_items": num_items, "max_length": max_length, "dimension": dimension}
        check_ranges({**whole, "blocks": blocks, "heads": heads}, {}, {})
        if dimension % heads:
            raise InputError(f"dimension must be a multiple of heads ({heads}), got {dimension}")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be from 0 to below 1, got {dropout}")
        self.num_items, self.max_length = num_items, max_length
        self.items = nn.Embedding(num_items + 1, dimension, padding_idx=num_items)
        self.positions = nn.Embedding(max_length, dimension)
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(dimension)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, SPREAD, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
            self.items.weight[num_items] = 0.0

    def forward(self, items: Tensor) -> Tensor:
        """States (U, L, D) of items (U, L), N = an empty cell, on the left of all items of its row."""
        L = items.shape[1]
        empty = items == self.num_items
        back = torch.arange(L - 1, -1, -1, device=items.device)
        x = self.items(items) * self.items.embedding_dim**0.5 + self.positions(back)
        x = self.dropout(x * ~empty[:, :, None])
        past = torch.ones(L, L, dtype=torch.bool, device=items.device).tril()
        # an empty cell sees itself, as a softmax over nothing is no number; nobody else sees it
        seen = past & (~empty[:, None, :] | torch.eye(L, dtype=torch.bool, device=items.device))
        for block in self.blocks:
            x = block(x, seen[:, None])
        states: Tensor = self.norm(x)
        return states


class Block(nn.Module):
    """One layer of attention and one of feed-forward units."""

    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dimension)
        self.queries_keys_values = nn.Linear(dimension, 3 * dimension)
        self.mixed = nn.Linear(dimension, dimension)
        self.before_units = nn.LayerNorm(dimension)
        self.units = nn.Linear(dimension, dimension)
        self.out = nn.Linear(dimension, dimension)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """X (U, L, D) after this block; seen (U, 1, L, L) says which query sees which key."""
        U, L, D = x.shape
        parts = self.queries_keys_values(self.before_attention(x)).view(U, L, 3, self.heads, D // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (U, h, L, D / h) each
        share = self.dropout.p if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, seen, dropout_p=share)
        y = x + self.dropout(self.mixed(mixed.transpose(1, 2).reshape(U, L, D)))
        after: Tensor = y + self.dropout(self.out(torch.relu(self.units(self.before_units(y)))))
        return after
