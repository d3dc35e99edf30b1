"""Files on disk -> `Log` and ratings. pandas and pyarrow are loaded when a file is read, not before."""

from recsim_env.simulators.datasets.amazon import read_amazon
from recsim_env.simulators.datasets.counts import LogCounts, count_log
from recsim_env.simulators.datasets.impressions import read_search_sessions
from recsim_env.simulators.datasets.interactions import SHIPPED, Interactions, read_interactions
from recsim_env.simulators.datasets.known_sets import KNOWN_SETS, KnownSet
from recsim_env.simulators.datasets.kuairand import read_kuairand
from recsim_env.simulators.datasets.lastfm import read_lastfm_counts, read_lastfm_plays, read_lastfm_tags
from recsim_env.simulators.datasets.movielens import Ratings, read_movielens, read_ratings
from recsim_env.simulators.datasets.open_bandit import LoggedBandit, read_open_bandit
from recsim_env.simulators.datasets.read_dataset import read_dataset, read_events
from recsim_env.simulators.datasets.recsys_challenge import read_playlists, read_yoochoose
from recsim_env.simulators.datasets.tables import read_table

__all__ = [
    "KNOWN_SETS",
    "SHIPPED",
    "Interactions",
    "KnownSet",
    "LogCounts",
    "LoggedBandit",
    "Ratings",
    "count_log",
    "read_amazon",
    "read_dataset",
    "read_events",
    "read_interactions",
    "read_kuairand",
    "read_lastfm_counts",
    "read_lastfm_plays",
    "read_lastfm_tags",
    "read_movielens",
    "read_open_bandit",
    "read_playlists",
    "read_ratings",
    "read_search_sessions",
    "read_table",
    "read_yoochoose",
]
