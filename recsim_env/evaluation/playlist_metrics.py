"""The metrics of the RecSys Challenge 2018, where playlists are continued: 500 tracks for each.

The challenge's third metric, NDCG@500, is `ranking.ndcg(ranked, relevant, 500)`. Letters: B playlists, R
places of a list, M withheld tracks, N tracks of the catalogue; -1 is an empty place or cell. A playlist
without withheld tracks has no value: nan.

Source: Zamani, Schedl, Lamere and Chen, "An analysis of approaches taken in the ACM RecSys Challenge 2018",
ACM TIST 2019. Where prose leaves room, the rules are those of the winners' evaluators
(github.com/layer6ai-labs/RecSys2018).
"""

from typing import Any

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.evaluation.ranked_lists import (
    as_array,
    check_range,
    first_places,
    hits,
    in_row,
    item_ids,
    share,
)

ARTIST_CREDIT = 0.25
LIST_LENGTH = 500
TRACKS_PER_CLICK = 10


def r_precision(ranked: Any, relevant: Any, artist: Array | None = None) -> Floats:
    """R-precision, (B,): of the first G tracks, the share that is among the G withheld ones.

    With `artist`, a wrong track among those G places whose artist has a withheld track counts 0.25, once
    for each artist:

        (hits + 0.25 * distinct artists of wrong tracks that are artists of withheld tracks) / G.

    A hit does not use up the credit of its artist. A list shorter than G has misses in the places that it
    lacks (the winners divide by its length then).

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place; R should be G or more.
        relevant: (B, M) ids of the withheld tracks in any order, -1 = empty cell.
        artist: (N,) the artist of every track, 0 or more, -1 = unknown, which earns nothing; or None for
            plain R-precision (trec_eval's `Rprec`).

    Raises:
        InputError: as `ranking.ndcg`; artists that are not integers of -1 or more, or too few of them.
    """
    relevant = item_ids("relevant", relevant)
    count = np.count_nonzero(relevant >= 0, axis=1)
    longest = max(1, int(count.max(initial=0)))
    hit, _ = hits(ranked, relevant, longest)
    counts = np.arange(hit.shape[1]) < count[:, None]
    earned = (hit & counts).sum(axis=1).astype(np.float64)
    if artist is not None:
        listed = first_places(ranked, longest)
        wrong = np.where(counts & ~hit, _artists("ranked", listed, artist), -1)
        wanted = _artists("relevant", relevant, artist)
        matched = np.sort(np.where(in_row(wrong, wanted), wrong, -1), axis=1)
        new = np.diff(matched, axis=1, prepend=-1) != 0  # -1 stands first, and is not new
        earned += ARTIST_CREDIT * new.sum(axis=1)
    return share(earned, count)


def recommended_songs_clicks(ranked: Any, relevant: Any) -> Floats:
    """How often a user who is shown 10 tracks at a time asks for more until one is right, (B,).

    `floor((rank of the first withheld track - 1) / 10)` within the first 500 places: 0 if it is among the
    first ten, 49 at the end of the list, and 51 (not 50) if none hits. Lower is better.

    Arguments and errors as in `ranking.ndcg`; a list shorter than 500 hits in no place that it lacks.
    """
    hit, count = hits(ranked, relevant, LIST_LENGTH)
    nothing = LIST_LENGTH // TRACKS_PER_CLICK + 1
    if hit.shape[1] == 0:
        return np.where(count > 0, float(nothing), np.nan)
    clicks = np.where(hit.any(axis=1), hit.argmax(axis=1) // TRACKS_PER_CLICK, nothing)
    return np.where(count > 0, clicks, np.nan)


def _artists(name: str, tracks: Array, artist: Array) -> Array:
    """The artists of tracks (B, R), -1 where there is no track or its artist is unknown."""
    artist = as_array(artist)
    if artist.ndim != 1 or not np.issubdtype(artist.dtype, np.integer):
        raise InputError(
            f"artist must hold integers of shape (N,), got {artist.dtype} of shape {artist.shape}"
        )
    if (artist < -1).any():
        track = int(np.argmax(artist < -1))
        raise InputError(f"artist[{track}] = {artist[track]} is no artist: ids start at 0, -1 = unknown")
    check_range(name, tracks, -1, len(artist))
    return np.where(tracks >= 0, np.append(artist, -1)[tracks], -1)
