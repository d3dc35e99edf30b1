"""Networks that read sequences: what they may see, what they are trained for, and how they are trained."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.recommender import recommend, target_ranks  # noqa: E402
from recsim_env.agents.sequential.neural import full_ranking  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.dropout import Dropout  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.full_ranking import ranks  # noqa: E402
from recsim_env.agents.sequential.neural.losses import softmax_loss as softmax  # noqa: E402
from recsim_env.agents.sequential.neural.losses.objectives import OBJECTIVES, loss  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.experiments import checkpoint  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, L = 11, 6


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


# --- objectives

STATES = torch.tensor([[1.0, 0.0], [0.5, -1.0]])
TABLE = torch.tensor([[0.2, 0.1], [-0.3, 0.7], [1.0, 1.0]])
TARGETS = torch.tensor([2, 0])
F = (STATES @ TABLE.T).numpy().astype(np.float64)  # (2, 3)


def looked_up(table):
    return lambda items: table if items is None else table[items]


def found(objective, **more):
    return loss(
        objective, STATES, TARGETS, looked_up(TABLE), 3, torch.Generator().manual_seed(3), **more
    ).item()


def softplus(x):
    return np.log1p(np.exp(x))


def test_full_softmax_by_hand():
    expected = np.mean([np.log(np.exp(row).sum()) - row[t] for row, t in zip(F, [2, 0], strict=True)])
    assert found("full_softmax") == pytest.approx(expected, abs=1e-6)


def test_sampled_softmax_tends_to_the_full_one():
    full = found("full_softmax")
    assert found("sampled_softmax", negatives=200_000) == pytest.approx(full, abs=3e-3)


def test_sampled_softmax_of_one_negative_is_unbiased():
    """Each of the two draws that are no target, by hand: the mean of their sums is the whole sum."""
    for row, target in enumerate(TARGETS.tolist()):
        others = [j for j in range(3) if j != target]
        sums = set()
        for seed in range(40):
            value = loss(
                "sampled_softmax",
                STATES[row : row + 1],
                TARGETS[row : row + 1],
                looked_up(TABLE),
                3,
                torch.Generator().manual_seed(seed),
                negatives=1,
            ).item()
            if value != 0:  # else the target itself was drawn, and nothing is left beside it
                sums.add(round(float(np.exp(value + F[row, target])), 4))
        expected = [np.exp(F[row, target]) + 2 * np.exp(F[row, j]) for j in others]
        np.testing.assert_allclose(sorted(sums), sorted(expected), atol=1e-4)
        np.testing.assert_allclose(np.mean(list(sums)), np.exp(F[row]).sum(), atol=1e-4)


def test_sampled_softmax_without_a_negative_that_is_not_the_target():
    only, states = looked_up(TABLE[:1]), STATES[:1].clone().requires_grad_()
    one = loss("sampled_softmax", states, torch.tensor([0]), only, 1, torch.Generator(), negatives=4)
    assert one.item() == 0
    one.backward()
    assert torch.equal(states.grad, torch.zeros_like(states))


def test_the_softmax_loss_is_that_of_a_chain_of_operations(monkeypatch):
    """Value and gradients, in blocks of three rows and at once; candidates left out, of one row all."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(n, 4, generator=generator).double().requires_grad_() for n in (8, 8, 5)]
    log_weight = torch.randn(8, generator=generator).double()
    row = torch.tensor([0, 2, 2, 4, 4, 4, 4, 4, 7])
    place = torch.tensor([3, 0, 4, 0, 1, 2, 3, 4, 2])

    def chained(states, of_targets, others):
        f = (states @ others.T + log_weight[:, None]).index_put(
            (row, place), torch.tensor(-torch.inf).double()
        )
        f_target = (states * of_targets).sum(dim=1, keepdim=True)
        return torch.nn.functional.cross_entropy(torch.cat([f_target, f], dim=1), torch.zeros(8).long())

    expected = chained(*parts)
    gradients = torch.autograd.grad(expected, parts)
    for cells in (2**17, 15):
        monkeypatch.setattr(softmax, "BLOCK_CELLS", cells)
        found = softmax.softmax_loss(*parts, (row, place), log_weight)
        assert found.item() == pytest.approx(expected.item(), abs=1e-12)
        for one, other in zip(torch.autograd.grad(3 * found, parts), gradients, strict=True):
            torch.testing.assert_close(one, 3 * other, atol=1e-12, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = softmax.softmax_loss(*(part.bfloat16() for part in parts), (row, place), log_weight)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(expected.item(), abs=0.05)


def test_dropout():
    """The share and the rest by the law of large numbers; nothing while scoring; the same with one seed."""
    dropout, x = Dropout(0.3), torch.ones(1001, 1003)
    torch.manual_seed(0)
    y = dropout(x)
    kept = y != 0
    assert torch.allclose(y[kept], torch.tensor(1 / 0.7))
    assert kept.float().mean().item() == pytest.approx(0.7, abs=4 * (0.21 / x.numel()) ** 0.5)
    both = (kept[:, 1:] & kept[:, :-1]).float().mean().item()  # neighbours share a number of 64 bits
    assert both == pytest.approx(0.49, abs=4 * (0.5 / x.numel()) ** 0.5)
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y)
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    with pytest.raises(InputError, match=r"dropout must be from 0 to below 1, got 1"):
        Dropout(1)


