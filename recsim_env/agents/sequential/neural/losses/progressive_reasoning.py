"""ReaRec's progressive reasoning: early steps may be vague, late ones must be sharp, and noise harmless.

With the states s_tk of `LatentReasoning` after t items and k of R steps, f_tk(i) = s_tk . c(i):

    sharpen  = mean over t and k < R of the full softmax of the next item by f_tk / alpha^(R - k)
    contrast = mean over k = 1 .. R of InfoNCE between s_nk and s'_nk of the users of the batch
    loss     = sharpen + nu contrast

where n is a user's last item, and s' the states of a second pass, with a dropout of its own and with normal
numbers of deviation gamma added to every token. alpha > 1 divides the scores of early steps by more: to say
the item with a given probability they must tell items apart by more, and are moved less where they do not.
The last step is what the objective itself trains.

Source: Tang and others, "Think before recommend" (ReaRec), 2025, arXiv 2503.22675, and its public code;
alpha = 5, gamma = 0.01, both weights 1 as there. Ours: temperatures alpha^(R - k) alone, where it multiplies
by that of its scores (scores here have none); noise is carried on from step to step, where it is added to
the clean state each time; cosines and a contrast in both directions (`info_nce`), where it takes products.
"""

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.encoders.latent_reasoning import check_reasoning, steps_of
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.contrast import info_nce
from recsim_env.agents.sequential.neural.losses.objectives import loss
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class ProgressiveReasoning(Auxiliary):
    """The loss above.

    Args:
        weight: of it in the whole loss, above 0.
        sharpening: alpha, 1 or more.
        contrast: nu, 0 or more; 0 saves the second pass.
        noise: gamma, above 0.
        temperature: of the contrast, above 0.

    Raises:
        InputError: a number out of range; `begin`: an encoder that does not reason.
    """

    def __init__(
        self,
        *,
        weight: float = 1.0,
        sharpening: float = 5.0,
        contrast: float = 1.0,
        noise: float = 0.01,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(weight)
        check_ranges({}, {}, {"noise": noise, "temperature": temperature, "sharpening": sharpening})
        if sharpening < 1:
            raise InputError(f"sharpening must be 1 or more, got {sharpening}")
        if contrast < 0:
            raise InputError(f"contrast must be 0 or more, got {contrast}")
        self.sharpening, self.contrast, self.noise = sharpening, contrast, noise
        self.temperature = temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Look at the encoder."""
        check_reasoning(network, "ProgressiveReasoning")

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        found, targets = steps_of(network, states), torch.from_numpy(rows.targets).to(states.device)
        known, R = targets >= 0, found.shape[2] - 1
        value = found.sum() * 0.0
        for k in range(R):
            sharper = found[:, :, k][known] / self.sharpening ** (R - k)
            of_step = loss(
                "full_softmax",
                sharper,
                targets[known],
                network.candidates,
                network.num_items,
                generator,
            )
            value = value + of_step / R
        if self.contrast:
            items = torch.from_numpy(rows.items).to(states.device)
            reasoner = check_reasoning(network, "ProgressiveReasoning")
            noisy = reasoner.trajectory(items, last_alone=True, noise=self.noise, generator=generator)
            for k in range(1, R + 1):
                apart = info_nce(found[:, -1, k], noisy[:, 0, k], self.temperature)
                value = value + self.contrast * apart / R
        return value
