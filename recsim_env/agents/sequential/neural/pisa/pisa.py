"""PISA: attention over listening sessions with the memory of ACT-R, trained to rank the next session.

With u_t, l_t the states of `PISANetwork` before session x_{t+1}, and v the unit vector of x_{t+1} itself as
`ACTRAttention` sees it, for the songs i of x_{t+1} and one drawn song n(i), not of x_{t+1}, for each,

    BPR(q)  = mean of -log sigmoid(q . e_i - q . e_n(i))
    loss    = .9 (.9 BPR(v) + .1 BPR(u_t) + lambda BPR(l_t)) + .1 mean(1 - u_t . v)

over all steps t of windows of L sessions. PISA-U draws n uniformly, PISA-P in proportion to the square root
of the number of users who had the song. After each epoch the validation sessions are ranked; the epoch with
the highest NDCG@10 counts, and training ends `patience` epochs after it.

Source: Tran and others, "Transformers meet ACT-R", RecSys 2024; constants of deezer/recsys24-pisa for LFM-1b.
Theirs, and not here: vectors that begin from a factorisation of the log (random ones here); a weight decay of
1e-5, which their settings name and their loss leaves out; base levels of a window's end (see `pisa_network`);
in validation, base levels that already hold the validation sessions. Ours: gradients longer than 5 are cut.
"""

from copy import deepcopy
from typing import Any, Self

import numpy as np

from recsim_env.agents.sequential.neural.pisa.actr_attention import COMPONENTS
from recsim_env.agents.sequential.neural.pisa.bpr import bpr, draw_negatives
from recsim_env.agents.sequential.neural.pisa.pisa_network import PISANetwork
from recsim_env.agents.sequential.neural.pisa.session_reader import SessionReader
from recsim_env.agents.sequential.neural.trained_network import TrainedNetwork
from recsim_env.agents.sequential.session_memory import association
from recsim_env.agents.sequential.session_recommender import check_sessions, training_popularity
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges, require, unknown_name
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import ndcg, top_k
from recsim_env.evaluation.repeat_explore import mean_by_user
from recsim_env.simulators.sessions_split import (
    TEST,
    TRAIN,
    VALIDATION,
    Sessions,
    SessionSplit,
    training_windows,
    windows,
)

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import normalize  # noqa: E402

NEGATIVES = ("uniform", "popularity")
RANKING_SHARE = 0.9  # of the loss; the rest is the distance to the next session
SESSION_SHARE = 0.9  # of the ranking by u and v together, that by v
POPULARITY_POWER = 0.5
RANKED = 10  # places of the list that validation counts


