"""What holds for every bandit algorithm, in every kind of world it can act in.

A new algorithm is tested by its line in `experiments/bandit_agents.py`, a new kind of world by a small one.
"""

from functools import cache

import numpy as np
import pytest
from driving import play_rounds
from scipy.stats import chisquare

from recsim_env.errors import InputError
from recsim_env.experiments import checkpoint
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask, bandits_of, check_bandit
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.contextual_bandit import ContextualWorld, contextual_bandit
from recsim_env.simulators.worlds.expert_advice import expert_advice
from recsim_env.simulators.worlds.experts import ExpertWorld
from recsim_env.simulators.worlds.gaussian_bandit import gaussian_bandit
from recsim_env.simulators.worlds.incentivised import IncentivisedWorld
from recsim_env.simulators.worlds.knapsack import KnapsackWorld
from recsim_env.simulators.worlds.linear_bandit import LinearWorld, linear_bandit
from recsim_env.simulators.worlds.linear_cascade import LinearCascadeWorld, linear_cascade_bandit
from recsim_env.simulators.worlds.lipschitz_bandit import LipschitzWorld, lipschitz_bandit
from recsim_env.simulators.worlds.position_bandit import PositionBandit, position_bandit
from recsim_env.simulators.worlds.semi_bandit import SemiBanditWorld, semi_bandit
from recsim_env.simulators.worlds.switching import SwitchingWorld

