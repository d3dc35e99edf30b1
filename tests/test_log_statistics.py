"""Statistics of logs: by hand, against plain loops, and against simulation where the truth is known."""

from itertools import pairwise, permutations
from math import log2
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.agents.recommender import target_ranks
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.errors import InputError
from recsim_env.evaluation.log_statistics import (
    click_rate_by_position,
    popularity_curve,
    popularity_gini,
    repeat_gap_curve,
    repeat_ratio,
    repeat_ratio_by_event_number,
)
from recsim_env.evaluation.over_users import histogram_by_user, log_edges, ratio_over_users
from recsim_env.evaluation.predictability import RULES, next_item_predictability
from recsim_env.evaluation.visits import (
    gap_law,
    gap_quantiles,
    given_session_lengths,
    session_lengths,
    split_sessions,
    visit_gaps,
)
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"

# user 4: item 7 at 0, 7 and 8 at 10 (one basket), 7 at 15; user 9: item 7 twice at 1, then 8 at 31
USER = np.array([4, 9, 4, 4, 9, 4, 9])
ITEM = np.array([7, 7, 7, 8, 7, 7, 8])
TIME = np.array([0.0, 1.0, 10.0, 10.0, 1.0, 15.0, 31.0])


def test_the_ratio_of_two_sums_by_hand() -> None:
    estimate = ratio_over_users(np.array([2, 0]), np.array([4, 4]))
    assert estimate.value == 0.25
    assert_allclose(estimate.std_error, np.sqrt(2 / 1 * (1**2 + 1**2)) / 8)  # residuals 1 and -1
    columns = ratio_over_users(np.array([[2, 1, 0], [0, 0, 0]]), np.array([[4, 2, 0], [4, 0, 0]]))
    assert_allclose(columns.value, [0.25, 0.5, np.nan])
    assert_allclose(columns.std_error, [0.25, np.nan, np.nan])


def test_the_standard_error_is_the_spread_over_many_populations() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 30, (2000, 100))
    part = rng.binomial(whole, rng.beta(2, 3, whole.shape))  # users differ: an error over events is too small
    estimates = [ratio_over_users(p, w) for p, w in zip(part, whole, strict=True)]
    spread = np.std([e.value for e in estimates])
    assert_allclose(np.mean([e.std_error for e in estimates]), spread, rtol=5 / np.sqrt(2 * 2000))


def test_click_rate_by_position_by_hand() -> None:
    clicked = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    listed = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]], bool)
    alone = click_rate_by_position(clicked, listed)
    assert_allclose(alone.value, [2 / 4, 1 / 3, np.nan])
    assert_allclose(alone.std_error[0], np.sqrt(4 / 3 * 4 * 0.25) / 4)
    together = click_rate_by_position(clicked, listed, user=np.array([3, 3, 8, 8]))
    assert_allclose(together.value, alone.value)
    assert_allclose(together.std_error[:2], [0, np.sqrt(2 * 2 / 9) / 3])  # each user clicks half at the top
    assert together.count == 2


def test_repetition_by_hand_and_ties_are_not_before_each_other() -> None:
    estimate = repeat_ratio(USER, ITEM, TIME)
    assert_allclose(estimate.value, 2 / 7)  # item 7 of user 4 at 10 and at 15
    assert_allclose(estimate.std_error, np.sqrt(2 * (2 * (2 - 8 / 7) ** 2)) / 7)
    mixed = np.random.default_rng(1).permutation(7)
    assert repeat_ratio(USER[mixed], ITEM[mixed], TIME[mixed]) == estimate


def test_repetition_by_event_number_by_hand() -> None:
    # numbers: user 4: 1, 2.5, 2.5, 4; user 9: 1.5, 1.5, 3
    curve = repeat_ratio_by_event_number(USER, ITEM, TIME, np.array([1, 2, 3, 4, 5, 6]))
    assert_allclose(curve.value, [0, 1 / 2, 0, 1, np.nan])


def test_return_rate_by_hand() -> None:
    # spells of item 7, user 4: 0-10 returns, 10-15 returns, 15-15 ends; item 8: 10-15 censored;
    # user 9: item 7 censored after 30; item 8 at once
    rate = repeat_gap_curve(USER, ITEM, TIME, np.array([0.0, 6.0, 20.0, 30.0, 50.0]))
    assert_array_equal(rate.returns, [1, 1, 0, 0])
    assert_allclose(rate.rate.value, [1 / (6 + 5 + 5 + 6), 1 / (4 + 14), 0, np.nan])