def test_bce_and_gbce_by_hand():
    """All negatives drawn very often: their mean is that over the two others."""
    n = 60_000
    positive = np.mean([softplus(-F[0, 2]), softplus(-F[1, 0])])
    negative = np.mean([softplus(F[0, :2]).mean(), softplus(F[1, 1:]).mean()])
    assert found("bce", negatives=n) == pytest.approx(positive + negative, abs=5e-3)
    for c in (0.0, 0.5, 1.0):
        share = n / 2
        beta = share * (c * (1 - 1 / share) + 1 / share)
        expected = beta * positive + n * negative
        assert found("gbce", negatives=n, calibration=c) == pytest.approx(expected, rel=5e-3)


def test_gbce_by_hand_where_the_draw_is_known():
    two = looked_up(TABLE[:2])  # the only negative of target 0 is 1, and the other way round
    targets = torch.tensor([0, 1])
    value = loss("gbce", STATES, targets, two, 2, torch.Generator(), negatives=1, calibration=1.0)
    expected = np.mean([softplus(-F[0, 0]) + softplus(F[0, 1]), softplus(-F[1, 1]) + softplus(F[1, 0])])
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "more", "message"),
    [
        ("bpr", {}, "there is no objective 'bpr'"),
        ("bce", {"negatives": 0}, "negatives must be at least 1, got 0"),
        ("gbce", {"calibration": 2.0}, "calibration must be from 0 to 1, got 2.0"),
    ],
)
def test_an_objective_out_of_range_is_refused(objective, more, message):
    with pytest.raises(InputError, match=message):
        found(objective, **more)


# --- item vectors


def test_item_vectors_by_hand():
    features = np.array([[1.0, 0.0], [3.0, 2.0], [2.0, 1.0]], np.float32)
    scaled = torch.tensor(features - features.mean(axis=0))
    scaled = scaled / scaled.std(correction=0)
    items = torch.tensor([[3, 0], [2, 1]])  # 3 = an empty cell
    for kind in ("features", "gated"):
        made = ItemVectors(3, 4, features=features, kind=kind)
        expected = scaled @ made.line.weight.T + made.line.bias
        if kind == "gated":
            own = made.learned.weight[:3]
            share = torch.sigmoid(torch.cat([own, expected], 1) @ made.gate.weight.T + made.gate.bias)
            expected = share * own + (1 - share) * expected
        torch.testing.assert_close(made.all(), expected, atol=1e-5, rtol=1e-5)
        found = made(items)
        torch.testing.assert_close(found[0, 1], expected[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[1], expected[[2, 1]], atol=1e-5, rtol=1e-5)
        assert (found[0, 0] == 0).all()
        assert not made.given.requires_grad


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kind": "text"}, "there is no kind of item vectors 'text'"),
        ({"kind": "gated"}, r"gated item vectors: this kind needs features \(N, F\)"),
        ({"kind": "id", "features": np.eye(3)}, "id item vectors: this kind takes no features"),
        ({"features": np.eye(2)}, r"features must hold finite numbers of shape \(3, F\), got \(2, 2\)"),
        ({"features": np.full((3, 1), np.nan)}, "features must hold finite numbers"),
    ],
)
def test_item_vectors_that_cannot_be_are_refused(more, message):
    with pytest.raises(InputError, match=message):
        ItemVectors(3, 4, **more)


