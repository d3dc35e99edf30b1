"""Two RecSys Challenges: the sessions of 2015 (YooChoose) and the playlists of 2018 (Spotify).

2015: https://www.kaggle.com/datasets/chadgostopp/recsys-challenge-2015; 33,003,944 clicks of 9,249,729
    sessions, 1,150,753 buys. Terms: CC BY-NC-ND 4.0 as commonly stated: never shipped.
2018: the Million Playlist Dataset, 1,000,000 playlists, 66 million tracks in them;
    https://www.aicrowd.com/challenges/spotify-million-playlist-dataset-challenge says that it is no longer
    offered there and to ask Spotify Research. Terms: research and the challenge only, no redistribution:
    never shipped.

Both were written from the published descriptions, checked against readers that others published, and run on
small files of that layout only.
"""

import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import dense, floats, integers
from recsim_env.simulators.datasets.interactions import Interactions, numbered
from recsim_env.simulators.datasets.text_tables import read_delimited

CLICKS = "yoochoose-clicks.dat"
SLICES = "mpd.slice.*.json"


def read_yoochoose(source: str | Path) -> Interactions:
    """Read clicks, or buys, of sessions: a session is a user, times are Unix seconds.

    More than half of the buys have neither price nor quantity: 0 stands for unknown there.

    Args:
        source: the file `yoochoose-clicks.dat` or `yoochoose-test.dat` (session, time, item, category), or
            `yoochoose-buys.dat` (session, time, item, price, quantity; the last two in `columns`), or a
            directory, of which the clicks are read.

    Raises:
        InputError: no such file, or a cell that is missing or not what it must be: file, line and column.
    """
    path = Path(source) / CLICKS if Path(source).is_dir() else Path(source)
    kinds = {"session": "integer", "timestamp": "text", "item": "integer"}
    buys = path.name.startswith("yoochoose-buys")
    names = ("session", "timestamp", "item", *(("price", "quantity") if buys else ("category",)))
    further = ("price", "quantity") if buys else ()
    file, found = read_delimited(path, kinds | dict.fromkeys(further, "number"), names=names, quoted=False)
    return numbered(
        path.stem,
        dense(integers(found["session"], file, "session")),
        dense(integers(found["item"], file, "item")),
        times(found["timestamp"], file, "timestamp"),
        clock="timestamp",
        id_columns=("session", "item"),
        columns={name: floats(found[name], file, name) for name in further},
    )


def read_playlists(source: str | Path) -> Interactions:
    """Read playlists: a playlist is a user, its tracks are items, and their place, from 0, is the clock.

    `columns["artist"]` has a number for the artist of each row, for R-precision with artist credit. A track
    may stand in a playlist twice.

    Args:
        source: a directory with `mpd.slice.<first>-<last>.json` (or with a folder `data` of them), or one
            slice.

    Raises:
        InputError: no slice, one that is not JSON or is cut off, or a playlist or track without a field:
            file, number of the playlist and of the track in it, and field.
    """
    paths = playlist_files(Path(source)) if Path(source).is_dir() else [Path(source)]
    if not paths:
        raise InputError(f"{source} holds no {SLICES}: give the directory of the Million Playlist Dataset")
    playlist, place, track, artist = (array("q") for _ in range(4))  # 32 bytes a row: there are 66 million
    track_number: dict[str, int] = {}
    artist_number: dict[str, int] = {}
    names: list[str] = []
    for path in paths:
        for number, entry in enumerate(_playlists(path)):
            at = f"{path}: playlist {number}"
            try:
                pid = int(entry["pid"])
                for row, song in enumerate(entry["tracks"]):
                    at = f"{path}: playlist {number}, track {row}"
                    uri, by = str(song["track_uri"]), str(song["artist_uri"])
                    playlist.append(pid)
                    place.append(int(song["pos"]))
                    track.append(track_number.setdefault(uri, len(names)))
                    artist.append(artist_number.setdefault(by, len(artist_number)))
                    if len(track_number) > len(names):
                        names.append(f"{song['artist_name']} - {song['track_name']}")
            except KeyError as error:
                raise InputError(f"{at} has no {error}: get the slice again") from error
            except (TypeError, ValueError, OverflowError) as error:
                raise InputError(f"{at} is not as published ({error}): get the slice again") from error
    if not playlist:
        raise InputError(f"{source} holds playlists without a track: give other slices")
    uris, items, order = _sorted(track_number, np.frombuffer(track, np.int64))
    artists, artist_of_row, _ = _sorted(artist_number, np.frombuffer(artist, np.int64))
    return numbered(
        Path(source).resolve().stem,
        dense(np.array(playlist, np.int64)),
        (uris, items),
        np.array(place, np.float64),
        clock="pos",
        id_columns=("pid", "track_uri"),
        item_names=tuple(names[i] for i in order),
        columns={"artist": artist_of_row, "artist_uri": artists[artist_of_row]},
    )


def _sorted(number: dict[str, int], rows: Ints) -> tuple[Array, Ints, Ints]:
    """Texts that were numbered as they came: sorted, each row's place among them, and their old numbers."""
    texts = np.array(list(number), object)
    order = np.argsort(texts)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return texts[order], rank[rows], order


def playlist_files(directory: Path) -> list[Path]:
    """The slices in a directory or in its folder `data`, by the number of their first playlist."""
    found = list(directory.glob(SLICES)) or list((directory / "data").glob(SLICES))
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _playlists(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            document = json.load(file)
        return list(document["playlists"])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a slice of playlists") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no slice of playlists, or is cut off ({error}): get it again") from error
