"""The limit on exposure: against a queue that is played by hand, its cap, and what all measures see of it."""

import numpy as np
import pytest

from recsim_env.agents import recommender as module
from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender
from recsim_env.agents.recommender import recommend, score_blocks, target_ranks
from recsim_env.agents.robust.exposure_limit import ExposureLimit, LimitedRecommender, fair_rates
from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import target_exposure
from recsim_env.simulators.log import Log

U, N, K = 60, 40, 5


def some_users(seed=0):
    """Scores with many ties (U, N), and what each has had (U, 4)."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=(U, N)) + 2.0 * rng.normal(size=N), 1)
    had = rng.integers(0, N, (U, 4))
    had[rng.random((U, 4)) < 0.3] = -1
    return scores, np.sort(had, axis=1)


def by_hand(scores, had, rates, burst, k):
    """One list after another: sort all that may be shown."""
    shown, lists = [0] * N, []
    for n, (row, own) in enumerate(zip(scores, had, strict=True), 1):
        open_ = [i for i in range(N) if i not in own and shown[i] + 1 <= burst + rates[i] * n]
        best = sorted(open_, key=lambda i: (-row[i], i))[:k]
        for i in best:
            shown[i] += 1
        lists.append(best + [-1] * (k - len(best)))
    return np.array(lists)


@pytest.mark.parametrize("burst", [0.0, 1.0, 3.5])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_lists_are_those_of_a_queue_by_hand_and_no_cap_is_exceeded(burst, factor):
    scores, had = some_users()
    rates = factor * K * np.random.default_rng(1).dirichlet(np.full(N, 0.5))
    queue = ExposureLimit(rates, burst, K)
    lists = queue.serve(scores, had)
    np.testing.assert_array_equal(lists, by_hand(scores, had, rates, burst, K))
    count = np.cumsum([np.bincount(row[row >= 0], minlength=N) for row in lists], axis=0)
    n = np.arange(1, U + 1)[:, None]
    assert (count <= burst + rates * n).all()
    assert (count[-1] == queue.shown).all()
    assert queue.served == U
    free = ExposureLimit(np.full(N, np.inf), 0.0, K).serve(scores, had)
    assert (np.cumsum([np.bincount(row, minlength=N) for row in free], axis=0) > burst + rates * n).any()


@pytest.mark.parametrize("step", [1, 7, 59])
def test_blocks_of_users_do_not_matter(step):
    scores, had = some_users()
    rates = np.full(N, 0.2)
    whole, parts = ExposureLimit(rates, 1.0, K), ExposureLimit(rates, 1.0, K)
    lists, lowered = whole.next_users(scores, had)
    found = [parts.next_users(scores[i : i + step], had[i : i + step]) for i in range(0, U, step)]
    np.testing.assert_array_equal(np.concatenate([one for one, _ in found]), lists)
    np.testing.assert_array_equal(np.concatenate([one for _, one in found]), lowered)
    later = ExposureLimit(rates, 1.0, K).serve(scores[:9], had[:9])
    np.testing.assert_array_equal(later, lists[:9])  # who comes later changes nothing


def test_what_users_have_had_is_neither_counted_nor_refused():
    scores = np.tile(np.arange(N, dtype=float), (3, 1))  # the last item is the best
    queue = ExposureLimit(np.zeros(N), 1.0, 2)
    lists, lowered = queue.next_users(scores, np.array([[N - 1], [N - 1], [-1]]))
    assert lists.tolist() == [[N - 2, N - 3], [N - 4, N - 5], [N - 1, N - 6]]
    assert lowered[1].argmax() == N - 1  # his own, which no list holds, stays where it was
    refused = [N - 2, N - 3]
    assert lowered[1, refused].max() < np.delete(lowered[1], refused).min()
    assert lowered[1, N - 2] > lowered[1, N - 3]
    np.testing.assert_array_equal(np.delete(lowered[1], refused), np.delete(scores[1], refused))
    assert (scores == np.arange(N)).all()  # the caller's array is not written to


@pytest.fixture(scope="module")
def fitted():
    """A recommender of 60 users with 6 of 40 items each, their log and histories."""
    rng, weight = np.random.default_rng(2), 1.0 / (3 + np.arange(N))
    items = np.stack([rng.choice(N, 6, replace=False, p=weight / weight.sum()) for _ in range(U)])
    log = Log.from_interactions(np.repeat(np.arange(U), 6), items.ravel(), np.arange(6 * U))
    return ImplicitALSRecommender(dimension=8, num_items=N).fit(log), log, items


def test_no_limit_changes_nothing_bit_for_bit(fitted):
    victim, _, had = fitted
    free = LimitedRecommender(victim, np.inf, 0.0, K)
    blocks = np.concatenate(list(score_blocks(free, had, None)))
    np.testing.assert_array_equal(blocks, np.concatenate(list(score_blocks(victim, had, None))))
    for mask in (True, False):
        one, other = (recommend(r, had, K, mask_history=mask) for r in (free, victim))
        np.testing.assert_array_equal(one, other)


def test_every_measure_sees_the_same_lists_whatever_the_blocks(fitted, monkeypatch):
    victim, log, had = fitted
    limited = LimitedRecommender(victim, 1.5 * fair_rates(log, N, K), 1.0, K)
    lists = recommend(limited, had, K, mask_history=True)
    wanted = ExposureLimit(1.5 * fair_rates(log, N, K), 1.0, K).serve(victim.scores(had), had)
    np.testing.assert_array_equal(lists, wanted)
    assert (lists != recommend(victim, had, K, mask_history=True)).any()
    targets = np.array([3, 30])
    found = target_exposure(score_blocks(limited, had, None), had, targets, K)
    new = ~(had[:, :, None] == targets).any(axis=1)
    shown = (lists[:, :, None] == targets).any(axis=1)
    np.testing.assert_array_equal(found.hit_rate[new], shown[new].astype(float))
    rank = target_ranks(limited, had, lists[:, 2], mask_history=True)
    assert (rank.better == 2).all()
    short = recommend(limited, had, 2, mask_history=True)
    np.testing.assert_array_equal(short, lists[:, :2])
    open_ = recommend(limited, had, K, mask_history=False)
    for row, own, one in zip(open_, had, lists, strict=True):
        assert set(row) <= set(own) | set(one)
    monkeypatch.setattr(module, "BLOCK_CELLS", 7 * N)
    np.testing.assert_array_equal(recommend(limited, had, K, mask_history=True), lists)


def test_rates_are_shares_of_what_users_took_and_fakes_raise_them_by_their_share_alone(fitted):
    _, log, items = fitted
    rates = fair_rates(log, N, K)
    np.testing.assert_allclose(rates, K * np.bincount(items.ravel(), minlength=N) / items.size)
    np.testing.assert_allclose(fair_rates(log, N, K, np.full(U, 3.0)), rates)
    fakes = np.full((4, 6), 39)  # one item over and over is one item of one user
    both = Log.from_interactions(
        np.repeat(np.arange(U + 4), 6), np.concatenate([items, fakes]).ravel(), np.arange(6 * U + 24)
    )
    audience = (items == 39).any(axis=1).sum()
    assert fair_rates(both, N, K)[39] == pytest.approx(K * (audience + 4) / (6 * U + 4))
    trusted = np.append(np.ones(U), np.zeros(4))
    np.testing.assert_allclose(fair_rates(both, N, K, trusted), rates)


def test_a_pushed_item_is_held_at_its_rate(fitted):
    """Everybody's best item, whatever the recommender thinks of it."""
    _, log, had = fitted
    scores = np.random.default_rng(3).normal(size=(U, N))
    scores[:, 39] = 9.0
    rates = 2.0 * fair_rates(log, N, K)
    lists = ExposureLimit(rates, 1.0, K).serve(scores, had)
    new = ~(had == 39).any(axis=1)
    share = (lists[new] == 39).any(axis=1).mean()
    assert share == pytest.approx((1.0 + rates[39] * U) / new.sum(), abs=1.0 / new.sum())
    assert share < 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExposureLimit(np.ones((2, 2))), r"rates must be \(N,\), one number for every item"),
        (lambda: ExposureLimit(np.array([1.0, -0.5])), r"rates\[1\] = -0.5: rates are 0 or more"),
        (lambda: ExposureLimit(np.array([1.0, np.nan])), r"rates\[1\] = nan"),
        (lambda: ExposureLimit(np.ones(2), -1.0), "burst must be 0 or more and finite, got -1"),
        (lambda: ExposureLimit(np.ones(2), np.inf), "burst must be 0 or more and finite"),
        (lambda: ExposureLimit(np.ones(2), k=0), "k must be at least 1, got 0"),
        (lambda: limit().serve(np.ones((1, 2)), np.zeros((1, 1), int)), r"scores must be \(B, 3\)"),
        (lambda: limit().serve(np.array([[1.0, np.nan, 0.0]]), np.zeros((1, 1), int)), "scores are finite"),
        (lambda: limit().serve(np.ones((1, 3)), np.zeros((2, 1), int)), r"had must hold integers of shape"),
        (lambda: limit().serve(np.ones((1, 3)), np.full((1, 1), 3)), r"had\[0, 0\] = 3: there are 3 items"),
        (lambda: LimitedRecommender(ImplicitALSRecommender(), 1.0), "learned nothing yet"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()


def limit():
    return ExposureLimit(np.ones(3), k=2)


def test_bad_input_of_a_wrapped_recommender(fitted):
    victim, _, had = fitted
    with pytest.raises(InputError, match=r"rates must be \(40,\), as the recommender knows, got \(3,\)"):
        LimitedRecommender(victim, np.ones(3))
    empty = LimitedRecommender(victim, 0.0, 1.0, K)
    with pytest.raises(InputError, match=r"only \d items may be shown to user \d+, who has 5 places"):
        recommend(empty, had, K, mask_history=True)
