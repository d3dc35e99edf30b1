"""The decoder of an encoder-decoder: codes one after the other, each of which looks at all that was read.

    x_0 = s + p_0,    x_l = E_l(c_l) + p_l
    y  = x + dropout(attention(norm(x)))              a code sees itself and those before it
    z  = y + dropout(attention(norm(y), memory))      and all cells of the history that the step may look at
    x' = z + dropout(units(norm(z)))                  once for every block; units dense, or experts
    logits of code l + 1 = norm(x'_l) . E_{l+1}(c)

s and the memory are the states of any sequence encoder. With one that reads the past, all steps of a user are
learned from at once, as each step sees the cells up to its own; one that reads the whole is T5's.

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023; Deng and
others, "OneRec", 2025 (experts in place of dense units). Ours: norms before the layers, the last state at the
place of a start token, vectors of codes shared between input and output.
"""

from collections.abc import Callable, Sequence
from typing import cast

from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.expert_units import ExpertUnits
from recsim_env.agents.generative.heads.head import Past
from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402


class DecoderHead(AutoregressiveHead):
    """See the module.

    Args:
        level_sizes: (L,) V_1 .. V_L.
        dimension: D, a multiple of `heads`.
        blocks: 1 or more.
        heads: of both attentions.
        dropout: from 0 to below 1.
        widening: units / D, of an expert too.
        experts: of every block; 0 = dense units.
        active: experts that a code goes through.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        dimension: int,
        *,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.1,
        widening: int = 2,
        experts: int = 0,
        active: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(level_sizes, dimension, blocks=blocks, heads=heads, generator=generator)
        self.blocks = nn.ModuleList(
            DecoderBlock(dimension, heads, dropout, widening, experts, active) for _ in range(blocks)
        )
        self.draw_first_weights(generator)

    def rest(self, block: AttentionBlock, past: Past) -> Callable[[Tensor, Tensor], Tensor]:
        """See `AutoregressiveHead`."""
        return cast(DecoderBlock, block).rest(past)


class DecoderBlock(AttentionBlock):
    """(U, Q, G, l, D) -> (U, Q, G, l, D), in view of a past; arguments as of `DecoderHead`."""

    def __init__(
        self, dimension: int, heads: int, dropout: float, widening: int, experts: int, active: int
    ) -> None:
        super().__init__(dimension, heads, dropout, widening=widening)
        self.before_memory, self.of_memory = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        self.queries = nn.Linear(dimension, dimension)
        self.keys_values = nn.Linear(dimension, 2 * dimension)
        self.found = nn.Linear(dimension, dimension)
        if experts:
            del self.units, self.out
            self.experts = ExpertUnits(dimension, widening, experts, active)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """See the class."""
        seen = torch.ones(x.shape[3], x.shape[3], dtype=torch.bool, device=x.device).tril()
        return self.rest(past)(x, self.attend(self.projected(x.flatten(0, 2)), seen))

    def rest(self, past: Past) -> Callable[[Tensor, Tensor], Tensor]:
        """What is done with codes once they have seen each other: the memory is read once for all calls."""
        U, h = len(past.memory), self.heads
        parts = self.keys_values(self.of_memory(past.memory)).view(U, -1, 2, h, self.mixed.in_features // h)
        key, value = parts.permute(2, 0, 3, 1, 4)

        def after(x: Tensor, found: Tensor) -> Tensor:
            y = self.after_attention(x.flatten(0, 2), found).view_as(x)
            return self.after_units(y + self.dropout(self.found(self._looked_up(y, key, value, past.seen))))

        return after

    def after_units(self, y: Tensor) -> Tensor:
        """See `AttentionBlock`."""
        if not hasattr(self, "experts"):
            return super().after_units(y)
        added: Tensor = self.dropout(self.experts(self.before_units(y)))
        return y + added

    def _looked_up(self, y: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """What each code finds in the memory."""
        (U, Q, G, S, D), h = y.shape, self.heads
        query = self.queries(self.before_memory(y)).view(U, Q * G * S, h, D // h).transpose(1, 2)
        each = seen[:, :, None].expand(U, Q, G * S, -1).flatten(1, 2)[:, None]
        share = self.dropout.share if self.training else 0.0
        found = scaled_dot_product_attention(query, key, value, each, dropout_p=share)
        return found.transpose(1, 2).reshape(U, Q, G, S, D)
