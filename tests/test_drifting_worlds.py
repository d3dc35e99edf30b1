"""InterestDrift, BoredUser and GroupSlate against plain Python, brute force and closed forms."""

from itertools import pairwise, permutations, product

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bored_user import bored_user
from recsim_env.simulators.worlds.group_slate import group_slate
from recsim_env.simulators.worlds.interest_drift import interest_drift
from recsim_env.simulators.worlds.world import repeat_rows, take_rows
from recsim_env.user_models.preferences import GaussianProcess

B = 40


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def new_items(slate):
    return [a >= 0 and a not in list(slate[:k]) for k, a in enumerate(slate)]


def random_slates(world, rng, rows=B):
    """With empty slots and items shown twice."""
    slates = rng.integers(-1, world.num_items, (rows, world.slate_size))
    slates[:, 0] = np.abs(slates[:, 0])
    return slates


def small(build, **parameters):
    given = {"num_items": 30, "slate_size": 4, "dimension": 5}
    given |= {"num_groups": 4} if build is group_slate else {"num_categories": 3, "num_users": 20}
    return build(**{**given, **parameters})


# interest drift


def drift_interest(world, user, day):
    """(B, D) by NumPy's sines and cosines, in double precision."""
    M, D = world.process.num_interests, world.process.dimension
    angle = world.paths.frequency[user] * day[:, None]
    outputs = np.einsum("br,brw->bw", np.cos(angle), world.paths.cosine[user].astype(float))
    outputs += np.einsum("br,brw->bw", np.sin(angle), world.paths.sine[user].astype(float))
    if M > 1:
        weight = np.exp(world.process.sharpness * outputs[:, M * D :])
        weight /= weight.sum(axis=1, keepdims=True)
        outputs = np.einsum("bm,bmd->bd", weight, outputs[:, : M * D].reshape(-1, M, D))
    return world.sharpness * outputs


@pytest.mark.parametrize("num_interests", [1, 3])
@pytest.mark.parametrize("clicks", ["cascade", "position_based", "dynamic_bayesian"])
def test_interest_drift_is_its_plain_twin(num_interests, clicks):
    world = small(interest_drift, num_interests=num_interests, clicks=clicks, intercept=-1.0, gap_shape=1.0)
    luck, rng = Luck.from_seeds(np.arange(B)), np.random.default_rng(0)
    state = world.begin(luck)
    u = luck.uniform("user", (2,))
    user, day = (u[:, 0] * 20).astype(int), u[:, 1] * 10_000.0
    assert np.array_equal(state.user, user)
    offset = -1.0 + world.catalogue.quality
    for h in range(12):
        interest = drift_interest(world, user, day)
        np.testing.assert_allclose(state.interest, interest, atol=3e-5)
        slates = random_slates(world, rng)
        attraction = np.zeros(slates.shape)
        for b, slate in enumerate(slates):
            for k, new in enumerate(new_items(slate)):
                if new:
                    logit = offset[slate[k]] + interest[b] @ world.catalogue.features[slate[k]]
                    attraction[b, k] = sigmoid(logit)
        np.testing.assert_allclose(world.slate_attraction(state, slates), attraction, atol=1e-5)
        at = luck.at(h)
        clicked = world.clicks.sample(
            attraction, at.uniform("click", (world.clicks.draws_per_slot, 4))
        ).clicked
        gap = -np.log1p(-at.uniform("gap")) * 3.0
        state, outcome = world.respond(state, slates, at)
        day = day + gap
        assert np.array_equal(outcome.response.clicked, clicked)
        assert np.array_equal(outcome.reward, clicked.sum(axis=1))
        assert not outcome.left.any()
        np.testing.assert_allclose(state.day, day, rtol=1e-12)
        np.testing.assert_allclose(state.gap, gap, rtol=1e-12)
        seen = world.observe(state)
        np.testing.assert_allclose(seen["days_away"][:, 0], np.minimum(gap, 3650.0), rtol=1e-6)
        assert np.array_equal(seen["slate"], np.where(slates < 0, 30, slates))
        assert np.array_equal(seen["clicked"], clicked)


