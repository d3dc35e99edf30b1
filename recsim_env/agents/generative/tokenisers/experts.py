"""Codes of several experts in parallel: each looks at an item in its own way, and none comes before another.

    y_r = x P_r + b_r,      c_r = argmin_v |y_r - e_{r,v}|^2       of each of R experts
    h   = softmax(x G + g)                                          how much each is heard, for this item
    q   = sum over r of h_r (y_r + sg[e_{r,c_r} - y_r]),            x' = decoder(q), two layers with relu
    L   = |x - x'|^2 + mean over r of ( |sg[y_r] - e_{r,c_r}|^2 + beta |y_r - sg[e_{r,c_r}]|^2 )
          + gamma * mean over r != s of |P_r^T P_s|^2 / (|P_r|^2 |P_s|^2)

sg[.] lets no gradient through, squares are means over the numbers of an item and over items, and the last
term keeps experts from looking at the same directions. Codebooks begin at the centres of a k-means of y_r.

Source: REG4Rec, 2025 (multi-expert parallel quantisation), of which a summary was read and no code: the
layers, and the last term's form, are ours.
"""

from dataclasses import replace

import numpy as np

from recsim_env.agents.generative.tokenisers.autoencoder import Standardised, minimise
from recsim_env.agents.generative.tokenisers.identifiers import (
    Identifiers,
    check_collisions,
    finite_features,
    resolve,
)
from recsim_env.agents.generative.tokenisers.k_means import k_means
from recsim_env.arrays import Array
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import mse_loss  # noqa: E402


class Experts(nn.Module):
    """Features (B, D) -> features, through the codes of R experts.

    Args:
        dimension: D.
        experts: R.
        size: V.
        width: W, numbers of an expert.
        generator: of the first weights.
    """

    def __init__(
        self, dimension: int, experts: int, size: int, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.empty(experts, dimension, width))
        self.into_constant = nn.Parameter(torch.zeros(experts, width))
        self.codebooks = nn.Parameter(torch.zeros(experts, size, width))
        self.gate, self.gate_constant = (
            nn.Parameter(torch.empty(dimension, experts)),
            nn.Parameter(torch.zeros(experts)),
        )
        self.decoder = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, dimension))
        with torch.no_grad():
            for weight in (*self.into, self.gate, self.decoder[0].weight, self.decoder[2].weight):
                nn.init.xavier_uniform_(weight, generator=generator)
            self.decoder[0].bias.zero_()
            self.decoder[2].bias.zero_()

    def looked(self, x: Tensor) -> Tensor:
        """(B, R, W) what the experts see."""
        return torch.einsum("bd,rdw->brw", x, self.into) + self.into_constant

    def quantised(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, R) of what the experts see, and their vectors (B, R, W)."""
        codes = torch.cdist(y.transpose(0, 1), self.codebooks).argmin(dim=2).T
        return codes, self.codebooks[torch.arange(len(self.codebooks), device=y.device), codes]

    def rebuilt(self, x: Tensor, vectors: Tensor) -> Tensor:
        """(B, D) of vectors (B, R, W)."""
        heard = (x @ self.gate + self.gate_constant).softmax(dim=1)
        found: Tensor = self.decoder((heard.unsqueeze(2) * vectors).sum(dim=1))
        return found

    def loss(self, x: Tensor, beta: float, gamma: float) -> Tensor:
        """L of the module."""
        y = self.looked(x)
        _, vectors = self.quantised(y)
        value = mse_loss(self.rebuilt(x, y + (vectors - y).detach()), x)
        value = value + mse_loss(vectors, y.detach()) + beta * mse_loss(y, vectors.detach())
        return value + gamma * alike(self.into)


def alike(into: Tensor) -> Tensor:
    """How far experts (R, D, W) look at the same directions, from 0 to 1; 0 of one expert."""
    if len(into) == 1:
        return into.sum() * 0.0
    shared = torch.einsum("rdw,sdv->rswv", into, into).square().sum(dim=(2, 3))
    size = into.square().sum(dim=(1, 2))
    share = shared / (size[:, None] * size)
    apart = ~torch.eye(len(into), dtype=torch.bool, device=into.device)
    return share[apart].mean()


def experts(
    features: Array,
    levels: int = 4,
    size: int = 256,
    *,
    width: int = 32,
    beta: float = 0.25,
    gamma: float = 0.1,
    epochs: int = 300,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    collisions: str = "append",
    seed: int = 0,
) -> Identifiers:
    """Identifiers whose codes are those of parallel experts.

    Args:
        features: (N, D).
        levels: R, 1 or more.
        size: V of every expert, 1 to N.
        width: numbers of an expert.
        beta: how much experts keep to their codes, 0 or more.
        gamma: how much they are kept apart, 0 or more.
        epochs: of training.
        batch_size: items of one gradient.
        learning_rate: of Adam.
        collisions: what becomes of shared identifiers, see `identifiers`; not `transport`.
        seed: of weights, centres and batches.

    Raises:
        InputError: features that are not finite or of another shape, a number out of range, a loss that is no
            number.
    """
    check_collisions(collisions, transport=False)
    table = Standardised(finite_features(features))
    whole = {"levels": levels, "size": size, "width": width, "epochs": epochs, "batch_size": batch_size}
    check_ranges(whole, {}, {"learning_rate": learning_rate})
    for name, value in {"beta": beta, "gamma": gamma}.items():
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name} must be 0 or more, got {value}")
    x = table.x
    if size > len(x):
        raise InputError(f"size must be 1 to {len(x)}, the number of items, got {size}")
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = Experts(x.shape[1], levels, size, width, generator)
    with torch.no_grad():
        for book, y in zip(network.codebooks, network.looked(x).transpose(0, 1), strict=True):
            book.copy_(torch.from_numpy(k_means(y.double().numpy(), size, rng, rounds=10)[0]))
    minimise(
        network.parameters(),
        len(x),
        lambda rows: network.loss(x[rows], beta, gamma),
        generator,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    with torch.inference_mode():
        codes, vectors = network.quantised(network.looked(x))
        rebuilt = table.features(network.rebuilt(x, vectors))
    return replace(resolve(Identifiers(codes.numpy(), (size,) * levels), collisions), rebuilt=rebuilt)
