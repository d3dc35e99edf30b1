"""Hyperbolic scoring: the geometry, what it keeps of the encoder it wraps, and trees in few dimensions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    D,
    N,
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_learns_circle,
    circle,
    made,
    some_histories,
    trained,
)

from recsim_env.agents.sequential.neural.encoders.hyperbolic import LARGEST, Hyperbolic  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sigma import SIGMA  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.state_space import StateSpace  # noqa: E402
from recsim_env.experiments import checkpoint  # noqa: E402

pytestmark = pytest.mark.extra


def wrapped(encoder=SASRec, **more):
    """With K = e^0.4, so that a K left out somewhere is seen."""
    net = Hyperbolic(made(encoder, **more))
    with torch.no_grad():
        net.log_curvature.fill_(0.4)
        net.offset.fill_(0.7)
        net.log_scales.copy_(torch.tensor([-0.5, 0.3]))
    return net.eval()


def lorentz(x, y):
    return -x[..., 0] * y[..., 0] + (x[..., 1:] * y[..., 1:]).sum(axis=-1)


def test_scores_are_distances_of_points_on_the_sheet():
    """Number by number in NumPy, float64; the ranking is that of the geodesic distance."""
    net = wrapped()
    items, _ = some_histories()
    found = (net(items)[:, -1] @ net.candidates().T).detach().numpy()
    K = np.exp(0.4)

    def point(v):
        length = np.linalg.norm(v)
        if length == 0:
            return np.sqrt(K) * np.eye(D + 1)[0]
        inner = np.sqrt(K) * np.sinh(length / np.sqrt(K)) * v / length
        return np.concatenate([[np.sqrt(K) * np.cosh(length / np.sqrt(K))], inner])

    states = net.encoder(items)[:, -1].detach().numpy().astype(np.float64)
    vectors = net.items.all().detach().numpy().astype(np.float64)
    x = np.stack([point(np.exp(-0.5) * v) for v in states])[:, None]
    y = np.stack([point(np.exp(0.3) * v) for v in vectors])[None]
    for points in (x, y):
        np.testing.assert_allclose(lorentz(points, points), -K, atol=1e-9)
    squared = lorentz(x - y, x - y)
    assert (squared > 0).all()
    np.testing.assert_allclose(found, 0.7 - squared, rtol=1e-3, atol=1e-3)
    geodesic = np.sqrt(K) * np.arccosh(-lorentz(x, y) / K)
    np.testing.assert_array_equal(np.argsort(-found, axis=1), np.argsort(geodesic, axis=1))
    assert np.ptp(geodesic) > 1
    euclidean = np.linalg.norm(np.exp(-0.5) * states[:, None] - np.exp(0.3) * vectors[None], axis=-1)
    assert (np.argsort(euclidean, axis=1) != np.argsort(geodesic, axis=1)).any()


def test_a_nearly_flat_space_is_euclidean():
    """K to infinity: the squared distance of the vectors themselves."""
    net = wrapped()
    with torch.no_grad():
        net.log_curvature.fill_(9.0)
        net.log_scales.fill_(0.0)
    v, w = torch.randn(2, 5, D, generator=torch.Generator().manual_seed(0))
    x, y = net.points(v).double(), net.points(w).double()
    flat = torch.cdist(v, w).square().double()
    squared = -2 * np.exp(9.0) - 2 * (-x[:, :1] @ y[:, :1].T + x[:, 1:] @ y[:, 1:].T)
    torch.testing.assert_close(squared, flat, rtol=0.02, atol=0.02)


def test_far_and_missing_vectors_are_finite():
    net = wrapped()
    v = torch.tensor([[0.0] * D, [1e-12] * D, [1e4] * D], requires_grad=True)
    points = net.points(v)
    points.sum().backward()
    assert torch.isfinite(points).all()
    assert torch.isfinite(v.grad).all()
    K = np.exp(0.4)
    assert points[2, 0].item() == pytest.approx(np.sqrt(K) * np.cosh(LARGEST), rel=1e-5)


@pytest.mark.parametrize("encoder", [SASRec, StateSpace, SIGMA])
def test_it_sees_what_its_encoder_sees(encoder):
    net = wrapped(encoder)
    assert (net.reads, net.num_items, net.max_length) == (encoder.reads, N, 9)
    assert encoder.reads == ("whole" if encoder is SIGMA else "past")
    if encoder is not SIGMA:
        check_causal(net)
    check_company_and_padding(net, atol=2e-3)  # states have numbers of hundreds
    check_empty_rows(net)


def test_gradients_reach_every_parameter_but_bce_alone_sees_the_offset():
    net = wrapped()
    items, gaps = some_histories()
    scores = net(items, gaps)[:, -1] @ net.candidates().T
    torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 1e-7, name
    net.zero_grad()
    scores = net(items, gaps)[:, -1] @ net.candidates().T
    torch.nn.functional.cross_entropy(scores, torch.arange(len(items))).backward()
    assert net.offset.grad.abs() < 1e-5
    assert net.log_curvature.grad.abs() > 1e-4


def small(items, generator):
    return Hyperbolic(SASRec(items, max_length=8, blocks=1, dropout=0.1, generator=generator))


@pytest.mark.parametrize("objective", ["full_softmax", "bce"])
def test_learns_what_comes_next(objective):
    check_learns_circle(small, objective=objective)


def test_goes_on_from_a_checkpoint(tmp_path):
    """Encoder and wrapper share the item vectors, before and after."""
    fitted = trained(small, circle(), epochs=1)
    checkpoint.save(tmp_path / "checkpoints" / "one.npz", fitted, {})
    other = trained(small, circle(), epochs=1, seed=1)
    checkpoint.load(tmp_path / "checkpoints" / "one.npz", other)
    history = np.array([[-1, 2, 3]])
    np.testing.assert_array_equal(other.scores(history), fitted.scores(history))
    assert other.network_.items is other.network_.encoder.items
    other.train_epoch()


# --- trees


def tree(branches=3, depth=5):
    """The parent of each node, -1 of the root: 364 nodes."""
    parent = [-1]
    for node in range((branches**depth - 1) // (branches - 1)):
        parent += [node] * branches
    return np.array(parent)


def walks(users, steps, seed):
    """Users who go from a node of the tree to its parent or a child, each as likely, (users, steps)."""
    parent, rng = tree(), np.random.default_rng(seed)
    near = [
        [*([parent[node]] if node else []), *np.flatnonzero(parent == node)] for node in range(len(parent))
    ]
    found = np.empty((users, steps), np.int64)
    found[:, 0] = rng.integers(0, len(parent), users)
    for t in range(1, steps):
        found[:, t] = [
            near[node][int(u * len(near[node]))]
            for node, u in zip(found[:, t - 1], rng.random(users), strict=True)
        ]
    return torch.from_numpy(found), np.array([len(others) for others in near])


class Flat(torch.nn.Module):
    """The same with straight distances: -|a s - b e|^2."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.log_scales = torch.nn.Parameter(torch.tensor([-0.5 * np.log(encoder.items.dimension), 0.0]))

    def forward(self, items):
        x = self.log_scales[0].exp() * self.encoder(items)
        return torch.cat([2 * x, -torch.ones_like(x[..., :1])], dim=-1)

    def candidates(self):
        y = self.log_scales[1].exp() * self.encoder.candidates()
        return torch.cat([y, y.square().sum(dim=-1, keepdim=True)], dim=-1)