def test_interests_of_an_episode_move_at_the_stated_pace():
    """The correlation of the interests before and after visits 30 days apart is exp(-1/2)."""
    world = interest_drift(length_scale=30.0, mean_gap=30.0, gap_shape=np.inf, num_users=20_000, dimension=2)
    luck = Luck.from_seeds(np.arange(20_000))
    state = world.begin(luck)
    after, _ = world.respond(state, world.best_slate(state), luck)
    assert (after.gap == 30.0).all()
    product_of = (state.interest[:, 0] * after.interest[:, 0]).astype(float) / world.sharpness**2
    error = product_of.std() / np.sqrt(20_000)
    # the mean is over users drawn with replacement from as many: two sources of error
    assert abs(product_of.mean() - np.exp(-0.5)) < 5 * np.sqrt(2) * error


def test_an_infinite_length_scale_is_a_world_without_drift():
    world = small(interest_drift, length_scale=np.inf)
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    best = world.best_slate(state)
    for h in range(5):
        after, _ = world.respond(state, best, luck.at(h))
        assert np.array_equal(after.interest, state.interest)
        assert np.array_equal(world.best_slate(after), best)
        state = after


# bored users


def bored_twin(world, b_state, slate, u):
    """One user, one step: reward, clicks, and the state changed in place."""
    law, items = world.boredom, world.catalogue
    s, left, history = b_state["satiation"], b_state["left"], b_state["history"]
    attraction = np.zeros((1, len(slate)))
    for k, new in enumerate(new_items(slate)):
        c = items.category[slate[k]]
        if new and left[c] == 0:
            logit = world.intercept + items.quality[slate[k]] + b_state["interest"] @ items.features[slate[k]]
            attraction[0, k] = sigmoid(logit - world.satiation.factor * s[c])
    clicked = world.clicks.sample(attraction, u[None]).clicked[0]
    b_state["left"] = left = [max(n - 1, 0) for n in left]
    for item, click in zip(slate, clicked, strict=True):
        if click:
            c = items.category[item]
            s[c] += 1.0
            history.append(c)
            if history[-law.window :].count(c) >= law.threshold:
                left[c] = law.duration
    b_state["satiation"] = [world.satiation.memory * value for value in s]
    reward = clicked.sum()
    b_state["patience"] = min(
        b_state["patience"] - world.patience.cost + world.patience.refund * reward, world.patience.budget
    )
    return attraction[0], clicked, reward


@pytest.mark.parametrize("clicks", ["position_based", "cascade", "document_click_through_rate"])
def test_bored_user_is_its_plain_twin(clicks):
    world = small(
        bored_user, clicks=clicks, intercept=-0.5, threshold=3, window=6, duration=4, patience=6.0, refund=0.5
    )
    luck, rng = Luck.from_seeds(np.arange(B)), np.random.default_rng(1)
    state = world.begin(luck)
    twins = [
        {
            "interest": world.interest[user].astype(float),
            "satiation": [0.0] * 3,
            "left": [0] * 3,
            "history": [],
            "patience": 6.0,
        }
        for user in (luck.uniform("user") * 20).astype(int)
    ]
    left, bored = [], 0
    for h in range(40):
        slates = random_slates(world, rng) if h % 2 else world.best_slate(state)
        at = luck.at(h)
        u = at.uniform("click", (world.clicks.draws_per_slot, 4))
        attraction = world.slate_attraction(state, slates)
        after, outcome = world.respond(state, slates, at)
        for b, twin in enumerate(twins):
            a, clicked, reward = bored_twin(world, twin, slates[b], u[b])
            np.testing.assert_allclose(attraction[b], a, atol=1e-5)
            assert np.array_equal(outcome.response.clicked[b], clicked)
            assert outcome.reward[b] == reward
            assert outcome.left[b] == (twin["patience"] <= 1e-9)
            np.testing.assert_allclose(after.satiation[b], twin["satiation"], rtol=1e-12)
            assert after.boredom.left[b].tolist() == twin["left"]
            assert after.patience[b] == pytest.approx(twin["patience"], abs=1e-12)
        state = after
        seen = world.observe(state)
        assert np.array_equal(seen["bored"], state.boredom.left > 0)
        bored += int(seen["bored"].sum())
        left.append(outcome.left.copy())
    assert bored > 0
    assert np.array(left).any()
    assert not np.array(left)[:5].any()  # nobody leaves before the patience can be used up


