"""One entrance: a data set by its name, directory or file."""

from pathlib import Path

from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.datasets.amazon import amazon_files, is_ratings_table, read_amazon
from recsim_env.simulators.datasets.columns import parquet_names
from recsim_env.simulators.datasets.impressions import read_search_sessions
from recsim_env.simulators.datasets.interactions import SHIPPED, Interactions, read_interactions
from recsim_env.simulators.datasets.known_sets import KNOWN_SETS
from recsim_env.simulators.datasets.kuairand import kuairand_files, read_kuairand
from recsim_env.simulators.datasets.lastfm import (
    PLAYS_1K,
    TAGS,
    read_lastfm_counts,
    read_lastfm_plays,
    read_lastfm_tags,
)
from recsim_env.simulators.datasets.movielens import is_movielens, read_movielens
from recsim_env.simulators.datasets.open_bandit import (
    SHIPPED_CAMPAIGNS,
    LoggedBandit,
    is_open_bandit,
    read_open_bandit,
)
from recsim_env.simulators.datasets.recsys_challenge import (
    CLICKS,
    playlist_files,
    read_playlists,
    read_yoochoose,
)
from recsim_env.simulators.datasets.tables import read_table, table_format

FURTHER = ("rating", "play_count", "quantity", "exposure", "propensity", "split", "target_of")


def read_dataset(
    source: str | Path, *, prefer: str = "order", campaign: str | None = None, policy: str | None = None
) -> Interactions | LoggedBandit:
    """Read a data set, whichever it is.

    Args:
        source: a shipped name (`complete-journey`, `open-bandit/all`, `open-bandit/men`); a directory, of
            which the files tell what it is (`known_sets` has the list); or a file: one of those, or a table
            `.csv`, `.tsv`, `.parquet` or `.jsonl` with columns user_id, item_id and timestamp. `read_table`
            reads tables whose columns are called otherwise.
        prefer: which clock is read of an `interactions.parquet` that has two, `order` or `timestamp`. One
            that has neither is read without a clock: all times are 0.
        campaign: of the Open Bandit Dataset: all (the default), men or women.
        policy: of the Open Bandit Dataset, random (the default) or bts; of KuaiRand, standard or random
            (both by default).

    Raises:
        InputError: nothing that is known; see the function of each set. A directory of `deezer-carousel` is
            refused: it has parameters of a world and no log.
    """
    path = Path(source)
    if source in SHIPPED_CAMPAIGNS:
        return read_open_bandit(source, campaign=campaign, policy=policy)
    if source in SHIPPED:
        _refuse_options(source, campaign=campaign, policy=policy)
        return read_interactions(source, prefer=prefer)
    if not path.exists():
        shipped = [*SHIPPED, *SHIPPED_CAMPAIGNS]
        if str(source) in {known.name for known in KNOWN_SETS}:
            raise InputError(
                f"{source} is not shipped: get it where `recsim-env data info {source}` says, and give its "
                "directory"
            )
        raise InputError(f"{unknown_name('data set', str(source), shipped)}, or give a directory or file")
    if path.is_dir() and is_open_bandit(path):
        return read_open_bandit(path, campaign=campaign, policy=policy)
    if path.is_dir() and kuairand_files(path):
        _refuse_options(source, campaign=campaign)
        return read_kuairand(path, policy=policy)
    _refuse_options(source, campaign=campaign, policy=policy)
    return _read_directory(path, prefer) if path.is_dir() else _read_file(path)


def read_events(source: str | Path, *, prefer: str = "order") -> Interactions:
    """Read a data set of what users took: purchases, plays, ratings.

    Arguments and errors as of `read_dataset`; impressions of a bandit are refused too.
    """
    data = read_dataset(source, prefer=prefer)
    if isinstance(data, LoggedBandit):
        raise InputError(
            f"{source} holds impressions that were shown to people who came once, and no histories of what "
            "users took: evaluate policies on it (evaluation.off_policy)"
        )
    return data


def _refuse_options(source: str | Path, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name} must be left out: {source} has none, got {value!r}")


def _read_directory(path: Path, prefer: str) -> Interactions:
    if (path / "interactions.parquet").is_file():
        names = parquet_names(path / "interactions.parquet")
        clock = prefer if {"order", "timestamp"} & set(names) else "none"
        return read_interactions(path, prefer=clock, columns=[name for name in FURTHER if name in names])
    if (path / "impressions.parquet").is_file():
        return read_search_sessions(path)
    if (path / "playlist_weights.parquet").is_file():
        raise InputError(
            f"{path} holds logistic weights of playlists, and no log: they "
            "are parameters of a world; read them with pandas.read_parquet"
        )
    if is_movielens(path):
        return read_movielens(path)
    if (path / "user_artists.dat").is_file():
        return read_lastfm_counts(path)
    if (path / PLAYS_1K).is_file():
        return read_lastfm_plays(path)
    if (path / CLICKS).is_file():
        return read_yoochoose(path)
    if playlist_files(path):
        return read_playlists(path)
    if amazon_files(path):
        return read_amazon(path)
    raise InputError(
        f"{path} is no known data set: looked for interactions.parquet, impressions*.parquet, u.data, "
        f"ratings.dat, ratings.csv, log_*.csv, user_artists.dat, {PLAYS_1K}, {CLICKS}, mpd.slice.*.json, "
        "*_5.json.gz; give one file to read_table, or a log of recsim-env to read_log"
    )


def _read_file(path: Path) -> Interactions:
    if path.name.startswith("yoochoose-") and path.suffix == ".dat":
        return read_yoochoose(path)
    if path.name == PLAYS_1K:
        return read_lastfm_plays(path)
    if path.name == TAGS:
        return read_lastfm_tags(path.parent)
    if path.name.startswith("mpd.slice."):
        return read_playlists(path)
    if path in amazon_files(path.parent) or is_ratings_table(path):
        return read_amazon(path)
    if table_format(path) is None:
        raise InputError(
            f"{path} is no file that is known: give a .csv, .tsv, .parquet or .jsonl, or a directory"
        )
    return read_table(path)
