"""The experiment that ranks a log: its tables, groups of users, pictures beside each other, errors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from recsim_env.evaluation.ranking import ndcg
from recsim_env.evaluation.repeat_explore import repeat_explore
from recsim_env.experiments import figure
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.suite.offline_ranking import by_history, same_lists

Values = dict[str, dict[str, np.ndarray]]


def _write(directory: Path, user: np.ndarray, item: np.ndarray) -> Path:
    directory.mkdir()
    columns = {"user_id": user, "item_id": item, "timestamp": np.arange(len(user))}
    pd.DataFrame(columns).to_parquet(directory / "interactions.parquet")
    return directory


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 users who watch 5 to 15 of 40 films, none twice; the popular ones oftener."""
    rng = np.random.default_rng(0)
    length = rng.integers(5, 16, 60)
    item = [np.argsort(rng.random(40) * np.arange(10, 50))[:n] for n in length]
    return _write(
        tmp_path_factory.mktemp("logs") / "films", np.repeat(np.arange(60), length), np.concatenate(item)
    )


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 users who play 20 songs each, of twelve of their own."""
    rng = np.random.default_rng(1)
    item = np.concatenate([rng.choice(50, 12, replace=False)[rng.integers(0, 12, 20)] for _ in range(40)])
    return _write(tmp_path_factory.mktemp("logs") / "songs", np.repeat(np.arange(40), 20), item)


def _run(data: Path, out: Path, *options: str) -> Values:
    assert main(["run", "offline_ranking", "--data", str(data), "--out", str(out), *options]) == 0
    results = Results.read(out / "results.csv")
    return {name: {m: c.values[:, 0] for m, c in curves.items()} for name, curves in results.curves.items()}


def test_a_log_without_repeats(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "popularity,p_top,latest,markov1"
    found = _run(films, tmp_path / "r", "--recommenders", names, "--k", "5", "--buckets", "3")
    out = capsys.readouterr().out
    assert "held out the last item of 60 users" in out
    assert "history masked" in out
    # who ranks by the user's own history has nothing left to say
    assert "p_top, latest: the same lists as popularity" in out
    assert "ndcg_repeated" not in out
    assert not any("repeat" in metric for metric in found["popularity"])
    assert_allclose(found["p_top"]["ndcg@5"], found["popularity"]["ndcg@5"])
    groups = found["markov1"]["ndcg@5_by_history"]
    assert len(groups) == len(found["markov1"]["ndcg@5_by_history_std_error"]) == 3
    assert groups.min() <= found["markov1"]["ndcg@5"][0] <= groups.max()
    assert "ndcg@5 of users with as many events" in out


def test_a_log_with_repeats(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _run(songs, tmp_path / "r", "--recommenders", "popularity,p_top")
    out = capsys.readouterr().out
    assert "history not masked" in out
    assert "NDCG of finding these" in out
    assert "by_history" not in found["p_top"]
    # after 19 plays everybody knows ten songs or nearly so: these fill the list
    assert found["p_top"]["repeat_ratio@10"] > 0.85 > 0.4 > found["popularity"]["repeat_ratio@10"]
    assert found["p_top"]["ndcg_repeated@10"] > found["popularity"]["ndcg_repeated@10"]
    assert found["p_top"]["gini@10"] < found["popularity"]["gini@10"]
    assert found["p_top"]["coverage@10"] > found["popularity"]["coverage@10"]


def test_gini_and_repeats_are_those_of_the_lists(songs: Path, tmp_path: Path) -> None:
    from recsim_env.agents.baselines.popularity_recommender import PopularityRecommender
    from recsim_env.agents.recommender import recommend
    from recsim_env.simulators.datasets import read_events
    from recsim_env.simulators.splits import leave_last_basket_out

    found = _run(songs, tmp_path / "r", "--recommenders", "popularity")["popularity"]
    data = read_events(str(songs))
    split = leave_last_basket_out(data.log)
    ranked = recommend(
        PopularityRecommender(num_items=50).fit(split.train), split.history, 10, mask_history=False
    )
    assert_allclose(found["ndcg@10"], ndcg(ranked, split.relevant, 10).mean())
    apart = repeat_explore(ranked, split.relevant, split.history, 10)
    assert_allclose(found["ndcg_repeated@10"], np.nanmean(apart.ndcg_repeated))
    assert_allclose(found["ndcg_explored@10"], np.nanmean(apart.ndcg_explored))
    assert_allclose(found["repeat_ratio_held_out"], (split.history == split.relevant).any(axis=1).mean())
    assert_allclose(found["gini@10"], 1 - 10 / 50)  # one list for all: ten items alike, 40 never


def test_groups_of_users_by_hand() -> None:
    value, length = np.array([0.0, 0.5, np.nan, 1.0, 0.2]), np.array([1, 2, 3, 9, 9])
    curves = by_history(value, length, 10, 2)
    assert list(curves["ndcg@10_by_history"].steps) == [1, 3]
    assert_allclose(curves["ndcg@10_by_history"].values[:, 0], [0.25, 0.6])
    assert_allclose(curves["ndcg@10_by_history_std_error"].values[:, 0], [0.25, 0.4])


def test_same_lists() -> None:
    a, b = np.array([[1, 2]]), np.array([[2, 1]])
    assert same_lists({"a": a, "b": b, "c": a.copy(), "d": b.copy(), "e": a}) == {"a": ["c", "e"], "b": ["d"]}
    assert same_lists({"a": a, "b": b}) == {}


def test_nine_bars_are_told_apart() -> None:
    cell = {m: Curve(np.array([10]), np.array([[0.1]])) for m in ("x", "x_std_error")}
    picture, (axes,) = figure.new_figure(1)
    figure.draw_bars(axes, Results({f"r{i}": cell for i in range(12)}), ["x"])
    looks = {
        (bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers if hasattr(bars, "patches")
    }
    assert len(looks) == 12
    picture.canvas.draw()
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.y1 < frame.y0  # below, where it hides no bar


def test_compare_gives_every_run_of_bars_a_panel(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one panel the bars of the second run would hide those of the first."""
    for name, recommender in (("one", "popularity"), ("two", "markov1")):
        _run(films, tmp_path / name, "--recommenders", recommender)
    drawn = []
    monkeypatch.setattr(figure, "save", lambda picture, path: drawn.append(picture))
    assert (
        main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "c.png")]) == 0
    )
    titles = [axes.get_title() for axes in drawn[0].axes]
    assert titles == [f"what users of films took next, full ranking ({name})" for name in ("one", "two")]