ROUNDS = 1000
# A small world of every kind, in which an algorithm that learns has far less regret than chance.
SMALL = {
    ArmsWorld: lambda: bernoulli_bandit(num_items=2, low=0.2, high=0.8, horizon=ROUNDS),
    CascadeWorld: lambda: cascade_bandit(4, slate_size=2, attraction=0.6, gap=0.6, horizon=5 * ROUNDS),
    PositionBandit: lambda: position_bandit(
        4, slate_size=3, lowest=0.0, highest=0.9, decay=0.5, horizon=10 * ROUNDS
    ),
    LipschitzWorld: lambda: lipschitz_bandit(num_items=101, top=1.0, floor=0.0, slope=2.0, horizon=ROUNDS),
    KnapsackWorld: lambda: KnapsackWorld([0.9, 0.2], [1.0, 1.0], [0.5, 0.9], ROUNDS // 2, ROUNDS),
    IncentivisedWorld: lambda: IncentivisedWorld([1.1, 1.0], [1.0, 1.1], "recommendation", 20, 0.03, ROUNDS),
    SwitchingWorld: lambda: SwitchingWorld(np.repeat([[0.9, 0.1], [0.7, 0.3]], ROUNDS // 2, axis=0)),
    ExpertWorld: lambda: expert_advice(num_experts=4, gap=0.4, horizon=ROUNDS),
    LinearWorld: lambda: linear_bandit(num_items=5, dimension=2, horizon=ROUNDS),
    # of this seed each item is best on one half of the contexts, so that even a straight line does well
    ContextualWorld: lambda: contextual_bandit(
        num_items=2, waves=1, height=0.5, horizon=ROUNDS, world_seed=4
    ),
    SemiBanditWorld: lambda: semi_bandit(5, 2, attraction=0.8, gap=0.7, horizon=ROUNDS),
    LinearCascadeWorld: lambda: linear_cascade_bandit(30, 2, dimension=2, attraction=0.8, horizon=ROUNDS),
}
# with more arms, where that is what shows
WIDE = {ArmsWorld: lambda: bernoulli_bandit(num_items=12, horizon=ROUNDS)}
LUCK = Luck.from_seeds(range(2000))
NEED_TORCH = ("neural_linear_ts",)
CASES = [
    pytest.param(
        name, kind, id=f"{name}-{kind.__name__}", marks=pytest.mark.extra if name in NEED_TORCH else ()
    )
    for name, agent in BANDITS.items()
    for kind in agent.worlds
]


def make(name, world, B, rounds=None):
    if name in NEED_TORCH:
        pytest.importorskip("torch")
    return BANDITS[name].make(BanditTask(world, B, rounds or world.horizon))


# enough to tell learning from chance: more where regret varies, fewer where a round is dear
REPLICATES = {"zooming": 40, "repeated_he": 40, "neural_linear_ts": 6}


@cache
def regret_of(name, kind):
    """(T, B) of a whole episode of the small world."""
    world, B = SMALL[kind](), REPLICATES.get(name, 20)
    return play_rounds(world, make(name, world, B), B)[1]


def test_every_kind_of_world_has_a_small_one():
    assert {kind for agent in BANDITS.values() for kind in agent.worlds} == set(SMALL)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_learns_the_small_world(name, kind):
    """Its regret is below half of chance's by four standard errors."""
    if name == "random":
        pytest.skip("it does not learn")
    world = SMALL[kind]()
    curve, chance = regret_of(name, kind), regret_of("random", kind)
    # against an adversary the best fixed arm in hindsight is what a learner can be held to
    fixed = world.fixed_regret()[-1] if hasattr(world, "fixed_regret") else 0.0
    total, chance_total = curve[-1] - fixed, chance[-1] - fixed
    errors = [x.std(ddof=1) / np.sqrt(len(x)) for x in (total, 0.5 * chance_total)]
    error = np.hypot(*errors)
    assert total.mean() < 0.5 * chance_total.mean() - 4 * error


UNEVEN = {  # at first, and with reason
    "weighted_majority": "all of one side say the same",
    "repeated_he": "the first users are paid to take the arms in turn",
    "lin_ts": "an item far from the others is best under more vectors",
    "cascade_lin_ts": "the same",
}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_item_is_favoured_by_its_id(name, kind):
    """Of those that a first slate shows, all are shown by equally many of 2,000 replicates."""
    if name in UNEVEN:
        pytest.skip(UNEVEN[name])
    world = WIDE.get(kind, SMALL[kind])()
    slates = make(name, world, 2000).act(world.observe(world.begin(LUCK)), LUCK)
    shown = np.bincount(slates[slates >= 0])
    shown = shown[shown > 0]
    assert len(shown) > 1
    assert chisquare(shown).pvalue > 1e-6


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_rows_are_single_runs_and_runs_repeat(name, kind):
    world = SMALL[kind]()
    together, curve = play_rounds(world, make(name, world, 5), 5, seed=20, rounds=120)
    again, _ = play_rounds(world, make(name, world, 5), 5, seed=20, rounds=120)
    assert np.array_equal(together, again)
    for row in (0, 1, 4):
        alone, alone_curve = play_rounds(world, make(name, world, 1), 1, seed=20 + row, rounds=120)
        assert np.array_equal(alone[:, 0], together[:, row])
        assert np.array_equal(alone_curve[:, 0], curve[:, row])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_slates_are_lists_of_distinct_items(name, kind):
    world = SMALL[kind]()
    shown, _ = play_rounds(world, make(name, world, 5), 5, rounds=60)
    assert shown.dtype == np.int64
    assert shown.shape == (60, 5, world.slate_size)
    for slate in shown.reshape(-1, world.slate_size):
        items = slate[slate >= 0]
        assert len(items) >= 1
        assert (slate[len(items) :] == -1).all()
        assert len(set(items)) == len(items)
        assert items.max() < world.num_items


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_agents_are_given_is_left_alone(name, kind):
    world = SMALL[kind]()
    agent, kept = make(name, world, 3), []

    def keep(*arrays):
        kept.extend((a, a.copy()) for a in arrays)

    class Watching:
        def act(self, observation, luck):
            keep(*observation.values(), luck.seed, luck.episode, luck.step)
            slates = agent.act(observation, luck)
            keep(slates)
            return slates

        def update(self, t):
            keep(t.slates, t.clicked, t.examined, t.reward, t.terminated, t.truncated)
            keep(*t.observation.values(), *t.next_observation.values())
            agent.update(t)

    play_rounds(world, Watching(), 3, rounds=40)
    assert len(kept) > 400
    assert all(np.array_equal(now, then) for now, then in kept)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_run_goes_on_from_its_arrays(name, kind, tmp_path):
    """Saved after 50 rounds and loaded into a fresh agent, it does what it would have done."""
    world = SMALL[kind]()
    whole, _ = play_rounds(world, make(name, world, 4), 4, rounds=120)
    first = make(name, world, 4)

    class Swapping:
        agent, rounds = first, 0

        def act(self, observation, luck):
            if self.rounds == 50:
                checkpoint.save(tmp_path / "a" / "agent.npz", self.agent, {})
                self.agent = make(name, world, 4)
                checkpoint.load(tmp_path / "a" / "agent.npz", self.agent)
            self.rounds += 1
            return self.agent.act(observation, luck)

        def update(self, transition):
            self.agent.update(transition)

    swapped, _ = play_rounds(world, Swapping(), 4, rounds=120)
    assert np.array_equal(whole, swapped)


@pytest.mark.parametrize(
    ("name", "kind"), [case for case in CASES if BANDITS[case.values[0]].bound is not None]
)
def test_regret_is_within_the_stated_bound(name, kind):
    """The mean of the replicates, at every round from the tenth on."""
    world, curve = SMALL[kind](), regret_of(name, kind)
    rounds = np.arange(10, world.horizon + 1)
    bound = BANDITS[name].bound(BanditTask(world, 1, world.horizon), rounds)
    if bound is None:
        pytest.skip("nothing was proved of it in this world")
    assert bound.shape == rounds.shape
    assert (np.diff(bound) >= 0).all()
    fixed = world.fixed_regret()[10:, None] if hasattr(world, "fixed_regret") else 0.0
    assert ((curve[9:] - fixed).mean(axis=1) <= bound * (1 + 1e-12)).all()  # explore-first's is reached


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_replicates_are_refused(name, kind):
    if name == "random":
        pytest.skip("it holds nothing of the replicates")
    with pytest.raises(InputError, match="num_replicates must be at least 1, got 0"):
        make(name, SMALL[kind](), 0)


def test_algorithms_for_rewards_from_0_to_1_refuse_others():
    world = gaussian_bandit()
    assert "beta_ts" not in bandits_of(world)
    assert "ucb1" in bandits_of(world)
    with pytest.raises(
        InputError, match=r"^beta_ts needs rewards from 0 to 1, and they are from -inf to inf in Gauss.*ucb1"
    ):
        check_bandit("beta_ts", "GaussianBandit-v0", world)
