"""UniRec's uniformity: what is known of even users helps those whose clicks come in bursts.

A user is uneven if the variance of her time gaps is among the highest share `uneven` of all users.

    loss = mean over uneven users of the batch of 1 - cos(s, s~)

with s the state of all her items, and s~ that of the even part of them: the first, and every item that comes
at least her mean gap after the last one that is kept, so that bursts become single items, those that they
began with. s~ learns nothing from it.

Source: Liu and others, "UniRec: a dual enhancement of uniformity and frequency in sequential
recommendations", CIKM 2024; the split by the variance of gaps, 40 % of the users, as in its published code.
Ours: the even part is found by the user's own gaps, where it looks at the gaps of items; the cosine; no
module of its own for time, which is what encoders that read gaps have. Its other half is `RareItems`.
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import check_contrasted, last_states
from recsim_env.agents.sequential.neural.losses.views import kept_alone
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Bools, Floats
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import cosine_similarity  # noqa: E402


class Uniformity(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        uneven: share of users, above 0 and at most 1.

    Raises:
        InputError: a number out of range; `begin`: an encoder that reads around hidden items.
    """

    def __init__(self, *, weight: float = 0.5, uneven: float = 0.4) -> None:
        super().__init__(weight)
        check_ranges({}, {"uneven": uneven}, {"uneven": uneven})
        self.uneven = uneven

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find the uneven users."""
        check_contrasted(network, "Uniformity")
        variance = gap_variance(sequences)
        order = np.argsort(-variance, kind="stable")
        self.is_uneven = np.zeros(len(order), np.bool_)
        self.is_uneven[order[: round(self.uneven * len(order))]] = True

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        uneven = np.flatnonzero(self.is_uneven[rows.users])
        if len(uneven) == 0:
            return states.sum() * 0.0
        some = Rows(rows.users[uneven], rows.items[uneven], rows.gaps[uneven], rows.targets[uneven])
        part = kept_alone(some, even_part(some, sequences.num_items), sequences.num_items)
        with torch.no_grad():
            even = last_states(network, part, states.device)
        return (1.0 - cosine_similarity(states[uneven, -1], even, dim=1)).mean()


def gap_variance(sequences: Sequences) -> Floats:
    """(U,) variance of the time gaps of every user, seconds squared; 0 where there is one gap."""
    return np.array(
        [
            np.diff(sequences.time[first : first + n]).var()
            for first, n in zip(sequences.start, sequences.length, strict=True)
        ]
    )


def even_part(rows: Rows, num_items: int) -> Bools:
    """(B, L) which items stand in the even part, see above; the mean is over gaps between the row's items."""
    there = rows.items != num_items
    between = np.where(there, rows.gaps, 0.0)
    between[:, -1] = 0.0  # the gap after the last item is not one between items
    mean = between.sum(axis=1) / np.maximum(1, there.sum(axis=1) - 1)
    kept = np.zeros_like(there)
    since = np.full(len(there), np.inf)
    for t in range(there.shape[1]):
        kept[:, t] = there[:, t] & (since >= mean)
        since = np.where(kept[:, t], 0.0, since) + between[:, t]
    return kept
