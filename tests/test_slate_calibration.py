"""A world of slates out of a log of slates: recovered, saved, refused where not to be trusted."""

import json
import re
from dataclasses import replace
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from scipy.special import expit

import recsim_env  # noqa: F401
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.evaluation.log_statistics import click_rate_by_position
from recsim_env.experiments.cli import main
from recsim_env.simulators.calibration.attraction_scale import fit_attraction_scale
from recsim_env.simulators.calibration.listening import ListeningCalibration
from recsim_env.simulators.calibration.people import by_people
from recsim_env.simulators.calibration.slate_attraction import (
    _most_looked_at_is_seen,
    quality_of,
    scores_of_slates,
)
from recsim_env.simulators.calibration.slate_calibration import WITHOUT_ATTRACTION, SlateCalibration
from recsim_env.simulators.calibration.slate_fidelity import (
    attraction_in,
    simulate_held_out,
    slate_fidelity,
)
from recsim_env.simulators.calibration.slate_sessions import fit_leaving, hold_out, sessions_of
from recsim_env.simulators.calibration.slates import fit_slates
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import write_log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.log_replay import replay
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.user_models.clicks import CLICK_MODELS, UserBrowsing
from recsim_env.user_models.clicks.click_through_rates import DocumentClickThroughRate

WORLD = {
    "num_items": 100,
    "slate_size": 5,
    "num_users": 200,
    "num_categories": 8,
    "dimension": 8,
    "intercept": -3.0,
    "horizon": 10,
}


def _generated(world, steps, num_users=200, seed=0, **metadata):
    policy = RandomSlates(world.num_items, world.slate_size)
    pieces = list(generate_log(world, policy, steps, num_users=num_users, seed=seed, metadata=metadata))
    assert len(pieces) == 1
    return pieces[0]


def _attraction_of_all(world):
    """(U, N) a(u, i) in double precision."""
    quality = world.intercept + world.catalogue.quality
    return expit(quality + np.float64(world.interest) @ np.float64(world.catalogue.features).T)


@pytest.fixture(scope="module", params=["cascade", "position_based", "dependent_click"])
def fitted(request):
    """The truth, and the fit of a log of 100 slates a user, at random."""
    truth = slate_rec(**WORLD, clicks=request.param)
    return truth, fit_slates(by_people(truth, _generated(truth, 100)), request.param, 8)


@pytest.fixture(scope="module")
def fit():
    truth = slate_rec(**WORLD)
    return fit_slates(by_people(truth, _generated(truth, 60)), dimension=6, name="a generated log")


def test_attraction_is_recovered(fitted):
    truth, fit = fitted
    world = fit.calibration.world()
    true = _attraction_of_all(truth)[np.ix_(fit.calibration.user_ids, fit.calibration.item_ids)]
    found = _attraction_of_all(world)
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.8
    assert found.mean() == pytest.approx(true.mean(), rel=0.05)
    assert fit.calibration.problems == ()
    # what it finds best is nearly as good as the best, and about as good as it says
    everyone = np.arange(world.num_users)
    slates = world.best_slate(_begun(world, everyone)[0])
    ids = (fit.calibration.user_ids, fit.calibration.item_ids[slates])
    in_truth = truth.clicks.click_prob(attraction_in(truth, *ids)).sum(axis=1).mean()
    best = truth.values(*_begun(truth, ids[0]))[0].mean()
    assert in_truth > 0.85 * best
    in_the_fit = world.clicks.click_prob(attraction_in(world, everyone, slates)).sum(axis=1).mean()
    assert in_the_fit == pytest.approx(in_truth, rel=0.15)


def _begun(world, users):
    """The users at their last step, when the best value is that of one slate, and any slate."""
    state = world.begin(Luck.from_seeds(users))
    slates = np.tile(np.arange(world.slate_size), (len(users), 1))
    return state._replace(user=users, step=np.full(len(users), world.horizon - 1)), slates


def test_clicks_by_position_are_recovered(fitted):
    truth, fit = fitted
    world, log = fit.calibration.world(), fit.log.rows(fit.held_out)
    real = click_rate_by_position(log.clicked, log.slate >= 0, log.user)
    expected = world.clicks.click_prob(attraction_in(world, log.user, log.slate)).mean(axis=0)
    assert (np.abs(expected - real.value) < 4 * real.std_error).all()
    if isinstance(truth.clicks, CLICK_MODELS["position_based"]):
        assert world.clicks.examination[0] == 1.0
        assert np.abs(world.clicks.examination - truth.clicks.examination).max() < 0.1
    if isinstance(truth.clicks, CLICK_MODELS["dependent_click"]):
        assert np.abs(world.clicks.continuation - truth.clicks.continuation)[:-1].max() < 0.1


def test_leaving_is_recovered(fitted):
    truth, fit = fitted
    calibration = fit.calibration
    assert calibration.horizon == truth.horizon
    for name in ("leave_after_click", "leave_without_click"):
        error = calibration.std_errors[name]
        assert 0.0 < error < 0.01
        assert abs(getattr(calibration, name) - getattr(truth, name)) < 4 * error


