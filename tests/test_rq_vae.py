"""RQ-VAE: its terms by hand, what learns from which, and codes that are better than none."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.tokenisers.identifiers import quality  # noqa: E402
from recsim_env.agents.generative.tokenisers.rq_vae import (  # noqa: E402
    RQVAE,
    collaborative_loss,
    diversity_loss,
    rq_vae,
)
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network():
    net = RQVAE(5, (4, 3), (6,), 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for book in net.codebooks:
            book.normal_(generator=torch.Generator().manual_seed(1))
    return net


def clustered(num_items=240, groups=12, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, 16))
    which = np.arange(num_items) % groups
    return centres[which] + noise * rng.standard_normal((num_items, 16)), which


def test_the_loss_by_hand():
    """Item by item in NumPy."""
    net = network()
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(2))
    found, codes, through = net.loss(x, beta=0.25)
    weights = {name: value.detach().numpy().astype(float) for name, value in net.named_parameters()}

    def layers(y, name):
        y = np.maximum(y @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"], 0)
        return y @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]

    books = [weights["codebooks.0"], weights["codebooks.1"]]
    rebuilding, code_loss, commitment = [], [], []
    for item, row in enumerate(x.numpy().astype(float)):
        left, total = layers(row, "encoder"), 0.0
        for level, book in enumerate(books):
            code = ((left - book) ** 2).sum(axis=1).argmin()
            assert codes[item, level] == code
            code_loss.append(((left - book[code]) ** 2).mean())
            commitment.append(((left - book[code]) ** 2).mean())
            left, total = left - book[code], total + book[code]
        np.testing.assert_allclose(through[item].detach().numpy(), total, atol=1e-5)
        rebuilding.append(((layers(total, "decoder") - row) ** 2).mean())
    expected = np.mean(rebuilding) + (sum(code_loss) + 0.25 * sum(commitment)) / 7
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_codebooks_learn_from_what_is_left_and_the_encoder_from_all():
    net = network()
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
    value, codes, _ = net.loss(x, beta=0.25)
    value.backward()
    with torch.no_grad():
        _, vectors, before = net.quantised(net.encoder(x))
    for level, book in enumerate(net.codebooks):  # d mean (r - e)^2 / d e
        expected = torch.zeros_like(book)
        expected.index_add_(0, codes[:, level], (vectors - before)[:, level] * 2 / (9 * 2))
        torch.testing.assert_close(book.grad, expected, atol=1e-6, rtol=1e-4)
    assert net.encoder[0].weight.grad.abs().max() > 1e-4  # through the codes, as they pass gradients on
    assert net.decoder[0].weight.grad.abs().max() > 1e-4


def test_further_terms_by_hand():
    rng = np.random.default_rng(0)
    q, u = rng.standard_normal((2, 5, 3))
    alike = q @ u.T
    expected = -np.mean(np.diag(alike) - np.log(np.exp(alike).sum(axis=1)))
    assert collaborative_loss(torch.from_numpy(q), torch.from_numpy(u)).item() == pytest.approx(expected)

    book, codes = torch.from_numpy(rng.standard_normal((4, 3))), torch.tensor([0, 2, 3, 0])
    cluster = torch.tensor([1, 0, 0, 1])  # 0 with 3, 1 with 2
    alike = (book @ book.T).numpy()
    wanted = [
        alike[code, other] - np.log(sum(np.exp(alike[code, v]) for v in range(4) if v != code))
        for code, other in ((0, 3), (2, 1), (3, 0), (0, 3))
    ]
    found = diversity_loss(book, codes, cluster, torch.Generator().manual_seed(0))
    assert found.item() == pytest.approx(-np.mean(wanted))
    assert diversity_loss(book, codes, torch.arange(4), torch.Generator()).item() == 0.0


def small(features, **more):
    arguments = {"level_sizes": (12, 6), "hidden": (32,), "width": 8, "epochs": 60, "batch_size": 80}
    return rq_vae(features, **{**arguments, "learning_rate": 3e-3, **more})


def test_codes_stand_for_features():
    features, which = clustered()
    trained, begun = small(features, collisions="allow"), small(features, epochs=1, collisions="allow")
    assert quality(trained, features).reconstruction > 0.85
    assert quality(trained, features).reconstruction > quality(begun, features).reconstruction + 0.2
    same = which[:, None] == which
    shared = trained.codes[:, None, 0] == trained.codes[:, 0]
    assert shared[same].mean() > 3 * shared.mean()
    again = small(features, collisions="allow")
    np.testing.assert_array_equal(trained.codes, again.codes)
    assert (small(features, collisions="allow", seed=1).codes != trained.codes).any()
    appended = small(features, epochs=2)
    assert len({tuple(row) for row in appended.codes.tolist()}) == len(features)
    spread = small(features, epochs=2, level_sizes=(12, 40), collisions="transport")
    assert len({tuple(row) for row in spread.codes.tolist()}) == len(features)
    assert spread.rebuilt.shape == features.shape


def test_collaborative_vectors_are_heard():
    """Features tell nothing; with vectors of who takes what, items of one group share codes."""
    rng = np.random.default_rng(3)
    features, group = rng.standard_normal((240, 16)), np.arange(240) % 6
    vectors = np.eye(6)[group] + 0.05 * rng.standard_normal((240, 6))
    first, second = np.triu_indices(240, 1)
    same, shared = group[first] == group[second], []
    for given in (None, vectors):
        code = small(features, vectors=given, alpha=1.0, epochs=150, collisions="allow").codes[:, 0]
        together = code[first] == code[second]
        shared.append(together[same].mean() / together.mean())
    assert shared[0] < 1.2
    assert shared[1] > 1.5


def test_diversity_uses_more_codes():
    features, _ = clustered(noise=0.05)
    more, less = (
        np.mean(
            [
                quality(
                    small(
                        features, level_sizes=(40, 40), delta=delta, epochs=10, collisions="allow", seed=seed
                    )
                ).use
                for seed in range(3)
            ]
        )
        for delta in (0.1, 0.0)
    )
    assert more > less + 0.02


def test_where_features_lie_changes_no_code():
    """A constant is added to every column."""
    features, _ = clustered()
    moved = features + 100.0 * np.random.default_rng(1).standard_normal(16)
    same = (small(features, epochs=5).codes == small(moved, epochs=5).codes).mean()
    assert same > 0.95  # up to rounding


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 1, "batch_size": 500, "learning_rate": 1e30}, "no number after the last epoch: lower"),
        ({"vectors": np.full((240, 2), np.nan)}, "vectors must be .* all finite"),
        ({"level_sizes": (300,)}, "level_sizes must be 1 to 240, the number of items"),
        ({"level_sizes": (0,)}, r"level_sizes\[0\] must be at least 1, got 0"),
        ({"hidden": (0,)}, r"hidden\[0\] must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"beta": -1.0}, "beta must be 0 or more, got -1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": 1e30}, "the loss is .* in epoch .*: lower learning_rate"),
        ({"vectors": np.zeros((3, 2))}, "vectors must have 240 rows, one an item, got 3"),
        ({"collisions": "none"}, "there is no way with collisions 'none'"),
    ],
)
def test_a_training_that_cannot_be_is_refused(changed, message):
    features, _ = clustered()
    with pytest.raises(InputError, match=message):
        small(features, **changed)
