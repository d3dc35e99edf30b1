"""What a user's memory holds when a session begins: base levels and spreading activation, as plain arrays.

All of it is known before the session: its start, and the items of the sessions before. Nothing else of the
session and nothing later enters.

    BLL_i = s_i / sum_k s_k,    s_i = sum_j (t - t_j)^-d       at the start t, over earlier sessions at t_j
    SPR_i = sum_{j in x, j != i} C_ij,    C = D^-1/2 C' D^-1/2   of the items i of a session x

C' counts the sessions that hold both items and D its row sums (`user_models.memory.actr` has the same for
catalogues of some thousands). The softmax of the activations ln s_i is the share BLL_i.

Letters: B sessions that begin, X sessions of a split, M places, N items, F favourites.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsim_env.agents.sequential.session_recommender import block_rows
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.sessions_split import Sessions

PAIRS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Memory:
    """The base levels at the start of B sessions."""

    own: Floats  # (B, M) of the items of the session itself; 0 for what is new, and in empty cells
    previous: Floats  # (B, M) of the items of the user's session before; 0 where there is none
    favourites: Ints  # (B, F) items of the highest base level, highest first, -1 where fewer are known
    strength: Floats  # (B, F) theirs


def shares(sessions: Sessions, rows: Array, decay: float) -> Floats:
    """(B, N) BLL of every item at the start of sessions `rows` (B,); rows of 0 for a user's first."""
    items, ages = sessions.before(rows)
    row, column = np.nonzero(items >= 0)
    cell = row * sessions.num_items + items[row, column]
    strength = np.bincount(cell, ages[row, column] ** -decay, len(items) * sessions.num_items)
    strength = strength.reshape(len(items), sessions.num_items)
    return strength / np.maximum(strength.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def memory_at(sessions: Sessions, rows: Array, *, decay: float = 0.5, favourites: int = 20) -> Memory:
    """What is known at the start of sessions `rows` (B,); of equal favourites the lower id comes first."""
    rows = np.asarray(rows)
    M, F = sessions.items.shape[1], min(favourites, sessions.num_items)
    own, previous = np.zeros((len(rows), M)), np.zeros((len(rows), M))
    best, strength = np.full((len(rows), F), -1), np.zeros((len(rows), F))
    step = block_rows(sessions)
    for begin in range(0, len(rows), step):
        block = slice(begin, begin + step)
        share = shares(sessions, rows[block], decay)
        b = np.arange(len(share))[:, None]
        here = sessions.items[rows[block]]
        own[block] = np.where(here >= 0, share[b, here], 0.0)
        follows = rows[block] > sessions.first[sessions.user[rows[block]]]
        there = np.where(follows[:, None], sessions.items[rows[block] - 1], -1)
        previous[block] = np.where(there >= 0, share[b, there], 0.0)
        top = np.argsort(-share, axis=1, kind="stable")[:, :F]
        strength[block] = share[b, top]
        best[block] = np.where(strength[block] > 0, top, -1)
    return Memory(own, previous, best, strength)


def association(sessions: Sessions, rows: Array) -> sparse.csr_array:
    """(N, N) C of the sessions `rows`; an item that is always alone has an empty row."""
    place, column = np.nonzero(sessions.items[rows] >= 0)
    item = sessions.items[rows][place, column]
    held = sparse.csr_array((np.ones(len(item)), (place, item)), (len(rows), sessions.num_items))
    together = sparse.csr_array(held.T @ held)
    together.setdiag(0.0)
    together.eliminate_zeros()
    degree = np.asarray(together.sum(axis=1)).ravel()
    scale = np.where(degree > 0, 1.0, 0.0) / np.sqrt(np.where(degree > 0, degree, 1.0))
    return sparse.csr_array(sparse.diags_array(scale) @ together @ sparse.diags_array(scale))


def spreading(associated: sparse.csr_array, items: Ints) -> Floats:
    """(B, M) SPR of every item of sessions (B, M) from the others, 0 in empty cells (-1)."""
    B, M = items.shape
    found = np.zeros((B, M))
    step = max(1, PAIRS_AT_ONCE // (M * M))
    for begin in range(0, B, step):
        block = items[begin : begin + step]
        i, j = np.broadcast_to(block[:, :, None], (len(block), M, M)), block[:, None, :]
        pair = (i >= 0) & (j >= 0)
        values = np.zeros(pair.shape)
        values[pair] = associated[i[pair], np.broadcast_to(j, pair.shape)[pair]]
        found[begin : begin + step] = values.sum(axis=2)
    return found