def test_scores_that_have_seen_their_clicks_are_too_sure(fit):
    found = fit.calibration
    seen = fit.log.rows(~fit.held_out)
    score = scores_of_slates(found.interest, found.features, seen)
    again = fit_attraction_scale(
        found.clicks, score, found.quality[seen.slate], seen.slate >= 0, seen.clicked
    )
    assert again.sharpness > found.sharpness + 3 * found.std_errors["sharpness"]


def _clicks_of(model, scale, R, K, seed):
    rng = np.random.default_rng(seed)
    score, quality = 0.3 + rng.normal(size=(R, K)), rng.normal(size=(R, K))
    listed = rng.random((R, K)) < 0.9
    attraction = np.where(listed, expit(scale[0] + scale[1] * score + scale[2] * quality), 0.0)
    clicked = model.sample(attraction, rng.random((R, model.draws_per_slot, K))).clicked
    return score, quality, listed, clicked


def test_without_examination_it_is_logistic_regression():
    model = DocumentClickThroughRate()
    score, quality, listed, clicked = _clicks_of(model, (-1.0, 0.8, 0.5), 1500, 3, 0)
    found = fit_attraction_scale(model, score, quality, listed, clicked)
    X = np.stack([np.ones(listed.sum()), score[listed], quality[listed]], axis=1)
    y, theta = clicked[listed], np.zeros(3)
    for _ in range(30):  # Newton
        p = expit(X @ theta)
        information = (X * (p * (1 - p))[:, None]).T @ X
        theta = theta + np.linalg.solve(information, X.T @ (y - p))
    assert np.allclose([found.intercept, found.sharpness, found.quality_weight], theta, atol=1e-4)
    assert np.allclose(found.std_errors, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-3)
    p = expit(X @ theta)
    assert found.log_likelihood == pytest.approx(np.where(y, np.log(p), np.log1p(-p)).sum() / 1500)
    rate = y.mean()
    alone = (rate * np.log(rate) + (1 - rate) * np.log1p(-rate)) * len(y) / 1500
    assert found.without_scores == pytest.approx(alone)
    assert found.converged
    assert found.on_bound == ()


@pytest.mark.parametrize("name", ["cascade", "click_chain", "user_browsing"])
def test_intercept_and_sharpness_are_those_of_a_grid(name):
    model = CLICK_MODELS[name].default(4)
    score, quality, listed, clicked = _clicks_of(model, (-0.7, 1.1, 0.0), 400, 4, 5)
    found = fit_attraction_scale(model, score, 0.0 * quality, listed, clicked)
    assert found.quality_weight == 0.0  # not supported by the likelihood
    assert np.isnan(found.std_errors[2])

    def log_likelihood(intercept, sharpness):
        attraction = np.where(listed, expit(intercept + sharpness * score), 0.0)
        return model.log_prob(attraction, clicked).mean()

    middle, width = np.array([-0.7, 1.1]), 0.6
    for _ in range(9):  # a grid that shrinks around the best of it
        places = [middle + width * np.array(p) for p in product(np.linspace(-1, 1, 9), repeat=2)]
        middle = max(places, key=lambda place: log_likelihood(*place))
        width /= 3
    assert np.allclose([found.intercept, found.sharpness], middle, atol=1e-3)
    assert found.log_likelihood == pytest.approx(log_likelihood(*middle), abs=1e-8)


def test_what_tells_nothing_or_all_lies_on_a_bound():
    model = DocumentClickThroughRate()
    score, quality, listed, clicked = _clicks_of(model, (-1.0, 1.0, 0.0), 300, 3, 0)
    against = fit_attraction_scale(model, -score, quality, listed, clicked)
    assert against.on_bound == ("sharpness",)
    assert against.sharpness == pytest.approx(0.0, abs=1e-4)
    assert np.isnan(against.std_errors[1])
    perfect = fit_attraction_scale(model, clicked + 0.001 * score, quality, listed, clicked)
    assert "sharpness" in perfect.on_bound
    alike = fit_attraction_scale(model, np.ones(score.shape), quality, listed, clicked)
    assert (alike.sharpness, alike.on_bound) == (0.0, ("sharpness",))
    assert alike.log_likelihood == alike.without_scores


def test_nothing_but_clicks_has_no_maximum():
    clicked = np.ones((30, 2), bool)
    score = np.random.default_rng(0).normal(size=(30, 2))
    model = CLICK_MODELS["position_based"](np.ones(2))
    found = fit_attraction_scale(model, score, 0.0 * score, clicked, clicked)
    assert "intercept" in found.on_bound
    assert np.isnan(found.std_errors).all()


def test_quality_by_hand():
    quality = quality_of(np.array([0.5, 0.1, np.nan]), np.array([10.0, 30.0, 0.0]))
    overall = 8 / 40
    odds = np.array([6 / (10 + 5), 4 / (30 + 5), overall])
    assert np.allclose(quality, np.log(odds / (1 - odds)) - np.log(overall / (1 - overall)))
    assert quality[2] == pytest.approx(0.0)


