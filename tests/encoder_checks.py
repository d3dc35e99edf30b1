"""What holds for every sequence encoder: checks that the tests of each call."""

import numpy as np
import torch

from recsim_env.agents.recommender import target_ranks
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out

N, L, D = 11, 6, 8


def made(encoder, noise=0.3, dimension=D, **more):
    """An encoder whose weights are so large that much depends on them, as the first weights are not."""
    torch.set_num_threads(1)
    kwargs = {"max_length": L + 3, "dropout": 0.3, **more}
    net = encoder(ItemVectors(N, dimension), generator=torch.Generator().manual_seed(5), **kwargs)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
        net.items.learned.weight[N] = 0.0
    return net.eval()


def weights_of(net):
    return {name: value.detach().numpy().astype(np.float64) for name, value in net.named_parameters()}


def some_histories(rows=6, seed=0, hidden=False):
    """Items (rows, L), row 0 full, the others with empty cells on the left; gaps from 1 second to 10 days."""
    rng = np.random.default_rng(seed)
    items, gaps = rng.integers(0, N, (rows, L)), np.exp(rng.uniform(0, 13.7, (rows, L)))
    if hidden:
        items[:, -1] = N + 1
    for row, empty in enumerate([0, *rng.integers(0, L, rows - 1)]):
        items[row, :empty], gaps[row, :empty] = N, 0.0
    return torch.from_numpy(items), torch.from_numpy(gaps).float()


def check_causal(net):
    """Other items (and times) after step t leave the states up to t alone, and change the last."""
    items, gaps = some_histories()
    states = net(items, gaps)
    generator = torch.Generator().manual_seed(1)
    for t in range(L - 1):
        other, later = items.clone(), gaps.clone()
        other[:, t + 1 :] = (other[:, t + 1 :] + torch.randint(1, N, (L - t - 1,), generator=generator)) % N
        later[:, t + 1 :] += 1000.0
        kept = items[:, : t + 1] < N
        found = net(other, later)
        assert torch.allclose(found[:, : t + 1][kept], states[:, : t + 1][kept], atol=1e-6)
        assert not torch.allclose(found[0, -1], states[0, -1], atol=1e-3)


def check_company_and_padding(net, *, atol=1e-5):
    """States of a user alone, without empty cells, are those among others with more on the left."""
    items, gaps = some_histories(hidden=net.reads == "around")
    more = torch.nn.functional.pad(items, (3, 0), value=N), torch.nn.functional.pad(gaps, (3, 0))
    first = -1 if net.reads == "whole" else 0
    for together in (net(items, gaps), net(*more)[:, 3:]):
        for row in range(len(items)):
            there = items[row] != N
            alone = net(items[row][there][None], gaps[row][there][None])[0]
            assert torch.allclose(alone[first:], together[row][there][first:], atol=atol)
            assert alone.abs().max() > 0.01


def check_empty_rows(net):
    """Nobody's history has finite states, and finite gradients."""
    net.train()
    states = net(torch.full((3, L), N), torch.zeros(3, L))
    states.sum().backward()
    assert torch.isfinite(states).all()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(net(torch.full((3, 1), N), torch.zeros(3, 1))).all()
    net.eval()
    net.zero_grad()


def check_half_precision(net):
    """In bfloat16 states are about the same, as far as eight bits go."""
    items, gaps = some_histories(hidden=net.reads == "around")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = net(items, gaps)
    difference = (rounded.float() - net(items, gaps))[items != N].abs()
    assert 0 < difference.max() < 0.5
    assert difference.mean() < 0.05


def check_gradients(net):
    """Every parameter changes the objective."""
    items, gaps = some_histories(hidden=net.reads == "around")
    targets = torch.arange(len(items)) % N
    torch.nn.functional.cross_entropy(net(items, gaps)[:, -1] @ net.candidates().T, targets).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-7, name
    net.zero_grad()


def circle(users=120, num_items=30, length=9):
    """Item i is followed by item i + 1, and the last by the first."""
    begun = np.random.default_rng(1).integers(0, num_items, users)
    rows = [(u, (first + t) % num_items, float(t)) for u, first in enumerate(begun) for t in range(length)]
    user, item, time = map(np.array, zip(*rows, strict=True))
    return Log.from_interactions(user, item, time)


def trained(encoder, log, *, dimension=16, **more):
    """A recommender by `encoder(items, generator=...)`, trained on a log."""
    torch.set_num_threads(1)

    def network(num_items, generator):
        return encoder(ItemVectors(num_items, dimension), generator=generator)

    kwargs = {"batch_size": 16, "learning_rate": 0.01, "negatives": 8, "device": "cpu", **more}
    return NeuralRecommender(network, **kwargs).fit(log)


def check_learns_circle(encoder, *, epochs=30, **more):
    """The share of users whose next item is ranked first; by chance 1 / 22."""
    held_out = leave_one_out(circle())
    fitted = trained(encoder, held_out.train, epochs=epochs, **more)
    if fitted.best_.reads_gaps:
        scores = fitted.scores(held_out.history, held_out.gaps)
        scores[np.arange(len(scores))[:, None], held_out.history] = -np.inf
        assert (scores.argmax(axis=1) == held_out.target).mean() > 0.95
    else:
        ranks = target_ranks(fitted, held_out.history, held_out.target, mask_history=True)
        assert ranks.hit_rate(1).mean() > 0.95
