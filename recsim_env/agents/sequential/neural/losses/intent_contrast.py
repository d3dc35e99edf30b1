"""ICSRec: what led users to the same next item was the same intent, so its states are drawn together.

A prefix of a user's items and the item that came next, its target. Two contrasts (`info_nce`) of B prefixes,
one of every user of the batch, drawn at random, with states s_b:

    coarse   s_b and the state s'_b of another prefix, of any user, drawn at random among those with the same
             target; prefixes with the same target are no negatives. A prefix whose target has no other
             prefix is left out
    fine     s_b and its prototype, and s'_b and its own: the nearest (by cosine) of P centres of k-means over
             the states of random prefixes, found anew before every epoch; prefixes with the same prototype
             are no negatives
    loss =   lambda coarse + beta (fine of s + fine of s')

Source: Qin and others, "Intent contrastive learning with cross subsequences for sequential recommendation",
WSDM 2024; lambda, beta, P and the mask as in its published code for Amazon Beauty. Ours: states of length 1
and a temperature where it takes dot products; k-means by cosine, over at most 64 prefixes a prototype.
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import check_contrasted, info_nce, states_after
from recsim_env.agents.sequential.neural.losses.k_means import k_means
from recsim_env.agents.sequential.neural.losses.prefixes import Prefixes
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Ints
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

POINTS = 64  # prefixes for each prototype, at most


class IntentContrast(Auxiliary):
    """The loss above.

    Args:
        coarse: lambda, 0 or more.
        fine: beta, 0 or more; not both are 0.
        prototypes: P, 1 or more.
        temperature: of both contrasts, above 0.

    Raises:
        InputError: a number out of range; `begin`: fewer prefixes than prototypes, or an encoder that reads
            around hidden items.
    """

    centres: Tensor  # (P, D) of length 1

    def __init__(
        self, *, coarse: float = 0.3, fine: float = 0.1, prototypes: int = 256, temperature: float = 0.3
    ) -> None:
        super().__init__(1.0)
        if min(coarse, fine) < 0 or coarse + fine == 0:
            raise InputError(f"coarse and fine must be 0 or more, and not both 0, got {coarse} and {fine}")
        check_ranges({"prototypes": prototypes}, {}, {"temperature": temperature})
        self.coarse, self.fine, self.prototypes, self.temperature = coarse, fine, prototypes, temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find the prefixes of every target."""
        check_contrasted(network, "IntentContrast")
        self.prefixes = Prefixes(sequences)
        if self.fine and len(self.prefixes) < self.prototypes:
            raise InputError(
                f"prototypes must be at most the number of prefixes, {len(self.prefixes)}, "
                f"got {self.prototypes}"
            )
        centres = torch.zeros(self.prototypes, network.items.dimension)
        self.register_buffer("centres", centres, persistent=False)  # found anew before every epoch

    def begin_epoch(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find the prototypes of this epoch."""
        if not self.fine:
            return
        drawn = torch.randperm(len(self.prefixes), generator=generator)[: POINTS * self.prototypes].numpy()
        network.eval()
        with torch.no_grad():
            points = normalize(self._read(network, sequences, drawn).float(), dim=1)
            self.centres.copy_(k_means(points, self.prototypes, generator))

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        chance = torch.rand(rows.targets.shape, generator=generator).numpy()
        row, cell = np.arange(len(chance)), np.where(rows.targets >= 0, chance, -1.0).argmax(axis=1)
        own = self.prefixes.of_cells(rows, row, cell, sequences.num_items)
        others = self.prefixes.partners(own, torch.rand(len(own), generator=generator).numpy())
        row, cell, others = (part[others >= 0] for part in (row, cell, others))
        if len(others) == 0:
            return states.sum() * 0.0
        first, second = states[row, cell], self._read(network, sequences, others)
        targets = torch.from_numpy(rows.targets[row, cell]).to(states.device)
        found = self.coarse * info_nce(first, second, self.temperature, targets)
        if self.fine:
            found = found + self.fine * (self._to_prototypes(first) + self._to_prototypes(second))
        return found

    def _read(self, network: SequenceEncoder, sequences: Sequences, prefixes: Ints) -> Tensor:
        """The states after prefixes."""
        users, lengths = self.prefixes.users[prefixes], self.prefixes.lengths[prefixes]
        return states_after(network, sequences, users, lengths, self.centres.device)

    def _to_prototypes(self, states: Tensor) -> Tensor:
        with torch.no_grad():
            nearest = (normalize(states.float(), dim=1) @ self.centres.T).argmax(dim=1)
        return info_nce(states, self.centres[nearest], self.temperature, nearest)
