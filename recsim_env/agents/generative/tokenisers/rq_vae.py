"""RQ-VAE: an autoencoder whose narrow middle is a sum of codes.

    z   = encoder(x),    c_l = argmin_v |r_{l-1} - e_{l,v}|^2,    r_l = z - sg[e_{1,c_1} + .. + e_{l,c_l}]
    q   = sum of e_{l,c_l},          x' = decoder(z + sg[q - z])
    L   = |x - x'|^2 + sum over l of ( |sg[r_{l-1}] - e_{l,c_l}|^2 + beta |r_{l-1} - sg[e_{l,c_l}]|^2 )
          + alpha * collaborative + delta * diversity

sg[.] lets no gradient through, so a code learns from its own level alone; squares are means over the numbers
of an item and over items. Encoder and decoder are mirrored stacks of linear layers with relu between them; x
has mean 0, and variance 1 over all its numbers. The codebooks begin at the centres of a k-means of what the
untrained encoder leaves over at each level.

    collaborative   -log exp(q_i . u_i) / sum over the batch of exp(q_i . u_j), where u is a given vector of
                    the item, such as one of SASRec's, times a learned matrix
    diversity       -log exp(e_c . e_+) / sum over v != c of exp(e_c . e_v) at every level, where + is another
                    code of the cluster of c: the codes of a level are put into ten clusters of as many each,
                    anew before every epoch

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023; Zeghidour
and others, "SoundStream", 2021 (begun by k-means); Wang and others, "Learnable item tokenization for
generative recommendation" (LETTER), CIKM 2024, and its code (HonghuiBao2000/LETTER): alpha .01, delta 1e-4;
Zheng and others (LC-Rec), ICDE 2024: the layers, and collisions by transport.
"""

import itertools
from collections.abc import Sequence
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
from torch.nn.functional import cross_entropy, mse_loss  # noqa: E402

CLUSTERS = 10  # of codes, for diversity


