"""Bayesian personalised ranking of sessions: each item played above one that was drawn instead.

    BPR(q) = mean over the items i of a session of -log sigmoid(q . e_i - q . e_n(i)),    n(i) another

Letters: W windows, L steps, S kinds of states, M places of a session, N items, D dimensions.

Source: Rendle and others, "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009.
"""

from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import softplus  # noqa: E402


def draw_negatives(items: Tensor, cumulative: Tensor, generator: torch.Generator) -> Tensor:
    """(W, L, M) an item for every cell, none of them of the cell's session.

    Args:
        items: (W, L, M) the sessions, N in empty cells.
        cumulative: (N,) float64, probability of an item up to each; more than M items have some.
        generator: of the draws, which are repeated until none is of its session.
    """
    drawn = torch.full(items.shape, -1)
    again = torch.ones(items.shape, dtype=torch.bool)
    while again.any():
        u = torch.rand(int(again.sum()), generator=generator, dtype=torch.float64)
        drawn[again] = torch.searchsorted(cumulative, u, right=True).clamp(max=len(cumulative) - 1)
        again = (drawn[..., :, None] == items[..., None, :]).any(dim=-1)
    return drawn


def bpr(states: Tensor, apart: Tensor, there: Tensor) -> Tensor:
    """(S,) mean of -log sigmoid(q . (e+ - e-)) over the cells that hold an item, for S kinds of states.

    Args:
        states: (W, L, S, D) q.
        apart: (W, L, M, D) vectors of the items played, less those of the items drawn.
        there: (W, L, M) bool.
    """
    cells = softplus(-(states @ apart.transpose(2, 3)))  # (W, L, S, M)
    return (cells * there[:, :, None]).sum(dim=(0, 1, 3)) / there.sum()
