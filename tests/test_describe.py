"""The pages of the environments: numbers as the live spaces have them, and every heading in its place."""

import re
from inspect import getdoc, signature

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from recsim_env.envs.describe import bounds, builder, describe, registered_ids, summary
from recsim_env.errors import InputError

HEADINGS = [
    "Story",
    "Slate (action)",
    "Observation",
    "What the user does",
    "Reward",
    "Episode end",
    "Regret is measured against",
    "Parameters (default, range, source)",
    "Known simplifications",
    "Version history",
]


@pytest.fixture(params=registered_ids())
def env_id(request):
    return request.param


def test_ids_are_those_of_the_package():
    ids = registered_ids()
    assert ids[0] == "CascadeRec-v0"
    assert {"CascadeBandit-v0", "CascadeRec-Grocery-v0", "CascadeRec-MovieLens-v0"} <= set(ids)
    assert "CartPole-v1" not in ids


def test_every_page_has_every_heading_in_order(env_id):
    lines = (getdoc(builder(env_id)) or "").splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and line[:-1] in HEADINGS] == HEADINGS


def test_every_parameter_is_explained(env_id):
    page = getdoc(builder(env_id)) or ""
    assert "Parameters (default, range, source):" in page
    section = page.split("Parameters (default, range, source):")[1].split("\n\n")[0]
    explained = re.findall(r"^    (\w+):", section, flags=re.MULTILINE)
    assert explained == list(signature(builder(env_id)).parameters)


def test_summary_is_one_sentence(env_id):
    line = summary(env_id)
    assert line.endswith(".")
    assert 20 < len(line) <= 110


def test_the_page_shows_the_live_spaces_and_defaults(env_id):
    page = describe(env_id)
    assert page.startswith(f"{env_id}\n{'=' * len(env_id)}\n")
    assert f'gym.make("{env_id}")' in page
    assert (getdoc(builder(env_id)) or "?") in page
    for name, parameter in signature(builder(env_id)).parameters.items():
        assert re.search(rf"^    {name} +{re.escape(repr(parameter.default))}$", page, flags=re.MULTILINE)
    if signature(builder(env_id)).parameters.get("path") is not None:
        return  # test_a_missing_file_is_named
    env = gym.make(env_id).unwrapped
    world = env.world
    sizes = f"{world.num_items} items, slates of {world.slate_size}, episodes of {world.horizon} steps"
    assert sizes in page
    row = re.search(r"^    action +MultiDiscrete +(\(.*\)) +(.*)$", page, flags=re.MULTILINE)
    assert row[1] == str(env.action_space.shape)
    assert row[2].startswith(f"0 to {env.action_space.nvec[0] - 1}")
    assert row[2].endswith(f"0 to {env.action_space.nvec[-1] - 1}")
    for name, space in env.observation_space.items():
        kind, shape = type(space).__name__, re.escape(str(space.shape))
        row = re.search(rf"^    observation '{name}' +{kind} +{shape} +(.*)$", page, flags=re.MULTILINE)
        assert row[1] == bounds(space)
        if isinstance(space, Discrete):
            assert row[1] == (f"0 to {space.n - 1}" if space.n > 1 else "always 0")


def test_a_missing_file_is_named():
    with pytest.raises(InputError) as refusal:
        gym.make("CascadeRec-MovieLens-v0")
    assert str(refusal.value) in describe("CascadeRec-MovieLens-v0")
    assert "path must be the directory of a MovieLens data set" in describe("CascadeRec-MovieLens-v0")


def test_the_import_form_of_an_id_is_the_same_page():
    assert describe("recsim_env:CascadeRec-v0") == describe("CascadeRec-v0")


@pytest.mark.parametrize("wrong", ["CascadeRec", "CascadeRec-v1", "cascaderec-v0"])
def test_an_unknown_id_gives_the_nearest_name(wrong):
    with pytest.raises(InputError, match=f"there is no environment '{wrong}': did you mean CascadeRec-v0"):
        describe(wrong)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Discrete(7), "0 to 6"),
        (Discrete(1, start=3), "always 3"),
        (MultiDiscrete([12]), "0 to 11"),
        (MultiDiscrete([12, 13, 13]), "0 to 11, then twice 0 to 12"),
        (MultiDiscrete([4, 5, 5, 5], start=[1, 0, 0, 0]), "1 to 4, then 3 times 0 to 4"),
        (Box(0, 1, (2,), np.float32), "0 to 1"),
        (Box(0, np.inf, (2,), np.float32), "0 to infinity"),
        (MultiBinary(3), "0 or 1"),
    ],
)
def test_bounds_in_words(space, words):
    assert bounds(space) == words
