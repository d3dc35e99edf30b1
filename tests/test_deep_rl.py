"""SlateQ, REINFORCE top-K, Wolpertinger: their parts by enumeration; that they learn, repeat and resume."""

from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np
import pytest

from recsim_env.agents.agent import Transition
from recsim_env.agents.baselines.logging_policies import PlackettLuceSlates
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import checkpoint, training
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_generation import generate_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.simulators.worlds.world import Entry
from recsim_env.user_models.choices import MultinomialLogit

pytestmark = pytest.mark.extra
torch = pytest.importorskip("torch")

from recsim_env.agents.deep_rl import reinforce_top_k as reinforce  # noqa: E402 - needs torch
from recsim_env.agents.deep_rl import slate_q  # noqa: E402
from recsim_env.agents.deep_rl.reinforce_top_k import ReinforceTopK  # noqa: E402
from recsim_env.agents.deep_rl.replay import Replay  # noqa: E402
from recsim_env.agents.deep_rl.slate_q import SlateQ  # noqa: E402
from recsim_env.agents.deep_rl.state_network import StateNetwork, tensors  # noqa: E402
from recsim_env.agents.deep_rl.wolpertinger import Wolpertinger  # noqa: E402

FIVE = cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)
LADDER = engagement_ladder(num_states=3, num_items=5, slate_size=2, horizon=4)
NAMES = ("slate_q", "reinforce_top_k", "wolpertinger")
SMALL = {"units": 16, "batch_size": 32, "learning_rate": 0.01, "truncated_is_final": True}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def make(name, world, B, seed=0, **options):
    entries, N, K = world.observation_entries(), world.num_items, world.slate_size
    options = SMALL | {"seed": seed, "discount": 1.0} | options
    if name == "slate_q":
        return SlateQ(entries, N, K, **{"exploration": 60, **options})
    if name == "reinforce_top_k":
        return ReinforceTopK(entries, N, K, B, world.horizon, **options)
    return Wolpertinger(entries, np.eye(N), K, neighbours=K + 1, **{"exploration": 60, **options})


def train(agent, world, B, steps, tmp_path, seed=0):
    tmp_path.mkdir(exist_ok=True)
    return training.train(
        agent,
        world,
        steps=steps,
        num_rows=B,
        seed=seed,
        file=tmp_path / "c" / "c.npz",
        progress=lambda n: None,
    )


class Watched:
    """An agent whose slates are kept."""

    def __init__(self, agent):
        self.agent, self.shown = agent, []

    def act(self, observation, luck):
        self.shown.append(self.agent.act(observation, luck))
        return self.shown[-1]

    def update(self, transition):
        self.agent.update(transition)


# ---------------------------------------------------------------------- what holds for all


def test_learns_the_five_item_world(name, tmp_path):
    """It finds the two items that attract: near the optimum, and above random by four standard errors."""
    agent = make(name, FIVE, 16)
    train(agent, FIVE, 16, 260, tmp_path)
    tested = training.play_episodes(agent, FIVE, episodes=400, seed=10**6)
    chance = training.play_episodes(RandomSlates(5, 2), FIVE, episodes=400, seed=10**6)
    gap = tested["reward"] - chance["reward"]
    assert gap.mean() > 4 * gap.std(ddof=1) / 20
    optimum = FIVE.mean_start_value(FIVE.optimal_values())
    assert tested["regret"].mean() < 0.05 * optimum
    assert chance["regret"].mean() > 0.25 * optimum


def test_repeats_under_a_seed(name, tmp_path):
    runs = []
    for i, seed in enumerate((3, 3, 4)):
        agent = Watched(make(name, LADDER, 8, seed=seed))
        train(agent, LADDER, 8, 60, tmp_path / str(i))
        runs.append((np.array(agent.shown), checkpoint.tensors_of(agent.agent)))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert not np.array_equal(runs[0][0], runs[2][0])
    for part, arrays in runs[0][1].items():
        for tensor, array in arrays.items():
            assert array.tobytes() == runs[1][1][part][tensor].tobytes(), (part, tensor)


def test_slates_are_distinct_items_and_what_is_given_is_left_alone(name, tmp_path):
    agent = make(name, LADDER, 8)
    kept = []

    class Watching(Watched):
        def act(self, observation, luck):
            kept.extend((a, a.copy()) for a in [*observation.values(), luck.seed, luck.step])
            return super().act(observation, luck)

        def update(self, t):
            arrays = [t.slates, t.clicked, t.reward, t.terminated, t.truncated, *t.next_observation.values()]
            kept.extend((a, a.copy()) for a in arrays)
            super().update(t)

    watched = Watching(agent)
    train(watched, LADDER, 8, 70, tmp_path)
    shown = np.concatenate(
        [*watched.shown, agent.greedy(LADDER.observe(LADDER.begin(Luck.from_seeds(range(9)))))]
    )
    assert shown.dtype == np.int64
    assert shown.min() >= 0
    assert shown.max() < 5
    assert (np.diff(np.sort(shown, axis=1)) > 0).all()
    assert len(kept) > 500
    assert all(np.array_equal(now, then) for now, then in kept)


