"""Adversarial training: the push is the gradient's, of the right length, and hurts; nothing stays behind."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.robust.adversarial_training import AdversarialTraining, PushedItems  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.cosine import Cosine  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.objectives import loss  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra

N, D = 9, 6


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def circle():
    user = np.repeat(np.arange(20), 6)
    return Log.from_interactions(user, (user * 2 + np.tile(np.arange(6), 20)) % N, np.arange(len(user)))


def network(generator=None, num_items=N):
    generator = generator or torch.Generator().manual_seed(1)
    made = SASRec(ItemVectors(num_items, D), max_length=5, blocks=1, dropout=0.0, generator=generator)
    with torch.no_grad():
        made.items.learned.weight[:-1].normal_(0.0, 0.5, generator=generator)
    return made


SEQUENCES = Sequences.of_log(circle(), N, 6)
ROWS = SEQUENCES.next_items(np.arange(8))


def plain(of, table=None):
    """The full softmax, with other item vectors if some are given."""
    with torch.no_grad():
        own = of.items.learned.weight.clone()
        if table is not None:
            of.items.learned.weight[:-1] = table
        states = of(torch.from_numpy(ROWS.items))
        known = torch.from_numpy(ROWS.targets) >= 0
        targets = torch.from_numpy(ROWS.targets)[known]
        value = loss("full_softmax", states[known], targets, of.candidates, N, torch.Generator())
        of.items.learned.weight.copy_(own)
    return value.item()


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_push_by_finite_differences(wrapped):
    of, epsilon, step = network().double(), 0.05, 1e-5
    of = Cosine(of, temperature=0.5) if wrapped else of
    table = of.items.learned.weight[:-1].detach().clone()
    gradient = torch.zeros(N, D).double()
    for i in range(N):
        for d in range(D):
            moved = torch.zeros(N, D).double()
            moved[i, d] = step
            gradient[i, d] = (plain(of, table + moved) - plain(of, table - moved)) / (2 * step)
    push = epsilon * gradient / gradient.norm(dim=1, keepdim=True)
    adversarial = AdversarialTraining(epsilon=epsilon, objective="full_softmax")
    value = adversarial.loss(of, SEQUENCES, ROWS, of(torch.from_numpy(ROWS.items)), torch.Generator())
    assert value.item() == pytest.approx(plain(of, table + push), abs=1e-5)  # the push itself is float32
    assert value.item() > plain(of) + 0.01
    assert type(of.items) is ItemVectors
    value.backward()
    assert of.items.learned.weight.grad.abs().sum() > 0


def test_a_random_push_of_the_same_length_hurts_less():
    of, generator = network(), torch.Generator().manual_seed(2)
    adversarial = AdversarialTraining(epsilon=0.05, objective="full_softmax")
    worst = adversarial.loss(of, SEQUENCES, ROWS, of(torch.from_numpy(ROWS.items)), torch.Generator()).item()
    table = of.items.learned.weight[:-1].detach().clone()
    for _ in range(20):
        drawn = torch.randn(N, D, generator=generator)
        assert plain(of, table + 0.05 * drawn / drawn.norm(dim=1, keepdim=True)) < worst


def test_pushed_items_leave_empty_cells_alone():
    items = ItemVectors(3, 2)
    with torch.no_grad():
        items.clear_empty()
    pushed = PushedItems(items, torch.ones(3, 2))
    assert pushed(torch.tensor([3])).tolist() == [[0.0, 0.0]]
    torch.testing.assert_close(pushed(torch.tensor([[1]])), items(torch.tensor([[1]])) + 1)
    torch.testing.assert_close(pushed.all(), items.all() + 1)


@pytest.mark.parametrize("objective", ["sampled_softmax", "bce"])
def test_training_repeats_and_is_not_that_without(objective):
    def trained(auxiliaries):
        return NeuralRecommender(
            lambda N, generator: network(generator, N),
            objective=objective,
            auxiliaries=auxiliaries,
            negatives=4,
            epochs=3,
            device="cpu",
            num_items=N,
        ).fit(circle())

    def adversarial():
        return [AdversarialTraining(objective=objective, negatives=4)]

    history = np.array([[1, 2], [5, 6]])
    found = trained(adversarial)
    np.testing.assert_array_equal(found.scores(history), trained(adversarial).scores(history))
    assert (found.scores(history) != trained(tuple).scores(history)).any()
    assert not [name for name, _ in found.best_.named_parameters() if "push" in name]


class Elsewhere(SASRec):
    """Reads a table of its own."""

    def forward(self, items, gaps=None):
        return self.positions.weight.sum() * torch.ones(*items.shape, D)

    def candidates(self, items=None):
        return torch.ones(N, D) if items is None else torch.ones(*items.shape, D)


def test_bad_input():
    with pytest.raises(InputError, match="epsilon must be above 0"):
        AdversarialTraining(epsilon=0.0)
    with pytest.raises(InputError, match="there is no objective"):
        AdversarialTraining(objective="apr")
    with pytest.raises(InputError, match="weight"):
        AdversarialTraining(weight=0.0)
    other = Elsewhere(ItemVectors(N, D), generator=torch.Generator())
    states = other(torch.from_numpy(ROWS.items))
    with pytest.raises(InputError, match="which Elsewhere does not read"):
        AdversarialTraining().loss(other, SEQUENCES, ROWS, states, torch.Generator())