def test_return_rate_on_a_clock_that_counts() -> None:
    """Gaps of exactly 1 have spent their time below 1: they are no returns without exposure above it."""
    nobody, time = np.zeros(10, int), np.arange(10.0)
    rate = repeat_gap_curve(nobody, nobody, time, np.array([0.0, 1.0, 2.0]))
    assert_array_equal(rate.returns, [9, 0])
    assert_allclose(rate.rate.value, [1.0, np.nan])


def test_return_rate_recovers_a_rate_that_falls() -> None:
    rng = np.random.default_rng(2)
    # returns to one item by a hazard of 2 below gap 1 and 0.5 above: users independent, many returns
    first = rng.exponential(1 / 2, (300, 200))
    gap = np.where(first < 1, first, 1 + rng.exponential(2, first.shape))
    time = np.cumsum(gap, axis=1)
    user = np.repeat(np.arange(300), 200)
    rate = repeat_gap_curve(user, np.zeros(time.size), time.ravel(), np.array([0, 0.5, 1.0, 3.0])).rate
    assert_allclose(np.abs(rate.value - [2, 2, 0.5]) / rate.std_error, 0, atol=5)
    assert (np.asarray(rate.std_error) < 0.03).all()


def test_gini_by_hand_and_by_pairs() -> None:
    assert popularity_gini(np.array([0, 1, 2, 3]), 4).value == 0
    assert_allclose(popularity_gini(np.array([2, 2, 2]), 4).value, 3 / 4)  # all on one of four: 1 - 1/N
    item = np.random.default_rng(3).zipf(1.5, 3000) % 50
    count = np.bincount(item, minlength=60)
    pairs = np.abs(count[:, None] - count).sum() / (2 * 60**2 * count.mean())
    assert_allclose(popularity_gini(item, 60).value, pairs)


def test_the_standard_error_of_gini_is_its_spread() -> None:
    rng = np.random.default_rng(4)
    weight = 1 / np.arange(1.0, 41)
    user = np.repeat(np.arange(200), 20)
    estimates = []
    for _ in range(300):
        taste = rng.dirichlet(5 * weight, 200)  # users differ in what they like
        item = (rng.random((200, 20, 1)) > np.cumsum(taste, axis=1)[:, None]).sum(axis=2)
        estimates.append(popularity_gini(np.minimum(item, 39).ravel(), 40, user))
    spread = np.std([e.value for e in estimates])
    assert_allclose(np.mean([e.std_error for e in estimates]), spread, rtol=5 / np.sqrt(2 * 300))


def test_popularity_curve_by_hand() -> None:
    item = np.array([0, 0, 0, 1, 1, 3])
    assert_allclose(
        popularity_curve(item, 4, np.array([0, 0.125, 0.25, 0.5, 1])), [0, 1 / 4, 1 / 2, 5 / 6, 1]
    )


def test_sessions_by_hand() -> None:
    assert_array_equal(split_sessions(USER, TIME, 0), [0, 3, 1, 1, 3, 2, 4])
    assert_array_equal(split_sessions(USER, TIME, 9), [0, 2, 1, 1, 2, 1, 3])
    assert_array_equal(split_sessions(USER, TIME, 10), [0, 1, 0, 0, 1, 0, 2])  # a pause must exceed the gap
    sessions = session_lengths(USER, TIME, 9)
    assert_array_equal(sessions.user, [4, 4, 9, 9])
    assert_array_equal(sessions.length, [1, 3, 2, 1])
    assert_allclose(sessions.mean.value, 7 / 4)
    assert_allclose(sessions.mean.std_error, np.sqrt(2 * 2 * 0.5**2) / 4)  # 4 and 3 events in 2 each
    assert_allclose(sessions.share(np.array([1, 2, 4])).value, [1 / 2, 1 / 2])
    given = given_session_lengths(USER, np.array([0, 0, 1, 1, 0, 1, 5]))
    assert_array_equal(given.length, sessions.length)
    assert_array_equal(given.user, sessions.user)