def test_resumes_to_the_same_bytes(name, tmp_path):
    """Networks, optimisers with their moments and step counts, generators, memories and counters."""
    unbroken = make(name, LADDER, 8)
    whole = train(unbroken, LADDER, 8, 90, tmp_path / "whole")

    class Killed:
        left = 53

        def __call__(self, n):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    file, options = tmp_path / "cut.npz", {"steps": 90, "num_rows": 8, "seed": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            training.train(make(name, LADDER, 8), LADDER, file=file, progress=Killed(), **options)
    resumed = make(name, LADDER, 8)  # of another process: nothing but the file is known
    again = training.train(resumed, LADDER, file=file, progress=lambda n: None, **options)
    for metric, values in whole[1].items():
        assert values.tobytes() == again[1][metric].tobytes(), metric
    with np.load(tmp_path / "whole" / "c" / "c.npz") as first, np.load(file) as second:
        assert set(first.files) == set(second.files)
        assert any("exp_avg_sq" in key for key in first.files)
        assert any("/step" in key for key in first.files)
        for key in first.files:
            assert first[key].tobytes() == second[key].tobytes(), key


def test_given_the_weights_a_row_does_not_depend_on_the_others(name, tmp_path):
    agent = make(name, LADDER, 8)
    train(agent, LADDER, 8, 60, tmp_path)
    luck = Luck.from_seeds(range(50)).at(2)
    observation = LADDER.observe(LADDER.begin(Luck.from_seeds(range(100, 150))))
    together = agent.act(observation, luck)
    for row in range(50):
        alone = {entry: value[row : row + 1] for entry, value in observation.items()}
        assert np.array_equal(agent.act(alone, luck.rows(np.array([row])))[0], together[row])


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_terminated_stops_bootstrapping_and_truncated_does_not(name, ends, final):
    """Reward 1 for ever, gamma = 1/2: worth 1 if nothing follows, 2 if all does."""
    world = cascade_bandit(num_items=2, slate_size=1, horizon=1)
    agent = make(name, world, 40, discount=0.5, truncated_is_final=final, capacity=400, **(
        {"target_share": 0.1} if name != "reinforce_top_k" else {}
    ))  # fmt: skip
    flags, B = {"terminated": np.zeros(40, bool), "truncated": np.zeros(40, bool)}, 40
    flags[ends] = np.ones(40, bool)
    seen = {"state": np.zeros(B, np.int64), "step": np.zeros(B, np.int64)}
    ones, slates = np.ones((B, 1), bool), np.zeros((B, 1), np.int64)
    for _ in range(150):
        agent.update(Transition(seen, slates, ones, ones, np.ones(B), seen, **flags))
    worth = 1.0 if ends == "terminated" or final else 2.0
    now = tensors({entry: value[:1] for entry, value in seen.items()}, agent.entries)
    with torch.no_grad():
        if name == "slate_q":
            found = agent.q_network(now)[0, 0]
        elif name == "wolpertinger":
            found = agent.critics[0](now, agent.items[None, :1])[0, 0]
        else:
            found = agent.network(now)[2][0, 1]
    assert abs(float(found) - worth) < 0.15


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"discount": 1.5}, "discount must be from 0 to 1, got 1.5"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"units": 0}, "units must be at least 1"),
        ({"capacity": 100}, "capacity must be at least 10 batches"),
        ({"seed": 0, "batch_size": -1}, "batch_size must be at least 1"),
    ],
)
def test_bad_settings(name, options, words):
    with pytest.raises(InputError, match=words):
        make(name, LADDER, 2, **options)


def test_bad_transitions_and_observations(name):
    agent = make(name, LADDER, 2)
    seen = LADDER.observe(LADDER.begin(Luck.from_seeds([1, 2])))
    no, slates = np.zeros((2, 2), bool), np.array([[0, 1], [2, 3]])

    def update(slates=slates, reward=(0.0, 0.0), clicked=no):
        over = np.zeros(2, bool)
        agent.update(Transition(seen, np.array(slates), clicked, no, np.array(reward), seen, over, over))

    for change, words in (
        ({"slates": slates[:, :1]}, r"slates must have shape \(B, 2\)"),
        ({"slates": slates + 2}, "slates must hold items 0-4"),
        ({"reward": (0.0, np.nan)}, r"reward\[1\] = nan is not finite"),
    ):
        with pytest.raises(InputError, match=words):
            update(**change)
    with pytest.raises(InputError, match="the observation has no 'step', it has state"):
        agent.act({"state": seen["state"]}, Luck.from_seeds([1, 2]))
    if name == "slate_q":
        with pytest.raises(InputError, match=r"clicked\[1\] holds 2 clicks"):
            update(clicked=np.array([[True, False], [True, True]]))


