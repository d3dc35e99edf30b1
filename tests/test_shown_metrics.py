"""Coverage and NDCG of runs: by hand, over cells and kills, and where they are refused."""

import json

import numpy as np
import pytest

from recsim_env.agents.agent import Transition
from recsim_env.errors import InputError
from recsim_env.experiments import run as run_module
from recsim_env.experiments import shown_metrics
from recsim_env.experiments.cells import load_arrays
from recsim_env.experiments.cli import main
from recsim_env.experiments.policy_metrics import graded_ndcg
from recsim_env.experiments.results import Results, log_steps
from recsim_env.experiments.run import Race, curves_of, play
from recsim_env.experiments.shown_metrics import ShownMetrics, metric_names
from recsim_env.experiments.training import train
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.bernoulli_bandit import bernoulli_bandit
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit
from recsim_env.simulators.worlds.interest_drift import interest_drift
from recsim_env.simulators.worlds.slate_rec import slate_rec

BOTH = ("coverage", "ndcg")


class Cycling:
    """Shows the next K items, each row from another place, and keeps what it showed."""

    def __init__(self, num_items, slate_size, rows):
        self.at = np.arange(rows)
        self.num_items, self.slate_size, self.shown = num_items, slate_size, []

    def act(self, observation, luck):
        slates = (self.at[:, None] + np.arange(self.slate_size)) % self.num_items
        self.shown.append(slates)
        return slates

    def update(self, transition: Transition):
        self.at = self.at + 1 + (self.at % 3 == 0)


def played(world, race, tmp_path, first=0, last=None):
    agents = []

    def make(rows):
        agents.append(Cycling(world.num_items, world.slate_size, rows))
        agents[-1].at += first
        return agents[-1]

    last = race.replicates if last is None else last
    file = tmp_path / f"{first}-{last}.npz"
    play(make, world, race, first, last, file, file.with_suffix(".checkpoint"), lambda n: None)
    return load_arrays(file)["records"], agents[-1].shown


def ndcg_by_hand(attraction, slates):
    """Of one slate a row, from the attraction (N,) of every item."""
    discount = 1 / np.log2(np.arange(2, slates.shape[1] + 2))
    best = np.sort(attraction)[::-1][: slates.shape[1]]
    return attraction[slates] @ discount / (best @ discount)


def test_by_hand(tmp_path):
    world = cascade_bandit(12, 3, 0.3, 0.2, horizon=1000)
    race = Race(40, count_rounds=True, seed=3, replicates=4, metrics=BOTH)
    records, shown = played(world, race, tmp_path)
    curves = curves_of(world, race, records)
    assert list(curves)[-2:] == ["coverage", "ndcg"]
    state = world.begin(Luck.from_seeds([0]))
    attraction = np.array([world.slate_attraction(state, np.array([[i, -1, -1]]))[0, 0] for i in range(12)])
    for p, step in enumerate(log_steps(40)):
        for row in range(4):
            so_far = {int(i) for slates in shown[:step] for i in slates[row]}
            assert curves["coverage"].values[p, row] == len(so_far) / 12
        expected = np.mean([ndcg_by_hand(attraction, slates) for slates in shown[:step]], axis=0)
        np.testing.assert_allclose(curves["ndcg"].values[p], expected, rtol=1e-12)
    assert 0.2 < curves["ndcg"].values[-1].min() < curves["ndcg"].values[-1].max() < 0.95


def test_all_rows_of_a_training_are_one_learner(tmp_path):
    world = cascade_bandit(30, 3, 0.3, 0.2, horizon=10)
    agent = Cycling(30, 3, 4)
    steps, found = train(
        agent, world, steps=12, num_rows=4, seed=0, file=tmp_path / "c", progress=lambda n: None, metrics=BOTH
    )
    assert list(found) == ["regret", "reward", "coverage", "ndcg"]
    for p, step in enumerate(steps):
        assert found["coverage"][p] == len(np.unique(np.stack(agent.shown[:step]))) / 30
    rows = ShownMetrics(("ndcg",), world, 4, together=False)
    for slates in agent.shown:
        rows.see(world.begin(Luck.from_seeds(range(4))), slates)
    np.testing.assert_allclose(found["ndcg"][-1], rows.values().mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "world",
    [
        cascade_bandit(12, 3, horizon=50),
        slate_rec(
            num_items=150,
            slate_size=7,
            num_users=20,
            horizon=50,
            leave_after_click=0.0,
            leave_without_click=0.0,
        ),
        interest_drift(num_items=150, slate_size=7, num_users=20, horizon=50),
    ],
    ids=["cascade", "slate", "drift"],
)
def test_a_row_does_not_depend_on_the_others_to_the_last_bit(world, tmp_path):
    """So that runs come to the same bytes with any number of workers."""
    race = Race(30, count_rounds=True, seed=3, replicates=5, metrics=BOTH)
    together, _ = played(world, race, tmp_path)
    alone = [played(world, race, tmp_path, i, i + 1)[0] for i in range(5)]
    assert np.array_equal(together[3:], np.concatenate(alone, axis=2)[3:])


