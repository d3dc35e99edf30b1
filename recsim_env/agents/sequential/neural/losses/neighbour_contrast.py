"""SRA-CL: users with like items, and like items, found by features that are given, are the positives.

With x_i the F numbers of item i (such as an embedding of its title), centred, and f_u the mean of x over the
items of user u: M(u) are the `neighbours` users and M(i) the items with the highest cosine, themselves left
out. Two contrasts (`info_nce`) of the B users of a batch, with states s:

    users    s_u and s+_u = sum_v a_v s_v, over `read` users v drawn from M(u) anew every time, where
             a = softmax_v leaky_relu(q . [W f_u; W f_v]): which neighbours make the positive is learned
    items    the states of two views of u, in each of which every item is, with the probability `swapped`,
             replaced by one of M(i) drawn at random
    loss     = alpha users + beta items

Source: Cui and others, "Semantic retrieval augmented contrastive learning for sequential recommendation",
2025; alpha = beta = 0.1, the attention and its slope 0.2 as in its published code. Ours: features are what is
given, where it asks a language model about users and items; users stand for their sequences; `read` of the
neighbours, where it reads all; states of length 1 and a temperature, where it takes dot products.
"""

from typing import Any

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD, SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import (
    check_contrasted,
    info_nce,
    last_states,
    states_after,
)
from recsim_env.agents.sequential.neural.losses.nearest_rows import nearest_rows
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Ints
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import leaky_relu  # noqa: E402


class NeighbourContrast(Auxiliary):
    """The loss above.

    Args:
        features: (N, F) finite numbers.
        users: alpha, 0 or more.
        items: beta, 0 or more; not both are 0.
        neighbours: of a user and of an item, 1 or more.
        read: of the neighbours of a user, 1 to `neighbours`.
        swapped: share of the items, above 0 and at most 1.
        temperature: of both contrasts, above 0.

    Raises:
        InputError: a number out of range; `begin`: features of another catalogue, not more users or items
            than neighbours, an encoder that reads around hidden items.
    """

    def __init__(
        self,
        features: Any,
        *,
        users: float = 0.1,
        items: float = 0.1,
        neighbours: int = 20,
        read: int = 5,
        swapped: float = 0.2,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(1.0)
        if min(users, items) < 0 or users + items == 0:
            raise InputError(f"users and items must be 0 or more, and not both 0, got {users} and {items}")
        check_ranges(
            {"neighbours": neighbours, "read": read},
            {"swapped": swapped},
            {"swapped": swapped, "temperature": temperature},
        )
        if read > neighbours:
            raise InputError(f"read must be at most neighbours ({neighbours}), got {read}")
        given = np.asarray(features, np.float32)
        if given.ndim != 2 or not np.isfinite(given).all():
            raise InputError(f"features must hold finite numbers of shape (N, F), got shape {given.shape}")
        self.features = given - given.mean(axis=0)
        self.users, self.items, self.neighbours, self.read = users, items, neighbours, read
        self.swapped, self.temperature = swapped, temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Find the neighbours of users and items."""
        check_contrasted(network, "NeighbourContrast")
        U, (N, F), D = len(sequences.length), self.features.shape, network.items.dimension
        if sequences.num_items != N:
            raise InputError(f"features must have a row for each of {sequences.num_items} items, got {N}")
        for name, count in (("users", U), ("items", N)):
            if count <= self.neighbours:
                raise InputError(
                    f"neighbours must be below the number of {name}, {count}, got {self.neighbours}"
                )
        taste = np.stack(
            [
                self.features[sequences.items[first : first + n]].mean(axis=0)
                for first, n in zip(sequences.start, sequences.length, strict=True)
            ]
        )
        self.near_users, self.near_items = (nearest_rows(x, self.neighbours) for x in (taste, self.features))
        self.register_buffer("taste", torch.from_numpy(taste / (taste.std() or 1.0)), persistent=False)
        self.line = nn.Parameter(SPREAD * torch.randn(F, D, generator=generator))
        self.asked = nn.Parameter(SPREAD * torch.randn(2 * D, generator=generator))

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
        if self.users:
            order = torch.rand(len(rows.users), self.neighbours, generator=generator).argsort(dim=1)
            near = np.take_along_axis(self.near_users[rows.users], order[:, : self.read].numpy(), axis=1)
            every = near.ravel()
            theirs = states_after(network, sequences, every, sequences.length[every], states.device)
            share = self.attention(rows.users, near)
            positive = (share[:, :, None] * theirs.view(*near.shape, -1)).sum(dim=1)
            found = found + self.users * info_nce(states[:, -1], positive, self.temperature)
        if self.items:
            first, second = (
                last_states(network, self.swap(rows, generator), states.device) for _ in range(2)
            )
            found = found + self.items * info_nce(first, second, self.temperature)
        return found

    def attention(self, users: Ints, near: Ints) -> Tensor:
        """The shares a (B, R) of the users' neighbours (B, R) in their positives."""
        own, theirs = (self.taste[torch.from_numpy(who)] @ self.line for who in (users[:, None], near))
        both = torch.cat([own.expand_as(theirs), theirs], dim=2)
        return torch.softmax(leaky_relu(both @ self.asked, 0.2), dim=1)

    def swap(self, rows: Rows, generator: torch.Generator) -> Rows:
        """Rows in which some items are replaced by a neighbour."""
        chance = torch.rand(2, *rows.items.shape, generator=generator).numpy()
        swapped = (chance[0] < self.swapped) & (rows.items < len(self.near_items))
        which = np.floor(chance[1] * self.neighbours).astype(np.int64)
        other = self.near_items[np.where(swapped, rows.items, 0), which]
        return Rows(rows.users, np.where(swapped, other, rows.items), rows.gaps, rows.targets)
