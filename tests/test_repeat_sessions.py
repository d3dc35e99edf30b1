"""The experiment that ranks sessions: its figures, going on after a stop, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsim_env.agents.baselines.base_level_sessions import BaseLevelSessions
from recsim_env.agents.sequential.session_recommender import evaluate_sessions
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite import repeat_sessions
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.sessions_split import TEST, sessions_of, split_sessions
from recsim_env.simulators.splits import shuffle_ties

SMALL = ["--data", "RepeatListen-v0", "--world", "num_items=150,num_users=12,num_categories=5,remembered=60"]
SMALL += ["--plays", "240", "--min-sessions", "20", "--epochs", "2", "--dimension", "8", "--length", "5"]


def run(out, *options, data=SMALL):
    return main(["run", "repeat_sessions", *data, "--out", str(out), *options])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Ten people with thirty baskets of four of their own twelve things, two days apart."""
    rng = np.random.default_rng(0)
    rows = [
        (u, item, 172_800 * basket)
        for u in range(10)
        for own in [rng.choice(40, 12, replace=False)]
        for basket in range(30)
        for item in rng.choice(own, 4, replace=False)
    ]
    folder = tmp_path_factory.mktemp("logs") / "shop"
    folder.mkdir()
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_parquet(
        folder / "interactions.parquet"
    )
    return folder


def test_figures_of_a_log_are_those_of_the_protocol(shop, tmp_path, capsys):
    options = ["--recommenders", "popularity,p_top,bll,tifu_knn", "--least", "4", "--min-sessions", "30"]
    assert run(tmp_path / "r", *options, data=["--data", str(shop)]) == 0
    out = capsys.readouterr().out
    assert "shop: 300 sessions of 10 users and 39 items, 4.0 items each; the last 10 of every user" in out
    assert "repeated is what they had before the session" in out
    results = Results.read(tmp_path / "r" / "results.csv")
    data = read_events(str(shop), prefer="timestamp")
    split = split_sessions(sessions_of(shuffle_ties(data.log, 0), least=4, min_sessions=30, num_items=39))
    found = evaluate_sessions(BaseLevelSessions().fit(split), split, TEST, 10)
    for metric in ("ndcg", "recall_repeated", "repeat_ratio", "popularity"):
        value = results.curves["bll"][f"{metric}@10"].values[0, 0]
        assert value == pytest.approx(np.nanmean(found[metric]))
        error = results.curves["bll"][f"{metric}@10_std_error"].values[0, 0]
        assert error == pytest.approx(np.nanstd(found[metric], ddof=1) / np.sqrt(10))
    # nobody takes what is new to them
    assert np.isnan(results.curves["bll"]["ndcg_explored@10"].values).all()
    ndcg = {name: curves["ndcg@10"].values[0, 0] for name, curves in results.curves.items()}
    # all that people buy is one of their twelve things, so ten of them hit nearly always, and others seldom
    assert min(ndcg["p_top"], ndcg["bll"], ndcg["tifu_knn"]) > 1.5 * ndcg["popularity"]
    assert f"{ndcg['bll']:.4f} +- " in out
    assert "ndcg@10 less that of popularity" in out
    assert (tmp_path / "r" / "figure.png").exists()
    # a finished run is shown again
    assert main(["run", "--resume", str(tmp_path / "r")]) == 0
    assert f"{ndcg['bll']:.4f} +- " in capsys.readouterr().out


def test_what_counts_as_repeated_can_be_the_training_alone(tmp_path):
    found = {}
    for known in ("before", "train"):
        assert run(tmp_path / known, "--recommenders", "bll", "--known", known) == 0
        found[known] = Results.read(tmp_path / known / "results.csv").curves["bll"]
    same, apart = "ndcg@10", "ndcg_explored@10"
    assert found["before"][same].values == found["train"][same].values
    # memory goes on in the test, so some of what is new since the training is found
    assert found["before"][apart].values == 0 < found["train"][apart].values


@pytest.mark.extra
def test_a_network_beside_a_baseline_and_a_run_that_was_stopped(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    from recsim_env.agents.sequential.neural.pisa.pisa import PISA

    options = ["--recommenders", "bll,pisa_u,pisa_p_bll", "--seeds", "2"]
    assert run(tmp_path / "whole", *options) == 0
    whole = Results.read(tmp_path / "whole" / "results.csv")
    assert whole.curves["pisa_u"]["ndcg@10_deviation_of_trainings"].values > 0
    assert whole.curves["pisa_u"]["epochs"].values == 2
    assert not (tmp_path / "whole" / "checkpoints").exists()

    train, epochs = PISA.train_epoch, []

    def stops(self, *arguments):
        epochs.append(len(self.validation_))
        if len(epochs) == 4:  # in the second epoch of the second training
            raise KeyboardInterrupt
        return train(self, *arguments)

    monkeypatch.setattr(PISA, "train_epoch", stops)
    assert run(tmp_path / "stopped", *options) == 130
    assert epochs == [0, 1, 0, 1]
    monkeypatch.undo()
    begun = []
    monkeypatch.setattr(PISA, "train_epoch", lambda self: (begun.append(len(self.validation_)), train(self)))
    assert main(["run", "--resume", str(tmp_path / "stopped")]) == 0
    assert begun == [1, 0, 1, 0, 1]  # the rest of the second training, and two of the other network
    stopped = (tmp_path / "stopped" / "results.csv").read_bytes()
    assert stopped == (tmp_path / "whole" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recommenders", "bl"], "there is no session recommender 'bl': did you mean bll"),
        (["--recommenders", "bll,bll"], "recommenders names bll twice"),
        (["--k", "0"], "k must be positive, got 0"),
        (["--known", "all"], "known must be before or train, got 'all'"),
        (["--test", "0"], "test must be at least 1, got 0"),
        (["--seed", "-1"], "seed must be 0 or more, got -1"),
        (
            ["--min-sessions", "500"],
            "log must hold a user with 500 sessions of 5 items or more, but of 12 users",
        ),
        (["--world", "num_itmes=3"], "there is no parameter 'num_itmes': did you mean num_items"),
        (["--data", "complete-journey"], "world must be left out: it is of --data RepeatListen-v0"),
    ],
)
def test_bad_options(options, message, tmp_path, capsys):
    assert run(tmp_path / "r", "--recommenders", "bll", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_the_title_says_which_log():
    settings = repeat_sessions.Settings(data="RepeatListen-v0", world="num_items=100")
    assert repeat_sessions.title(settings) == "the next sessions of RepeatListen-v0 (num_items=100)"
    assert repeat_sessions.title(repeat_sessions.Settings()) == "the next sessions of complete-journey"


def test_the_example_of_the_docs_runs(capsys):
    page = (Path(__file__).parents[1] / "docs" / "repeat_sessions" / "README.md").read_text()
    (example,) = re.findall("```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/repeat_sessions", "exec"), {})
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in shown] == ["BaseLevelSessions", "TIFUKNN"]
    assert all(0.1 < float(line[1]) < 0.3 < float(line[2]) for line in shown)
