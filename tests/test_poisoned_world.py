"""Worlds with fake sessions: the script, who is told of them, and honest numbers that stay honest."""

import gymnasium as gym
import numpy as np
import pytest
from driving import play_rounds

from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.envs.batched import BatchedEnv
from recsim_env.errors import InputError
from recsim_env.simulators.attackers.attack import Goal
from recsim_env.simulators.attackers.click_fraud import ClickFraud
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.bored_user import bored_user
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.gaussian_bandit import gaussian_bandit
from recsim_env.simulators.worlds.interest_drift import interest_drift
from recsim_env.simulators.worlds.poisoned import PoisonedWorld, poisoned_rec
from recsim_env.simulators.worlds.slate_rec import slate_rec
from recsim_env.testing import FACE_CONTRACTS, VALUE_CONTRACTS, WORLD_CONTRACTS, WorldCase
from recsim_env.testing.world_case import difference


def fraud(*targets, fillers=()):
    return ClickFraud(Goal(np.array(targets)), np.array(fillers, np.int64))


INNER = {
    "cascade_bandit": (lambda: cascade_bandit(6, 3, horizon=40), "slate"),
    "bernoulli": (lambda: bernoulli_bandit(4, horizon=40), "slate"),
    "gaussian": (lambda: gaussian_bandit(4, horizon=40), "slate"),
    "ladder": (lambda: engagement_ladder(4, 5, 2, 6), "episode"),
    "slate_rec": (
        lambda: slate_rec(num_items=5, slate_size=2, num_users=9, num_categories=2, horizon=3),
        "episode",
    ),
    "drift": (
        lambda: interest_drift(num_items=8, slate_size=2, num_users=9, num_categories=2, horizon=5),
        "episode",
    ),
    "bored": (lambda: bored_user(num_items=8, slate_size=2, num_users=9, num_categories=2), "episode"),
}


def poisoned(name, share, script=None):
    make, session = INNER[name]
    return PoisonedWorld(make(), script or fraud(1, fillers=[2]), share, session)


