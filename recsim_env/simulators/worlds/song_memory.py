"""What listeners remember of their plays, and the compiled loops that write into it."""

from typing import NamedTuple

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints


class SongMemory(NamedTuple):
    """What B users remember of their plays: every one of the last L (exact), or a trace of each of L songs.

    One table, because it is copied at every step: four of them took four times as long.
    """

    table: Array  # (B, 4, L) int32: songs (-1 = free), their plays, then
    #     exact: the place of the song of each event (-1 = no event yet) and the time of the event in seconds
    #     traces: the time of the first and of the last play of each song in seconds
    used: Ints  # (B,) songs lie in the first `used` places
    place: Ints  # (B,) of the next event; 0 among traces


SONG, COUNT = 0, 1
EVENT_SONG, EVENT_TIME = 2, 3  # of exact memory
FIRST, LAST = 2, 3  # of traces


def empty_memory(B: int, remembered: int, exact: bool) -> SongMemory:
    """Of B users who have heard nothing: for `remembered` plays, or for traces of two songs in five plays."""
    table = np.zeros((B, 4, remembered if exact else max(2 * remembered // 5, 1)), np.int32)
    table[:, SONG] = -1
    if exact:
        table[:, EVENT_SONG] = -1
    return SongMemory(table, np.zeros(B, np.int64), np.zeros(B, np.int64))


@njit(cache=True)
def remember(
    played: Ints, now: Floats, memory: SongMemory, exact: bool, learned: Ints, forgotten: Ints
) -> None:
    """Write the plays into the memory, in place; songs (B,) that became known and unknown are written, or -1.

    An event takes the place of the oldest event, and a song is forgotten with its last event. Among traces
    a new song takes a free place or, if there is none, that of the song unheard for longest.
    """
    B, _, L = memory.table.shape
    for b in range(B):
        forgotten[b] = learned[b] = -1
        table, place = memory.table[b], memory.place[b]
        song, count = table[SONG], table[COUNT]
        if exact:
            old = table[EVENT_SONG, place]
            if old >= 0:
                count[old] -= 1
                if count[old] == 0 and song[old] != played[b]:
                    forgotten[b] = song[old]
                    song[old] = -1
        used = memory.used[b]
        found = place_of(song[:used], played[b])
        if found < 0:
            learned[b] = played[b]
            found = place_of(song[:used], -1)
            if found < 0 and memory.used[b] < L:
                found = memory.used[b]
                memory.used[b] += 1
            elif found < 0:
                found = int(np.argmin(table[LAST]))
                forgotten[b] = song[found]
                count[found] = 0
            song[found] = played[b]
            if not exact:
                table[FIRST, found] = now[b]
        count[found] += 1
        if exact:
            table[EVENT_SONG, place] = found
            table[EVENT_TIME, place] = now[b]
            memory.place[b] = (place + 1) % L
        else:
            table[LAST, found] = now[b]


@njit(cache=True)
def place_of(songs: Array, song: int) -> int:
    """The first place of a song, or -1; sixteen at a time, because a loop that may end at each is slow."""
    for begin in range(0, len(songs), 16):
        block = songs[begin : begin + 16]
        here = 0
        for i in range(len(block)):
            here += block[i] == song
        if here > 0:
            for i in range(len(block)):
                if block[i] == song:
                    return begin + i
    return -1


@njit(cache=True)
def note_known(
    known: Array,
    num_known: Ints,
    known_mass: Floats,
    learned: Ints,
    forgotten: Ints,
    user: Ints,
    taste: Floats,
    category: Ints,
    share: Floats,
) -> None:
    """Set and clear the bits of songs learned and forgotten; count them and their share of discoveries."""
    for b in range(len(user)):
        for item, sign in ((learned[b], 1.0), (forgotten[b], -1.0)):
            if item >= 0:
                known[b, item >> 6] ^= np.uint64(1) << np.uint64(item & 63)
                num_known[b] += int(sign)
                known_mass[b] += sign * taste[user[b], category[item]] * share[item]
