"""Contrast of two views of B things: the views of one thing draw near, those of others apart (InfoNCE).

With the 2 B views z, all of length 1, the partner p(i) of view i, and a temperature T:

    s_ij = z_i . z_j / T
    loss = 1 / (2 B) sum_i  log(exp s_i,p(i) + sum_{j other} exp s_ij) - s_i,p(i)

where j is other than i if it is a view of another thing, and, where labels are given, of one with another
label: a thing with the same label is no negative (false-negative mask).

Sources: van den Oord and others, "Representation learning with contrastive predictive coding", 2018; Chen and
others, "A simple framework for contrastive learning of visual representations", ICML 2020 (2 B views).
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Ints
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import cross_entropy, normalize  # noqa: E402

BLOCK = 64  # users that are read at a time, where their histories have any length


def info_nce(first: Tensor, second: Tensor, temperature: float, labels: Tensor | None = None) -> Tensor:
    """The loss above, 0 where there is no other.

    Args:
        first: (B, D) one view of each thing, of any length.
        second: (B, D) the other.
        temperature: T, above 0.
        labels: (B,) things with the same one are no negatives of each other; None = all are.
    """
    B = len(first)
    z = normalize(torch.cat([first, second]).float(), dim=1)
    s = z @ z.T / temperature
    own = torch.arange(B, device=s.device) if labels is None else labels
    same = (own[:, None] == own[None, :]).repeat(2, 2)
    partner = (torch.arange(2 * B, device=s.device) + B) % (2 * B)
    to_partner = s.gather(1, partner[:, None])
    logits = torch.cat([to_partner, s.masked_fill(same, -torch.inf)], dim=1)
    return cross_entropy(logits, torch.zeros_like(partner))


def last_states(network: SequenceEncoder, rows: Rows, device: torch.device) -> Tensor:
    """States (B, D) after the last item of rows."""
    items = torch.from_numpy(rows.items).to(device)
    states: Tensor = network(items, torch.from_numpy(rows.gaps).float().to(device))
    return states[:, -1]


def states_after(
    network: SequenceEncoder, sequences: Sequences, users: Ints, lengths: Ints, device: torch.device
) -> Tensor:
    """States (M, D) after all but the last of the first items of users.

    Args:
        network: the encoder.
        sequences: whose items.
        users: (M,).
        lengths: (M,) how many items, 2 or more, as in `Sequences.next_items`.
        device: of the network.
    """
    if len(users) <= BLOCK:
        return last_states(network, sequences.next_items(users, lengths), device)
    order = np.argsort(lengths, kind="stable")  # so that short ones are not padded to the longest of all
    blocks = [
        last_states(network, sequences.next_items(users[some], lengths[some]), device)
        for some in np.array_split(order, -(-len(order) // BLOCK))
    ]
    return torch.cat(blocks)[torch.from_numpy(np.argsort(order)).to(device)]


def check_contrasted(network: SequenceEncoder, name: str) -> None:
    """Refuse an encoder whose states are not those of a user after some items.

    Args:
        network: the encoder.
        name: of what needs such states.

    Raises:
        InputError: it reads around hidden items.
    """
    if network.reads == "around":
        raise InputError(
            f"{name} needs the state after a user's last item, but {type(network).__name__} reads around "
            "hidden ones: take an encoder that reads past or whole"
        )
