"""One code an item, scored by the item's vector: what SASRec and its like are, as a generative recommender.

    logit of item i = s . e(i)      the same vectors e as at the input of the encoder

with identifiers of one level, whose code i is item i (`tokenisers.numbered.atomic`).

Source: Kang, McAuley, "Self-attentive sequential recommendation", ICDM 2018.
"""

from recsim_env.agents.generative.heads.head import IdentifierHead, Past
from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.errors import require

require("torch", "torch")
from torch import Tensor  # noqa: E402 - after the check that says which extra has it


class ProjectionHead(IdentifierHead):
    """See the module.

    Args:
        items: the vectors e.
    """

    def __init__(self, items: ItemTable) -> None:
        super().__init__((items.num_items,))
        self.items = items

    def forward(self, past: Past, codes: Tensor) -> list[Tensor]:
        """See `IdentifierHead`."""
        return [past.state.unsqueeze(2) @ self.items.all().T]