def test_a_checkpoint_of_another_agent_is_refused(tmp_path, name):
    other = {"slate_q": "wolpertinger"}.get(name, "slate_q")
    checkpoint.save(tmp_path / "d" / "a.npz", make(other, LADDER, 2), {})
    with pytest.raises(InputError, match="belongs to another agent"):
        checkpoint.load(tmp_path / "d" / "a.npz", make(name, LADDER, 2))
    checkpoint.save(tmp_path / "d" / "b.npz", make(name, LADDER, 2, units=8), {})
    with pytest.raises(InputError, match="belongs to another agent"):
        checkpoint.load(tmp_path / "d" / "b.npz", make(name, LADDER, 2))


# ----------------------------------------------------------------------------- their parts


def test_observations_become_numbers():
    entries = {
        "state": Entry(0, 2),
        "step": Entry(0, 4),
        "user": Entry(0, 999),
        "slate": Entry(0, 3, (2,)),
        "clicked": Entry(0, 1, (2,), np.int8),
        "interest": Entry(-4.0, 4.0, (2,), np.float32),
        "days_away": Entry(0.0, 3650.0, (), np.float32),
    }
    network = StateNetwork(entries, 8, torch.Generator().manual_seed(0))
    seen = {
        "state": np.array([1]),
        "step": np.array([3]),
        "user": np.array([7]),
        "slate": np.array([[3, 0]]),
        "clicked": np.array([[0, 1]], np.int8),
        "interest": np.array([[2.0, -4.0]], np.float32),
        "days_away": np.array([3650.0], np.float32),
    }
    x = network.encode(tensors(seen, entries))[0].detach().numpy()
    user = network.embeddings["user"].weight[7].detach().numpy()
    wanted = [0, 1, 0, 0.75, *user, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0.5, -1, 1]
    np.testing.assert_allclose(x, wanted, atol=1e-6)
    assert network.inputs == len(wanted)
    assert network(tensors(seen, entries)).shape == (1, 8)
    with pytest.raises(InputError, match="at least one entry"):
        StateNetwork({}, 8, torch.Generator())


def test_the_memory_is_a_ring():
    replay = Replay(5, [("a", np.int64, ()), ("b", np.float32, (2,))])
    for start in (0, 3, 6):
        numbers = np.arange(start, start + 3)
        replay.add({"a": numbers, "b": np.stack([numbers, -numbers], axis=1)})
    assert len(replay) == 5
    assert sorted(replay.rows["a"]) == [4, 5, 6, 7, 8]
    taken = replay.take(np.arange(5))
    assert np.array_equal(taken["b"], np.stack([taken["a"], -taken["a"]], axis=1))


def random_slate_problems(B=300, N=7):
    rng = np.random.default_rng(0)
    appeal = np.exp(rng.normal(0.0, 1.5, (B, N)))
    q = rng.normal(0.0, 1.0, (B, N + 1)) + rng.choice([-2.0, 0.0, 3.0], (B, 1))
    return torch.from_numpy(appeal), torch.from_numpy(q)


@pytest.mark.parametrize("K", [1, 2, 3, 6])
def test_rules_for_slates_against_brute_force(K):
    appeal, q = random_slate_problems()
    B, N = appeal.shape
    every = torch.tensor(list(combinations(range(N), K)))
    values = torch.stack([slate_q.slate_value(appeal, q, slate.expand(B, K)) for slate in every], dim=1)
    best = values.max(dim=1).values
    reached = {}
    for rule, build in slate_q.SLATES.items():
        slates = build(appeal, q, K)
        assert all(len(set(slate.tolist())) == K for slate in slates)
        assert (torch.diff(q.gather(1, slates), dim=1) <= 0).all()  # best first
        reached[rule] = slate_q.slate_value(appeal, q, slates)
    torch.testing.assert_close(reached["optimal"], best, rtol=1e-12, atol=1e-12)
    for rule in ("greedy", "top_k"):
        assert (reached[rule] <= best + 1e-12).all()
    assert (reached["greedy"] >= best - 1e-12).float().mean() > 0.5
    if 1 < K < N - 1:  # the paper's caution: neither is always the best
        assert (reached["greedy"] < best - 1e-9).any()
        assert (reached["top_k"] < best - 1e-9).any()
    if K == 1:
        torch.testing.assert_close(reached["greedy"], best)


