"""A gallery of broken worlds and agents: each breaks one contract, which names it; and good ones pass.

The good world and the good agent are those of `docs/extending.md`; each broken one changes one line of them.
"""

import random
from functools import cache
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from test_extending import write_package

import recsim_env  # noqa: F401
from recsim_env.errors import InputError
from recsim_env.experiments.agents import AGENTS, Task
from recsim_env.experiments.bandit_agents import BANDITS, BanditTask
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder
from recsim_env.simulators.worlds.world import Entry
from recsim_env.testing import (
    AGENT_CONTRACTS,
    FACE_CONTRACTS,
    VALUE_CONTRACTS,
    WORLD_CONTRACTS,
    ContractError,
    WorldCase,
    check_agent,
    check_world,
)
from recsim_env.testing.contracts import title
from recsim_env.user_models.clicks import Response


@pytest.fixture(scope="module", autouse=True)
def page(tmp_path_factory):
    """`my_package` of the page, importable while this file is tested."""
    import sys

    place = tmp_path_factory.mktemp("page")
    write_package(place)
    sys.path.insert(0, str(place))
    yield
    sys.path.remove(str(place))
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]
    gym.registry.pop("Mood-v0", None)


def good(num_items=4, slate_size=2, horizon=6):
    from my_package.worlds import mood_world

    return mood_world(num_items, slate_size, horizon)


def broken(name):
    """The world of the page with what `WORLDS` names."""
    world = good()
    changes = {"__reduce__": lambda self: (broken, (name,)), **WORLDS[name][0]}  # so that it can be pickled
    return type("Changed", (type(world),), changes)(world.chance, world.slate_size, world.horizon)


def respond(self, *arguments):
    """Of the good world."""
    return super(type(self), self).respond(*arguments)


def values(self, *arguments):
    return super(type(self), self).values(*arguments)


def outcome_with(change):
    """A respond whose outcome is changed: change(outcome, state, slates, luck) -> fields."""

    def changed(self, state, slates, luck):
        after, outcome = respond(self, state, slates, luck)
        return after, outcome._replace(**change(outcome, state, slates, luck))

    return changed


def changes_its_state(self, state, slates, luck):
    after, outcome = respond(self, state, slates, luck)
    state.step[:] += 1
    return after, outcome


def changes_its_slates(self, state, slates, luck):
    slates[slates < 0] = 0
    return respond(self, state, slates, luck)


def changes_itself(self, state, slates, luck):
    self.chance[:, 0] *= 0.999
    return respond(self, state, slates, luck)


def numpys_generator(self, luck):
    state = super(type(self), self).begin(luck)
    return state._replace(mood=np.random.randint(0, 2, len(luck)))  # noqa: NPY002 - the mistake


def pythons_generator(self, luck):
    state = super(type(self), self).begin(luck)
    return state._replace(mood=np.array([random.randrange(2) for _ in range(len(luck))]))


def counts_the_batch(outcome, state, slates, luck):
    return {"reward": outcome.reward + 0.001 * len(slates)}


def of_the_neighbour(self, state, slates, luck):
    return respond(self, state, slates, Luck(np.roll(luck.seed, 1), luck.episode, luck.step))


def remembers(self, state, slates, luck):
    calls = self.__dict__.setdefault("calls", [])
    calls.append(1)
    after, outcome = respond(self, state, slates, luck)
    return after, outcome._replace(reward=outcome.reward + 0.001 * (len(calls) % 7))


CALLS = [0]


def remembers_elsewhere(self, state, slates, luck):
    CALLS[0] += 1
    after, outcome = respond(self, state, slates, luck)
    return after, outcome._replace(reward=outcome.reward + 0.001 * (CALLS[0] % 7))


def leaves_by_a_hidden_clock(outcome, state, slates, luck):
    CALLS[0] += 1
    return {"left": np.full(len(slates), CALLS[0] % 3 == 0)}


def pays_by_the_batch_of_fifteen(outcome, state, slates, luck):
    return {"reward": outcome.reward + 0.001 * (len(slates) == 15)}


class Clicked(NamedTuple):
    mood: np.ndarray
    step: np.ndarray
    clicked: np.ndarray