def test_a_boring_topic_is_worth_nothing_and_the_best_slate_avoids_it():
    world = small(bored_user, num_items=30, slate_size=10)
    state = world.begin(Luck.from_seeds(np.arange(B)))
    left = np.zeros((B, 3), np.int64)
    left[:, 1] = 2
    state = state._replace(boredom=state.boredom._replace(left=left))
    boring = np.flatnonzero(world.catalogue.category == 1)[None, :10].repeat(B, axis=0)
    assert (world.slate_attraction(state, boring) < 1e-300).all()
    assert (world.expected_reward(state, boring) < 1e-299).all()
    assert not (world.catalogue.category[world.best_slate(state)] == 1).any()
    everything = state._replace(boredom=state.boredom._replace(left=np.ones((B, 3), np.int64)))
    best, shown = world.values(everything, boring)
    assert (best < 1e-299).all()
    assert (shown < 1e-299).all()


def test_varied_slates_keep_users_who_would_tire_of_the_same_one():
    """Over an episode the same slate again and again earns less than slates of changing topics."""
    world = bored_user(num_users=200, horizon=60)
    luck = Luck.from_seeds(np.arange(200))
    state = world.begin(luck)
    same = world.best_slate(state)
    earned = np.zeros((2, 200))
    for policy in range(2):
        state, here = world.begin(luck), np.ones(200, bool)
        for h in range(60):
            slates = same if policy == 0 else world.best_slate(state)
            state, outcome = world.respond(state, slates, luck.at(h))
            earned[policy] += here * outcome.reward
            here &= ~outcome.left
    gain = earned[1] - earned[0]
    assert gain.mean() > 5 * gain.std() / np.sqrt(200)


# grouped slates


def group_twin(world, z, slate, u):
    """Which slot is clicked, or None, and P(no click)."""
    weight = [
        np.exp(-np.linalg.norm(z - world.catalogue.features[item])) if new else 0.0
        for item, new in zip(slate, new_items(slate), strict=True)
    ]
    none = np.exp(world.choice.no_click_logit)
    mark, total = u * (sum(weight) + none), 0.0
    for k, w in enumerate(weight):
        if total <= mark < total + w:
            return k, none / (sum(weight) + none)
        total += w
    return None, none / (sum(weight) + none)


def gated_move(weights, h, x):
    """The equations of the unit, one user."""
    W_ir, W_hr, W_iu, W_hu, W_in, W_hn = weights.astype(float)
    r, u = sigmoid(W_ir @ x + W_hr @ h), sigmoid(W_iu @ x + W_hu @ h)
    n = np.tanh(W_in @ x + r * (W_hn @ h))
    return (1.0 - u) * n + u * h


