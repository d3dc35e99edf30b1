"""The compiled loops of the world of repeated listening, beside those of its memory (`song_memory.py`).

A step is `choose_songs` (the weights of the songs in memory, who plays what, and what the best and the shown
slate are worth), `remember` and `note_known`. Each has a plain twin in the tests.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.simulators.worlds.song_memory import (
    COUNT,
    EVENT_SONG,
    EVENT_TIME,
    FIRST,
    LAST,
    SONG,
    SongMemory,
)
from recsim_env.user_models.memory.strength import (
    raise_to_power,
    raise_to_power_single,
    strengths_of_events,
    strengths_of_traces,
)

NOTHING_NEW = 1e-9
"""Share of a user's discoveries below which what they do not know is rounding."""


@njit(cache=True, error_model="numpy")
def weights_of_songs(
    memory: SongMemory,
    exact: bool,
    now: Floats,
    session_start: Floats,
    decay: float,
    exponent: float,
    appeal: Floats,
    weight: Floats,
) -> None:
    """Write strength^exponent appeal of every song in memory, (B, L); 0 if free or played in this session."""
    L = weight.shape[1]
    work, work_single, single = np.empty((3, L)), np.empty((3, L), np.float32), np.empty(L, np.float32)
    for b in range(len(weight)):
        table, used = memory.table[b], memory.used[b]
        weigh(
            table,
            used,
            exact,
            now[b],
            session_start[b],
            decay,
            exponent,
            appeal,
            work,
            work_single,
            single,
            weight[b],
        )


@njit(cache=True, error_model="numpy")
def weigh(
    table: Array,
    n: int,
    exact: bool,
    now: float,
    session_start: float,
    decay: float,
    exponent: float,
    appeal: Floats,
    work: Floats,
    work_single: Array,
    single: Array,
    weight: Floats,
) -> None:
    """One row of `weights_of_songs`: table (4, L), weight (L,), appeal (N,) or (0,) if all songs are alike.

    work, work_single and single are scratch.
    """
    if exact:
        row = weight[:n]
        strengths_of_events(table[EVENT_SONG], table[EVENT_TIME], now, session_start, decay, work[0], row)
        if exponent != 1.0:
            raise_to_power(row, exponent, work)
    else:
        row_single = single[:n]
        strengths_of_traces(table[COUNT], table[FIRST], table[LAST], now, session_start, decay, row_single)
        if exponent != 1.0:
            raise_to_power_single(row_single, exponent, work_single)
        for i in range(n):
            weight[i] = row_single[i]
    if len(appeal) > 0:
        for i in range(n):
            weight[i] *= appeal[max(table[SONG, i], 0)]  # a free place has weight 0
    weight[n:] = 0.0