def test_an_item_without_a_click_is_scored_by_its_features():
    """Twins have the same features; one of each pair is in the log, and the other is scored alike."""
    features = np.repeat(np.random.default_rng(0).normal(size=(N, 12)), 2, axis=0)

    def encoder(num_items, generator):
        return SASRec(
            ItemVectors(num_items, 16, features=features), max_length=L, blocks=1, generator=generator
        )

    log = circle()
    log = Log.from_interactions(log.user, 2 * log.slate[:, 0], log.time)
    fitted = NeuralRecommender(encoder, epochs=2, batch_size=16, num_items=2 * N, device="cpu").fit(log)
    scores = fitted.scores(np.array([[4, 6]]))
    np.testing.assert_allclose(scores[0, ::2], scores[0, 1::2], atol=1e-6)
    assert np.ptp(scores[0, ::2]) > 0.1


# --- batches


def circle(users=60, num_items=N, length=9):
    """Item i is followed by item i + 1, and the last by the first: who knows the last item knows the next."""
    begun = np.random.default_rng(1).integers(0, num_items, users)
    rows = [(u, (first + t) % num_items, float(t)) for u, first in enumerate(begun) for t in range(length)]
    user, item, time = map(np.array, zip(*rows, strict=True))
    return Log.from_interactions(user, item, time)


def test_batches_hold_every_user_once_and_targets_come_next():
    user = np.repeat(np.arange(30), np.arange(1, 31))
    log = Log.from_interactions(user, np.arange(len(user)), np.arange(len(user), dtype=float))
    sequences = Sequences.of_log(log, None, 12)
    assert sequences.length.tolist() == [*range(2, 12), *[12] * 19]
    seen = []
    for users in sequences.batches(7, np.random.default_rng(0)):
        rows = sequences.next_items(users)
        inputs, targets = rows.items, rows.targets
        assert inputs.shape == targets.shape == (len(users), sequences.length[users].max() - 1)
        assert ((inputs == sequences.num_items) == (targets == -1)).all()
        known = targets >= 0
        assert (targets[known] == inputs[known] + 1).all()  # this log counts up
        assert (known.sum(axis=1) == sequences.length[users] - 1).all()
        last = np.cumsum(np.arange(1, 31))[1:] - 1
        assert (targets[:, -1] == last[users]).all()
        seen += users.tolist()
    assert sorted(seen) == list(range(29))  # the user with one item is not learned from
    with pytest.raises(InputError, match="log must hold a user with two clicks"):
        Sequences.of_log(log.rows(np.array([0, 1])), None, 12)


@pytest.mark.parametrize("most", [2, 3, 12, 40])
def test_whole_histories_hold_every_pair_of_neighbours_once(most):
    user = np.repeat(np.arange(30), np.arange(1, 31))
    log = Log.from_interactions(user, np.arange(len(user)), np.arange(len(user), dtype=float))
    sequences = Sequences.of_log(log, None, most, whole=True)
    rows = sequences.next_items(np.arange(len(sequences.length)))
    known = rows.targets >= 0
    assert (rows.targets[known] == rows.items[known] + 1).all()  # this log counts up
    expected = np.setdiff1d(np.arange(len(user)), np.cumsum(np.arange(30)))  # all but what came first
    np.testing.assert_array_equal(np.sort(rows.targets[known]), expected)
    assert sequences.length.min() >= 2
    assert sequences.length.max() == min(most, 30)
    last = Sequences.of_log(log, None, most)
    for n, start in zip(last.length, last.start, strict=True):  # the latest row is the one there was before
        assert ((sequences.start == start) & (sequences.length == n)).sum() == 1
    with pytest.raises(InputError, match="log must hold a user with two clicks"):
        Sequences.of_log(log, None, 1, whole=True)