@pytest.mark.parametrize("user", ["linear", "gated"])
def test_group_slate_is_its_plain_twin(user):
    world = small(group_slate, user=user, keep=0.3, no_click_logit=-1.5)
    luck, rng = Luck.from_seeds(np.arange(B)), np.random.default_rng(2)
    state = world.begin(luck)
    m = 6.0
    z = world.centres[(luck.uniform("group") * 4).astype(int)].astype(float)
    clicks = 0
    for step in range(25):
        np.testing.assert_allclose(world.user.preference(state.hidden), z, atol=2e-5)
        slates, at = random_slates(world, rng), luck.at(step)
        u = at.uniform("choice")
        expected = world.expected_reward(state, slates)
        state, outcome = world.respond(state, slates, at)
        for b in range(B):
            slot, none = group_twin(world, z[b], slates[b], u[b])
            assert expected[b] == pytest.approx(1.0 - none, abs=1e-3)  # distances near 0 are rounded
            assert outcome.slate_value[b] == expected[b]
            assert outcome.response.clicked[b].tolist() == [k == slot for k in range(4)]
            assert outcome.reward[b] == (slot is not None)
            if slot is not None:
                clicks += 1
                v = world.catalogue.features[slates[b, slot]].astype(float)
                z[b] = (
                    0.3 * z[b] + 0.7 * v
                    if user == "linear"
                    else m * gated_move(world.user.weights, z[b] / m, v / m)
                )
        assert not outcome.left.any()
    assert 100 < clicks < 25 * B


@pytest.mark.parametrize("user", ["linear", "gated"])
def test_clicks_draw_users_towards_what_they_clicked(user):
    world = small(group_slate, user=user)
    state = world.begin(Luck.from_seeds(np.arange(B)))
    item = world.catalogue.features[np.random.default_rng(3).integers(0, 30, B)]
    hidden, far = state.hidden, np.linalg.norm(world.user.preference(state.hidden) - item, axis=1)
    for _ in range(20):
        hidden = world.user.move(hidden, item)
    near = np.linalg.norm(world.user.preference(hidden) - item, axis=1)
    assert near.mean() < 0.5 * far.mean()
    if user == "linear":
        np.testing.assert_allclose(near, far * 0.5**20, atol=1e-4)


def test_keep_one_is_a_user_who_does_not_move():
    world = small(group_slate, keep=1.0, no_click_logit=-5.0)
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    after, outcome = world.respond(state, world.best_slate(state), luck)
    assert outcome.reward.any()
    assert np.array_equal(after.hidden, state.hidden)


# the best slate and expectations


@pytest.mark.parametrize("build", [interest_drift, bored_user, group_slate])
def test_the_best_slate_is_the_best_of_all_by_the_plain_formula(build):
    K, others = 3, {} if build is group_slate else {"clicks": "position_based"}
    world = small(build, num_items=7, slate_size=K, **others)
    luck = Luck.from_seeds(np.arange(8))
    state = world.begin(luck)
    for h in range(6):
        lists = [s for n in range(1, K + 1) for s in permutations(range(7), n)]
        values = world.values(state, world.best_slate(state))
        for b in range(8):
            items = np.arange(7)[None]
            alone = take_rows(state, np.array([b]))
            if build is group_slate:
                z = world.user.preference(alone.hidden)[0]
                w = np.exp(-np.linalg.norm(z - world.catalogue.features, axis=1))
                none = np.exp(world.choice.no_click_logit)
                best = max(1.0 - none / (none + w[list(s)].sum()) for s in lists)
            else:
                a = world.slate_attraction(alone, items)[0]
                theta = world.clicks.examination
                best = max(sum(theta[k] * a[i] for k, i in enumerate(s)) for s in lists)
            assert values[0][b] == pytest.approx(best, abs=1e-3 if build is group_slate else 1e-9)
            assert values[1][b] == pytest.approx(values[0][b], abs=1e-9)
        state, _ = world.respond(state, world.best_slate(state), luck.at(h))


