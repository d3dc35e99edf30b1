"""LRU: a linear recurrence in place of attention, and networks of several widths in one (Matryoshka).

Items i_1 .. i_n of a user, the latest last, D numbers each, for each of which lambda is a complex number:

    x_t  = dropout(norm(e(i_t)))
    h_t  = lambda * h_{t-1} + gamma * (B norm(x_t) + b),                    h_0 = 0
           lambda = exp(-exp(nu) + i exp(theta)),   gamma = sqrt(1 - |lambda|^2)
    y    = x + dropout(Re(C h) + c)
    x'   = y + dropout(W_3 (silu(W_1 norm(y)) * dropout(W_2 norm(y))))      each W with a bias
    s_t  = norm(x'_t)                                                       the state after t items
    score(i) = s_n . e(i)                                                   the same vectors e as at the input

h to x' once for every block. |lambda| < 1 whatever nu is, so the recurrence never runs away; gamma keeps h as
large as what comes in. Being linear, it is summed for all steps at once (`linear_recurrence`).

With nested widths w_1 < w_2 < ... < D all layers and norms are those of `nested`, so that the first w
numbers of states and of item vectors are a network of their own; all are trained together, and `at_width`
cuts one out:

    loss = sum over widths w of objective(s[:w], e[:w])

Sources: Orvieto and others, "Resurrecting recurrent neural networks for long sequences", ICML 2023; Yue and
others, "Linear recurrent units for sequential recommendation", WSDM 2024; Wang, Yue and others, "Train once,
deploy anywhere: Matryoshka representation learning for multimodal recommendation", EMNLP Findings 2024
(blocks as in it). Ours: gamma follows lambda all the time, not at the start alone; norms of e and of s.
"""

import math
from collections.abc import Sequence

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.nested import GroupNorm, NestedLinear, check_widths
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import pad, silu  # noqa: E402


class LRU(SequenceEncoder):
    """Items (U, L) -> states (U, L, D).

    Args:
        items: the vectors e; of kind `gated` only without nested widths, as its gate mixes all numbers.
        max_length: L, the longest history that is read, 1 or more.
        blocks: 1 or more.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        radius: |lambda| is drawn between these two, evenly in area; 0 <= first < second < 1.
        widths: rising, the last is D; None = no nested ones.
        generator: of the first weights.

    Raises:
        InputError: a number out of range; `at_width`: a width that is none of `widths`.
    """

    def __init__(
        self,
        items: ItemVectors,
        *,
        max_length: int = 50,
        blocks: int = 2,
        dropout: float = 0.2,
        radius: tuple[float, float] = (0.8, 0.99),
        widths: Sequence[int] | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"blocks": blocks}, {}, {})
        if not 0 <= radius[0] < radius[1] < 1:
            raise InputError(f"radius must be two rising numbers from 0 to below 1, got {radius}")
        if widths is not None:
            check_widths(widths, items)
            self.widths = tuple(widths)
        groups = self.widths or (items.dimension,)
        self.norm_of_items = GroupNorm(groups)
        self.blocks = nn.ModuleList(Block(groups, dropout, radius, generator) for _ in range(blocks))
        self.norm = GroupNorm(groups)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        there = (items != self.num_items)[:, :, None]
        x = self.dropout(self.norm_of_items(self.items(items)))
        for block in self.blocks:
            x = block(x, there)
        states: Tensor = self.norm(x)
        return states

    def at_width(self, width: int) -> "LRU":
        """The network of the first `width` numbers, on its own: its scores are those of the slice.

        Narrow ones learn longest. `best_` is from the epoch that was best for the whole, which can be too
        early for them: cut them out of `network_`, trained to the end with a falling learning rate.
        """
        if width not in self.widths:
            raise InputError(f"width must be one of widths {self.widths}, got {width}")
        whole = self.items
        given = None if whole.kind == "id" else whole.given.cpu().numpy()
        small = LRU(
            ItemVectors(whole.num_items, width, features=given, kind=whole.kind),
            max_length=self.max_length,
            blocks=len(self.blocks),
            dropout=self.dropout.share,
            widths=[w for w in self.widths if w <= width],
            generator=torch.Generator(),
        )
        kept = self.state_dict()
        for name, own in small.state_dict().items():
            kept[name] = kept[name][tuple(slice(n) for n in own.shape)]
        small.load_state_dict(kept)
        return small.to(self.norm.weight.device).train(self.training)


def linear_recurrence(x: Tensor, decay: Tensor) -> Tensor:
    """h_t = decay * h_{t-1} + x_t with h_0 = 0, for all t, of x (U, L, D) and decay (D,).

    After round r, h_t holds what came in at t and the 2^r - 1 steps before it.
    """
    reach = 1
    while reach < x.shape[1]:
        x = x + pad(decay * x[:, :-reach], (0, 0, reach, 0))
        decay, reach = decay * decay, 2 * reach
    return x


class Block(nn.Module):
    """One linear recurrence and one layer of gated units."""

    def __init__(
        self,
        widths: Sequence[int],
        dropout: float,
        radius: tuple[float, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        D, (least, most) = widths[-1], radius
        area = 1.0 - torch.rand(D, generator=generator)  # above 0, so that lambda is
        self.nu = nn.Parameter((-0.5 * (area * (most**2 - least**2) + least**2).log()).log())
        self.theta = nn.Parameter(((1.0 - torch.rand(D, generator=generator)) * 2 * math.pi).log())
        self.before_recurrence, self.before_units = GroupNorm(widths), GroupNorm(widths)
        self.in_real, self.in_imaginary = NestedLinear(widths), NestedLinear(widths)
        self.out_real, self.out_imaginary = NestedLinear(widths), NestedLinear(widths, bias=False)
        self.gate, self.units, self.out = NestedLinear(widths), NestedLinear(widths), NestedLinear(widths)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """X (U, L, D) after this block; nothing comes in at cells that are not there, (U, L, 1)."""
        decay = torch.exp(torch.complex(-self.nu.exp(), self.theta.exp()))
        gamma = (-torch.expm1(-2.0 * self.nu.exp())).sqrt()
        normed = self.before_recurrence(x)
        entering = torch.complex(self.in_real(normed).float(), self.in_imaginary(normed).float())
        h = linear_recurrence(entering * (gamma * there), decay)
        y = x + self.dropout(self.out_real(h.real) - self.out_imaginary(h.imag))
        normed = self.before_units(y)
        inner = silu(self.gate(normed)) * self.dropout(self.units(normed))
        after: Tensor = y + self.dropout(self.out(inner))
        return after
