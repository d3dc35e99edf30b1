"""Pairwise tests and intervals of ranks: against SciPy, and by simulation of what they promise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from recsim_env.errors import InputError
from recsim_env.evaluation.paired import holm
from recsim_env.evaluation.rank_intervals import Scores, as_text, rank_learners


def scores(values, first=0):
    return Scores(np.asarray(values, float), first + np.arange(len(values)))


def test_paired_and_welch_are_those_of_scipy():
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 3, 30)  # how easy a replicate is for everybody
    a, b = easy + rng.normal(0, 1, 30), easy + rng.normal(0.4, 1, 30)
    c = rng.normal(1.0, 4, 12)
    ranking = rank_learners({"a": scores(a), "b": scores(b), "c": scores(c, first=100)})
    p = [
        stats.ttest_rel(a, b).pvalue,
        stats.ttest_ind(a, c, equal_var=False).pvalue,
        stats.ttest_ind(b, c, equal_var=False).pvalue,
    ]
    assert_allclose(ranking.p[np.triu_indices(3, 1)], holm(np.array(p)), rtol=1e-9)
    assert_array_equal(ranking.p, ranking.p.T)
    assert np.isnan(np.diag(ranking.p)).all()
    assert_array_equal(ranking.paired, [[True, True, False], [True, True, False], [False, False, True]])
    assert_allclose(ranking.difference[0], [0, (a - b).mean(), a.mean() - c.mean()])
    assert_allclose(ranking.difference, -ranking.difference.T)


def test_pairs_are_matched_by_replicate_not_by_place():
    a = Scores(np.array([1.0, 2.0, 3.0, 9.0]), np.array([4, 7, 9, 1]))
    b = Scores(np.array([3.5, 1.25, 2.0]), np.array([9, 4, 7]))
    ranking = rank_learners({"a": a, "b": b})
    d = np.array([1.0 - 1.25, 2.0 - 2.0, 3.0 - 3.5])
    assert ranking.paired[0, 1]
    assert ranking.difference[0, 1] == pytest.approx(d.mean())
    assert ranking.p[0, 1] == pytest.approx(stats.ttest_1samp(d, 0).pvalue)


def test_few_shared_replicates_are_left_out_of_welch():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 20), rng.normal(1, 1, 20)
    ranking = rank_learners({"a": scores(a), "b": scores(b, first=15)})  # five are shared
    assert not ranking.paired[0, 1]
    assert ranking.p[0, 1] == pytest.approx(stats.ttest_ind(a[:15], b[5:], equal_var=False).pvalue)


def test_ranks_of_clear_and_open_orders():
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 1, (4, 40))
    ranking = rank_learners(
        {
            "worst": scores(50 + noise[0]),
            "best": scores(noise[1]),
            "twin": scores(10 + noise[2]),
            "other twin": scores(10 + noise[3]),
        }
    )
    assert_array_equal(ranking.rank[:2], [4, 1])
    assert_array_equal(ranking.rank_low, [4, 1, 2, 2])
    assert_array_equal(ranking.rank_high, [4, 1, 3, 3])


def test_all_intervals_hold_their_ranks_at_once():
    """Means so close that ranks are often wrong; all six intervals hold in 95 of 100 cases at least.

    The ranks by the means alone are all right in few cases, and percentiles of resampled ranks fail too.
    """
    rng = np.random.default_rng(3)
    truth = np.array([0.0, 0.1, 0.2, 0.2001, 0.6, 1.5])
    hold, right, length = 0, 0, 0.0
    for _ in range(400):
        samples = truth[:, None] + rng.normal(0, 1, (6, 25)) + rng.normal(0, 1, 25)
        ranking = rank_learners({str(i): scores(row) for i, row in enumerate(samples)})
        true_rank = np.arange(1, 7)
        hold += ((ranking.rank_low <= true_rank) & (true_rank <= ranking.rank_high)).all()
        right += (ranking.rank == true_rank).all()
        length += (ranking.rank_high - ranking.rank_low).mean() / 400
    assert hold >= 0.95 * 400 - 3 * np.sqrt(400 * 0.95 * 0.05)
    assert right < 0.3 * 400
    assert length < 4  # and they are not all of 1 to 6


def test_one_learner_and_one_replicate():
    alone = rank_learners({"a": scores([3.0, 4.0])})
    assert (alone.rank[0], alone.rank_low[0], alone.rank_high[0]) == (1, 1, 1)
    once = rank_learners({"a": scores([3.0]), "b": scores([2.0]), "c": scores([2.5, 2.0], first=9)})
    assert np.isnan(once.p).all()
    assert_array_equal(once.rank, [3, 1, 2])
    assert_array_equal(once.rank_low, 1)
    assert_array_equal(once.rank_high, 3)


def test_scores_without_spread():
    same = rank_learners({"a": scores([2.0, 2.0, 2.0]), "b": scores([2.0, 2.0, 2.0])})
    assert same.p[0, 1] == 1.0
    apart = rank_learners({"a": scores([2.0, 2.0, 2.0]), "b": scores([1.0, 1.0], first=10)})
    assert apart.p[0, 1] == 0.0
    assert_array_equal(apart.rank_low, [2, 1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "scores must hold a learner, got none"),
        ({"a": scores([])}, "a must have values .B,. and as many replicates"),
        ({"a": Scores(np.zeros(3), np.arange(2))}, "as many replicates"),
        ({"a": scores([1.0, np.inf])}, r"a\[1\] = inf: it is not finite"),
        ({"a": Scores(np.zeros(2), np.zeros(2, int))}, "a names a replicate twice"),
    ],
    ids=["nobody", "no values", "too few numbers", "infinite", "twice"],
)
def test_what_cannot_be_ranked_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        rank_learners(given)


def test_confidence_is_a_share():
    with pytest.raises(InputError, match="confidence must be inside"):
        rank_learners({"a": scores([1.0])}, confidence=95)


def test_p_values_as_text():
    assert [as_text(p) for p in (1e-9, 0.0321, 0.5, 1.0, np.nan)] == ["<.001", ".032", ".500", "1.000", "-"]
