"""Views of what users did: rows without some of their items, moved to the right, and without targets."""

import numpy as np

from recsim_env.agents.sequential.neural.sequences import Rows
from recsim_env.arrays import Bools
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it


def kept_alone(rows: Rows, kept: Bools, num_items: int) -> Rows:
    """The items that are kept.

    The time from an item to the next one that is kept is that between them, and from the last one that to
    what came after the row.

    Args:
        rows: (B, L).
        kept: (B, L), of cells with an item; at least one a row.
        num_items: N.
    """
    order = np.argsort(kept, axis=1, kind="stable")  # what is kept goes to the right, in its order
    there = np.take_along_axis(kept, order, axis=1)
    left = np.cumsum(rows.gaps[:, ::-1], axis=1)[:, ::-1]  # time from each item to the end
    left = np.append(np.take_along_axis(left, order, axis=1), np.zeros((len(left), 1)), axis=1)
    items = np.where(there, np.take_along_axis(rows.items, order, axis=1), num_items)
    gaps = np.where(there, left[:, :-1] - left[:, 1:], 0.0)
    return Rows(rows.users, items, gaps, np.full(items.shape, -1))


def thinned(rows: Rows, share: float, num_items: int, generator: torch.Generator) -> Rows:
    """Each item is left out with a probability; of a row that would be empty its last item is kept."""
    chance = torch.rand(rows.items.shape, generator=generator).numpy()
    kept = (rows.items != num_items) & (chance >= share)
    kept[~kept.any(axis=1), -1] = True
    return kept_alone(rows, kept, num_items)


def cropped(rows: Rows, share: float, num_items: int, generator: torch.Generator) -> Rows:
    """Of every row a part without holes: that share of its items, rounded down, one at least."""
    length = np.count_nonzero(rows.items != num_items, axis=1)
    taken = np.maximum(1, np.floor(share * length).astype(np.int64))
    later = np.floor(torch.rand(len(length), generator=generator).numpy() * (length - taken + 1)).astype(int)
    back = np.arange(rows.items.shape[1] - 1, -1, -1)  # of each cell, how many stand after it
    kept = (back >= later[:, None]) & (back < (later + taken)[:, None])
    ended = Rows(rows.users, rows.items, np.where(back >= later[:, None], rows.gaps, 0.0), rows.targets)
    return kept_alone(ended, kept, num_items)
