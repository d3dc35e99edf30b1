"""SRA-CL against CL4SRec's crops: by hand, their parts by brute force, and where users are sparse."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.recommender import target_ranks  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.crop_contrast import CropContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.nearest_rows import nearest_rows  # noqa: E402
from recsim_env.agents.sequential.neural.losses.neighbour_contrast import NeighbourContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.views import cropped, kept_alone, thinned  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, D = 12, 8
FEATURES = np.random.default_rng(2).normal(size=(N, 5))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network():
    generator = torch.Generator().manual_seed(5)
    made = SASRec(ItemVectors(N, D), max_length=6, blocks=1, dropout=0.0, generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def some_sequences(users=9):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(users), rng.integers(2, 7, users))
    log = Log.from_interactions(
        user, rng.integers(0, N, len(user)), np.cumsum(rng.exponential(size=len(user)))
    )
    return Sequences.of_log(log, N, 7)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def contrast(first, second, temperature):
    z, B = unit(np.concatenate([first, second])), len(first)
    s = z @ z.T / temperature
    losses = []
    for i in range(2 * B):
        others = [j for j in range(2 * B) if j % B != i % B]
        positive = s[i, (i + B) % (2 * B)]
        losses.append(np.log(np.exp(positive) + np.exp(s[i, others]).sum()) - positive)
    return np.mean(losses)


# --- views


def test_views_leave_out_items_and_add_up_their_time():
    data = some_sequences()
    rows = data.next_items(np.arange(9))
    generator = torch.Generator().manual_seed(0)
    lengths = set()
    for _ in range(50):
        for view in (thinned(rows, 0.5, N, generator), cropped(rows, 0.6, N, generator)):
            assert (view.targets == -1).all()
            there = view.items < N
            assert (np.diff(there.astype(int), axis=1) >= 0).all()
            assert there[:, -1].all()
            assert (view.gaps[~there] == 0).all()
        lengths.add(int((thinned(rows, 0.5, N, generator).items < N).sum()))
        crop = cropped(rows, 0.6, N, generator)
        for own, part, gaps, theirs in zip(rows.items, crop.items, crop.gaps, rows.gaps, strict=True):
            own_items, part_items = own[own < N].tolist(), part[part < N].tolist()
            n = len(part_items)
            assert n == max(1, int(0.6 * len(own_items)))
            starts = [s for s in range(len(own_items)) if own_items[s : s + n] == part_items]
            own_gaps = theirs[own < N]
            assert any(np.allclose(gaps[part < N], own_gaps[s : s + n]) for s in starts)
    assert len(lengths) > 5
    everything = thinned(rows, 1.0, N, generator)
    assert ((everything.items < N).sum(axis=1) == 1).all()
    assert (everything.items[:, -1] == rows.items[:, -1]).all()
    kept = rows.items < N
    kept[:, -2] = False  # one item less: its gap belongs to the one before it now
    view = kept_alone(rows, kept, N)
    for row in np.flatnonzero((rows.items < N).sum(axis=1) > 2):
        assert view.gaps[row, -2] == pytest.approx(rows.gaps[row, -3] + rows.gaps[row, -2])
        assert view.items[row, -2] == rows.items[row, -3]


# --- the losses


def test_neighbours_by_brute_force():
    x = np.random.default_rng(1).normal(size=(70, 4))
    cosine = unit(x) @ unit(x).T
    np.fill_diagonal(cosine, -2)
    np.testing.assert_array_equal(nearest_rows(x, 9), np.argsort(-cosine, axis=1)[:, :9])


def test_crop_contrast_by_hand():
    """All of a row is one crop of it, so that both views are known."""
    net, data = network(), some_sequences()
    auxiliary = CropContrast(kept=1.0, temperature=0.5)
    auxiliary.begin(net, data, torch.Generator())
    rows = data.next_items(np.arange(6))
    states = net(torch.from_numpy(rows.items))
    own = states[:, -1].detach().numpy().astype(float)
    found = auxiliary.loss(net, data, rows, states, torch.Generator())
    assert found.item() == pytest.approx(contrast(own, own, 0.5), abs=1e-5)
    found.backward()
    assert net.items.learned.weight.grad.abs().sum() > 0


def test_neighbour_contrast_by_hand():
    """All neighbours are read, and all items are swapped for the only one: nothing is left to chance."""
    net, data = network(), some_sequences()
    auxiliary = NeighbourContrast(
        FEATURES, users=0.7, items=0.2, neighbours=1, read=1, swapped=1.0, temperature=0.5
    )
    wide = NeighbourContrast(FEATURES, users=0.7, items=0.0, neighbours=3, read=3, temperature=0.5)
    for one in (auxiliary, wide):
        one.begin(net, data, torch.Generator().manual_seed(4))
        with torch.no_grad():
            one.line.mul_(50.0)
            one.asked.mul_(50.0)
    x = FEATURES - FEATURES.mean(axis=0)
    taste = np.stack(
        [x[data.items[s : s + n]].mean(axis=0) for s, n in zip(data.start, data.length, strict=True)]
    )
    cosine, of_items = unit(taste) @ unit(taste).T, unit(x) @ unit(x).T
    np.fill_diagonal(cosine, -2)
    np.fill_diagonal(of_items, -2)
    rows = data.next_items(np.arange(6))
    states = net(torch.from_numpy(rows.items))
    own = states[:, -1].detach().numpy().astype(float)

    def last(items):
        return net(torch.from_numpy(items))[:, -1].detach().numpy().astype(float)

    everybody = data.next_items(np.arange(9)).items
    all_states = last(everybody)
    swapped = last(np.where(rows.items < N, of_items.argmax(axis=1)[np.minimum(rows.items, N - 1)], N))
    expected = 0.7 * contrast(own, all_states[cosine.argmax(axis=1)[:6]], 0.5)
    expected += 0.2 * contrast(swapped, swapped, 0.5)
    found = auxiliary.loss(net, data, rows, states, torch.Generator())
    assert found.item() == pytest.approx(expected, abs=1e-5)

    line, asked = (part.detach().numpy().astype(float) for part in (wide.line, wide.asked))
    scaled = taste / taste.std()
    positive, shares = [], []
    for user in range(6):
        near = np.argsort(-cosine[user])[:3]
        level = np.array([asked @ np.append(scaled[user] @ line, scaled[v] @ line) for v in near])
        level = np.where(level > 0, level, 0.2 * level)
        share = np.exp(level) / np.exp(level).sum()
        shares.append(share)
        positive.append(share @ all_states[near])
    assert np.ptp(shares) > 0.1
    found = wide.loss(net, data, rows, states, torch.Generator())
    assert found.item() == pytest.approx(0.7 * contrast(own, np.stack(positive), 0.5), abs=1e-4)
    found.backward()
    assert net.items.learned.weight.grad.abs().sum() > 0
    assert wide.line.grad.abs().sum() > 0
    assert wide.asked.grad.abs().sum() > 0


def test_a_share_of_the_items_is_swapped_for_their_neighbours():
    net, data = network(), some_sequences()
    auxiliary = NeighbourContrast(FEATURES, neighbours=3, read=1, swapped=0.3)
    auxiliary.begin(net, data, torch.Generator())
    rows, generator = data.next_items(np.arange(9)), torch.Generator().manual_seed(0)
    views = np.stack([auxiliary.swap(rows, generator).items for _ in range(400)])
    there = rows.items < N
    assert (views[:, ~there] == N).all()
    changed = (views != rows.items)[:, there]
    assert changed.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / changed.size))
    for cell, item in zip(views[:, there].T, rows.items[there], strict=True):
        assert set(cell.tolist()) == {item, *auxiliary.near_items[item].tolist()}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"users": 0.0, "items": 0.0}, "users and items must be 0 or more, and not both 0"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"read": 21}, r"read must be at most neighbours \(20\), got 21"),
        ({"swapped": 0.0}, "swapped must be above 0 and finite, got 0.0"),
        ({"swapped": 1.5}, "swapped must be from 0 to 1, got 1.5"),
        ({"temperature": -1.0}, "temperature must be above 0 and finite, got -1.0"),
        ({"features": np.zeros(3)}, r"features must hold finite numbers of shape \(N, F\), got shape \(3,\)"),
        ({"features": np.eye(11)}, "features must have a row for each of 12 items, got 11"),
        ({"neighbours": 9}, "neighbours must be below the number of users, 9, got 9"),
    ],
)
def test_what_cannot_be_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        NeighbourContrast(**{"features": FEATURES, **more}).begin(
            network(), some_sequences(), torch.Generator()
        )


def test_crops_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"kept must be from 0 to 1, got 1.5"):
        CropContrast(kept=1.5)
    with pytest.raises(InputError, match="weight must be above 0 and finite, got 0"):
        CropContrast(weight=0.0)


# --- what it is worth


def tastes(users, seed, groups=20, each=20, length=5):
    """Every user takes her few items from one group, but one in ten; items of a group have like features."""
    rng = np.random.default_rng(seed)
    middle = np.repeat(rng.normal(size=(groups, 16)), each, axis=0)
    features = middle + 0.5 * rng.normal(size=middle.shape)
    items = np.stack(
        [g * each + rng.choice(each, length, replace=False) for g in rng.integers(0, groups, users)]
    )
    items = np.where(rng.random(items.shape) < 0.1, rng.integers(0, groups * each, items.shape), items)
    user = np.repeat(np.arange(users), length)
    return Log.from_interactions(user, items.ravel(), np.tile(np.arange(float(length)), users)), features


@pytest.mark.slow
def test_neighbours_are_worth_more_than_crops_where_users_are_sparse():
    """300 users with four items each, a catalogue of 400: NDCG@10 of 1,500 users never seen."""

    def encoder(num_items, generator):
        items = ItemVectors(num_items, 32)
        return SASRec(items, max_length=5, blocks=1, dropout=0.2, generator=generator)

    def ndcg(auxiliaries, seed):
        log, features = tastes(1800, seed)
        held_out = leave_one_out(log.rows(np.flatnonzero(log.user >= 300)))
        fitted = NeuralRecommender(
            encoder,
            auxiliaries=lambda: auxiliaries(features),
            epochs=20,
            patience=20,
            batch_size=64,
            learning_rate=3e-3,
            seed=seed,
            num_items=400,
            device="cpu",
        ).fit(log.rows(np.flatnonzero(log.user < 300)))
        return target_ranks(fitted, held_out.history, held_out.target, mask_history=True).ndcg(10).mean()

    found = {
        name: np.array([ndcg(auxiliaries, seed) for seed in range(3)])
        for name, auxiliaries in (
            ("without", lambda _: []),
            ("crops", lambda _: [CropContrast()]),
            ("neighbours", lambda features: [NeighbourContrast(features)]),
            ("of shuffled features", lambda x: [NeighbourContrast(np.random.default_rng(0).permutation(x))]),
        )
    }
    print({name: (values.mean().round(4), values.round(4).tolist()) for name, values in found.items()})
    for other in ("without", "crops", "of shuffled features"):
        assert found["neighbours"].mean() > found[other].mean()