def begins_with_clicks(self, luck):
    return Clicked(*super(type(self), self).begin(luck), np.zeros((len(luck), 2), bool))


def keeps_the_clicks(self, state, slates, luck):
    after, outcome = respond(self, state, slates, luck)
    return Clicked(*after, outcome.response.clicked), outcome


def sees_clicks(self, state):
    return {**super(type(self), self).observe(state), "clicked": state.clicked.astype(np.int8)}


def declares_clicks(self):
    return {**super(type(self), self).observation_entries(), "clicked": Entry(0, 1, (2,), np.int8)}


def too_small(self, state, slates):
    best, shown = values(self, state, slates)
    return 0.9 * best, shown


def biased(self, state, slates):
    best, shown = values(self, state, slates)
    return best, 0.95 * shown


def lowest(self, state):
    best = super(type(self), self).best_slate(state)
    return (best + 1) % self.num_items


def one_item_twice(self, state):
    best = super(type(self), self).best_slate(state)
    return np.repeat(best[:, :1], 2, axis=1)


def blind_to_empty_slots(self, state, slates):
    return self.chance[state.mood[:, None], slates]


def drawn_twice(self, state, slates, luck):
    luck.uniform("click")
    return respond(self, state, slates, luck)


def drawn_at_both(self, state, slates, luck):
    luck.uniform("first_mood")
    return respond(self, state, slates, luck)


def shapes_of_the_slate(self, state, slates, luck):
    luck.uniform("extra", (1 + int(slates[-1, 1] >= 0),))
    return respond(self, state, slates, luck)


def plain_tuple(self, luck):
    return tuple(super(type(self), self).begin(luck))


def shared_rate(self, luck):
    state = super(type(self), self).begin(luck)
    return state._replace(step=np.zeros(1, np.int64))


def cannot_be_pickled(self):
    raise TypeError("a lock")


def raises(self, state, slates, luck):
    raise RuntimeError("the fridge is open")


