"""Adversarial training: the encoder must name the next item with item vectors that are pushed where it hurts.

    G_i  = gradient of objective(e + d) by d_i at d = 0,     e_i the vector of item i, wherever it is used
    d_i  = eps G_i / |G_i|,   0 where G_i is 0
    loss = objective(e + d), d held still

What is recommended should not hang on small changes of a vector, such as fake users make. The fakes
themselves are learned from like anybody else.

Source: He and others, "Adversarial personalized ranking for recommendation" (APR), SIGIR 2018; eps = .1 and
the weight .1 are those of ADVTrain in the public code of LoRec (Zhang and others, SIGIR 2024), where APR has
eps = .02. Ours: the objectives of this package, of the whole state where an encoder has widths.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.item_table import ItemTable
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.objectives import check_objective, loss
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402


class PushedItems(ItemTable):
    """Vectors of items, each with something added.

    Args:
        items: the vectors e.
        push: (N, D) what is added, d.
    """

    def __init__(self, items: ItemTable, push: Tensor) -> None:
        super().__init__(items.num_items, items.dimension)
        self.items, self.push = items, push

    def forward(self, items: Tensor) -> Tensor:
        """See `ItemTable`; an empty cell stays 0."""
        real = items < self.num_items
        added = self.push[items.clamp(max=self.num_items - 1)] * real[..., None]
        vectors: Tensor = self.items(items) + added
        return vectors

    def all(self) -> Tensor:
        """Vectors (N, D) of all items."""
        return self.items.all() + self.push


class AdversarialTraining(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        epsilon: eps, the length of every push, above 0.
        objective: as that of the recommender.
        negatives: of objectives that sample; the same for G and the loss.
        calibration: of gbce.

    Raises:
        InputError: a number out of range, an unknown objective; `loss`: an encoder that does not read its
            items by `SequenceEncoder.items`.
    """

    def __init__(
        self,
        *,
        weight: float = 0.1,
        epsilon: float = 0.1,
        objective: str = "sampled_softmax",
        negatives: int = 256,
        calibration: float = 0.75,
    ) -> None:
        super().__init__(weight)
        check_ranges({}, {}, {"epsilon": epsilon})
        check_objective(objective, negatives, calibration)
        self.epsilon, self.objective = epsilon, objective
        self.negatives, self.calibration = negatives, calibration

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        seed = int(torch.randint(2**62, (), generator=generator))
        still = torch.zeros(
            network.num_items, network.items.dimension, device=states.device, requires_grad=True
        )
        value = self._pushed(network, rows, still, seed)
        (gradient,) = torch.autograd.grad(value, still, allow_unused=True)
        if gradient is None:
            raise InputError(
                f"AdversarialTraining pushes the vectors in items, which {type(network).__name__} does not "
                "read: take another encoder"
            )
        return self._pushed(network, rows, self.epsilon * normalize(gradient, dim=1), seed)

    def _pushed(self, network: SequenceEncoder, rows: Rows, push: Tensor, seed: int) -> Tensor:
        """The objective with pushed vectors."""
        items, targets, gaps = (
            torch.from_numpy(part).to(push.device) for part in (rows.items, rows.targets, rows.gaps)
        )
        known, own = targets >= 0, network.items
        readers = [one for one in network.modules() if isinstance(one, SequenceEncoder) and one.items is own]
        for one in readers:  # the network, and what it may be made of (`Cosine`)
            one.items = PushedItems(own, push)
        try:
            return loss(
                self.objective,
                network(items, gaps.float())[known],
                targets[known],
                network.candidates,
                network.num_items,
                torch.Generator().manual_seed(seed),
                negatives=self.negatives,
                calibration=self.calibration,
            )
        finally:
            for one in readers:
                one.items = own