@pytest.mark.parametrize("build", [interest_drift, bored_user])
@pytest.mark.parametrize("clicks", ["cascade", "user_browsing", "dependent_click", "click_chain"])
def test_the_expected_reward_sums_over_all_click_patterns(build, clicks):
    world = small(build, clicks=clicks, intercept=-0.5)
    state = world.begin(Luck.from_seeds(np.arange(B)))
    slates = random_slates(world, np.random.default_rng(4))
    attraction, exact = world.slate_attraction(state, slates), np.zeros(B)
    for pattern in product([False, True], repeat=4):
        clicked = np.broadcast_to(np.array(pattern), slates.shape)
        exact += sum(pattern) * np.exp(world.clicks.log_prob(attraction, clicked))
    np.testing.assert_allclose(world.expected_reward(state, slates), exact, atol=1e-10)


@pytest.mark.parametrize("build", [interest_drift, bored_user, group_slate])
def test_expected_rewards_are_exact_in_the_middle_of_an_episode(build):
    """Against 40,000 samples, after ten slates that moved, sated or bored the user."""
    world, n = small(build), 40_000
    luck, rng = Luck.from_seeds([5]), np.random.default_rng(5)
    state = world.begin(luck)
    for h in range(10):
        state, _ = world.respond(state, world.best_slate(state), luck.at(h))
    slates = random_slates(world, rng, 1)
    _, outcome = world.respond(repeat_rows(state, n), slates.repeat(n, axis=0), Luck.from_seeds(np.arange(n)))
    exact = world.expected_reward(state, slates)[0]
    error = np.sqrt(max(outcome.reward.var(), exact) / n)
    assert abs(outcome.reward.mean() - exact) < 5 * error + 1e-12


@pytest.mark.parametrize("build", [interest_drift, bored_user, group_slate])
def test_respond_changes_nothing_that_it_is_given(build):
    world = small(build)
    luck = Luck.from_seeds(np.arange(B))
    state = world.begin(luck)
    slates = random_slates(world, np.random.default_rng(6))
    before = [leaf.copy() for leaf in _leaves(state)], slates.copy()
    world.respond(state, slates, luck)
    assert all(np.array_equal(a, b) for a, b in zip(_leaves(state), before[0], strict=True))
    assert np.array_equal(slates, before[1])


def _leaves(value):
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, tuple) else [value]


BAD = [
    (interest_drift, {"length_scale": 0.0}, "length_scale must be above 0, got 0.0"),
    (interest_drift, {"num_users": 0}, "num_users must be at least 1, got 0"),
    (interest_drift, {"sharpness": -1.0}, "sharpness must be 0 or more and finite, got -1.0"),
    (interest_drift, {"sharpness": np.inf}, "sharpness must be 0 or more and finite, got inf"),
    (interest_drift, {"intercept": np.nan}, "intercept must be finite, got nan"),
    (interest_drift, {"mean_gap": -3.0}, "mean_gap must be above 0 and finite, got -3.0"),
    (interest_drift, {"gap_shape": 0.0}, "shape must be above 0, got 0.0"),
    (interest_drift, {"clicks": "cascad"}, "there is no click model 'cascad': did you mean cascade"),
    (
        interest_drift,
        {"slate_size": 201},
        r"slate_size must be from 1 to the number of items \(200\), got 201",
    ),
    (interest_drift, {"horizon": 0}, "horizon must be at least 1, got 0"),
    (interest_drift, {"candidates": 5}, r"candidates must be from the slate size \(10\)"),
    (interest_drift, {"num_categories": 0}, "num_categories must be from 1"),
    (interest_drift, {"num_interests": 0}, "num_interests must be at least 1, got 0"),
    (interest_drift, {"dimension": 0}, "dimension must be at least 1, got 0"),
    (bored_user, {"sharpness": np.nan}, "sharpness must be 0 or more and finite, got nan"),
    (bored_user, {"intercept": np.inf}, "intercept must be finite, got inf"),
    (bored_user, {"satiation_factor": -1.0}, "factor must be 0 or more and finite, got -1.0"),
    (bored_user, {"satiation_memory": 1.0}, "memory must be from 0 to below 1, got 1.0"),
    (bored_user, {"threshold": 11}, r"threshold must be from 1 to the window \(10\), got 11"),
    (bored_user, {"duration": 0}, "duration must be at least 1, got 0"),
    (bored_user, {"patience": 0.0}, "patience must be above 0 and finite, got 0.0"),
    (bored_user, {"refund": -1.0}, "refund must be 0 or more and finite, got -1.0"),
    (bored_user, {"num_users": 0}, "num_users must be at least 1, got 0"),
    (bored_user, {"horizon": 0}, "horizon must be at least 1, got 0"),
    (group_slate, {"num_groups": 0}, r"num_groups must be from 1 to the number of items \(1000\), got 0"),
    (group_slate, {"num_items": 0}, "num_items must be at least 1, got 0"),
    (group_slate, {"dimension": 0}, "dimension must be at least 1, got 0"),
    (group_slate, {"radius": 0.0}, "radius must be from 0.001 to 500, got 0.0"),
    (group_slate, {"radius": np.inf}, "radius must be from 0.001 to 500, got inf"),
    (group_slate, {"keep": 1.5}, "keep must be from 0 to 1, got 1.5"),
    (group_slate, {"user": "gru"}, "user must be linear or gated, got 'gru'"),
    (group_slate, {"no_click_logit": np.inf}, "no_click_logit must be finite, got inf"),
    *((build, {"slate_size": 0}, "slate_size must be from 1") for build in (bored_user, group_slate)),
    (interest_drift, {"slate_size": -1}, "slate_size must be from 1"),
]


