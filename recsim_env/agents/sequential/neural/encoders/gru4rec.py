"""GRU4Rec: a gated recurrent unit reads the items of a history one after another.

Items i_1 .. i_n of a user, the latest last, D numbers each; every layer reads the states of the one below it:

    x_t = sqrt(D) e(i_t)
    r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)               what of the old state is read
    z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)               what of the old state stays
    n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + c_n))
    h_t = (1 - z_t) * n_t + z_t * h_{t-1},   h_0 = 0
    s_t = norm(h_t)                                          the state after t items, of the last layer
    score(i) = s_n . e(i)                                    the same vectors e as at the input

Dropout stands behind x and behind every layer.

Source: Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based recommendations with recurrent neural networks",
ICLR 2016; tied vectors as in Hidasi, Karatzoglou, "Recurrent neural networks with top-k gains for
session-based recommendations", CIKM 2018. Ours: the norm behind the last layer, without which h, small at
first and between -1 and 1 at last, gives scores that are nearly level for many epochs.
"""

from recsim_env.agents.sequential.neural.encoders.dropout import Dropout
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class GRU4Rec(SequenceEncoder):
    """Items (U, L) -> states (U, L, D); those of empty cells are 0.

    Args:
        items: the vectors e.
        max_length: L, the longest history that is read, 1 or more.
        layers: 1 or more.
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
        layers: int = 1,
        dropout: float = 0.2,
        generator: torch.Generator,
    ) -> None:
        super().__init__(items, max_length)
        check_ranges({"layers": layers}, {}, {})
        D = items.dimension
        # One by one, with our own dropout between: cuDNN's keeps a random state that no seed reaches.
        self.layers = nn.ModuleList(nn.GRU(D, D, batch_first=True) for _ in range(layers))
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(dropout)
        self.draw_first_weights(generator)
        with torch.no_grad():  # a recurrence of weights as small as the other first ones forgets at once
            for parameter in self.layers.parameters():
                parameter.uniform_(-(D**-0.5), D**-0.5, generator=generator)

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        empty = items == self.num_items
        cells = torch.arange(items.shape[1], device=items.device)
        begin = empty.sum(dim=1, keepdim=True)
        # Every row is turned until its items stand on the left, so that h_0 meets the first of them.
        turned = items.gather(1, (cells + begin) % items.shape[1])
        x = self.dropout(self.items(turned) * self.items.dimension**0.5)
        for layer in self.layers:
            x = self.dropout(layer(x)[0])
        back = ((cells - begin) % items.shape[1])[:, :, None].expand_as(x)
        states: Tensor = self.norm(x).gather(1, back) * ~empty[:, :, None]
        return states
