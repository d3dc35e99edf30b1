"""The catalogue as a trie of identifiers, level by level, in flat arrays.

An item i has an identifier c_i = (c_1 .. c_L), code c_l below V_l. The nodes of level l are the prefixes of l
codes that some item has, numbered in the order of their codes; level 0 is the root. Then

    the children of a node are neighbours      first_child[l][n] .. first_child[l][n + 1] - 1  of level l + 1
    the items below a node are neighbours      first_item[l][n] .. first_item[l][n + 1] - 1    of `items`

so one look-up finds all continuations of a beam, whatever the size of the catalogue, and a prefix sum over
`items` says whether anything below a node may still be shown. Where most codes may follow nodes that are few,
a table (nodes, V) holds the children instead: its rows are read faster than ranges. Elsewhere, unless that is
large, a table (nodes, C) holds the codes of the children, C the most that a node has.

Identifiers may be shared: the items of one have each the same share of its probability, so that a
distribution over identifiers is one over items.

Source: STATIC (arXiv 2602.22647), which keeps the first levels in tables, the others in compressed rows.
Ours: children as a range of neighbours, so that no next states are stored; ranges of items, for the masks of
a request.
"""

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, refuse, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import embedding  # noqa: E402

LARGEST_KEY = 2**62  # identifiers are sorted as one number each, as long as these fit
LARGEST_TABLE = 2**22  # cells
FEWEST_CELLS = 16  # of the children of a node: a softmax over fewer takes ten times as long


