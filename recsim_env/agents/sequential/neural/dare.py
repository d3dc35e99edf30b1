"""DARE: two tables for long histories, one that finds what matters, one that says what it means.

History i_1 .. i_T of a user and a candidate c; a(i) of the attention table, d_a numbers, r(i) of the
representation table, d_r numbers:

    w_s   = a(i_s) . a(c) / sqrt(d_a)                    of all T items, cheap as d_a is small
    found = the k items with the largest w
    m     = sum over found of softmax(w)_s r(i_s)
    logit = MLP [r(c); m; m * r(c)]                      one hidden layer, relu
    loss  = -log sigma(logit of what came next) - 1/n sum over n negatives of log sigma(-logit)

score(c) = logit. With one table (`tables` = one) a and r are the same d_r numbers; then what is alike for
attention must be alike for representation, and the gradients of one pull at the other. `projected` is one
table with a learned matrix before each use, which is the remedy of language models.

Training draws, in every epoch, `targets` places of each user's items, as many histories before them, and
negatives evenly from all items. Scores take one pass for every pair of a user and an item.

500 users of 30 categories, 100 items each, 25 epochs, mean of three seeds: AUC .756 with two tables, .663
with one, .669 with projections; the rank correlation of attention with the true mutual information of
categories, of .52 at most, is .37, .31 and .24 (`pytest tests/test_dare.py -m slow -s`). Trained three times
as long, one seed: AUC .824, .784 and .815, correlation .39, .50 and .31: two tables stay best, not because
their attention is, and projections are not worse than one table, as the source found.

Source: Feng and others, "Long-sequence recommendation models need decoupled embeddings", ICLR 2025, and its
code (thuml/DARE). Ours: no embedding of time, one hidden layer, and the same search while training.
"""

import math
from typing import Self

import numpy as np

from recsim_env.agents.recommender import check_history
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.agents.sequential.neural.trained_network import luck_of_epoch
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges, require, unknown_name
from recsim_env.simulators.log import Log

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import logsigmoid  # noqa: E402

NOTHING = -1e9  # the weight of an empty cell
TABLES = ("two", "one", "projected")
CELLS = 4_000_000  # numbers of attention that are held at a time while scoring


class DARE:
    """A recommender by target attention; see the text above.

    Args:
        tables: one of `TABLES`.
        attention: d_a, 1 or more; of two tables and of projections.
        representation: d_r, 1 or more.
        hidden: units of the hidden layer.
        max_length: T, the longest history that is read.
        found: k, 1 or more.
        negatives: n of every target, 1 or more.
        targets: places of a user in one epoch, 1 or more.
        epochs: of training.
        batch_size: users of one gradient.
        learning_rate: of Adam.
        seed: of first weights, targets, negatives.
        num_items: N; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `network_`; `losses_`, (epochs,) the mean loss of each. A training that is
    interrupted between epochs goes on from `network_`, `optimiser_` and `losses_`.

    Raises:
        InputError: `fit`: a number out of range, a log without a user of two items.
    """

    num_items_: int
    network_: "TargetAttention"
    optimiser_: torch.optim.Optimizer
    losses_: Floats

    def __init__(
        self,
        *,
        tables: str = "two",
        attention: int = 8,
        representation: int = 16,
        hidden: int = 64,
        max_length: int = 200,
        found: int = 20,
        negatives: int = 4,
        targets: int = 4,
        epochs: int = 20,
        batch_size: int = 128,
        learning_rate: float = 0.01,
        seed: int = 0,
        num_items: int | None = None,
    ) -> None:
        self.tables, self.attention, self.representation, self.hidden = (
            tables,
            attention,
            representation,
            hidden,
        )
        self.max_length, self.found, self.negatives, self.targets = max_length, found, negatives, targets
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.seed, self.num_items = seed, num_items

    def fit(self, log: Log) -> Self:
        """Train for all epochs."""
        self.begin(log)
        while not self.finished:
            self.train_epoch()
        return self

    def begin(self, log: Log) -> None:
        """Take the log apart and make an untrained network; what an earlier `fit` learned is forgotten."""
        self.check()
        everything = len(log) * log.slate.shape[1]
        self._sequences = Sequences.of_log(log, self.num_items, everything)
        self.num_items_ = self._sequences.num_items
        self.network_ = TargetAttention(
            self.num_items_,
            self.tables,
            self.attention,
            self.representation,
            self.hidden,
            self.found,
            torch.Generator().manual_seed(self.seed),
        )
        self.optimiser_ = torch.optim.Adam(self.network_.parameters(), self.learning_rate)
        self.losses_ = np.zeros(0)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.losses_) >= self.epochs

    def train_epoch(self) -> float:
        """Learn from some places of every user; returns the mean loss."""
        rng, generator, _ = luck_of_epoch(self.seed, len(self.losses_))
        losses = []
        for users in self._sequences.batches(self.batch_size, rng):
            history, target = self._pairs(self._sequences, np.repeat(users, self.targets), rng)
            drawn = torch.randint(self.num_items_, (len(target), self.negatives), generator=generator)
            logit = self.network_(history, torch.cat([target[:, None], drawn], dim=1))
            loss = -(logsigmoid(logit[:, 0]) + logsigmoid(-logit[:, 1:]).mean(dim=1)).mean()
            self.optimiser_.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser_.step()
            losses.append(loss.item())
        found = float(np.mean(losses))
        self.losses_ = np.append(self.losses_, found)
        return found

    def check(self) -> None:
        """Refuse arguments out of range."""
        if self.tables not in TABLES:
            raise unknown_name("set of tables", self.tables, TABLES)
        names = (
            "attention",
            "representation",
            "hidden",
            "max_length",
            "found",
            "negatives",
            "targets",
            "epochs",
            "batch_size",
        )
        check_ranges({name: getattr(self, name) for name in names}, {}, {"learning_rate": self.learning_rate})
        if self.seed < 0:
            raise InputError(f"seed must be 0 or more, got {self.seed}")

    def scores(self, history: Array) -> Floats:
        """See `Recommender`; only the last `max_length` items are read.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)[:, -self.max_length :]
        items = torch.from_numpy(np.where(history < 0, self.num_items_, history))
        found = np.empty((len(history), self.num_items_))
        everything = torch.arange(self.num_items_)[None]
        step = max(1, CELLS // (self.num_items_ * max(1, history.shape[1], self.found * self.representation)))
        with torch.inference_mode():
            for start in range(0, len(history), step):
                rows = items[start : start + step]
                found[start : start + step] = self.network_(rows, everything.expand(len(rows), -1)).numpy()
        return found

    def _pairs(self, sequences: Sequences, users: Array, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A place in each user's items, not the first: what was before (B, T), and what was there (B,)."""
        place = rng.integers(1, sequences.length[users])
        most = min(self.max_length, int(place.max()))
        column = place[:, None] - most + np.arange(most)
        cell = sequences.start[users][:, None] + np.maximum(column, 0)
        history = np.where(column >= 0, sequences.items[cell], sequences.num_items)
        return torch.from_numpy(history), torch.from_numpy(sequences.items[sequences.start[users] + place])