WORLDS = {  # what is changed, the contract that must name it, and words of what is found
    "mutates its state": ({"respond": changes_its_state}, "nothing given is changed", "the state.step"),
    "mutates the slates": ({"respond": changes_its_slates}, "nothing given is changed", "the slates"),
    "mutates itself": ({"respond": changes_itself}, "nothing given is changed", "own['chance']"),
    "numpy's generator": ({"begin": numpys_generator}, "global randomness is left alone", "np.random"),
    "python's generator": ({"begin": pythons_generator}, "global randomness is left alone", "of random"),
    "depends on the batch": (
        {"respond": outcome_with(counts_the_batch)},
        "rows do not depend on each other",
        "the outcome's reward",
    ),
    "luck of a neighbour": (
        {"respond": of_the_neighbour},
        "rows do not depend on each other",
        "in a batch of 7",
    ),
    "remembers calls": ({"respond": remembers}, "nothing given is changed", "own['calls']"),
    "remembers elsewhere": ({"respond": remembers_elsewhere}, "same luck same outcome", "reward"),
    "a hidden clock": (
        {"respond": outcome_with(leaves_by_a_hidden_clock)},
        "same luck same outcome",
        "left",
    ),
    "of one batch size": (
        {"respond": outcome_with(pays_by_the_batch_of_fifteen)},
        "many slates can be shown to one user",
        "reward",
    ),
    "cannot be pickled": (
        {"__reduce__": cannot_be_pickled},
        "a copy by pickle does the same",
        "TypeError: a lock",
    ),
    "the state is the response": (
        {
            "begin": begins_with_clicks,
            "respond": keeps_the_clicks,
            "observe": sees_clicks,
            "observation_entries": declares_clicks,
        },
        "what info holds is the callers own",
        "after info was overwritten",
    ),
    "best_value too small": ({"values": too_small}, "no slate beats the best", "best_value says"),
    "slate_value biased": ({"values": biased}, "slate value is what follows", "has the value"),
    "outcome has other values": (
        {"respond": outcome_with(lambda o, *_: {"slate_value": o.slate_value + 0.01})},
        "outcomes tell the values of the world",
        "slate_value[0]",
    ),
    "reward is not its mean": (
        {"respond": outcome_with(lambda o, *_: {"reward": 0.95 * o.reward})},
        "expected reward is the mean of many steps",
        "expected_reward says",
    ),
    "best_slate is not best": ({"best_slate": lowest}, "no slate beats the best", "is worth"),
    "best_slate repeats": ({"best_slate": one_item_twice}, "the best slate is a slate", "an item twice"),
    "click without examination": (
        {
            "respond": outcome_with(
                lambda o, *_: {"response": Response(o.response.clicked, o.response.examined & False)}
            )
        },
        "a click is an examination",
        "was clicked and not examined",
    ),
    "empty slots are the last item": (
        {"slot_chance": blind_to_empty_slots},
        "empty slots hold nothing",
        "is empty and was examined or clicked",
    ),
    "examines empty slots": (
        {
            "respond": outcome_with(
                lambda o, *_: {
                    "response": Response(
                        o.response.clicked, np.ones_like(o.left)[:, None] | o.response.examined
                    )
                }
            )
        },
        "empty slots hold nothing",
        "is empty",
    ),
    "reward of another type": (
        {"respond": outcome_with(lambda o, *_: {"reward": o.reward.astype(np.float32)})},
        "outcomes are as declared",
        "reward is float32 of shape",
    ),
    "reward is infinite": (
        {"respond": outcome_with(lambda o, *_: {"reward": np.where(o.reward > 1, np.inf, o.reward)})},
        "outcomes are as declared",
        "reward holds inf",
    ),
    "reward out of its range": (
        {"reward_range": (0.0, 1.0)},
        "outcomes are as declared",
        "reward_range says 0.0 to 1.0",
    ),
    "observation of another type": (
        {"observe": lambda self, state: {"mood": state.mood.astype(np.int32), "step": state.step.copy()}},
        "observations are as declared",
        "'mood' is int32 and its entry says int64",
    ),
    "observation out of bounds": (
        {"observation_entries": lambda self: {"mood": Entry(0, 1), "step": Entry(0, 2)}},
        "observations are as declared",
        "'step' holds values from",
    ),
    "observation without entry": (
        {"observation_entries": lambda self: {"mood": Entry(0, 1)}},
        "observations are as declared",
        "observation_entries declares ['mood']",
    ),
    "observation is the state": (
        {"observe": lambda self, state: {"mood": state.mood, "step": state.step}},
        "observations are new arrays",
        "'mood' shares its memory",
    ),
    "a stream twice": ({"respond": drawn_twice}, "luck is drawn once and in fixed shapes", "'click' 2 times"),
    "a stream of begin": (
        {"respond": drawn_at_both},
        "luck is drawn once and in fixed shapes",
        "'first_mood'",
    ),
    "shapes of the slate": (
        {"respond": shapes_of_the_slate},
        "luck is drawn once and in fixed shapes",
        "'extra'",
    ),
    "state without names": ({"begin": plain_tuple}, "states have a row for each user", "a state is a tuple"),
    "state without rows": ({"begin": shared_rate}, "states have a row for each user", "of shape (1,)"),
    "raises": ({"respond": raises}, "states have a row for each user", "RuntimeError at"),
    "no order": ({"plans_ahead": None}, "sizes are declared", "plans_ahead is None"),
}


@cache
def broken_contracts(name):
    """Name -> result, in the order of the report."""
    with pytest.raises(ContractError) as caught:
        check_world(lambda: broken(name))
    assert all(result.contract in str(caught.value) for result in caught.value.report.broken)
    return {result.contract: result for result in caught.value.report.broken}


@pytest.mark.parametrize("name", WORLDS)
def test_broken_worlds_are_named(name):
    """The contract that says it best stands first; others may follow from it."""
    _, contract, words = WORLDS[name]
    results = broken_contracts(name)
    assert next(iter(results)) == contract, {c: r.found for c, r in results.items()}
    assert words in results[contract].found, results[contract].found
    assert results[contract].advice
    assert results[contract].promise.endswith(".")


def test_every_contract_of_a_world_can_be_broken():
    """A contract that never fails checks nothing."""
    every = {title(c) for c in (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS)}
    assert {contract for name in WORLDS for contract in broken_contracts(name)} == every


