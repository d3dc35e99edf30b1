"""SETRec's items: a set of vectors without an order, one of who takes them and several of what they are.

    t_0(i)          = A u_i + a                     u_i a vector learned from who takes what, as SASRec's
    t_1(i) .. t_n   = the n parts, D numbers each, of E(x_i)         x_i features, E and F mirrored stacks of
                                                                     linear layers with relu between them
    e(i)            = mean of t_0(i) .. t_n(i)      what a history is read as
    reconstruction  = mean over items and numbers of (F(E(x_i)) - x_i)^2

Source: Lin and others, "Order-agnostic identifier for large language model-based generative recommendation"
(SETRec), 2025, and its code (Linxyhaha/SETRec): layers of 512, 256 and 128 units, n = 4, weight .7. Ours: an
item of a history is one vector, the mean of its tokens.
"""

import itertools
from collections.abc import Sequence

from recsim_env.agents.generative.tokenisers.autoencoder import Standardised
from recsim_env.agents.generative.tokenisers.identifiers import finite_features
from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import mse_loss  # noqa: E402


class SetTokens(ItemTable):
    """Items of any shape -> their vectors, (..., D).

    Args:
        vectors: (N, W) of who takes them.
        features: (N, F) of what they are.
        dimension: D.
        parts: n, vectors of what an item is.
        hidden: units of the layers of E; F has them in reverse.

    Raises:
        InputError: a number out of range, vectors or features that are not finite or of other items.
    """

    def __init__(
        self,
        vectors: Array,
        features: Array,
        dimension: int = 64,
        *,
        parts: int = 4,
        hidden: Sequence[int] = (512, 256, 128),
    ) -> None:
        of_users, of_items = finite_features(vectors, "vectors"), finite_features(features)
        super().__init__(len(of_items), dimension)
        check_ranges({"parts": parts, **{f"hidden[{i}]": int(one) for i, one in enumerate(hidden)}}, {}, {})
        if len(of_users) != len(of_items):
            raise InputError(f"vectors must have {len(of_items)} rows, one an item, got {len(of_users)}")
        self.register_buffer("of_users", Standardised(of_users).x)
        self.register_buffer("of_items", Standardised(of_items).x)
        self.line = nn.Linear(of_users.shape[1], dimension)
        sizes = (of_items.shape[1], *hidden, parts * dimension)
        self.encoder, self.decoder = _layers(sizes), _layers(sizes[::-1])

    def tokens(self) -> Tensor:
        """(N, 1 + n, D) of all items."""
        parts = self.encoder(self.of_items).view(self.num_items, -1, self.dimension)
        return torch.cat([self.line(self.of_users)[:, None], parts], dim=1)

    def reconstruction(self) -> Tensor:
        """See the module."""
        return mse_loss(self.decoder(self.encoder(self.of_items)), self.of_items)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors (..., D) of items (...), N = an empty cell."""
        found = self.all()[items.clamp(max=self.num_items - 1)]
        return found.masked_fill((items == self.num_items)[..., None], 0.0)

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        return self.tokens().mean(dim=1)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
