"""Where the item graph says that a user may go next: a prior over the neighbours of the recent items.

With the counts c(a, b) of transitions from a to b (the graph of `TransitionGraphRecommender`), and the last
items i_t, i_t-1, .. of a user after t items, M of them or as many as there are:

    P(j | a)  = c(a, j) / sum_b c(a, b), over the n items j that follow a most often, equals by their number
    g_t(j)   ~  sum_{m < M} fading^m P(j | i_t-m)            scaled to sum to 1; all 0 if none is followed

    drift of a prediction p   = KL(g_t || p) = sum_j g_t(j) (log g_t(j) - log p(j)),    in nats

Source: the prior over the neighbourhood of recent items is that of Yang and others, "ManCAR", 2026. Ours: the
transition graph and its frequencies; its public code takes the ten nearest items of the last one in a graph
of co-occurrence (Swing), by rank.
"""

import numpy as np

from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.agents.sequential.transition_graph import transition_counts
from recsim_env.arrays import Array
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class Neighbourhood(nn.Module):
    """Items (U, L) -> the ids and shares of g, (U, L, M n) each; an id may stand in several cells.

    Args:
        sequences: whose transitions are counted.
        recent: M, 1 or more.
        neighbours: n of each item, 1 or more.
        fading: above 0, at most 1.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self, sequences: Sequences, *, recent: int = 3, neighbours: int = 10, fading: float = 0.5
    ) -> None:
        super().__init__()
        check_neighbourhood(recent, neighbours, fading)
        self.recent, self.fading, self.num_items = recent, fading, sequences.num_items
        ids, share = _most_followed(sequences, neighbours)
        self.register_buffer("ids", torch.from_numpy(ids), persistent=False)
        self.register_buffer("share", torch.from_numpy(share), persistent=False)

    def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; `num_items` in items is an empty cell."""
        there = self._recent(items)
        return self.ids[there].flatten(2), (self._weight(there)[..., None] * self.share[there]).flatten(2)

    def mean_vectors(self, items: Tensor, table: Tensor) -> Tensor:
        """Sum over j of g(j) c(j), (U, L, D), of items (U, L) and the vectors c (N, D) of all."""
        there = self._recent(items)
        of_items = (self.share[:, :, None] * table[self.ids]).sum(dim=1)  # (N + 1, D)
        return (self._weight(there)[..., None] * of_items[there]).sum(dim=2)

    def drift(self, items: Tensor, log_p: Tensor) -> Tensor:
        """KL(g || p) after the last item of each user, (U, K); nan where no item is followed by any.

        Args:
            items: (U, L).
            log_p: (U, K, N) of K predictions, such as those of the steps of a `LatentReasoning`.
        """
        ids, share = (part[:, -1] for part in self(items[:, -self.recent :]))
        each = log_p.gather(2, ids[:, None].expand(-1, log_p.shape[1], -1))
        own = torch.xlogy(share, share_of_id(ids, share)).sum(dim=-1)
        away = own[:, None] - (share[:, None] * each).sum(dim=-1)
        return away.masked_fill(share.sum(dim=-1)[:, None] == 0, torch.nan)

    def _recent(self, items: Tensor) -> Tensor:
        """The last M items up to each, (U, L, M), the latest first."""
        L = items.shape[1]
        earlier = [nn.functional.pad(items, (back, 0), value=self.num_items) for back in range(self.recent)]
        return torch.stack([moved[:, :L] for moved in earlier], dim=2)

    def _weight(self, there: Tensor) -> Tensor:
        """What each of the last M items counts for, (U, L, M)."""
        back = torch.arange(self.recent, device=there.device)
        weight = self.fading**back * (self.share[there, 0] > 0)
        whole = weight.sum(dim=2, keepdim=True)
        return weight / whole.masked_fill(whole == 0, 1.0)


def share_of_id(ids: Tensor, share: Tensor) -> Tensor:
    """The share of each cell's id, (..., C), of a distribution in cells (..., C) that may share an id."""
    same = ids[..., :, None] == ids[..., None, :]
    return (same * share[..., None, :]).sum(dim=-1)


def check_neighbourhood(recent: int, neighbours: int, fading: float) -> None:
    """Refuse what `Neighbourhood` cannot take.

    Raises:
        InputError: the first of it.
    """
    check_ranges({"recent": recent, "neighbours": neighbours}, {"fading": fading}, {"fading": fading})


def _most_followed(sequences: Sequences, neighbours: int) -> tuple[Array, Array]:
    """Ids and float32 shares (N + 1, n), 0 where there are fewer, and for an empty cell."""
    N, inner = sequences.num_items, sequences.length - 1
    place = np.repeat(sequences.start - np.append(0, inner.cumsum()[:-1]), inner) + np.arange(inner.sum())
    graph = transition_counts(sequences.items[place], sequences.items[place + 1], N)
    ids, share = np.zeros((N + 1, neighbours), np.int64), np.zeros((N + 1, neighbours), np.float32)
    for item in np.flatnonzero(np.diff(graph.indptr)).tolist():
        edges = slice(graph.indptr[item], graph.indptr[item + 1])
        order = np.lexsort((graph.indices[edges], -graph.data[edges]))[:neighbours]
        count = graph.data[edges][order]
        ids[item, : len(order)], share[item, : len(order)] = graph.indices[edges][order], count / count.sum()
    return ids, share
