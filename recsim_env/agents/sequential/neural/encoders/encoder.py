"""What every sequence encoder is: a network from the items of a user to states, and the vectors they meet.

    s_t = state of a user after t items,    score of item i after them = s_t . c(i),

where c(i), the candidate vector, is the vector of item i unless an encoder says otherwise. Encoders differ in
what a state is made of:

    past     the items up to t: one pass trains on the next item of every step
    around   all items but those that are hidden: trains on hidden items (cloze), scores a hidden last one
    whole    all items of the history it is given, so that only the last state is one: trains on the next item
             after a beginning of every user's items, drawn anew in every epoch

Letters: U users, L cells of a history, D numbers a state, N items.
"""

from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.errors import check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

SPREAD = 0.02  # standard deviation of the first weights


class SequenceEncoder(nn.Module):
    """Items (U, L), and the time between them, -> states (U, L, D).

    Args:
        items: the vectors of the items.
        max_length: the longest history that is read, 1 or more.

    Raises:
        InputError: a number out of range.
    """

    reads: str = "past"  # or around, or whole
    reads_gaps: bool = False  # whether it must be given the time between items
    widths: tuple[int, ...] = ()  # first numbers of a state that are to name the next item too

    def __init__(self, items: ItemTable, max_length: int) -> None:
        super().__init__()
        check_ranges({"max_length": max_length}, {}, {})
        self.items, self.max_length = items, max_length

    @property
    def num_items(self) -> int:
        """N."""
        return self.items.num_items

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """States (U, L, D).

        Args:
            items: (U, L) ids, N = an empty cell, all of them on the left; N + 1 = a hidden item, for
                encoders that read `around`.
            gaps: (U, L) seconds from each item to the next one, from the last to what is to be scored; 0 in
                empty cells. None where time is not known: encoders that `reads_gaps` refuse it.
        """
        raise NotImplementedError

    def candidates(self, items: Tensor | None = None) -> Tensor:
        """What a state is multiplied with: (..., D) of items (...), or (N, D) of all."""
        vectors: Tensor = self.items.all() if items is None else self.items(items)
        return vectors

    def draw_first_weights(self, generator: torch.Generator) -> None:
        """Normal numbers of deviation SPREAD in every matrix, 0 in every bias; the rest stays as it is."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, SPREAD, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
            self.items.clear_empty()


def seen_keys(empty: Tensor, *, past: bool = True) -> Tensor:
    """Which query may look at which key, (U, 1, L, L), of cells that are empty or not, (U, L).

    An empty cell sees itself, as a softmax over nothing is no number; nobody else sees it.
    """
    L = empty.shape[1]
    itself = torch.eye(L, dtype=torch.bool, device=empty.device)
    allowed = ~empty[:, None, :] | itself
    if past:
        allowed = allowed & torch.ones(L, L, dtype=torch.bool, device=empty.device).tril()
    return allowed[:, None]
