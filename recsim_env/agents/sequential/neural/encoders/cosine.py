"""Cosine: scores of any encoder by the angle between states and items, not by their lengths.

    score(i) = cos(s_t, c(i)) / temperature

So popular items cannot win by long vectors alone, which the product lets them grow. The temperature is a
setting: small ones tell items apart more sharply, and a softmax over cosines needs one well below 1.

Source: the normalised softmax of Wang and others, "NormFace: L2 hypersphere embedding for face
verification", ACM Multimedia 2017.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.errors import check_ranges, require

require("torch", "torch")
from torch import Tensor  # noqa: E402 - after the check that says which extra has it
from torch.nn.functional import normalize  # noqa: E402


class Cosine(SequenceEncoder):
    """Items (U, L) -> states (U, L, D) of length 1 / temperature, whose candidates have length 1.

    Args:
        encoder: any whose own candidates are vectors of D numbers.
        temperature: above 0.

    Raises:
        InputError: a temperature out of range.
    """

    def __init__(self, encoder: SequenceEncoder, *, temperature: float = 0.07) -> None:
        super().__init__(encoder.items, encoder.max_length)
        check_ranges({}, {}, {"temperature": temperature})
        self.encoder, self.temperature = encoder, temperature
        self.reads, self.reads_gaps = encoder.reads, encoder.reads_gaps  # as it does

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`."""
        return normalize(self.encoder(items, gaps), dim=-1) / self.temperature

    def candidates(self, items: Tensor | None = None) -> Tensor:
        """What a state is multiplied with: (..., D) of items (...), or (N, D) of all."""
        return normalize(self.encoder.candidates(items), dim=-1)
