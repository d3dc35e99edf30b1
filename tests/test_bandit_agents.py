"""What holds for every bandit algorithm, in every kind of world it can act in.

A new algorithm is tested by its line in `experiments/bandit_agents.py`, a new kind of world by a small one.
"""

from functools import cache

import numpy as np
import pytest
from driving import play_rounds
from scipy.stats import chisquare

from recsim_env.errors import InputError
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.experiments.bandits_by_world import bandits_of, check_bandit
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
from recsim_env.testing import AGENT_CONTRACTS, AgentCase
from recsim_env.testing.agent_contracts import below_chance, it_learns

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
CASES = [
    pytest.param(name, kind, id=f"{name}-{kind.__name__}")
    for name, agent in BANDITS.items()
    for kind in agent.worlds
]


def make(name, world, B, rounds=None):
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
    below_chance(total, chance_total, share=0.5)


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


CONTRACTS = {c.__name__: c for c in AGENT_CONTRACTS if c is not it_learns}  # that is held to more above


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_contract(name, kind, contract):
    """What `recsim_env.testing.check_agent` checks of anyone's agent."""
    CONTRACTS[contract](AgentCase(lambda world, B: make(name, world, B), SMALL[kind]()))


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
