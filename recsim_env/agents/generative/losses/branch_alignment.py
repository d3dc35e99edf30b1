"""H2Rec's alignment: the two tables of `GatedVectors` are to say the same of an item, and of a user.

Two contrasts (`info_nce`), with a(i), b(i) the vectors of item i in either table, and s^a, s^b the states
that the encoder leaves where it reads the vectors of one table alone:

    items        a(i) and b(i), over the items in the histories of a batch, at most 512 of them at random
    sequences    s_u^a and s_u^b after the last item, over the users u of the batch
    loss         = alpha items + beta sequences

Items that share all codes cannot be told apart by b, and the contrast tries: better no two do. Two more
passes through the encoder a batch.

Where features tell groups of items, and who follows whom among the frequent ones they do not, NDCG@10 is, on
frequent and on rare targets, .478 and .038 with ids, .338 and .058 with codes, .482 and .039 with both under
a gate, and .492 and .052 with this loss; standard errors .003 to .009 and .004 to .006
(`pytest tests/test_branch_alignment.py -m slow -s`).

Source: Liu and others, "The best of the two worlds: harmonizing semantic and hash IDs for sequential
recommendation" (H2Rec), 2025, arXiv 2512.10388, from its abstract: alignment at two levels. Ours: InfoNCE of
2 B views for both, the weights, and the limit of items.
"""

import numpy as np

from recsim_env.agents.generative.item_encoders.gated_vectors import GatedVectors
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import check_contrasted, info_nce, last_states
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

MOST = 512  # items that are contrasted at a time: their scores are (2 MOST)^2 numbers


class BranchAlignment(Auxiliary):
    """The loss above.

    Args:
        items: alpha, 0 or more.
        sequences: beta, 0 or more; not both are 0.
        temperature: of both contrasts, above 0.

    Raises:
        InputError: a number out of range; `begin`: an encoder of other items than `GatedVectors`, or that
            reads around hidden items.
    """

    def __init__(self, *, items: float = 0.1, sequences: float = 0.1, temperature: float = 0.2) -> None:
        super().__init__(1.0)
        if min(items, sequences) < 0 or items + sequences == 0:
            raise InputError(
                f"items and sequences must be 0 or more, and not both 0, got {items} and {sequences}"
            )
        check_ranges({}, {}, {"temperature": temperature})
        self.items, self.sequences, self.temperature = items, sequences, temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the encoder."""
        check_contrasted(network, "BranchAlignment")
        if not isinstance(network.items, GatedVectors):
            raise InputError(
                f"BranchAlignment needs an encoder of GatedVectors, got {type(network.items).__name__}"
            )

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        table = network.items
        assert isinstance(table, GatedVectors)  # seen in `begin`
        found = states.sum() * 0.0
        if self.items:
            read = torch.from_numpy(np.unique(rows.items[rows.items != sequences.num_items]))
            read = read[torch.randperm(len(read), generator=generator)[:MOST]].to(states.device)
            first, second = (branch(read) for branch in table.branches)
            found = found + self.items * info_nce(first, second, self.temperature)
        if self.sequences:
            after = []
            for branch in range(2):
                with table.alone(branch):
                    after.append(last_states(network, rows, states.device))
            found = found + self.sequences * info_nce(after[0], after[1], self.temperature)
        return found
