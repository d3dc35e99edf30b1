"""What every identifier head is: a network from a state, and the codes so far, to logits of the next code.

Letters: D numbers a state, L levels, V_l codes of level l. `...` is any shape, such as users, or beams of
users; a head looks at one of them at a time.
"""

from collections.abc import Sequence

from recsim_env.errors import require

require("torch", "torch")
from torch import Tensor, nn  # noqa: E402 - after the check that says which extra has it


class IdentifierHead(nn.Module):
    """States (..., D) and codes (..., l) -> logits.

    Args:
        level_sizes: (L,) V_1 .. V_L.
    """

    def __init__(self, level_sizes: Sequence[int]) -> None:
        super().__init__()
        self.level_sizes = tuple(level_sizes)

    def forward(self, state: Tensor, codes: Tensor) -> list[Tensor]:
        """Logits of the first code, of the second given the first, .., of the one after those that are given.

        Args:
            state: (..., D).
            codes: (..., l), l from 0 to L - 1.

        Returns:
            l + 1 of (..., V_level).
        """
        raise NotImplementedError
