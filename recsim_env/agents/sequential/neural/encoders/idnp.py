"""IDNP: interest as a function of time, read from (time, item) pairs and asked for at a later moment.

Item s of a user, x_s = dropout(norm(e(i_s))), came at T_s; the gap g_t is the time from item t to what is
asked for. Time enters as F numbers that fall at rates from seconds to decades, f_k(x) = exp(-x / 4^k
seconds), k = 0 .. F - 1:

    r_t = W_2 (1 / t sum_{s <= t} relu(W_1 [x_s; f(T_t - T_s)] + b_1)) + b_2      all that is known at t
    s_t = norm(V_2 dropout(relu(V_1 [r_t; x_t; f(g_t)] + c_1)) + c_2)              asked for at T_t + g_t

r is the same in whatever order the pairs are: a conditional neural process. The mean is taken before W_2,
which says the same as after it and costs less. x_t, of the last item, is the short-term path.

Where interest drifts back to a mean in 6 hours, -log P(next item) is 1.69, 2.43 and 2.71 after gaps below one
hour, up to 12 and beyond; of a GRU that sees no time 1.96, 2.51 and 2.89
(`pytest tests/test_idnp.py -m slow -s`).

Source: Du and others, "IDNP: interest dynamics modeling using generative neural processes for sequential
recommendation", WSDM 2023. Ours: one network each for pairs and for answers, trained on the next item alone;
no latent that is drawn, and no attention over the pairs.
"""

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.state_space import running_sum
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

RATES = 16  # F: the slowest is 4^15 seconds, 34 years


class IDNP(SequenceEncoder):
    """Items and gaps (U, L) -> states (U, L, D).

    Args:
        items: the vectors e.
        max_length: L, the longest history that is read, 1 or more.
        width: rows of W_1 and V_1, 1 or more; U L^2 `width` numbers are held at a time.
        dropout: share of numbers set to 0 while training, from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: a number out of range; `forward`: no gaps.
    """

    reads_gaps = True

    def __init__(
        self,
        items: ItemVectors,
        *,
        max_length: int = 50,
        width: int = 64,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"width": width}, {}, {})
        D = items.dimension
        self.before = nn.LayerNorm(D)
        self.pair_item = nn.Linear(D, width)  # W_1 and b_1, cut in two: each item is multiplied once
        self.pair_time = nn.Linear(RATES, width, bias=False)
        self.known = nn.Linear(width, D)
        self.question, self.answer = nn.Linear(2 * D + RATES, width), nn.Linear(width, D)
        self.norm, self.dropout = nn.LayerNorm(D), Dropout(dropout)
        self.draw_first_weights(generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`."""
        if gaps is None:
            raise InputError("IDNP reads the time between items: give gaps (U, L) too")
        there = (items != self.num_items)[:, :, None]
        x = self.dropout(self.before(self.items(items)))
        moment = running_sum(gaps.double()) - gaps  # T_t, from the first item on
        ago = moment[:, :, None] - moment[:, None, :]  # of key s before query t, (U, t, s)
        pairs = torch.relu(self.pair_item(x)[:, None] + self.pair_time(rates(ago)))
        L = items.shape[1]
        seen = torch.ones(L, L, dtype=torch.bool, device=items.device).tril() & there.transpose(1, 2)
        count = seen.sum(dim=2, keepdim=True).clamp(min=1)
        mean = (seen[:, :, None].to(pairs.dtype) @ pairs)[:, :, 0] / count
        asked = torch.relu(self.question(torch.cat([self.known(mean), x, rates(gaps)], dim=2)))
        states: Tensor = self.norm(self.answer(self.dropout(asked)))
        return states


def rates(seconds: Tensor) -> Tensor:
    """The numbers f of any number of seconds, (...) -> (..., F)."""
    scale = 4.0 ** torch.arange(RATES, device=seconds.device)
    return torch.exp(-seconds.clamp(min=0)[..., None].float() / scale)