def test_beginnings_and_hidden_items():
    user = np.repeat(np.arange(30), np.arange(1, 31))
    log = Log.from_interactions(user, np.arange(len(user)), 2.0 * np.arange(len(user)))
    sequences = Sequences.of_log(log, None, 12)
    rng, empty = np.random.default_rng(3), sequences.num_items
    for users in sequences.batches(7, rng):
        rows = sequences.beginnings(users, rng)
        assert (rows.targets[:, :-1] == -1).all()
        assert (rows.targets[:, -1] == rows.items[:, -1] + 1).all()
        assert ((rows.gaps == 2) == (rows.items < empty)).all()
        rows = sequences.hidden_items(users, 0.3, 0.5, rng)
        there = np.count_nonzero(rows.items != empty, axis=1)
        assert (there == sequences.length[users]).all()
        assert ((rows.items == empty + 1) == (rows.targets >= 0)).all()
        assert (rows.targets >= 0).any(axis=1).all()
        whole = np.where(rows.targets >= 0, rows.targets, rows.items)
        last = np.cumsum(np.arange(1, 31))[1:] - 1
        assert (whole[:, -1] == last[users]).all()
        assert (rows.gaps[:, -1] == 0).all()
        assert ((rows.gaps[:, :-1] == 2) == (rows.items[:, :-1] != empty)).all()
    long = np.full(4000, 28)  # the user with most items
    hidden = sequences.hidden_items(long, 0.3, 0.5, rng).targets >= 0
    only_last = hidden[:, -1] & (hidden.sum(axis=1) == 1)
    chance = 0.5 + 0.5 * (0.3 * 0.7**11 + 0.7**12 / 12)
    assert only_last.mean() == pytest.approx(chance, abs=4 * math.sqrt(0.25 / 4000))
    assert hidden[~only_last, 0].mean() == pytest.approx(0.3, abs=0.05)


# --- the training


def recommender(max_length=L, **more):
    def encoder(num_items, generator):
        items = ItemVectors(num_items, 16)
        return SASRec(items, max_length=max_length, blocks=1, dropout=0.1, generator=generator)

    kwargs = {"epochs": 25, "batch_size": 16, "learning_rate": 0.01, "negatives": 8, "device": "cpu", **more}
    return NeuralRecommender(encoder, **kwargs)


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "cloze"])
def test_learns_what_comes_next(objective):
    held_out = leave_one_out(circle(users=120, num_items=30))
    fitted = recommender(objective=objective, epochs=40).fit(held_out.train)
    ranks = target_ranks(fitted, held_out.history, held_out.target, mask_history=True)
    assert ranks.hit_rate(1).mean() > 0.95  # by chance 1 / 22
    shown = recommend(fitted, held_out.history, 3, mask_history=True)
    assert not (shown[:, :, None] == held_out.history[:, None, :]).any()


