"""Further losses, heads and encoders of policies that write codes, against loops and cases done by hand."""

import numpy as np
import pytest
from scipy.special import logsumexp

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.encoders.code_sequence import CodeSequence
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender, PolicyEncoder
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.set_query import QueryLoss, SetQueryHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.item_encoders.set_tokens import SetTokens
from recsim_env.agents.generative.losses.prefix_aware import PrefixAware, pairwise, pointwise
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

pytestmark = pytest.mark.extra

N, D = 60, 16


def ring_log(users=240, seed=0):
    """Users go along a ring of items, three steps at a time, from where they begin."""
    rng = np.random.default_rng(seed)
    start, length = rng.integers(N, size=users), 6
    item = (start[:, None] + 3 * np.arange(length)) % N
    user, time = np.repeat(np.arange(users), length), np.tile(np.arange(length), users)
    return Log(user, time, item.reshape(-1, 1), np.ones((users * length, 1), bool))


def decoder_policy(num_items=N, generator=None, reads="past"):
    generator = generator or torch.Generator().manual_seed(0)
    made = random(N, levels=3, size=4, seed=1)
    items = CodeVectors(made.codes, made.level_sizes, D)
    encoder = CodeSequence(items, max_length=8, reads=reads, dropout=0.0, generator=generator)
    head = DecoderHead(made.level_sizes, D, dropout=0.0, generator=generator)
    return GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))


def set_policy(num_items=N, generator=None):
    generator = generator or torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    items = SetTokens(rng.standard_normal((N, 5)), rng.standard_normal((N, 7)), D, parts=3, hidden=(12,))
    encoder = SASRec(items, max_length=8, dropout=0.0, generator=generator)
    head = SetQueryHead(items, dropout=0.0, generator=generator)
    return GenerativePolicy(encoder, head, CatalogueTrie(atomic(N).codes, (N,)))


def sharp(policy, seed=3):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
    return policy.eval()


HISTORY = torch.tensor([[-1, -1, 3, 7], [5, 5, 9, 11], [-1, -1, -1, 2]])
EVERY = torch.arange(N).expand(3, N)


@pytest.mark.parametrize("make", [decoder_policy, set_policy])
def test_they_are_distributions_and_full_beams_find_the_best(make):
    policy = sharp(make())
    log_pi = policy.log_prob(HISTORY, EVERY).detach()
    np.testing.assert_allclose(log_pi.exp().sum(dim=1), 1.0, atol=1e-5)
    items, found = policy.generate(HISTORY, 10, width=N)
    torch.testing.assert_close(found, log_pi.topk(10, dim=1).values)
    torch.testing.assert_close(log_pi.gather(1, items), found)


@pytest.mark.parametrize("reads", ["past", "whole"])
def test_a_history_of_codes_against_what_each_cell_may_see(reads):
    """Padding changes nothing; later items change earlier states only where the whole is read."""
    encoder = sharp(decoder_policy(reads=reads)).encoder
    rows = torch.tensor([[3, 7, 20], [5, 9, 11]])
    padded = torch.cat([torch.full((2, 2), N), rows], dim=1)
    torch.testing.assert_close(encoder(padded)[:, 2:], encoder(rows), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoder(rows[1:])[0], encoder(rows)[1], atol=1e-5, rtol=1e-4)
    changed = rows.clone()
    changed[:, 2] = 40
    before, after = encoder(rows)[:, :2], encoder(changed)[:, :2]
    assert torch.equal(before, after) == (reads == "past")
    vectors = encoder.items
    torch.testing.assert_close(vectors.apart(rows).sum(dim=2), vectors(rows))


@pytest.mark.parametrize("make", [decoder_policy, set_policy])
@pytest.mark.parametrize("form", ["pointwise", "pairwise", "queries"])
def test_they_train_with_further_losses(make, form):
    if (form == "queries") != (make is set_policy):
        pytest.skip("another kind of identifier")
    added = {"queries": QueryLoss, "pointwise": lambda: PrefixAware(form=form, weight=0.5)}
    added["pairwise"] = lambda: PrefixAware(form=form, weight=0.5, negatives=20)
    fitted = GenerativeRecommender(
        make,
        auxiliaries=lambda: [added[form]()],
        epochs=15,
        patience=15,
        learning_rate=0.02,
        batch_size=64,
        num_items=N,
        device="cpu",
        seed=1,
    ).fit(ring_log())
    assert fitted.validation_.max() > 0.5
    alone = GenerativeRecommender(
        make, epochs=1, learning_rate=0.02, batch_size=64, num_items=N, device="cpu", seed=1
    )
    alone.fit(ring_log())
    assert alone.validation_[0] != fitted.validation_[0]  # they take part


def test_pointwise_by_hand():
    of_prefix = torch.tensor([[-1.0, -3.0], [-2.0, -5.0]])
    torch.testing.assert_close(pointwise(of_prefix, 2.0), torch.tensor([1.5 / 2, 4.0 / (2 * 2)]))


