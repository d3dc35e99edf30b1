"""The slate recommender of Eide et al.: likelihood, user states, posterior, slates, what exploring earns."""

import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.dynamic_slate import DynamicSlate
from recsim_env.agents.bandits.slate_fit import Schedule, episodes_of, fit_posterior
from recsim_env.agents.bandits.slate_likelihood import log_likelihood, uniform_candidates
from recsim_env.agents.bandits.slate_posterior import PRIORS, USED, SlatePosterior, shared_kl
from recsim_env.agents.bandits.slate_user_state import (
    FLOOR,
    UNIT,
    USER_STATES,
    click_weights,
    first_state,
    preference_of,
    preferences,
)
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import checkpoint
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.slate_exploration import differences
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.group_slate import group_slate
from recsim_env.simulators.worlds.grouped import GatedUser, LinearUser
from recsim_env.user_models.choices import MultinomialLogit

N, K, D, H = 60, 4, 3, 10
WORLD = group_slate(num_items=N, slate_size=K, num_groups=6, dimension=D, horizon=H, no_click_logit=0.0)
QUICK = Schedule(epochs=3)


def random_log(world, users, seed=0):
    policy = RandomSlates(world.num_items, world.slate_size)
    return next(generate_log(world, policy, world.horizon, num_users=users, seed=seed, piece_rows=10**9))


def make(B=1, world=WORLD, **options):
    settings = {"group": world.catalogue.category, "dimension": D, "schedule": QUICK, **options}
    return DynamicSlate(B, world.num_items, world.slate_size, world.horizon, **settings)


def drive(world, agent, seeds, episodes=1, learn=True):
    """Slates and clicks of every step, (episodes, H, B, K) both."""
    found = []
    for e in range(episodes):
        user = Luck.from_seeds(seeds).of_episode(e)
        mine = Luck.from_seeds([s + (1 << 40) for s in seeds]).of_episode(e)
        state = world.begin(user)
        observation = world.observe(state)
        for h in range(world.horizon):
            slates = agent.act(observation, mine.at(h))
            state, o = world.respond(state, slates, user.at(h))
            after = world.observe(state)
            over = np.full(len(seeds), h + 1 == world.horizon)
            if learn:
                agent.update(Transition(observation, slates, *o.response, o.reward, after, o.left, over))
            found.append((slates, o.response.clicked))
            observation = after
    slates, clicked = (
        np.array(x).reshape(episodes, world.horizon, len(seeds), -1) for x in zip(*found, strict=True)
    )
    return slates, clicked


@pytest.fixture(scope="module")
def fitted():
    """A greedy and an in-slate recommender of one fit, and the log behind it."""
    pytest.importorskip("torch")
    log = random_log(WORLD, 40)
    return {
        how: make(explore=how, refit_every=0).fit(log, progress=False)
        for how in ("greedy", "in_slate", "thompson")
    }


# the likelihood


@pytest.mark.extra
def test_likelihood_is_the_multinomial_logit_and_sums_to_one():
    torch = pytest.importorskip("torch")

    rng = np.random.default_rng(0)
    items, z = rng.normal(size=(30, D)), rng.normal(size=(50, D))
    slate = np.array([rng.permutation(30)[:5] for _ in range(50)])
    length = rng.integers(1, 6, 50)
    slate[np.arange(5) >= length[:, None]] = -1
    bias = rng.normal(size=6)
    utility = -np.linalg.norm(z[:, None] - items[np.maximum(slate, 0)], axis=2)
    total = np.zeros(50)
    for slot in range(-1, 5):
        found = log_likelihood(
            *map(torch.as_tensor, (z, items, slate, np.full(50, slot), bias))
        ).numpy()  # fmt: skip
        clicked = np.arange(5) == np.full((50, 1), slot)
        for row in range(50):
            law = MultinomialLogit(float(bias[length[row]]))
            row_of = [x[row : row + 1] for x in (utility, slate >= 0, clicked)]
            assert_allclose(found[row], law.log_prob(*row_of)[0], atol=1e-6)
        total += np.exp(found)
    assert_allclose(total, 1.0, atol=1e-9)


