"""Scores of all items by a sequence encoder, and where each user's next item stands among them.

Users pass through the network sorted by the length of their history, so that nobody is padded to over double;
their states are kept, and meet the items in blocks of a bounded number of scores.
"""

from collections.abc import Iterator

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, require
from recsim_env.evaluation.rank_kernels import count_above
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import TargetRank

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

PASS_CELLS = 2**14  # items that pass through the network at a time


@torch.inference_mode()
def score_blocks(
    network: SequenceEncoder, history: Ints, gaps: Floats | None, device: torch.device
) -> Iterator[Tensor]:
    """Scores (b, N) of the rows of a history, in order, until all had their turn; at least one block.

    Args:
        network: on `device`.
        history: (B, H) ids, -1 = an empty cell, all on the left; only the last items are read.
        gaps: (B, H), see `SequenceEncoder.forward`; None where time is not known.
        device: of the scores.

    Raises:
        InputError: no gaps, and an encoder that needs them.
    """
    table = network.eval().candidates().T
    states = last_states(network, history, gaps, device) if len(history) else table.new_zeros(0, len(table))
    step = max(1, BLOCK_CELLS // network.num_items)
    for start in range(0, max(1, len(history)), step):
        yield states[start : start + step] @ table


def last_states(network: SequenceEncoder, history: Ints, gaps: Floats | None, device: torch.device) -> Tensor:
    """The state after every history, (B, D), B of 1 or more; arguments and errors as of `score_blocks`."""
    if network.reads_gaps and gaps is None:
        raise InputError(f"{type(network).__name__} reads the time between items: give gaps (B, H) too")
    length = np.minimum((history >= 0).sum(axis=1), network.max_length - (network.reads == "around"))
    order = np.argsort(length, kind="stable")
    doublings = np.log2(np.maximum(1, length[order])).astype(np.int64)
    found = []
    for alike in np.split(order, np.flatnonzero(np.diff(doublings)) + 1):
        step = max(1, PASS_CELLS // max(1, int(length[alike].max())))
        for start in range(0, len(alike), step):
            rows = alike[start : start + step]
            found.append(_last_state(network, history, gaps, rows, length[rows], device))
    return torch.cat(found)[torch.from_numpy(np.argsort(order)).to(device)]


def _last_state(
    network: SequenceEncoder,
    history: Ints,
    gaps: Floats | None,
    rows: Ints,
    length: Ints,
    device: torch.device,
) -> Tensor:
    """The state after the last `length` (b,) items of these rows, (b, D)."""
    longest = max(1, int(length.max()))
    items = _last(np.where(history[rows] < 0, network.num_items, history[rows]), longest, network)
    columns = np.arange(items.shape[1]) >= items.shape[1] - length[:, None]
    items = np.where(columns, items, network.num_items)
    time = None if gaps is None else np.where(columns, _last(gaps[rows], longest, network), 0.0)
    if network.reads == "around":  # the item to come is hidden behind the last
        items = np.append(items, np.full((len(rows), 1), network.num_items + 1), axis=1)
        time = None if time is None else np.append(time, np.zeros((len(rows), 1)), axis=1)
    between = None if time is None else torch.from_numpy(time).float().to(device)
    state: Tensor = network(torch.from_numpy(items).to(device), between)[:, -1]
    return state


def ranks(
    network: SequenceEncoder,
    history: Ints,
    target: Ints,
    gaps: Floats | None,
    device: torch.device,
    *,
    mask_history: bool,
) -> TargetRank:
    """Where the target of every user stands in the full catalogue; as `recommender.target_ranks`, in float32.

    Args:
        network: on `device`.
        history: (U, H), as in `score_blocks`.
        target: (U,) ids.
        gaps: (U, H) or None.
        device: of the work.
        mask_history: whether items of the history are no candidates.
    """
    better, tied = np.zeros(len(target), np.int64), np.zeros(len(target), np.int64)
    candidate = np.ones(len(target), np.bool_)
    start = 0
    for block in score_blocks(network, history, gaps, device):
        rows, start = slice(start, start + len(block)), start + len(block)
        scores, goal = block.float().cpu().numpy(), target[rows]
        of_target = scores[np.arange(len(goal)), goal]
        above, level = np.empty(len(goal), np.int64), np.empty(len(goal), np.int64)
        count_above(scores, of_target, above, level)
        if mask_history:
            had = np.sort(history[rows], axis=1)
            once = (had >= 0) & (np.diff(had, axis=1, prepend=-1) > 0)  # an item twice in it counts once
            theirs = np.take_along_axis(scores, np.maximum(had, 0), axis=1)
            above -= (once & (theirs > of_target[:, None])).sum(axis=1)
            level -= (once & (theirs == of_target[:, None]) & (had != goal[:, None])).sum(axis=1)
            candidate[rows] = ~(had == goal[:, None]).any(axis=1)
        better[rows], tied[rows] = above, level - 1
    return TargetRank(better, tied, candidate)


def _last(table: Ints | Floats, longest: int, network: SequenceEncoder) -> Ints | Floats:
    """The last columns of a table, at least one."""
    if table.shape[1] == 0:
        return np.full((len(table), 1), network.num_items)
    return table[:, -longest:]
