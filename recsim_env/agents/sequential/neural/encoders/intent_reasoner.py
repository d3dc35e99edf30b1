"""IGR-SR: a few intents are read out of a history first, and the state is decided on in view of them.

An encoder is wrapped. With its states h_1 .. h_n of a user, K learned queries q_k, and for every t:

    m_tk = sum_{s <= t} softmax_s(q_k . W_1 h_s / sqrt(D)) W_2 h_s          what intent k finds in the history
    p_tk = softmax_k(W_3 h_t . m_tk / sqrt(D))                              how much of intent k there is
    g_t  = h_t + W_4 sum_k p_tk m_tk                                        deliberation: attention to intents
    r_t  = g_t + W_8 sum_{s <= t} softmax_s(W_5 g_t . W_6 h_s / sqrt(D)) W_7 h_s  decision: to the sequence
    s_t  = norm(r_t)

Each W is a D x D matrix that is learned. The encoder learns too, or comes trained and is frozen, its item
vectors with it.

Source: Shao, Zhou and others, "Intent-guided reasoning for sequential recommendation", 2025, arXiv
2512.14034: learned intent tokens over a frozen encoder, and two attentions, one to intents, one to the
sequence. Ours: queries that attend to the states, where it puts tokens into the encoder's input; one step of
reasoning. We found no published code; details that its abstract does not give are ours.
"""

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import (
    SPREAD,
    SequenceEncoder,
    seen_keys,
)
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402


class IntentReasoner(SequenceEncoder):
    """Items (U, L) -> states (U, L, D); reads what the wrapped encoder reads.

    Args:
        encoder: one that reads past.
        intents: K, 1 or more.
        frozen: whether the encoder, which then comes trained, learns no more.
        dropout: share of numbers of both attentions set to 0 while training, from 0 to below 1.
        generator: of the first weights of what is added.

    Raises:
        InputError: a number out of range, or an encoder that reads otherwise.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        *,
        intents: int = 4,
        frozen: bool = False,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(encoder.items, encoder.max_length)
        check_ranges({"intents": intents}, {}, {})
        if encoder.reads != "past":
            raise InputError(f"encoder must read past, {type(encoder).__name__} reads {encoder.reads}")
        self.encoder, self.frozen = encoder, frozen
        encoder.requires_grad_(not frozen)
        self.reads_gaps = encoder.reads_gaps  # of a wrapper it depends on what is wrapped
        D = encoder.items.dimension
        self.queries = nn.Parameter(torch.randn(intents, D, generator=generator))  # apart from the start
        self.of_intents, self.of_items = Attention(D, dropout), Attention(D, dropout)
        self.norm = nn.LayerNorm(D)
        for part in (self.of_intents, self.of_items):
            for line in (part.query, part.key, part.value, part.mixed):
                nn.init.normal_(line.weight, 0.0, SPREAD, generator=generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`."""
        h = self.read(items, gaps)
        found, share = self.intents(h, items)
        g = h + self.of_intents.out((share[:, :, :, None] * found).sum(dim=2))
        seen = seen_keys(items == self.num_items)[:, 0]
        states: Tensor = self.norm(g + self.of_items.out(self.of_items(self.of_items.query(g), h, seen)))
        return states

    def read(self, items: Tensor, gaps: Tensor | None) -> Tensor:
        """The states h (U, L, D) of the wrapped encoder."""
        if self.frozen:
            self.encoder.eval()  # whatever it is a part of
        states: Tensor = self.encoder(items, gaps)
        return states

    def intents(self, h: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What intents find, m (U, L, K, D), and how much of each there is, p (U, L, K)."""
        U, L, D = h.shape
        seen = seen_keys(items == self.num_items)
        asked = self.queries[None, :, None].expand(U, -1, L, D)
        found = self.of_intents(asked, h[:, None].expand_as(asked), seen).transpose(1, 2)
        level = (self.of_intents.query(h)[:, :, None] * found).sum(dim=3) / D**0.5
        return found, torch.softmax(level, dim=2)

    def candidates(self, items: Tensor | None = None) -> Tensor:
        """Those of the wrapped encoder."""
        return self.encoder.candidates(items)


class Attention(nn.Module):
    """Attention with one head; its query is made outside."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mixed = (
            nn.Linear(dimension, dimension, bias=False) for _ in range(4)
        )
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, h: Tensor, seen: Tensor) -> Tensor:
        """What queries (..., L, D) find in h, (..., L, D), where they see it (..., L, L)."""
        return scaled_dot_product_attention(query, self.key(h), self.value(h), seen)

    def out(self, found: Tensor) -> Tensor:
        """What is added to a state, (..., D)."""
        added: Tensor = self.dropout(self.mixed(found))
        return added
