"""A sequence encoder trained on a log to name the next item: one training loop for every encoder.

    fit:     minimise the mean over all steps t < n of all users of objective(s_t, i_{t+1})
    scores:  f(i) = s_n . e(i) for all items

The last item of every user of the log is not learned from: after each epoch all items but the user's history
are ranked for it, and the epoch with the highest NDCG@10 counts. Training ends `patience` epochs after it,
or after `epochs`. So a test item must not be in the log that `fit` is given; at the test the history holds
all of that log, the validation item included.

All chance depends on seed and epoch alone, so a training that is interrupted between epochs and goes on from
`network_`, `optimiser_`, `best_` and `validation_` does what it would have done, on one machine and in one
version of PyTorch.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Protocol, Self

import numpy as np

from recsim_env.agents.recommender import check_history, clicked_items
from recsim_env.agents.sequential.neural.objectives import check_objective, loss
from recsim_env.agents.sequential.neural.sequences import Sequences
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.evaluation.ranked_lists import BLOCK_CELLS
from recsim_env.evaluation.ranking import rank_of
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

LONGEST_GRADIENT = 5.0
RANKED = 10  # places of the list that validation counts


class Encoder(Protocol):
    """A network that reads items and says where a user is after each; see `SASRec`."""

    items: nn.Embedding  # (N + 1, D), the last row is that of an empty cell
    max_length: int

    def __call__(self, items: Tensor) -> Tensor:
        """States (U, L, D) of items (U, L), N = an empty cell on the left."""


class NeuralRecommender:
    """A recommender by an encoder.

    Args:
        encoder: (N, generator of the first weights) -> a network as `Encoder` describes it.
        objective: one of `objectives.OBJECTIVES`.
        negatives: of the objectives that sample.
        calibration: of gbce.
        epochs: at most.
        patience: epochs without a better validation after which training ends.
        batch_size: users of one gradient.
        learning_rate: of Adam.
        weight_decay: of Adam, 0 or more.
        seed: of first weights, batches, negatives and dropout.
        device: cpu, cuda, or auto: cuda where there is one.
        num_items: N; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `validation_`, (epochs,) NDCG@10 after each; `best_`, the network of the best.

    Raises:
        InputError: `fit`: a number out of range, a log without a user of three items, a loss that is no
            number (the best network so far stays).
    """

    num_items_: int
    validation_: Floats

    def __init__(
        self,
        encoder: Callable[[int, torch.Generator], nn.Module],
        *,
        objective: str = "sampled_softmax",
        negatives: int = 256,
        calibration: float = 0.75,
        epochs: int = 200,
        patience: int = 20,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        seed: int = 0,
        device: str = "auto",
        num_items: int | None = None,
    ) -> None:
        self.encoder = encoder
        self.objective, self.negatives, self.calibration = objective, negatives, calibration
        self.epochs, self.patience, self.batch_size = epochs, patience, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.seed, self.device, self.num_items = seed, device, num_items

    def fit(self, log: Log) -> Self:
        """Train until `finished`."""
        self.begin(log)
        while not self.finished:
            self.train_epoch()
        return self

    def begin(self, log: Log) -> None:
        """Take the log apart and make an untrained network; what an earlier `fit` learned is forgotten."""
        whole = {"epochs": self.epochs, "patience": self.patience, "batch_size": self.batch_size}
        check_ranges(whole, {}, {"learning_rate": self.learning_rate})
        if not 0 <= self.weight_decay < np.inf:
            raise InputError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if self.seed < 0:
            raise InputError(f"seed must be 0 or more, got {self.seed}")
        check_objective(self.objective, self.negatives, self.calibration)
        _, _, self.num_items_ = clicked_items(log, self.num_items)
        self._device = _device(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        self.network_: Any = self.encoder(self.num_items_, generator).to(self._device)
        self.best_: Any = deepcopy(self.network_)
        held_out = leave_one_out(log)
        self._sequences = Sequences.of_log(held_out.train, self.num_items_, self.network_.max_length + 1)
        self._history, self._target = held_out.history, held_out.target
        self.optimiser_ = torch.optim.Adam(
            self.network_.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        self.validation_ = np.zeros(0)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing."""
        done = len(self.validation_)
        return done >= self.epochs or (done > 0 and done > int(self.validation_.argmax()) + self.patience)

    def train_epoch(self) -> float:
        """Learn from every user once, and validate; returns NDCG@10 of validation.

        Raises:
            InputError: a loss that is no number.
        """
        epoch = len(self.validation_)
        drawn = np.random.SeedSequence([self.seed, epoch]).generate_state(2)
        rng, generator = np.random.default_rng(drawn[0]), torch.Generator().manual_seed(int(drawn[1]))
        self.network_.train()
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):  # dropout draws from the global generator
            torch.manual_seed(int(drawn[1]))
            for step, users in enumerate(self._sequences.batches(self.batch_size, rng)):
                value = self._loss(users, generator)
                if not torch.isfinite(value):
                    raise InputError(
                        f"the loss is {value.item()} at step {step} of epoch {epoch}: lower learning_rate "
                        f"({self.learning_rate}); best_ is the network with the best validation so far"
                    )
                self.optimiser_.zero_grad(set_to_none=True)
                value.backward()
                nn.utils.clip_grad_norm_(self.network_.parameters(), LONGEST_GRADIENT)
                self.optimiser_.step()
        rows = max(1, BLOCK_CELLS // self.num_items_)
        blocks = (self._history[start : start + rows] for start in range(0, len(self._history), rows))
        scores = (self._scores(self.network_, block) for block in blocks)
        found = float(rank_of(scores, self._target, self._history).ndcg(RANKED).mean())
        if epoch == 0 or found > self.validation_.max():
            self.best_.load_state_dict(self.network_.state_dict())
        self.validation_ = np.append(self.validation_, found)
        return found

    def scores(self, history: Array) -> Floats:
        """See `Recommender`; only the last `max_length` items are read.

        Raises:
            InputError: not fitted, or a history that `check_history` refuses.
        """
        history = check_history(self, history)
        return self._scores(self.best_, history)

    def _loss(self, users: Ints, generator: torch.Generator) -> Tensor:
        """The mean of the objective over all steps of these users."""
        inputs, targets = (torch.from_numpy(part).to(self._device) for part in self._sequences.rows(users))
        known = targets >= 0
        return loss(
            self.objective,
            self.network_(inputs)[known],
            targets[known],
            self.network_.items.weight[:-1],
            generator,
            negatives=self.negatives,
            calibration=self.calibration,
        )

    def _scores(self, network: Any, history: Ints) -> Floats:
        """(B, N) of a network, for histories (B, H) that were checked."""
        if history.shape[1] == 0:
            history = np.full((len(history), 1), -1)
        longest = int((history >= 0).sum(axis=1).max(initial=1))
        recent = history[:, -min(longest, network.max_length) :]
        items = torch.from_numpy(np.where(recent < 0, self.num_items_, recent)).to(self._device)
        network.eval()
        with torch.no_grad():
            found = network(items)[:, -1] @ network.items.weight[:-1].T
        return np.asarray(found.cpu().numpy(), np.float64)


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but PyTorch finds none here: take auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
