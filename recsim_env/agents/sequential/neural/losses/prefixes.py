"""All prefixes of all users, sorted by the item that came next, to find others that led to the same one.

A prefix is a user and how many of her items there are, her target included: two or more, as
`Sequences.next_items` takes them. P prefixes, numbered from 0 in the order of their targets.
"""

import numpy as np

from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Floats, Ints


class Prefixes:
    """See above.

    Args:
        sequences: whose prefixes.
    """

    def __init__(self, sequences: Sequences) -> None:
        users = np.repeat(np.arange(len(sequences.length)), sequences.length - 1)
        lengths = np.concatenate([np.arange(2, n + 1) for n in sequences.length])
        target = sequences.items[sequences.start[users] + lengths - 1]
        order = np.argsort(target, kind="stable")
        self.users: Ints = users[order]  # (P,)
        self.lengths: Ints = lengths[order]  # (P,)
        _, self._first, group, count = np.unique(
            target[order], return_index=True, return_inverse=True, return_counts=True
        )
        self._group, self._size = group, count
        self._begin = np.cumsum(sequences.length - 1) - (sequences.length - 1)  # of each user's, unsorted
        self._number = np.argsort(order)  # unsorted -> number

    def __len__(self) -> int:
        return len(self.users)

    def of_cells(self, rows: Rows, row: Ints, cell: Ints, num_items: int) -> Ints:
        """The numbers (M,) of the prefixes that end in these cells of rows that begin where users begin.

        Args:
            rows: of `next_items` or `beginnings`.
            row: (M,).
            cell: (M,) with a target.
            num_items: N.
        """
        upto = np.cumsum(rows.items != num_items, axis=1)[row, cell]  # items, without the target
        return self._number[self._begin[rows.users[row]] + upto - 1]

    def partners(self, prefixes: Ints, u: Floats) -> Ints:
        """Another prefix with the same target for each (M,), each of them equally likely; -1 where none is.

        Args:
            prefixes: (M,) numbers.
            u: (M,) uniforms in [0, 1).
        """
        group = self._group[prefixes]
        others = self._size[group] - 1
        found = self._first[group] + np.floor(u * others).astype(np.int64)
        found += found >= prefixes
        return np.where(others > 0, found, -1)
