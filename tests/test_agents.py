"""What holds for every agent."""

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.ts_cascade import TSCascade
from recsim_env.errors import InputError
from recsim_env.experiments.agents import AGENTS, Task, agent_names
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.testing import AGENT_CONTRACTS, AgentCase
from recsim_env.testing.agent_contracts import below_chance, it_learns

LADDER = engagement_ladder(num_states=3, num_items=5, slate_size=2, horizon=4)
WIDE = engagement_ladder(num_states=3, num_items=4, slate_size=3, horizon=4)


def make(name, B, world=LADDER, episodes=200):
    return AGENTS[name](Task(world, B, episodes, bonus_scale=0.1))


@pytest.fixture(params=AGENTS)
def name(request):
    return request.param


CONTRACTS = {c.__name__: c for c in AGENT_CONTRACTS if c is not it_learns}  # that is held to more below


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract(name, contract):
    """What `recsim_env.testing.check_agent` checks of anyone's agent."""
    world = WIDE if contract == "slates_are_lists_of_distinct_items" else LADDER
    CONTRACTS[contract](AgentCase(lambda world, B: make(name, B, world), world, few=240))


def assert_below_random(curve, chance):
    """By four standard errors at least."""
    below_chance(curve[-1], chance[-1], share=1.0)


@pytest.mark.parametrize("name", [n for n in AGENTS if n not in ("random", "popularity")])
@pytest.mark.parametrize("S", [1, 2])
def test_learns_the_five_item_world(name, S):
    """Its regret is far below random's, and over the second half below what it was over the first.

    The explorer pays more than random at first, and the myopic learners pay for ever where S = 2: so of
    both only the second half against random's.
    """
    if S == 1:
        world = cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)
    else:
        world = engagement_ladder(num_states=2, num_items=5, slate_size=2, horizon=4)
    half = 1000
    _, curve = drive(world, make(name, 20, world, 2 * half), 20, 2 * half)
    _, chance = drive(world, make("random", 20, world), 20, 2 * half)
    late, late_chance = curve[half:] - curve[half - 1], chance[half:] - chance[half - 1]
    assert_below_random(curve, chance)
    assert_below_random(late, late_chance)
    assert late[-1].mean() < 0.6 * late_chance[-1].mean()
    if name not in ("myopic", "optimal"):
        assert late[-1].mean() < 0.85 * curve[half - 1].mean()


def test_popularity_shows_the_most_clicked_first():
    """And of the items with equal clicks any, so that all are shown until some are clicked."""
    agent = make("popularity", 20)

    class Watching:
        def act(self, observation, luck):
            slates = agent.act(observation, luck)
            clicks = agent.clicks.copy()
            top = np.take_along_axis(clicks, slates, axis=1)
            assert np.array_equal(top, -np.sort(-clicks, axis=1)[:, :2])
            return slates

        def update(self, transition):
            agent.update(transition)

    drive(LADDER, Watching(), 20, 30)
    assert (agent.clicks.sum(axis=1) > 0).all()


def test_popularity_sticks_to_what_was_clicked_first():
    """Some replicates are lucky and pay nothing, others pay for ever: that is what exploring avoids."""
    world = cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)
    _, curve = drive(world, make("popularity", 60, world), 60, 200)
    _, chance = drive(world, make("random", 60, world), 60, 200)
    late = curve[-1] - curve[99]
    assert (late == 0).any()
    assert (late > 0).any()
    gap = chance[-1] - curve[-1]
    assert gap.mean() > 4 * gap.std() / np.sqrt(60)  # attractive items are clicked first more often


def test_oracles():
    _, best = drive(LADDER, make("optimal", 8), 8, 30)
    np.testing.assert_allclose(best, 0.0, atol=1e-9)
    _, myopic = drive(LADDER, make("myopic", 8), 8, 30)
    assert (myopic[-1] > 0).all()


@pytest.mark.parametrize("setting", [{"bonus_scale": 0.0}, {"delta": 1.0}, {"replan": "never"}])
def test_bad_settings(setting):
    from recsim_env.agents.tabular.cascading_vi import CascadingVI

    with pytest.raises(InputError, match=next(iter(setting))):
        CascadingVI(1, 2, 3, 2, 4, 10, **setting)


@pytest.mark.parametrize("learner", [CascadeUCB, CascadeKLUCB, CascadeTS, TSCascade])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 1, 5, 2), "num_replicates must be at least 1, got 0"),
        ((2, 1, 5, 6), "slate_size must be from 1 to"),
    ],
)
def test_bad_sizes(learner, sizes, message):
    with pytest.raises(InputError, match=message):
        learner(*sizes)


def test_names():
    assert agent_names(" random, myopic ") == ["random", "myopic"]
    with pytest.raises(InputError, match="did you mean cascade_ucb"):
        agent_names("cascade_ucb1")
