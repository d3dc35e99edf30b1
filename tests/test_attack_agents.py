"""Agents that learn to attack: rewards and plans by brute force, the policy over groups, the run."""

from itertools import combinations, product

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.experiments.attack_arms import (
    any_items,
    chosen,
    greedy_attack,
    learner,
    learning,
    played,
    scripted,
)
from recsim_env.experiments.attacks import ATTACKS
from recsim_env.experiments.cli import main
from recsim_env.experiments.group_attacker import GroupAttacker
from recsim_env.experiments.poisoning_game import DEFENCES, DefendedVictim
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite import attack_agents
from recsim_env.experiments.suite.attack_agents import RECOMMENDERS, Settings, against, instance, parts
from recsim_env.simulators.attackers.learned import policy, reinforced
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.attack import attack, members


def test_played_is_exposures_less_costs():
    world = attack(num_items=6, num_users=15, every=2, fakes=5, cost=0.03, k=2)
    fakes = np.array([[[world.target, 0], [world.target, -1], [1, 1], [world.target, 2], [0, 3]]])
    rows = [[world.target, 0], [world.target], [1], [world.target, 2], [0, 3]]
    had = np.zeros((5, 6), np.bool_)
    for row, items in zip(had, rows, strict=True):
        row[items] = True
    seen = [world.victim.exposure(had[:m]) for m in (0, 2, 2, 4, 4)]
    found = played(world, fakes)
    assert found["reward"] == pytest.approx(sum(seen) - 0.03 * 8)
    assert found["exposure"] == seen[-1] > 0.0
    assert found["paid"] == pytest.approx(0.03 * 8)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_no_attack_is_better_than_the_plan_against_any_recommender(name):
    world = against(name, attack(num_items=4, num_users=12, fakes=2, k=1, world_seed=1))
    kinds = [some for size in (1, 2) for some in combinations(range(4), size)]
    every = np.array([[[*p, *[-1] * (2 - len(p))] for p in pair] for pair in product(kinds, repeat=2)])
    best = played(world, chosen(world, world.best_slate)[None])["reward"][0]
    assert best == pytest.approx(played(world, every)["reward"].max())


def test_a_defended_recommender_without_a_defence_is_that_of_the_world():
    world = attack(world_seed=3)
    victim = world.victim
    for some in ((), (0b10001,), (0b10001, 0b10010, 0b1)):
        fakes = members(some, 5)
        found = {name: DefendedVictim(victim.had, victim.target, victim.k, name) for name in DEFENCES}
        assert found["none"].exposure(fakes) == pytest.approx(victim.exposure(fakes))
    same = [one.exposure(members((0b10001,) * 3, 5)) for one in found.values()]
    assert len(set(same)) > 1


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("average", "influence")])
def test_scripted_attacks_keep_the_budget(name):
    world = attack(num_items=8, num_users=20, fakes=3, actions=4)
    fakes = scripted(name, world, world.victim, 2, 0)
    assert fakes.shape == (2, 3, 4)
    assert (fakes == world.target).any()
    assert np.array_equal(fakes, scripted(name, world, world.victim, 2, 0))
    drawn = np.sort(any_items(world, 400, 0).reshape(-1, 4), axis=1)
    assert (np.diff(drawn, axis=1) > 0).all()
    assert (abs(np.bincount(drawn.ravel(), minlength=8) / len(drawn) - 0.5) < 0.07).all()


def test_the_update_is_the_gradient_of_the_weighted_likelihood():
    rng = np.random.default_rng(0)
    common, moved = rng.normal(size=3), rng.normal(size=(4, 3))
    drawn, rewards = [np.array([0, 2]), np.array([1, 1]), np.array([2, 0])], np.array([1.0, 3.0, -1.0])
    weight = (rewards - 1.0) / np.sqrt(8 / 3)

    def likelihood(a, b):
        return sum(
            w * (np.log(policy(a, b, -1)[one[0]]) + np.log(policy(a, b, one[0])[one[1]]))
            for w, one in zip(weight, drawn, strict=True)
        )

    after = reinforced(common, moved, drawn, rewards, 0.1)
    for part, (before, found) in enumerate(zip((common, moved), after, strict=True)):
        for place in np.ndindex(before.shape):
            step = np.zeros(before.shape)
            step[place] = 1e-6
            ends = [[common, moved], [common, moved]]
            ends[0][part], ends[1][part] = before + step, before - step
            slope = (likelihood(*ends[0]) - likelihood(*ends[1])) / 2e-6
            assert found[place] - before[place] == pytest.approx(0.1 * slope, abs=1e-7)


def test_fakes_of_an_episode_have_one_composition():
    agent = GroupAttacker(np.array([9, 7, 5, 3, 2, 1]), 5, 4, 3, 6, groups=2, seed=1)
    group = np.zeros(6, np.int64)
    for g, items in enumerate(agent.members):
        group[items] = g
    assert agent.members[0].tolist() == [5]
    luck = Luck.from_seeds(range(6))
    slates = np.stack([agent.act({"step": np.full(6, h)}, luck) for h in range(4)], axis=1)
    assert (group[slates] == agent.compositions[:, None, :]).all()
    assert len(np.unique(agent.compositions, axis=0)) > 1
    assert len(np.unique(slates.reshape(6, -1), axis=0)) > 1
    agent.common[:] = [5.0, 0.0, 0.0]
    assert (agent.greedy({"step": np.array([3])}) == 5).all()


