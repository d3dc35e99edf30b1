"""Feed-forward units of which each input uses a few: a sparse mixture of experts.

    p      = softmax(W x)                                        over E experts
    chosen = the k of largest p_e + b_e
    y      = sum over chosen e of p_e / (sum over chosen of p) * W_2e relu(W_1e x)        each W with a bias;
             not divided where k = 1
    b_e   <- b_e + RATE * sign(mean load - load of e)            after every pass in training

The load of an expert is how many inputs of the pass chose it. b only bears on who is chosen, so it evens the
load out without a further loss that would pull on the weights.

Source: Deng and others, "OneRec", 2025 (experts in the decoder, two of 24 active); Wang and others,
"Auxiliary-loss-free load balancing strategy for mixture-of-experts", 2024 (b).
"""

from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

RATE = 1e-3


class ExpertUnits(nn.Module):
    """(..., D) -> (..., D).

    Args:
        dimension: D.
        widening: units of an expert / D.
        experts: E.
        active: k, at most E.

    Raises:
        InputError: a number out of range.
    """

    def __init__(self, dimension: int, widening: int, experts: int, active: int) -> None:
        super().__init__()
        check_ranges({"experts": experts, "active": active, "widening": widening}, {}, {})
        if active > experts:
            raise InputError(f"active must be at most the experts ({experts}), got {active}")
        self.active = active
        self.router = nn.Linear(dimension, experts, bias=False)
        self.units = nn.ModuleList(nn.Linear(dimension, widening * dimension) for _ in range(experts))
        self.out = nn.ModuleList(nn.Linear(widening * dimension, dimension) for _ in range(experts))
        # not learned, but averaged and moved as what is
        self.favour = nn.Parameter(torch.zeros(experts), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the module."""
        rows = x.flatten(0, -2)
        share = torch.softmax(self.router(rows), dim=1)
        chosen = (share.detach() + self.favour).topk(self.active, dim=1).indices
        weight = share.gather(1, chosen)
        if self.active > 1:  # alone it would always weigh 1, and nobody would learn whom to choose
            weight = weight / weight.sum(dim=1, keepdim=True)
        y = torch.zeros_like(rows)
        for expert, (units, out) in enumerate(zip(self.units, self.out, strict=True)):
            row, place = (chosen == expert).nonzero(as_tuple=True)
            added = weight[row, place, None] * out(torch.relu(units(rows[row])))
            y = y.index_add(0, row, added.to(y.dtype))
        if self.training:
            with torch.no_grad():
                load = torch.bincount(chosen.flatten(), minlength=len(self.units)).to(self.favour)
                self.favour += RATE * torch.sign(load.mean() - load)
        return y.view_as(x)
