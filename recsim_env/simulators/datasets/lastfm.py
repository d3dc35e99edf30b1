"""Last.fm: play counts and tags of HetRec 2011, and the listening histories of a thousand users.

Source: https://grouplens.org/datasets/hetrec-2011/ (hetrec2011-lastfm-2k: 1,892 users, 17,632 artists, 92,834
play counts, 186,479 tags) and O. Celma, http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html (992
users, 19,150,868 plays). Terms of both: "made available for non-commercial use": never shipped.
`user_artists.dat` was run on the whole published file; the tags and the plays were written from the read-me
files, checked against readers that others published, and run on small files of that layout only.
"""

from pathlib import Path

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.clocks import times
from recsim_env.simulators.datasets.columns import dense, floats, identities, integers, open_text
from recsim_env.simulators.datasets.interactions import Interactions, numbered
from recsim_env.simulators.datasets.text_tables import opened, read_delimited

PLAYS_1K = "userid-timestamp-artid-artname-traid-traname.tsv"
TAGS = "user_taggedartists-timestamps.dat"


def read_lastfm_counts(directory: str | Path) -> Interactions:
    """Read `user_artists.dat`: one row for a user and an artist, `columns["play_count"]` the number of plays.

    There is no clock: when somebody listened is not known. `read_lastfm_tags` has times.

    Raises:
        InputError: no such file, or a cell that is missing or no number: file, line and column.
    """
    directory = Path(directory)
    kinds = {"userID": "integer", "artistID": "integer", "weight": "integer"}
    source, found = read_delimited(directory / "user_artists.dat", kinds, separator="\t", quoted=False)
    artists = dense(integers(found["artistID"], source, "artistID"))
    names = None
    if (directory / "artists.dat").is_file():
        with opened(directory / "artists.dat"), open_text(directory / "artists.dat") as file:
            cells = [line.rstrip("\r\n").split("\t") for line in file][1:]
        name_of = {row[0]: row[1] for row in cells if len(row) > 1}
        names = tuple(name_of.get(str(i), f"artist {i}") for i in artists[0].tolist())
    return numbered(
        directory.resolve().name,
        dense(integers(found["userID"], source, "userID")),
        artists,
        None,
        clock="none",
        id_columns=("userID", "artistID"),
        item_names=names,
        columns={"play_count": floats(found["weight"], source, "weight")},
    )


def read_lastfm_tags(directory: str | Path) -> Interactions:
    """Read `user_taggedartists-timestamps.dat`: who tagged which artist when; `columns["tag"]` is the tag.

    Times are milliseconds in the file, seconds in the log. The file is known to hold some that lie decades
    before Last.fm; they are kept, so look at the first times before trusting an order.

    Raises:
        InputError: as `read_lastfm_counts`.
    """
    directory = Path(directory)
    kinds = dict.fromkeys(("userID", "artistID", "tagID", "timestamp"), "integer")
    source, found = read_delimited(directory / TAGS, kinds, separator="\t", quoted=False)
    return numbered(
        directory.resolve().name,
        dense(integers(found["userID"], source, "userID")),
        dense(integers(found["artistID"], source, "artistID")),
        times(found["timestamp"], source, "timestamp", "ms"),
        clock="timestamp",
        id_columns=("userID", "artistID"),
        columns={"tag": floats(found["tagID"], source, "tagID")},
    )


def read_lastfm_plays(source: str | Path) -> Interactions:
    """Read the listening histories of the 1K data set: one row a play, with its time.

    An item is a track by its names, `artist - track`, because many tracks have no MusicBrainz id. The read-me
    states 19,150,868 lines; those who read the file count 19,098,862. A few plays are dated years after the
    file was made: `log.check_not_after` finds them.

    Args:
        source: the file `userid-timestamp-artid-artname-traid-traname.tsv`, or its directory.

    Raises:
        InputError: as `read_lastfm_counts`.
    """
    import pyarrow.compute as pc

    path = Path(source) / PLAYS_1K if Path(source).is_dir() else Path(source)
    names = ("userid", "timestamp", "artist-id", "artist-name", "track-id", "track-name")
    kinds = dict.fromkeys(("userid", "timestamp", "artist-name", "track-name"), "text")
    file, found = read_delimited(path, kinds, separator="\t", names=names, quoted=False)
    for name in ("artist-name", "track-name"):
        if found[name].null_count:
            row = int(pc.index(found[name].is_null(), True).as_py())
            raise InputError(f"{file.place(row)}: {name} is missing: mend or drop the row")
    tracks = pc.binary_join_element_wise(found["artist-name"], found["track-name"], " - ")
    items = identities(tracks, file, "track")
    return numbered(
        path.parent.resolve().name,
        identities(found["userid"], file, "userid"),
        items,
        times(found["timestamp"], file, "timestamp"),
        clock="timestamp",
        id_columns=("userid", "track"),
        item_names=tuple(items[0].tolist()),
    )