@njit(cache=True, error_model="numpy")
def choose_songs(
    # the world
    taste: Floats,
    cumulative_taste: Floats,
    category: Ints,
    share: Floats,
    cumulative_share: Floats,
    category_start: Ints,
    favourites: Ints,
    repeat_prob: Floats,
    appeal: Floats,
    boost: float,
    # the users and what they are shown
    decay: float,
    exponent: float,
    user: Ints,
    memory: SongMemory,
    exact: bool,
    now: Floats,
    session_start: Floats,
    known: Array,
    num_known: Ints,
    known_mass: Floats,
    slates: Ints,
    u: Floats,
    # what is written
    played: Ints,
    clicked: Bools,
    listed: Bools,
    best_value: Floats,
    slate_value: Floats,
) -> None:
    """Which song every user plays, whether it was recommended, and how likely that was.

    What is given and written:
        taste, cumulative_taste: (U, C) share of each category in the user's discoveries, and their sums.
        category: (N,), items sorted by it, those of category c at category_start[c : c + 2].
        share, cumulative_share: (N,) share of a song in the discoveries of its category, and their sums.
        favourites: (U, F) songs by appeal, highest first: more than a memory and a slate can hold.
        repeat_prob: (E+1,) rho(n), probability that a user who knows n songs wants one of these.
        appeal: (N,) popularity^c, or (0,) if c = 0.
        boost: how much a recommended song gains in weight: exp(beta) - 1.
        decay, exponent: d and 1 / T.
        now, session_start: (B,) seconds.
        known: (B, N / 64 rounded up) one bit a song; num_known (B,) how many, known_mass (B,) their share of
            the discoveries.
        slates: (B, K); u (B, 3 + tries): the gate, the choice, the last resort, and tries.
        played: (B,); clicked, listed: (B, K); best_value, slate_value: (B,).
    """
    B, K = slates.shape
    C, L, N = taste.shape[1], memory.table.shape[2], len(category)
    alike = 1.0 / N
    work, work_single, single = np.empty((3, L)), np.empty((3, L), np.float32), np.empty(L, np.float32)
    weights = np.empty(L)
    known_top, new_top = np.empty(K), np.empty(K)
    slate_weight, slate_appeal = np.empty(K), np.empty(K)
    for b in range(B):
        who = user[b]
        table, used = memory.table[b], memory.used[b]
        weigh(
            table,
            used,
            exact,
            now[b],
            session_start[b],
            decay,
            exponent,
            appeal,
            work,
            work_single,
            single,
            weights,
        )
        song, weight = table[SONG, :used], weights[:used]
        total = add_up(weight)
        on_slate, new_on_slate = 0.0, 0.0
        unknown = 1.0 - known_mass[b]
        exhausted = unknown < NOTHING_NEW
        if exhausted:  # of all that this user has a taste for: any other song does as well
            unknown = (N - num_known[b]) * alike
        for k in range(K):
            item = slates[b, k]
            shown = item >= 0
            for j in range(k):
                shown &= slates[b, j] != item
            listed[b, k] = shown
            slate_weight[k] = slate_appeal[k] = 0.0
            if shown and is_known(known[b], item):
                slate_weight[k] = weight_of(song, weight, item)
            elif shown:
                slate_appeal[k] = alike if exhausted else taste[who, category[item]] * share[item]
            on_slate += slate_weight[k]
            new_on_slate += slate_appeal[k]
        gate = repeat_prob[num_known[b]] if total > 0.0 else 0.0
        slate_value[b] = hit(gate, boost, on_slate, total, new_on_slate, unknown)
        # the best slate holds the m strongest known songs and the K - m most appealing new ones, for some m
        keep_largest(weight, known_top)
        found = 0
        for item in favourites[who]:
            if not is_known(known[b], item):
                new_top[found] = alike if exhausted else taste[who, category[item]] * share[item]
                found += 1
                if found == K:
                    break
        best_value[b] = 0.0
        for m in range(K + 1):
            value = hit(gate, boost, known_top[:m].sum(), total, new_top[: K - m].sum(), unknown)
            best_value[b] = max(best_value[b], value)

        item = -1
        if u[b, 0] < gate:
            left = u[b, 1] * (total + boost * on_slate)
            for k in range(K):
                if item < 0 and left < boost * slate_weight[k]:
                    item = slates[b, k]
                left -= boost * slate_weight[k] if item < 0 else 0.0
            if item < 0:
                item = song[walk(weight, left)]
        else:
            left = u[b, 1] * (unknown + boost * new_on_slate)
            for k in range(K):
                if item < 0 and left < boost * slate_appeal[k]:
                    item = slates[b, k]
                left -= boost * slate_appeal[k] if item < 0 else 0.0
            for attempt in range(3, u.shape[1]):
                if item >= 0:
                    break
                x = u[b, attempt]
                if exhausted:
                    drawn = int(x * N)
                    item = drawn if not is_known(known[b], drawn) else -1
                    continue
                c = min(np.searchsorted(cumulative_taste[who], x, side="right"), C - 1)
                below = cumulative_taste[who, c - 1] if c > 0 else 0.0
                inside = (x - below) / taste[who, c]  # uniform again, within the category
                begin, end = category_start[c], category_start[c + 1]
                place = np.searchsorted(cumulative_share[begin:end], inside, side="right")
                drawn = min(begin + place, end - 1)
                if not is_known(known[b], drawn):
                    item = drawn
            if item < 0:  # all tries knew the song: the exact draw, over the whole catalogue
                left = u[b, 2] * unknown
                for drawn in range(len(category)):
                    if not is_known(known[b], drawn):
                        item = drawn
                        left -= alike if exhausted else taste[who, category[drawn]] * share[drawn]
                        if left < 0.0:
                            break
        played[b] = item
        for k in range(K):
            clicked[b, k] = listed[b, k] and slates[b, k] == item


@njit(cache=True, inline="always")
def hit(
    gate: float, boost: float, on_slate: float, total: float, new_on_slate: float, unknown: float
) -> float:
    """P(the song played was recommended), from the weights on the slate and in all."""
    repeated = (1.0 + boost) * on_slate / (total + boost * on_slate) if total > 0.0 else 0.0
    discovered = (1.0 + boost) * new_on_slate / (unknown + boost * new_on_slate)
    return gate * repeated + (1.0 - gate) * discovered


@njit(cache=True, inline="always")
def is_known(bits: Array, item: int) -> bool:
    """Whether the bit of the item is set, bits (W,) uint64."""
    return (bits[item >> 6] >> np.uint64(item & 63)) & np.uint64(1) != np.uint64(0)


@njit(cache=True)
def weight_of(song: Array, weight: Floats, item: int) -> float:
    """The weight of a song in memory."""
    for i in range(len(song)):
        if song[i] == item:
            return weight[i]
    return 0.0


@njit(cache=True, fastmath=True)
def add_up(values: Floats) -> float:
    """The sum, in an order that the compiler chooses: the same one whenever the length is the same."""
    total = 0.0
    for value in values:
        total += value
    return total


@njit(cache=True)
def walk(weight: Floats, left: float) -> int:
    """The first place at which the sum of the weights passes `left`, sixteen at a time.

    Rounding may leave a little after the last one: then the last place of positive weight.
    """
    last = 0
    for begin in range(0, len(weight), 16):
        block = weight[begin : begin + 16]
        total = add_up(block)
        if total > 0.0:
            if left < total:
                for i in range(len(block)):
                    if block[i] > 0.0:
                        last = begin + i
                        if left < block[i]:
                            return last
                        left -= block[i]
                return last
            last = begin
            for i in range(len(block)):
                if block[i] > 0.0:
                    last = begin + i
            left -= total
    return last


@njit(cache=True, fastmath=True)
def largest(values: Floats) -> float:
    """The maximum, 0 if there are none; in any order, which does not change it."""
    top = 0.0
    for value in values:
        top = max(top, value)
    return top


@njit(cache=True)
def keep_largest(values: Floats, top: Floats) -> None:
    """Write the largest values (K,), largest first, from values (L,); zeros fill the rest."""
    K = len(top)
    if K == 1:
        top[0] = largest(values)
        return
    top[:] = 0.0
    for value in values:
        if value > top[K - 1]:
            j = K - 1
            while j > 0 and top[j - 1] < value:
                top[j] = top[j - 1]
                j -= 1
            top[j] = value
