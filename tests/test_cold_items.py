"""Items that the log lacks: who is cold, what people take, and what tokenisers make of it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.agents.generative.tokenisers.identifiers import resolve
from recsim_env.errors import InputError
from recsim_env.experiments.cold_items import cold_items
from recsim_env.experiments.organic_users import TEMPERATURE, organic_users
from recsim_env.experiments.tokenised_policies import CODES, LEVELS, SHARED, TOKENISERS, Seen

pytestmark = pytest.mark.extra

OF_LOG = ("sequential", "collaborative", "joined")


def world(seed=0, num_items=80, users=60, taken=7):
    return cold_items(organic_users(num_items, users, taken, 5, 1, seed), 0.2, seed)


def probabilities(of, items):
    """(U, M) of taking each of some items, from the definition."""
    liking = np.exp(of.world.interest.astype(float) @ of.world.catalogue.features[items].T / TEMPERATURE)
    return liking / liking.sum(axis=1, keepdims=True)


def test_only_warm_items_are_taken():
    here = world()
    assert here.cold.sum() == 16
    assert not here.cold[here.of.taken].any()
    assert here.cold[here.target].all()
    again, other = world(), world(seed=1)
    assert np.array_equal(here.of.taken, again.of.taken)
    assert np.array_equal(here.target, again.target)
    assert not np.array_equal(here.cold, other.cold)
    few = cold_items(organic_users(80, 9, 7, 5, 1, 0), 0.2, 0)  # users are the same whoever else there is
    assert np.array_equal(few.of.taken, here.of.taken[:9])
    assert np.array_equal(few.target, here.target[:9])


def test_cold_items_are_liked_as_others_are():
    here = world(users=3000, taken=5)
    for items, found in ((~here.cold, here.of.taken), (here.cold, here.target[:, None])):
        items = np.flatnonzero(items)
        share = probabilities(here.of, items)
        counted = (found[:, :, None] == items).sum(axis=(0, 1))
        draws = found.shape[1]
        deviation = np.sqrt(draws * (share * (1 - share)).sum(axis=0))
        assert (abs(counted - draws * share.sum(axis=0)) < 5 * deviation + 1).all()


def test_shares():
    users = organic_users(30, 4, 3, 5, 1, 0)
    assert cold_items(users, 1e-9, 0).cold.sum() == 1
    assert cold_items(users, 0.999, 0).cold.sum() == 29
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="share must be above 0 and below 1"):
            cold_items(users, share, 0)


def test_a_log_without_the_last_items():
    of = world().of
    users = np.array([3, 1])
    log = of.log(users, less=2)
    assert log.slate[:, 0].tolist() == [*of.taken[3, :-2], *of.taken[1, :-2]]
    assert log.user.tolist() == [0] * 5 + [1] * 5
    assert of.log(users).slate[:, 0].tolist() == [*of.taken[3], *of.taken[1]]


@pytest.mark.parametrize("name", TOKENISERS)
def test_codes_of_all_items(name):
    """Those that do not look at the log are given none."""
    here = world()
    features = here.of.world.catalogue.features.astype(float)
    log = here.of.log(np.arange(60), less=1)
    found = TOKENISERS[name](Seen(features, log if name in OF_LOG else None, 0))
    assert found.num_items == 80
    if name not in ("atomic", SHARED, "appended_k_means"):
        assert found.level_sizes == (CODES,) * (4 if name in ("fsq", "product") else LEVELS)
    codes = found.codes if name == SHARED else resolve(found, "append").codes
    if name != SHARED:
        assert len(np.unique(codes, axis=0)) == 80
    if name in ("random", "sequential", "collaborative", "atomic"):  # nor these at the features
        other = TOKENISERS[name](Seen(features[::-1], log, 0))
        assert np.array_equal(other.codes, found.codes)


@pytest.mark.parametrize("name", OF_LOG)
def test_nothing_of_validation_and_test_is_in_a_code(name):
    """Other last items, and other users of whom nobody learns, change no code; other items before do."""
    here = world()
    features = here.of.world.catalogue.features.astype(float)
    rng = np.random.default_rng(0)

    def codes(taken):
        of = replace(here.of, taken=taken)
        return TOKENISERS[name](Seen(features, of.log(np.arange(40), less=1), 0)).codes

    known, other = codes(here.of.taken), here.of.taken.copy()
    other[:, -1] = rng.permutation(other[:, -1])
    other[40:] = rng.integers(80, size=other[40:].shape)
    assert np.array_equal(codes(other), known)
    other[:40, :-1] = rng.permutation(other[:40, :-1].ravel()).reshape(40, -1)
    assert not np.array_equal(codes(other), known)


def test_cold_items_are_numbered_after_all_others():
    here = world()
    log = here.of.log(np.arange(60), less=1)
    features = here.of.world.catalogue.features.astype(float)
    codes = TOKENISERS["sequential"](Seen(features, log, 0)).codes
    number = codes @ CODES ** np.arange(LEVELS - 1, -1, -1)
    taken = np.unique(log.slate)
    assert sorted(number[taken]) == list(range(len(taken)))
    assert number[here.cold].min() >= len(taken)


def test_balanced_codes_can_always_be_told_apart():
    """N = 32^2 items that are nearly alike: the worst there is."""
    features = np.random.default_rng(0).normal(size=(CODES**2, 4)).round(0)
    found = TOKENISERS["transported_k_means"](Seen(features, None, 0))
    assert len(np.unique(found.codes, axis=0)) == CODES**2
