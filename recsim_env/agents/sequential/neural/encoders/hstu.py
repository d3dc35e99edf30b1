"""HSTU: attention without a softmax, gated by the item that asks, and aware of distance and of time.

Items i_1 .. i_n of a user, the latest last, D numbers each, B blocks, h heads (queries, keys and values are
split among them):

    x_t          = sqrt(D) e(i_t)
    u, v, q, k   = silu(W norm(x) + b), split in four
    a_ts         = silu(q_t . k_s + b(t - s) + c(bucket(time_{t+1} - time_s))) / t,       s <= t
    x'_t         = x_t + W' dropout(norm(sum_s a_ts v_s) * u_t) + b'            once for every block
    s_t          = norm(x'_t)                                            the state after t items
    score(i)     = s_n . e(i)                                            the same vectors e as at the input

b(t - s) is a number for every distance, and c, where `times` is on, one for every bucket of the seconds from
item s to what query t is to name:

    bucket(T) = floor(log(max(T, 1)) / .301), 128 at most,   each 1.35 times as wide as the one before

Source: Zhai and others, "Actions speak louder than words: trillion-parameter sequential transducers for
generative recommendations", ICML 2024, equations 2 to 4; width and number of buckets as in its public code.
Ours: a_ts is divided by the number of items that query t sees, not by the cells of the padded row, so that
padding changes nothing (the norm behind the sum makes the two equal but for its epsilon); a norm at the end
in place of vectors cut to length 1; no positions beside b.
"""

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder, seen_keys
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import silu  # noqa: E402

BUCKET_WIDTH, LAST_BUCKET = 0.301, 128  # of the logarithm of seconds
EPSILON = 1e-6  # of the norms inside blocks


class HSTU(SequenceEncoder):
    """Items (U, L), and the time between them, -> states (U, L, D).

    Args:
        items: the vectors e; D is a multiple of `heads`.
        max_length: L, the longest history that is read, 1 or more.
        blocks: 1 or more.
        heads: 1 or more.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        times: whether the time between items counts; scores need gaps then.
        generator: of the first weights.

    Raises:
        InputError: a number out of range; `forward`: no gaps, with `times`.
    """

    def __init__(
        self,
        items: ItemVectors,
        *,
        max_length: int = 50,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        times: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks, "heads": heads}, {}, {})
        D = items.dimension
        if D % heads:
            raise InputError(f"dimension must be a multiple of heads ({heads}), got {D}")
        self.reads_gaps = times
        self.blocks = nn.ModuleList(Block(D, heads, dropout, max_length, times) for _ in range(blocks))
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`."""
        seen = seen_keys(items == self.num_items)
        share = seen / seen.sum(dim=3, keepdim=True)  # (U, 1, L, L)
        cells = torch.arange(items.shape[1], device=items.device)
        distance = (cells[:, None] - cells).clamp(min=0)
        bucket = self._buckets(gaps) if self.reads_gaps else None
        x = self.dropout(self.items(items) * self.items.dimension**0.5)
        for block in self.blocks:
            x = block(x, share, distance, bucket)
        states: Tensor = self.norm(x)
        return states

    def _buckets(self, gaps: Tensor | None) -> Tensor:
        """(U, L, L) of the time from key s to what comes after query t."""
        if gaps is None:
            raise InputError("HSTU with times reads the time between items: give gaps (U, L) too")
        exact = gaps.double()  # float32 loses minutes in a sum of years
        L = exact.shape[1]
        until = exact @ torch.ones(L, L, dtype=exact.dtype, device=exact.device).triu()
        between = until[:, :, None] - (until - exact)[:, None, :]
        return (between.clamp(min=1.0).log() / BUCKET_WIDTH).long().clamp(max=LAST_BUCKET)


class Block(nn.Module):
    """One layer of gated attention."""

    def __init__(self, dimension: int, heads: int, dropout: float, max_length: int, times: bool) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(dimension, EPSILON, elementwise_affine=False)
        self.parts = nn.Linear(dimension, 4 * dimension)
        self.of_distance = nn.Embedding(max_length, 1)
        self.of_time = nn.Embedding(LAST_BUCKET + 1, 1) if times else None
        self.norm = nn.LayerNorm(dimension, EPSILON, elementwise_affine=False)
        self.out = nn.Linear(dimension, dimension)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, share: Tensor, distance: Tensor, bucket: Tensor | None) -> Tensor:
        """X (U, L, D) after this block.

        Args:
            x: (U, L, D).
            share: broadcast to (U, h, L, L): 1 / the keys that a query sees, 0 for the others.
            distance: (L, L) from query to key.
            bucket: (U, L, L) of the time between them, or None.
        """
        U, L, D = x.shape
        gate, *others = silu(self.parts(self.before(x))).chunk(4, dim=2)
        value, query, key = (part.view(U, L, self.heads, -1).transpose(1, 2) for part in others)
        logits = query @ key.transpose(2, 3) + self.of_distance(distance)[:, :, 0]
        if self.of_time is not None:
            logits = logits + self.of_time(bucket)[:, None, :, :, 0]
        mixed = (silu(logits) * share) @ value  # (U, h, L, D / h)
        after: Tensor = x + self.out(self.dropout(self.norm(mixed.transpose(1, 2).reshape(U, L, D)) * gate))
        return after
