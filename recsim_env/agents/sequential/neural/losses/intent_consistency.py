"""IGR-SR's consistency: the intents found in a history must not hang on single items of it.

Two views of every user of the batch, each with some items left out, and the shares p, q (K,) of her intents
after the last item of each view (see `IntentReasoner`):

    loss = mean over users of JS(p, q) = KL(p | m) / 2 + KL(q | m) / 2,    m = (p + q) / 2,    in nats

Source: Shao, Zhou and others, 2025, arXiv 2512.14034, whose regularisation holds intents of masked views
together. Ours: the Jensen-Shannon divergence of the shares; items that are masked are left out.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.intent_reasoner import IntentReasoner
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.views import thinned
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class IntentConsistency(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        masked: share of the items that a view leaves out, above 0 and at most 1; one is always left.

    Raises:
        InputError: a number out of range; `begin`: an encoder without intents.
    """

    def __init__(self, *, weight: float = 1.0, masked: float = 0.2) -> None:
        super().__init__(weight)
        check_ranges({}, {"masked": masked}, {"masked": masked})
        self.masked = masked

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the encoder."""
        if not isinstance(network, IntentReasoner):
            raise InputError(f"IntentConsistency needs an IntentReasoner, got {type(network).__name__}")

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        assert isinstance(network, IntentReasoner)  # seen in `begin`
        shares = []
        for _ in range(2):
            view = thinned(rows, self.masked, sequences.num_items, generator)
            items = torch.from_numpy(view.items).to(states.device)
            h = network.read(items, torch.from_numpy(view.gaps).float().to(states.device))
            shares.append(network.intents(h, items)[1][:, -1])
        return jensen_shannon(*shares).mean()


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """JS(p, q) in nats, (...), of shares above 0, (..., K)."""
    m = (p + q) / 2
    return 0.5 * (p * (p / m).log() + q * (q / m).log()).sum(dim=-1)
