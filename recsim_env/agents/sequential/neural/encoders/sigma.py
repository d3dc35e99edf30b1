"""SIGMA: a state-space mixer over the history, one over its partial flip, and a short-range GRU, mixed.

A history i_1 .. i_n of a user; its flip reverses all but the last r items and keeps those in their place:

    flip(x)  = x_{n-r} .. x_1, x_{n-r+1} .. x_n         so the first items stand next to the last ones too
    F        = mixer(x)                                  see `state_space.StateSpaceMixer`
    R        = flip(mixer(flip(x)))                      the same mixer; outputs are put back in place
    gate(x)  = W silu(h) + V sigmoid(h),  h = x + Q x    of each direction, by what is read; D numbers
    G        = GRU(conv(x))                              a convolution over three cells, a GRU without bias
    M        = m_1 G + m_2 R (1 + gate_R(x)) + m_3 F (1 + gate_F(x))      m learned, (.1, .1, .8) at first
    x'       = feed-forward(norm(x + dropout(P M)))      for every block; x = norm(dropout(e(i))) at first

The state is that of the last cell alone: in all others, items show that came after them (`reads` = whole).
A GRU without bias does not leave 0 before the first item, so empty cells on the left change nothing.

Share told right after 300 gradients, mean of two seeds (`pytest tests/test_sigma.py -m slow -s`):

    asked for is                                  all    no flip   no gate   no GRU
    the first of twelve items                     .99    .09       .83       .97
    the first or second last, as the last says    .93    .51       1.00      1.00
    the sum of the last two                       1.00   .60       .59       .60

In the last row one seed of two is slow to begin in all three ablations, so only the flip is shown to matter.

Source: Liu and others, "SIGMA: selective gated Mamba for sequential recommendation", AAAI 2025, and its code
(ziwliu-cityu/SIMGA), of which are the gate, the mix and the last five items kept. Ours: Mamba-2 in the place
of Mamba, flipping by the items of each user instead of by cells, empty ones included; outputs put back; every
direction has its own gate, which reads x in its own order, without dropout; residuals with one block too.
"""

import math

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.state_space import FeedForward, StateSpaceMixer
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import pad, silu  # noqa: E402

HEADS, STATE, WIDTH, EXPAND = 4, 32, 4, 2  # of the mixer
MIX = (0.1, 0.1, 0.8)  # GRU, flipped, forward


class SIGMA(SequenceEncoder):
    """Items (U, L) -> states (U, L, D), of which the last is one.

    Args:
        items: the vectors e; 2 D is a multiple of 4, the heads of the mixer.
        max_length: L, the longest history that is read, 1 or more.
        blocks: 1 or more.
        kept: r, the items that are not flipped, 0 or more.
        flip: whether the flipped direction is there.
        gate: whether the gates are.
        gru: whether the GRU is.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    reads = "whole"

    def __init__(
        self,
        items: ItemVectors,
        *,
        max_length: int = 50,
        blocks: int = 1,
        kept: int = 5,
        flip: bool = True,
        gate: bool = True,
        gru: bool = True,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks}, {}, {})
        if kept < 0:
            raise InputError(f"kept must be 0 or more, got {kept}")
        self.kept, D = kept, items.dimension
        self.before = nn.LayerNorm(D)
        self.blocks = nn.ModuleList(Block(D, flip, gate, gru, dropout) for _ in range(blocks))
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)
        for block in self.blocks:
            block.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        there = items != self.num_items
        order = partial_flip(there, self.kept)
        x = self.before(self.dropout(self.items(items)))
        for block in self.blocks:
            x = block(x, there, order)
        return x


def partial_flip(there: Tensor, kept: int) -> Tensor:
    """Which cell stands where after the flip, (U, L), of cells that hold an item or not, all on the right.

    The flip of the flip is the order itself.
    """
    L = there.shape[1]
    cell = torch.arange(L, device=there.device).expand(there.shape)
    mirrored = L - there.sum(dim=1, keepdim=True) + L - kept - 1 - cell
    return torch.where(there & (cell < L - kept), mirrored, cell)


class Block(nn.Module):
    """One round of mixing and one of feed-forward units."""

    def __init__(self, dimension: int, flip: bool, gate: bool, gru: bool, dropout: float) -> None:
        super().__init__()
        D = dimension
        self.mixer = StateSpaceMixer(D, HEADS, STATE, WIDTH, EXPAND)
        self.mix = nn.Parameter(torch.tensor(MIX))
        self.flip, self.gru = flip, gru
        self.gates = nn.ModuleList(Gate(D) for _ in range(2 if flip else 1)) if gate else None
        if gru:
            self.near, self.recurrent = nn.Linear(3 * D, D), nn.GRU(D, D, bias=False, batch_first=True)
        self.out, self.norm, self.units = nn.Linear(D, D), nn.LayerNorm(D), FeedForward(D, dropout)
        self.dropout = Dropout(dropout)

    def draw_first_weights(self, generator: torch.Generator) -> None:
        """Those of the mixer, the convolution and the GRU as PyTorch has them; the rest stays as it is."""
        self.mixer.draw_first_weights(generator)
        if self.gru:
            with torch.no_grad():
                for weight in (self.near.weight, *self.recurrent.parameters()):
                    weight.uniform_(-1.0, 1.0, generator=generator).div_(math.sqrt(weight.shape[1]))

    def forward(self, x: Tensor, there: Tensor, order: Tensor) -> Tensor:
        """X (U, L, D) after this block; order (U, L) is that of the flip."""
        mixed = self.mix[2] * self._gated(0, self.mixer(x, there), x)
        if self.flip:
            cells = order[:, :, None].expand_as(x)
            back = self.mixer(x.gather(1, cells), there).gather(1, cells)
            mixed = mixed + self.mix[1] * self._gated(1, back, x)
        if self.gru:
            seen = pad(x * there[:, :, None], (0, 0, 1, 1))
            three = torch.cat([seen[:, :-2], seen[:, 1:-1], seen[:, 2:]], dim=2)
            after, _ = self.recurrent(self.near(three) * there[:, :, None])
            mixed = mixed + self.mix[0] * after
        found: Tensor = self.units(self.norm(x + self.dropout(self.out(mixed))))
        return found

    def _gated(self, direction: int, y: Tensor, x: Tensor) -> Tensor:
        return y if self.gates is None else y * (1 + self.gates[direction](x))


class Gate(nn.Module):
    """W silu(h) + V sigmoid(h), h = x + Q x, of x (..., D)."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.inner, self.smooth, self.bounded = (nn.Linear(dimension, dimension) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        h = x + self.inner(x)
        share: Tensor = self.smooth(silu(h)) + self.bounded(torch.sigmoid(h))
        return share
