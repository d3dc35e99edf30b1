"""Mender: what a user wants, in so many words, stands beside the history, and can be said anew to steer.

Every item has some of P attributes. A preference is one of them, or none; its vector is one cell more of what
a decoder looks at (see `heads/decoder.py`), seen by the step that it belongs to alone:

    told        by whoever asks: one preference a user
    guessed     else, while scoring: the attribute that most items of the history have, none of an empty one
    learned     while training: of the attributes of the item that comes next, the one that most items of the
                history have, so that a preference is worth following; none with probability `absent`, so that
                a policy can do without

Source: Paischer and others, "Preference discerning with LLM-enhanced generative retrieval" (Mender), 2025,
where a language model writes preferences and a text encoder reads them, and training pairs a next item with
the preference that is nearest to it. Ours: attributes and learned vectors in place of sentences.
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD
from recsim_env.arrays import Array
from recsim_env.errors import InputError, as_numbers, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class Preferences(nn.Module):
    """Preferences (U, T) -> their vectors (U, T, D).

    Args:
        attributes: (N, P) flags of what each item has.
        dimension: D.
        absent: probability that a preference is left out while training, from 0 to below 1.
        generator: of the first weights.

    Raises:
        InputError: flags of another shape, none at all, a number out of range.
    """

    def __init__(
        self, attributes: Array, dimension: int, *, absent: float = 0.5, generator: torch.Generator
    ) -> None:
        super().__init__()
        given = as_numbers("attributes", attributes)
        if given.ndim != 2 or not given.size or not np.isin(given, (0, 1)).all():
            raise InputError(f"attributes must be (items, attributes) flags, got {given.shape}")
        if not 0.0 <= absent < 1.0:
            raise InputError(f"absent must be from 0 to below 1, got {absent}")
        self.absent = absent
        empty = torch.zeros(1, given.shape[1], dtype=torch.int64)
        flags = torch.cat([torch.from_numpy(given.astype(np.int64)), empty])  # N = an empty cell
        self.register_buffer("attributes", flags)
        self.vectors = nn.Embedding(given.shape[1] + 1, dimension)  # the last one of no preference
        with torch.no_grad():
            self.vectors.weight.normal_(0.0, SPREAD, generator=generator)

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.attributes) - 1

    @property
    def none(self) -> int:
        """The number of no preference."""
        return int(self.attributes.shape[1])

    def forward(self, preference: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.vectors(preference)
        return found

    def guessed(self, items: Tensor) -> Tensor:
        """(U, T) at every step of rows (U, T), N = an empty cell; of equal counts the first."""
        count = self.attributes[items].cumsum(dim=1)
        most = count.max(dim=2)
        return most.indices.masked_fill(most.values == 0, self.none)

    def learned(self, items: Tensor, targets: Tensor) -> Tensor:
        """(U, T) where targets (U, T), -1 = none, come next."""
        count = self.attributes[items].cumsum(dim=1)
        has = self.attributes[targets.clamp(min=0)] * (targets >= 0).unsqueeze(2)
        most = ((count + 1) * has).max(dim=2)
        found = most.indices.masked_fill(most.values == 0, self.none)
        left_out = torch.rand(found.shape, device=found.device) < self.absent
        return found.masked_fill(left_out, self.none)

    def checked(self, preference: Tensor, users: int) -> Tensor:
        """Preferences (U, 1) that were told.

        Raises:
            InputError: of another shape, or a number that is none.
        """
        if preference.shape != (users,) or preference.dtype != torch.int64:
            raise InputError(
                f"preference must be ({users},) whole numbers, got {preference.dtype} of "
                f"{tuple(preference.shape)}"
            )
        bad = (preference < 0) | (preference > self.none)
        if bad.any():
            raise InputError(
                f"preference {int(preference[bad][0])} is none: there are {self.none} (0-{self.none - 1}), "
                f"and {self.none} for no preference"
            )
        return preference.unsqueeze(1).to(self.attributes.device)