def test_the_good_world_passes_and_prints_a_table():
    report = check_world(good)
    assert not report.broken
    lines = str(report).splitlines()
    assert lines[0] == f"good: all contracts hold ({len(report.results)})"
    assert len(lines) == len(report.results) + 1
    assert all("holds" in line for line in lines[1:])


def rows_of_a_table(learner="MoodUCB"):
    from my_package import agents

    return getattr(agents, learner)


def agent_with(**methods):
    """The agent of the page with these methods, made for (world, B)."""

    def make(world, B):
        kind = type("Changed", (rows_of_a_table(),), {**methods, "__module__": "my_package.agents"})
        return kind(B, world.num_items, world.slate_size)

    return make


def act(self, *arguments):
    return super(type(self), self).act(*arguments)


def update(self, *arguments):
    return super(type(self), self).update(*arguments)


def repeats_an_item(self, observation, luck):
    return np.repeat(act(self, observation, luck)[:, :1], 2, axis=1)


def leaves_a_gap(self, observation, luck):
    slates = act(self, observation, luck).copy()
    slates[:, 0] = -1
    return slates


def gives_small_integers(self, observation, luck):
    return act(self, observation, luck).astype(np.int32)


def by_numpys_generator(self, observation, luck):
    np.random.rand()  # noqa: NPY002 - the mistake
    return act(self, observation, luck)


def unlike_the_last_time(self, observation, luck):
    CALLS[0] += 1
    return np.roll(act(self, observation, luck), CALLS[0] % 7 == 0, axis=1)


def shares_rows(self, transition):
    update(self, transition)
    self.clicks[:] = self.clicks.mean(axis=0)
    self.shown[:] = self.shown.mean(axis=0)


def forgets_all_when_one_leaves(self, transition):
    update(self, transition)
    if (transition.terminated | transition.truncated).any():
        self.shown[:], self.clicks[:] = 0.0, 0.0


def writes_into_the_observation(self, observation, luck):
    observation["mood"][:] = 0
    return act(self, observation, luck)


def writes_into_the_transition(self, transition):
    transition.clicked[:] &= transition.examined
    transition.reward[:] -= 1.0
    update(self, transition)


def returns_one_array(self, observation, luck):
    slates = act(self, observation, luck)
    if not hasattr(self, "out"):
        self.out = np.empty_like(slates)
    self.out[:] = slates
    return self.out


def counts_in_a_number(self, transition):
    self.count = getattr(self, "count", 0) + 1
    if self.count > 20:
        update(self, transition)


def learns_nothing(self, transition):
    pass


AGENTS_BROKEN = {
    "repeats an item": ({"act": repeats_an_item}, "slates are lists of distinct items", "an item twice"),
    "leaves a gap": (
        {"act": leaves_a_gap},
        "slates are lists of distinct items",
        "an empty slot before an item",
    ),
    "small integers": ({"act": gives_small_integers}, "slates are lists of distinct items", "it is int32"),
    "numpy's generator": ({"act": by_numpys_generator}, "global randomness is left alone", "of np.random"),
    "does not repeat": (
        {"act": unlike_the_last_time},
        "the same seed shows the same slates",
        "two runs of one seed",
    ),
    "shares rows": (
        {"update": shares_rows},
        "rows do not depend on each other",
        "in a batch of 5 and then alone",
    ),
    "ends all rows": (
        {"update": forgets_all_when_one_leaves},
        "episodes end row by row",
        "end at other times",
    ),
    "writes into the observation": (
        {"act": writes_into_the_observation},
        "what it is given is left alone",
        "observation",
    ),
    "writes into the transition": (
        {"update": writes_into_the_transition},
        "what it is given is left alone",
        "transition",
    ),
    "returns one array": (
        {"act": returns_one_array},
        "what it is given is left alone",
        "slates that act returned",
    ),
    "counts in a number": (
        {"update": counts_in_a_number},
        "a run goes on from its checkpoint",
        "saved and loaded after",
    ),
    "learns nothing": ({"update": learns_nothing}, "it learns", "random slates'"),
}


