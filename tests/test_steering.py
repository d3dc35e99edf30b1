"""Preferences beside a history: which one stands there, and that lists follow it."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
from recsim_env.agents.generative.heads.autoregressive import AutoregressiveHead
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.preferences import Preferences
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

pytestmark = pytest.mark.extra

ATTRIBUTES = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])


def preferences(**more):
    return Preferences(ATTRIBUTES, 8, generator=torch.Generator().manual_seed(0), **more)


def test_what_is_guessed_and_learned_by_hand():
    made = preferences(absent=0.0)
    rows = torch.tensor([[4, 3, 0, 1, 2], [2, 2, 0, 0, 0]])  # 4 = an empty cell
    assert made.guessed(rows).tolist() == [[3, 3, 0, 0, 1], [1, 1, 1, 0, 0]]
    targets = torch.tensor([[-1, 2, 2, 2, 3], [0, 1, 2, 2, 2]])
    # of an item with attributes 1 and 2: that which more items have, of equals the first
    assert made.learned(rows, targets).tolist() == [[3, 1, 1, 1, 3], [0, 1, 1, 1, 1]]
    assert (preferences(absent=0.999).learned(rows, targets) == 3).all()


GROUPS, EACH = 6, 10


def torn_users(users, length, seed):
    """Users with two of six groups of ten items, and what they took: from either, by chance."""
    rng = np.random.default_rng(seed)
    both = np.stack([rng.permutation(GROUPS)[:2] for _ in range(users)])
    group = np.take_along_axis(both, rng.integers(2, size=(users, length)), axis=1)
    return both, group * EACH + rng.integers(EACH, size=(users, length))


def policy_of(num_items, generator):
    codes = np.stack(np.divmod(np.arange(num_items), EACH), axis=1)
    items = CodeVectors(codes, (GROUPS, EACH), 32)
    encoder = SASRec(items, max_length=10, dropout=0.0, generator=generator)
    head = DecoderHead((GROUPS, EACH), 32, blocks=1, dropout=0.0, generator=generator)
    wanted = Preferences(codes[:, :1] == np.arange(GROUPS), 32, generator=generator)
    return GenerativePolicy(encoder, head, CatalogueTrie(codes, (GROUPS, EACH)), preferences=wanted)


def test_a_list_follows_what_is_asked_for():
    """Flip the preference, and the group that is recommended flips."""
    both, taken = torn_users(360, 8, seed=0)
    user, time = np.repeat(np.arange(300), 8), np.tile(np.arange(8.0), 300)
    log = Log(user, time, taken[:300].reshape(-1, 1), np.ones((2400, 1), bool))
    fitted = GenerativeRecommender(
        policy_of,
        epochs=8,
        patience=8,
        learning_rate=5e-3,
        batch_size=64,
        mask_history=False,
        num_items=GROUPS * EACH,
        device="cpu",
    ).fit(log)
    policy, history, torn = fitted.policy_, torch.from_numpy(taken[300:]), both[300:]

    def share(asked, group):
        lists, _ = policy.generate(history, 5, preference=asked)
        return float((lists.numpy() // EACH == group[:, None]).mean())

    one, other = torn.T
    assert share(torch.from_numpy(one.copy()), one) > 0.9
    assert share(torch.from_numpy(other.copy()), one) < 0.1
    nothing = torch.full((60,), policy.preferences.none)
    assert 0.2 < share(nothing, one) < 0.8
    guess = policy.preferences.guessed(history)[:, -1]
    assert torch.equal(policy.generate(history, 5, preference=guess)[0], policy.generate(history, 5)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Preferences(np.array([[0, 2]]), 8, generator=torch.Generator()), "attributes must be"),
        (lambda: preferences(absent=1.0), "absent must be from 0 to below 1"),
        (lambda: preferences().checked(torch.tensor([4]), 1), r"preference 4 is none: there are 3 \(0-2\)"),
        (lambda: preferences().checked(torch.tensor([[1]]), 1), r"preference must be \(1,\) whole numbers"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_head_that_looks_at_none():
    generator = torch.Generator().manual_seed(0)
    items = CodeVectors(ATTRIBUTES, (2, 2, 2), 8)
    trie = CatalogueTrie(ATTRIBUTES, (2, 2, 2))
    head = AutoregressiveHead((2, 2, 2), 8, generator=generator)
    encoder = SASRec(items, generator=generator)
    with pytest.raises(InputError, match="AutoregressiveHead looks at no preferences: take a DecoderHead"):
        GenerativePolicy(encoder, head, trie, preferences=preferences())
    wide = Preferences(ATTRIBUTES, 9, generator=generator)
    decoder = DecoderHead((2, 2, 2), 8, generator=generator)
    with pytest.raises(
        InputError, match="preferences must be of 4 items and 8 numbers, as the encoder's, got 4 and 9"
    ):
        GenerativePolicy(encoder, decoder, trie, preferences=wide)
    with pytest.raises(InputError, match="this policy looks at no preferences"):
        GenerativePolicy(encoder, head, trie).generate(torch.tensor([[0]]), 1, preference=torch.tensor([1]))