@pytest.mark.extra
def test_pads_are_ignored():
    torch = pytest.importorskip("torch")

    items = torch.randn(6, D, generator=torch.Generator().manual_seed(1), requires_grad=True)
    z, bias = torch.zeros(1, 2, D), torch.tensor([9.0, 0.3, -0.2, 0.5, 0.1])
    short = log_likelihood(z, items, torch.tensor([[[3, 1], [-1, -1]]]), torch.tensor([[1, -1]]), bias)
    long = log_likelihood(
        z, items, torch.tensor([[[-1, 3, -1, 1], [-1, -1, -1, -1]]]), torch.tensor([[3, -1]]), bias
    )
    assert_allclose(short.detach(), long.detach(), rtol=1e-6)
    assert float(long[0, 1].detach()) == 0.0  # a slate that is not there says nothing
    long.sum().backward()
    assert torch.isfinite(items.grad).all()
    assert (items.grad[[0, 2, 4, 5]] == 0).all()  # -1 is no item, neither the first nor the last


@pytest.mark.extra
def test_uniform_candidates_keep_the_click_alone():
    torch = pytest.importorskip("torch")

    slate = torch.tensor([[7, 8, 9, -1]]).repeat(8000, 1)
    click = torch.tensor([1, -1]).repeat(4000)
    found = uniform_candidates(slate, click, 10, torch.Generator().manual_seed(0)).numpy()
    assert (found[:, 3] == -1).all()
    assert (found[::2, 1] == 8).all()
    drawn = np.concatenate([found[:, 0], found[:, 2], found[1::2, 1]])
    counts = np.bincount(drawn, minlength=10)
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000 * 0.9)


# user states


def numpy_preferences(kind, first, clicks, keep, gates):
    """(H, D) z before each step, by the formulas; clicks holds vectors or None."""
    h, found = (first / UNIT if kind == "gru" else first), []
    for v in clicks:
        found.append(UNIT * gates[6] @ h if kind == "gru" else h)
        if v is None:
            continue
        if kind == "linear":
            h = keep * h + (1 - keep) * v
        elif kind == "markov":
            h = v
        else:
            x = v / UNIT
            r = 1 / (1 + np.exp(-(gates[0] @ x + gates[1] @ h)))
            u = 1 / (1 + np.exp(-(gates[2] @ x + gates[3] @ h)))
            n = np.tanh(gates[4] @ x + r * (gates[5] @ h))
            h = (1 - u) * n + u * h
    return np.array(found)


@pytest.mark.extra
@pytest.mark.parametrize("kind", USER_STATES)
def test_states_follow_their_formulas_with_and_without_gradients(kind):
    """Tensors and the compiled loop against the formulas, which leave the state alone without a click."""
    torch = pytest.importorskip("torch")

    rng = np.random.default_rng(2)
    items, gates, keep = rng.normal(size=(D, 12)) * 4, rng.normal(size=(7, D, D)), 0.3
    item = np.where(rng.random((5, 9)) < 0.5, rng.integers(0, 12, (5, 9)), -1)
    item[0] = -1  # never a click
    vectors, weight = items.T[np.maximum(item, 0)], click_weights(item)
    mean, sd = first_state(torch.as_tensor(vectors), torch.as_tensor(weight), torch.tensor([0.7]), 1.5)
    noise = rng.normal(size=(5, D))
    first = mean + sd * torch.as_tensor(noise)
    z = preferences(
        kind,
        first,
        torch.as_tensor(vectors),
        torch.as_tensor(item >= 0),
        torch.tensor([keep]).double(),
        torch.as_tensor(gates),
    )
    for e in range(5):
        clicks = [items[:, i] if i >= 0 else None for i in item[e]]
        assert_allclose(z[e], numpy_preferences(kind, first[e].numpy(), clicks, keep, gates), atol=1e-5)
        for t in range(9):  # what acting knows by then
            past = item[e, :t][item[e, :t] >= 0]
            there = click_weights(past[None]) if len(past) else np.zeros((1, 0))
            m, s = first_state(
                torch.as_tensor(items.T[past][None]), torch.as_tensor(there), torch.tensor([0.7]), 1.5
            )
            begin = (m + s * torch.as_tensor(noise[e])).numpy()[0]
            expected = numpy_preferences(kind, begin, [*items.T[past], None], keep, gates)[-1]
            found = preference_of(USER_STATES.index(kind), past, items, keep, gates, 0.7, 1.5, noise[e])
            assert_allclose(found, expected, atol=1e-6)