def learned(name, world, episodes, rows, seed=0):
    agent = learner(name, world, world.victim.had, rows, episodes, seed)
    at = np.array([episodes // 2, episodes])
    list(learning(agent, world, rows, at, seed))
    return greedy_attack(agent, world)


def test_the_policy_over_groups_learns():
    world = attack()
    fakes = learned("groups", world, 30, 16)
    reward = played(world, fakes[None])["reward"][0]
    best = played(world, chosen(world, world.best_slate)[None])["reward"][0]
    draws = played(world, any_items(world, 200, 0))["reward"]
    assert draws.mean() + 0.5 < reward <= best + 1e-12
    assert np.array_equal(fakes, learned("groups", world, 30, 16))


@pytest.mark.extra
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 2])
def test_reinforce_learns_and_is_not_better_than_the_best(seed):
    pytest.importorskip("torch")
    world = attack(world_seed=seed)
    reward = played(world, learned("reinforce_value", world, 100, 32)[None])["reward"][0]
    best = played(world, chosen(world, world.best_slate)[None])["reward"][0]
    draws = played(world, any_items(world, 200, 0))["reward"]
    assert draws.mean() + 0.5 < reward <= best + 1e-12


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_rows": 1}, "num_rows must be 2 or more, got 1"),
        ({"fakes": 0}, "fakes must be at least 1, got 0"),
        ({"rate": 0.0}, "rate must be"),
        ({"groups": 0}, "groups must be at least 1, got 0"),
    ],
)
def test_bad_numbers(more, message):
    right = {"popularity": np.array([3, 2, 1]), "target": 2, "fakes": 2, "actions": 2, "num_rows": 4}
    with pytest.raises(InputError, match=message):
        GroupAttacker(**{**right, **more})


SMALL = "--small num_items=4,num_users=10,fakes=2 --large num_items=12,num_users=12,fakes=4 --episodes 10"
SMALL = [*SMALL.split(), "--rows", "4", "--draws", "2", "--replicates", "2", "--attacks", "random,mimic"]


def run(*more):
    return main(["run", "attack_agents", *SMALL, *map(str, more)])


@pytest.mark.extra
def test_the_command(tmp_path, capsys, elsewhere, monkeypatch):
    pytest.importorskip("torch")
    agents = ["--agents", "reinforce_value,groups"]
    assert run("--out", tmp_path / "r", *agents) == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    arms = ["any_items", "random", "mimic", "reinforce_value", "groups"]
    sizes = [f"{size}, {arm}" for size in ("small", "large") for arm in arms]
    pairs = [f"{how} against {name}" for name in RECOMMENDERS for how in ("trained", "planned")]
    assert list(results.curves) == ["small, best", *sizes, *pairs]
    best = results.curves["small, best"]["reward"].values[-1]
    for name in (name for name in results.curves if name.startswith("small")):
        assert (results.curves[name]["reward"].values <= best + 1e-12).all()
        assert f"\n{name.split(', ')[1]} " in said
    settings = Settings(small="num_items=4,num_users=10,fakes=2", episodes=10, rows=4)
    curve = results.curves["small, groups"]["reward"]
    assert curve.steps.tolist() == (4 * parts(settings)).tolist()
    for b in range(2):
        world = instance(settings, "small", b)[0]
        assert best[b] == played(world, chosen(world, world.best_slate)[None])["reward"][0]
        for one, other in product(RECOMMENDERS, repeat=2):  # planned on the spot is best, and so is said
            there = results.curves[f"planned against {other}"][other].values[0, b]
            for how in ("trained", "planned"):
                assert results.curves[f"{how} against {one}"][other].values[0, b] <= there + 1e-12
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", *agents, "--resume") == 0
    assert capsys.readouterr().out == said

    play, cells = attack_agents.play, []

    def stopped(*given):
        cells.append(given)
        if len(cells) == 9:
            raise KeyboardInterrupt
        play(*given)

    monkeypatch.setattr(attack_agents, "play", stopped)
    assert run("--out", tmp_path / "cut", *agents) == 130
    assert run("--out", tmp_path / "cut", *agents, "--resume") == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()
    picture = tmp_path / "both.png"
    assert main(["compare", str(tmp_path / "r"), str(tmp_path / "cut"), "--out", str(picture)]) == 0


@pytest.mark.extra
@pytest.mark.slow
def test_workers_give_the_same_bytes(tmp_path, elsewhere):
    pytest.importorskip("ray")
    assert run("--agents", "groups", "--out", tmp_path / "r") == 0
    assert run("--agents", "groups", "--out", tmp_path / "w", "--workers", 2) == 0
    assert (tmp_path / "w" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--agents", "group"], "did you mean groups?"),
        (["--agents", "groups,groups"], "agents names groups twice"),
        (["--agents", ""], "agents must name one or more, got ''"),
        (["--attacks", "mimik"], "did you mean mimic?"),
        (["--attacks", "average"], "AverageAttacker needs ratings"),
        (["--episodes", "9"], "episodes must be 10 or more, got 9"),
        (["--rows", "1"], "num_rows must be 2 or more, got 1"),
        (["--draws", "0"], "draws must be positive, got 0"),
        (["--replicates", "0"], "replicates must be positive, got 0"),
        (["--seed", "-1"], "seed must be from 0 to 2^20 - 1, got -1"),
        (["--small", "num_items=20,fakes=9"], "small has too many attacks for a plan"),
        (["--small", "world_seed=3"], "small must not have a world_seed"),
        (["--large", "num_itmes=9"], "did you mean num_items"),
        (["--large", "num_items=99"], "num_items must be from 2 to 60, got 99"),
    ],
)
def test_bad_input(more, message, tmp_path, capsys):
    assert run("--agents", "groups", "--out", tmp_path / "x", *more) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "x").exists()
