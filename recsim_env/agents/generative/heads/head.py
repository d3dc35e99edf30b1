"""What every identifier head is: a network from what is known of users, and codes so far, to the next code.

Letters: U users, Q steps of a user (each a moment at which a next item is asked for), T cells that were read,
D numbers a state, G identifiers of a step, L levels, V_l codes of level l.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recsim_env.agents.generative.decoding import NextCode
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


@dataclass(frozen=True)
class Past:
    """What an encoder leaves of the histories of users."""

    state: Tensor  # (U, Q, D) at each step
    memory: Tensor  # (U, T, D) of every cell that was read
    seen: Tensor  # (U, Q, T) flags: which cells each step may look at, at least one

    @property
    def last(self) -> "Past":
        """The last step of each user alone."""
        return Past(self.state[:, -1:], self.memory, self.seen[:, -1:])

    def at(self, step: Tensor) -> "Past":
        """One step (U,) of each user."""
        place = step[:, None, None]
        state = self.state.gather(1, place.expand(-1, 1, self.state.shape[2]))
        return Past(state, self.memory, self.seen.gather(1, place.expand(-1, 1, self.seen.shape[2])))


class IdentifierHead(nn.Module):
    """A past and codes (U, Q, G, l) -> logits.

    Args:
        level_sizes: (L,) V_1 .. V_L.
    """

    def __init__(self, level_sizes: Sequence[int]) -> None:
        super().__init__()
        self.level_sizes = tuple(level_sizes)

    def forward(self, past: Past, codes: Tensor) -> list[Tensor]:
        """Logits of the first code, of the second given the first, .., of the one after those that are given.

        Args:
            past: of U users at Q steps.
            codes: (U, Q, G, l), l from 0 to L - 1.

        Returns:
            l + 1 of (U, Q, G, V_level); those that look at no code may be (U, Q, 1, V_level).
        """
        raise NotImplementedError

    def next_code(self, past: Past) -> NextCode:
        """Logits (U, M, V) of one level after the other, for users at one step each.

        Args:
            past: (U, 1, ..) one step.
        """
        prefix = torch.zeros(0)

        def logits(level: int, parents: Tensor, codes: Tensor) -> Tensor:
            nonlocal prefix
            if level:
                kept = prefix.gather(1, parents.unsqueeze(-1).expand(-1, -1, prefix.shape[2]))
                prefix = torch.cat([kept, codes.unsqueeze(-1)], dim=2)
            else:
                prefix = codes.new_zeros((*codes.shape, 0))
            found: Tensor = self(past, prefix[:, None])[-1]
            return found[:, 0].expand(-1, codes.shape[1], -1)

        return logits