def test_states_are_those_of_the_worlds_users():
    """An implementation that somebody else wrote: linear and gated users of GroupSlate-v0."""
    rng = np.random.default_rng(3)
    items, gates = rng.normal(size=(D, 8)), rng.normal(size=(7, D, D))
    gates[6] = np.eye(D)
    history, nothing = np.array([2, 5, 5, 0]), np.zeros(D)
    for kind, user in ((0, LinearUser(0.4)), (2, GatedUser(gates[:6].astype(np.float32), UNIT))):
        hidden = user.begin(preference_of(1, history[:0], items, 0.4, gates, 0.0, 0.0, nothing)[None])
        w = np.arange(1, 5.0) ** -4 / (np.arange(1, 5.0) ** -4).sum()
        hidden = user.begin((w @ items.T[history])[None])
        for i in history:
            hidden = user.move(np.float32(hidden), items.T[i][None])
        found = preference_of(kind, history, items, 0.4, gates, 0.0, 0.0, nothing)
        assert_allclose(user.preference(hidden)[0], found, rtol=1e-4)


@pytest.mark.extra
def test_the_first_state_is_read_off_the_first_clicks():
    torch = pytest.importorskip("torch")

    weight = click_weights(np.array([[-1, 4, -1, 9, 1], [-1, -1, -1, -1, -1]]))
    total = 1 + 1 / 16 + 1 / 81
    assert_allclose(weight, [[0, 1 / total, 0, 1 / 16 / total, 1 / 81 / total], [0] * 5])
    v = np.random.default_rng(0).normal(size=(2, 5, D))
    mean, sd = first_state(torch.as_tensor(v), torch.as_tensor(weight), torch.tensor([0.5]), 1.25)
    m = (v[0, 1] + v[0, 3] / 16 + v[0, 4] / 81) / total
    spread = ((v[0, 1] - m) ** 2 + (v[0, 3] - m) ** 2 / 16 + (v[0, 4] - m) ** 2 / 81) / total
    assert_allclose(mean, [m, np.zeros(D)], atol=1e-12)
    assert_allclose(sd, [0.5 * np.sqrt(spread + FLOOR), np.full(D, 1.25)], atol=1e-12)


# the posterior


@pytest.mark.extra
@pytest.mark.parametrize("user_state", USER_STATES)
def test_kl_is_the_expected_log_ratio(user_state):
    """Against draws for what hangs on other unknowns, against torch's closed form for the rest."""
    torch = pytest.importorskip("torch")
    from torch.distributions import Normal, kl_divergence

    posterior = SlatePosterior(np.array([0, 0, 1, 1, 1]), 2, 2, seed=0)
    rng = np.random.default_rng(0)
    for part in posterior.parts().values():
        part.sd = rng.uniform(0.1, 0.4, part.sd.shape).astype(np.float32)
        part.mean = (part.mean + 0.2 * rng.normal(size=part.mean.shape)).astype(np.float32)
    found = float(shared_kl(posterior.tensors(), torch.as_tensor(posterior.group), user_state))
    q = {
        name: Normal(*map(torch.as_tensor, (part.mean, part.sd))) for name, part in posterior.parts().items()
    }
    rest = sum(
        float(kl_divergence(q[name], Normal(*PRIORS[name])).sum())
        for name in ("group_mean", "group_log_scale", *USED[user_state])
    )
    torch.manual_seed(0)
    v, mu, scale = (q[name].sample((200_000,)) for name in ("items", "group_mean", "group_log_scale"))
    prior = Normal(mu[:, posterior.group], scale[:, posterior.group].exp())
    ratio = (q["items"].log_prob(v) - prior.log_prob(v)).sum(dim=(1, 2)).double()
    error = float(ratio.std()) / np.sqrt(len(ratio))
    assert error < 0.05
    assert abs(found - rest - float(ratio.mean())) < 4 * error


