"""The benchmark of sequence models: its protocol by hand, its diagnostics by brute force, runs that go on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.errors import InputError
from recsim_env.evaluation.ranking import rank_of
from recsim_env.experiments import sequential_diagnostics as diagnostics
from recsim_env.experiments import sequential_training
from recsim_env.experiments.recommenders import recommender_names
from recsim_env.experiments.results import Results
from recsim_env.experiments.sequential_models import (
    MODELS,
    Model,
    Training,
    changes_of,
    item_features,
    recommender_of,
    training_of,
)
from recsim_env.experiments.sequential_training import next_after
from recsim_env.experiments.suite import offline_ranking, sequential_search
from recsim_env.experiments.suite.sequential_benchmark import Settings, run
from recsim_env.simulators.datasets import read_events
from recsim_env.simulators.item_terms import read_item_features
from recsim_env.simulators.log import Log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out

KEPT = Path(sequential_training.__file__).parent / "results"
LAW = succession_law(num_items=40, branching=3, noise=0.1)


@pytest.fixture
def data(tmp_path):
    """A file of 200 users of ShortcutBench, 7 items each; nobody's clock is another's."""
    log = succession_log(LAW, num_users=200, length=7, seed=4)
    _, first = np.unique(np.stack([log.user, log.slate[:, 0]]), axis=1, return_index=True)
    log = log.rows(np.sort(first))  # nobody takes an item twice, so that the history is masked
    rows = [
        f"{user},{item},{(1000 + user) * time}"
        for user, item, time in zip(log.user, log.slate[:, 0], log.time, strict=True)
    ]
    path = tmp_path / "walks.csv"
    path.write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def settings(data, **more):
    return Settings(**{"data": data, "models": "popularity,markov1", "audit": "no", "seeds": 2, **more})


def test_the_protocol_by_hand(data, tmp_path, capsys):
    results = run(settings(data), tmp_path / "run", resume=False)
    log = read_events(data).log
    end = np.append(np.flatnonzero(np.diff(log.user)) + 1, len(log))
    train = np.ones(len(log), bool)
    train[np.concatenate([end - 1, end - 2])] = False
    markov = MarkovRecommender(order=1, num_items=40).fit(log.rows(train))
    ndcg = []
    for stop in end:
        mine = log.slate[log.user == log.user[stop - 1], 0]
        scores = markov.scores(mine[None, :-1])
        ndcg.append(rank_of(scores, mine[-1:], mine[None, :-1]).ndcg(10)[0])
    found = results.curves["walks.csv: markov1"]["ndcg@10"].values
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(np.mean(ndcg), abs=1e-12)
    shown = capsys.readouterr().out
    assert f"{np.mean(ndcg):.4f} +- {np.std(ndcg, ddof=1) / np.sqrt(len(ndcg)):.4f}" in shown
    assert "gap 4" in shown
    assert (tmp_path / "run" / "figure.png").stat().st_size > 5000


def test_split_at_one_date():
    """What each user took first after it, given what they had before; others are not asked."""
    rows = [(0, 1, 0.0), (0, 2, 5.0), (0, 3, 11.0), (0, 4, 12.0), (1, 5, 1.0), (1, 6, 2.0), (2, 7, 13.0)]
    rows += [(3, 8, 9.0), (3, 9, 10.0)]
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    held = next_after(Log.from_interactions(user, item, time), 5 / 9)
    assert held.user.tolist() == [0, 3]
    assert held.history.tolist() == [[1, 2], [-1, 8]]
    assert held.target.tolist() == [3, 9]
    assert held.gaps.tolist() == [[5, 6], [0, 1]]
    assert held.train.slate[:, 0].tolist() == [1, 2, 5, 6, 8]


def test_diagnostics_by_brute_force():
    log = succession_log(LAW, num_users=150, length=9, seed=2)
    held = leave_one_out(log)
    markov = MarkovRecommender(order=2, num_items=40).fit(held.train)
    count = np.bincount(held.train.slate[:, 0], minlength=40)

    def ndcg(histories):
        return np.array(
            [
                rank_of(markov.scores(history[None]), target[None], whole[None]).ndcg(10)[0]
                for history, target, whole in zip(histories, held.target, held.history, strict=True)
            ]
        )

    whole = ndcg(held.history)
    cut = diagnostics.by_history(markov, held, True, None)
    for n in (1, 2, 5):
        assert cut[n] == pytest.approx(ndcg(held.history[:, -n:]).mean())
    assert cut[2] == pytest.approx(whole.mean())  # all that it looks at
    assert cut[1] != cut[2]
    assert diagnostics.with_noise(markov, held, True, None, seed=0) < 0.9 * whole.mean()
    for low, high, one in zip((20, 100), (100, np.inf), [20, 100], strict=True):
        rows = (count[held.target] >= low) & (count[held.target] < high)
        found = diagnostics.by_target_count(whole, held, count)
        assert (one in found) == (rows.sum() > 1)
        if one in found:
            assert found[one].value == pytest.approx(whole[rows].mean())
    head, tail = diagnostics.head_and_tail(whole, held, count)
    order = sorted(range(40), key=lambda i: -count[i])
    chosen, clicks = set(), 0
    while clicks < count.sum() / 2:
        chosen.add(order[len(chosen)])
        clicks = sum(count[i] for i in chosen)
    inside = np.isin(held.target, list(chosen))
    assert head == pytest.approx(whole[inside].mean())
    assert tail == pytest.approx(whole[~inside].mean())


def test_quartiles_of_the_time_before_the_target():
    rng = np.random.default_rng(0)
    log = Log.from_interactions(np.repeat(np.arange(80), 2), rng.integers(0, 9, 160), rng.random(160) * 100)
    held = leave_one_out(log)
    value = held.gaps[:, -1].copy()  # so that quartiles of it are in order
    found = diagnostics.by_gap(value, held)
    parts = np.array_split(np.sort(value), 4)
    np.testing.assert_allclose(found, [part.mean() for part in parts])
    level = replace(held, gaps=np.where(np.arange(80)[:, None] < 9, held.gaps, 1.0))  # no clock
    assert np.isnan(diagnostics.by_gap(value, level)).all()


@pytest.mark.extra
def test_trainings_repeat_go_on_and_learn(data, tmp_path, capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    kwargs = {"models": "markov1,sasrec", "changes": "epochs=4 dimension=16 batch_size=32 learning_rate=0.01"}
    whole = run(settings(data, **kwargs), tmp_path / "whole", resume=False)
    curves = whole.curves["walks.csv: sasrec sampled_softmax"]
    assert curves["ndcg@10"].values.shape == (1, 2)
    assert curves["validation_ndcg@10"].values.shape == (4, 2)
    assert (curves["ndcg@10"].values > 0.15).all()  # by chance .12
    trainings = json.loads((tmp_path / "whole" / "trainings.json").read_text())
    assert trainings["walks.csv: sasrec sampled_softmax"]["dimension"] == 16

    monkeypatch.setattr(sequential_training, "CHECKPOINT_SECONDS", 0.0)
    from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender

    train, done = NeuralRecommender.train_epoch, []

    def stop_at_the_third(self):
        done.append(1)
        if len(done) == 7:  # of the second seed
            raise KeyboardInterrupt
        return train(self)

    monkeypatch.setattr(NeuralRecommender, "train_epoch", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(settings(data, **kwargs), tmp_path / "broken", resume=False)
    assert len(list((tmp_path / "broken" / "checkpoints").glob("*.npz"))) == 1
    again = run(settings(data, **kwargs), tmp_path / "broken", resume=True)
    assert len(done) == 7 + 2  # epochs 3 and 4 of the second seed
    for name, metrics in whole.curves.items():
        for metric, curve in metrics.items():
            if metric not in ("training_seconds", "ms_a_user"):
                np.testing.assert_array_equal(again.curves[name][metric].values, curve.values)
    read = Results.read(tmp_path / "broken" / "results.csv")
    assert list(read.curves) == list(whole.curves)
    capsys.readouterr()
    run(settings(data, **kwargs), tmp_path / "broken", resume=True)  # finished: shows it again
    assert "sasrec sampled_softmax" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"models": "markov1,sasrek"}, "there is no model 'sasrek': did you mean sasrec"),
        ({"models": "markov1,markov1"}, "models must name each once, got 'markov1,markov1'"),
        ({"split": "random"}, "split must be leave_one_out or time, got 'random'"),
        ({"seeds": 0}, "seeds must be 1 or more and seed 0 or more, got 0 and 0"),
        ({"diagnostics": "maybe"}, "diagnostics must be yes or no, got 'maybe'"),
        ({"changes": "dropot=0.2"}, "there is no setting of a training 'dropot': did you mean dropout"),
        ({"changes": "dropout"}, "--set takes NAME=VALUE, got 'dropout'"),
        ({"changes": "epochs=0.2"}, "--set epochs takes a whole number, got '0.2'"),
    ],
)
def test_bad_settings_are_refused_before_work_starts(more, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(settings("complete-journey", **more), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.extra
@pytest.mark.parametrize(("model", "objective"), [("bert4rec", "bce"), ("sasrec", "cloze")])
def test_an_objective_that_does_not_go_with_a_model_is_refused_before_work_starts(model, objective, tmp_path):
    pytest.importorskip("torch")
    asked = settings("complete-journey", models=model, objectives=objective)
    with pytest.raises(InputError, match=f"objective = '{objective}', but .*: cloze is for encoders that"):
        run(asked, tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def test_settings_of_a_training():
    assert training_of("sasrec", "ml-1m-seq", {}).history == "whole"
    assert training_of("sasrec", "anything", {"dropout": 0.1}) == Training(dropout=0.1)
    assert changes_of(["dropout=0.1", "objective=bce", "epochs=3"]) == {
        "dropout": 0.1,
        "objective": "bce",
        "epochs": 3,
    }


@pytest.fixture
def titled(data, tmp_path):
    """The same in a directory, with a title of three words for every item."""
    out = tmp_path / "titled"
    out.mkdir()
    columns = np.loadtxt(data, delimiter=",", skiprows=1).astype(np.int64).T
    names = ("user_id", "item_id", "timestamp")
    parquet.write_table(pa.table(dict(zip(names, columns, strict=True))), out / "interactions.parquet")
    titles = [f"kind{i % 4} size{i % 3} tone{i % 5}" for i in range(40)]
    parquet.write_table(pa.table({"item_id": np.arange(40), "title": titles}), out / "items.parquet")
    return str(out)


def test_what_is_told_of_items_is_cut_to_the_best_of_that_many_numbers(titled):
    """The products of all rows are those of the nearest table of that rank, by a full decomposition."""
    item_ids = read_events(titled).item_ids
    table = read_item_features(titled, item_ids)["titles"].toarray()
    found = item_features(Training(item_vectors="gated", features=5), titled, item_ids)
    u, s, _ = np.linalg.svd(table, full_matrices=False)
    nearest = u[:, :5] * s[:5]
    np.testing.assert_allclose(found @ found.T, nearest @ nearest.T, atol=1e-8)
    assert item_features(Training(), titled, item_ids) is None
    with pytest.raises(InputError, match=r"features must be at most \d+ for titled, got 1000000"):
        item_features(Training(item_vectors="gated", features=10**6), titled, item_ids)


@pytest.mark.extra
def test_a_network_of_what_is_told_of_items(data, titled, tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"item_vectors = gated needs attributes or titles .* walks.csv has"):
        run(settings(data, models="sasrec", changes="item_vectors=gated"), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()
    changes = "item_vectors=gated features=5 dimension=16 epochs=20 learning_rate=0.01"
    out = run(settings(titled, models="cosine_lru", changes=changes), tmp_path / "run", resume=False)
    assert (out.curves["titled: cosine_lru sampled_softmax"]["ndcg@10"].values > 0.15).all()  # by chance .12


@pytest.mark.parametrize(
    ("data", "models"),
    [
        ("amazon-beauty-2014", ("cosine_sasrec", "cosine_lru")),
        ("amazon-toys-2014", ("cosine_sasrec", "cosine_lru")),
        ("ml-1m-seq", ("sasrec",)),
    ],
)
def test_settings_are_those_of_the_kept_search(data, models):
    kept = KEPT / f"sequential_search-{data}.json"
    document = json.loads(kept.read_text(encoding="utf-8"))
    best = max(document["trials"], key=lambda trial: trial["validation_ndcg@10"])
    for model in models:
        training = training_of(model, data, {})
        found = Training(**{**document["all"], **best["settings"]})
        assert training == replace(found, epochs=training.epochs)  # trials may be cut short


@pytest.mark.extra
def test_a_search_sees_validation_alone(data, tmp_path, capsys):
    """The last event of everyone may be anything: every trial finds the same."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    rows = Path(data).read_text(encoding="utf-8").splitlines()
    last = {row.split(",")[0]: i for i, row in enumerate(rows)}
    rng = np.random.default_rng(0)
    for user, i in list(last.items())[1:]:
        had = {int(row.split(",")[1]) for row in rows[1:] if row.startswith(f"{user},")}
        rows[i] = f"{user},{rng.choice(sorted(set(range(40)) - had))},{rows[i].split(',')[2]}"
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "walks.csv"
    other.write_text("\n".join(rows) + "\n", encoding="utf-8")
    asked = {"space": "dropout=0.1,0.5 learning_rate=0.01,0.001", "trials": 3}
    asked["changes"] = "epochs=2 dimension=8 batch_size=64"
    found = []
    for place, path in (("a", data), ("b", str(other))):
        out = tmp_path / place
        sequential_search.run(sequential_search.Settings(data=path, **asked), out, resume=False)
        trials = json.loads((out / "trials.json").read_text(encoding="utf-8"))["trials"]
        for trial in trials:
            del trial["training_seconds"]
        found.append(trials)
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert len({tuple(trial["settings"].values()) for trial in found[0]}) == 3
    shown = capsys.readouterr().out
    best = max(found[0], key=lambda trial: trial["validation_ndcg@10"])["settings"]
    fixed = asked["changes"].split()
    best = " ".join(f"--set {one}" for one in [*fixed, *(f"{name}={value}" for name, value in best.items())])
    assert f"recsim-env run sequential_benchmark --data {data} --models sasrec {best}\n" in shown
    assert (tmp_path / "a" / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "markov1"}, "there is no model 'markov1'"),
        ({"trials": 0}, "trials must be 1 or more and seed 0 or more, got 0 and 0"),
        ({"space": "dropout=much"}, "--set dropout takes a number, got 'much'"),
        ({"space": "dropout=0.1,1.5"}, "dropout must be from 0 to below 1, got 1.5"),
        ({"changes": "dropout=0.2"}, "dropout is set for all trials and stands in the space: give it once"),
        ({"space": ""}, "space must name settings, each once, got ''"),
    ],
)
@pytest.mark.extra
def test_a_search_that_cannot_be_is_refused(more, message, tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=message):
        sequential_search.run(sequential_search.Settings(**more), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.extra
def test_encoders_are_recommenders_of_the_other_experiments(data, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    quick = Model(MODELS["sasrec"].encoder, Training(epochs=6, learning_rate=0.01, dimension=16))
    monkeypatch.setitem(MODELS, "sasrec", quick)
    asked = offline_ranking.Settings(data=data, recommenders="popularity,sasrec")
    found = offline_ranking.run(asked, tmp_path / "run", resume=False).curves
    assert found["sasrec"]["ndcg@10"].values[0, 0] > 1.5 * found["popularity"]["ndcg@10"].values[0, 0]
    assert recommender_names("markov1, sasrec") == ["markov1", "sasrec"]


@pytest.mark.extra
@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_under_its_name(name):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    log = succession_log(LAW, num_users=120, length=9, seed=2)
    training = replace(MODELS[name].training, epochs=1, batch_size=16)
    fitted = recommender_of(name, training, num_items=40, seed=0, mask_history=False).fit(log)
    held = leave_one_out(log)
    scores = fitted.scores(held.history, held.gaps)
    assert scores.shape == (120, 40)
    assert np.isfinite(scores).all()
    assert np.ptp(scores, axis=1).min() > 0