def test_what_is_rated_and_kept_is_the_average_of_the_weights(monkeypatch):
    """By hand, gradient by gradient."""
    averaging, one = 0.6, recommender(epochs=2, averaging=0.6)
    one.begin(circle(users=40))
    expected = {name: value.clone() for name, value in one.network_.state_dict().items()}
    learn, taken = NeuralRecommender.learn, []

    def learned(self, value, step):
        learn(self, value, step)
        b = min(averaging, (1 + len(taken)) / (10 + len(taken)))
        taken.append(b)
        for name, weights in self.network_.state_dict().items():
            expected[name] = b * expected[name] + (1 - b) * weights

    monkeypatch.setattr(NeuralRecommender, "learn", learned)
    while not one.finished:
        one.train_epoch()
    assert taken[0] == 0.1
    best = max(range(2), key=lambda epoch: one.validation_[epoch])
    for name, value in one.averaged_.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0)
        assert (value == one.best_.state_dict()[name]).all() == (best == 1)
    held = one._held_out
    found = ranks(one.averaged_, held.history, held.target, held.gaps, one._device, mask_history=True)
    assert found.ndcg(10).mean() == one.validation_[1]
    assert (one.averaged_.items.learned.weight != one.network_.items.learned.weight).any()
    with pytest.raises(InputError, match=r"averaging must be from 0 to below 1, got 1"):
        recommender(averaging=1.0).fit(circle())


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_repeats_and_goes_on_as_if_unbroken(tmp_path, averaging):
    log = circle()
    kwargs = {"averaging": averaging}
    whole, again = recommender(epochs=4, **kwargs).fit(log), recommender(epochs=4, **kwargs).fit(log)
    assert (whole.validation_ == again.validation_).all()
    history = np.array([[-1, 2, 3]])
    np.testing.assert_array_equal(whole.scores(history), again.scores(history))
    assert (recommender(epochs=4, seed=1, **kwargs).fit(log).scores(history) != whole.scores(history)).any()

    first = recommender(epochs=2, **kwargs).fit(log)
    torch.rand(9)  # what others draw changes nothing
    checkpoint.save(tmp_path / "checkpoints" / "first.npz", first, {})
    second = recommender(epochs=4, **kwargs)
    second.begin(log)
    checkpoint.load(tmp_path / "checkpoints" / "first.npz", second)
    assert len(second.validation_) == 2
    while not second.finished:
        second.train_epoch()
    assert (second.validation_ == whole.validation_).all()
    np.testing.assert_array_equal(second.scores(history), whole.scores(history))


def test_a_checkpoint_of_another_catalogue_is_refused(tmp_path):
    checkpoint.save(tmp_path / "checkpoints" / "first.npz", recommender(epochs=1).fit(circle()), {})
    other = recommender()
    other.begin(circle(num_items=N + 1))
    with pytest.raises(InputError, match=r"first.npz belongs to another agent: delete it"):
        checkpoint.load(tmp_path / "checkpoints" / "first.npz", other)


def test_scores_do_not_depend_on_padding_or_company():
    fitted = recommender(epochs=2).fit(circle())
    alone = fitted.scores(np.array([[4, 5]]))
    assert alone.shape == (1, N)
    long = np.full((3, 40), -1)
    long[0, -2:], long[1] = [4, 5], np.arange(40) % N  # the second has more than is read; the third is new
    together = fitted.scores(long)
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)
    np.testing.assert_allclose(together[1], fitted.scores(long[1:2, -L:])[0], atol=1e-5)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(fitted.scores(np.zeros((1, 0), np.int64)), together[2:], atol=1e-5)


def test_scores_do_not_depend_on_how_many_pass_at_a_time(monkeypatch):
    fitted = recommender(epochs=2).fit(circle())
    rng = np.random.default_rng(0)
    history = rng.integers(0, N, (40, 8))
    for row, empty in enumerate(rng.integers(0, 9, 40)):
        history[row, :empty] = -1
    whole, best = fitted.scores(history), recommend(fitted, history, 3, mask_history=False)
    one_by_one = np.concatenate([fitted.scores(row[None]) for row in history])
    np.testing.assert_allclose(whole, one_by_one, atol=1e-5)
    monkeypatch.setattr(full_ranking, "PASS_CELLS", 9)
    monkeypatch.setattr(full_ranking, "BLOCK_CELLS", 3 * N)
    np.testing.assert_allclose(fitted.scores(history), whole, atol=1e-5)
    assert (recommend(fitted, history, 3, mask_history=False) == best).all()
    assert fitted.scores(np.zeros((0, 5), np.int64)).shape == (0, N)
    assert recommend(fitted, np.zeros((0, 5), np.int64), 3, mask_history=False).shape == (0, 3)