def stays():
    """The world of the page, whose users never leave: their episodes end together."""
    world = good()
    methods = {"respond": outcome_with(lambda o, *_: {"left": np.zeros_like(o.left)})}
    return type("Stays", (type(world),), methods)(world.chance, world.slate_size, world.horizon)


@cache
def broken_contracts_of_agent(name):
    methods, _, _ = AGENTS_BROKEN[name]
    with pytest.raises(ContractError) as caught:
        check_agent(agent_with(**methods), stays, steps=400)
    return {result.contract: result for result in caught.value.report.broken}


@pytest.mark.parametrize("name", AGENTS_BROKEN)
def test_broken_agents_are_named(name):
    _, contract, words = AGENTS_BROKEN[name]
    results = broken_contracts_of_agent(name)
    assert next(iter(results)) == contract, {c: r.found for c, r in results.items()}
    assert words in results[contract].found, results[contract].found


def test_every_contract_of_an_agent_can_be_broken():
    every = {title(contract) for contract in AGENT_CONTRACTS}
    assert {contract for name in AGENTS_BROKEN for contract in broken_contracts_of_agent(name)} == every


def changed(world, **methods):
    """The world with other methods."""
    methods["__reduce__"] = lambda self: (changed, (world,), None)
    return type("Changed", (type(world),), methods)(world.chance, world.slate_size, world.horizon)


def unbounded(self, state):
    return {"taste": (state.mood[:, None] * [1.0, -2.0]).astype(np.float32)}


def jackpot(self, state, slates, luck):
    """One click in a thousand earns a thousand."""
    after, outcome = type(self).__mro__[1].respond(self, state, slates, luck)
    won = luck.uniform("jackpot") < 0.001
    return after, outcome._replace(reward=outcome.reward * np.where(won, 1000.0, 0.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: good(1, 1),
        lambda: good(horizon=1),
        lambda: good(horizon=10**9),
        lambda: changed(
            good(),
            observe=unbounded,
            observation_entries=lambda self: {"taste": Entry(-np.inf, np.inf, (2,), np.float32)},
        ),
        lambda: changed(good(), respond=jackpot, reward_range=(0.0, 2000.0)),
    ],
    ids=["one item", "one step", "no end", "floats without bounds", "rare and large rewards"],
)
def test_odd_worlds_that_keep_every_promise_pass(make):
    contracts = (*WORLD_CONTRACTS, *VALUE_CONTRACTS, *FACE_CONTRACTS)
    case = WorldCase(make)
    for contract in contracts:
        if contract.__name__ not in (
            "a_copy_by_pickle_does_the_same",
            "an_environment_can_be_pickled_in_mid_episode",
        ):
            contract(case)


def test_what_an_agent_says_of_itself_is_not_checked():
    report = check_agent(agent_with(update=shares_rows), good, steps=400, independent_rows=False)
    assert [r.contract for r in report.results if r.skipped] == [
        "rows do not depend on each other",
        "episodes end row by row",
    ]
    report = check_agent(agent_with(update=shares_rows, rows_learn_together=True), good, steps=400)
    assert {r.skipped for r in report.results if r.skipped} == {"rows_learn_together"}
    report = check_agent(agent_with(update=learns_nothing), good, learns=False)
    assert [r.skipped for r in report.results if r.skipped] == ["learns=False"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_world(good()), "make_world must be a function, such as lambda"),
        (lambda: check_world(object), "make_world must give a World, got object without begin, observe"),
        (
            lambda: check_agent(lambda world, B: object(), good),
            "make_agent must give an Agent, got object without act",
        ),
        (lambda: check_agent(agent_with(), good()), "make_world must be a function"),
        (lambda: check_agent(agent_with(), good, steps=0), "steps must be at least 1, got 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("name", ["cascade_ucb", "cascading_vi", "cascade_ts", "ts_cascade"])
def test_agents_of_ours_pass(name):
    ladder = engagement_ladder(num_states=2, num_items=5, slate_size=2, horizon=4)
    check_agent(lambda world, B: AGENTS[name](Task(world, B, 100, 0.1)), lambda: ladder, steps=400)


def test_bandits_of_ours_pass_in_the_world_of_five_items():
    check_agent(lambda world, B: BANDITS["cascade_kl_ucb"].make(BanditTask(world, B, 2000)))