def test_pairwise_against_a_loop():
    rng = np.random.default_rng(0)
    of_prefix = -rng.exponential(2.0, (4, 6, 2)).cumsum(axis=2)
    nodes = rng.integers(3, size=(4, 6, 2))
    prefixes, temperature = np.array([5, 9]), 0.7
    expected = np.zeros(2)
    for t in range(2):
        for u in range(4):
            right = of_prefix[u, 0, t] / temperature
            others = [
                of_prefix[u, j, t] / temperature for j in range(1, 6) if nodes[u, j, t] != nodes[u, 0, t]
            ]
            rest = np.log((prefixes[t] - 1) / len(others)) + logsumexp(others)
            expected[t] += -(right - np.logaddexp(right, rest)) / (t + 1) / 4
    found = pairwise(
        torch.from_numpy(of_prefix), torch.from_numpy(nodes), torch.from_numpy(prefixes), temperature
    )
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_pairs_without_anyone_to_compare_with_say_nothing():
    found = pairwise(
        torch.full((2, 3, 1), -4.0), torch.zeros(2, 3, 1, dtype=torch.int64), torch.tensor([1]), 1.0
    )
    torch.testing.assert_close(found, torch.zeros(1))


def test_the_worst_beginning_counts_most():
    losses = torch.tensor([0.5, 2.0])
    weight = losses / losses.sum() * torch.exp(1.5 * losses)
    expected = (weight / weight.sum() * losses).sum()
    torch.testing.assert_close(PrefixAware(emphasis=1.5).weighted(losses), expected)
    assert expected > losses.mean()


def test_a_policy_that_is_certain_costs_nothing():
    losses = torch.zeros(2, requires_grad=True)
    value = PrefixAware().weighted(losses)
    value.backward()
    assert value == 0.0
    assert torch.isfinite(losses.grad).all()


def test_a_training_with_further_losses_is_not_continued():
    fitted = GenerativeRecommender(
        set_policy, auxiliaries=lambda: [QueryLoss()], epochs=1, num_items=N, device="cpu"
    ).fit(ring_log(users=20))
    with pytest.raises(InputError, match="this one has further losses"):
        fitted.continued(1, 0.01)


def test_gradients_of_prefix_aware_losses_are_those_of_finite_differences():
    policy = sharp(decoder_policy()).double()
    network = PolicyEncoder(policy).double()
    sequences = Sequences.of_log(ring_log(users=5), N, 9)
    rows = sequences.next_items(np.arange(5))
    for form in ("pointwise", "pairwise"):
        loss = PrefixAware(form=form, negatives=7, emphasis=0.0)

        def value(loss=loss):
            states = network(torch.from_numpy(rows.items))
            return loss.loss(network, sequences, rows, states, torch.Generator().manual_seed(0))

        # weights depend on the losses, and let no gradient through: held still for the comparison
        still = {}
        loss.weighted = lambda losses, still=still: (still.setdefault("w", losses.detach()) * losses).sum()
        parameter = policy.head.vectors[1].weight
        policy.zero_grad()
        value().backward()
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
        expected = float((parameter.grad * direction).sum())
        with torch.no_grad():
            parameter += 1e-6 * direction
            up = float(value())
            parameter -= 2e-6 * direction
            down = float(value())
            parameter += 1e-6 * direction
        assert (up - down) / 2e-6 == pytest.approx(expected, rel=1e-4)


def test_scores_of_a_set_head_against_a_loop():
    policy = sharp(set_policy())
    head, past = policy.head, policy.past(HISTORY)
    with torch.no_grad():
        head.shares.copy_(torch.tensor([0.3, -0.2, 1.0, 0.0]))
        wanted, tokens, share = head.wanted(past), head.items.tokens(), torch.softmax(head.shares, dim=0)
        scores = torch.zeros(3, N)
        for q in range(4):
            scores += share[q] * wanted[:, 0, q] @ tokens[:, q].T
    torch.testing.assert_close(policy.log_prob(HISTORY, EVERY).detach(), torch.log_softmax(scores, dim=1))
    torch.testing.assert_close(head.items.all(), tokens.mean(dim=1))
    assert not head.items(torch.tensor([N])).any()


def test_queries_do_not_see_each_other():
    policy = sharp(set_policy())
    past = policy.past(HISTORY)
    before = policy.head.wanted(past)
    with torch.no_grad():
        policy.head.queries[1] += 1.0
    after = policy.head.wanted(past)
    changed = (before != after).any(dim=-1).any(dim=0)[0]
    assert changed.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PrefixAware(form="listwise"), "no form of the prefix-aware loss 'listwise'"),
        (lambda: PrefixAware(negatives=0), "negatives must be"),
        (lambda: PrefixAware(emphasis=-1.0), "emphasis must be 0 or more"),
        (lambda: QueryLoss(reconstruction=-1.0), "reconstruction must be 0 or more"),
        (lambda: SetTokens(np.ones((3, 2)), np.ones((4, 2))), "vectors must have 4 rows"),
        (lambda: SetTokens(np.full((3, 2), np.nan), np.ones((3, 2))), "vectors must be"),
        (lambda: SetTokens(np.ones((3, 2)), np.ones((3, 2)), parts=0), "parts must be"),
        (lambda: decoder_policy(reads="future"), "no way to read 'future'"),
        (
            lambda: PrefixAware().begin(PolicyEncoder(set_policy()), None, None),
            "whose items have two codes or more",
        ),
        (lambda: QueryLoss().begin(PolicyEncoder(decoder_policy()), None, None), "with a SetQueryHead"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
