"""ICSRec's contrasts: by hand, their parts by brute force, and what they are worth."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.recommender import target_ranks  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.contrast import info_nce, states_after  # noqa: E402
from recsim_env.agents.sequential.neural.losses.intent_contrast import IntentContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.k_means import k_means  # noqa: E402
from recsim_env.agents.sequential.neural.losses.prefixes import Prefixes  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_hand(first, second, temperature, labels):
    """One view after the other; things with the same label are no negatives."""
    z, B = unit(np.concatenate([first, second])), len(first)
    losses = []
    for i in range(2 * B):
        positive = z[i] @ z[(i + B) % (2 * B)] / temperature
        others = [z[i] @ z[j] / temperature for j in range(2 * B) if labels[j % B] != labels[i % B]]
        losses.append(np.log(np.exp(positive) + np.exp(others).sum()) - positive)
    return np.mean(losses)


def test_info_nce_by_hand():
    first, second = np.random.default_rng(0).normal(size=(2, 4, 3))
    views = torch.from_numpy(first), torch.from_numpy(second)
    for labels in (None, [5, 5, 2, 5], [0, 1, 2, 3]):
        given = None if labels is None else torch.tensor(labels)
        expected = by_hand(first, second, 0.5, labels or range(4))
        assert info_nce(*views, 0.5, given).item() == pytest.approx(expected, abs=1e-6)
    assert info_nce(*views, 0.5, torch.tensor([1, 1, 1, 1])).item() == 0  # nobody is a negative
    assert info_nce(views[0], views[0] * 3.0, 0.01).item() < info_nce(*views, 0.01).item()


def some_log(users=40, items=12, seed=0):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rng.integers(1, 9, users))
    return Log.from_interactions(user, rng.integers(0, items, len(user)), np.arange(len(user), dtype=float))


def test_prefixes_with_the_same_target_by_brute_force():
    sequences = Sequences.of_log(some_log(), 12, 6)
    prefixes = Prefixes(sequences)

    def target(number):
        user, length = prefixes.users[number], prefixes.lengths[number]
        return sequences.items[sequences.start[user] + length - 1]

    expected = {(u, n) for u in range(len(sequences.length)) for n in range(2, sequences.length[u] + 1)}
    assert len(prefixes) == len(expected)
    assert set(zip(prefixes.users.tolist(), prefixes.lengths.tolist(), strict=True)) == expected
    rng = np.random.default_rng(1)
    for make in (sequences.next_items, lambda users: sequences.beginnings(users, rng)):
        rows = make(np.array([3, 0, 7, 11]))
        row, cell = np.nonzero(rows.targets >= 0)
        own = prefixes.of_cells(rows, row, cell, 12)
        assert (prefixes.users[own] == rows.users[row]).all()
        for number, r, c in zip(own, row, cell, strict=True):
            assert prefixes.lengths[number] == np.count_nonzero(rows.items[r, : c + 1] < 12) + 1
            assert target(number) == rows.targets[r, c]
    alone = 0
    for number in range(len(prefixes)):
        same = {other for other in range(len(prefixes)) if target(other) == target(number)} - {number}
        drawn = prefixes.partners(np.full(300, number), rng.random(300))
        assert set(drawn.tolist()) == (same or {-1})
        alone += not same
    assert Prefixes(Sequences.of_log(some_log(users=3, items=90), 90, 6)).partners(np.array([0]), [0.3]) == -1


def test_k_means_finds_directions():
    rng = np.random.default_rng(0)
    middle = unit(rng.normal(size=(3, 8)))
    points = unit(np.repeat(middle, 40, axis=0) + 0.05 * rng.normal(size=(120, 8)))
    found = k_means(torch.from_numpy(points), 3, torch.Generator().manual_seed(4)).numpy()
    expected = unit(points.reshape(3, 40, 8).sum(axis=1))
    order = (expected @ found.T).argmax(axis=1)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found[order], expected, atol=1e-9)
    # a centre that nobody is nearest to stays: two equal points, two centres
    twice = torch.from_numpy(np.repeat(middle[:1], 2, axis=0))
    np.testing.assert_allclose(k_means(twice, 2, torch.Generator()).numpy(), middle[[0, 0]])


def test_states_come_in_the_order_they_were_asked_for():
    """200 prefixes are read in blocks of like length; one by one they are the same."""
    sequences, net = Sequences.of_log(some_log(), N, 6), network()
    rng = np.random.default_rng(2)
    users = rng.integers(0, len(sequences.length), 200)
    lengths = rng.integers(2, sequences.length[users], endpoint=True)
    found = states_after(net, sequences, users, lengths, torch.device("cpu"))
    for row in range(200):
        first = sequences.start[users[row]]
        items = torch.from_numpy(sequences.items[first : first + lengths[row] - 1])[None]
        torch.testing.assert_close(found[row], net(items)[0, -1], atol=1e-5, rtol=1e-5)


# --- the loss

N, D = 12, 8


def network(items=N, **more):
    kwargs = {"max_length": 6, "blocks": 1, "dropout": 0.0, "generator": torch.Generator().manual_seed(5)}
    made = SASRec(ItemVectors(items, D), **{**kwargs, **more})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    return made


def test_the_loss_by_hand():
    """Two users whose only prefixes have the same target, and one of two who share another: all is known."""
    histories = [[0, 9], [1, 9], [2, 8], [3, 8]]
    user = np.repeat(np.arange(4), 2)
    log = Log.from_interactions(user, np.ravel(histories), np.arange(8.0))
    sequences, net = Sequences.of_log(log, N, 6), network()
    states = {item: net(torch.tensor([[item]]))[0, 0].detach().numpy().astype(float) for item in range(4)}
    own = np.stack([states[item] for item in (0, 1, 2, 3)])
    other = own[[1, 0, 3, 2]]
    auxiliary = IntentContrast(coarse=0.7, fine=0.2, prototypes=2, temperature=0.5)
    auxiliary.begin(net, sequences, torch.Generator())
    auxiliary.begin_epoch(net, sequences, torch.Generator().manual_seed(1))
    centres = auxiliary.centres.numpy().astype(float)
    rows = sequences.next_items(np.arange(4))
    read = net(torch.from_numpy(rows.items))
    expected = 0.7 * by_hand(own, other, 0.5, [9, 9, 8, 8])
    for some in (own, other):
        nearest = (unit(some) @ centres.T).argmax(axis=1)
        expected += 0.2 * by_hand(some, centres[nearest], 0.5, nearest)
    found = auxiliary.loss(net, sequences, rows, read, torch.Generator())
    assert found.item() == pytest.approx(expected, abs=1e-5)
    found.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0 or name == "positions.weight", name
    assert not auxiliary.state_dict()  # nothing to keep: prototypes are found anew


def test_prefixes_without_another_add_nothing():
    log = Log.from_interactions(np.repeat(np.arange(3), 2), np.arange(6), np.arange(6.0))
    sequences, net = Sequences.of_log(log, N, 6), network()
    auxiliary = IntentContrast(fine=0.0)
    auxiliary.begin(net, sequences, torch.Generator())
    rows = sequences.next_items(np.arange(3))
    assert auxiliary.loss(net, sequences, rows, net(torch.from_numpy(rows.items)), torch.Generator()) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"coarse": -1.0}, "coarse and fine must be 0 or more, and not both 0, got -1.0 and 0.1"),
        ({"coarse": 0.0, "fine": 0.0}, "coarse and fine must be 0 or more, and not both 0"),
        ({"prototypes": 0}, "prototypes must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be above 0 and finite, got 0.0"),
        ({"prototypes": 9999}, r"prototypes must be at most the number of prefixes, \d+, got 9999"),
    ],
)
def test_what_cannot_be_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        IntentContrast(**more).begin(network(), Sequences.of_log(some_log(), N, 6), torch.Generator())


def test_encoders_that_read_around_are_refused():
    class Around(SASRec):
        reads = "around"

    with pytest.raises(
        InputError, match="IntentContrast needs the state after a user's last item, but Around"
    ):
        IntentContrast().begin(
            Around(ItemVectors(N, D), generator=torch.Generator()), None, torch.Generator()
        )


# --- what it is worth


def intents(users, seed, groups=20, each=10, length=10, noise=0.1):
    """The next item is any of those of one group, which depends on the group of the last item alone.

    Who sees that different items lead to the same ones needs few users to know what follows which group.
    """
    rng = np.random.default_rng(seed)
    following, group = rng.permutation(groups), rng.integers(0, groups, users)
    items = np.empty((users, length), np.int64)
    for t in range(length):
        items[:, t] = group * each + rng.integers(0, each, users)
        group = np.where(rng.random(users) < noise, rng.integers(0, groups, users), following[group])
    user = np.repeat(np.arange(users), length)
    return Log.from_interactions(user, items.ravel(), np.tile(np.arange(float(length)), users))


@pytest.mark.slow
def test_intents_are_worth_most_where_users_are_few():
    """150 users, 200 items in 20 intents; NDCG@10 of 2,000 users never seen, who knows all groups has .41."""

    def encoder(num_items, generator):
        items = ItemVectors(num_items, 32)
        return SASRec(items, max_length=20, blocks=1, dropout=0.2, generator=generator)

    def ndcg(auxiliaries, seed):
        log = intents(2150, seed)
        held_out = leave_one_out(log.rows(np.flatnonzero(log.user >= 150)))
        fitted = NeuralRecommender(
            encoder,
            auxiliaries=auxiliaries,
            epochs=60,
            patience=60,
            batch_size=64,
            learning_rate=3e-3,
            seed=seed,
            num_items=200,
            device="cpu",
        ).fit(log.rows(np.flatnonzero(log.user < 150)))
        return target_ranks(fitted, held_out.history, held_out.target, mask_history=True).ndcg(10).mean()

    without, with_it = (
        np.array([ndcg(auxiliaries, seed) for seed in range(5)])
        for auxiliaries in (tuple, lambda: [IntentContrast(prototypes=40)])
    )
    print(
        "without",
        without.mean().round(4),
        without.round(4),
        "with",
        with_it.mean().round(4),
        with_it.round(4),
    )
    assert with_it.mean() > without.mean()