def _sessions_log(lengths_of_users, clicked=None, **columns):
    """A log with one slate of two items a row, sessions of these lengths."""
    user = np.repeat(np.arange(len(lengths_of_users)), [sum(lengths) for lengths in lengths_of_users])
    episode = np.concatenate([np.repeat(np.arange(len(n)), n) for n in lengths_of_users])
    time = np.concatenate([np.arange(sum(n), dtype=float) for n in lengths_of_users])
    slate = np.tile([0, 1], (len(user), 1))
    if clicked is None:
        clicked = np.zeros(len(user), bool)
    both = np.stack([np.asarray(clicked, bool), np.zeros(len(user), bool)], axis=1)
    return Log(user, time, slate, both, episode=episode, **columns)


def test_sessions_by_hand():
    sessions = sessions_of(_sessions_log([[3, 1, 2], [1], [2, 3]]))
    assert sessions.session.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 5]
    assert sessions.place.tolist() == [0, 1, 2, 0, 0, 1, 0, 0, 1, 0, 1, 2]
    assert sessions.length.tolist() == [3, 1, 2, 1, 2, 3]
    assert sessions.cut.tolist() == [False, False, True, True, False, True]
    # three slates, the longest session, are there from the beginning on
    assert sessions.early.tolist() == [True, True, False, False, True, True]
    assert sessions.horizon == 3
    assert sessions_of(Log(np.array([0]), np.zeros(1), np.array([[3]]), np.array([[True]]))) is None


def test_leaving_by_hand():
    #                        whole   whole   cut
    clicked = np.array([0, 1, 0,  1,  0, 1])  # fmt: skip
    log = _sessions_log([[3, 1, 2]], clicked)
    found = fit_leaving(log, sessions_of(log))
    # rows 2 (the horizon) and 5 (the end of a cut session) tell nothing
    assert found.slates.tolist() == [2, 2]
    assert (found.after_click, found.without_click) == (0.25, 0.25)  # 1/2 and 0/2: under the rule, 1/4
    assert found.problems == ()
    assert np.allclose(found.std_errors, np.sqrt(0.25 * 0.75 / 4))


def test_users_who_leave_because_they_found_it_are_said_to():
    clicked = np.tile([0, 0, 1], 50)
    log = _sessions_log([[3] * 49 + [3], [4]], np.append(clicked, [0] * 4))
    found = fit_leaving(log, sessions_of(log))
    assert found.after_click == found.without_click == pytest.approx(49 / (49 * 3 + 2 + 3))
    assert "users leave more often after a click (1.000) than without one (0.000" in found.problems[0]


def test_where_no_session_ends_nobody_leaves():
    log = _sessions_log([[4], [2]])
    found = fit_leaving(log, sessions_of(log))
    assert (found.after_click, found.without_click) == (0.0, 0.0)
    assert np.isnan(found.std_errors).all()
    assert "1 of 2 sessions are shorter than the longest, but each is the last" in found.problems[0]
    log = _sessions_log([[4, 4], [4, 2]])
    found = fit_leaving(log, sessions_of(log))  # all that are seen to end reach the horizon
    assert (found.after_click, found.without_click, found.problems) == (0.0, 0.0, ())
    log = _sessions_log([[1, 1], [1]])
    found = fit_leaving(log, sessions_of(log))  # all at the horizon
    assert found.slates.sum() == 0
    assert (found.after_click, found.without_click) == (0.0, 0.0)
    assert np.isnan(found.std_errors).all()


def test_whole_sessions_are_held_out_and_everyone_keeps_one():
    rng = np.random.default_rng(0)
    log = _sessions_log([rng.integers(1, 5, rng.integers(1, 12)).tolist() for _ in range(300)])
    sessions = sessions_of(log)
    session, held = hold_out(log, sessions, 0.2, np.random.default_rng(1))
    assert session is sessions.session
    of_session = np.bincount(session, held) / sessions.length
    assert set(of_session.tolist()) == {0.0, 1.0}
    assert (np.bincount(log.user, ~held) > 0).all()
    owner = np.zeros(len(sessions.length), int)
    owner[session] = log.user
    several = np.bincount(owner)[owner] > 1
    assert not of_session[~several].any()
    assert of_session[several].mean() == pytest.approx(0.2, abs=0.04)  # but for the one that stays
    rare, some = hold_out(log, sessions, 1e-9, np.random.default_rng(1))
    assert some.any()
    assert len(np.unique(rare[some])) == 1


def test_slates_are_held_out_where_nobody_has_two_sessions():
    log = _sessions_log([[4], [3], [1]])
    unit, held = hold_out(log, sessions_of(log), 0.5, np.random.default_rng(0))
    assert unit.tolist() == list(range(8))
    assert held.any()
    assert not held[7]
    log = _sessions_log([[1], [1], [1]])
    with pytest.raises(InputError, match="every user of the log has one slate"):
        hold_out(log, sessions_of(log), 0.5, np.random.default_rng(0))


