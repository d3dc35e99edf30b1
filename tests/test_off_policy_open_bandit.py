"""The estimators against the Open Bandit Pipeline's values on the same 10,000 rows per campaign.

Golden values: Open Bandit Pipeline 0.5.5 on its bundled sample, campaigns all and men, which is shipped here
too; logged by the random policy, evaluated: Bernoulli Thompson sampling with ZOZOTOWN's priors, by 100,000
draws.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import Bootstrap, Estimate
from recsim_env.evaluation.off_policy import (
    cross_fit,
    direct_method,
    doubly_robust,
    doubly_robust_optimistic_shrinkage,
    ips,
    model_values,
    replay,
    self_normalised_doubly_robust,
    snips,
    switch_doubly_robust,
    weights_from_probabilities,
)
from recsim_env.simulators.datasets import LoggedBandit, read_open_bandit
from recsim_env.simulators.log_evaluation import off_policy_values

PRIORS = json.loads((Path(__file__).parent / "open_bandit_priors.json").read_text())

GOLDEN = {
    "all": {
        "first items": (0.01078, 0.00167, 0.0058),
        "ips": 0.00455288,
        "snips": 0.00477583,
        "bootstrap": (0.00158, 0.00956),
        "direct_method": 0.00354004,
        "doubly_robust": 0.00483833,
        "self_normalised_doubly_robust": 0.00490191,
        "switch_doubly_robust": 0.00326206,
        "doubly_robust_optimistic_shrinkage": 0.00417935,
    },
    "men": {
        "first items": (0.0465, 0.0043, 0.03179),
        "ips": 0.00453356,
        "snips": 0.00460423,
        "bootstrap": (0.00249, 0.00701),
        "direct_method": 0.00430195,
        "doubly_robust": 0.00452165,
        "self_normalised_doubly_robust": 0.00452507,
        "switch_doubly_robust": 0.00476562,
        "doubly_robust_optimistic_shrinkage": 0.00458604,
    },
}


class Campaign(NamedTuple):
    reward: Floats  # (R,)
    action: Ints  # (R,)
    position: Ints  # (R,)
    propensity: Floats  # (R,)
    context: Floats  # (R, D)
    action_context: Floats  # (A, F)
    target: Floats  # (A, 3) of the evaluated policy, by position


def thompson(campaign: str, draws: int = 100_000) -> Floats:
    """P(item at position) of the top 3 of one Beta draw per item, on the stream that the pipeline uses."""
    alpha, beta = (np.array(PRIORS[campaign][name]) for name in ("alpha", "beta"))
    rng = np.random.RandomState(12345)  # the stream of the golden values
    count = np.zeros((len(alpha), 3))
    for _ in range(10):
        top = np.argsort(rng.beta(alpha, beta, size=(draws // 10, len(alpha))), axis=1)[:, :-4:-1]
        for p in range(3):
            count[:, p] += np.bincount(top[:, p], minlength=len(alpha))
    return count / draws


def categories_of_these_rows(data: LoggedBandit) -> Floats:
    """One-hot without the first category of the rows at hand; `data.context` knows those of both policies."""
    feature = np.array([name.split("=")[0] for name in data.context_names])
    blocks = []
    for name in dict.fromkeys(feature):
        others = data.context[:, feature == name]
        every = np.column_stack([1 - others.sum(axis=1), others])
        blocks.append(every[:, every.any(axis=0)][:, 1:])
    return np.concatenate(blocks, axis=1)


@pytest.fixture(scope="module", params=["all", "men"])
def named(request: pytest.FixtureRequest) -> tuple[str, Campaign]:
    data = read_open_bandit(f"open-bandit/{request.param}", policy="random")
    rows = np.argsort(data.rows)  # of the file: the pipeline draws its folds in this order
    return request.param, Campaign(
        data.log.require("reward")[rows],
        data.log.slate[rows, 0],
        data.position[rows],
        np.exp(data.log.require("log_propensity")[rows]),
        categories_of_these_rows(data)[rows],
        data.item_context,
        thompson(request.param),
    )


def weight_of(log: Campaign) -> Floats:
    return weights_from_probabilities(log.target[log.action, log.position], log.propensity)


def test_evaluated_policy(named: tuple[str, Campaign]) -> None:
    name, log = named
    np.testing.assert_allclose(log.target[:3, 0], GOLDEN[name]["first items"], atol=1e-12)


def test_weighted_estimators(named: tuple[str, Campaign]) -> None:
    name, log = named
    golden, weight = GOLDEN[name], weight_of(log)
    assert ips(log.reward, weight).value == pytest.approx(golden["ips"], abs=1e-8)
    assert snips(log.reward, weight).value == pytest.approx(golden["snips"], abs=1e-8)
    low, high = ips(log.reward, weight, interval=Bootstrap()).interval  # their 1,000 resamples, and mine
    assert (low, high) == pytest.approx(golden["bootstrap"], abs=3e-4)


def test_a_log_in_one_call_gives_the_values_of_the_pipeline(named: tuple[str, Campaign]) -> None:
    """As an engineer would: the probability of the item at the position of its row."""
    name, log = named
    data = read_open_bandit(f"open-bandit/{name}")
    found = off_policy_values(data.log, log.target[:, data.position].T, ["ips", "snips"])
    assert found["ips"].value == pytest.approx(GOLDEN[name]["ips"], abs=1e-8)
    assert found["snips"].value == pytest.approx(GOLDEN[name]["snips"], abs=1e-8)
    first = np.tile(log.target[:, 0], (len(data.log), 1))  # all at the first position: another policy
    assert abs(off_policy_values(data.log, first, ["ips"])["ips"].value - GOLDEN[name]["ips"]) > 1e-4


def test_replay_refuses_the_thompson_policy_that_the_pipeline_gives_value_0(
    named: tuple[str, Campaign],
) -> None:
    log = named[1]
    with pytest.raises(InputError, match="replay has no value for a policy that draws its actions"):
        replay(log.reward, log.action, log.target[:, log.position].T)


def test_model_based_estimators(named: tuple[str, Campaign]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    model_selection = pytest.importorskip("sklearn.model_selection")
    name, log = named
    fold = np.empty(len(log.reward), np.int64)
    splits = model_selection.KFold(3, shuffle=True, random_state=12345).split(fold)
    for f, (_, test) in enumerate(splits):
        fold[test] = f
    q = cross_fit(
        log.reward,
        log.action,
        fold,
        len(log.target),
        model=linear_model.LogisticRegression(C=100, max_iter=10_000, random_state=12345),
        context=log.context,
        action_context=log.action_context,
        position=log.position,
    )
    values = model_values(q, log.action, log.target[:, log.position].T)
    columns = log.reward, weight_of(log), *values
    found: dict[str, Estimate] = {
        "direct_method": direct_method(values.target),
        "doubly_robust": doubly_robust(*columns),
        "self_normalised_doubly_robust": self_normalised_doubly_robust(*columns),
        "switch_doubly_robust": switch_doubly_robust(*columns, threshold=10),
        "doubly_robust_optimistic_shrinkage": doubly_robust_optimistic_shrinkage(*columns, shrinkage=500),
    }
    # the solver of scikit-learn stops where its BLAS leads it: of `all`, machines differ by up to 9e-6
    margin = {"all": 2e-5, "men": 2e-6}[name]
    for estimator, estimate in found.items():
        assert estimate.value == pytest.approx(GOLDEN[name][estimator], abs=margin), estimator
        assert math.isfinite(float(estimate.std_error))