def test_ranks_are_those_of_the_ground():
    """Against `target_ranks`, which sorts nothing and counts in float64; ties, and targets had before."""
    fitted = recommender(epochs=2).fit(circle())
    with torch.no_grad():
        fitted.best_.items.learned.weight[3] = fitted.best_.items.learned.weight[5]  # always level
    rng = np.random.default_rng(0)
    history = rng.integers(0, N, (40, 8))
    for row, empty in enumerate(rng.integers(0, 9, 40)):
        history[row, :empty] = -1
    target = rng.integers(0, N, 40)
    target[:9] = 3
    for mask in (True, False):
        found = ranks(fitted.best_, history, target, None, torch.device("cpu"), mask_history=mask)
        expected = target_ranks(fitted, history, target, mask_history=mask)
        assert (found.candidate == expected.candidate).all()
        kept = expected.candidate
        assert (found.better[kept] == expected.better[kept]).all()
        assert (found.tied[kept] == expected.tied[kept]).all()
        assert found.tied[kept].any()
        assert kept.all() != mask


def test_cosine_and_warm_up():
    fitted = recommender(epochs=3, warm_up=4, schedule="cosine", learning_rate=0.5, batch_size=20)
    fitted.begin(circle())
    rates, step = [], fitted.optimiser_.step
    fitted.optimiser_.step = lambda: (rates.append(fitted.optimiser_.param_groups[0]["lr"]), step())
    while not fitted.finished:
        fitted.train_epoch()
    k = np.arange(9)
    expected = 0.5 * np.minimum(1, (k + 1) / 4) * 0.5 * (1 + np.cos(np.pi * k / 9))
    np.testing.assert_allclose(rates, expected)


def test_whole_histories_are_learned_from():
    """Histories begin with items 0 to 4 in a circle; what comes after them is by chance."""
    user, item = np.repeat(np.arange(60), 9), np.tile(np.arange(9), 60)
    item = np.where(item < 5, (item + user) % 5, 5 + np.random.default_rng(0).integers(0, 6, len(item)))
    log = Log.from_interactions(user, item, np.tile(np.arange(9.0), 60))
    known = {}
    for history in ("last", "whole"):
        fitted = recommender(max_length=3, history=history, epochs=40, patience=40).fit(log)
        fitted.best_ = fitted.network_  # validation, which is by chance, would take another
        found = fitted.scores(np.arange(5)[:, None]).argmax(axis=1)
        known[history] = (found == (np.arange(5) + 1) % 5).mean()
    assert known["whole"] == 1.0
    assert known["last"] < 0.5


def test_training_ends_when_patience_does():
    fitted = recommender(epochs=200, patience=2).fit(circle())
    assert len(fitted.validation_) == fitted.validation_.argmax() + 3


def test_a_loss_that_is_no_number_stops_and_keeps_the_best():
    fitted = recommender(epochs=3)
    fitted.begin(circle())
    fitted.train_epoch()
    before = fitted.scores(np.array([[1, 2]]))
    with torch.no_grad():
        fitted.network_.norm.weight.fill_(torch.nan)
    with pytest.raises(
        InputError, match=r"the loss is nan at step 0 of epoch 1: lower learning_rate \(0\.01\)"
    ):
        fitted.train_epoch()
    np.testing.assert_array_equal(fitted.scores(np.array([[1, 2]])), before)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more, got -1.0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"objective": "bpr"}, "there is no objective 'bpr'"),
        ({"objective": "cloze"}, "objective = 'cloze', but SASRec reads past"),
        ({"precision": "half"}, "precision must be float32 or bfloat16, got 'half'"),
        ({"history": "all"}, "history must be last or whole, got 'all'"),
        ({"hidden_share": 1.5}, "hidden_share must be from 0 to 1, got 1.5"),
        ({"device": "tpu"}, "device must be auto, cpu or cuda, got 'tpu'"),
        ({"num_items": 5}, r"log shows item 10, but num_items = 5 \(0-4\)"),
    ],
)
def test_a_training_that_cannot_be_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        recommender(**more).fit(circle())


def test_histories_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"NeuralRecommender has learned nothing yet: call fit\(log\) first"):
        recommender().scores(np.array([[1]]))
    fitted = recommender(epochs=1).fit(circle())
    with pytest.raises(InputError, match=r"history\[0, 0\] = 11 is not an item: the catalogue has 11 items"):
        fitted.scores(np.array([[11]]))
    with pytest.raises(InputError, match="pad with -1 on the left"):
        fitted.scores(np.array([[1, -1]]))