def test_people_are_those_that_the_policy_saw():
    world = slate_rec(**WORLD)
    log = _generated(world, 30, 20)
    people = by_people(world, log)
    seen = replay(world, log).observation["user"]
    key = np.stack([log.seed.astype(int), log.episode, log.step])
    wanted = dict(zip(map(tuple, key.T), seen, strict=True))
    found = np.stack([people.seed.astype(int), people.episode, people.step])
    assert [wanted[tuple(row)] for row in found.T] == people.user.tolist()
    assert len(np.unique(people.user)) > 40  # of 20 rows
    with pytest.raises(InputError, match="log has no seed"):
        by_people(world, Log(log.user, log.time, log.slate, log.clicked))
    with pytest.raises(
        InputError, match=r"clicked\[\d+\] is not what this world gives: the log was made with"
    ):
        by_people(slate_rec(**WORLD, world_seed=1), log)
    with pytest.raises(InputError, match=r"is not an item: the catalogue has 50 items \(0-49\)"):
        by_people(slate_rec(**{**WORLD, "num_items": 50}), log)
    with pytest.raises(InputError, match="the observations of this world do not say who the user is"):
        by_people(engagement_ladder(), log)


def test_held_out_sessions_are_lived_as_the_world_lives_them(fit):
    world = fit.calibration.world()
    again = simulate_held_out(world, fit, seed=4)
    S = len(again.slates)
    assert len(again.real) == fit.held_out.sum()
    assert again.real.clicked.sum() == fit.log.clicked[fit.held_out].sum()
    number = again.real.episode
    begins = np.flatnonzero(np.append(True, np.diff(number) > 0))
    users = again.real.user[begins]
    state = world.begin(Luck.from_seeds(np.arange(S)))._replace(user=users)
    if hasattr(state, "interest"):
        state = state._replace(interest=world.interest[users])
    luck = Luck.from_seeds(np.arange(S) + 4)
    length = np.bincount(number)
    alive, slates, silent = np.ones(S, bool), np.zeros(S, int), np.ones(S, bool)
    clicked = np.zeros_like(again.simulated.clicked)
    for h in range(world.horizon):
        rows = begins + h
        own = h < length  # beyond, the user's other slates in a circle
        mine = [np.flatnonzero(again.real.user == u) for u in users]
        shown = np.array([m[(b - m[0] + h) % len(m)] for b, m in zip(begins, mine, strict=True)])
        assert (shown[own] == rows[own]).all()
        state, outcome = world.respond(state, again.real.slate[shown], luck.at(h))
        clicked[rows[own]] = outcome.response.clicked[own]
        slates += alive
        silent &= ~(alive & (outcome.reward > 0))
        alive &= ~outcome.left
    assert np.array_equal(again.simulated.clicked, clicked)
    assert np.array_equal(again.slates, slates)
    assert np.array_equal(again.silent, silent)


def test_the_report_of_a_world_that_made_its_log_has_no_large_difference(fit):
    report = slate_fidelity(fit.calibration.world(), fit)
    rows = {row.statistic: row for row in report.rows}
    for name in ("clicks a slate", "slates without a click", "slates a session", "sessions without a click"):
        assert abs(rows[name].z) < 4, name
    assert all(abs(rows[f"click rate at position {k}"].z) < 4 for k in range(1, 6))
    held = fit.log.rows(fit.held_out)
    assert rows["clicks a slate"].real == pytest.approx(held.clicked.sum(axis=1).mean())
    attraction = attraction_in(fit.calibration.world(), held.user, held.slate)
    right = pairs = 0.0
    for a, c in zip(attraction, held.clicked, strict=True):
        for mine, other in product(a[c], a[~c]):
            right += (mine > other) + 0.5 * (mine == other)
            pairs += 1
    assert rows["clicked before unclicked"].real == pytest.approx(right / pairs)
    assert rows["clicked before unclicked"].real > 0.65
    assert report.panels[0].title == "Prediction"
    assert "held-out sessions only" in report.text()
    # a world of other interests is found out
    other = replace(fit.calibration, interest=fit.calibration.interest[::-1])
    worse = {row.statistic: row for row in slate_fidelity(other.world(), fit).rows}
    assert worse["clicked before unclicked"].z > 8


def test_a_calibration_is_saved_and_makes_an_environment(fit, tmp_path):
    calibration = fit.calibration
    calibration.save(tmp_path / "fit")
    again = SlateCalibration.load(tmp_path / "fit")
    for name in ("interest", "features", "quality", "popularity", "user_ids", "item_ids"):
        assert np.array_equal(getattr(again, name), getattr(calibration, name))
        assert getattr(again, name).dtype == getattr(calibration, name).dtype
    for name in ("clicks", "click_name", "intercept", "sharpness", "std_errors", "notes", "about", "horizon"):
        assert getattr(again, name) == getattr(calibration, name), name
    env = gym.make("SlateRec-v0", calibration=tmp_path / "fit").unwrapped
    assert env.world.num_items == len(calibration.item_ids)
    assert env.world.slate_size == 5
    assert env.world.horizon == 10
    env.reset(seed=0)
    left = False
    while not left:
        observation, _, terminated, truncated, info = env.step(env.best_slate())
        assert env.observation_space.contains(observation)
        assert info["slate_value"] == pytest.approx(info["best_value"], rel=1e-12)
        left = terminated or truncated
    some = gym.make(
        "SlateRec-v0", calibration=tmp_path / "fit", candidates=20, interest_observed=False
    ).unwrapped
    observation, _ = some.reset(seed=0)
    assert observation["candidates"].shape == (20,)
    assert "interest" not in observation


