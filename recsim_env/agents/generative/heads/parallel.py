"""All codes at once, each given the state alone.

    logits of code l = (W_l s + b_l) . E_l(c)

A head that looks at no prefix is fast, and all items can be scored at once; that the codes of an item go
together it leaves to the catalogue, over which they are normalised.

Source: Hou and others, "Generating long semantic IDs in parallel for recommendation" (RPG), KDD 2025;
RecGPT's head says the codes of the next item from one pass as well. Ours: normalised over the trie.
"""

from collections.abc import Sequence

from recsim_env.agents.generative.heads.head import IdentifierHead, Past
from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD
from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class ParallelHead(IdentifierHead):
    """See the module.

    Args:
        level_sizes: (L,) V_1 .. V_L.
        dimension: D.
        generator: of the first weights.
    """

    def __init__(self, level_sizes: Sequence[int], dimension: int, *, generator: torch.Generator) -> None:
        super().__init__(level_sizes)
        self.vectors = nn.ModuleList(nn.Embedding(size, dimension) for size in self.level_sizes)
        self.lines = nn.ModuleList(nn.Linear(dimension, dimension) for _ in self.level_sizes)
        with torch.no_grad():
            for vectors, line in zip(self.vectors, self.lines, strict=True):
                vectors.weight.normal_(0.0, SPREAD, generator=generator)
                nn.init.eye_(line.weight)
                line.bias.zero_()

    def forward(self, past: Past, codes: Tensor) -> list[Tensor]:
        """See `IdentifierHead`; of the codes only their number matters."""
        state = past.state.unsqueeze(2)
        levels = zip(self.vectors, self.lines, range(codes.shape[-1] + 1), strict=False)
        return [line(state) @ vectors.weight.T for vectors, line, _ in levels]
