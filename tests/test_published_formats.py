"""Data sets as their publishers lay them out, in small files of that layout, and what is said of bad ones."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.simulators.datasets import (
    Interactions,
    read_amazon,
    read_dataset,
    read_kuairand,
    read_lastfm_counts,
    read_lastfm_plays,
    read_lastfm_tags,
    read_movielens,
    read_playlists,
    read_table,
    read_yoochoose,
)

REVIEW = {
    "reviewerName": "A.",
    "helpful": [3, 4],
    "reviewText": 'Not, "quite".',
    "summary": "Ok",
    "reviewTime": "01 30, 2014",
}
KUAIRAND = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)


def _reviews(*cells: tuple[str, str, float, int]) -> bytes:
    lines = [
        json.dumps({**REVIEW, "reviewerID": u, "asin": i, "overall": r, "unixReviewTime": t})
        for u, i, r, t in cells
    ]
    return ("\n".join(lines) + "\n").encode()


def _items(data: Interactions) -> list[Any]:
    return data.item_ids[data.log.slate[:, 0]].tolist()


def _users(data: Interactions) -> list[Any]:
    return data.user_ids[data.log.user].tolist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("u.data", "7\t20\t4\t881250949\n3\t10\t1\t881250950\n7\t10\t3\t881250940\n"),
        ("ratings.dat", "7::20::4::881250949\n3::10::1::881250950\n7::10::3::881250940\n"),
        (
            "ratings.csv",
            "userId,movieId,rating,timestamp\n7,20,4.0,881250949\n3,10,1.0,881250950\n7,10,3.0,881250940\n",
        ),
    ],
)
def test_movielens_with_times(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "u.item").write_text("20|Café|01-Jan-1995\n", encoding="latin-1")
    for data in (read_movielens(tmp_path), read_dataset(tmp_path)):
        assert isinstance(data, Interactions)
        assert _users(data) == [3, 7, 7]
        assert _items(data) == [10, 10, 20]
        assert_array_equal(data.log.time, [881250950, 881250940, 881250949])
        assert_array_equal(data.columns["rating"], [1, 3, 4])
        assert_array_equal(data.rows, [1, 2, 0])
    assert (data.item_names == ("movie 10", "Café")) == (name == "u.data")


@pytest.mark.parametrize(
    "name", ["reviews_Beauty_5.json.gz", "All_Beauty_5.json.gz", "reviews_Beauty_5.json"]
)
def test_amazon_reviews(tmp_path: Path, name: str) -> None:
    text = _reviews(("A2B", "B00", 5.0, 200), ("A1", "7806397051", 3.0, 300), ("A2B", "7806397051", 1.0, 100))
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    for data in (read_amazon(tmp_path / name), read_dataset(tmp_path), read_dataset(tmp_path / name)):
        assert isinstance(data, Interactions)
        assert _users(data) == ["A1", "A2B", "A2B"]
        assert _items(data) == ["7806397051", "7806397051", "B00"]
        assert_array_equal(data.columns["rating"], [3, 1, 5])
        assert data.clock == "unixReviewTime"


def test_amazon_ratings_of_both_years(tmp_path: Path) -> None:
    rows = [
        ("AKM1MP6P0OYPR", "0132793040", "5.0", "1365811200"),
        ("A2CX7LUOHB2NDG", "B00TLEMSVK", "3.0", "9"),
    ]
    old, new = tmp_path / "ratings_Books.csv", tmp_path / "All_Beauty.csv"
    old.write_text("".join(f"{u},{i},{r},{t}\n" for u, i, r, t in rows))
    new.write_text("".join(f"{i},{u},{r},{t}\n" for u, i, r, t in rows))
    for path in (old, new):
        data = read_amazon(path)
        assert _users(data) == ["A2CX7LUOHB2NDG", "AKM1MP6P0OYPR"]
        assert _items(data) == ["B00TLEMSVK", "0132793040"]  # the leading zero is part of the code
    new.write_text("A1,B00TLEMSVK,5.0,1\nA2,x,5.0,1\n" * 5 + "B00TLEMSVK,y,5.0,1\n")
    with pytest.raises(InputError, match="does not tell which of its first two columns are the products"):
        read_amazon(new)
    new.write_text("B00TLEMSVK,B00TLEMSVK,5.0,1\n")
    with pytest.raises(InputError, match="does not tell which of its first two columns are the products"):
        read_amazon(new)


def test_kuairand(tmp_path: Path) -> None:
    folder = tmp_path / "KuaiRand-Pure" / "data"
    folder.mkdir(parents=True)
    standard, random = (
        folder / "log_standard_4_22_to_5_08_pure.csv",
        folder / "log_random_4_22_to_5_08_pure.csv",
    )
    standard.write_text(
        f"{KUAIRAND}\n0,10,20220411,1900,1649675512388,1,0,0,0,0,0,1,1385,209900,0,0,0,0,1\n"
        "0,20,20220416,2000,1650111976017,0,0,0,0,0,0,0,0,65400,0,0,0,0,0\n"
    )
    random.write_text(f"{KUAIRAND}\n0,30,20220422,1600,1650444367095,1,1,0,0,0,0,0,1405,170833,0,0,0,1,1\n")
    data = read_kuairand(folder.parent)
    assert _items(data) == [10, 20, 30]
    assert_array_equal(data.log.clicked[:, 0], [True, False, True])
    assert_allclose(data.log.time, [1649675512.388, 1650111976.017, 1650444367.095], atol=1e-6)
    assert_array_equal(data.columns["is_rand"], [0, 0, 1])
    assert_array_equal(data.rows, [1, 2, 0])  # log_random comes first
    assert data.log.log_propensity is None
    other = read_dataset(folder, policy="random")
    assert isinstance(other, Interactions)
    assert _items(other) == [30]
    with pytest.raises(InputError, match="policy must be standard or random, got 'bts'"):
        read_kuairand(folder, policy="bts")
    standard.write_text(standard.read_text().replace(",1649675512388,1,", ",1649675512388,2,"))
    with pytest.raises(InputError, match=r"pure.csv, line 2: is_click = 2.0 is neither 0 nor 1"):
        read_kuairand(folder)


def test_lastfm_counts_and_tags(tmp_path: Path) -> None:
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n2\t51\t13883\n2\t7\t11\n9\t51\t1\n")
    (tmp_path / "artists.dat").write_text(
        'id\tname\turl\tpictureURL\n51\t"Duran" Duran\thttp://x\thttp://y\n'
    )
    (tmp_path / "user_taggedartists-timestamps.dat").write_text(
        "userID\tartistID\ttagID\ttimestamp\n2\t52\t13\t1238536800000\n2\t51\t15\t1238536700500\n"
    )
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert data.clock == "none"
    assert data.log.tied_rows().tolist() == [True, True, False]
    assert _items(data) == [51, 7, 51]
    assert_array_equal(data.columns["play_count"], [13883, 11, 1])
    assert data.item_names == ("artist 7", '"Duran" Duran')
    tags = read_lastfm_tags(tmp_path)
    assert_array_equal(tags.log.time, [1238536700.5, 1238536800])
    assert_array_equal(tags.columns["tag"], [15, 13])
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n2\t51\tmany\n")
    with pytest.raises(InputError, match=r"user_artists.dat, line 2: weight = 'many' is not a number"):
        read_lastfm_counts(tmp_path)


def test_lastfm_plays(tmp_path: Path) -> None:
    path = tmp_path / "userid-timestamp-artid-artname-traid-traname.tsv"
    rows = [
        ("user_000639", "2009-04-08T01:57:47Z", "", "The Dogs D'Amour", "", 'Fall in "Love'),
        ("user_000639", "2009-04-08T01:53:56Z", "m", "The Dogs D'Amour", "n", "Wait Until I'm Dead"),
    ]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert _items(data) == ["The Dogs D'Amour - Wait Until I'm Dead", "The Dogs D'Amour - Fall in \"Love"]
    assert_array_equal(data.log.time, [1239155636, 1239155867])
    path.write_text("u\t2009-04-08T01:57:47Z\t\tA\t\t\n")
    with pytest.raises(InputError, match=r"tsv, line 1: track-name is missing"):
        read_lastfm_plays(path)


def test_yoochoose(tmp_path: Path) -> None:
    (tmp_path / "yoochoose-clicks.dat").write_text(
        "2,2014-04-07T13:57:19.373Z,214662742,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n"
        "1,2014-04-07T10:51:09.277Z,214536502,0\n"
    )
    (tmp_path / "yoochoose-buys.dat").write_text("420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n")
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert _users(data) == [1, 1, 2]
    assert _items(data) == [214536502, 214536500, 214662742]
    assert_allclose(data.log.time, [1396867869.277, 1396868049.868, 1396879039.373], atol=1e-6)
    buys = read_yoochoose(tmp_path / "yoochoose-buys.dat")
    assert_array_equal(buys.columns["price"], [12462])
    (tmp_path / "yoochoose-clicks.dat").write_text(
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,yesterday,214536500,0\n"
    )
    with pytest.raises(InputError, match=r"clicks.dat, line 2: timestamp = 'yesterday' is no date"):
        read_yoochoose(tmp_path)


def _slice(first: int, *playlists: list[tuple[str, str]]) -> str:
    entries = [
        {
            "name": "x",
            "collaborative": "false",
            "pid": first + k,
            "modified_at": 1493424000,
            "num_tracks": len(tracks),
            "tracks": [
                {
                    "pos": pos,
                    "artist_name": artist.upper(),
                    "track_uri": f"spotify:track:{track}",
                    "artist_uri": f"spotify:artist:{artist}",
                    "track_name": track.upper(),
                    "album_uri": "spotify:album:0",
                    "duration_ms": 1,
                    "album_name": "",
                }
                for pos, (track, artist) in enumerate(tracks)
            ],
        }
        for k, tracks in enumerate(playlists)
    ]
    return json.dumps({"info": {"version": "v1"}, "playlists": entries})


def test_playlists(tmp_path: Path) -> None:
    (tmp_path / "mpd.slice.1000-1999.json").write_text(_slice(1000, [("c", "z")]))
    (tmp_path / "mpd.slice.0-999.json").write_text(
        _slice(0, [("b", "y"), ("a", "y")], [("a", "y"), ("a", "y")])
    )
    data = read_dataset(tmp_path)
    assert isinstance(data, Interactions)
    assert _users(data) == [0, 0, 1, 1, 1000]
    assert [uri[-1] for uri in _items(data)] == ["b", "a", "a", "a", "c"]
    assert data.log.time.tolist() == [0, 1, 0, 1, 0]
    assert data.item_names == ("Y - A", "Y - B", "Z - C")
    assert data.columns["artist"].tolist() == [0, 0, 0, 0, 1]
    assert data.columns["artist_uri"][-1] == "spotify:artist:z"
    path = tmp_path / "mpd.slice.0-999.json"
    text = path.read_text()
    for broken, message in (
        (text[: len(text) // 2], "0-999.json is no slice of playlists, or is cut off"),
        (text.replace('"pos"', '"place"', 1), "0-999.json: playlist 0, track 0 has no 'pos'"),
        ("{}", "0-999.json is no slice of playlists"),
    ):
        path.write_text(broken)
        with pytest.raises(InputError, match=message):
            read_playlists(tmp_path)


@pytest.mark.parametrize(
    ("name", "whole", "read"),
    [
        (
            "reviews_Beauty_5.json.gz",
            gzip.compress(_reviews(*[("A1", "B1", 5.0, 7)] * 400), mtime=0),
            read_amazon,
        ),
        ("reviews_Beauty_5.json", _reviews(*[("A1", "B1", 5.0, 7)] * 4), read_amazon),
        (
            "log_random_x.csv",
            f"{KUAIRAND}\n{'0,10,2,1900,1,1,0,0,0,0,0,1,1,2,0,0,0,0,1' * 2}\n".encode(),
            read_kuairand,
        ),
        ("u.data", b"1\t2\t3\t4\n1\t2\t3\t4\n", read_movielens),
        ("yoochoose-clicks.dat", b"2,2014-04-07T13:57:19.373Z,214662742,0\n" * 2, read_yoochoose),
    ],
)
def test_a_file_cut_off_inside_a_line_gives_no_number(
    tmp_path: Path, name: str, whole: bytes, read: Callable[[Path], Interactions]
) -> None:
    path = tmp_path / name
    path.write_bytes(whole[:-8] if name.endswith(".gz") else whole[: int(len(whole) * 0.72)])
    with pytest.raises(InputError, match=r"or is cut off: mend it, or get the file again") as caught:
        read(path if path.suffix in (".json", ".gz", ".dat") else tmp_path)
    assert name in str(caught.value)
    assert name.endswith(".gz") or f", line {3 if name.endswith('.json') else 2}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_more_is_no_harm_and_one_less_is_named(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("note,userId,movieId,rating,timestamp\nx,1,2,3,4\n")
    assert _items(read_movielens(tmp_path)) == [2]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,2,3\n")
    with pytest.raises(
        InputError, match="has no column 'timestamp': its columns are userId, movieId, rating"
    ):
        read_movielens(tmp_path)


def test_titles_are_utf_8_from_ml_10m_on(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::73::4.5::838985046\n1::8::3::838985046\n")
    for encoding in ("utf-8", "latin-1"):  # ml-10m, ml-1m
        (tmp_path / "movies.dat").write_bytes(
            "73::Misérables, Les (1995)::Drama\r\n8::Tom: and Huck (1995)::Adventure\n".encode(encoding)
        )
        data = read_movielens(tmp_path)
        assert data.item_names == ("Tom: and Huck (1995)", "Misérables, Les (1995)")
        assert_array_equal(data.columns["rating"], [4.5, 3])
    (tmp_path / "ratings.dat").unlink()
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,73,4.5,838985046\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n73,"Misérables, Les (""1995"")",Drama\n', encoding="utf-8"
    )
    assert read_movielens(tmp_path).item_names == ('Misérables, Les ("1995")',)


def test_ratings_tables_are_told_from_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "All_Beauty.csv"  # 2018: no first line, products first
    path.write_text("0143026860,A1V6B6TNIC10QE,1.0,1424304000\nB00I4VRBLQ,A2CX7LUOHB2NDG,5.0,1433289600\n")
    data = read_dataset(path)
    assert isinstance(data, Interactions)
    assert _items(data) == ["0143026860", "B00I4VRBLQ"]
    path.write_text("user_id,item_id,timestamp\nA1V6B6TNIC10QE,B00I4VRBLQ,3\n")
    assert _items(read_dataset(path)) == ["B00I4VRBLQ"]  # type: ignore[arg-type]
    path.write_text(
        "user_id,parent_asin,rating,timestamp,history\nAG7,B00I4VRBLQ,5.0,1433289600000,B01 B02\n"
    )
    data = read_table(path, item="parent_asin", time_unit="ms", columns=["rating"])  # 2023
    assert data.log.time.tolist() == [1433289600.0]


def test_every_file_of_yoochoose(tmp_path: Path) -> None:
    (tmp_path / "yoochoose-test.dat").write_text("5,2014-04-07T17:13:46.713Z,214530776,0\n")
    (tmp_path / "yoochoose-buys.dat").write_text("420374,2014-04-06T18:44:58.314Z,214537888,0,0\n")
    assert _items(read_dataset(tmp_path / "yoochoose-test.dat")) == [214530776]  # type: ignore[arg-type]
    buys = read_dataset(tmp_path / "yoochoose-buys.dat")
    assert isinstance(buys, Interactions)
    assert_array_equal(buys.columns["quantity"], [0])


def test_playlists_are_numbered_as_they_come_and_then_sorted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shown = [[(f"t{t}", f"a{t % 7}") for t in rng.integers(0, 40, 30)] for _ in range(9)]
    (tmp_path / "mpd.slice.0-999.json").write_text(_slice(0, *shown))
    data = read_playlists(tmp_path)
    assert _items(data) == [f"spotify:track:{track}" for tracks in shown for track, _ in tracks]
    assert [data.item_names[i] for i in data.log.slate[:, 0]] == [  # type: ignore[index]
        f"{artist.upper()} - {track.upper()}" for tracks in shown for track, artist in tracks
    ]
    assert data.columns["artist_uri"].tolist() == [
        f"spotify:artist:{a}" for tracks in shown for _, a in tracks
    ]
    assert (np.diff(data.item_ids.astype(str).argsort()) == 1).all()
    (tmp_path / "mpd.slice.10000-10999.json").write_text(_slice(10000, [("t0", "a0")]))
    (tmp_path / "mpd.slice.2000-2999.json").write_text(_slice(2000, [("t1", "a1")]))
    many = read_playlists(tmp_path)
    assert_array_equal(many.rows, np.arange(len(many.log)))  # slices are read in the order of their numbers
    assert _users(many)[-2:] == [2000, 10000]
    (tmp_path / "mpd.slice.10000-10999.json").unlink()
    (tmp_path / "mpd.slice.2000-2999.json").unlink()
    names = np.unique(data.columns["artist_uri"])
    assert_array_equal(names[data.columns["artist"].astype(int)], data.columns["artist_uri"])
    (tmp_path / "mpd.slice.0-999.json").write_text(_slice(0, *shown).replace('"pos": 2,', '"pos": "x",', 1))
    with pytest.raises(
        InputError, match=r"0-999.json: playlist 0, track 2 is not as published \(invalid lit"
    ):
        read_playlists(tmp_path)
