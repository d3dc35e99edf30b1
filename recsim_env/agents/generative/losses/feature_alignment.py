"""Vectors of codes are held to what the items are: which codes go with which features is learned both ways.

For the B items that a batch of users ends with, e(i) the vector of an item as a history is read, x_i its
features, cos the cosine and t a temperature:

    a_ij = cos(e(i), W x_j) / t
    loss = - mean over i of [ log softmax_j(a_ij)_i + log softmax_j(a_ji)_i ] / 2

Source: InfoNCE, van den Oord and others, 2018, both ways as in CLIP (Radford and others, 2021). It stands for
LC-Rec's tasks item2index and index2item (Zheng and others, ICDE 2024), which ask a language model for the
codes of a title and for the title of codes. Ours: features and a matrix in place of a language model.
"""

from recsim_env.agents.generative.tokenisers.autoencoder import Standardised
from recsim_env.agents.generative.tokenisers.identifiers import finite_features
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy, normalize  # noqa: E402


class FeatureAlignment(Auxiliary):
    """The loss above.

    Args:
        features: (N, F).
        weight: of it in the whole loss, above 0.
        temperature: t, above 0.

    Raises:
        InputError: a number out of range, features that are not finite; `begin`: features of other items.
    """

    def __init__(self, features: Array, *, weight: float = 0.1, temperature: float = 0.1) -> None:
        super().__init__(weight)
        check_ranges({}, {}, {"temperature": temperature})
        self.temperature = temperature
        self.register_buffer("features", Standardised(finite_features(features)).x)

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Make W."""
        if len(self.features) != network.num_items:
            raise InputError(
                f"features must have {network.num_items} rows, one an item, got {len(self.features)}"
            )
        self.line = nn.Linear(self.features.shape[1], network.items.dimension, bias=False)
        nn.init.xavier_uniform_(self.line.weight, generator=generator)

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        items = torch.from_numpy(rows.items[:, -1]).to(states.device).unique()  # none is its own negative
        items = items[items < network.num_items]
        return aligned(network.items(items), self.line(self.features[items]), self.temperature)


def aligned(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """InfoNCE both ways of rows (B, D), each of which belongs to that of the same number."""
    alike = normalize(one, dim=1) @ normalize(other, dim=1).T / temperature
    own = torch.arange(len(alike), device=alike.device)
    return (cross_entropy(alike, own) + cross_entropy(alike.T, own)) / 2
