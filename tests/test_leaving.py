"""How likely users stay, and for how many slates: by enumeration, by sampling, by integrating a hazard."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate

from recsim_env.user_models.sessions import (
    GeometricLeaving,
    LeavingAfterBadSlates,
    LogNormalReturns,
    PatienceBudget,
)


def lengths(clicks, B, leave, most=2000, seed=0):
    """Slates that B users see: `clicks(u)` of a slate, `leave(clicks, u)` whether they go after it."""
    rng = np.random.default_rng(seed)
    there, length = np.ones(B, bool), np.zeros(B)
    for _ in range(most):
        if not there.any():
            return length
        length += there
        there &= ~leave(clicks(rng.random(B)), rng.random(B))
    raise AssertionError(f"{there.sum()} users are still there")


def agree(samples, value):
    assert abs(samples.mean() - value) < 5 * samples.std(ddof=1) / np.sqrt(len(samples)) + 1e-12


def test_geometric_leaving():
    law = GeometricLeaving(0.2)
    length = lengths(lambda u: u, 50_000, lambda clicks, u: law.leaves(u))
    agree(length, law.mean_slates())
    for n in (1, 3, 8):
        agree((length > n).astype(float), law.stay_prob(np.array(n)))
    assert GeometricLeaving(0.0).mean_slates() == np.inf


def two_clicks(u):
    """0, 1 or 2 clicks with probability .6, .3, .1."""
    return (u > 0.6).astype(float) + (u > 0.9)


CLICK_PROB = np.array([0.6, 0.3, 0.1])


@pytest.mark.parametrize("refund", [0.0, 0.5, 1.3])
def test_patience_by_enumeration_and_by_sampling(refund):
    law, T = PatienceBudget(2.5, 0.7, refund), 7
    exact = np.zeros(T + 1)
    for clicks in product(range(3), repeat=T):
        probability = np.prod(CLICK_PROB[list(clicks)])
        patience = law.begin(1)
        for n in range(T + 1):
            exact[n] += probability
            if n == T:
                break
            patience = law.step(patience, np.array([float(clicks[n])]))
            if law.leaves(patience)[0]:
                break
    stays = law.stay_probs(CLICK_PROB, 400)
    np.testing.assert_allclose(stays[: T + 1], exact, atol=1e-12)
    if refund < 1.0:
        state = [law.begin(50_000)]

        def leave(clicks, u):
            state[0] = law.step(state[0], clicks)
            return law.leaves(state[0])

        agree(lengths(two_clicks, 50_000, leave, most=400), stays.sum())


def test_the_next_slate_is_survived_with_the_stated_probability():
    law = PatienceBudget(5.0, 1.0, 0.5)
    patience = np.array([0.4, 0.5, 0.6, 1.0, 1.2])
    stay = law.stay_prob(patience, np.tile(CLICK_PROB, (5, 1)))
    np.testing.assert_allclose(stay, [0.1, 0.1, 0.4, 0.4, 1.0])


def test_patience_without_refunds_lasts_as_many_slates_as_it_pays():
    assert PatienceBudget(10.0, 1.0).stay_probs(CLICK_PROB, 30).sum() == pytest.approx(10.0)
    # 0.3 - 3 * 0.1 is not quite 0
    assert PatienceBudget(0.3, 0.1).stay_probs(CLICK_PROB, 30).sum() == pytest.approx(3.0)


@pytest.mark.parametrize(("first", "growth", "miss"), [(0.1, 2.0, 0.6), (0.05, 1.3, 0.9), (0.2, 1.0, 0.5)])
def test_leaving_after_bad_slates(first, growth, miss):
    law, B = LeavingAfterBadSlates(first, growth), 50_000
    run = [np.zeros(B, int)]

    def leave(clicks, u):
        run[0] = law.step(run[0], clicks)
        return law.leaves(run[0], u)

    agree(lengths(lambda u: (u >= miss).astype(float), B, leave), law.mean_slates(miss))
    u = np.random.default_rng(3).random((B, 2))
    after = law.step(np.full(B, 2), u[:, 0] >= miss)
    stay = law.stay_prob(np.array([2]), np.array([miss]))[0]
    agree((~law.leaves(after, u[:, 1])).astype(float), stay)


def test_who_never_leaves_sees_infinitely_many_slates():
    assert LeavingAfterBadSlates(0.0).mean_slates(0.7) == np.inf
    assert LeavingAfterBadSlates(0.5).mean_slates(0.0) == np.inf
    assert LeavingAfterBadSlates(1.0).mean_slates(1.0) == 1.0
    assert LeavingAfterBadSlates(1e-12, 1.0).mean_slates(1.0) == pytest.approx(1e12)


def test_the_chance_of_a_return_is_what_the_hazard_adds_up_to():
    returns = LogNormalReturns(np.array([2.0, 30.0]), np.array([0.4, 1.5]))
    total, _ = integrate.quad(lambda t: returns.hazard(np.array([1]), np.array([t]))[0], 4.0, 9.0)
    chance = returns.return_prob(np.array([1]), np.array([4.0]), np.array([5.0]))
    np.testing.assert_allclose(chance, 1.0 - np.exp(-total), rtol=1e-9)


@pytest.mark.parametrize(
    ("first", "growth", "miss"), [(1e-30, 1e4, 1e-3), (1e-12, 50.0, 0.01), (0.1, 2.0, 0.5)]
)
def test_the_mean_of_leaving_after_bad_slates_where_chances_grow_fast(first, growth, miss):
    """Against the linear equations of the run length, whose chance is certain at the last."""
    law, runs = LeavingAfterBadSlates(first, growth), 60
    chance = law.chance(np.arange(1, runs + 1))
    certain = int(np.argmax(chance >= 1.0)) + 1
    # m_r = 1 + (1 - miss) m_0 + miss (1 - chance(r + 1)) m_(r+1), solved from the far end as a + b m_0
    a, b = 0.0, 0.0
    for r in range(certain - 1, -1, -1):
        stay = miss * (1.0 - chance[r])
        a, b = 1.0 + stay * a, (1.0 - miss) + stay * b
    left = 0.0  # 1 - b without cancellation
    for r in range(certain - 1, -1, -1):
        left = miss * (chance[r] + (1.0 - chance[r]) * left)
    np.testing.assert_allclose(law.mean_slates(miss), a / left, rtol=1e-9)