class PISA(TrainedNetwork[Any]):
    """A session recommender; see `SessionRecommender`.

    Args:
        negatives: uniform (PISA-U) or popularity (PISA-P).
        components: of `ACTRAttention`: base_level, spreading, matching.
        long_weight: lambda, 0 or more; .5 for LFM-1b, .4 for Deezer's log.
        favourites: F, songs of the long-term state.
        length: L, sessions that are read.
        stride: sessions between the windows of a user.
        dimension: D.
        blocks: of self-attention.
        heads: of each.
        flatten: f of `ACTRAttention`.
        decay: d of base levels.
        epochs: at most.
        patience: epochs without a better validation after which training ends.
        batch_size: windows of one gradient.
        learning_rate: of Adam (with beta_2 = .98).
        seed: of first weights, batches and negatives.

    After `fit`: `num_items_`; `validation_`, (epochs,) NDCG@10 after each; `best_`, the network of the best.

    Raises:
        InputError: `begin` and `fit`: a number out of range, a log with no more songs than a session has;
            `fit` and `train_epoch`: a loss that is no number (the best network so far stays).
    """

    num_items_: int

    def __init__(
        self,
        *,
        negatives: str = "popularity",
        components: tuple[str, ...] = COMPONENTS,
        long_weight: float = 0.5,
        favourites: int = 20,
        length: int = 20,
        stride: int = 5,
        dimension: int = 128,
        blocks: int = 2,
        heads: int = 2,
        flatten: float = 0.5,
        decay: float = 0.5,
        epochs: int = 100,
        patience: int = 5,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.negatives, self.components = negatives, components
        self.long_weight, self.favourites = long_weight, favourites
        self.length, self.stride = length, stride
        self.dimension, self.blocks, self.heads, self.flatten = dimension, blocks, heads, flatten
        self.decay, self.epochs, self.patience = decay, epochs, patience
        self.batch_size, self.learning_rate, self.seed = batch_size, learning_rate, seed

    def fit(self, split: SessionSplit) -> Self:
        """Train until `finished`."""
        self.begin(split)
        while not self.finished:
            self.train_epoch()
        return self

    def begin(self, split: SessionSplit) -> None:
        """Work out the memories and make an untrained network; what an earlier `fit` learned is forgotten."""
        whole = {"epochs": self.epochs, "patience": self.patience, "batch_size": self.batch_size}
        check_ranges({**whole, "favourites": self.favourites}, {}, {"learning_rate": self.learning_rate})
        for name in ("long_weight", "decay", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.negatives not in NEGATIVES:
            raise unknown_name("way of drawing negatives", self.negatives, NEGATIVES)
        sessions = split.sessions
        popularity = training_popularity(split)
        songs, M = int(np.count_nonzero(popularity)), sessions.items.shape[1]
        if songs <= M:
            raise InputError(
                f"the training sessions must hold more than the {M} items of a session, got {songs}: no "
                "negative can be drawn"
            )
        drawn = popularity**POPULARITY_POWER if self.negatives == "popularity" else np.ones(len(popularity))
        self._drawn = torch.from_numpy(np.cumsum(drawn) / drawn.sum())
        # tuples: arrays would be kept in every checkpoint
        self._windows = (training_windows(split, length=self.length, stride=self.stride),)
        train, rows = split.rows(TRAIN), split.rows(VALIDATION)
        self._validated = (windows(sessions, rows, self.length), sessions.items[rows], sessions.user[rows])
        known = association(sessions, train)
        self._reader = self._reads(sessions, self._windows[0], known)
        self._validation_reader = self._reads(sessions, self._validated[0], known)
        self._associated = association(sessions, np.flatnonzero(split.part != TEST))
        self.num_items_ = sessions.num_items
        self.network_ = PISANetwork(
            self.num_items_,
            length=self.length,
            dimension=self.dimension,
            blocks=self.blocks,
            heads=self.heads,
            components=self.components,
            flatten=self.flatten,
            generator=torch.Generator().manual_seed(self.seed),
        )
        self.best_ = deepcopy(self.network_)
        self.optimiser_ = torch.optim.Adam(self.network_.parameters(), self.learning_rate, betas=(0.9, 0.98))
        self.validation_ = np.zeros(0)

    def train_epoch(self) -> float:
        """Learn from every window once, and validate; returns NDCG@10 of validation.

        Raises:
            InputError: a loss that is no number.
        """
        rng, generator, _ = self.luck_of_epoch()
        (rows,) = self._windows
        order = rng.permutation(len(rows))
        for step, start in enumerate(range(0, len(order), self.batch_size)):
            batch = rows[order[start : start + self.batch_size]]
            self.learn(self.loss(batch, generator), step)
        found = self._validate()
        self.rate(self.network_, found)
        return found

    def loss(self, rows: Array, generator: torch.Generator) -> Tensor:
        """The loss of training windows (W, L + 1)."""
        net = self.network_
        state, long = net(self._reader.seen(rows))
        items, base_level, spreading = self._reader.next_sessions(rows)
        there = items < self.num_items_
        target = normalize(net.sessions(items, base_level, spreading), dim=2)
        positive, negative = net.items(items), net.items(draw_negatives(items, self._drawn, generator))
        weight = (SESSION_SHARE, 1 - SESSION_SHARE, self.long_weight)
        ranking = bpr(torch.stack([target, state, long], dim=2), positive - negative, there)
        ranked = (torch.tensor(weight) * ranking).sum()
        apart = (1 - (state * target).sum(dim=2))[there.any(dim=2)].mean()
        return RANKING_SHARE * ranked + (1 - RANKING_SHARE) * apart

    def scores(self, sessions: Sessions, rows: Array) -> Floats:
        """See `SessionRecommender`: of test sessions, since songs are associated by those of validation too.

        Raises:
            InputError: as `check_sessions`.
        """
        check_sessions(self, sessions)
        read = windows(sessions, rows, self.length)
        return self._scores(self.best_, self._reads(sessions, read, self._associated), read)

    def _reads(self, sessions: Sessions, rows: Array, associated: Any) -> SessionReader:
        return SessionReader(sessions, rows, associated, decay=self.decay, favourites=self.favourites)

    def _validate(self) -> float:
        """NDCG@10 of the network as it is, over the validation sessions, user by user."""
        rows, items, user = self._validated
        step = max(1, BLOCK_CELLS // self.num_items_)
        blocks = (rows[start : start + step] for start in range(0, len(rows), step))
        ranked = top_k(
            (self._scores(self.network_, self._validation_reader, block) for block in blocks), RANKED
        )
        return float(mean_by_user(ndcg(ranked, items, RANKED), user).mean())

    def _scores(self, network: Any, reader: SessionReader, rows: Array) -> Floats:
        """(B, N)."""
        with torch.no_grad():
            state, long = network(reader.seen(rows))
            found = (state[:, -1] + self.long_weight * long[:, -1]) @ network.items.weight[:-1].T
        return np.asarray(found.numpy(), np.float64)