def test_gaps_by_hand() -> None:
    user, gap = visit_gaps(USER, TIME)
    assert_array_equal(user, [4, 4, 9])
    assert_array_equal(gap, [10, 5, 30])
    assert_array_equal(visit_gaps(USER, TIME, session_gap=5)[1], [10, 30])
    law = gap_law(USER, TIME, np.array([5.0, 10, 20]))
    assert_allclose(law.share.value, [1 / 3, 1 / 3])  # the third gap is outside the edges
    assert_allclose(law.variation, [np.sqrt(2 * 2.5**2) / 7.5])
    assert law.mean_variation is not None
    assert_allclose(law.mean_variation.value, law.variation[0])
    assert gap_law(USER[[1, 6]], TIME[[1, 6]], np.array([5.0, 40])).mean_variation is None
    assert_allclose(gap_quantiles(USER, TIME, np.array([0, 0.5, 1])).value, [5, 10, 30])


def test_visits_at_random_vary_by_one_and_quantile_errors_are_the_spread() -> None:
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(400), 51)
    estimates = []
    for _ in range(100):
        mean = rng.gamma(2, 1, 400)  # some users come often
        time = np.cumsum(rng.exponential(1, (400, 51)) * mean[:, None], axis=1).ravel()
        estimates.append(gap_quantiles(user, time, np.array([0.2, 0.5, 0.9])))
    errors = np.mean([e.std_error for e in estimates], axis=0)
    spread = np.std([e.value for e in estimates], axis=0)
    assert_allclose(errors, spread, rtol=5 / np.sqrt(2 * 100))
    variation = gap_law(user, time, log_edges(visit_gaps(user, time)[1])).mean_variation
    assert variation is not None
    # E[s/mean] of 50 exponentials by simulation; 1 in the limit
    draws = rng.exponential(1, (20_000, 50))
    wanted = (draws.std(axis=1, ddof=1) / draws.mean(axis=1)).mean()
    assert abs(variation.value - wanted) < 5 * variation.std_error
    assert 0.95 < wanted < 1


def test_log_edges_hold_all_values() -> None:
    for values in ([1.0], [10.0, 1000.0], [0.3, 17, 99.99999], [1e-3, 1e5]):
        edges = log_edges(np.array(values))
        inside = histogram_by_user(np.zeros(len(values), int), edges, np.array(values), 1)
        assert inside.sum() == len(values)
        assert inside[0, 0] >= 1
        assert inside[0, -1] >= 1
        assert_allclose(np.diff(np.log10(edges)), 0.25)


# Predictability.


def _plain(user, item, time, N, k, d=0.5, share=0.1, session=None):  # type: ignore[no-untyped-def]
    """The protocol once more: dense scores, and the mean over every order of the tied items."""
    visits: dict[int, list[tuple[float, list[int]]]] = {}
    key = time if session is None else session
    for u in np.unique(user):
        groups = [np.flatnonzero((user == u) & (key == s)) for s in np.unique(key[user == u])]
        groups.sort(key=lambda rows: time[rows].min())
        visits[u] = [(time[rows], item[rows].tolist()) for rows in groups]
    cut = {u: min(len(v) - 1, int(np.ceil(share * len(v) - 1e-9))) for u, v in visits.items()}
    popularity, counts = np.zeros(N), np.zeros((N, N))
    for u, mine in visits.items():
        training = mine[: len(mine) - cut[u]]
        for _, items in training:
            np.add.at(popularity, items, 1)
        for (_, before), (_, after) in pairwise(training):
            for a in set(before):
                for b in set(after):
                    counts[a, b] += 1
    result = {rule: [] for rule in RULES}
    for u, mine in visits.items():
        values = {rule: [] for rule in RULES}
        for v in range(len(mine) - cut[u], len(mine)):
            now, target = mine[v][0].min(), set(mine[v][1])
            had, strength = np.zeros(N), np.zeros(N)
            for times, items in mine[:v]:
                for t, i in zip(times, items, strict=True):
                    had[i] += 1
                    strength[i] += (now - t) ** -d
            markov = np.zeros(N)
            for a in set(mine[v - 1][1]):
                markov += counts[a] / max(counts[a].sum(), 1)
            markov = markov + 1e-9 * popularity
            for rule, score in zip(RULES, (popularity, had, strength, markov), strict=True):
                listed = np.flatnonzero(had) if rule in ("p_top", "strength") else np.arange(N)
                values[rule].append(_expected(score.round(12), listed, target, set(np.flatnonzero(had)), k))
        for rule in RULES:
            if values[rule]:
                result[rule].append(np.nanmean(np.array(values[rule]), axis=0))
    return {rule: np.nanmean(np.array(rows), axis=0) for rule, rows in result.items()}


