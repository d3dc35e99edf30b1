"""StateSpace: a linear recurrence over a history, computed at once as masked, decaying attention.

Items i_1 .. i_n of a user, D numbers each; E = expand D inner channels in h heads of P = E / h; S numbers of
state for each channel. Of one block, with its input u_t (the first: norm(e(i_t))):

    [z; w; r]_t = W_in u_t                          E, E + 2 S and h numbers
    [x; B; C]_t = silu(b + sum_k c_k w_{t-k})       a short causal convolution, every channel by itself
    dt_t        = softplus(r_t + b_dt)              h steps of time; 0 in empty cells
    a_t         = exp(-exp(A) dt_t)                 what is left of the state of a head after the step, h
    y_t         = sum_{s <= t} a_{s+1} .. a_t (C_t . B_s) dt_s x_s + d x_t           by head, P numbers each
    v_t         = norm(u_t + dropout(W_out (g * rms(y_t * silu(z_t)))))
    u'_t        = norm(v_t + dropout(W_2 dropout(gelu(W_1 v_t))))                    W_1 has 4 D rows

The state after t items is that of the last block. The sum over s is what the recurrence over states H (P, S)

    H_t = a_t H_{t-1} + dt_t x_t B_t',    y_t = H_t C_t + d x_t

gives (state-space duality): (L o C B') (dt x) with the mask L_ts = a_{s+1} .. a_t. It takes a square of
numbers for each head, but no loop over items; so it is used inside chunks of CHUNK items, and the recurrence
from chunk to chunk. The logarithm of L is a difference of sums of log a, at most 0, so nothing overflows, and
a decay that is too small to be written is 0.

Sources: Dao, Gu, "Transformers are SSMs: generalized models and efficient algorithms through structured
state space duality" (Mamba-2), ICML 2024; Liu and others, "Mamba4Rec: towards efficient sequential
recommendation with selective state space models", 2024, of which are the norms, the feed-forward layer and
the size. Ours: residuals with one block too.
"""

import math

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import gelu, pad, rms_norm, silu, softplus  # noqa: E402

CHUNK = 32  # items that see each other directly: fewer make longer loops, more make larger squares
DECAY = (1.0, 16.0)  # exp(A) of the first weights, drawn evenly
STEP = (1e-3, 1e-1)  # dt of the first weights, its logarithm drawn evenly