class CatalogueTrie:
    """The index of a catalogue; a new item needs a new one.

    Args:
        codes: (N, L) of every item, from 0 to below its level's size.
        level_sizes: (L,) V_1 .. V_L.
        unique: whether two items with one identifier are refused.
        device: of the tensors.

    Attributes:
        num_items: N.
        codes: (N, L).
        code_of: for levels 1 .. L at l - 1, (nodes of l,) the last code of every node.
        first_child: for levels 0 .. L - 1, (nodes of l + 1,), see above.
        first_item: for levels 0 .. L, (nodes of l + 1,), see above.
        items: (N,) in the order of their identifiers.
        node_of: for levels 0 .. L, (N,) the node of level l that an item is below.
        width: for levels 0 .. L - 1, C, the cells that hold the children of a node: the most that one has, 16
            at least, or V where there is a table.
        table: for levels 0 .. L - 1, (nodes of l, V) the child by each code, -1 = none; None = no table.

    Raises:
        InputError: no items, codes of another shape or out of range; a shared identifier if `unique`.
    """

    def __init__(
        self,
        codes: Array,
        level_sizes: Sequence[int],
        *,
        unique: bool = False,
        device: "torch.device | str" = "cpu",
    ) -> None:
        codes = np.asarray(codes)
        self.level_sizes = tuple(int(size) for size in level_sizes)
        _check(codes, self.level_sizes)
        self.num_items, self.length = codes.shape
        order, begins = _sorted(codes.astype(np.int64), self.level_sizes)
        if unique and not begins[-1].all():
            second = int(np.flatnonzero(~begins[-1])[0])
            raise InputError(
                f"items {order[second - 1]} and {order[second]} have the identifier "
                f"{tuple(codes[order[second]].tolist())}: identifiers must be unique, append a code that "
                "tells them apart"
            )

        def tensor(values: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values, np.int64)).to(device)

        self.codes, self.items = tensor(codes), tensor(order)
        nodes = [np.zeros(1, np.int64), *(np.flatnonzero(begin) for begin in begins)]  # their first places
        self.first_item = [tensor(np.append(first, self.num_items)) for first in nodes]
        self.code_of = [tensor(codes[order[first], level]) for level, first in enumerate(nodes[1:])]
        self.first_child, self.node_of = [], [tensor(np.zeros(self.num_items))]
        self.width: list[int] = []
        self.table: list[Tensor | None] = []
        self._codes: list[Tensor | None] = []  # (nodes of l, C) the codes of the children
        self._absent: list[Tensor | None] = []  # added to their logits, as that has no branches
        for level, (begin, size) in enumerate(zip(begins, self.level_sizes, strict=True)):
            first, after = nodes[level], nodes[level + 1]
            children = np.append(np.searchsorted(after, first), len(after))
            self.first_child.append(tensor(children))
            node = np.empty(self.num_items, np.int64)
            node[order] = begin.cumsum() - 1
            self.node_of.append(tensor(node))
            most = int(np.diff(children).max())
            if 2 * most >= size and len(first) * size <= LARGEST_TABLE:
                cells = np.full((len(first), size), -1)
                parent = np.repeat(np.arange(len(first)), np.diff(children))
                cells[parent, codes[order[after], level]] = np.arange(len(after))
                table = tensor(cells)
                self.table.append(table)
                self._codes.append(None)
                self._absent.append(torch.where(table < 0, -torch.inf, 0.0))
                self.width.append(size)
                continue
            most = max(most, FEWEST_CELLS)
            self.table.append(None)
            self.width.append(most)
            known = there = None
            if len(first) * most <= LARGEST_TABLE:
                place = children[:-1, None] + np.arange(most)
                there = torch.from_numpy(place < children[1:, None]).to(device)
                known = self.code_of[level][tensor(np.minimum(place, len(after) - 1))]
            self._codes.append(known)
            self._absent.append(None if there is None else torch.where(there, 0.0, -torch.inf))

    def to(self, device: "torch.device | str") -> Self:
        """The same on another device; itself where it is there already."""
        if self.items.device == torch.device(device):
            return self
        moved = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
            elif isinstance(value, list):
                setattr(moved, name, [one.to(device) if isinstance(one, Tensor) else one for one in value])
        return moved

    def of_children(self, level: int, nodes: Tensor, logits: Tensor) -> Tensor:
        """(..., C) the logits of what may follow nodes, -inf in cells without a child; with gradients.

        Args:
            level: of the nodes, from 0 to below L.
            nodes: (...).
            logits: (..., V) of all codes.
        """
        absent, codes = self._absent[level], self._codes[level]
        if absent is not None:
            if codes is not None:
                logits = logits.gather(-1, embedding(nodes, codes))
            return logits + embedding(nodes, absent)
        child, there = self.children(level, nodes)
        return logits.gather(-1, self.code_of[level][child]).masked_fill(~there, -torch.inf)

    def child(self, level: int, nodes: Tensor, cell: Tensor) -> Tensor:
        """The node of the next level in a cell, from 0 to below C, of nodes (...); any if there is none."""
        table = self.table[level]
        if table is not None:
            return table[nodes, cell].clamp(min=0)
        return (self.first_child[level][nodes] + cell).clamp(max=len(self.code_of[level]) - 1)

    def children(self, level: int, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """(..., C) the nodes in the cells of nodes (...), and whether each is a child."""
        cell = torch.arange(self.width[level], device=nodes.device)
        child = self.child(level, nodes.unsqueeze(-1), cell)
        table = self.table[level]
        if table is not None:
            return child, table[nodes] >= 0
        first = self.first_child[level]
        return child, cell < (first[nodes + 1] - first[nodes]).unsqueeze(-1)

    def allowed_below(self, allow: Tensor) -> Tensor:
        """(B, N + 1) how many of the first n of `items` may be shown; the difference of two is a range's.

        Args:
            allow: (B, N) flags of items.
        """
        count = allow[:, self.items].cumsum(dim=1)
        return torch.cat([count.new_zeros(len(count), 1), count], dim=1)


def _check(codes: Array, level_sizes: tuple[int, ...]) -> None:
    """Refuse what are no identifiers."""
    if codes.ndim != 2 or codes.dtype.kind not in "iu" or codes.size == 0:
        raise InputError(
            f"codes must be (items, levels) whole numbers, one item or more, got {codes.dtype} of "
            f"{codes.shape}"
        )
    if codes.shape[1] != len(level_sizes) or min(level_sizes) < 1:
        raise InputError(
            f"level_sizes must be {codes.shape[1]} numbers of 1 or more, one a level, got {level_sizes}"
        )
    sizes = np.array(level_sizes)
    refuse("codes", (codes < 0) | (codes >= sizes), codes, "codes are from 0 to below their level's size")


def _sorted(codes: Ints, level_sizes: tuple[int, ...]) -> tuple[Ints, list[Array]]:
    """(N,) items in the order of their identifiers; for every level, (N,) whether a prefix begins there."""
    items = np.arange(len(codes))
    if len(codes) * np.prod(np.array(level_sizes, float)) < LARGEST_KEY:
        key = items * 0
        for level, size in enumerate(level_sizes):
            key = key * size + codes[:, level]
        key, order = np.divmod(np.sort(key * len(codes) + items), len(codes))
        below = np.append(
            np.cumprod(level_sizes[:0:-1], dtype=np.int64)[::-1], 1
        )  # identifiers of one prefix
        prefixes = [key // one for one in below]
    else:
        order = np.lexsort(codes.T[::-1])
        prefixes = list(codes[order].T)
    begins, begin = [], items == 0
    for prefix in prefixes:
        begin = begin.copy()
        begin[1:] |= prefix[1:] != prefix[:-1]
        begins.append(begin)
    return order, begins
