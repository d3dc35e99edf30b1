"""A transformer over the codes of a history, L for each item, where others read one vector an item.

Items i_1 .. i_n, item t with codes c_1 .. c_L:

    x_(t,l) = sqrt(D) E_l(c_l) + p(n - t) + q_l           p counts items from the end, q says which code it is
    blocks of attention over all n L of them, of SASRec's form
    s_t     = norm(mean over l of x'_(t,l))

What a code sees:

    past    all codes of its item and of those before: one pass trains on the next item of every step
    whole   all codes of the history: one state, of its end

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023 (codes of the
items one after the other, `whole`); Jiang and others, "RecGPT: a foundation model for sequential
recommendation", 2025 (`past`: causal between items, full within one). Ours: one state an item is left for the
head, where TIGER's decoder looks at all codes.
"""

from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder, seen_keys
from recsim_env.errors import InputError, check_ranges, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

READS = ("past", "whole")


class CodeSequence(SequenceEncoder):
    """Items (U, T) -> states (U, T, D).

    Args:
        items: the vectors E of codes; D is a multiple of `heads`.
        max_length: the longest history that is read, in items.
        reads: past, or whole.
        blocks: 1 or more.
        heads: of attention.
        dropout: from 0 to below 1.
        widening: units / D.
        generator: of the first weights.

    Raises:
        InputError: an unknown name, a number out of range, other items.
    """

    def __init__(
        self,
        items: CodeVectors,
        *,
        max_length: int = 20,
        reads: str = "past",
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.1,
        widening: int = 2,
        generator: torch.Generator,
    ) -> None:
        if not isinstance(items, CodeVectors):
            raise InputError(f"CodeSequence reads CodeVectors, got {type(items).__name__}")
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks}, {}, {})
        if reads not in READS:
            raise unknown_name("way to read", reads, READS)
        self.reads, D = reads, items.dimension
        self.positions = nn.Embedding(max_length, D)
        self.levels = nn.Embedding(items.length, D)
        self.blocks = nn.ModuleList(
            AttentionBlock(D, heads, dropout, widening=widening) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        (U, T), L, D = items.shape, self.levels.num_embeddings, self.items.dimension
        empty = items == self.num_items
        back = torch.arange(T - 1, -1, -1, device=items.device)
        x = self.items.apart(items) * D**0.5 + self.positions(back)[:, None] + self.levels.weight
        x = self.dropout(x * ~empty[:, :, None, None]).view(U, T * L, D)
        seen = seen_keys(empty, past=self.reads == "past")
        seen = seen.repeat_interleave(L, dim=2).repeat_interleave(L, dim=3)
        for block in self.blocks:
            x = block(x, seen)
        states: Tensor = self.norm(x.view(U, T, L, D).mean(dim=2))
        return states
