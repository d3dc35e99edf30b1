"""The index of algorithms is what the code says; every algorithm says its feedback and its bound."""

import re
import sys
from functools import partial
from pathlib import Path

import pytest

from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.experiments.agents import AGENTS
from recsim_env.experiments.algorithm_fields import modules_of, read_fields
from recsim_env.experiments.bandit_agents import BANDITS

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import make_algorithms  # noqa: E402

sys.path.remove(str(DOCS))
NAMED = {module for agent in BANDITS.values() for module in modules_of(agent.make)}
NAMED |= {module for make in AGENTS.values() for module in modules_of(make)}
MODULES = sorted({*make_algorithms.agent_modules("bandits"), *NAMED})


def test_the_page_is_what_the_generator_gives():
    assert make_algorithms.PAGE.read_text(encoding="utf-8") == make_algorithms.page(), (
        "run: python docs/make_algorithms.py"
    )


@pytest.mark.parametrize("module", MODULES)
def test_every_algorithm_says_its_feedback_and_its_bound(module):
    fields = read_fields(module)
    assert fields.feedback, "its docstring has no line `Feedback: ...`"
    assert fields.bound, "its docstring has no line `Bound: ...`"
    assert not {"Feedback:", "Bound:", "Source:"} & {*fields.feedback.split(), *fields.bound.split()}


@pytest.mark.parametrize("name", BANDITS)
def test_every_name_has_a_module(name):
    assert modules_of(BANDITS[name].make)


@pytest.mark.parametrize("name", [name for name, agent in BANDITS.items() if agent.bound is not None])
def test_every_bound_says_where_its_constants_come_from(name):
    assert read_fields(modules_of(BANDITS[name].make)[0]).constants


def test_fields_of_ucb1():
    fields = read_fields("recsim_env.agents.bandits.ucb1")
    assert fields.feedback == "the reward of the arm pulled."
    assert fields.bound.startswith(
        "E R(T) <= sum over arms with gap > 0 of 8 sigma^2 ln T / gap + (1 + pi^2 / 3) gap"
    )
    assert fields.source.startswith("Auer, Cesa-Bianchi, Fischer")
    assert fields.source.endswith("figure 1 and theorem 1.")  # the continued line, and no more
    assert fields.constants.startswith("The constants 8 and")
    assert fields.defines_agent
    assert not read_fields("recsim_env.agents.bandits.arm_counts").defines_agent


def helper(task):
    return BetaTS(2, 2)


def late(task):
    from recsim_env.agents.bandits.cascade_ts import CascadeTS

    return CascadeTS(2, 1, 2, 1)


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (UCB1, "ucb1"),
        (lambda task: UCB1(2, 2), "ucb1"),
        (lambda task: (lambda: UCB1(2, 2))(), "ucb1"),
        (lambda task: helper(task), "beta_ts"),
        (late, "cascade_ts"),
    ],
    ids=["class", "lambda", "lambda in a lambda", "through a function", "imported late"],
)
def test_modules_of_what_makes_an_agent(make, module):
    assert modules_of(make) == [f"recsim_env.agents.bandits.{module}"]


def test_modules_of_a_partial():
    assert modules_of(partial(helper)) == ["recsim_env.agents.bandits.beta_ts"]


def test_notebooks_are_found_by_what_they_import(tmp_path):
    (tmp_path / "01_explore.py").write_text(
        "# %% [markdown]\n# recsim_env.agents.bandits.cascade_ts is only named here\n# %%\n"
        "from recsim_env.agents.bandits.ucb1 import UCB1\nfrom recsim_env.agents.bandits import beta_ts\n"
    )
    (tmp_path / "02_more.py").write_text(
        "def later():\n    import recsim_env.agents.bandits.ucb1\n"
        "from recsim_env.agents.bandits.ucb1 import *\n"
    )
    found = make_algorithms.notebooks_by_module(sorted(tmp_path.glob("*.py")))
    assert found["recsim_env.agents.bandits.ucb1"] == ["01_explore.py", "02_more.py"]
    assert found["recsim_env.agents.bandits.beta_ts"] == ["01_explore.py"]
    assert "recsim_env.agents.bandits.cascade_ts" not in found


def test_links_of_the_page_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", make_algorithms.PAGE.read_text(encoding="utf-8"))
    assert len(links) > 10
    here = [link for link in links if "/environments/" not in link]  # those pages have a test of their own
    assert [link for link in here if not (make_algorithms.PAGE.parent / link).exists()] == []
