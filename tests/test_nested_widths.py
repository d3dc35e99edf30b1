"""Networks of several widths in one: the narrow ones are cut out exactly, and are worth what they say."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.lru import LRU  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.nested import GroupNorm, NestedLinear  # noqa: E402
from recsim_env.agents.sequential.neural.full_ranking import ranks  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.shortcut_bench import succession_law, succession_log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, L, D, WIDTHS = 11, 6, 16, (4, 8, 16)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network(features=None):
    """With weights far from the first ones, which are so small that little matters."""
    generator, noise = torch.Generator().manual_seed(0), torch.Generator().manual_seed(7)
    made = LRU(ItemVectors(N, D, features=features), max_length=L, widths=WIDTHS, generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
    return made.eval()


def some_items():
    items = torch.randint(0, N, (5, L), generator=torch.Generator().manual_seed(1))
    for row in range(5):
        items[row, :row] = N  # empty
    return items


def test_layers_read_their_own_group_and_those_before_it():
    """By the derivative of every number that comes out by every number that goes in."""
    group = np.searchsorted(WIDTHS, np.arange(D), side="right")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(D, generator=generator)
    nested, norm = NestedLinear(WIDTHS), GroupNorm(WIDTHS)
    with torch.no_grad():
        nested.weight.normal_(generator=generator)
    for layer, reads in ((nested, group[:, None] >= group), (norm, group[:, None] == group)):
        slopes = torch.autograd.functional.jacobian(layer, x).numpy()
        np.testing.assert_array_equal(slopes != 0, reads)


@pytest.mark.parametrize("kind", ["id", "features"])
def test_first_numbers_are_a_network_of_their_own(kind):
    """Its scores are those of the slice; it has fewer numbers, and is a copy."""
    features = np.random.default_rng(0).normal(size=(N, 5)) if kind == "features" else None
    whole, items = network(features), some_items()
    states, table, sizes = whole(items), whole.candidates(), []
    for width in WIDTHS:
        small = whole.at_width(width)
        expected = states[..., :width] @ table[:, :width].T
        torch.testing.assert_close(small(items) @ small.candidates().T, expected, atol=1e-5, rtol=1e-5)
        again = small.at_width(WIDTHS[0])(items)
        torch.testing.assert_close(again, states[..., : WIDTHS[0]], atol=1e-5, rtol=1e-5)
        sizes.append(sum(parameter.numel() for parameter in small.parameters()))
        with torch.no_grad():
            small.norm.bias.add_(1.0)
    assert sizes[0] < sizes[1] < sizes[2] == sum(parameter.numel() for parameter in whole.parameters())
    torch.testing.assert_close(whole(items), states)


def test_weights_that_are_not_read_get_no_gradient():
    made = network()
    (made(some_items()) * torch.randn(D, generator=torch.Generator().manual_seed(1))).sum().backward()
    for layer in (layer for layer in made.modules() if isinstance(layer, NestedLinear)):
        assert ((layer.weight.grad != 0) == (layer.allowed == 1)).all()


def law_log(num_items, users, seed):
    """Every item has three successors: the last item says all there is to know."""
    law = succession_law(num_items, 3, smooth=0.0)
    return succession_log(law, num_users=users, length=9, seed=seed)


def recommender(num_items, dimension, widths, seed, epochs):
    def encoder(n, generator):
        items = ItemVectors(n, dimension)
        return LRU(items, max_length=9, blocks=1, dropout=0.0, widths=widths, generator=generator)

    return NeuralRecommender(
        encoder,
        objective="full_softmax",
        epochs=epochs,
        patience=epochs,
        batch_size=64,
        learning_rate=0.01,
        schedule="cosine",
        mask_history=False,
        seed=seed,
        device="cpu",
        num_items=num_items,
    )


def test_the_loss_is_the_sum_over_widths():
    fitted = recommender(N, D, WIDTHS, seed=0, epochs=1)
    fitted.begin(law_log(N, 20, 0))
    network, users = fitted.network_, np.arange(20)
    network.eval()
    found = fitted._loss(users, np.random.default_rng(0), torch.Generator())
    rows = fitted._sequences.next_items(users)
    states, targets = network(torch.from_numpy(rows.items)), torch.from_numpy(rows.targets)
    known, expected = targets >= 0, 0.0
    for width in WIDTHS:
        logits = states[known][:, :width] @ network.candidates()[:, :width].T
        expected -= logits.log_softmax(1).gather(1, targets[known][:, None]).mean()
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_nested_or_cut_is_refused():
    gated = ItemVectors(N, D, features=np.eye(N), kind="gated")
    with pytest.raises(InputError, match="nested widths need item vectors of kind id or features, got gated"):
        LRU(gated, widths=WIDTHS, generator=torch.Generator())
    with pytest.raises(InputError, match=r"width must be one of widths \(4, 8, 16\), got 5"):
        network().at_width(5)


@pytest.mark.slow
def test_slices_are_as_good_as_networks_of_their_own():
    """The first w numbers of a nested network beside a network of w numbers trained alone; 3 seeds.

    Both after their last epoch: the narrowest slice learns longest, long after the whole is at its best.
    There are so many users that no width learns them by heart.
    """
    items, epochs, widths = 40, 25, (8, 16, 32, 64)
    learned_from, asked = law_log(items, 4000, 1), leave_one_out(law_log(items, 10_000, 2))

    def ndcg(network):
        place = ranks(
            network, asked.history, asked.target, asked.gaps, torch.device("cpu"), mask_history=False
        )
        return float(place.ndcg(10).mean())

    slices, alone = np.empty((3, 3)), np.empty((3, 3))
    for seed in range(3):
        whole = recommender(items, 64, widths, seed, epochs).fit(learned_from).network_
        for column, width in enumerate(widths[:3]):
            slices[seed, column] = ndcg(whole.at_width(width))
            own = recommender(items, width, None, seed, epochs).fit(learned_from).network_
            alone[seed, column] = ndcg(own)
    print(f"NDCG@10 at widths {widths[:3]}, 3 seeds: slices {slices.round(4)}, alone {alone.round(4)}")
    ratio = slices.mean(axis=0) / alone.mean(axis=0)
    print(f"ratio of the means: {ratio.round(4)}")
    np.testing.assert_allclose(ratio, 1.0, atol=0.03)
    assert (alone > 0.6).all()  # of .621, which knowing the law gives