def test_empty_slots_and_second_showings_gain_nothing():
    world = slate_rec(num_items=20, slate_size=4, num_users=5, num_categories=4)
    state = world.begin(Luck.from_seeds(range(3)))
    metrics = ShownMetrics(BOTH, world, 3, together=False)
    metrics.see(state, np.array([[7, 20, 20, 20], [7, -1, -1, -1], [7, 7, 20, -1]]))
    coverage, ndcg = metrics.values()
    assert (coverage == 1 / 20).all()
    alone = graded_ndcg(world, state, np.tile([7, -1, -1, -1], (3, 1)))
    assert np.array_equal(ndcg, alone)
    assert (ndcg < 1).all()


COMMANDS = {
    "cascade_mdp": ["--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--episodes", "30"],
    "cascade_bandit": ["--rounds", "40"],
    "bandits": ["--env-arg", "num_items=5", "--rounds", "40"],
}


@pytest.mark.parametrize("experiment", COMMANDS)
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(tmp_path, experiment, monkeypatch):
    from recsim_env.agents.bandits.ucb1 import UCB1
    from recsim_env.agents.baselines.random_slates import RandomSlates

    kind, name = (UCB1, "ucb1") if experiment == "bandits" else (RandomSlates, "random")
    metrics = "coverage" if experiment == "bandits" else "ndcg,coverage"
    options = [*COMMANDS[experiment], "--replicates", "3", "--agents", name, "--metrics", metrics]
    assert main(["run", experiment, *options, "--out", str(tmp_path / "a")]) == 0
    curves = Results.read(tmp_path / "a" / "results.csv").curves[name]
    assert set(metrics.split(",")) <= set(curves)
    plain = [*COMMANDS[experiment], "--replicates", "3", "--agents", name, "--out", str(tmp_path / "plain")]
    assert main(["run", experiment, *plain]) == 0
    for metric, curve in Results.read(tmp_path / "plain" / "results.csv").curves[name].items():
        assert np.array_equal(curve.values, curves[metric].values)  # measuring changes nothing
    monkeypatch.setattr(run_module, "CHECKPOINT_SECONDS", -1.0)
    act, acts = kind.act, []

    def killed(self, *arguments):
        acts.append(1)
        if len(acts) == 25:
            raise KeyboardInterrupt
        return act(self, *arguments)

    monkeypatch.setattr(kind, "act", killed)
    assert main(["run", experiment, *options, "--out", str(tmp_path / "b")]) == 130
    assert main(["run", "--resume", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b" / "results.csv").read_bytes() == (tmp_path / "a" / "results.csv").read_bytes()
    assert json.loads((tmp_path / "b" / "run.json").read_text())["settings"]["metrics"] == metrics


def test_what_is_refused(tmp_path, capsys, monkeypatch):
    run = ["run", "cascade_mdp", "--agents", "random", "--out", str(tmp_path / "x"), "--metrics"]
    for text, words in (("coverag", "did you mean coverage"), ("ndcg,ndcg", "metrics names ndcg twice")):
        assert main([*run, text]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    candidates = slate_rec(num_items=40, num_categories=4, candidates=20)
    with pytest.raises(InputError, match="places, not items"):
        metric_names("coverage", candidates, 1)
    assert metric_names("ndcg", candidates, 1) == ("ndcg",)
    with pytest.raises(InputError, match="does not say how much an item attracts"):
        metric_names("ndcg", bernoulli_bandit(), 1)
    monkeypatch.setattr(shown_metrics, "MOST_FLAGS", 100)
    with pytest.raises(InputError, match="more than 100: leave it out"):
        metric_names("coverage", cascade_bandit(12, 3), 9)
    assert metric_names("coverage", cascade_bandit(12, 3), 8) == ("coverage",)
    assert metric_names(" ndcg , coverage", cascade_bandit(12, 3), 8) == BOTH
