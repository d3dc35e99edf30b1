"""Weights of users in the training of networks: a weighted mean, and weights of 1 the same bit for bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender  # noqa: E402
from recsim_env.agents.generative.catalogue_trie import CatalogueTrie  # noqa: E402
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender  # noqa: E402
from recsim_env.agents.generative.heads.projection import ProjectionHead  # noqa: E402
from recsim_env.agents.generative.policy import GenerativePolicy  # noqa: E402
from recsim_env.agents.generative.tokenisers.numbered import atomic  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.bert4rec import BERT4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.objectives import OBJECTIVES, loss  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra

N, U = 12, 40
HISTORY = np.array([[-1, 2, 3], [7, 8, 9]])


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def circle():
    """Users 0, 2, 4, ... go up the circle of items, every fifth of them down; user 6 has one item."""
    rows = []
    for u in range(U):
        way = -1 if u % 5 == 0 else 1
        rows += [(2 * u, (3 * u + way * t) % N) for t in range(1 if u == 3 else 6 + u % 4)]
    user, item = np.array(rows).T
    return Log.from_interactions(user, item, np.arange(len(user)))


LOG = circle()


def recommender(objective="sampled_softmax", *, kind=SASRec, **more):
    def encoder(num_items, generator):
        return kind(ItemVectors(num_items, 8), max_length=6, blocks=1, dropout=0.1, generator=generator)

    kwargs = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "negatives": 4, "device": "cpu", **more}
    return NeuralRecommender(encoder, objective=objective, num_items=N, **kwargs)


def generative(**more):
    def policy(num_items, generator):
        made, items = atomic(N), ItemVectors(num_items, 8)
        encoder = SASRec(items, max_length=6, blocks=1, dropout=0.1, generator=generator)
        return GenerativePolicy(encoder, ProjectionHead(items), CatalogueTrie(made.codes, made.level_sizes))

    return GenerativeRecommender(policy, num_items=N, epochs=2, batch_size=16, device="cpu", **more)


MADE = {
    **{name: lambda name=name: recommender(name) for name in OBJECTIVES if name != "cloze"},
    "cloze": lambda: recommender("cloze", kind=BERT4Rec),
    "whole histories": lambda: recommender(history="whole"),
    "generative": generative,
    "als": lambda: ImplicitALSRecommender(dimension=3, sweeps=2, num_items=N),
}


@pytest.mark.parametrize("name", MADE)
def test_weights_of_1_are_no_weights_bit_for_bit_and_others_are_not(name):
    without = MADE[name]().fit(LOG).scores(HISTORY)
    assert MADE[name]().fit(LOG, np.ones(U)).scores(HISTORY).tobytes() == without.tobytes()
    uneven = MADE[name]().fit(LOG, np.linspace(0.1, 1.0, U)).scores(HISTORY)
    assert np.abs(uneven - without).max() > 1e-4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_weighted_mean_by_states_one_at_a_time(objective):
    """Value and gradients of importances are the sums of those of single states."""
    generator = torch.Generator().manual_seed(0)
    states, table = (torch.randn(n, 4, generator=generator).requires_grad_() for n in (5, 7))
    targets, importance = torch.tensor([0, 3, 3, 6, 1]), torch.tensor([0.0, 1.0, 0.3, 2.0, 0.7])

    def value(which, weights):
        return loss(
            objective,
            states[which],
            targets[which],
            lambda items: table if items is None else table[items],
            7,
            torch.Generator().manual_seed(4),
            negatives=1 if objective in ("bce", "gbce") else 4,
            importance=weights,
        )

    every = torch.arange(5)
    if objective in ("bce", "gbce"):  # linear in the importance, whatever was drawn
        parts = [value(every, torch.eye(5)[k]) for k in range(5)]
        expected = sum(a * part for a, part in zip(importance, parts, strict=True))
    else:
        parts = [value(every[k : k + 1], None) for k in range(5)]
        expected = sum(a * part for a, part in zip(importance, parts, strict=True)) / 5
    found = value(every, importance)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (states, table)),
        torch.autograd.grad(expected, (states, table)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    assert torch.equal(value(every, torch.ones(5)), value(every, None))


def test_every_row_has_the_weight_of_its_user():
    """Users with one item have no row, users with many have several."""
    for whole in (False, True):
        sequences = Sequences.of_log(LOG, N, 4, whole=whole)
        ids = np.unique(LOG.user)
        assert len(sequences.user) == len(sequences.start)
        for row, first in enumerate(sequences.start):
            assert LOG.user[first] == ids[sequences.user[row]]
        assert 3 not in sequences.user
        assert (np.bincount(sequences.user).max() > 1) == whole


def test_users_without_weight_teach_nothing():
    """Who goes down the circle is not heard: all go up."""
    up = (np.arange(U) % 5 > 0).astype(float)
    fitted = recommender("full_softmax", epochs=20, seed=1)
    down = fitted.fit(LOG, 1.0 - up).scores(np.array([[4, 5, 6]]))[0]
    upward = fitted.fit(LOG, up).scores(np.array([[4, 5, 6]]))[0]
    assert upward.argmax() == 7
    assert down[7] < down.max()


def test_fits_forget_weights_and_weights_can_change_between_epochs():
    first = recommender().fit(LOG).scores(HISTORY)
    again = recommender()
    again.fit(LOG, np.linspace(0, 1, U))
    assert again.fit(LOG).scores(HISTORY).tobytes() == first.tobytes()
    again.begin(LOG)
    again.train_epoch()
    again.weigh(np.linspace(0, 1, U))
    again.train_epoch()
    again.weigh(None)
    again.train_epoch()
    assert (again.scores(HISTORY) != first).any()


@pytest.mark.parametrize("made", [recommender, MADE["als"]])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(U - 1), r"weights must be \(40,\), one for every user of the log, got \(39,\)"),
        (np.r_[np.ones(U - 1), -0.5], r"weights\[39\] = -0.5"),
        (np.r_[np.nan, np.ones(U - 1)], r"weights\[0\] = nan"),
        (np.zeros(U), "weights of all users are 0"),
        (np.full(U, "a"), "weights must hold numbers"),
    ],
)
def test_bad_weights(made, weights, message):
    with pytest.raises(InputError, match=message):
        made().fit(LOG, weights)
