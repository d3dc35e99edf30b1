"""Lists that policies say item by item: against products over all lists of a tiny catalogue."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.session import generate_session, log_prob_of_session
from recsim_env.agents.generative.tokenisers.numbered import atomic, random
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck

pytestmark = pytest.mark.extra

N, K = 6, 3
HISTORY = torch.tensor([[-1, 2, 5], [1, 0, 3]])
EVERY = torch.tensor(list(permutations(range(N), K)))


def policy_of(*, codes=True, sharpness=0.4):
    generator = torch.Generator().manual_seed(0)
    made = random(N, levels=2, size=4, seed=1) if codes else atomic(N)
    items = CodeVectors(made.codes, made.level_sizes, 16) if codes else ItemVectors(N, 16)
    encoder = SASRec(items, max_length=4, blocks=1, dropout=0.3, generator=generator)
    head = AutoregressiveHead(made.level_sizes, 16, generator=generator) if codes else ProjectionHead(items)
    policy = GenerativePolicy(encoder, head, CatalogueTrie(made.codes, made.level_sizes))
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, sharpness, generator=generator)
    return policy.eval()


def of_every_list(policy, history):
    """Pi of all lists after one history, item by item, from pi of all items."""
    after = {}  # of what is listed so far, pi (N,)
    for place in range(K):
        for listed in permutations(range(N), place):
            rows = torch.tensor([[*history.tolist(), *listed]])
            after[listed] = policy.log_prob(rows, torch.arange(N)[None]).detach()[0].double().exp().numpy()
    found = []
    for items in EVERY.tolist():
        total = 1.0
        for place, item in enumerate(items):
            pi = after[tuple(items[:place])]
            total *= pi[item] / sum(pi[other] for other in range(N) if other not in items[:place])
        found.append(total)
    return np.array(found)


@pytest.mark.parametrize("codes", [True, False])
def test_it_is_a_distribution_over_lists_and_draws_follow_it(codes):
    policy = policy_of(codes=codes)
    draws = 1000
    for history in HISTORY:
        expected = of_every_list(policy, history)
        rows = history.expand(len(EVERY), -1)
        found = log_prob_of_session(policy, rows, EVERY).detach().double().exp().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert found.sum() == pytest.approx(1.0, abs=1e-5)
        assert expected.max() > 3 / len(EVERY)
        luck = Luck.from_seeds(np.arange(draws))
        drawn = generate_session(policy, history.expand(draws, -1), K, luck=luck)
        place = {tuple(items): n for n, items in enumerate(EVERY.tolist())}
        seen = np.bincount([place[tuple(items)] for items in drawn.tolist()], minlength=len(EVERY))
        often = expected * draws > 5
        cells = [
            np.append(one[often], one[~often].sum()) for one in (seen, expected / expected.sum() * draws)
        ]
        assert chisquare(*cells).pvalue > 1e-3


def test_without_luck_every_place_has_the_likeliest_item_that_is_left():
    policy = policy_of()
    found = generate_session(policy, HISTORY, N, width=2 * N)
    for history, items in zip(HISTORY, found.tolist(), strict=True):
        known, left = history.tolist(), set(range(N))
        for item in items:
            log_pi = policy.log_prob(torch.tensor([known]), torch.arange(N)[None]).detach()[0]
            assert item == max(left, key=lambda one, log_pi=log_pi: float(log_pi[one]))
            known, left = [*known, item], left - {item}
        assert not left
    assert torch.equal(
        generate_session(policy, HISTORY[:, :0], 2)[0],
        generate_session(policy, -torch.ones(1, 1).long(), 2)[0],
    )


def test_gradients_are_those_of_finite_differences():
    policy, lists = policy_of().double(), EVERY[[5, 60]]
    parameter = policy.head.vectors[1].weight
    log_prob_of_session(policy, HISTORY, lists).sum().backward()
    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    expected = float((parameter.grad * direction).sum())
    with torch.no_grad():
        parameter += 1e-6 * direction
        up = float(log_prob_of_session(policy, HISTORY, lists).sum())
        parameter -= 2e-6 * direction
        down = float(log_prob_of_session(policy, HISTORY, lists).sum())
    assert (up - down) / 2e-6 == pytest.approx(expected, rel=1e-5)


def test_what_cannot_be_is_refused():
    policy = policy_of()
    for k in (0, N + 1):
        with pytest.raises(InputError, match=f"k must be from 1 to 6 .items that there are., got {k}"):
            generate_session(policy, HISTORY, k)
    with pytest.raises(InputError, match="the luck of 2 users, got that of 3"):
        generate_session(policy, HISTORY, 2, luck=Luck.from_seeds([1, 2, 3]))
    with pytest.raises(InputError, match=r"lists\[1\] = \[4, 0, 4\] holds an item twice"):
        log_prob_of_session(policy, HISTORY, torch.tensor([[0, 1, 2], [4, 0, 4]]))
    with pytest.raises(InputError, match=r"lists must be \(2, 1 or more items\), got \(1, 3\)"):
        log_prob_of_session(policy, HISTORY, EVERY[:1])
    with pytest.raises(InputError, match="item 6 is not in the catalogue"):
        log_prob_of_session(policy, HISTORY, torch.tensor([[0, 6], [1, 2]]))


def test_a_policy_that_leaves_nothing_to_the_rest_is_refused():
    policy = policy_of(codes=False)
    policy.temperature = 1e-3  # certain of one item, whatever was listed before
    first = generate_session(policy, HISTORY, 1)
    again = torch.cat([HISTORY, first], dim=1)
    sure = policy.log_prob(again, first).detach().exp() > 1 - 1e-6
    lists = torch.cat([first, (first + 1) % N], dim=1)
    assert sure.any()
    with pytest.raises(
        InputError, match=r"to what lists\[.\] holds before place 1: what is left cannot be told"
    ):
        log_prob_of_session(policy, HISTORY, lists)