class RQVAE(nn.Module):
    """Features (B, D) -> features, through codes.

    Args:
        dimension: D.
        level_sizes: V_1 .. V_L.
        hidden: units of the encoder's layers; the decoder has them in reverse.
        width: of z.
        generator: of the first weights.
    """

    def __init__(
        self,
        dimension: int,
        level_sizes: Sequence[int],
        hidden: Sequence[int],
        width: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = (dimension, *hidden, width)
        self.encoder, self.decoder = _layers(sizes), _layers(sizes[::-1])
        self.codebooks = nn.ParameterList(torch.zeros(size, width) for size in level_sizes)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.endswith("weight"):
                    nn.init.xavier_uniform_(weight, generator=generator)
                else:
                    weight.zero_()

    def quantised(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (B, L), their vectors (B, L, W), and what was left over before each level (B, L, W)."""
        left, codes, vectors, before = z, [], [], []
        for book in self.codebooks:
            code = torch.cdist(left, book).argmin(dim=1)
            codes.append(code)
            vectors.append(book[code])
            before.append(left)
            left = left - vectors[-1]
        return torch.stack(codes, 1), torch.stack(vectors, 1), torch.stack(before, 1)

    def loss(self, x: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
        """The first two terms of L; codes (B, L) and q (B, W), whose gradients reach the encoder."""
        z = self.encoder(x)
        codes, vectors, _ = self.quantised(z)
        left = (
            z[:, None] - torch.cat([torch.zeros_like(vectors[:, :1]), vectors[:, :-1].cumsum(1)], 1).detach()
        )
        code_loss = mse_loss(vectors, left.detach(), reduction="none").mean(dim=(0, 2)).sum()
        commitment = mse_loss(left, vectors.detach(), reduction="none").mean(dim=(0, 2)).sum()
        total = vectors.sum(dim=1)
        through = z + (total - z).detach()
        return mse_loss(self.decoder(through), x) + code_loss + beta * commitment, codes, through


def rq_vae(
    features: Array,
    level_sizes: Sequence[int] = (256, 256, 256),
    *,
    hidden: Sequence[int] = (512, 256, 128),
    width: int = 32,
    beta: float = 0.25,
    vectors: Array | None = None,
    alpha: float = 0.01,
    delta: float = 0.0,
    epochs: int = 500,
    batch_size: int = 1024,
    learning_rate: float = 1e-3,
    collisions: str = "append",
    seed: int = 0,
) -> Identifiers:
    """Identifiers of items that are alike by features.

    Args:
        features: (N, D).
        level_sizes: V_1 .. V_L, each at most N.
        hidden: units of the encoder's layers.
        width: of the middle.
        beta: how much the encoder keeps to its codes, 0 or more.
        vectors: (N, W) collaborative vectors of the items; None = no such term.
        alpha: weight of theirs, 0 or more.
        delta: weight of diversity, 0 or more.
        epochs: of training.
        batch_size: items of one gradient.
        learning_rate: of Adam.
        collisions: what becomes of shared identifiers, see `identifiers`.
        seed: of weights, centres and batches.

    Raises:
        InputError: features or vectors that are not finite or of another shape, a number out of range, a loss
            that is no number.
    """
    check_collisions(collisions)
    given = finite_features(features)
    sizes = tuple(int(size) for size in level_sizes)
    whole = {f"level_sizes[{i}]": size for i, size in enumerate(sizes)}
    whole |= {f"hidden[{i}]": int(units) for i, units in enumerate(hidden)}
    whole |= {"width": width, "epochs": epochs, "batch_size": batch_size}
    check_ranges(whole, {}, {"learning_rate": learning_rate})
    for name, value in {"beta": beta, "alpha": alpha, "delta": delta}.items():
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name} must be 0 or more, got {value}")
    if not sizes or max(sizes) > len(given):
        raise InputError(f"level_sizes must be 1 to {len(given)}, the number of items, got {sizes}")
    table = Standardised(given)
    x = table.x
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = RQVAE(x.shape[1], sizes, hidden, width, generator)
    beside = x[:, :0] if vectors is None else torch.from_numpy(finite_features(vectors, "vectors")).float()
    if len(beside) != len(x):
        raise InputError(f"vectors must have {len(x)} rows, one an item, got {len(beside)}")
    line = nn.Parameter(torch.empty(beside.shape[1], width))
    nn.init.xavier_uniform_(line, generator=generator)
    _begin(network, x, rng)
    clusters: list[Tensor] = []

    def begin_epoch() -> None:
        clusters[:] = [_clusters(book, rng) for book in network.codebooks] if delta else []

    def loss(rows: Tensor) -> Tensor:
        value, codes, through = network.loss(x[rows], beta)
        if vectors is not None:
            value = value + alpha * collaborative_loss(through, beside[rows] @ line)
        for level, cluster in enumerate(clusters):
            book = network.codebooks[level]
            value = value + delta * diversity_loss(book, codes[:, level], cluster, generator)
        return value

    minimise(
        [*network.parameters(), line],
        len(x),
        loss,
        generator,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        begin_epoch=begin_epoch,
    )
    with torch.inference_mode():
        codes, _, before = network.quantised(network.encoder(x))
        books = [book.detach() for book in network.codebooks]
        distance = torch.cdist(before[:, -1], books[-1]).square().double().numpy()
        found = Identifiers(codes.numpy(), sizes, tuple(book.double().numpy() for book in books))
        found = resolve(found, collisions, distance)
        kept = torch.from_numpy(found.codes[:, : len(sizes)])
        total = torch.stack([book[kept[:, level]] for level, book in enumerate(books)]).sum(dim=0)
        rebuilt = table.features(network.decoder(total))
    return replace(found, rebuilt=rebuilt)


def collaborative_loss(quantised: Tensor, vectors: Tensor) -> Tensor:
    """See the module; (B, W) of both."""
    return cross_entropy(quantised @ vectors.T, torch.arange(len(vectors)))


def diversity_loss(book: Tensor, codes: Tensor, cluster: Tensor, generator: torch.Generator) -> Tensor:
    """See the module; 0 where every code is alone in its cluster.

    Args:
        book: (V, W).
        codes: (B,) of items.
        cluster: (V,) of codes.
        generator: of who else of the cluster.
    """
    others = (cluster[codes][:, None] == cluster) & (torch.arange(len(book)) != codes[:, None])
    some = others.any(dim=1)
    if not some.any():
        return book.sum() * 0.0
    other = torch.multinomial(others[some].float(), 1, generator=generator).squeeze(1)
    alike = book[codes[some]] @ book.T
    alike = alike.scatter(1, codes[some][:, None], -torch.inf)
    return cross_entropy(alike, other)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def _begin(network: RQVAE, x: Tensor, rng: np.random.Generator) -> None:
    """Codebooks at the centres of what is left over."""
    left = network.encoder(x).double().numpy()
    for book in network.codebooks:
        centres, nearest = k_means(left, len(book), rng, rounds=10)
        book.copy_(torch.from_numpy(centres))
        left = left - centres[nearest]


@torch.no_grad()
def _clusters(book: Tensor, rng: np.random.Generator) -> Tensor:
    """(V,) the cluster of every code, none of more than V / 10, rounded up."""
    few = min(CLUSTERS, len(book))
    _, found = k_means(book.double().numpy(), few, rng, rounds=5, room=-(-len(book) // few))
    return torch.from_numpy(found)
