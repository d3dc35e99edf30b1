"""UniRec: even users and frequent items are learned well, and help uneven users and rare items.

A user is uneven if the variance of her time gaps is among the highest share `uneven` of all users; an item is
rare if it is among the share `rare` of the items that are least frequent. Two losses:

    users   mean over uneven users of the batch of 1 - cos(s, s~): s = state of all her items, s~ of the
            even part of them: the first, and every item that comes at least her mean gap after the last one
            that is kept, so that bursts become single items, those that they began with; s~ learns nothing
            from it
    items   mean over the rare items in the batch's rows of 1 - cos(c(i), m(i)), where m(i) is the mean of the
            vectors c of the `neighbours` items that stand most often next to i in users' histories, before or
            after it (count / square root of how frequent it is); m(i) learns nothing from it
    loss    = alpha users + beta items

Source: Liu and others, "UniRec: a dual enhancement of uniformity and frequency in sequential
recommendations", CIKM 2024; the split by the variance of gaps (40 % are uneven) and neighbours from
co-occurrence as in its published code. Ours: the even part, by the user's own gaps; cosines; no module of
its own for time, which is what encoders that read gaps have.
"""

import numpy as np
from scipy import sparse

from recsim_env.agents.sequential.neural.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.contrast import check_contrasted, last_states
from recsim_env.agents.sequential.neural.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.agents.sequential.neural.views import kept_alone
from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import cosine_similarity  # noqa: E402


class Uniformity(Auxiliary):
    """The loss above.

    Args:
        users: alpha, 0 or more.
        items: beta, 0 or more; not both are 0.
        uneven: share of users, above 0 and at most 1.
        rare: share of items, above 0 and at most 1.
        neighbours: of a rare item, at most, 1 or more.

    Raises:
        InputError: a number out of range; `begin`: an encoder that reads around hidden items.
    """

    def __init__(
        self,
        *,
        users: float = 0.5,
        items: float = 0.1,
        uneven: float = 0.4,
        rare: float = 0.4,
        neighbours: int = 10,
    ) -> None:
        super().__init__(1.0)
        if min(users, items) < 0 or users + items == 0:
            raise InputError(f"users and items must be 0 or more, and not both 0, got {users} and {items}")
        shares = {"uneven": uneven, "rare": rare}
        check_ranges({"neighbours": neighbours}, shares, shares)
        self.users, self.items = users, items
        self.uneven, self.rare, self.neighbours = uneven, rare, neighbours

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find uneven users, rare items and their neighbours."""
        check_contrasted(network, "Uniformity")
        variance = gap_variance(sequences)
        self.is_uneven = lowest(-variance, self.uneven)
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
        found = states.sum() * 0.0
        uneven = np.flatnonzero(self.is_uneven[rows.users])
        if self.users and len(uneven):
            some = Rows(rows.users[uneven], rows.items[uneven], rows.gaps[uneven], rows.targets[uneven])
            part = kept_alone(some, even_part(some, sequences.num_items), sequences.num_items)
            with torch.no_grad():
                even = last_states(network, part, states.device)
            found = found + self.users * (1.0 - cosine_similarity(states[uneven, -1], even, dim=1)).mean()
        read = np.unique(rows.items)
        rare = read[self.is_rare[np.minimum(read, sequences.num_items - 1)] & (read < sequences.num_items)]
        if self.items and len(rare):
            near = torch.from_numpy(self.near[rare]).to(states.device)  # (M, neighbours), N = none
            there = (near < sequences.num_items).to(states.dtype)[:, :, None]
            with torch.no_grad():
                theirs = network.candidates(near.clamp(max=sequences.num_items - 1))
                mean = (theirs * there).sum(dim=1) / there.sum(dim=1)
            own = network.candidates(torch.from_numpy(rare).to(states.device))
            found = found + self.items * (1.0 - cosine_similarity(own, mean, dim=1)).mean()
        return found


def gap_variance(sequences: Sequences) -> Floats:
    """(U,) variance of the time gaps of every user, seconds squared; 0 where there is one gap."""
    return np.array(
        [
            np.diff(sequences.time[first : first + n]).var()
            for first, n in zip(sequences.start, sequences.length, strict=True)
        ]
    )


def lowest(values: Ints | Floats, share: float) -> Bools:
    """(M,) which of M values are among that share of them, rounded to whole ones, that is lowest; first ties."""
    found = np.zeros(len(values), np.bool_)
    found[np.argsort(values, kind="stable")[: round(share * len(values))]] = True
    return found


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
    is_rare = np.zeros(N, np.bool_)
    read = np.flatnonzero(frequency)
    is_rare[read] = lowest(frequency[read], share)
    near = np.full((N, most), N)
    for item in np.flatnonzero(is_rare):
        cells = slice(counts.indptr[item], counts.indptr[item + 1])
        other = counts.indices[cells]
        order = np.argsort(-counts.data[cells] / np.sqrt(frequency[other]), kind="stable")[:most]
        near[item, : len(order)] = other[order]
    return near, is_rare & (near[:, 0] < N)
