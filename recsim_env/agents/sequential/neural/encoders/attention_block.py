"""A block of a transformer: one layer of attention and one of feed-forward units, norms before both.

y  = x + dropout(attention(norm(x)))
x' = y + dropout(W_2 f(W_1 norm(y)))        each W with a bias
"""

from collections.abc import Callable, Iterable

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402


class AttentionBlock(nn.Module):
    """X (U, L, D) -> X (U, L, D).

    Args:
        dimension: D, a multiple of `heads`.
        heads: h.
        dropout: of the weights of attention, and of what each layer adds.
        widening: rows of W_1 / D.
        activation: f.

    Raises:
        InputError: D is no multiple of `heads`, or a number out of range.
    """

    def __init__(
        self,
        dimension: int,
        heads: int,
        dropout: float,
        *,
        widening: int = 1,
        activation: Callable[[Tensor], Tensor] = torch.relu,
    ) -> None:
        super().__init__()
        check_ranges({"heads": heads, "widening": widening}, {}, {})
        if dimension % heads:
            raise InputError(f"dimension must be a multiple of heads ({heads}), got {dimension}")
        self.heads, self.activation = heads, activation
        self.before_attention = nn.LayerNorm(dimension)
        self.queries_keys_values = nn.Linear(dimension, 3 * dimension)
        self.mixed = nn.Linear(dimension, dimension)
        self.before_units = nn.LayerNorm(dimension)
        self.units = nn.Linear(dimension, widening * dimension)
        self.out = nn.Linear(widening * dimension, dimension)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """X (U, L, D) after this block; seen, broadcast to (U, h, L, L), says which query sees which key."""
        return self.after(x, self.attend(self.projected(x), seen))

    def projected(self, x: Tensor) -> Tensor:
        """Queries, keys and values (3, U, h, L, D / h)."""
        U, L, D = x.shape
        parts = self.queries_keys_values(self.before_attention(x)).view(U, L, 3, self.heads, D // self.heads)
        made: Tensor = parts.permute(2, 0, 3, 1, 4)
        return made

    def attend(self, parts: Iterable[Tensor], seen: Tensor | None) -> Tensor:
        """What queries find (U, h, L, D / h), of the three of `projected`; seen = None: all keys."""
        share = self.dropout.share if self.training else 0.0
        return scaled_dot_product_attention(*parts, seen, dropout_p=share)

    def after(self, x: Tensor, found: Tensor) -> Tensor:
        """X (U, L, D) once attention has found (U, h, L, D / h)."""
        return self.after_units(self.after_attention(x, found))

    def after_attention(self, x: Tensor, found: Tensor) -> Tensor:
        """The y of x."""
        y: Tensor = x + self.dropout(self.mixed(found.transpose(1, 2).reshape(x.shape)))
        return y

    def after_units(self, y: Tensor) -> Tensor:
        """The x' of y."""
        after: Tensor = y + self.dropout(self.out(self.activation(self.units(self.before_units(y)))))
        return after
