"""UniRec's frequency: rare items draw near the items that they stand beside, of which more is known.

An item is rare if it is among the share `rare` of the items that are least frequent.

    loss = mean over the rare items in the batch's rows of 1 - cos(c(i), m(i)),
    m(i) = mean of c(j) over the `neighbours` items j with the highest  n(i, j) / sqrt(n(j))

with c the vectors that states are multiplied with, n(j) how often item j is there, and n(i, j) how often one
of i and j comes directly after the other in a user's history. m(i) learns nothing from it.

Source: Liu and others, "UniRec: a dual enhancement of uniformity and frequency in sequential
recommendations", CIKM 2024; 10 neighbours by co-occurrence as in its published code. Ours: items that follow
each other, where it takes all pairs of a user and the time between them. Its other half is `Uniformity`.
"""

import numpy as np
from scipy import sparse

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Bools, Ints
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import cosine_similarity  # noqa: E402


class RareItems(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        rare: share of items, above 0 and at most 1.
        neighbours: of a rare item, at most, 1 or more.

    Raises:
        InputError: a number out of range.
    """

    def __init__(self, *, weight: float = 0.1, rare: float = 0.4, neighbours: int = 10) -> None:
        super().__init__(weight)
        check_ranges({"neighbours": neighbours}, {"rare": rare}, {"rare": rare})
        self.rare, self.neighbours = rare, neighbours

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find the rare items and their neighbours."""
        self.near, self.is_rare = neighbours_of_rare(sequences, self.rare, self.neighbours)

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        N = sequences.num_items
        read = np.unique(np.append(rows.items, rows.targets))
        read = read[(read >= 0) & (read < N)]
        rare = read[self.is_rare[read]]
        if len(rare) == 0:
            return states.sum() * 0.0
        near = torch.from_numpy(self.near[rare]).to(states.device)  # (M, neighbours), N = none
        there = (near < N).to(states.dtype)[:, :, None]
        with torch.no_grad():
            theirs = network.candidates(near.clamp(max=N - 1))
            mean = (theirs * there).sum(dim=1) / there.sum(dim=1)
        own = network.candidates(torch.from_numpy(rare).to(states.device))
        return (1.0 - cosine_similarity(own, mean, dim=1)).mean()


def neighbours_of_rare(sequences: Sequences, share: float, most: int) -> tuple[Ints, Bools]:
    """The neighbours (N, most) of rare items, N = none; which items (N,) are rare and have one."""
    N = sequences.num_items
    place = np.concatenate(
        [np.arange(first, first + n - 1) for first, n in zip(sequences.start, sequences.length, strict=True)]
    )
    first, second = sequences.items[place], sequences.items[place + 1]
    apart = first != second
    pairs = (np.append(first[apart], second[apart]), np.append(second[apart], first[apart]))
    counts = sparse.csr_array((np.ones(len(pairs[0])), pairs), (N, N))
    counts.sum_duplicates()
    last = sequences.start + sequences.length - 1
    frequency = np.bincount(sequences.items[np.append(place, last)], minlength=N)
    known = np.flatnonzero(frequency)
    rare = known[np.argsort(frequency[known], kind="stable")[: round(share * len(known))]]
    near = np.full((N, most), N)
    for item in rare:
        cells = slice(counts.indptr[item], counts.indptr[item + 1])
        other = counts.indices[cells]
        order = np.argsort(-counts.data[cells] / np.sqrt(frequency[other]), kind="stable")[:most]
        near[item, : len(order)] = other[order]
    return near, near[:, 0] < N
