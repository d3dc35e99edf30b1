"""UniRec's branches: who is uneven and what is rare by hand, the losses, and accuracy by evenness of time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.recommender import target_ranks  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.rare_items import RareItems, neighbours_of_rare  # noqa: E402
from recsim_env.agents.sequential.neural.losses.uniformity import (  # noqa: E402
    Uniformity,
    even_part,
    gap_variance,
)
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, D = 6, 8


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network():
    generator = torch.Generator().manual_seed(5)
    made = SASRec(ItemVectors(N, D), max_length=8, blocks=1, dropout=0.0, generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def sequences():
    """User 0 even, user 1 with a burst; item 5 is rare, item 4 rarer, and beside item 0 only."""
    rows = [
        *[(0, item, time) for item, time in zip([0, 1, 2, 3, 0], [0, 10, 20, 30, 40], strict=True)],
        *[(1, item, time) for item, time in zip([1, 5, 2, 0, 3, 1], [0, 1, 2, 50, 51, 100], strict=True)],
        *[(2, item, time) for item, time in zip([3, 2, 5, 0, 4], [0, 5, 20, 30, 40], strict=True)],
    ]
    user, item, time = map(np.array, zip(*rows, strict=True))
    return Sequences.of_log(Log.from_interactions(user, item, time.astype(float)), N, 8)


def test_the_even_part_begins_bursts_and_skips_the_rest():
    rows = Rows(
        np.arange(4),
        np.array([[1, 5, 2, 0, 3], [0, 1, 2, 3, 4], [N, N, N, 2, 3], [N, N, N, N, 2]]),
        np.array([[1, 1, 48, 1, 9e9], [10, 10, 10, 10, 0], [0, 0, 0, 7, 1], [0, 0, 0, 0, 5]], float),
        np.full((4, 5), -1),
    )
    # mean gap of the first: 51 / 4; the gap after its last item says nothing about it
    expected = [[1, 0, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(even_part(rows, N), np.array(expected, bool))


def test_variance_of_gaps_by_hand():
    gaps = [[10, 10, 10, 10], [1, 1, 48, 1, 49], [5, 15, 10, 10]]
    np.testing.assert_allclose(gap_variance(sequences()), [np.var(one) for one in gaps])


def test_neighbours_of_rare_items_by_hand():
    near, is_rare = neighbours_of_rare(sequences(), 0.4, 2)
    # frequencies 4 3 3 3 1 2; the two that are least frequent are rare
    assert is_rare.tolist() == [False, False, False, False, True, True]
    assert near[4].tolist() == [0, N]
    # item 5 stands beside 1 once, 2 twice, 0 once: 1 / sqrt 3, 2 / sqrt 3, 1 / sqrt 4
    assert near[5].tolist() == [2, 1]
    assert (near[:4] == N).all()


def apart(x, y):
    x, y = (part.detach().numpy().astype(float) for part in (x, y))
    return 1 - x @ y / np.sqrt((x @ x) * (y @ y))


def test_the_loss_of_uneven_users_by_hand():
    net, data = network(), sequences()
    auxiliary = Uniformity(uneven=0.3)
    auxiliary.begin(net, data, torch.Generator())
    assert auxiliary.is_uneven.tolist() == [False, True, False]
    rows = data.next_items(np.array([0, 1, 2]))
    states = net(torch.from_numpy(rows.items))
    even = net(torch.tensor([[1, 0]]))[0, -1]  # of 1 5 2 0 3 at 0 1 2 50 51
    found = auxiliary.loss(net, data, rows, states, torch.Generator())
    assert found.item() == pytest.approx(apart(states[1, -1], even), abs=1e-6)
    found.backward()
    assert net.items.learned.weight.grad.abs().sum() > 0
    rows = data.next_items(np.array([0, 2]))
    assert auxiliary.loss(net, data, rows, net(torch.from_numpy(rows.items)), torch.Generator()).item() == 0


def test_the_loss_of_rare_items_by_hand():
    net, data = network(), sequences()
    auxiliary = RareItems(rare=0.4, neighbours=2)
    auxiliary.begin(net, data, torch.Generator())
    vectors = net.candidates()
    of_4, of_5 = apart(vectors[4], vectors[0]), apart(vectors[5], (vectors[2] + vectors[1]) / 2)
    for users, expected in (([0], 0.0), ([1], of_5), ([0, 1, 2], (of_4 + of_5) / 2)):
        rows = data.next_items(np.array(users))
        found = auxiliary.loss(net, data, rows, net(torch.from_numpy(rows.items)), torch.Generator())
        assert found.item() == pytest.approx(expected, abs=1e-6)
    found.backward()
    moved = net.items.learned.weight.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == [False, False, False, False, True, True, False]  # neighbours stay


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniformity(weight=-1.0), "weight must be above 0 and finite, got -1.0"),
        (lambda: Uniformity(uneven=0.0), "uneven must be above 0 and finite, got 0.0"),
        (lambda: RareItems(rare=1.1), "rare must be from 0 to 1, got 1.1"),
        (lambda: RareItems(neighbours=0), "neighbours must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


# --- what it is worth

REAL, TRENDING, DAY = 40, 10, 86_400.0


def bursts(users, seed):
    """A day after an item comes one of its three successors; every second user clicks on trends in between.

    A burst of one to three trending items follows an item within minutes, in four cases of five, and says
    nothing: what comes the day after depends on the item that it began with.
    """
    rng = np.random.default_rng(seed)
    successors = np.stack([rng.choice(REAL, 3, replace=False) for _ in range(REAL)])
    rows = []
    for user in range(users):
        item, time, count = rng.integers(REAL), 0.0, 0
        while count < 13:
            rows.append((user, item, time))
            count += 1
            if user % 2 and rng.random() < 0.8:
                for _ in range(rng.integers(1, 4)):
                    time += 60 * (1 + rng.random())
                    rows.append((user, REAL + rng.integers(TRENDING), time))
                    count += 1
            time += DAY * (1 + 0.2 * rng.random())
            item = successors[item, rng.integers(3)]
        rows.append((user, item, time))
    user, item, time = map(np.array, zip(*rows, strict=True))
    return Log.from_interactions(user, item, time)


@pytest.mark.slow
def test_uneven_users_catch_up():
    """NDCG@10 of 1,500 users never seen, by tercile of the variance of their gaps, even ones first."""

    def encoder(num_items, generator):
        items = ItemVectors(num_items, 32)
        return SASRec(items, max_length=20, blocks=1, dropout=0.2, generator=generator)

    def by_tercile(auxiliaries, seed):
        log = bursts(1800, seed)
        seen = log.user < 300
        held_out = leave_one_out(log.rows(np.flatnonzero(~seen)))
        fitted = NeuralRecommender(
            encoder,
            auxiliaries=auxiliaries,
            epochs=25,
            patience=25,
            batch_size=64,
            learning_rate=5e-3,
            mask_history=False,
            seed=seed,
            num_items=REAL + TRENDING,
            device="cpu",
        ).fit(log.rows(np.flatnonzero(seen)))
        ranks = target_ranks(fitted, held_out.history, held_out.target, mask_history=False)
        between = np.where(held_out.history >= 0, held_out.gaps, np.nan)[:, :-1]
        order = np.argsort(np.nanvar(between, axis=1), kind="stable")
        return [ranks.ndcg(10)[third].mean() for third in np.array_split(order, 3)]

    without, with_it = (
        np.array([by_tercile(auxiliaries, seed) for seed in range(3)])
        for auxiliaries in (tuple, lambda: [Uniformity(uneven=0.5)])
    )
    print("without", without.mean(axis=0).round(3), "with", with_it.mean(axis=0).round(3))
    assert (without[:, 0] > without[:, 2]).all()
    assert (with_it[:, 0] - with_it[:, 2] < without[:, 0] - without[:, 2]).all()
    assert (with_it[:, 2] > without[:, 2]).all()


@pytest.mark.slow
def test_rare_items_draw_near_their_neighbours_and_are_not_ranked_better():
    """One taste a user, items by Zipf's law, 70 users: the pull works, yet NDCG@10 does not rise by it.

    By 2,000 users never seen; rare = the 80 of 200 items that are least frequent among the 70.
    """

    def taste(users, seed, groups=20, each=10, length=8):
        rng = np.random.default_rng(seed)
        share = 1 / np.arange(1, each + 1)
        first = each * rng.integers(0, groups, users)[:, None]
        items = first + rng.choice(each, (users, length), p=share / share.sum())
        user = np.repeat(np.arange(users), length)
        return Log.from_interactions(user, items.ravel(), np.tile(np.arange(float(length)), users))

    def encoder(num_items, generator):
        items = ItemVectors(num_items, 32)
        return SASRec(items, max_length=8, blocks=1, dropout=0.2, generator=generator)

    found = {"without": [], "with": []}
    for seed in range(3):
        log = taste(2070, seed)
        train = log.rows(np.flatnonzero(log.user < 70))
        held_out = leave_one_out(log.rows(np.flatnonzero(log.user >= 70)))
        rare = np.argsort(np.bincount(train.slate[:, 0], minlength=200), kind="stable")[:80]
        near, is_rare = neighbours_of_rare(Sequences.of_log(leave_one_out(train).train, 200, 9), 0.4, 1)
        for name, auxiliaries in (("without", tuple), ("with", lambda: [RareItems()])):
            fitted = NeuralRecommender(
                encoder,
                auxiliaries=auxiliaries,
                epochs=40,
                patience=40,
                batch_size=64,
                learning_rate=3e-3,
                mask_history=False,
                seed=seed,
                num_items=200,
                device="cpu",
            ).fit(train)
            ndcg = target_ranks(fitted, held_out.history, held_out.target, mask_history=False).ndcg(10)
            c = fitted.best_.candidates().detach()
            cosine = torch.cosine_similarity(c[is_rare], c[near[is_rare, 0]], dim=1).mean().item()
            found[name].append([ndcg.mean(), ndcg[np.isin(held_out.target, rare)].mean(), cosine])
    for name, values in found.items():
        print(
            name,
            "NDCG@10 of all, of rare targets; cosine to the neighbour:",
            np.mean(values, axis=0).round(4),
        )
    assert (np.array(found["with"])[:, 2] > np.array(found["without"])[:, 2]).all()
