"""Features of users by hand and against loops; a defender's own fakes; PCA against all eigenvectors."""

from itertools import pairwise

import numpy as np
import pytest
from robust_logs import USERS, N, attacked, honest

from recsim_env.agents.robust.fraud_features import CLOCK_FEATURES, FEATURES, fraud_features
from recsim_env.agents.robust.pca_detector import PCADetector
from recsim_env.agents.robust.synthetic_fakes import with_synthetic_fakes
from recsim_env.agents.robust.user_histories import user_histories
from recsim_env.errors import InputError
from recsim_env.evaluation.target_exposure import detection_auc
from recsim_env.simulators.attackers.bandwagon import BandwagonAttacker
from recsim_env.simulators.attackers.random_fillers import RandomAttacker
from recsim_env.simulators.log import Log

LOG = honest()
SMALL = Log.from_interactions(
    np.array([4, 4, 4, 4, 7, 7, 7, 9]),
    np.array([0, 1, 0, 2, 0, 1, 3, 1]),
    np.array([0.0, 0.0, 1.0, 8.0, 2.0, 3.0, 5.0, 1.0]),
)
VECTORS = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])


def test_by_hand():
    found = dict(zip(FEATURES, fraud_features(SMALL, 5, vectors=VECTORS).T, strict=True))
    audience = np.array([2, 3, 1, 1])  # users of items 0 to 3
    first = np.log(audience[[0, 1, 0, 2]])
    expected = {
        "mean popularity": [first.mean(), np.log([2, 3, 1]).mean(), np.log(3)],
        "deviation of popularity": [first.std(), np.log([2, 3, 1]).std(), 0.0],
        "least popularity": [0.0, 0.0, np.log(3)],
        "most popularity": [np.log(3)] * 3,
        "tail share": [
            1 / 4,
            0.0,
            0.0,
        ],  # items 4 and 2: one event of 8; with item 3 it would be over a fifth
        # both have 0 and 1, the pairs with 2 and 3 are their own: (2 - 1) / sqrt(2 * 3), 0, 0
        "mean company": [1 / np.sqrt(6) / 3, 1 / np.sqrt(6) / 3, 0.0],
        "most company": [1 / np.sqrt(6), 1 / np.sqrt(6), 0.0],
        "size of company": [0.0, 0.0, 0.0],  # below a half
        "novelty": [2 / 3, 1 / 2, 0.0],  # 0 -> 1 is shared; 1 -> 0, 0 -> 2 and 1 -> 3 are not
        "mean jump": [1 / 3, 1.0, 0.0],  # 0, 0, 1;   0, 2
        "deviation of jumps": [np.std([0, 0, 1]), 1.0, 0.0],
        "largest jump": [1.0, 2.0, 0.0],
    }
    assert list(expected) == list(FEATURES)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)


def test_a_shrinkage_by_hand():
    found = fraud_features(SMALL, 5, vectors=VECTORS, shrinkage=2.0)[:, FEATURES.index("mean company")]
    np.testing.assert_allclose(found, [1 / (2 + np.sqrt(6)) / 3] * 2 + [0.0])


def test_clock_and_further_columns():
    further = np.arange(6.0).reshape(3, 2)
    found = fraud_features(SMALL, 5, vectors=VECTORS, further=further, clock=True)
    assert found.shape == (3, len(FEATURES) + len(CLOCK_FEATURES) + 2)
    gaps = [np.log1p([0, 1, 7]), np.log1p([1, 2])]
    expected = [[gap.mean(), gap.std(), share] for gap, share in zip(gaps, (1 / 3, 0), strict=True)] + [
        [0] * 3
    ]
    np.testing.assert_allclose(found[:, len(FEATURES) : -2], expected, atol=1e-12)
    np.testing.assert_array_equal(found[:, -2:], further)


def test_company_and_novelty_against_loops():
    found = fraud_features(LOG, N)
    rows = [LOG.slate[LOG.user == u, 0].tolist() for u in np.unique(LOG.user)]
    sets = [set(row) for row in rows]
    steps = [set(pairwise(row)) for row in rows]
    for u in range(0, len(rows), 57):
        company, sizes = [], [1]
        for place, i in enumerate(rows[u]):
            for j in rows[u][place + 1 :]:
                both = sum(i in s and j in s for s in sets)
                one, other = sum(i in s for s in sets), sum(j in s for s in sets)
                company.append((both - 1) / np.sqrt(one * other))
                sizes += [both] * int(company[-1] >= 0.5)
        alone = np.mean([sum(step in s for s in steps) == 1 for step in pairwise(rows[u])])
        expected = [np.mean(company), max(company), np.log(max(sizes)), alone]
        np.testing.assert_allclose(found[u, 5:9], expected, atol=1e-12)