@pytest.mark.parametrize(("build", "parameters", "message"), BAD)
def test_bad_parameters(build, parameters, message):
    with pytest.raises(InputError, match=message):
        build(**parameters)


# what drift is for


def regret_per_visit(length_scale, window, visits=2000, users=150, arms=5):
    """(users,) of Thompson sampling on Bernoulli arms sigmoid(2 x_k(t)), which forgets what is older."""
    rng = np.random.default_rng(7)
    process = GaussianProcess(arms, length_scale)
    paths = process.paths(rng.standard_normal((users, process.num_normals)))
    who, rows = np.arange(users), np.arange(users)
    clicks, misses = np.ones((2, users, arms))  # Beta(1, 1) priors
    chosen, clicked, regret = np.zeros((visits, users), int), np.zeros((visits, users), bool), np.zeros(users)
    for t in range(visits):
        p = sigmoid(2.0 * process.interest(paths, who, np.full(users, float(t))))
        arm = chosen[t] = rng.beta(clicks, misses).argmax(axis=1)
        click = clicked[t] = rng.random(users) < p[rows, arm]
        clicks[rows, arm] += click
        misses[rows, arm] += ~click
        if t >= window:
            old = chosen[t - window], clicked[t - window]
            clicks[rows, old[0]] -= old[1]
            misses[rows, old[0]] -= ~old[1]
        regret += p.max(axis=1) - p[rows, arm]
    return regret / visits


def test_faster_drift_costs_who_remembers_for_ever_and_hardly_who_forgets():
    """Regret per visit of Thompson sampling over length scales (visits), with and without a window.

    Measured: 0.010, 0.023, 0.098 without a window, 0.051, 0.052, 0.055 with one of 100 visits.
    """
    scales = [np.inf, 2000.0, 500.0]
    remembers = [regret_per_visit(scale, window=10**9) for scale in scales]
    forgets = [regret_per_visit(scale, window=100) for scale in scales]
    for slow, fast in pairwise(remembers):
        error = np.sqrt((slow.var() + fast.var()) / len(slow))
        assert fast.mean() > slow.mean() + 5 * error
    rise, rise_with_window = (r[-1].mean() - r[0].mean() for r in (remembers, forgets))
    assert rise_with_window < 0.25 * rise
    assert forgets[-1].mean() < 0.6 * remembers[-1].mean()  # forgetting pays where there is drift
    assert forgets[0].mean() > 2.0 * remembers[0].mean()  # and costs where there is none
