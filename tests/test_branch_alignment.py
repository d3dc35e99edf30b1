"""The two tables of gated vectors held together: by hand, in training, and what it is worth."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.item_encoders.gated_vectors import GatedVectors
from recsim_env.agents.generative.losses import branch_alignment
from recsim_env.agents.generative.losses.branch_alignment import BranchAlignment
from recsim_env.agents.generative.tokenisers.residual_k_means import residual_k_means
from recsim_env.agents.recommender import target_ranks
from recsim_env.agents.sequential.neural.encoders.bert4rec import BERT4Rec
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.errors import InputError
from recsim_env.experiments import checkpoint
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out

pytestmark = pytest.mark.extra

N, D = 16, 8
CODES = np.stack(np.divmod(np.random.default_rng(1).permutation(N), 4), axis=1)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def gated(num_items=N):
    return GatedVectors(ItemVectors(num_items, D), CodeVectors(CODES[:num_items], (4, 4), D))


def encoder(num_items, generator, dropout=0.1):
    return SASRec(gated(num_items), max_length=6, blocks=1, dropout=dropout, generator=generator)


def circle(users=40):
    """Item i is followed by item i + 1."""
    begun = np.random.default_rng(1).integers(0, N, users)
    rows = [(u, (first + t) % N, float(t)) for u, first in enumerate(begun) for t in range(4 + u % 4)]
    return Log.from_interactions(*map(np.array, zip(*rows, strict=True)))


def sharp():
    """An encoder of large weights, without dropout."""
    made = encoder(N, torch.Generator().manual_seed(0), dropout=0.0)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
        made.items.clear_empty()
    return made


def contrast(first, second, temperature):
    """InfoNCE of 2 B views, sum by sum."""
    z = np.concatenate([first, second])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    B, total = len(first), 0.0
    for i in range(2 * B):
        others = [j for j in range(2 * B) if j % B != i % B]
        to_partner = z[i] @ z[(i + B) % (2 * B)] / temperature
        total += np.log(np.exp(to_partner) + np.exp(z[others] @ z[i] / temperature).sum()) - to_partner
    return total / (2 * B)


def a_loss(network, seed=0, **weights):
    sequences = Sequences.of_log(circle(), N, 7)
    rows = sequences.next_items(np.arange(9))
    auxiliary = BranchAlignment(**weights)
    generator = torch.Generator().manual_seed(seed)
    auxiliary.begin(network, sequences, generator)
    states = network(torch.from_numpy(rows.items))
    return auxiliary.loss(network, sequences, rows, states, generator), rows


def test_by_hand():
    network = sharp()
    found, rows = a_loss(network, items=0.5, sequences=0.0, temperature=0.3)
    there = np.unique(rows.items[rows.items < N])
    first, second = (branch.all().detach().double().numpy()[there] for branch in network.items.branches)
    assert found.item() == pytest.approx(0.5 * contrast(first, second, 0.3), rel=1e-5)

    found, _ = a_loss(network, items=0.0, sequences=2.0, temperature=0.3)
    items, after = torch.from_numpy(rows.items), []
    for branch in network.items.branches:
        alone = encoder(N, torch.Generator(), dropout=0.0)
        weights = {k: v for k, v in network.state_dict().items() if not k.startswith("items.")}
        alone.items = branch
        alone.load_state_dict(weights, strict=False)
        after.append(alone(items)[:, -1].detach().double().numpy())
    assert found.item() == pytest.approx(2.0 * contrast(*after, 0.3), rel=1e-5)

    both, _ = a_loss(network, items=0.5, sequences=2.0, temperature=0.3)
    item, _ = a_loss(network, items=0.5, sequences=0.0, temperature=0.3)
    assert both.item() == pytest.approx(item.item() + found.item(), rel=1e-5)


@pytest.mark.parametrize("weights", [{"sequences": 0.0}, {"items": 0.0}])
def test_both_tables_learn_from_it_and_the_gate_does_not(weights):
    network = sharp()
    a_loss(network, **weights)[0].backward()
    for branch in network.items.branches:
        assert branch.learned.weight.grad.abs().max() > 1e-4
    assert network.items.gate.weight.grad is None or not network.items.gate.weight.grad.any()
    blocks = network.blocks[0].parameters()
    moved = any(one.grad is not None and one.grad.abs().max() > 1e-6 for one in blocks)
    assert moved == ("items" in weights)


def test_it_is_lower_the_more_the_tables_agree():
    network = sharp()
    apart = a_loss(network)[0].item()
    codes, ids = network.items.branches[1], network.items.branches[0]
    with torch.no_grad():
        ids.learned.weight[:N] = codes.all()
    together = a_loss(network)[0].item()
    assert together < 0.5 * apart


def test_no_more_items_than_fit_are_contrasted(monkeypatch):
    network = sharp()
    monkeypatch.setattr(branch_alignment, "MOST", 3)
    weights = {"items": 1.0, "sequences": 0.0}
    values = {round(a_loss(network, seed, **weights)[0].item(), 5) for seed in range(8)}
    assert len(values) > 4  # other items every time
    assert a_loss(network, 1, **weights)[0] == a_loss(network, 1, **weights)[0]
    a_loss(network, 1, **weights)[0].backward()
    assert (network.items.branches[0].learned.weight.grad.abs().sum(dim=1) > 0).sum() == 3


def recommender(auxiliaries=tuple, epochs=4):
    return NeuralRecommender(
        encoder,
        auxiliaries=auxiliaries,
        epochs=epochs,
        batch_size=16,
        learning_rate=0.01,
        device="cpu",
        num_items=N,
    )


def test_repeats_and_goes_on_as_if_unbroken(tmp_path):
    log, history = circle(), np.array([[-1, 2, 3], [7, 8, 9]])
    whole, again = (recommender(lambda: [BranchAlignment()]).fit(log) for _ in range(2))
    np.testing.assert_array_equal(whole.scores(history), again.scores(history))
    assert (recommender().fit(log).scores(history) != whole.scores(history)).any()
    first = recommender(lambda: [BranchAlignment()], 2).fit(log)
    torch.rand(9)  # what others draw changes nothing
    checkpoint.save(tmp_path / "checkpoints" / "first.npz", first, {})
    second = recommender(lambda: [BranchAlignment()])
    second.begin(log)
    checkpoint.load(tmp_path / "checkpoints" / "first.npz", second)
    while not second.finished:
        second.train_epoch()
    np.testing.assert_array_equal(second.scores(history), whole.scores(history))


def test_training_brings_the_tables_together():
    def agreement(auxiliaries):
        fitted = recommender(auxiliaries, 30).fit(circle())
        first, second = (branch.all().detach() for branch in fitted.network_.items.branches)
        return torch.cosine_similarity(first, second, dim=1).mean().item()

    assert agreement(lambda: [BranchAlignment()]) > agreement(tuple) + 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BranchAlignment(items=-0.1), "items and sequences must be 0 or more, and not both 0"),
        (lambda: BranchAlignment(items=0.0, sequences=0.0), "not both 0, got 0.0 and 0.0"),
        (lambda: BranchAlignment(temperature=0.0), "temperature must be above 0"),
        (
            lambda: a_loss(SASRec(ItemVectors(N, D), max_length=6, generator=torch.Generator())),
            "BranchAlignment needs an encoder of GatedVectors, got ItemVectors",
        ),
        (
            lambda: a_loss(BERT4Rec(ItemVectors(N, D), max_length=6, generator=torch.Generator())),
            "BranchAlignment needs the state after a user's last item, but BERT4Rec reads around",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


GROUPS, EACH, SEEN = 60, 10, 400


def heads_and_tails(users, seed):
    """Groups of items that features tell; a few of each group are most of what is taken.

    Users take items of two groups; but after the first item of a group the next is, every other time, the
    first of another group, which features do not tell.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((GROUPS, 16))
    features = np.repeat(centres, EACH, axis=0) + 0.5 * rng.standard_normal((GROUPS * EACH, 16))
    share, then = np.arange(1, EACH + 1) ** -1.5, rng.permutation(GROUPS)
    own, items = rng.integers(0, GROUPS, (users, 2)), np.empty((users, 8), np.int64)
    for t in range(8):
        group = own[np.arange(users), rng.integers(0, 2, users)]
        items[:, t] = EACH * group + rng.choice(EACH, users, p=share / share.sum())
        if t:
            before = items[:, t - 1]
            led = (before % EACH == 0) & (rng.random(users) < 0.5)
            items[:, t] = np.where(led, EACH * then[before // EACH], items[:, t])
    user, time = np.repeat(np.arange(users), 8), np.tile(np.arange(8.0), users)
    return Log.from_interactions(user, items.ravel(), time), features


@pytest.mark.slow
def test_alignment_on_frequent_and_rare_items():
    """400 users, 600 items: NDCG@10 and HR@10 of 4,000 users never seen; frequent = a fifth of the items."""
    num_items, found = GROUPS * EACH, {}
    for seed in range(3):
        log, features = heads_and_tails(SEEN + 4000, seed)
        known = residual_k_means(features, (16, 16, 16), collisions="append", seed=seed)
        train = log.rows(np.flatnonzero(log.user < SEEN))
        held_out = leave_one_out(log.rows(np.flatnonzero(log.user >= SEEN)))
        order = np.argsort(-np.bincount(train.slate[:, 0], minlength=num_items), kind="stable")
        frequent = np.isin(held_out.target, order[: num_items // 5])

        def ids():
            return ItemVectors(num_items, 32)

        def codes(known=known):
            return CodeVectors(known.codes, known.level_sizes, 32)

        def both(codes=codes):
            return GatedVectors(ids(), codes())

        for name, table, auxiliaries in (
            ("ids", ids, tuple),
            ("codes", codes, tuple),
            ("gated", both, tuple),
            ("gated, aligned", both, lambda: [BranchAlignment()]),
        ):

            def network(_, generator, table=table):
                return SASRec(table(), max_length=8, blocks=1, dropout=0.2, generator=generator)

            fitted = NeuralRecommender(
                network,
                objective="full_softmax",
                auxiliaries=auxiliaries,
                epochs=40,
                patience=40,
                batch_size=64,
                learning_rate=3e-3,
                mask_history=False,
                seed=seed,
                num_items=num_items,
                device="cpu",
            ).fit(train)
            ranks = target_ranks(fitted, held_out.history, held_out.target, mask_history=False)
            measured = (ranks.ndcg(10), ranks.hit_rate(10))
            values = [one[part].mean() for part in (frequent, ~frequent) for one in measured]
            found.setdefault(name, []).append([measured[0].mean(), *values])
            print(seed, name, np.round(found[name][-1], 4), flush=True)
    mean = {name: np.mean(values, axis=0) for name, values in found.items()}
    error = {name: np.std(values, axis=0, ddof=1) / np.sqrt(3) for name, values in found.items()}
    print("NDCG@10 of all; NDCG@10 and HR@10 of frequent targets, of rare ones:")
    for name in found:
        print(name, [f"{m:.4f} +- {e:.4f}" for m, e in zip(mean[name], error[name], strict=True)])
    assert mean["ids"][1] > mean["codes"][1]
    assert mean["codes"][3] > mean["ids"][3]
    assert mean["gated, aligned"][1] > mean["codes"][1]
    assert mean["gated, aligned"][3] > max(mean["ids"][3], mean["gated"][3])
    assert mean["gated, aligned"][0] > max(mean["ids"][0], mean["codes"][0], mean["gated"][0])
