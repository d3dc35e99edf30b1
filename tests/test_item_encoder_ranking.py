"""Tables of items in a ranker of clicks: what is known of frequent, rare and new items (slow)."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

pytest.importorskip("torch")
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.item_encoders.hashed_vectors import HashedVectors
from recsim_env.agents.generative.item_encoders.ngram_vectors import NgramVectors
from recsim_env.agents.generative.item_encoders.piece_vectors import PieceVectors
from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.experiments.organic_users import organic_users
from recsim_env.simulators.luck import Luck

pytestmark = [pytest.mark.extra, pytest.mark.slow]

N, U, D = 600, 600, 16
LEARNED, VALIDATED, TESTED = 190, 10, 30  # items shown to every user; tested on as many rare and new ones
LEVELS, ROWS = (8,) * 8, 200


def shown_items(seed):
    """What was shown to whom, and clicked: one item at a time by Zipf's law, a fifth of the items never.

    Quality is worth as much as interest here, and no feature tells it: it is to be remembered. Returns the
    world, items (U, T) and clicks (U, T), the columns learned from, validated, tested as usual, rare and new.
    """
    users = organic_users(N, U, taken=1, slate_size=1, horizon=400, seed=seed)
    catalogue = replace(users.world.catalogue, quality=2.0 * users.world.catalogue.quality)
    world = replace(users.world, catalogue=catalogue, intercept=-2.5)
    rng = np.random.default_rng(seed)
    new = rng.random(N) < 0.2
    share = catalogue.popularity**1.25 * ~new
    often = LEARNED + VALIDATED + TESTED
    usual = rng.choice(N, (U, often), p=share / share.sum())
    known = np.flatnonzero(~new)
    count = np.bincount(usual[:, :LEARNED].ravel(), minlength=N)
    rare = known[np.argsort(count[known], kind="stable")[: len(known) // 2]]
    others = [rng.choice(some, (U, TESTED)) for some in (rare, np.flatnonzero(new))]
    items = np.concatenate([usual, *others], axis=1)
    luck = Luck.from_seeds(np.arange(U) + 10**6 * (seed + 1))
    clicked = np.empty(items.shape, np.bool_)
    for t in range(items.shape[1]):
        slate = np.ascontiguousarray(items[:, t : t + 1])
        attraction = world.slate_attraction(users.state, slate)
        clicked[:, t] = world.react(users.state, slate, attraction, luck.at(t))[3].clicked[:, 0]
    return world, items, clicked


class Ranker(nn.Module):
    """Logit of a click: a network of one hidden layer over a user's interest and an item's vector."""

    def __init__(self, items, generator):
        super().__init__()
        self.items, self.user = items, nn.Linear(16, D)
        self.hidden, self.out = nn.Linear(3 * D, 32), nn.Linear(32, 1)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                spread = 0.05 if name.startswith("items") else parameter.shape[-1] ** -0.5
                parameter.normal_(0.0, spread if parameter.ndim > 1 else 0.0, generator=generator)
            items.clear_empty()

    def forward(self, interest, items):
        x, e = self.user(interest), self.items(items)
        return self.out(torch.relu(self.hidden(torch.cat([x, e, x * e], dim=-1))))[..., 0]


def area(score, clicked):
    """AUC: how often a shown item that was clicked has a higher score than one that was not."""
    rank, hits = rankdata(score), np.count_nonzero(clicked)
    return (rank[clicked].sum() - hits * (hits + 1) / 2) / (hits * (len(rank) - hits))


def areas(table, world, items, clicked, seed, epochs=6):
    """AUC on what is usually shown, on rare items and on new ones, after the best epoch of validation."""
    generator = torch.Generator().manual_seed(seed)
    network = Ranker(table, generator)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    interest = torch.from_numpy(world.interest / 6.0)
    user, column = (torch.from_numpy(part) for part in np.divmod(np.arange(U * LEARNED), LEARNED))
    shown, goal = torch.from_numpy(items), torch.from_numpy(clicked)

    @torch.no_grad()
    def measured(ranker, first, count):
        cells = slice(first, first + count)
        score = ranker(interest[:, None].expand(-1, count, -1), shown[:, cells])
        return area(score.numpy().ravel(), clicked[:, cells].ravel())

    best, kept = 0.0, None
    for _ in range(epochs):
        for part in torch.randperm(len(user), generator=generator).split(2048):
            u, t = user[part], column[part]
            loss = binary_cross_entropy_with_logits(network(interest[u], shown[u, t]), goal[u, t].float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found = measured(network, LEARNED, VALIDATED)
        if found > best:
            best, kept = found, deepcopy(network)
    first = LEARNED + VALIDATED
    return [measured(kept, first + k * TESTED, TESTED) for k in range(3)]


def test_pieces_of_codes_rank_usual_rare_and_new_items():
    """AUC with 200 rows each, in 5 worlds; beside them a row for every item, and codes alone, 64 rows."""
    torch.set_num_threads(1)
    found = {}
    for seed in range(5):
        world, items, clicked = shown_items(seed)
        made = residual_k_means(
            world.catalogue.features.astype(np.float64), LEVELS, collisions="allow", seed=seed
        )
        codes, sizes = made.codes, made.level_sizes
        count = np.bincount(items[:, :LEARNED].ravel(), minlength=N)
        tables = {
            "ids, a row each": ItemVectors(N, D),
            "hashed ids": HashedVectors(N, D, rows=ROWS // 2, tables=2),
            "codes": CodeVectors(codes, sizes, D),
            "2-grams": NgramVectors(codes, sizes, D, rows=ROWS // 7),
            "pieces": PieceVectors(codes, sizes, D, counts=count, vocabulary=ROWS),
        }
        for name, table in tables.items():
            found.setdefault(name, []).append(areas(table, world, items, clicked, seed))
            print(seed, name, np.round(found[name][-1], 4), flush=True)
    mean = {name: np.mean(values, axis=0) for name, values in found.items()}
    print(
        "AUC on items as they are usually shown, on rare ones, on new ones; and pieces less the table, paired"
    )
    for name, values in found.items():
        error = np.std(values, axis=0, ddof=1) / np.sqrt(5)
        less = np.subtract(found["pieces"], values)
        paired = [
            f"{d:+.4f} +- {e:.4f}"
            for d, e in zip(less.mean(axis=0), less.std(axis=0, ddof=1) / np.sqrt(5), strict=True)
        ]
        print(name, [f"{m:.4f} +- {e:.4f}" for m, e in zip(mean[name], error, strict=True)], paired)
    for name in ("ids, a row each", "hashed ids"):
        assert abs(mean[name][2] - 0.5) < 0.06  # nothing is known of a new item, but who clicks often
        assert mean["pieces"][2] > mean[name][2] + 0.05
    assert (mean["pieces"] > mean["hashed ids"]).all()
    assert (mean["pieces"][:2] > mean["codes"][:2]).all()
