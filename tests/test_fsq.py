"""Finite scalar quantisation: the grid by hand, how gradients pass, and codes that stand for features."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.tokenisers.fsq import FSQ, fsq  # noqa: E402
from recsim_env.agents.generative.tokenisers.identifiers import quality  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network(grid=(4, 5, 3), width=3, parts=2):
    return FSQ(width, parts, grid, torch.Generator().manual_seed(0))


def features(num_items=300, dimension=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num_items, 4)) @ rng.standard_normal((4, dimension))


@pytest.mark.parametrize("grid", [(2,), (3,), (4, 5, 3), (8, 8, 8, 6, 5)])
def test_every_grid_point_can_be_had_and_no_other(grid):
    """The linear layer is made the identity, and numbers far beyond the grid on both sides are put in."""
    net = network(grid, width=len(grid), parts=1)
    with torch.no_grad():
        net.into.copy_(torch.eye(len(grid))[None])
    values = torch.linspace(-4, 4, 2001)
    found = net.grid(values[:, None, None].expand(-1, 1, len(grid))).detach()[:, 0]
    for j, points in enumerate(grid):
        assert found[:, j].unique().tolist() == list(range(-(points // 2), (points - 1) // 2 + 1))
    half = (np.array(grid) - 1) * 1.001 / 2
    offset = np.where(np.array(grid) % 2 == 0, 0.5, 0.0)
    wanted = half * np.tanh(values[:, None].numpy() + np.arctanh(offset / half)) - offset
    sure = np.abs(wanted - np.floor(wanted) - 0.5) > 1e-3
    np.testing.assert_array_equal(found.numpy()[sure], np.round(wanted)[sure])


def test_codes_are_digits():
    net = network()
    every = list(itertools.product(range(-2, 2), range(-2, 3), range(-1, 2)))
    grid = torch.tensor(every, dtype=torch.float32)[:, None].expand(-1, 2, -1)
    assert net.codes(grid)[:, 0].tolist() == list(range(60))
    assert torch.equal(net.codes(grid)[:, 0], net.codes(grid)[:, 1])


def test_gradients_pass_as_if_nothing_were_rounded():
    net = network()
    x = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(2))
    (net.grid(x) * weight).sum().backward()
    found, net.into.grad = net.into.grad.clone(), None
    y = torch.einsum("blw,lwd->bld", x, net.into) + net.into_constant
    ((net.reach * (y + net.shift).tanh() - net.offset) * weight).sum().backward()
    torch.testing.assert_close(found, net.into.grad)


def test_codes_stand_for_features():
    x = features()
    trained = fsq(x, 2, (5, 5, 4), epochs=150, learning_rate=0.01, collisions="allow")
    begun = fsq(x, 2, (5, 5, 4), epochs=1, collisions="allow")
    assert trained.level_sizes == (100, 100)
    assert quality(trained, x).reconstruction > 0.8
    assert quality(trained, x).reconstruction > quality(begun, x).reconstruction + 0.2
    assert quality(trained, x).agreement > 3 * 10 / 299  # of random codes 10 / 299
    again = fsq(x, 2, (5, 5, 4), epochs=150, learning_rate=0.01, collisions="allow")
    np.testing.assert_array_equal(trained.codes, again.codes)
    appended = fsq(x, 2, (2, 2), epochs=1)
    assert len({tuple(row) for row in appended.codes.tolist()}) == 300
    assert appended.codes.shape == (300, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parts": 3}, "parts must divide the 16 numbers of an item, got 3"),
        ({"parts": 0}, "parts must be at least 1, got 0"),
        ({"grid": ()}, r"grid must be whole numbers from 2 to 1000, got \(\)"),
        ({"grid": (4, 1)}, r"grid must be whole numbers from 2 to 1000, got \(4, 1\)"),
        ({"grid": (4.5, 3)}, r"grid must be whole numbers from 2 to 1000, got \(4.5, 3\)"),
        ({"grid": (1001,)}, "grid must be whole numbers from 2 to 1000"),
        ({"grid": (256,) * 8}, r"has more than 2\^62 points"),
        ({"collisions": "transport"}, "'transport' needs distances"),
        ({"learning_rate": float("inf")}, "learning_rate must be above 0 and finite"),
    ],
)
def test_a_training_that_cannot_be_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        fsq(features(), **{"epochs": 1, **changed})