def test_what_a_calibration_takes_the_place_of_is_refused(fit, tmp_path):
    fit.calibration.save(tmp_path)
    with pytest.raises(InputError, match=r"^slate_size=3, clicks='nonsense' cannot stand beside calibration"):
        gym.make("SlateRec-v0", calibration=tmp_path, slate_size=3, clicks="nonsense")
    with pytest.raises(InputError, match=r"^world_seed=1 cannot stand beside calibration"):
        gym.make("SlateRec-v0", calibration=tmp_path, world_seed=1)
    for calibration in ({}, {"calibration": tmp_path}):
        with pytest.raises(InputError, match="candidates_from = 'interest' needs candidates: give their"):
            gym.make("SlateRec-v0", candidates_from="interest", **calibration)


@pytest.mark.parametrize("name", sorted(CLICK_MODELS.keys() - set(WITHOUT_ATTRACTION)))
def test_every_click_model_comes_back_from_disk(name, fit, tmp_path):
    model = CLICK_MODELS[name].default(5)
    replace(fit.calibration, clicks=model, click_name=name).save(tmp_path)
    again = SlateCalibration.load(tmp_path).clicks
    assert type(again) is type(model)
    attraction = np.random.default_rng(0).random((7, 5))
    assert np.array_equal(again.click_prob(attraction), model.click_prob(attraction))


@pytest.mark.parametrize("name", sorted(CLICK_MODELS.keys() - set(WITHOUT_ATTRACTION) - {"cascade"}))
def test_every_click_model_can_be_fitted_and_saved(name, tmp_path):
    truth = slate_rec(**{**WORLD, "num_items": 40, "num_users": 40}, clicks=name)
    fit = fit_slates(by_people(truth, _generated(truth, 60, 40)), name, 3)
    log = fit.log.rows(fit.held_out)
    fit.calibration.save(tmp_path)
    world = SlateCalibration.load(tmp_path).world(force=True)
    real = click_rate_by_position(log.clicked, log.slate >= 0, log.user)
    expected = world.clicks.click_prob(attraction_in(world, log.user, log.slate)).mean(axis=0)
    assert (np.abs(expected - real.value) < 4 * real.std_error).all()


def test_rescaling_a_user_browsing_model_changes_no_click():
    """Only the product of examination and attraction is known; the largest examination in use becomes 1."""
    model = UserBrowsing(np.array([[0.4, 0.9], [0.3, 0.8]]))  # the 0.9 is never used
    log = Log(np.zeros(1, int), np.zeros(1), np.array([[0, 1]]), np.array([[True, False]]))
    found = replace(UserBrowsing.fit(log, 2), model=model, attraction=np.array([0.5, 0.25]))
    scaled, attraction = _most_looked_at_is_seen(found)
    np.testing.assert_allclose(scaled.examination[[0, 1, 1], [0, 0, 1]], [0.5, 0.375, 1.0])
    slates, patterns = np.array([[0, 1]] * 4), np.array([[0, 0], [0, 1], [1, 0], [1, 1]], bool)
    np.testing.assert_allclose(
        scaled.log_prob(attraction[slates], patterns), model.log_prob(found.attraction[slates], patterns)
    )


def test_satisfaction_is_that_of_the_mean_click():
    truth = slate_rec(**WORLD, clicks="simplified_dynamic_bayesian")
    fit = fit_slates(by_people(truth, _generated(truth, 50)), "simplified_dynamic_bayesian", 4)
    assert fit.calibration.clicks.satisfaction == pytest.approx(truth.clicks.satisfaction, abs=0.03)


def test_interests_that_are_none_are_refused_unless_forced(tmp_path):
    rng = np.random.default_rng(3)
    R = 2000
    log = Log(
        user=np.repeat(np.arange(50), 40),
        time=np.tile(np.arange(40.0), 50),
        slate=np.argsort(rng.random((R, 30)), axis=1)[:, :4],
        clicked=np.arange(4) == rng.integers(0, 12, R)[:, None],
    )
    fit = fit_slates(log, dimension=4)
    problems = " ".join(fit.calibration.problems)
    assert "sharpness" in problems
    fit.calibration.save(tmp_path)
    with pytest.raises(InputError, match=r"not to be trusted \(.*sharpness.*fit a longer log, or pass force"):
        gym.make("SlateRec-v0", calibration=tmp_path)
    gym.make("SlateRec-v0", calibration=tmp_path, force=True)


def test_a_log_without_episodes_says_nothing_of_leaving(fit):
    log = fit.log.rows(fit.log.user < 60)
    order = np.lexsort((log.time, log.user))
    alone = fit_slates(Log(log.user, log.time, log.slate, log.clicked), dimension=4)
    assert (alone.calibration.leave_after_click, alone.calibration.leave_without_click) == (0.0, 0.0)
    assert alone.calibration.horizon == np.bincount(log.user).max()
    assert "no column episode" in alone.calibration.notes[0]
    assert np.isnan(alone.calibration.std_errors["leave_after_click"])
    assert len(order) == len(log)
    report = slate_fidelity(alone.calibration.world(force=True), alone)
    assert "slates a session: single slates are held out, not sessions" in report.left_out
    assert alone.calibration.notes[0] in report.notes