class Skewed:
    """Shows some items far oftener than others, as recommenders do."""

    weight = 1.5 * np.random.default_rng(0).normal(size=N)

    def act(self, observation, luck):
        noise = -np.log(-np.log(luck.uniform("skewed", (N,)) + 1e-12))
        return np.argsort(-(self.weight + noise), axis=1)[:, :K].copy()


@pytest.mark.extra
def test_the_slate_likelihood_recovers_the_items_where_some_are_shown_oftener():
    """Correlation of distances between items with the truth, which no rotation changes.

    Of uniformly random slates everything was a candidate alike, and both likelihoods learn as much.
    """
    pytest.importorskip("torch")
    upper = np.triu_indices(N, 1)

    def distances(vectors):
        return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)[upper]

    truth, found = distances(WORLD.catalogue.features), {}
    skewed = next(generate_log(WORLD, Skewed(), H, num_users=300, piece_rows=10**9))
    for name, log in (("random", random_log(WORLD, 300)), ("skewed", skewed)):
        for likelihood in ("slate", "all_items"):
            agent = make(likelihood=likelihood, schedule=Schedule(epochs=15)).fit(log, progress=False)
            found[name, likelihood] = np.corrcoef(distances(agent.posterior.items.mean), truth)[0, 1]
    assert found["skewed", "slate"] > 0.6
    assert found["skewed", "slate"] > found["skewed", "all_items"] + 0.1
    assert abs(found["random", "slate"] - found["random", "all_items"]) < 0.1


@pytest.mark.extra
def test_the_gated_model_learns_items_first_and_then_gates():
    pytest.importorskip("torch")
    slate, click = episodes_of(random_log(WORLD, 40))
    rules = {"likelihood": "slate", "first_scale": 1.5, "seed": 3, "progress": False}
    start, linear, gated = (SlatePosterior(WORLD.catalogue.category, K, D, seed=0) for _ in range(3))
    fit_posterior(linear, slate, click, user_state="linear", schedule=Schedule(epochs=4), **rules)
    losses = fit_posterior(gated, slate, click, user_state="gru", schedule=Schedule(epochs=8), **rules)
    assert len(losses) == 8
    assert_array_equal(gated.items.mean, linear.items.mean)  # the second round leaves them alone
    assert_array_equal(linear.gates.mean, start.gates.mean)
    assert (gated.gates.mean != start.gates.mean).all()
    assert min(losses[4:]) < losses[0]


@pytest.mark.extra
@pytest.mark.parametrize("user_state", USER_STATES)
def test_equal_seeds_give_equal_fits(user_state):
    pytest.importorskip("torch")
    log = random_log(WORLD, 12)
    first, again, other = (
        make(user_state=user_state, seed=seed).fit(log, progress=False) for seed in (1, 1, 2)
    )
    for name, (owner, attribute) in checkpoint.arrays_of(first).items():
        assert_array_equal(getattr(owner, attribute), getattr(*checkpoint.arrays_of(again)[name]))
    assert (first.posterior.items.mean != other.posterior.items.mean).all()
    assert_array_equal(first.items, first.fit(log, progress=False).items)  # forgets the first time


def test_episodes_of_a_log():
    log = Log(
        user=np.array([3, 3, 3, 8]), time=np.arange(4.0), episode=np.array([0, 0, 1, 0]),
        slate=np.array([[1, 2], [0, -1], [5, 4], [2, 3]]),
        clicked=np.array([[False, True], [False, False], [True, False], [False, False]]),
    )  # fmt: skip
    slate, click = episodes_of(log)
    assert_array_equal(slate, [[[1, 2], [0, -1]], [[5, 4], [-1, -1]], [[2, 3], [-1, -1]]])
    assert_array_equal(click, [[1, -1], [0, -1], [-1, -1]])


# slates


