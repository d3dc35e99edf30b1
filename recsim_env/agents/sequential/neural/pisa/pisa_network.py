"""The network of PISA: sessions as ACT-R sees them, what came lately, and what a user holds to over long.

At the start of session x_{t+1}, with the sessions x_1 .. x_t before it, the latest last,

    s_t    = ACTRAttention(x_t)                        base levels at the start of x_{t+1}
    h_t    = unit(blocks(sqrt(D) s + p)_t)             causal self-attention; p(0) is that of the latest
    l_t    = unit(sum_i BLL_i e_i)                     over the F items of the highest base level then
    g      = softmax(W [l_t; h_t] + b)                 two numbers
    u_t    = unit(g_1 l_t + g_2 h_t + s_t)             short-term state, with the last session itself
    score(i) = u_t . e_i + lambda l_t . e_i

The blocks are those of `sasrec.py`. Theirs, and not here: in the repository the base levels and favourites of
all steps of a window are those at its end, so that in training a step is told of plays after it. Here each
step has those of its own time, and no state changes with what comes later.

Letters: W windows, L sessions of a window, M places of a session, F favourites, N items, D dimensions.

Source: Tran and others, "Transformers meet ACT-R", RecSys 2024, and the repository deezer/recsys24-pisa.
"""

from typing import NamedTuple

from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.pisa.actr_attention import COMPONENTS, ACTRAttention
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402


class Windows(NamedTuple):
    """What the network reads of W windows of L sessions; N is an empty cell or favourite.

    Empty sessions, all N, stand on the left.
    """

    items: Tensor  # (W, L, M) int64
    base_level: Tensor  # (W, L, M) of the session's items, when the next one begins
    spreading: Tensor  # (W, L, M)
    favourites: Tensor  # (W, L, F) int64, when the next one begins
    strength: Tensor  # (W, L, F)


class PISANetwork(nn.Module):
    """Windows -> short-term and long-term states (W, L, D) at the start of each next session.

    Args:
        num_items: N.
        length: L, sessions of a window at most, 1 or more.
        dimension: D, a multiple of `heads`.
        blocks: 1 or more.
        heads: 1 or more.
        components: of `ACTRAttention`.
        flatten: of `ACTRAttention`.
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
        length: int = 20,
        dimension: int = 128,
        blocks: int = 2,
        heads: int = 2,
        components: tuple[str, ...] = COMPONENTS,
        flatten: float = 0.5,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        check_ranges({"num_items": num_items, "length": length, "dimension": dimension}, {}, {})
        check_ranges({"blocks": blocks, "heads": heads}, {}, {})
        if dimension % heads:
            raise InputError(f"dimension must be a multiple of heads ({heads}), got {dimension}")
        self.num_items, self.length = num_items, length
        self.items = nn.Embedding(num_items + 1, dimension, padding_idx=num_items)
        self.positions = nn.Embedding(length, dimension)
        self.attention = ACTRAttention(components, flatten=flatten)
        self.blocks = nn.ModuleList(AttentionBlock(dimension, heads, 0.0) for _ in range(blocks))
        self.gate = nn.Linear(2 * dimension, 2)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, dimension**-0.5, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
            self.items.weight[num_items] = 0.0

    def forward(self, seen: Windows) -> tuple[Tensor, Tensor]:
        """U and l, (W, L, D) each."""
        L, D = seen.items.shape[1], self.items.embedding_dim
        session = self.sessions(seen.items, seen.base_level, seen.spreading)
        there = (seen.items < self.num_items).any(dim=2)
        back = torch.arange(L - 1, -1, -1, device=seen.items.device)
        x = (D**0.5 * session + self.positions(back)) * there[:, :, None]
        past = torch.ones(L, L, dtype=torch.bool, device=seen.items.device).tril()
        # an empty session sees itself, as a softmax over nothing is no number; nobody else sees it
        sees = past & (there[:, None, :] | torch.eye(L, dtype=torch.bool, device=seen.items.device))
        for block in self.blocks:
            x = block(x, sees[:, None])
        short = normalize(x, dim=2)
        long = normalize((seen.strength[..., None, :] @ self.items(seen.favourites))[..., 0, :], dim=2)
        share = torch.softmax(self.gate(torch.cat([long, short], dim=2)), dim=2)
        state: Tensor = normalize(share[..., :1] * long + share[..., 1:] * short + session, dim=2)
        return state, long

    def sessions(self, items: Tensor, base_level: Tensor, spreading: Tensor) -> Tensor:
        """Vectors (W, L, D) of sessions (W, L, M)."""
        found: Tensor = self.attention(self.items(items), items < self.num_items, base_level, spreading)
        return found