def test_no_event_of_tensorboard_is_nan(films: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    _run(films, tmp_path / "r", "--recommenders", "popularity")
    events = EventAccumulator(
        str(tmp_path / "r/tensorboard/popularity"), size_guidance={"tensors": 0}
    ).Reload()
    tags = [
        tag
        for tag in events.Tags()["tensors"]
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    ]
    assert "ndcg@10_std_error" in tags
    assert not any(tag.endswith("_std_error_std_error") for tag in tags)
    for tag in tags:
        values = [float(tensor_util.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        assert len(values) == 1
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--buckets", "-1"], "buckets must be 0 or more, got -1"),
        (["--k", "0"], "k must be positive, got 0"),
        (["--mask-history", "maybe"], "mask_history must be one of auto, yes, no, got 'maybe'"),
        (["--hold-out", "all"], "hold_out must be one of auto, last_item, last_basket, got 'all'"),
        (["--recommenders", "popularity,popularity"], "recommenders names popularity twice"),
        (["--recommenders", "markow1"], "no recommender 'markow1': did you mean markov1"),
        (["--recommenders", ","], "recommenders must name one or more"),
    ],
)
def test_bad_options(
    films: Path, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "offline_ranking", "--data", str(films), "--out", str(tmp_path / "r"), *options]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