def test_an_item_shown_twice_is_an_empty_slot_the_second_time(fit):
    log = fit.log
    row = int(np.flatnonzero(log.clicked.argmax(axis=1) < 3)[0])
    assert not log.clicked[row, 4]
    slate = log.slate.copy()
    slate[row, 4] = slate[row, 0]
    again = fit_slates(replace(log, slate=slate), dimension=6)
    assert again.log.slate[row, 4] == -1
    assert np.array_equal(np.delete(again.log.slate, row, 0), np.delete(log.slate, row, 0))
    clicked = log.clicked.copy()
    clicked[row] = [False] * 4 + [True]
    with pytest.raises(InputError, match=rf"clicked\[{row}, 4\] is a click on item {slate[row, 0]}, which"):
        fit_slates(replace(log, slate=slate, clicked=clicked))


def test_bad_input(fit):
    log = fit.log
    with pytest.raises(InputError, match="there is no click model 'cascad': did you mean cascade"):
        fit_slates(log, "cascad")
    with pytest.raises(InputError, match="clicks must be a model in which items attract, got 'rank_click"):
        fit_slates(log, "rank_click_through_rate")
    clicked = log.clicked.copy()
    clicked[5:7, :2] = True
    with pytest.raises(
        InputError, match=r"clicks='cascade' cannot make the clicks of .* choose a model that"
    ):
        fit_slates(replace(log, clicked=clicked))
    fit_slates(replace(log, clicked=clicked), "dependent_click", 4)
    with pytest.raises(InputError, match="log must hold a click, got none"):
        fit_slates(replace(log, clicked=np.zeros_like(clicked)))
    with pytest.raises(InputError, match="log must hold an item that was shown and not clicked, got none"):
        fit_slates(replace(log, clicked=log.slate >= 0), "position_based")
    with pytest.raises(InputError, match="log must hold at least two users, got one, 3"):
        fit_slates(log.rows(log.user == 3))
    one_item = np.where(np.arange(5) == 0, 7, -1) + np.zeros((len(log), 1), int)
    with pytest.raises(InputError, match="log must hold at least two items, got one, 7"):
        fit_slates(replace(log, slate=one_item, clicked=log.clicked & (one_item >= 0)))
    with pytest.raises(InputError, match=r"dimension must be from 1 to 100, for .* users and 100 items"):
        fit_slates(log, dimension=101)
    with pytest.raises(InputError, match="dimension must be from 1 to 20, for 20 users"):
        fit_slates(log.rows(log.user < 20), dimension=21)
    first_click = int(np.flatnonzero(log.clicked.any(axis=1))[0])
    lonely = np.zeros_like(log.clicked)
    lonely[first_click] = log.clicked[first_click]
    with pytest.raises(InputError, match=r"the (fitted|held-out) sessions, .* slates, hold no click"):
        fit_slates(replace(log, clicked=lonely))


