"""Repeated listening: users play songs they know, by the strength of their memory, and discover new ones.

The two-stage form of ACT-R, which is stable. At each song a user who knows L songs wants one of these with
probability rho(L), else a new one. With s_i = sum_j (now - t_j)^-d over the plays of song i (its base-level
activation is B_i = ln s_i) and recommendations A brought to mind exp(beta) times as easily,

    rho(L) / (1 - rho(L)) = rho / (1 - rho) (L / L_0)^g
    P(plays i | wants a known song) ~ s_i^(1/T) popularity_i^c exp(beta [i in A]),    i known, not yet played
                                                                                      in this session
    P(plays i | wants a new song) ~ q_ui exp(beta [i in A]),                          i unknown
    q_ui = taste_u,c(i) popularity_i / (popularity of its category)

A user who has heard all they have a taste for (less than 10^-9 of q is unknown) discovers any song alike.

The user plays one song a step and earns the recommender 1 if it was on the slate.

Not built: the user who plays the song of the highest activation whenever it is above a threshold. Their
share of repeats jumps to 1 as the threshold falls, because what is played becomes stronger still; a gate that
does not feel strength cannot run away (`user_models/memory/actr.py`).

Source: Anderson et al., "An integrated theory of the mind", Psychological Review 111, 2004 (ACT-R); Tran
et al., "Transformers Meet ACT-R", RecSys 2024, for listening sessions.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import gammaincinv

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue
from recsim_env.simulators.luck import Luck, check_world_seed
from recsim_env.simulators.worlds.last_slate import check_sizes
from recsim_env.simulators.worlds.repeat_kernels import choose_songs, weights_of_songs
from recsim_env.simulators.worlds.song_memory import SONG, SongMemory, empty_memory, note_known, remember
from recsim_env.simulators.worlds.world import Entry, Outcome, take_rows
from recsim_env.user_models.clicks import Response
from recsim_env.user_models.memory import TwoStageMemory
from recsim_env.user_models.sessions import GammaGaps

LONGEST_AGO = 87_600.0  # hours: ten years, and all that is longer
SHORTEST_GAP = 1800.0  # seconds between sessions
TRIES = 8  # to draw a song that is new to the user, before the exact draw over the whole catalogue
REMEMBERED = 500  # plays, where nothing else is asked for
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
    num_known: Ints  # (B,) how many
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

    plans_ahead: ClassVar[bool] = False  # see `World`

    catalogue: Catalogue
    taste: Floats  # (U, C) share of each category in a user's discoveries
    slate_size: int = 1  # K
    horizon: int = 100  # H, songs of an episode
    repeat: float = 0.72  # rho, 0 to 1, of a user who knows L_0 songs
    repeat_growth: float = 0.0  # g, 0 if all users repeat alike
    repeat_reference: float = 1.0  # L_0, above 0
    temperature: float = 1.4  # T, at least 0.25
    decay: float = 0.5  # d, 0 to 1 (1 excluded)
    popularity_exponent: float = 0.0  # c, 0 if known songs are alike but for their plays
    beta: float = 3.0  # log of how much easier a recommended song comes to mind, 0 or more
    session_length: int = 10  # songs
    mean_gap: float = 45_000.0  # seconds between sessions, 1800 or more: half an hour plus an exponential
    song_seconds: int = 240
    shortest_gap: float = SHORTEST_GAP  # seconds, 0 or more
    gap_shape: float = 1.0  # of the Gamma law of the gaps beyond the shortest, above 0
    pace: Floats | None = None  # (U,) a user's mean gap beyond the shortest, in that of the world; above 0
    session_sizes: Floats | None = None  # (M,) probability of 1 to M songs, in place of session_length
    remembered: int = REMEMBERED  # E plays, fewer than there are songs
    memory: str = "exact"  # or approximate
    history_length: int = 20  # R plays that an agent sees
    world_seed: int = 0  # of the plays before the first episode

    def __post_init__(self) -> None:
        check_sizes(self.slate_size, self.num_items, self.horizon)
        check_world_seed(self.world_seed)
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
            ("temperature", self.temperature, self.temperature >= COLDEST, f"at least {COLDEST}"),
            ("decay", self.decay, 0.0 <= self.decay < 1.0, "from 0 to below 1"),
            (
                "popularity_exponent",
                self.popularity_exponent,
                abs(self.popularity_exponent) <= 10.0,
                "from -10 to 10",
            ),
            ("repeat_growth", self.repeat_growth, abs(self.repeat_growth) <= 10.0, "from -10 to 10"),
            ("beta", self.beta, 0.0 <= self.beta <= 50.0, "from 0 to 50"),
            ("session_length", self.session_length, 1 <= self.session_length <= 1000, "from 1 to 1000"),
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
        _ = self._memory  # refuses what is no gate
        if self.pace is not None and not (
            self.pace.shape == (self.num_users,) and self.pace.min() > 0.0 and np.isfinite(self.pace).all()
        ):
            raise InputError(
                f"pace must be {self.num_users} finite numbers above 0, got shape {self.pace.shape}"
                + (f" from {self.pace.min()} to {self.pace.max()}" if self.pace.size else "")
            )
        sizes = self._sizes
        if sizes.ndim != 1 or not (sizes >= 0.0).all() or abs(sizes.sum() - 1.0) > 1e-6:
            raise InputError(f"session_sizes must be a distribution, got one of sum {sizes.sum():.6g}")
        songs = self.remembered + self.horizon
        most = longest_mean_gap(sizes, songs, self.song_seconds, self.gap_shape)
        if most < shortest:
            raise InputError(
                f"horizon is too long, or remembered too large: {songs} songs of {self.song_seconds} seconds "
                f"and gaps of {shortest:g} do not surely end before second 2^31"
            )
        slowest = self.mean_gap * (1.0 if self.pace is None else max(float(self.pace.max()), 1.0))
        if not slowest <= most:
            raise InputError(
                f"mean_gap must be at most {most:.0f} seconds for the slowest user, so that the sessions of "
                f"{songs} songs surely end before second 2^31, got {slowest:.0f}"
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
            num_known=np.zeros(B, np.int64),
            known_mass=np.zeros(B),
            recent=np.full((B, R), -1),
            recent_time=np.zeros((B, R)),
            memory=empty_memory(B, self.remembered, self._exact),
        )

    def observe(self, state: ListeningState) -> dict[str, Array]:
        """The user, the last songs they played and how long ago, and where in the session they are."""
        hours = np.minimum((state.now[:, None] - state.recent_time) / 3600.0, LONGEST_AGO)
        return {
            "user": state.user.copy(),
            "step": state.step.copy(),
            "session_song": state.session_song.copy(),
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
            self._appeal,
            weight,
        )
        return weight

    def respond(self, state: ListeningState, slates: Ints, luck: Luck) -> tuple[ListeningState, Outcome]:
        """Recommend slates (B, K), -1 in empty slots; an item shown a second time counts as an empty slot."""
        u = luck.uniform("song", (3 + TRIES,))
        gap = self._draw_gaps(state.user, luck.uniform("gap"))
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
        known, num_known, known_mass = state.known.copy(), state.num_known.copy(), state.known_mass.copy()
        note_known(
            known, num_known, known_mass, learned, forgotten, state.user, self.taste, *self._shares[:2]
        )
        after = ListeningState(
            user=state.user,
            step=state.step + 1,
            now=now,
            session_start=np.where(over, now, state.session_start),
            session_song=np.where(over, 0, state.session_song + 1),
            session_size=np.where(over, size, state.session_size),
            known=known,
            num_known=num_known,
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
            self._repeat_prob,
            self._appeal,
            np.expm1(self.beta),
            self.decay,
            1.0 / self.temperature,
            state.user,
            state.memory,
            self._exact,
            state.now,
            state.session_start,
            state.known,
            state.num_known,
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
    def _memory(self) -> TwoStageMemory:
        return TwoStageMemory(
            self.repeat, self.temperature, self.decay, self.repeat_growth, self.repeat_reference
        )

    @cached_property
    def _repeat_prob(self) -> Floats:
        """(E+1,) by the number of songs known."""
        return self._memory.repeat_prob(np.arange(self.remembered + 1))

    @cached_property
    def _appeal(self) -> Floats:
        """(N,) popularity^c, 1 at the mean popularity; (0,) if songs are alike."""
        if self.popularity_exponent == 0.0:
            return np.empty(0)
        popularity = self.catalogue.popularity / self.catalogue.popularity.mean()
        return np.where(popularity > 0.0, np.maximum(popularity, 1e-30) ** self.popularity_exponent, 0.0)

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
        now = np.where(
            amid, state.now + self._draw_gaps(state.user, luck.at(plays).uniform("gap")), state.now
        )
        return state._replace(
            step=np.zeros(U, np.int64),
            now=now,
            session_start=np.where(amid, now, state.session_start),
            session_song=np.zeros(U, np.int64),
        )

    def _draw_gaps(self, user: Ints, u: Floats) -> Floats:
        """Whole seconds between sessions of these users, from uniforms, (B,) all."""
        longer = self.mean_gap - self.shortest_gap
        if longer == 0.0:
            return np.full(u.shape, np.floor(self.shortest_gap))
        gap = GammaGaps(longer, self.gap_shape).sample(u)
        if self.pace is not None:
            gap = gap * self.pace[user]
        return np.maximum(np.floor(self.shortest_gap + gap), 1.0)

    def _draw_sizes(self, u: Floats) -> Ints:
        """Songs of sessions, from uniforms."""
        return np.searchsorted(np.cumsum(self._sizes)[:-1], u, side="right") + 1

    @cached_property
    def _sizes(self) -> Floats:
        """(M,) probability of sessions of 1 to M songs."""
        if self.session_sizes is not None:
            return self.session_sizes
        return np.append(np.zeros(self.session_length - 1), 1.0)


def longest_mean_gap(session_sizes: Floats, songs: int, song_seconds: int, gap_shape: float) -> float:
    """Seconds between sessions, on average, with which so many songs surely end before second 2^31.

    Surely is but for one user in 10^12: the sum of n Gamma gaps of shape k and mean m is Gamma of shape n k,
    of which that quantile is taken, for twice the sessions that are expected and twenty more.

    Args:
        session_sizes: (M,) probability of sessions of 1 to M songs.
        songs: of a user, in all.
        song_seconds: of each song.
        gap_shape: k, above 0; infinity if all gaps are equal.
    """
    sessions = np.ceil(songs / float(session_sizes @ np.arange(1, len(session_sizes) + 1)))
    n = min(2 * sessions + 20, songs + 1)
    gaps = n if np.isinf(gap_shape) else gammaincinv(n * gap_shape, 1.0 - 1e-12) / gap_shape
    return float((LAST_SECOND - songs * song_seconds) / gaps)


PAST = 1 << 48  # seeds of the past, far from those that users of the package choose
