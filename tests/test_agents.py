"""What holds for every agent."""

import numpy as np
import pytest
from driving import drive

from recsim_env.errors import InputError
from recsim_env.experiments.agents import AGENTS, Task, agent_names
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder

LADDER = engagement_ladder(num_states=3, num_items=5, slate_size=2, horizon=4)


def make(name, B, world=LADDER, episodes=200):
    return AGENTS[name](Task(world, B, episodes, bonus_scale=0.1))


@pytest.fixture(params=AGENTS)
def name(request):
    return request.param


def test_slates_are_lists_of_distinct_items(name):
    shown, _ = drive(LADDER, make(name, 6), 6, 40)
    slates = shown.reshape(-1, 2)
    assert slates.dtype == np.int64
    assert ((slates >= -1) & (slates < 5)).all()
    assert (slates[:, 0] >= 0).all()
    assert (slates[:, 0] != slates[:, 1]).all()


def test_a_row_does_not_depend_on_the_others(name):
    together, curve = drive(LADDER, make(name, 7), 7, 60, seed=20)
    again, _ = drive(LADDER, make(name, 7), 7, 60, seed=20)
    assert np.array_equal(together, again)
    for row in (0, 3, 6):
        alone, alone_curve = drive(LADDER, make(name, 1), 1, 60, seed=20 + row)
        assert np.array_equal(alone[:, 0], together[:, row])
        assert np.array_equal(alone_curve[:, 0], curve[:, row])


def test_observations_are_left_alone(name):
    agent = make(name, 3)
    kept = []

    class Watching:
        def act(self, observation, luck):
            kept.append((observation, {k: v.copy() for k, v in observation.items()}))
            return agent.act(observation, luck)

        def update(self, transition):
            copies = [np.copy(a) for a in (transition.slates, transition.clicked, transition.reward)]
            agent.update(transition)
            for a, b in zip(copies, (transition.slates, transition.clicked, transition.reward), strict=True):
                assert np.array_equal(a, b)

    drive(LADDER, Watching(), 3, 10)
    assert all(np.array_equal(now[k], then[k]) for now, then in kept for k in then)


LEARNERS = [
    name for name in AGENTS if name not in ("random", "popularity", "myopic", "optimal", "cascading_bpi")
]


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_learn_the_five_item_world(name):
    """Regret of the second half far below random's, in every agent."""
    world = cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)
    _, curve = drive(world, make(name, 20, world, 400), 20, 400)
    _, chance = drive(world, make("random", 20, world), 20, 400)
    late, late_chance = curve[-1] - curve[199], chance[-1] - chance[199]
    error = np.hypot(late.std(), late_chance.std()) / np.sqrt(20)
    assert late.mean() < 0.5 * late_chance.mean() - 4 * error
    assert late.mean() < curve[199].mean()


def test_popularity_sticks_to_what_it_showed_first():
    """Some replicates are lucky and pay nothing, others pay for ever: that is what exploring avoids."""
    world = cascade_bandit(num_items=5, slate_size=2, attraction=0.8, gap=0.6, horizon=5)
    _, curve = drive(world, make("popularity", 60, world), 60, 200)
    late = curve[-1] - curve[99]
    assert (late == 0).any()
    assert (late > 0).any()


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


def test_names():
    assert agent_names(" random, myopic ") == ["random", "myopic"]
    with pytest.raises(InputError, match="did you mean cascade_ucb"):
        agent_names("cascade_ucb1")
