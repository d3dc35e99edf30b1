"""Codes one after the other, each given the state and those before it: a small transformer over codes.

    x_0 = s + p_0,    x_l = E_l(c_l) + p_l,    y = causal attention blocks over x_0 .. x_l
    logits of code l + 1 = norm(y_l) . E_{l+1}(c)      the same vectors E as at the input, each level its own

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023. Ours: it
reads the one state that a sequence encoder leaves; TIGER attends to all of them, as `decoder.py` does.
"""

from collections.abc import Callable, Sequence

from recsim_env.agents.generative.decoding import NextCode
from recsim_env.agents.generative.heads.head import IdentifierHead, Past
from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class AutoregressiveHead(IdentifierHead):
    """See the module.

    Args:
        level_sizes: (L,) V_1 .. V_L.
        dimension: D, a multiple of `heads`.
        blocks: of attention, 1 or more.
        heads: of attention.
        dropout: from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        dimension: int,
        *,
        blocks: int = 1,
        heads: int = 2,
        dropout: float = 0.1,
        generator: torch.Generator,
    ) -> None:
        super().__init__(level_sizes)
        check_ranges({"blocks": blocks}, {}, {})
        self.vectors = nn.ModuleList(nn.Embedding(size, dimension) for size in self.level_sizes)
        self.positions = nn.Embedding(len(self.level_sizes), dimension)
        self.blocks = nn.ModuleList(
            AttentionBlock(dimension, heads, dropout, widening=2) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(dimension)
        self.draw_first_weights(generator)

    def draw_first_weights(self, generator: torch.Generator) -> None:
        """Normal numbers of deviation SPREAD in every matrix, 0 in every bias; the rest stays as it is."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, SPREAD, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()

    def forward(self, past: Past, codes: Tensor) -> list[Tensor]:
        """See `IdentifierHead`."""
        length = codes.shape[-1] + 1
        state = past.state.unsqueeze(2).expand(*codes.shape[:-1], -1)
        parts = [state, *(self.vectors[level](codes[..., level]) for level in range(length - 1))]
        x = torch.stack(parts, dim=3) + self.positions.weight[:length]  # (U, Q, G, l + 1, D)
        y = self.norm(self.read(x, past))
        first = y[:, :, :1, 0] @ self.vectors[0].weight.T  # the same whatever the codes
        further = (y[..., level, :] @ self.vectors[level].weight.T for level in range(1, length))
        return [first, *further]

    def read(self, x: Tensor, past: Past) -> Tensor:
        """What the blocks make of codes, (U, Q, G, l + 1, D), each of which sees itself and those before."""
        seen = torch.ones(x.shape[3], x.shape[3], dtype=torch.bool, device=x.device).tril()
        for block in self.blocks:
            found = block.attend(block.projected(x.flatten(0, 2)), seen)
            x = self.rest(block, past)(x, found)
        return x

    def rest(self, block: AttentionBlock, past: Past) -> Callable[[Tensor, Tensor], Tensor]:
        """What a block does with codes (U, Q, G, l, D) once these have found (U Q G, h, l, D / h)."""
        return lambda x, found: block.after(x.flatten(0, 2), found).view_as(x)

    def next_code(self, past: Past) -> NextCode:
        """See `IdentifierHead`: keys and values of the codes so far are kept, so that each is read once."""
        blocks = [(block, self.rest(block, past)) for block in self.blocks]
        kept: list[Tensor] = []  # of each block, (2, U M, h, l, D / h) keys and values of the codes of a beam

        def logits(level: int, parents: Tensor, codes: Tensor) -> Tensor:
            (U, M), before = codes.shape, kept.copy()
            kept.clear()
            x = self.vectors[level - 1](codes) if level else past.state.expand(-1, M, -1)
            x = (x + self.positions.weight[level])[:, None, :, None]
            for place, (block, rest) in enumerate(blocks):
                query, *own = block.projected(x.flatten(0, 2))
                known = torch.stack(own)
                if level:
                    beams = before[place].shape[1] // U
                    row = (parents + beams * torch.arange(U, device=parents.device)[:, None]).flatten()
                    known = torch.cat([before[place][:, row], known], dim=3)
                kept.append(known)
                x = rest(x, block.attend((query, *known), None))
            return self.norm(x[:, 0, :, 0]) @ self.vectors[level].weight.T

        return logits