def posterior_slates(agent, history, draw, noise):
    """(K, N) items under each of the draws, best first, by sorting."""
    state = USER_STATES.index(agent.user_state)
    found = []
    for s, e in zip(draw, noise, strict=True):
        facts = (
            agent.items[s],
            agent.keep[s],
            agent.gates[s],
            agent.posterior.spread_scale[0],
            agent.first_scale,
        )
        z = preference_of(state, history, *facts, e)
        found.append(np.argsort(((agent.items[s].T - z.astype(np.float32)) ** 2).sum(axis=1), kind="stable"))
    return np.array(found)


@pytest.mark.extra
def test_greedy_ranks_by_the_posterior_mean(fitted):
    agent = fitted["greedy"]
    v, keep = agent.posterior.items.mean.astype(float), float(agent.posterior.keep.mean[0])
    slates, clicked = drive(WORLD, agent, range(1), learn=False)
    history = []
    for slate, click in zip(slates[0, :, 0], clicked[0, :, 0], strict=True):
        w = np.arange(1, len(history) + 1.0) ** -4
        h = w @ v[history] / w.sum() if history else np.zeros(D)
        for item in history:
            h = keep * h + (1 - keep) * v[item]
        assert_array_equal(slate, np.argsort(((v - h) ** 2).sum(axis=1))[:K])
        history += slate[click].tolist()
    assert history


@pytest.mark.extra
def test_in_slate_slots_hold_the_best_of_their_own_draws(fitted):
    """By brute force; and where the draws' best items differ, it is the interleaving of their rankings."""
    agent, different = fitted["in_slate"], 0
    luck = Luck.from_seeds(range(200))
    observation = WORLD.observe(WORLD.begin(luck))
    slates = agent_for(agent, 200).act(observation, luck)
    draw = (luck.uniform("dynamic_slate/draw", (K,)) * agent.num_draws).astype(int)
    noise = luck.normal("dynamic_slate/first_state", (K, D))
    for row in range(200):
        rankings = posterior_slates(agent, np.empty(0, np.int64), draw[row], noise[row])
        expected = []
        for ranking in rankings:
            expected.append(next(i for i in ranking if i not in expected))
        assert_array_equal(slates[row], expected)
        if len(set(rankings[:, 0])) == K:
            different += 1
            interleaved = list(dict.fromkeys(chain.from_iterable(rankings.T)))
            assert_array_equal(slates[row], interleaved[:K])
    assert 20 < different < 200
    assert len(np.unique(draw)) > 50


@pytest.mark.extra
def test_thompson_ranks_by_one_draw(fitted):
    agent, luck = fitted["thompson"], Luck.from_seeds(range(50))
    slates = agent_for(agent, 50).act(WORLD.observe(WORLD.begin(luck)), luck)
    draw = (luck.uniform("dynamic_slate/draw", (1,)) * agent.num_draws).astype(int)
    noise = luck.normal("dynamic_slate/first_state", (1, D))
    for row in range(50):
        ranking = posterior_slates(agent, np.empty(0, np.int64), draw[row], noise[row])[0]
        assert_array_equal(slates[row], ranking[:K])


def agent_for(agent, B):
    """The same model for B rows."""
    other = make(B, explore=agent.explore, refit_every=0)
    other.posterior, other.fits = agent.posterior, agent.fits
    other._keep_draws()
    return other


@pytest.mark.extra
@pytest.mark.parametrize("how", ["thompson", "in_slate"])
def test_without_doubt_exploring_is_greedy(fitted, how):
    certain = make(6, explore=how, refit_every=0, first_scale=1e-12)
    certain.posterior.items.mean = fitted["greedy"].posterior.items.mean
    certain.posterior.keep.mean = fitted["greedy"].posterior.keep.mean
    for part in certain.posterior.parts().values():
        part.sd[:] = 0
    certain.posterior.spread_scale[:] = 0
    certain.fits[0] = 1
    certain._keep_draws()
    slates, clicked = drive(WORLD, certain, range(6), learn=False)
    greedy, _ = drive(WORLD, agent_for(fitted["greedy"], 6), range(6), learn=False)
    assert_array_equal(slates, greedy)
    assert clicked.any()