def _expected(score, listed, target, had, k):  # type: ignore[no-untyped-def]
    rows = []
    for order in permutations(listed):
        if all(score[a] >= score[b] for a, b in pairwise(order)):
            gain = {i: 1 / log2(j + 2) for j, i in enumerate(order[:k]) if i in target}
            ideal = [sum(1 / log2(j + 2) for j in range(min(k, m))) for m in range(len(target) + 1)]
            known = target & had
            repeated = sum(g for i, g in gain.items() if i in had) / ideal[len(known)] if known else np.nan
            rows.append((sum(gain.values()) / ideal[-1], float(bool(gain)), repeated))
    return np.mean(rows, axis=0)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("decay", [0.5, 1.3])
def test_predictability_is_the_mean_over_all_orders_of_ties(k: int, decay: float) -> None:
    rng = np.random.default_rng(k)
    R, N = 60, 6
    user, item, time = rng.integers(0, 5, R), rng.integers(0, N, R), rng.integers(0, 9, R).astype(float)
    user[0] = 7  # one event only: not evaluated
    ours = next_item_predictability(user, item, time, N, k=k, decay=decay, held_out=0.3)
    wanted = _plain(user, item, time, N, k, decay, 0.3)
    assert ours.ndcg_of_repetitions is not None
    for rule in RULES:
        found = [part[rule].value for part in (ours.ndcg, ours.hit, ours.ndcg_of_repetitions)]
        assert_allclose(found, wanted[rule], atol=1e-9, err_msg=rule)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_predictability_of_given_sessions() -> None:
    rng = np.random.default_rng(9)
    user, item, time = np.repeat(np.arange(4), 15), rng.integers(0, 5, 60), np.tile(np.arange(15.0), 4)
    session = (time // 3).astype(int)
    ours = next_item_predictability(user, item, time, 5, session=session, k=2)
    wanted = _plain(user, item, time, 5, 2, session=session)
    assert ours.num_visits == 4
    for rule in RULES:
        assert_allclose([ours.ndcg[rule].value, ours.hit[rule].value], wanted[rule][:2], atol=1e-9)


def test_one_item_per_visit_agrees_with_the_markov_recommender() -> None:
    rng = np.random.default_rng(10)
    user, item = np.repeat(np.arange(30), 20), rng.integers(0, 40, 600)
    time = np.tile(np.arange(20.0), 30)
    ours = next_item_predictability(user, item, time, 40, held_out=0.05)
    keep = time < 19
    train = Log.from_interactions(user[keep], item[keep], time[keep])
    ranks = target_ranks(
        MarkovRecommender(num_items=40).fit(train),
        item[keep].reshape(30, 19),
        item[~keep],
        mask_history=False,
    )
    assert_allclose(ours.ndcg["markov"].value, ranks.ndcg(10).mean())
    assert_allclose(ours.hit["markov"].value, ranks.hit_rate(10).mean())
    assert_allclose(ours.ndcg["markov"].std_error, ranks.ndcg(10).std(ddof=1) / np.sqrt(30))


def test_each_rule_wins_where_its_law_holds() -> None:
    rng = np.random.default_rng(11)
    user, time = np.repeat(np.arange(100), 60), np.tile(np.arange(60.0), 100)
    N = 50
    chain = (rng.integers(0, N, (100, 1)) + np.arange(60)).ravel() % N
    favourites = rng.integers(0, N, (100, 15))
    habit = np.take_along_axis(favourites, rng.zipf(1.5, (100, 60)) % 15, axis=1).ravel()
    alike = rng.zipf(1.3, 6000) % N
    for item, best in ((chain, {"markov"}), (habit, {"p_top", "strength"}), (alike, {"popularity"})):
        ndcg = next_item_predictability(user, item, time, N).ndcg
        assert max(ndcg, key=lambda rule: float(ndcg[rule].value)) in best
    assert next_item_predictability(user, chain, time, N).ndcg["markov"].value == 1
    phase = favourites[:, :12][:, np.arange(60) // 5].ravel()  # five times each: the last one counts
    ndcg = next_item_predictability(user, phase, time, N, held_out=0.05).ndcg
    assert ndcg["strength"].value > ndcg["p_top"].value


def test_ratios_of_the_listening_experiments_on_the_grocery_log() -> None:
    data = read_interactions("complete-journey")
    log = data.log
    found = next_item_predictability(log.user, log.slate[:, 0], log.time, data.num_items)
    assert (found.num_users, found.num_visits) == (2436, 16564)
    wanted = {"popularity": 0.1730, "p_top": 0.2633, "strength": 0.2633, "markov": 0.1877}
    for (
        rule,
        value,
    ) in wanted.items():  # a regression: people who buy again are known best by what they bought
        assert_allclose(found.ndcg[rule].value, value, atol=2e-4)
    assert_allclose(repeat_ratio(log.user, log.slate[:, 0], log.time).value, 0.6547, atol=1e-4)


def test_repeat_ratio_of_a_real_log_is_that_of_its_source() -> None:
    if not (REAL / "online-retail").is_dir():
        pytest.skip("the data set online-retail is not on this machine")
    data = read_interactions(REAL / "online-retail")
    rows = np.stack([data.log.user, data.log.slate[:, 0], data.log.time])
    visits = np.unique(rows, axis=1)  # an item once per invoice: then a row repeats unless its pair is new
    pairs = np.unique(visits[:2], axis=1).shape[1]
    found = repeat_ratio(visits[0], visits[1], visits[2])
    assert_allclose(found.value, 1 - pairs / visits.shape[1])


def test_bad_input() -> None:
    one = np.array([0])
    with pytest.raises(InputError, match=r"clicked\[0, 1\] is a click on a slot where nothing is listed"):
        click_rate_by_position(np.array([[False, True]]), np.array([[True, False]]))
    with pytest.raises(InputError, match=r"one shape \(R, K\), not empty, got \(1, 2\) and \(2, 1\)"):
        click_rate_by_position(np.ones((1, 2)), np.ones((2, 1)))
    with pytest.raises(InputError, match=r"user must have shape \(0,\), as the other columns, not empty"):
        repeat_ratio(one[:0], one[:0], one[:0])
    with pytest.raises(InputError, match=r"time must have shape \(7,\), as the other columns, got \(6,\)"):
        repeat_ratio(USER, ITEM, TIME[:6])
    with pytest.raises(InputError, match=r"time\[2\] = nan is not finite"):
        repeat_ratio(USER, ITEM, np.where(np.arange(7) == 2, np.nan, TIME))
    with pytest.raises(InputError, match=r"edges must increase"):
        repeat_ratio_by_event_number(USER, ITEM, TIME, np.array([2, 1]))
    with pytest.raises(InputError, match=r"edges\[0\] = -1.0 is negative"):
        repeat_gap_curve(USER, ITEM, TIME, np.array([-1, 1]))
    with pytest.raises(InputError, match=r"item\[3\] = 8 is not an item: the catalogue has 8 items \(0-7\)"):
        popularity_gini(ITEM, 8)
    with pytest.raises(InputError, match=r"gap must be 0 or more, got -1"):
        split_sessions(USER, TIME, -1)
    with pytest.raises(InputError, match="no user of this log comes back"):
        visit_gaps(np.arange(3), np.zeros(3))
    with pytest.raises(InputError, match=r"q must hold numbers in \[0, 1\]"):
        gap_quantiles(USER, TIME, np.array([1.5]))
    with pytest.raises(InputError, match=r"values must be positive, got 0"):
        log_edges(np.array([1.0, 0.0]))
    with pytest.raises(InputError, match="values must hold a number"):
        log_edges(np.array([]))


def test_bad_input_of_predictability() -> None:
    with pytest.raises(InputError, match="no user of this log comes back"):
        next_item_predictability(np.arange(3), np.zeros(3, int), np.zeros(3), 1)
    with pytest.raises(InputError, match=r"item\[3\] = 8 is not an item"):
        next_item_predictability(USER, ITEM, TIME, 8)
    for option, value in (("held_out", 1.0), ("k", 0), ("decay", 0.0)):
        with pytest.raises(InputError, match=f"{option} must be"):
            next_item_predictability(USER, ITEM, TIME, 9, **{option: value})
    with pytest.raises(InputError, match=r"some overlap, such as 3 and 4 at time 10\.0"):
        next_item_predictability(USER, ITEM, TIME, 9, session=np.array([1, 1, 3, 4, 1, 5, 2]))
    with pytest.raises(InputError, match="follow each other in time, but some overlap"):
        next_item_predictability(USER, ITEM, TIME, 9, session=np.array([1, 1, 2, 2, 1, 1, 2]))
    with pytest.raises(InputError, match=r"session must have shape \(7,\)"):
        next_item_predictability(USER, ITEM, TIME, 9, session=np.array([1, 2]))
