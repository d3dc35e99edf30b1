"""Bayesian personalised ranking of policies: by hand, against inner products, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.encoders.code_sequence import CodeSequence
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender, PolicyEncoder
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.losses.pairwise_ranking import PairwiseRanking
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.recipes.recipe import read_recipe
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.agents.sequential.neural.pisa.bpr import bpr, draw_negatives
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

pytestmark = pytest.mark.extra

N, D = 30, 16


def log_of(users=6, seed=0, longest=7):
    """Users of 2 to `longest` items, any of them."""
    rng = np.random.default_rng(seed)
    count = rng.integers(2, longest + 1, size=users)
    count[0] = longest
    user, time = np.repeat(np.arange(users), count), np.concatenate([np.arange(one) for one in count])
    item = rng.integers(N, size=(len(user), 1))
    return Log(user, time.astype(float), item, np.ones((len(user), 1), bool))


def sharp(policy, seed=3):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.4, generator=generator)
    return policy.eval()


def codes_policy(num_items=N, generator=None, reads="past", max_length=8):
    generator = generator or torch.Generator().manual_seed(0)
    made = random(N, levels=2, size=6, seed=1)
    items = CodeVectors(made.codes, made.level_sizes, D)
    encoder = CodeSequence(items, max_length=max_length, reads=reads, dropout=0.0, generator=generator)
    head = DecoderHead(made.level_sizes, D, dropout=0.0, generator=generator)
    return GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))


def projection_policy():
    items = ItemVectors(N, D)
    encoder = SASRec(items, max_length=8, dropout=0.0, generator=torch.Generator().manual_seed(0))
    return GenerativePolicy(encoder, ProjectionHead(items), CatalogueTrie(atomic(N).codes, (N,)))


def loss_of(policy, log, seed=5):
    """The loss, the rows it is of, and the items that it draws."""
    network, sequences = PolicyEncoder(policy), Sequences.of_log(log, N, policy.encoder.max_length + 1)
    rows = sequences.next_items(np.arange(len(sequences.length)))
    ranking = PairwiseRanking()
    ranking.begin(network, sequences, torch.Generator())
    states = network(torch.from_numpy(rows.items))
    value = ranking.loss(network, sequences, rows, states, torch.Generator().manual_seed(seed))
    targets = torch.from_numpy(rows.targets)
    held = torch.cat([torch.from_numpy(rows.items), targets.where(targets >= 0, N)], dim=1)[:, None]
    even = torch.arange(1, N + 1, dtype=torch.float64) / N
    drawn = draw_negatives(held, even, torch.Generator().manual_seed(seed))[:, 0, rows.items.shape[1] :]
    return value, rows, drawn.numpy(), states


@pytest.mark.parametrize("reads", ["past", "whole"])
def test_against_a_loop_over_steps(reads):
    """Of log pi of all items at every step; one that reads the whole has one step, the last."""
    policy = sharp(codes_policy(reads=reads))
    value, rows, drawn, states = loss_of(policy, log_of())
    past = policy.steps(states, torch.from_numpy(rows.items))
    every = torch.arange(N).expand(*rows.items.shape, N)
    pi = policy.log_prob_of(past, every).detach().double().exp().numpy()
    np.testing.assert_allclose(pi.sum(axis=2), 1.0, atol=1e-5)
    losses = []
    for u, (items, targets) in enumerate(zip(rows.items, rows.targets, strict=True)):
        for t in range(len(items)):
            if targets[t] < 0 or (reads == "whole" and t < len(items) - 1):
                continue
            assert drawn[u, t] not in {*items, *targets}
            first, second = pi[u, t, targets[t]], pi[u, t, drawn[u, t]]
            losses.append(-np.log(first / (first + second)))  # sigma of a difference of logarithms
    assert value.item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert len(losses) == (6 if reads == "whole" else (rows.targets >= 0).sum())


def test_with_a_projection_head_it_is_that_of_inner_products():
    policy = sharp(projection_policy())
    value, rows, drawn, states = loss_of(policy, log_of())
    vectors, targets = policy.encoder.candidates(None), torch.from_numpy(rows.targets)
    apart = vectors[targets.clamp(min=0)] - vectors[torch.from_numpy(drawn)]
    expected = bpr(states[:, :, None], apart[:, :, None], (targets >= 0)[:, :, None])
    torch.testing.assert_close(value, expected[0])


def test_gradients_are_those_of_finite_differences():
    policy = sharp(codes_policy()).double()
    parameter, log = policy.head.vectors[1].weight, log_of()
    loss_of(policy, log)[0].backward()
    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    expected = float((parameter.grad * direction).sum())
    with torch.no_grad():
        parameter += 1e-6 * direction
        up = float(loss_of(policy, log)[0])
        parameter -= 2e-6 * direction
        down = float(loss_of(policy, log)[0])
    assert (up - down) / 2e-6 == pytest.approx(expected, rel=1e-5)


def test_a_policy_learns_from_it_what_is_likelier():
    """Without cross-entropy even, what comes next rises above the rest."""
    policy = codes_policy().train()
    network, sequences = PolicyEncoder(policy), Sequences.of_log(log_of(users=20), N, 9)
    rows, ranking = sequences.next_items(np.arange(20)), PairwiseRanking()
    optimiser, generator = torch.optim.Adam(policy.parameters(), 0.01), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        states = network(torch.from_numpy(rows.items))
        loss = ranking.loss(network, sequences, rows, states, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[:5]) > 0.5
    assert np.mean(losses[-5:]) < 0.2


def test_it_takes_part_in_a_training():
    fitted = {}
    for name, auxiliaries in {"alone": tuple, "ranked": lambda: [PairwiseRanking()]}.items():
        recommender = GenerativeRecommender(
            codes_policy, auxiliaries=auxiliaries, epochs=1, num_items=N, device="cpu", seed=1
        ).fit(log_of(users=40))
        fitted[name] = recommender.policy_.head.vectors[0].weight
    assert not torch.equal(fitted["alone"], fitted["ranked"])
    assert read_recipe("colarec").losses["pairwise_ranking"] == {"weight": 1.0}


def test_what_cannot_be_is_refused():
    sequences = Sequences.of_log(log_of(), N, 9)
    with pytest.raises(InputError, match="weight must be above 0"):
        PairwiseRanking(weight=0.0)
    with pytest.raises(InputError, match="pairwise ranking needs a GenerativeRecommender"):
        PairwiseRanking().begin(projection_policy().encoder, sequences, torch.Generator())
    long = Sequences.of_log(log_of(longest=40), N, 41)
    with pytest.raises(InputError, match="rows have up to 40 items, and there are 30; lower max_length"):
        PairwiseRanking().begin(PolicyEncoder(codes_policy(max_length=40)), long, torch.Generator())
    PairwiseRanking().begin(PolicyEncoder(codes_policy()), long, torch.Generator())  # rows of 9 at most
