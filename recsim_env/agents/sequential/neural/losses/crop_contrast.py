"""CL4SRec: two random crops of a user's items are views of one user.

    crop = n' = max(1, floor(eta n)) consecutive items of her n, begun at random
    loss = info_nce(s(crop 1), s(crop 2)) over the B users of a batch

Source: Xie and others, "Contrastive learning for sequential recommendation", ICDE 2022, its crop operator.
Ours: states of length 1 and a temperature, where it takes dot products.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import check_contrasted, info_nce, last_states
from recsim_env.agents.sequential.neural.losses.views import cropped
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class CropContrast(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        kept: eta, share of the items in a crop, above 0 and at most 1.
        temperature: of `info_nce`, above 0.

    Raises:
        InputError: a number out of range; `begin`: an encoder that reads around hidden items.
    """

    def __init__(self, *, weight: float = 0.1, kept: float = 0.6, temperature: float = 0.1) -> None:
        super().__init__(weight)
        check_ranges({}, {"kept": kept}, {"kept": kept, "temperature": temperature})
        self.kept, self.temperature = kept, temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at what the encoder reads."""
        check_contrasted(network, "CropContrast")

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        first, second = (
            last_states(network, cropped(rows, self.kept, sequences.num_items, generator), states.device)
            for _ in range(2)
        )
        return info_nce(first, second, self.temperature)