def test_the_script_by_hand():
    script = fraud(5, 6, fillers=[2])
    slates = np.array([[1, 2, 6], [1, 2, 3], [1, 3, -1], [6, 5, -1], [2, 2, 2], [6, 6, 6]])
    clicked, examined = script.respond(slates)
    assert clicked.astype(int).tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert examined.astype(int).tolist() == [
        [1, 1, 1],
        [1, 1, 0],
        [1, 1, 0],
        [1, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
    ]


@pytest.mark.parametrize("name", INNER)
def test_no_share_changes_nothing_to_the_bit(name):
    """Observations, outcomes and values of an agent's whole run; also next to rows of fakes."""
    plain, none = INNER[name][0](), poisoned(name, 0.0)
    case = WorldCase(lambda: plain)
    for one, other in zip(case.walk(plain, 16, 12), case.walk(none, 16, 12), strict=True):
        if not (INNER[name][1] == "slate" and plain.plans_ahead):  # else of this step alone
            assert difference(one.outcome, other.outcome) is None
        for field in ("reward", "left", "response"):
            assert difference(getattr(one.outcome, field), getattr(other.outcome, field)) is None
        assert difference(plain.observe(one.after), none.observe(other.after)) is None
        assert difference(one.after, other.after.inner) is None
        assert not other.after.fake.any()


@pytest.mark.parametrize("name", INNER)
def test_honest_rows_do_not_feel_fakes_and_fakes_lose_nothing(name):
    """An honest session is what it is without fakes, as long as the agent shows the same."""
    plain, some = INNER[name][0](), poisoned(name, 0.5)
    luck = Luck.from_seeds(range(200))
    state, other = plain.begin(luck), some.begin(luck)
    slates = WorldCase(lambda: plain).slates(200, 0)
    fake, (_, one), (after, two) = (
        other.fake,
        plain.respond(state, slates, luck),
        some.respond(other, slates, luck),
    )
    assert 60 < fake.sum() < 140
    for field in ("reward", "left"):
        assert (getattr(one, field) == getattr(two, field))[~fake].all()
    assert (one.response.clicked == two.response.clicked)[~fake].all()
    assert np.array_equal((two.best_value - two.slate_value)[fake], np.zeros(fake.sum()))
    assert ((two.best_value - two.slate_value)[~fake] > 0).any()
    shown = (slates == 1).any(axis=1)
    first = (slates == 1).cumsum(axis=1).cumsum(axis=1) == 1
    assert np.array_equal(two.response.clicked[fake & shown], first[fake & shown])
    assert np.array_equal(two.reward[fake], two.response.clicked[fake].sum(axis=1))
    seen = some.observe(after)
    if "clicked" in seen:
        assert np.array_equal(seen["clicked"].astype(bool), two.response.clicked)
    assert np.array_equal(after.fake, fake) == (INNER[name][1] == "episode")


def test_shares_are_what_they_say():
    for session, steps in (("slate", 40), ("episode", 1)):
        world = PoisonedWorld(cascade_bandit(6, 3, horizon=40), fraud(1), 0.2, session)
        luck = Luck.from_seeds(range(2000))
        state, fakes = world.begin(luck), []
        for t in range(steps):
            fakes.append(state.fake)
            state, _ = world.respond(state, np.tile([0, 1, 2], (2000, 1)), luck.at(t))
        n = np.size(fakes)
        assert abs(np.mean(fakes) - 0.2) < 4 * np.sqrt(0.16 / n)


CONTRACTS = {c.__name__: c for c in (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS)}


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("name", ["gaussian", "ladder", "slate_rec"])  # a cascade is registered
def test_contract(name, contract):
    CONTRACTS[contract](WorldCase(lambda: poisoned(name, 0.4)))


def test_evaluation_is_told_and_the_agent_is_not():
    world = poisoned("slate_rec", 0.5)
    env = BatchedEnv(64, world)
    observation, _ = env.reset(seed=0)
    plain = INNER["slate_rec"][0]()
    assert observation.keys() == plain.observe(plain.begin(Luck.from_seeds([0]))).keys()
    fake = env.state.fake
    *_, info = env.step(np.tile([1, 2], (64, 1)))
    assert np.array_equal(info["fake"], fake)
    assert (info["best_value"] == info["slate_value"])[fake].all()
    single = gym.make("PoisonedRec-v0", share=1.0, target=3).unwrapped
    single.reset(seed=0)
    *_, info = single.step(np.array([3, 1, 2, 0]))
    assert info["fake"]
    assert info["clicked"].tolist() == [True, False, False, False]
    *_, info = gym.make("CascadeBandit-v0").unwrapped.reset(seed=0)
    assert "fake" not in info


def worst(world):
    return int(np.argmin(np.ravel(getattr(world, "mean", getattr(world, "attraction", None)))))


def test_fakes_make_bandits_show_the_target_to_honest_users():
    """A share of 20 % makes the worst of ten arms the best one to UCB1, and the worst item to CascadeUCB."""
    T, B = 4000, 20
    arms = bernoulli_bandit(10, 0.1, 0.25, horizon=T)
    cascade = cascade_bandit(8, 2, 0.3, 0.25, horizon=T)
    for inner, agent in (
        (arms, lambda: UCB1(B, 10)),
        (cascade, lambda: CascadeUCB(B, 1, 8, 2)),
    ):
        exposure, lost = [], []
        for share in (0.0, 0.3):
            world = PoisonedWorld(inner, fraud(worst(inner)), share, "slate")
            slates, regret = play_rounds(world, agent(), B)
            exposure.append((slates[T // 2 :] == worst(inner)).any(axis=2).mean())
            lost.append(regret[-1].mean())
        assert exposure[1] > exposure[0] + 0.3
        assert lost[1] > 1.2 * lost[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fraud(1, fillers=[1]), "fillers must not be targets"),
        (lambda: fraud(1, fillers=[-1]), "fillers must be item ids"),
        (lambda: ClickFraud(Goal(np.array([1]), demote=True)), "click fraud promotes its targets"),
        (lambda: poisoned("bernoulli", 1.1), "share must be from 0 to 1, got 1.1"),
        (lambda: poisoned("bernoulli", 0.1, fraud(4)), "item 4 of the script is none: the catalogue has 4"),
        (
            lambda: PoisonedWorld(
                slate_rec(num_items=8, slate_size=2, num_categories=2), fraud(1), 0.1, "slate"
            ),
            "users of a SlateWorld last for more than a slate",
        ),
        (
            lambda: PoisonedWorld(slate_rec(num_items=80, slate_size=2, candidates=9), fraud(1), 0.1),
            "a world of candidate sets cannot be poisoned",
        ),
        (lambda: poisoned_rec(session="user"), "session must be episode or slate, got 'user'"),
        (lambda: poisoned_rec(inner="os:system"), "inner must be module:function of simulators/worlds"),
        (lambda: poisoned_rec(inner="slate_rec"), "inner must be module:function of simulators/worlds"),
        (lambda: poisoned_rec(inner_args="num_item=3"), "did you mean num_items"),
        (lambda: poisoned_rec(inner_args="3"), "inner_args must be such as 'num_items=8 slate_size=2', got"),
        (lambda: poisoned_rec(inner_args="num_items=1"), "num_items must be at least 2, got 1"),
        (lambda: poisoned_rec(fillers="a"), "fillers must be such as '3 8', got 'a'"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
