"""A classifier that tells a defender's own fakes from all users of a log, some of whom may be fakes, too.

    s_u = sigma(z_u),   z_u = w' x_u + c,   or with hidden units   w' relu(W x_u + b) + c
    x_u                 the features of u, each less its mean over the users of the log, divided by its
                        deviation over users and known fakes, cut at 5. By the deviation of users alone, a
                        few users who are a little alike would be as far out as a whole campaign
    loss = mean over fakes and users u of  BCE(s_u, y_u) + r (1 - y_u) H(s_u),
           H(s) = -s log s - (1 - s) log(1 - s)

with y = 1 for the defender's fakes and 0 for the others. H drives the scores of users to 0 or 1, so that one
whose label of 0 is wrong, as all around say, is not held in the middle.

Undetected fakes come together in one place with a label of 0. Hidden units carve that place out, and so does,
in time, a line that is let grow; hence a line by default, and a decay that holds it near the direction from
the users' middle to that of the known fakes, however long it learns.

Source: the loss and r = .5 are those of the public code of Zhang and others, "LoRec", SIGIR 2024. Ours:
features and a line in place of a transformer over states, so no term that ties it to a language model; of
AdamW a decay of 3 and a rate of .001, where it has .0005 and .01; batches of 64, where it has 512, so that a
small log makes gradients enough.
"""

from typing import Any

import numpy as np

from recsim_env.agents.sequential.neural.device import repeatable
from recsim_env.agents.sequential.neural.trained_network import luck_of_epoch
from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import logsigmoid  # noqa: E402

CUT = 5.0  # deviations
HIDDEN: dict[str, Any] = {"hidden": 8, "learning_rate": 0.003, "weight_decay": 5e-4, "batch_size": 512}
"""Settings with hidden units, found where one known attack is left out and looked for by others."""


class FraudNetwork(nn.Module):
    """See the module.

    Args:
        features: F.
        hidden: units between; 0 = a line.
        entropy: r, 0 or more.
        learning_rate: of AdamW.
        weight_decay: of AdamW, which takes this times the learning rate off every weight at each gradient.
        batch_size: users of one gradient.
        seed: of first weights and batches.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        features: int,
        *,
        hidden: int = 0,
        entropy: float = 0.5,
        learning_rate: float = 0.001,
        weight_decay: float = 3.0,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_ranges({"batch_size": batch_size}, {}, {"learning_rate": learning_rate})
        if hidden < 0:
            raise InputError(f"hidden must be 0 or more, got {hidden}")
        for name, value in (("entropy", entropy), ("weight_decay", weight_decay)):
            if not 0 <= value < np.inf:
                raise InputError(f"{name} must be 0 or more, got {value}")
        self.entropy, self.batch_size, self.seed, self.epoch = entropy, batch_size, seed, 0
        before = [nn.Linear(features, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*before, nn.Linear(hidden or features, 1))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    layer.weight.normal_(0.0, layer.in_features**-0.5, generator=generator)
                    layer.bias.zero_()
        self.optimiser = torch.optim.AdamW(self.parameters(), learning_rate, weight_decay=weight_decay)

    def forward(self, x: Tensor) -> Tensor:
        """Logits z (B,) of features (B, F)."""
        z: Tensor = self.layers(x).squeeze(1)
        return z

    def train_epoch(self, x: Floats, fake: Bools) -> float:
        """Learn from everybody once; the mean loss.

        Args:
            x: (V, F) features of all, see `standardised`.
            fake: (V,) who is the defender's own.
        """
        rng, _, seed = luck_of_epoch(self.seed, self.epoch)
        inputs, labels = torch.from_numpy(x).float(), torch.from_numpy(fake).float()
        total = 0.0
        with repeatable(inputs.device, seed):
            for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // self.batch_size)):
                value = fraud_loss(self(inputs[rows]), labels[rows], self.entropy)
                self.optimiser.zero_grad(set_to_none=True)
                value.backward()
                self.optimiser.step()
                total += value.item() * len(rows) / len(x)
        self.epoch += 1
        return total

    def scores(self, x: Floats) -> Floats:
        """(V,) the probabilities s."""
        with torch.inference_mode():
            return np.asarray(self(torch.from_numpy(x).float()).double().sigmoid().numpy())


def fraud_loss(logits: Tensor, fake: Tensor, entropy: float) -> Tensor:
    """The loss above.

    Args:
        logits: (B,) z.
        fake: (B,) y, 1 or 0.
        entropy: r.
    """
    yes, no = logsigmoid(logits), logsigmoid(-logits)
    s = logits.sigmoid()
    uncertain = -s * yes - (1.0 - s) * no
    return (-fake * yes - (1.0 - fake) * no + entropy * (1.0 - fake) * uncertain).mean()


def standardised(features: Floats, fake: Bools) -> Floats:
    """The features (V, F) as the network reads them, centred by who is no known fake."""
    mean, deviation = features[~fake].mean(axis=0), features.std(axis=0)
    return np.clip((features - mean) / np.where(deviation > 1e-12, deviation, 1.0), -CUT, CUT)