def test_greedy_and_top_k_by_their_definition():
    appeal, q = random_slate_problems(B=60)
    v, w, K = appeal.numpy(), q.numpy(), 3
    greedy, top = (slate_q.SLATES[rule](appeal, q, K).numpy() for rule in ("greedy", "top_k"))
    for b in range(60):
        chosen = []
        for _ in range(K):

            def worth(i, b=b, chosen=chosen):
                with_it = [*chosen, i]
                return (w[b, -1] + sum(v[b, j] * w[b, j] for j in with_it)) / (
                    1 + sum(v[b, j] for j in with_it)
                )

            chosen.append(max((i for i in range(7) if i not in chosen), key=worth))
        assert set(chosen) == set(greedy[b])
        assert set(np.argsort(-v[b] * w[b, :-1])[:K]) == set(top[b])


def test_the_value_of_a_slate_is_that_of_the_choice_model():
    appeal, q = random_slate_problems(B=40)
    slates = np.array([np.random.default_rng(b).permutation(7)[:3] for b in range(40)])
    choice = MultinomialLogit(0.0)
    utility = np.log(np.take_along_axis(appeal.numpy(), slates, axis=1))
    shown = np.ones_like(slates, bool)
    click, none = choice.click_prob(utility, shown), choice.no_click_prob(utility, shown)
    wanted = (click * np.take_along_axis(q.numpy(), slates, axis=1)).sum(axis=1) + none * q.numpy()[:, -1]
    found = slate_q.slate_value(appeal, q, torch.from_numpy(slates)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("known", [True, False])
def test_slate_q_finds_the_values_of_items_and_their_choice_scores(known):
    """Users choose by a logit, items end or go on: q(s,i) and v(s,i) by hand, from random slates."""
    rng = np.random.default_rng(1)
    utility, pays, goes_on = np.array([0.5, -0.5, 1.0, 0.0]), np.array([1.0, 3.0, 0.5, 2.0]), 0.0
    entries, B = {"step": Entry(0, 1)}, 64
    scores = (lambda seen: np.tile(utility, (len(seen["step"]), 1))) if known else None
    agent = SlateQ(
        entries, 4, 2, choice_scores=scores, discount=0.5, target_share=0.1, **{**SMALL, "batch_size": 128}
    )
    choice, seen = MultinomialLogit(0.0), {"step": np.zeros(B, np.int64)}
    for _ in range(300):
        slates = np.array([rng.permutation(4)[:2] for _ in range(B)])
        response = choice.sample(utility[slates], np.ones((B, 2), bool), rng.random(B))
        reward = (response.clicked * pays[slates]).sum(axis=1) + goes_on
        over = np.zeros(B, bool)
        agent.update(Transition(seen, slates, *response, reward, seen, over, over))
    # Q* of the one state: x = max_A sum_i P(i | A) pays_i + x / 2
    best = 0.0
    for slate in combinations(range(4), 2):
        weight = np.exp(utility[list(slate)])
        best = max(best, (weight * pays[list(slate)]).sum() / (1 + weight.sum()) / (1 - 0.5))
    now = tensors({"step": np.zeros(1, np.int64)}, entries)
    with torch.no_grad():
        q, v = (
            agent.q_network(now)[0].numpy(),
            agent._appeal(now, scores({"step": [0]}) if known else None)[0],
        )
    np.testing.assert_allclose(q, np.append(pays, 0.0) + 0.5 * best, atol=0.2)
    np.testing.assert_allclose(v.log().numpy(), utility, atol=1e-6 if known else 0.2)
    assert set(agent.greedy({"step": np.zeros(1, np.int64)})[0]) == {1, 3}


@pytest.mark.parametrize("K", [1, 2, 5])
def test_top_k_multiplier_is_the_derivative_of_being_in_the_slate(K):
    pi = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    step = 1e-6
    alpha = lambda p: 1 - (1 - p) ** K  # noqa: E731
    slope = (alpha(pi + step) - alpha(pi - step)) / (2 * step)
    torch.testing.assert_close(reinforce.top_k_multiplier(pi, K), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("K", [1, 2, 3])
def test_the_corrected_gradient_by_enumeration(K):
    """Over every slate of a logging policy, with its propensities or the share of slots an item fills."""
    N = 4
    theta = torch.tensor([0.3, -0.4, 0.9, 0.0], dtype=torch.float64, requires_grad=True)
    earns = np.array([1.0, 2.5, 0.4, -0.7])
    log_beta = np.log(np.array([[0.1, 0.2, 0.3, 0.4]]))

    # the truth: J over all N^K draws, repeated items dropped, by central differences
    def exact(parameters):
        pi = np.exp(parameters) / np.exp(parameters).sum()
        return sum(
            np.prod(pi[list(draw)]) * earns[list(set(draw))].sum() for draw in product(range(N), repeat=K)
        )

    start, step = theta.detach().numpy(), 1e-5
    truth = [(exact(start + step * e) - exact(start - step * e)) / (2 * step) for e in np.eye(N)]

    lists = np.array(list(permutations(range(N), K)))
    slots = reinforce.slot_log_chances(np.repeat(log_beta, len(lists), axis=0), lists)  # (lists, K)
    chance = np.exp(slots.sum(axis=1))
    assert abs(chance.sum() - 1.0) < 1e-12
    share = np.array([(chance[:, None] * (lists == i)).sum() / K for i in range(N)])
    for inverse in (reinforce.inverse_propensities(slots), 1.0 / share[lists]):
        gradient = np.zeros(N)
        for A, p, inv in zip(lists, chance, inverse, strict=True):
            log_pi = torch.log_softmax(theta, dim=0)[None]
            weight = torch.exp(log_pi.detach())[:, A] * torch.from_numpy(inv)[None]
            item, earned = torch.from_numpy(A)[None], torch.from_numpy(earns[A])[None]
            shown = torch.ones_like(item, dtype=torch.bool)
            loss = reinforce.policy_objective(log_pi, item, shown, earned, weight, "top_k")
            gradient -= p * torch.autograd.grad(loss, theta)[0].numpy()
        np.testing.assert_allclose(gradient, truth, rtol=1e-6, atol=1e-8)


def test_slot_chances_are_those_of_plackett_luce():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(3, 6))
    policy = PlackettLuceSlates(scores, 4)
    seen = {"state": rng.integers(0, 3, 30)}
    slates = np.array([rng.permutation(6)[:4] for _ in range(30)])
    log_pi = scores[seen["state"]] - np.logaddexp.reduce(scores[seen["state"]], axis=1, keepdims=True)
    found = reinforce.slot_log_chances(log_pi, slates)
    np.testing.assert_allclose(found, policy.log_propensities(seen, slates), atol=1e-12)


def test_returns_by_hand():
    world = cascade_bandit(num_items=3, slate_size=1, horizon=3)
    agent = make("reinforce_top_k", world, 2, discount=0.5)
    rewards = [(1.0, 2.0), (0.0, 4.0), (1.0, 8.0)]
    for h, reward in enumerate(rewards):
        seen = {"state": np.zeros(2, np.int64), "step": np.full(2, h)}
        terminated, truncated = np.array([False, h == 1]), np.full(2, h == 2)
        slates, clicked = np.zeros((2, 1), np.int64), np.array(reward)[:, None] > 0
        agent.update(
            Transition(seen, slates, clicked, clicked, np.array(reward), seen, terminated, truncated)
        )
    # row 1 leaves after two steps, and its third is an episode of its own
    assert agent.replay.rows["reached"][:6].tolist() == [2 + 4 / 2, 4, 1 + 1 / 4, 1 / 2, 1, 8]
    assert agent.steps.tolist() == [0, 0]
    with pytest.raises(InputError, match="num_rows = 2 rows, got 1"):
        agent.update(
            Transition(seen, slates[:1], clicked[:1], clicked[:1], np.ones(1), seen, truncated, truncated)
        )


def test_propensities_are_kept_of_own_slates_alone():
    agent = make("reinforce_top_k", LADDER, 3)
    seen = LADDER.observe(LADDER.begin(Luck.from_seeds(range(3))))
    slates, over = agent.act(seen, Luck.from_seeds(range(3))), np.ones(3, bool)
    chances = agent.log_propensities(seen, slates)
    mixed = slates.copy()
    mixed[1] = slates[1, ::-1]
    no = np.zeros((3, 2), bool)
    agent.update(Transition(seen, mixed, no, no, np.zeros(3), seen, over, over))
    kept = agent.replay.rows["inverse"][:3]
    np.testing.assert_allclose(kept[[0, 2]], reinforce.inverse_propensities(chances)[[0, 2]], rtol=1e-6)
    assert np.isnan(kept[1]).all()


class Logged(NamedTuple):
    log: Log
    seen: dict


def skewed_log(R, propensities, seed=0):
    """Items 0-9, each clicked by itself; the two best are those that the logging policy hardly shows."""
    earns = np.array([0.9, 0.6, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    scores = np.log(np.array([3.0, 3.0, 4.0, 4.0, 6.0, 6.0, 18.0, 18.0, 19.0, 19.0]))[None]
    policy, seen = PlackettLuceSlates(scores, 2), {"state": np.zeros(R, np.int64)}
    slates = policy.act(seen, Luck.from_seeds(np.arange(R) + seed * R))
    clicked = np.random.default_rng(seed).random((R, 2)) < earns[slates]
    log = Log(
        user=np.arange(R), time=np.zeros(R), slate=slates, clicked=clicked, reward=clicked.sum(axis=1) * 1.0,
        slot_log_propensity=policy.log_propensities(seen, slates) if propensities else None,
    )  # fmt: skip
    return Logged(log, seen)


@pytest.mark.parametrize("propensities", [True, False])
def test_corrections_on_a_log_whose_policy_liked_the_wrong_items(propensities):
    """The paper's simulation, with slates: what each correction is for.

    Without one, pi goes to the items of largest beta c; with the weights alone all of pi goes to the best
    item; with the top-K correction it is shared by the two that fill the slate: pi = 0.6, 0.4 where
    (1 - pi_0) c_0 = (1 - pi_1) c_1.
    """
    shares, lists = {}, {}
    for correction in reinforce.CORRECTIONS:
        log, seen = skewed_log(4000, propensities)
        agent = ReinforceTopK(
            {"state": Entry(0, 0)}, 10, 2, 1, 1, correction=correction, discount=0.0, units=8,
            learning_rate=0.03, batch_size=256, weight_cap=1000.0, seed=1,
        )  # fmt: skip
        agent.fit(log, seen, 250)
        one = {"state": np.zeros(1, np.int64)}
        shares[correction] = np.exp(agent.log_policy(one))[0]
        lists[correction] = set(agent.greedy(one)[0])
    assert lists["top_k"] == {0, 1}
    assert not lists["none"] & {0, 1}
    np.testing.assert_allclose(shares["top_k"][:2], [0.6, 0.4], atol=0.12)
    assert shares["off_policy"][1] < 0.15


def test_a_missing_behaviour_policy_is_learned():
    log, seen = skewed_log(4000, propensities=False)
    agent = ReinforceTopK(
        {"state": Entry(0, 0)}, 10, 2, 1, 1, discount=0.0, units=8, learning_rate=0.02, batch_size=512
    )
    agent.fit(log, seen, 300)
    with torch.no_grad():
        beta = torch.exp(agent.network(tensors({"state": np.zeros(1)}, agent.entries))[1])[0].numpy()
    np.testing.assert_allclose(beta, np.bincount(log.slate.ravel(), minlength=10) / log.slate.size, atol=0.02)


def test_returns_of_a_log():
    log = Log(
        user=np.array([0, 0, 0, 0, 1]), time=np.array([0.0, 1, 2, 3, 0]), slate=np.arange(5)[:, None] % 3,
        clicked=np.ones((5, 1), bool), reward=np.array([1.0, 2, 4, 8, 16]), episode=np.array([0, 0, 1, 1, 0]),
        step=np.array([0, 1, 0, 1, 0]),
    )  # fmt: skip
    agent = ReinforceTopK({"step": Entry(0, 1)}, 3, 1, 1, 2, discount=0.5)
    agent.fit(log, {"step": log.step}, 1)
    assert agent.replay.rows["reached"][:5].tolist() == [2, 2, 8, 8, 16]
    assert len(agent.replay) == 5
    assert (
        len(agent.replay.rows) == 10 * agent.batch_size
    )  # or its own episodes would never be enough to learn


def test_bad_logs():
    log, seen = skewed_log(20, True)
    agent = ReinforceTopK({"state": Entry(0, 0)}, 10, 2, 1, 1, discount=0.5)
    with pytest.raises(InputError, match="log has no step"):
        agent.fit(log, seen, 1)
    with pytest.raises(
        InputError, match=r"observation\['state'\] must have one row for each of the log's 20"
    ):
        agent.fit(log, {"state": np.zeros(3, np.int64)}, 1)
    with pytest.raises(InputError, match="slates of 3 items, got 2"):
        ReinforceTopK({"state": Entry(0, 0)}, 10, 3, 1, 1).fit(log, seen, 1)
    with pytest.raises(InputError, match="is not an item"):
        ReinforceTopK({"state": Entry(0, 0)}, 5, 2, 1, 1).fit(log, seen, 1)
    with pytest.raises(InputError, match="there is no correction 'topk': did you mean top_k"):
        ReinforceTopK({"state": Entry(0, 0)}, 5, 2, 1, 1, correction="topk")
    with pytest.raises(InputError, match="there is no baseline 'values': did you mean value"):
        ReinforceTopK({"state": Entry(0, 0)}, 5, 2, 1, 1, baseline="values")


def test_the_baseline_is_that_of_its_name():
    """With the outputs b and V of the network exchanged, a step with V does what one with b did."""
    agents = {
        name: ReinforceTopK(
            {"state": Entry(0, 1)}, 5, 2, 4, 1, baseline=name, discount=0.0, capacity=40, batch_size=4
        )
        for name in ("no_click", "value")
    }
    with torch.no_grad():
        for parameter in agents["value"].network.values.parameters():
            parameter.copy_(parameter.flip(0))
    for name, agent in agents.items():
        rng = np.random.default_rng(0)
        for _ in range(10):
            seen = {"state": rng.integers(2, size=4)}
            slates = np.argsort(rng.random((4, 5)), axis=1)[:, :2]
            shown, over = np.ones((4, 2), np.bool_), np.zeros(4, np.bool_)
            agent.update(Transition(seen, slates, shown, shown, rng.random(4), seen, over, ~over))
        assert agent.logged[0] != 0.0, name
    one, other = (agents[name].network for name in ("no_click", "value"))
    for mine, theirs in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    plain = ReinforceTopK({"state": Entry(0, 1)}, 5, 2, 4, 1, discount=0.0, capacity=40, batch_size=4)
    assert not torch.equal(plain.network.policy.weight, one.policy.weight)  # a step was taken


def test_nearest_items_are_the_nearest_items():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(200, 6)).astype(np.float32)
    agent = Wolpertinger({"step": Entry(0, 1)}, features, 2, neighbours=7)
    proto = rng.uniform(-2, 2, (50, 6)).astype(np.float32)
    found = agent.nearest(torch.from_numpy(proto)).numpy()
    apart = np.linalg.norm(proto[:, None] - features[None], axis=2)
    assert np.array_equal(found, np.argsort(apart, axis=1)[:, :7])


def test_wolpertinger_shows_the_neighbours_that_its_critic_likes():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(30, 3)).astype(np.float32)
    agent = Wolpertinger({"step": Entry(0, 9)}, features, 2, neighbours=5, seed=5)
    seen = {"step": np.arange(10)}
    with torch.no_grad():
        now = tensors(seen, agent.entries)
        proto = agent.actor(now).numpy()
        values = agent.critics[0](now, agent.items.expand(10, 30, 3)).numpy()
    assert (proto >= features.min(axis=0)).all()
    assert (proto <= features.max(axis=0)).all()
    for row, slate in enumerate(agent.greedy(seen)):
        near = np.argsort(np.linalg.norm(features - proto[row], axis=1))[:5]
        assert slate.tolist() == near[np.argsort(-values[row, near])][:2].tolist()
    for change, words in (
        ({"neighbours": 1}, "neighbours must be from slate_size"),
        ({"features": np.full((30, 3), np.nan)}, r"features\[0, 0\] = nan"),
        ({"features": features[:1]}, "N of slate_size"),
    ):
        with pytest.raises(InputError, match=words):
            Wolpertinger(
                **{"entries": {"step": Entry(0, 9)}, "features": features, "slate_size": 2, "neighbours": 5}
                | change
            )


def test_exploration_falls():
    agent = make("slate_q", LADDER, 2, exploration=10, last_epsilon=0.2)
    assert agent.epsilon == 1.0
    agent.updates[0] = 5
    assert abs(agent.epsilon - 0.6) < 1e-12
    agent.updates[0] = 50
    assert abs(agent.epsilon - 0.2) < 1e-12
    with pytest.raises(InputError, match="there is no rule for slates 'best'"):
        make("slate_q", LADDER, 2, slates="best")
    with pytest.raises(InputError, match="slate_size must be at most"):
        SlateQ(LADDER.observation_entries(), 5, 6)


# -------------------------------------------------------------------------- the experiment

TINY = ["--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--steps", "70", "--replicates", "2"]
TINY += ["--rows", "8", "--units", "8", "--exploration", "30", "--episodes", "50"]


def test_the_experiment_writes_everything_and_resumes(tmp_path, capsys):
    agents = ["--agents", "slate_q,reinforce_top_k,wolpertinger,random,myopic,optimal"]
    assert main(["run", "deep_slates", *TINY, *agents, "--out", str(tmp_path / "a")]) == 0
    shown = capsys.readouterr().out
    assert "less myopic [95 %]" in shown
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        "run.json",
        "results.csv",
        "figure.png",
        "tensorboard",
    }
    results = Results.read(tmp_path / "a" / "results.csv")
    assert set(results.curves) == {*NAMES, "random", "myopic", "optimal"}
    assert {"regret", "reward", "td_loss", "test_reward", "test_regret"} <= set(results.curves["slate_q"])
    assert abs(results.curves["optimal"]["test_regret"].values).max() < 1e-9
    assert results.curves["random"]["regret"].values.shape[1] == 2
    assert not np.array_equal(*results.curves["slate_q"]["reward"].values.T)
    played = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
        act = Wolpertinger.act

        def killed(self, *arguments):
            played.append(1)
            if len(played) == 100:
                raise KeyboardInterrupt
            return act(self, *arguments)

        patch.setattr(Wolpertinger, "act", killed)
        assert main(["run", "deep_slates", *TINY, *agents, "--out", str(tmp_path / "b")]) == 130
    assert main(["run", "--resume", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b" / "results.csv").read_bytes() == (tmp_path / "a" / "results.csv").read_bytes()
    capsys.readouterr()
    assert main(["run", "--resume", str(tmp_path / "b")]) == 0  # a finished run is shown again
    assert "less myopic" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c.png")]) == 0


def test_bad_commands(tmp_path, capsys):
    run = ["run", "deep_slates", "--out", str(tmp_path / "x"), "--env"]
    for arguments, words in (
        (["CascadeRec-v0", "--agents", "slateq"], "did you mean slate_q"),
        (["CascadeRec-v0", "--agents", ""], "agents must name one or more"),
        (["CascadeRec-v0", "--steps", "0"], "steps must be positive"),
        (["CascadeRec-v0", "--discount", "2"], "discount must be from 0 to 1"),
        (["SlateRec-v0", "--world", "candidates=20", "--agents", "slate_q"], "leave candidates out"),
        (["SlateRec-v0", "--agents", "myopic"], "myopic is known in cascading worlds"),
    ):
        assert main([*run, *arguments]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_worlds_whose_users_leave(tmp_path):
    """Rows begin anew one by one, and the three agents that do not need a cascade table play on."""
    world = slate_rec(
        num_items=30, slate_size=3, num_users=20, num_categories=5, horizon=6, leave_without_click=0.5
    )
    for i, name in enumerate(NAMES):
        agent = Watched(make(name, world, 8))
        train(agent, world, 8, 60, tmp_path / str(i))
        assert (np.diff(np.sort(np.concatenate(agent.shown), axis=1)) > 0).all()
    tested = training.play_episodes(agent.agent, world, episodes=100, seed=5)
    assert tested["reward"].max() <= 6
    assert (tested["regret"] >= -1e-9).all()


# --------------------------------------------------------------------------------------- minutes: `-m slow`


@pytest.mark.slow
def test_slate_q_and_reinforce_plan(tmp_path):
    """On the ladder both earn more than the myopic policy, which knows the world and does not plan."""
    agents = ["--agents", "slate_q,reinforce_top_k,random,myopic,optimal"]
    learning = ["--rows", "64", "--steps", "3000", "--exploration", "1000", "--replicates", "4"]
    assert main(["run", "deep_slates", *learning, *agents, "--out", str(tmp_path / "r")]) == 0
    from recsim_env.experiments.suite.deep_slates import differences

    against, apart = differences(Results.read(tmp_path / "r" / "results.csv"))
    assert against == "myopic"
    for agent in ("slate_q", "reinforce_top_k"):
        assert apart[agent].interval[0] > 0.0
        assert apart[agent].value < apart["optimal"].value
    assert apart["random"].interval[1] < 0.0


@pytest.mark.slow
def test_the_corrections_pay_off_policy(capsys):
    """From four logs of a policy that likes bait, on a small ladder: exact values of the greedy policies.

    The states of the log are those of its own policy, which neither variant corrects for.
    """
    S, N, K, H = 5, 10, 3, 10
    world = engagement_ladder(num_states=S, num_items=N, slate_size=K, horizon=H)
    likes_bait = np.tile(np.where(np.arange(N) < N // 2, 1.5, 0.0), (S, 1))
    worth = {"top_k": [], "none": []}
    for seed in range(4):
        seen = []
        (log,) = generate_log(
            world, PlackettLuceSlates(likes_bait, K), 200, num_users=40, seed=1000 * seed, piece_rows=8000,
            learn=lambda observation, *rest, seen=seen: seen.append(observation),
        )  # fmt: skip
        columns = {name: np.stack([o[name] for o in seen], axis=1).ravel() for name in ("state", "step")}
        assert np.array_equal(columns["step"], log.step)  # of user 0 first, as the log is
        for correction, values in worth.items():
            agent = ReinforceTopK(
                world.observation_entries(), N, K, 1, H, correction=correction, discount=1.0,
                truncated_is_final=True, units=32, learning_rate=0.01, seed=seed,
            )  # fmt: skip
            agent.fit(log, columns, 400)
            every = {"state": np.tile(np.arange(S), H), "step": np.repeat(np.arange(H), S)}
            policy = agent.greedy(every).reshape(H, S, K)
            values.append(world.mean_start_value(world.policy_values(policy)))
    corrected, plain = (np.array(values) for values in worth.values())
    with capsys.disabled():
        print(f"top_k {corrected.mean():.3f}, none {plain.mean():.3f}: {mean_estimate(corrected - plain)}")
    assert mean_estimate(corrected - plain).interval[0] > 0.0
    myopic = world.mean_start_value(world.policy_values(world.myopic_policy()))
    assert mean_estimate(corrected - myopic).interval[0] > 0.0