@pytest.mark.extra
@pytest.mark.parametrize("how", ["greedy", "thompson", "in_slate"])
def test_rows_do_not_depend_on_the_batch(fitted, how):
    together, _ = drive(WORLD, agent_for(fitted[how], 7), range(7), learn=False)
    for row in range(7):
        alone, _ = drive(WORLD, agent_for(fitted[how], 1), [row], learn=False)
        assert_array_equal(alone[:, :, 0], together[:, :, row])
    for slate in together.reshape(-1, K):
        assert len(set(slate)) == K


@pytest.mark.extra
def test_acting_twice_at_one_step_is_acting_once(fitted):
    luck = Luck.from_seeds(range(30))
    once, twice = agent_for(fitted["in_slate"], 30), agent_for(fitted["in_slate"], 30)
    state = WORLD.begin(luck)
    for h in range(H):
        observation = WORLD.observe(state)
        slates = once.act(observation, luck.at(h))
        for _ in range(2):
            assert_array_equal(twice.act(observation, luck.at(h)), slates)
        state, _ = WORLD.respond(state, slates, luck.at(h))
    assert (once.count > 1).any()


# online


@pytest.mark.extra
def test_it_learns_between_the_rounds_from_all_that_was_played():
    pytest.importorskip("torch")
    agent, again = make(5), make(5)
    slates, clicked = drive(WORLD, agent, range(5), episodes=2)
    assert agent.fits[0] == 2
    assert_array_equal(agent.known_slate, slates.transpose(0, 2, 1, 3).reshape(10, H, K))
    where = np.where(clicked.any(axis=3), clicked.argmax(axis=3), -1)
    assert_array_equal(agent.known_click, where.transpose(0, 2, 1).reshape(10, H))
    repeated, _ = drive(WORLD, again, range(5), episodes=2)
    assert_array_equal(repeated, slates)
    drive(WORLD, agent.fit(random_log(WORLD, 6), progress=False), range(5))
    assert len(agent.known_slate) == 11
    assert agent.fits[0] == 2


@pytest.mark.extra
def test_a_run_goes_on_from_its_arrays(tmp_path):
    pytest.importorskip("torch")
    whole, resumed = make(4, seed=5), make(4, seed=5)
    drive(WORLD, whole, range(4))
    checkpoint.save(tmp_path / "agent.npz", whole, {})
    checkpoint.load(tmp_path / "agent.npz", resumed)
    expected, _ = drive(WORLD, whole, range(9, 13))
    found, _ = drive(WORLD, resumed, range(9, 13))
    assert_array_equal(found, expected)
    assert_array_equal(resumed.posterior.items.mean, whole.posterior.items.mean)