def test_broken_files(fit, tmp_path):
    with pytest.raises(InputError, match=r"must be a directory with calibration.json.*--world SlateRec-v0"):
        gym.make("SlateRec-v0", calibration=tmp_path / "nowhere")
    fit.calibration.save(tmp_path)
    good = {name: (tmp_path / name).read_bytes() for name in ("calibration.json", "calibration.npz")}
    with pytest.raises(InputError, match=r"is of world 'SlateRec-v0' .* needed are 'RepeatListen-v0'"):
        ListeningCalibration.load(tmp_path)
    document = json.loads(good["calibration.json"])
    for change, message in (
        ({"schema": 99}, "schema 99, needed are 'SlateRec-v0' and 1: make it with"),
        ({"clicks": "telepathy"}, "holds no readable calibration .*telepathy.*make it with"),
        ({"clicks": "position_based"}, "holds no readable calibration .*clicks_examination"),
        ({"intercept": "high"}, "holds no readable calibration"),
    ):
        (tmp_path / "calibration.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(InputError, match=message):
            SlateCalibration.load(tmp_path)
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(InputError, match="holds no readable calibration"):
        SlateCalibration.load(tmp_path)
    (tmp_path / "calibration.json").write_bytes(good["calibration.json"])
    for broken in (b"broken", good["calibration.npz"][:500]):
        (tmp_path / "calibration.npz").write_bytes(broken)
        with pytest.raises(InputError, match=r"holds no readable calibration .*make it with: recsim-env cal"):
            SlateCalibration.load(tmp_path)
    np.savez(tmp_path / "calibration.npz", interest=np.array([{}], object))
    with pytest.raises(InputError, match="holds no readable calibration"):  # nothing is unpickled
        SlateCalibration.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "field", "change", "complaint"),
    [
        (
            "npz",
            "interest",
            lambda a: np.where(a == a.max(), np.nan, a),
            "must be a number that is finite, got",
        ),
        ("npz", "interest", lambda a: a.astype(str), "must hold numbers, got <U"),
        ("npz", "features", lambda a: a[:, :2], r"must have shape (1 or more, 6), got (100, 2)"),
        ("npz", "features", lambda a: a[:0], r"must have shape (1 or more, 6), got (0, 6)"),
        ("npz", "quality", lambda a: np.append(a, 0.0), "must have shape (100), got (101,)"),
        ("npz", "quality", lambda a: np.full(100, np.inf), "must be a number that is finite, got inf"),
        ("npz", "popularity", lambda a: 2 * a, "must sum to 1, got 2"),
        ("npz", "popularity", lambda a: -a, "must be a number of at least 0 and at most 1, got -0.0"),
        ("npz", "user_ids", lambda a: a[:-1], "must have shape (200), got (199,)"),
        ("npz", "item_ids", lambda a: a.astype(float), "must hold integers, got float64"),
        ("npz", "item_ids", lambda a: a - 1, "must be a number of at least 0, got -1"),
        ("npz", "clicks_examination", lambda a: a[:3], "must have shape (5), got (3,)"),
        (
            "npz",
            "clicks_examination",
            lambda a: a + 0.5,
            "must be a number of at least 0 and at most 1, got 1.5",
        ),
        ("npz", "clicks_examination", None, "calibration.npz has no clicks_examination"),
        ("json", "intercept", np.nan, "must be a number that is finite, got nan"),
        ("json", "intercept", "high", "must be a number that is finite, got 'high'"),
        ("json", "sharpness", True, "must be a number of at least 0, got True"),
        ("json", "leave_after_click", 2, "must be a number of at least 0 and at most 1, got 2"),
        ("json", "leave_without_click", 0.0, "must be a number of at least 0.0"),
        ("json", "slate_size", 2.5, "must be a whole number of at least 1 and at most 100, got 2.5"),
        (
            "json",
            "slate_size",
            [0] * 10**5,
            "must be a whole number of at least 1 and at most 100, got [0, 0,",
        ),
        ("json", "horizon", 0, "must be a whole number of at least 1, got 0"),
        ("json", "problems", "none", "must be a list of texts, got 'none'"),
        ("json", "notes", None, "calibration.json has no notes"),
    ],
)
def test_broken_fields_are_named(file, field, change, complaint, fit, tmp_path):
    clicks = CLICK_MODELS["position_based"].default(5)
    replace(fit.calibration, clicks=clicks, click_name="position_based").save(tmp_path)
    if file == "npz":
        arrays = dict(np.load(tmp_path / "calibration.npz"))
        value = arrays.pop(field)
        np.savez(tmp_path / "calibration.npz", **arrays, **({field: change(value)} if change else {}))
    else:
        document = json.loads((tmp_path / "calibration.json").read_text())
        document[field] = change
        if change is None:
            del document[field]
        (tmp_path / "calibration.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=re.escape(complaint)) as caught:
        gym.make("SlateRec-v0", calibration=tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path} holds no readable calibration (")
    assert field in said
    assert f"calibration.{file}" in said
    assert len(said) < 400


def test_the_command_writes_the_calibration_and_the_report(tmp_path, capsys):
    log, out = tmp_path / "log.parquet", tmp_path / "fit"
    small = {"num_items": 40, "num_users": 60, "slate_size": 4, "intercept": -2.0, "num_categories": 4}
    env_args = [f"--env-arg={name}={value}" for name, value in small.items()]
    make = ["log", "SlateRec-v0", "--agent", "random", "--steps", "60", "--num-envs", "60", *env_args]
    assert main([*make, "--out", str(log)]) == 0
    arguments = ["calibrate", str(log), "--world", "SlateRec-v0", "--out"]
    capsys.readouterr()
    assert main([*arguments, str(out), "--dimension", "4"]) == 0
    shown = capsys.readouterr().out
    for words in ("sharpness", "+-", "cascade", "slates a session", "repeat ratio"):
        assert words in shown
    assert {path.name for path in out.iterdir()} == {
        "calibration.json",
        "calibration.npz",
        "fidelity.md",
        "fidelity.csv",
        "fidelity.png",
    }
    env = gym.make("SlateRec-v0", calibration=out).unwrapped
    assert (env.world.num_users, env.world.num_items, env.world.horizon) == (60, 40, 20)
    for more, message in (
        ([str(out)], "is there already"),
        ([str(tmp_path / "x"), "--clock", "days"], "--clock is not for SlateRec-v0"),
        ([str(tmp_path / "x"), "--dimension", "0"], "dimension must be from 1 to 40"),
        ([str(tmp_path / "x"), "--clicks", "casc"], "there is no click model 'casc'"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    browsing = [*arguments, str(tmp_path / "browsing"), "--dimension", "4", "--clicks", "user_browsing"]
    assert main([*browsing, "--force"]) == 0
    assert "examination         4 x 4, in calibration.npz" in capsys.readouterr().out
    listening = ["calibrate", "complete-journey", "--world", "RepeatListen-v0", "--out", str(tmp_path / "x")]
    assert main([*listening, "--clicks", "cascade"]) == 2
    assert "--clicks is not for RepeatListen-v0: leave it out" in capsys.readouterr().err
    assert main(["calibrate", "nowhere.parquet", *arguments[2:], str(tmp_path / "x")]) == 2
    assert "nowhere.parquet does not exist" in capsys.readouterr().err
    places = tmp_path / "places.parquet"
    assert main([*make, "--env-arg=candidates=20", "--out", str(places)]) == 0
    assert main(["calibrate", str(places), *arguments[2:], str(tmp_path / "y"), "--dimension", "4"]) == 0
    calibration = SlateCalibration.load(tmp_path / "y")
    assert calibration.item_ids.tolist() == list(range(40))
    assert len(calibration.user_ids) == 60


def test_the_command_takes_any_log_and_refuses_a_fit_that_is_not_to_be_trusted(tmp_path, capsys):
    rng = np.random.default_rng(3)
    log = Log(
        user=np.repeat(np.arange(50), 40),
        time=np.tile(np.arange(40.0), 50),
        slate=np.argsort(rng.random((2000, 30)), axis=1)[:, :4],
        clicked=np.arange(4) == rng.integers(0, 12, 2000)[:, None],
    )
    write_log(log, tmp_path / "log.parquet")
    arguments = ["calibrate", str(tmp_path / "log.parquet"), "--world", "SlateRec-v0"]
    arguments += ["--dimension", "4", "--out", str(tmp_path / "fit")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "WARNING: " in said
    assert "note: the log has no column episode" in said
    assert "this fit is not to be trusted" in said
    assert "give a longer log, or add --force to write it all the same" in said
    assert not (tmp_path / "fit").exists()
    assert main([*arguments, "--force"]) == 0
    assert (tmp_path / "fit" / "fidelity.md").is_file()
    write_log(replace(log, metadata={"env_id": "Nowhere-v0"}), tmp_path / "log.parquet")
    assert main([*arguments[:-1], str(tmp_path / "x")]) == 2
    assert "there is no environment 'Nowhere-v0'" in capsys.readouterr().err


def test_the_command_refuses_slates_in_the_future_unless_their_clock_is_simulated(tmp_path, capsys):
    log = _generated(slate_rec(**WORLD), 20, 60)
    late = int(np.argmax(log.user)) - 1  # the last of the first user
    log = replace(log, time=np.where(np.arange(len(log)) == late, 4_102_444_800.0, log.time))
    path = tmp_path / "log.parquet"
    arguments = ["calibrate", str(path), "--world", "SlateRec-v0", "--dimension", "4", "--out"]
    write_log(replace(log, metadata={}), path)
    assert main([*arguments, str(tmp_path / "fit")]) == 2
    refused = capsys.readouterr().err
    future = f"rows in the future: 1 of 1,200, such as row {late} by user and time (user {log.user[late]}, "
    assert f"this log is not to be trusted ({future}time 4102444800, slate [" in refused
    assert main([*arguments, str(tmp_path / "fit"), "--force"]) == 0
    assert f"WARNING: {future}" in capsys.readouterr().err
    assert SlateCalibration.load(tmp_path / "fit").problems[0].startswith(future)
    assert f"\n- NOT TO BE TRUSTED: {future}" in (tmp_path / "fit" / "fidelity.md").read_text()
    with pytest.raises(InputError, match="not to be trusted"):
        gym.make("SlateRec-v0", calibration=tmp_path / "fit")
    write_log(replace(log, metadata={"env_id": "SlateRec-v0", "env_args": WORLD}), path)
    main([*arguments, str(tmp_path / "simulated")])
    assert "in the future" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"env_args": {"colour": 3}}, "no parameter 'colour'"),
        ({"env_args": {"world_seed": -1}}, "world_seed"),
        ({"env_args": {"max_episode_steps": 3}}, "no parameter 'max_episode_steps'"),
        ({"env_args": [["num_items", 40]]}, "env_args in its metadata must be parameters by name, got [["),
        ({"env_args": "num_items"}, "env_args in its metadata must be parameters by name, got 'num_items'"),
        ({"env_args": None}, "env_args in its metadata must be parameters by name, got None"),
        ({"env_args": {**WORLD, "num_items": 30}}, "is not an item: the catalogue has 30 items"),
        (
            {"env_args": {}},
            "slates must have 10 slots, as in this world, got 5: the log was made with another",
        ),
        ({"env_args": {**WORLD, "world_seed": 1}}, "is not what this world gives"),
        ({"num_items": 20}, "is not an item: the catalogue has 20 items (0-19)"),
    ],
)
def test_logs_that_are_not_what_their_metadata_say(metadata, message, tmp_path, capsys):
    log = _generated(slate_rec(**WORLD), 5, 20)
    path = tmp_path / "log.parquet"
    named = {**log.metadata, "env_id": "SlateRec-v0", "env_args": WORLD, **metadata}
    write_log(replace(log, metadata=named), path)
    assert main(["calibrate", str(path), "--world", "SlateRec-v0", "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert f"recsim-env: {path}: " in said
    assert message in said
    assert not (tmp_path / "x").exists()