def ndcg_on_a_tree(wrap, dimension, seed, gradients=600):
    """NDCG@10 of the next node of new users; a perfect one knows the neighbours, not which comes."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    past, _ = walks(2000, 8, seed)
    test, _ = walks(1000, 8, seed + 100)
    items = ItemVectors(len(tree()), dimension)
    net = wrap(SASRec(items, max_length=8, blocks=1, heads=1, dropout=0.0, generator=generator))
    optimiser = torch.optim.Adam(net.parameters(), 0.005)
    for _ in range(gradients):
        rows = past[torch.randint(len(past), (128,), generator=generator)]
        scores = net(rows[:, :-1]) @ net.candidates().T
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        scores = net(test[:, :-1])[:, -1] @ net.candidates().T
    better = (scores > scores.gather(1, test[:, -1:])).sum(dim=1)
    return ((better < 10) / torch.log2(better + 2.0)).mean().item()


WAYS = {"product": lambda encoder: encoder, "flat": Flat, "hyperbolic": Hyperbolic}


def test_few_gradients_on_a_tree_in_four_dimensions():
    found = {name: ndcg_on_a_tree(wrap, 4, seed=0, gradients=150) for name, wrap in WAYS.items()}
    assert found["hyperbolic"] > found["flat"] + 0.05
    assert found["flat"] > found["product"]


@pytest.mark.slow
def test_trees_want_few_dimensions():
    """Three seeds; in 8 dimensions hyperbolic is best, in 64 all are the same."""
    table = {
        (name, dimension): [ndcg_on_a_tree(wrap, dimension, seed) for seed in range(3)]
        for dimension in (8, 64)
        for name, wrap in WAYS.items()
    }
    for (name, dimension), figures in table.items():
        print(f"D = {dimension:2d} {name:10s} NDCG@10 {np.mean(figures):.3f}", np.round(figures, 3))
    mean = {key: np.mean(figures) for key, figures in table.items()}
    assert min(table["hyperbolic", 8]) > max(table["product", 8])
    assert mean["hyperbolic", 8] > mean["flat", 8]
    assert abs(mean["hyperbolic", 64] - mean["product", 64]) < 0.02
    assert abs(mean["hyperbolic", 64] - mean["flat", 64]) < 0.02