def test_without_torch_it_can_be_imported_and_says_what_is_missing():
    program = """
import sys
sys.modules["torch"] = None
import numpy as np
import recsim_env, recsim_env.agents
from recsim_env.agents.bandits.dynamic_slate import DynamicSlate
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
try:
    DynamicSlate(1, 3, 1, 2).fit(Log.from_interactions(np.array([0]), np.array([1]), np.array([0.0])))
except InputError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'recsim-env[torch]'" in shown.stdout


# bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slate_size": 11}, "slate_size must be from 1 to the number of items .10., got 11"),
        ({"slate_size": 0}, "slate_size must be from 1"),
        ({"num_replicates": 0}, "num_replicates must be 1 or more, got 0"),
        ({"horizon": 0}, "horizon must be 1 or more"),
        ({"dimension": 0}, "dimension must be 1 or more"),
        ({"user_state": "gru2"}, "no user state 'gru2': did you mean gru"),
        ({"explore": "ts"}, "no way to explore 'ts'"),
        ({"likelihood": "items"}, "no likelihood 'items'"),
        ({"first_scale": 0.0}, "first_scale must be above 0"),
        ({"refit_every": -1}, "refit_every must be 0 or more, got -1"),
        ({"group": np.zeros(9, np.int64)}, "group must hold a number .* for each of 10 items"),
        ({"group": np.full(10, -1)}, "group must hold a number of 0 or more"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings(options, message):
    settings = {"num_replicates": 2, "num_items": 10, "slate_size": 3, "horizon": 4, **options}
    with pytest.raises(InputError, match=message):
        DynamicSlate(**settings)


def test_bad_logs_and_schedules():
    agent = DynamicSlate(1, 10, 2, 4)
    log = Log(np.zeros(2, int), np.arange(2.0), np.array([[1, 2], [3, 4]]), np.zeros((2, 2), bool))
    with pytest.raises(InputError, match="log must hold a click, got none in 2 rows"):
        agent.fit(log)
    with pytest.raises(InputError, match="log must hold a click, got none in 0 rows"):
        agent.fit(log.rows(np.arange(0)))
    with pytest.raises(InputError, match="clicks 2 items in row 1"):
        agent.fit(Log(log.user, log.time, log.slate, np.array([[True, False], [True, True]])))
    with pytest.raises(InputError, match=r"slate\[1, 1\] = 10 is not an item"):
        agent.fit(Log(log.user, log.time, np.array([[1, 2], [3, 10]]), log.clicked))
    with pytest.raises(InputError, match="log has slates of 2, more than slate_size = 1"):
        DynamicSlate(1, 10, 1, 4).fit(log)
    late = {"step": np.array([4]), "slate": np.zeros((1, 2), int), "clicked": np.zeros((1, 2), int)}
    with pytest.raises(InputError, match="step 4, beyond horizon = 4"):
        agent.act(late, Luck.from_seeds([0]))
    for bad in ({"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"held_out": 1.0}, {"patience": 0}):
        with pytest.raises(InputError, match=next(iter(bad))):
            Schedule(**bad)


# the experiment


@pytest.mark.extra
def test_the_experiment_runs_at_a_small_size(tmp_path, capsys):
    pytest.importorskip("torch")
    options = "--num-items 30 --num-groups 3 --slate-size 3 --dimension 2 --logged-users 8 --round-users 6"
    common = [
        "run",
        "slate_exploration",
        *options.split(),
        "--rounds",
        "2",
        "--epochs",
        "2",
        "--replicates",
        "2",
    ]
    assert main([*common, "--out", str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    assert "in_slate_thompson less greedy: " in out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        "run.json",
        "results.csv",
        "figure.png",
        "tensorboard",
    }
    best = results.curves["oracle"]["clicks"].values
    assert all(curves["clicks"].values.shape == (2, 2) for curves in results.curves.values())
    assert (best.mean() > results.curves["random"]["clicks"].values.mean()).all()
    assert main([*common, "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/results.csv").read_bytes() == (tmp_path / "r/results.csv").read_bytes()
    assert main([*common, "--seed", "1", "--out", str(tmp_path / "next")]) == 0
    after = Results.read(tmp_path / "next" / "results.csv")
    for name, curves in results.curves.items():  # replicate i has seed + i, alone or among others
        assert_array_equal(after.curves[name]["clicks"].values[:, 0], curves["clicks"].values[:, 1])
    assert main([*common, "--replicates", "1", "--out", str(tmp_path / "one")]) == 2
    assert main([*common, "--user-state", "lstm", "--out", str(tmp_path / "lstm")]) == 2
    assert not (tmp_path / "lstm").exists()


@pytest.mark.extra
@pytest.mark.slow
def test_exploring_earns_at_least_what_greedy_does_and_the_slate_likelihood_more(tmp_path):
    """The paper's result, in twenty worlds, with 95 % intervals of the differences."""
    pytest.importorskip("torch")
    assert main(["run", "slate_exploration", "--out", str(tmp_path / "r")]) == 0
    results = Results.read(tmp_path / "r" / "results.csv")
    mean = {name: curves["clicks"].values.mean(axis=0) for name, curves in results.curves.items()}
    found = differences(results)
    low, _ = mean_estimate(mean["in_slate_thompson"] - mean["greedy"]).interval
    assert low > 0
    low, _ = mean_estimate(mean["thompson"] - mean["greedy"]).interval
    assert low > -0.005
    assert found["thompson", "greedy"].difference > 0
    _, high = mean_estimate(mean["greedy_all_items"] - mean["greedy"]).interval
    assert high < 0
    for name in ("greedy", "thompson", "in_slate_thompson", "greedy_all_items"):
        assert mean["random"].mean() < mean[name].mean() < mean["oracle"].mean()