def test_fakes_who_share_targets_have_company():
    both, fake = attacked(RandomAttacker(), LOG)
    company = fraud_features(both, N)[:, FEATURES.index("size of company")]
    assert detection_auc(company, fake) > 0.95


def test_a_defender_adds_campaigns_and_leaves_the_log_alone():
    attackers = {"random": RandomAttacker(), "bandwagon": BandwagonAttacker()}
    both, fake = with_synthetic_fakes(LOG, attackers, N, campaigns=3, targets=2, share=0.02, seed=5)
    assert fake.sum() == 2 * 3 * 12
    assert not fake[:USERS].any()
    for name, column in LOG.columns().items():
        np.testing.assert_array_equal(both.columns()[name][: len(LOG)], column)
    rows = user_histories(both)[fake].reshape(6, 12, -1)
    popularity = np.bincount(LOG.slate[:, 0], minlength=N)
    goals = []
    for campaign in rows:
        taken = [set(row[row >= 0]) for row in campaign]
        shared = set.intersection(*taken)
        rare = {item for item in shared if popularity[item] <= np.median(popularity)}
        assert len(rare) >= 2
        goals.append(frozenset(rare))
        assert len({len(one) for one in taken}) > 1  # lengths of honest users, not one for all
    assert len(set(goals)) == 6
    again, _ = with_synthetic_fakes(LOG, attackers, N, campaigns=3, targets=2, share=0.02, seed=5)
    np.testing.assert_array_equal(again.slate, both.slate)


def test_histories():
    assert user_histories(SMALL).tolist() == [[0, 1, 0, 2], [-1, 0, 1, 3], [-1, -1, -1, 1]]
    assert user_histories(SMALL, 2).tolist() == [[0, 2], [1, 3], [-1, 1]]


def test_pca_by_the_whole_covariance():
    log, fake = attacked(RandomAttacker(), honest(60), users=6)
    detector = PCADetector(share=0.1)
    weights = detector.weights(log)
    ids, row = np.unique(log.user, return_inverse=True)
    had = np.zeros((len(ids), N))
    had[row, log.slate[:, 0]] = 1.0
    had = had[:, had.any(axis=0)]
    z = (had - had.mean(axis=1, keepdims=True)) / had.std(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(z @ z.T)
    np.testing.assert_allclose(detector.suspicion_, -(vectors[:, -3:] ** 2).sum(axis=1), atol=1e-8)
    left_out = np.flatnonzero(weights == 0)
    assert len(left_out) == round(0.1 * len(fake))
    assert set(left_out) == set(np.argsort(-detector.suspicion_)[: len(left_out)])
    assert set(weights) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fraud_features(SMALL, 5, shrinkage=-1.0), "shrinkage must be 0 or more, got -1.0"),
        (lambda: fraud_features(SMALL, 3), "log shows item 3, but num_items = 3"),
        (lambda: fraud_features(SMALL, 5, vectors=VECTORS[:3]), r"features must have shape \(5, D\)"),
        (lambda: fraud_features(SMALL, 5, further=np.zeros((2, 1))), r"shape \(3, E\), got \(2, 1\)"),
        (lambda: fraud_features(SMALL, 5, further=np.full((3, 1), np.nan)), "further columns must be finite"),
        (lambda: with_synthetic_fakes(LOG, {}, N), "known_attacks must name one attacker or more"),
        (lambda: with_synthetic_fakes(LOG, {"r": RandomAttacker()}, N, share=0.0), "share"),
        (lambda: with_synthetic_fakes(LOG, {"r": RandomAttacker()}, N, campaigns=0), "campaigns"),
        (
            lambda: with_synthetic_fakes(SMALL, {"r": RandomAttacker()}, 5),
            "too few for campaigns of 5 targets",
        ),
        (lambda: PCADetector(share=1.0), "share must be below 1, got 1.0"),
        (lambda: PCADetector(components=0), "components must be at least 1"),
        (lambda: PCADetector().weights(SMALL), "3 components need more users and items, got 3 and 4"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