class TargetAttention(nn.Module):
    """Histories (B, T), N = an empty cell, and candidates (B, C) -> logits (B, C)."""

    def __init__(
        self,
        num_items: int,
        tables: str,
        attention: int,
        representation: int,
        hidden: int,
        found: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_items, self.tables, self.found = num_items, tables, found
        self.meaning = nn.Embedding(num_items + 1, representation)
        if tables == "two":
            self.finding = nn.Embedding(num_items + 1, attention)
        if tables == "projected":
            self.to_find = nn.Linear(representation, attention, bias=False)
            self.to_mean = nn.Linear(representation, representation, bias=False)
        self.units, self.out = nn.Linear(3 * representation, hidden), nn.Linear(hidden, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                spread = 1 / math.sqrt(parameter.shape[-1])
                parameter.uniform_(-spread, spread, generator=generator)

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        """See the class; a history without items has m = 0."""
        weight = self.attention(history, candidates)
        k = min(self.found, history.shape[1])
        best, place = weight.topk(k, dim=2)  # (B, C, k)
        share = best.softmax(dim=2) * (best > NOTHING)
        found = history[:, None, :].expand(-1, candidates.shape[1], -1).gather(2, place)
        m = (share[:, :, None] @ self.represent(found))[:, :, 0]
        c = self.represent(candidates)
        logit: Tensor = self.out(torch.relu(self.units(torch.cat([c, m, m * c], dim=2))))
        return logit[:, :, 0]

    def attention(self, history: Tensor, candidates: Tensor) -> Tensor:
        """The weights w (B, C, T), NOTHING in empty cells."""
        key, query = self._find(history), self._find(candidates)
        w = query @ key.transpose(1, 2) / math.sqrt(key.shape[2])
        return w.masked_fill((history == self.num_items)[:, None], NOTHING)

    def represent(self, items: Tensor) -> Tensor:
        """The vectors r (..., d_r) of items."""
        r: Tensor = self.meaning(items)
        return self.to_mean(r) if self.tables == "projected" else r

    def _find(self, items: Tensor) -> Tensor:
        """The vectors a (..., d_a) of items; d_r numbers where there is one table."""
        if self.tables == "two":
            return self.finding(items)
        return self.to_find(self.meaning(items)) if self.tables == "projected" else self.meaning(items)