class StateSpace(SequenceEncoder):
    """Items (U, L) -> states (U, L, D).

    Args:
        items: the vectors e; `expand` D is a multiple of `heads`.
        max_length: L, the longest history that is read, 1 or more.
        blocks: 1 or more.
        heads: h, 1 or more; each has its own decay.
        state: S, 1 or more.
        width: items that the convolution sees, 1 or more.
        expand: E / D, 1 or more.
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
        blocks: int = 1,
        heads: int = 4,
        state: int = 32,
        width: int = 4,
        expand: int = 2,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks}, {}, {})
        D = items.dimension
        self.before = nn.LayerNorm(D)
        self.mixers = nn.ModuleList(StateSpaceMixer(D, heads, state, width, expand) for _ in range(blocks))
        self.units = nn.ModuleList(FeedForward(D, dropout) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(D) for _ in range(blocks))
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)
        for mixer in self.mixers:
            mixer.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        there = items != self.num_items
        u = self.before(self.dropout(self.items(items)))
        for mixer, norm, units in zip(self.mixers, self.norms, self.units, strict=True):
            u = units(norm(u + self.dropout(mixer(u, there))))
        return u


class StateSpaceMixer(nn.Module):
    """u (U, L, D) -> W_out (...) of the equations above, (U, L, D); cells see themselves and the past."""

    def __init__(self, dimension: int, heads: int, state: int, width: int, expand: int) -> None:
        super().__init__()
        check_ranges({"heads": heads, "state": state, "width": width, "expand": expand}, {}, {})
        E = expand * dimension
        if E % heads:
            raise InputError(f"expand x dimension must be a multiple of heads ({heads}), got {E}")
        self.parts, self.heads = (E, E + 2 * state, heads), heads
        self.into = nn.Linear(dimension, sum(self.parts), bias=False)
        self.kernel = nn.Parameter(torch.zeros(width, E + 2 * state))  # the last row is for the cell itself
        self.kernel_bias = nn.Parameter(torch.zeros(E + 2 * state))
        self.log_decay, self.step = nn.Parameter(torch.zeros(heads)), nn.Parameter(torch.zeros(heads))
        self.skip = nn.Parameter(torch.ones(heads))
        self.scale = nn.Parameter(torch.ones(E))
        self.out = nn.Linear(E, dimension, bias=False)

    def draw_first_weights(self, generator: torch.Generator) -> None:
        """Decays, steps and the convolution as Mamba-2 has them; the matrices stay as they are."""
        with torch.no_grad():
            self.kernel.uniform_(-1.0, 1.0, generator=generator).div_(math.sqrt(len(self.kernel)))
            self.log_decay.uniform_(*DECAY, generator=generator).log_()
            step = self.step.uniform_(*map(math.log, STEP), generator=generator).exp()
            self.step.copy_(torch.log(torch.expm1(step)))  # so that softplus gives it back

    def forward(self, u: Tensor, there: Tensor) -> Tensor:
        """Of cells that hold an item or not, there (U, L); what is in the others reaches nobody."""
        U, L, _ = u.shape
        E, S = self.parts[0], (self.parts[1] - self.parts[0]) // 2
        z, w, r = self.into(u).split(self.parts, dim=2)
        back = pad(w * there[:, :, None], (0, 0, len(self.kernel) - 1, 0))
        shifted = (back[:, k : k + L] * kernel for k, kernel in enumerate(self.kernel))
        x, B, C = silu(sum(shifted, self.kernel_bias)).split((E, S, S), dim=2)
        x = x.view(U, L, self.heads, -1)
        dt = softplus(r + self.step) * there[:, :, None]
        y = dual_form(x * dt[:, :, :, None], -self.log_decay.exp() * dt, B, C) + self.skip[:, None] * x
        mixed: Tensor = self.out(self.scale * rms_norm(y.reshape(U, L, E) * silu(z), (E,), eps=1e-5))
        return mixed


def dual_form(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """y_t = sum_{s <= t} exp(log_a_{s+1} + .. + log_a_t) (C_t . B_s) x_s, (U, L, h, P).

    Args:
        x: (U, L, h, P).
        log_a: (U, L, h), 0 or less.
        B: (U, L, S).
        C: (U, L, S).
    """
    U, L, h, P = x.shape
    K, c = -(-L // CHUNK), min(L, CHUNK)
    x, log_a, B, C = (_chunks(part, K, c) for part in (x, log_a, B, C))
    total = running_sum(log_a.float().flatten(0, 1)).view(U, K, c, h)  # since the chunk began
    span = total.transpose(2, 3)[..., :, None] - total.transpose(2, 3)[..., None, :]  # (U, K, h, c, c)
    later = torch.ones(c, c, dtype=torch.bool, device=x.device).triu(1)
    decay = span.masked_fill(later, -torch.inf).exp()
    weight = decay * (C @ B.transpose(2, 3))[:, :, None]
    y = (weight.to(x.dtype) @ x.transpose(2, 3)).transpose(2, 3)
    if K == 1:
        return y[:, 0]
    left = (total[:, :, -1:] - total).exp().to(x.dtype)  # of each cell at the end of its chunk
    own = B.transpose(2, 3) @ (x * left[..., None]).flatten(3)  # (U, K, S, h P) what a chunk adds to H
    kept = total[:, :, -1].exp().to(x.dtype).repeat_interleave(P, dim=2)[:, :, None]
    H = [torch.zeros_like(own[:, 0])]
    for chunk in range(K - 1):
        H.append(kept[:, chunk] * H[-1] + own[:, chunk])
    before = (C @ torch.stack(H, dim=1)).view(U, K, c, h, P)  # what chunks before left
    return (y + total.exp().to(x.dtype)[..., None] * before).flatten(1, 2)[:, :L]


def _chunks(part: Tensor, K: int, c: int) -> Tensor:
    """(U, L, ...) -> (U, K, c, ...), zeros behind the last cell."""
    more = K * c - part.shape[1]
    filled = torch.cat([part, part.new_zeros(len(part), more, *part.shape[2:])], dim=1) if more else part
    return filled.unflatten(1, (K, c))


def running_sum(x: Tensor) -> Tensor:
    """The sum of x (U, L, ...) up to each cell; `cumsum` on a graphics card refuses to promise equal sums."""
    step = 1
    while step < x.shape[1]:
        x = torch.cat([x[:, :step], x[:, step:] + x[:, :-step]], dim=1)
        step *= 2
    return x


class FeedForward(nn.Module):
    """norm(v + dropout(W_2 dropout(gelu(W_1 v)))) of v (..., D)."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.units, self.out = nn.Linear(dimension, 4 * dimension), nn.Linear(4 * dimension, dimension)
        self.norm, self.dropout = nn.LayerNorm(dimension), Dropout(dropout)

    def forward(self, v: Tensor) -> Tensor:
        """See the class."""
        after: Tensor = self.norm(v + self.dropout(self.out(self.dropout(gelu(self.units(v))))))
        return after
