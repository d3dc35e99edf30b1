"""Repeated listening: users play songs they know, by the strength of their memory, and discover new ones.

The two-stage form of ACT-R, which is stable. At each song the user wants one they know with probability
rho, else a new one. With s_i = sum_j (now - t_j)^-d over the plays of song i (its base-level activation is
B_i = ln s_i) and recommendations A brought to mind exp(beta) times as easily,

    P(plays i | wants a known song) ~ s_i^(1/T) exp(beta [i in A]),       i known, not yet played this session
    P(plays i | wants a new song) ~ q_ui exp(beta [i in A]),              i unknown
    q_ui = taste_u,c(i) popularity_i / (popularity of its category)

The user plays one song a step and earns the recommender 1 if it was on the slate.

Not built: the user who plays the song of the highest activation whenever it is above a threshold. Their
share of repeats jumps from 0.15 to 1 within half a unit of the threshold, because what is played becomes
stronger still; a gate of fixed probability cannot run away.

Source: Anderson et al., "An integrated theory of the mind", Psychological Review 111, 2004 (ACT-R); Tran
et al., "Transformers Meet ACT-R", RecSys 2024, for listening sessions.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.last_slate import check_sizes
from recsim_env.simulators.worlds.repeat_kernels import choose_songs, weights_of_songs
from recsim_env.simulators.worlds.song_memory import SONG, SongMemory, empty_memory, note_known, remember
from recsim_env.simulators.worlds.world import Entry, Outcome, take_rows
from recsim_env.user_models.clicks import Response
from recsim_env.user_models.sessions import GammaGaps

LONGEST_AGO = 87_600.0  # hours: ten years, and all that is longer
SHORTEST_GAP = 1800.0  # seconds between sessions
TRIES = 8  # to draw a song that is new to the user, before the exact draw over the whole catalogue
COLDEST = 0.25  # temperature: strengths of 2^-31 to 2^15 to a higher power than 4 leave single precision
LAST_SECOND = 2**31  # times are kept in 32 bits


class ListeningState(NamedTuple):
    """Where B users are."""

    user: Ints  # (B,) number of the user in the population
    step: Ints  # (B,) songs played so far in this episode
    now: Floats  # (B,) whole seconds since the user's first event
    session_start: Floats  # (B,) seconds
    session_song: Ints  # (B,) songs played so far in this session
    session_size: Ints  # (B,) songs of this session
    known: Array  # (B, N / 64 rounded up) uint64, one bit a song
    known_mass: Floats  # (B,) sum of q_ui over known songs
    recent: Ints  # (B, R) the last songs played, latest first, -1 before the first
    recent_time: Floats  # (B, R) seconds
    memory: SongMemory


@dataclass(frozen=True)
class ListeningWorld:
    """Listeners of a population before a catalogue of songs.

    Raises:
        InputError: a parameter out of range; a catalogue not sorted by category.
    """

    catalogue: Catalogue
    taste: Floats  # (U, C) share of each category in a user's discoveries
    slate_size: int = 1  # K
    horizon: int = 100  # H, songs of an episode
    repeat: float = 0.72  # rho, 0 to 1
    temperature: float = 1.4  # T, at least 0.25
    decay: float = 0.5  # d, 0 to 1 (1 excluded)
    beta: float = 3.0  # log of how much easier a recommended song comes to mind, 0 or more
    session_length: int = 10  # songs
    mean_gap: float = 45_000.0  # seconds between sessions, 1800 or more: half an hour plus an exponential
    song_seconds: int = 240
    shortest_gap: float = SHORTEST_GAP  # seconds, 0 or more
    gap_shape: float = 1.0  # of the Gamma law of the gaps beyond the shortest, above 0
    session_sizes: Floats | None = None  # (M,) probability of 1 to M songs, in place of session_length
    remembered: int = 500  # E plays, fewer than there are songs
    memory: str = "exact"  # or approximate
    history_length: int = 20  # R plays that an agent sees
    world_seed: int = 0  # of the plays before the first episode

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.num_items, self.horizon)
        if self.memory not in ("exact", "approximate"):
            raise InputError(f"memory must be exact or approximate, got {self.memory!r}")
        C = self.taste.shape[1]
        if self.catalogue.num_categories != C or not np.allclose(self.taste.sum(axis=1), 1.0):
            raise InputError(
                f"taste must be distributions over the {self.catalogue.num_categories} categories, got shape "
                f"{self.taste.shape}"
            )
        if not self.taste.min() >= 0.0:
            user, c = np.unravel_index(self.taste.argmin(), self.taste.shape)
            raise InputError(f"taste[{user}, {c}] = {self.taste[user, c]} is not a probability")
        if (np.diff(self.catalogue.category) < 0).any():
            raise InputError("the catalogue must be sorted by category")
        shortest = self.shortest_gap
        ranges = (
            ("repeat", self.repeat, 0.0 <= self.repeat <= 1.0, "from 0 to 1"),
            ("temperature", self.temperature, self.temperature >= COLDEST, f"at least {COLDEST}"),
            ("decay", self.decay, 0.0 <= self.decay < 1.0, "from 0 to below 1"),
            ("beta", self.beta, 0.0 <= self.beta <= 50.0, "from 0 to 50"),
            ("session_length", self.session_length, self.session_length >= 1, "at least 1"),
            ("shortest_gap", shortest, 0.0 <= shortest < np.inf, "0 or more and finite"),
            ("gap_shape", self.gap_shape, self.gap_shape > 0.0, "above 0"),
            (
                "mean_gap",
                self.mean_gap,
                self.mean_gap >= self.shortest_gap,
                f"at least {self.shortest_gap:g} seconds",
            ),
            ("song_seconds", self.song_seconds, self.song_seconds >= 1, "at least 1"),
            ("history_length", self.history_length, self.history_length >= 1, "at least 1"),
            (
                "remembered",
                self.remembered,
                1 <= self.remembered <= min(self.num_items - self.slate_size, 32_000),
                f"from 1 to {min(self.num_items - self.slate_size, 32_000)}, so that some songs are new",
            ),
        )
        for name, value, holds, rule in ranges:
            if not holds:
                raise InputError(f"{name} must be {rule}, got {value}")
        sizes = self._sizes
        if sizes.ndim != 1 or not (sizes >= 0.0).all() or abs(sizes.sum() - 1.0) > 1e-6:
            raise InputError(f"session_sizes must be a distribution, got one of sum {sizes.sum():.6g}")
        mean_size = float(sizes @ np.arange(1, len(sizes) + 1))
        sessions = int(np.ceil((self.remembered + self.horizon) / mean_size))
        most = (LAST_SECOND - (self.remembered + self.horizon) * self.song_seconds) / (2 * sessions + 40)
        if not self.mean_gap <= most:
            raise InputError(
                f"mean_gap must be at most {most:.0f} seconds, so that {sessions} sessions surely end before "
                f"second 2^31, got {self.mean_gap}"
            )

    @property
    def num_items(self) -> int:
        """N."""
        return self.catalogue.num_items

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.taste)

    def begin(self, luck: Luck) -> ListeningState:
        """Users drawn uniformly from the population, at the beginning of a session, with their past."""
        user = (luck.uniform("user") * self.num_users).astype(np.int64)
        return take_rows(self._past, user)

    def newcomers(self, user: Ints, luck: Luck) -> ListeningState:
        """Users (B,) of the population who have heard nothing yet, at the beginning of a session."""
        B, R = len(user), self.history_length
        return ListeningState(
            user=user,
            step=np.zeros(B, np.int64),
            now=np.zeros(B),
            session_start=np.zeros(B),
            session_song=np.zeros(B, np.int64),
            session_size=self._draw_sizes(luck.uniform("first session")),
            known=np.zeros((B, -(-self.num_items // 64)), np.uint64),
            known_mass=np.zeros(B),
            recent=np.full((B, R), -1),
            recent_time=np.zeros((B, R)),
            memory=empty_memory(B, self.remembered, self._exact),
        )

    def observe(self, state: ListeningState) -> dict[str, Array]:
        """The user, the last songs they played and how long ago, and where in the session they are."""
        hours = np.minimum((state.now[:, None] - state.recent_time) / 3600.0, LONGEST_AGO)
        return {
            "user": state.user,
            "step": state.step,
            "session_song": state.session_song,
            "recent": np.where(state.recent < 0, self.num_items, state.recent),
            "hours_ago": np.where(state.recent < 0, 0.0, hours).astype(np.float32),
        }

    def observation_entries(self) -> dict[str, Entry]:
        """U users, songs of 0 to N (N before the first), hours."""
        R = self.history_length
        return {
            "user": Entry(0, self.num_users - 1),
            "step": Entry(0, self.horizon),
            "session_song": Entry(0, len(self._sizes) - 1),
            "recent": Entry(0, self.num_items, (R,)),
            "hours_ago": Entry(0.0, LONGEST_AGO, (R,), np.float32),
        }

    def weights(self, state: ListeningState) -> Floats:
        """(B, L) s_i^(1/T) of the songs `state.memory.table[:, SONG]`; 0 if played in this session."""
        weight = np.empty((len(state.now), state.memory.table.shape[2]))
        weights_of_songs(
            state.memory,
            self._exact,
            state.now,
            state.session_start,
            self.decay,
            1.0 / self.temperature,
            weight,
        )
        return weight

    def respond(self, state: ListeningState, slates: Ints, luck: Luck) -> tuple[ListeningState, Outcome]:
        """Recommend slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        u = luck.uniform("song", (3 + TRIES,))
        gap = self._draw_gaps(luck.uniform("gap"))
        played, response, best, value = self._choose(state, slates, u)
        over = state.session_song + 1 == state.session_size
        size = (
            self._draw_sizes(luck.uniform("session"))
            if self.session_sizes is not None
            else state.session_size
        )
        now = state.now + np.where(over, gap, self.song_seconds)
        memory = SongMemory(*(column.copy() for column in state.memory))
        learned, forgotten = np.empty_like(played), np.empty_like(played)
        remember(played, state.now, memory, self._exact, learned, forgotten)
        known, known_mass = state.known.copy(), state.known_mass.copy()
        note_known(known, known_mass, learned, forgotten, state.user, self.taste, *self._shares[:2])
        after = ListeningState(
            user=state.user,
            step=state.step + 1,
            now=now,
            session_start=np.where(over, now, state.session_start),
            session_song=np.where(over, 0, state.session_song + 1),
            session_size=np.where(over, size, state.session_size),
            known=known,
            known_mass=known_mass,
            recent=np.concatenate([played[:, None], state.recent[:, :-1]], axis=1),
            recent_time=np.concatenate([state.now[:, None], state.recent_time[:, :-1]], axis=1),
            memory=memory,
        )
        reward = np.asarray(response.clicked.any(axis=1), np.float64)
        left = np.zeros(len(slates), np.bool_)
        return after, Outcome(reward, left, response, best, value)

    def expected_reward(self, state: ListeningState, slates: Ints) -> Floats:
        """(B,) the probability that the next song is on the slate."""
        return self.values(state, slates)[1]

    def values(self, state: ListeningState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) the probability that the next song is on the best slate, and on this one."""
        return self._choose(state, slates, np.zeros((len(slates), 3 + TRIES)))[2:]

    def best_slate(self, state: ListeningState) -> Ints:
        """(B, K) the slate most likely to hold the next song.

        It is made of the m strongest known songs and the K - m most appealing new ones, for the best m.
        """
        weight = self.weights(state)
        best = np.empty((len(weight), self.slate_size), np.int64)
        for b, user in enumerate(state.user.tolist()):
            order = np.argsort(-weight[b], kind="stable")
            strong = state.memory.table[b, SONG, order[weight[b, order] > 0.0]].astype(np.int64)
            bits = np.unpackbits(state.known[b].view(np.uint8), bitorder="little")
            favourites = self._favourites[user]
            new = favourites[bits[favourites] == 0]
            slates = [
                np.concatenate([strong[:m], new[: self.slate_size - m]])
                for m in range(min(self.slate_size, len(strong)) + 1)
            ]
            alone = take_rows(state, np.full(len(slates), b))
            best[b] = slates[int(np.argmax(self.values(alone, np.array(slates))[1]))]
        return best

    def _choose(
        self, state: ListeningState, slates: Ints, u: Floats
    ) -> tuple[Ints, Response, Floats, Floats]:
        B, K = slates.shape
        if slates.size and slates.max() >= self.num_items:
            raise IndexError("a slate holds an item outside the catalogue")
        played, best, value = np.empty(B, np.int64), np.empty(B), np.empty(B)
        clicked, listed = np.empty((K, B), np.bool_).T, np.empty((K, B), np.bool_).T
        choose_songs(
            self.taste,
            self._cumulative_taste,
            *self._shares,
            self._favourites,
            self.repeat,
            np.expm1(self.beta),
            self.decay,
            1.0 / self.temperature,
            state.user,
            state.memory,
            self._exact,
            state.now,
            state.session_start,
            state.known,
            state.known_mass,
            slates,
            u,
            played,
            clicked,
            listed,
            best,
            value,
        )
        return played, Response(clicked, listed), best, value

    @property
    def _exact(self) -> bool:
        return self.memory == "exact"

    @cached_property
    def _cumulative_taste(self) -> Floats:
        return np.cumsum(self.taste, axis=1)

    @cached_property
    def _shares(self) -> tuple[Ints, Floats, Floats, Ints]:
        """Category (N,), share within it (N,), its sums (N,), where categories start (C+1,)."""
        category, popularity = self.catalogue.category, self.catalogue.popularity
        start = np.searchsorted(category, np.arange(self.catalogue.num_categories + 1))
        share = popularity / np.bincount(category, popularity)[category]
        sums = np.cumsum(share)
        before = np.concatenate([[0.0], sums])[start[:-1]]
        return category, share, sums - before[category], start

    @cached_property
    def _favourites(self) -> Ints:
        """(U, F) every user's songs by appeal, highest first: more than memory and slate together hold."""
        category, share = self._shares[:2]
        F = min(self.num_items, self.remembered + self.slate_size)
        rows = [np.argsort(-(taste[category] * share), kind="stable")[:F] for taste in self.taste]
        return np.array(rows)

    @cached_property
    def _past(self) -> ListeningState:
        """(U, ...) the population after as many plays as they remember, nothing recommended to them."""
        U = self.num_users
        luck = Luck.from_seeds(np.arange(U) + (self.world_seed << 20) + PAST)
        state = self.newcomers(np.arange(U), luck)
        nothing = np.full((U, self.slate_size), -1)
        size = self.session_length if self.session_sizes is None else 1
        plays = -(-self.remembered // size) * size
        for play in range(plays):
            state, _ = self.respond(state, nothing, luck.at(play))
        # where sessions are of different sizes, some users are in the middle of one: it ends here
        amid = state.session_song > 0
        now = np.where(amid, state.now + self._draw_gaps(luck.at(plays).uniform("gap")), state.now)
        return state._replace(
            step=np.zeros(U, np.int64),
            now=now,
            session_start=np.where(amid, now, state.session_start),
            session_song=np.zeros(U, np.int64),
        )

    def _draw_gaps(self, u: Floats) -> Floats:
        """Whole seconds between sessions, from uniforms."""
        longer = self.mean_gap - self.shortest_gap
        if longer == 0.0:
            return np.full(u.shape, np.floor(self.shortest_gap))
        gap = self.shortest_gap + GammaGaps(longer, self.gap_shape).sample(u)
        return np.maximum(np.floor(gap), 1.0)

    def _draw_sizes(self, u: Floats) -> Ints:
        """Songs of sessions, from uniforms."""
        return np.searchsorted(np.cumsum(self._sizes)[:-1], u, side="right") + 1

    @cached_property
    def _sizes(self) -> Floats:
        """(M,) probability of sessions of 1 to M songs."""
        if self.session_sizes is not None:
            return self.session_sizes
        return np.eye(self.session_length)[-1]


PAST = 1 << 48  # seeds of the past, far from those that users of the package choose
