"""A sequence encoder trained on a log to name the next item: one training loop for every encoder.

    fit:     minimise the mean over all steps t < n of all users u of w_u objective(s_t, i_{t+1}), summed over
             the widths of an encoder that has some, and what the auxiliaries add; w_u = 1 unless weights of
             users are given, which the auxiliaries and the validation do not know
    average: w' <- (1 - b) w + b w',  b = min(averaging, (1 + k) / (10 + k)), after gradient k; what is rated
             and kept, w' itself where averaging = 0
    scores:  f(i) = s_n . c(i) for all items

The last item of every user of the log is not learned from: after each epoch all items but the user's history
are ranked for it, and the epoch with the highest NDCG@10 counts. Training ends `patience` epochs after it,
or after `epochs`. So a test item must not be in the log that `fit` is given; at the test the history holds
all of that log, the validation item included.

All chance depends on seed and epoch alone, so a training that is interrupted between epochs and goes on from
`network_`, `averaged_`, `auxiliaries_`, `optimiser_`, `best_` and `validation_` does what it would have done,
on one machine and in one version of PyTorch.

Source of the average: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992; its
exponential form, and b at the start, as in Tan, Le, "EfficientNet", ICML 2019, and its public code.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Self

import numpy as np

from recsim_env.agents.recommender import check_history, check_weights, clicked_items
from recsim_env.agents.sequential.neural.device import find_device, repeatable
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.full_ranking import ranks, score_blocks
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.objectives import check_objective, loss
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.agents.sequential.neural.trained_network import TrainedNetwork
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.evaluation.ranking import TargetRank
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

RANKED = 10  # places of the list that validation counts
PRECISIONS, SCHEDULES, HISTORIES = ("float32", "bfloat16"), ("constant", "cosine"), ("last", "whole")


class NeuralRecommender(TrainedNetwork[SequenceEncoder]):
    """A recommender by an encoder.

    Args:
        encoder: (N, generator of the first weights) -> a network, see `SequenceEncoder`.
        objective: one of `objectives.OBJECTIVES`; cloze is for encoders that read `around`, and only it.
        negatives: of the objectives that sample.
        calibration: of gbce.
        hidden_share: of cloze: items that are hidden.
        last_share: of cloze: users of whom the last item alone is hidden.
        auxiliaries: () -> further losses.
        epochs: at most.
        patience: epochs without a better validation after which training ends.
        batch_size: users of one gradient.
        learning_rate: of Adam.
        warm_up: gradients over which the learning rate rises to its value from 0.
        schedule: constant, or cosine: the learning rate falls to 0 over all `epochs`.
        weight_decay: of Adam, 0 or more.
        averaging: of the weights over gradients, from 0, which is none, to below 1.
        history: what of a long one is learned from: last, its last `max_length` items, or whole, all of them,
            in rows of as many, which auxiliaries take for users.
        mask_history: whether validation leaves out what a user had; no for people who come back to items.
        precision: of passes through the network: float32, or bfloat16 (on a graphics card that has it).
        compiled: whether `torch.compile` makes the network faster; its start takes a minute.
        seed: of first weights, batches, negatives and dropout.
        device: cpu, cuda, or auto: cuda where there is one.
        num_items: N; None = 1 + the largest id in the log.

    After `fit`: `num_items_`; `validation_`, (epochs,) NDCG@10 after each; `best_`, the network of the best.

    Raises:
        InputError: `fit`: a number out of range, a log without a user of three items, a loss that is no
            number (the best network so far stays).
    """

    num_items_: int
    averaged_: SequenceEncoder | None
    _weights: Floats | None  # of the users of `_sequences`

    def __init__(
        self,
        encoder: Callable[[int, torch.Generator], SequenceEncoder],
        *,
        objective: str = "sampled_softmax",
        negatives: int = 256,
        calibration: float = 0.75,
        hidden_share: float = 0.2,
        last_share: float = 0.1,
        auxiliaries: Callable[[], Sequence[Auxiliary]] = tuple,
        epochs: int = 200,
        patience: int = 20,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        warm_up: int = 0,
        schedule: str = "constant",
        weight_decay: float = 0.0,
        averaging: float = 0.0,
        history: str = "last",
        mask_history: bool = True,
        precision: str = "float32",
        compiled: bool = False,
        seed: int = 0,
        device: str = "auto",
        num_items: int | None = None,
    ) -> None:
        self.encoder, self.auxiliaries = encoder, auxiliaries
        self.objective, self.negatives, self.calibration = objective, negatives, calibration
        self.hidden_share, self.last_share = hidden_share, last_share
        self.epochs, self.patience, self.batch_size = epochs, patience, batch_size
        self.learning_rate, self.warm_up, self.schedule = learning_rate, warm_up, schedule
        self.weight_decay, self.averaging = weight_decay, averaging
        self.history, self.mask_history = history, mask_history
        self.precision, self.compiled = precision, compiled
        self.seed, self.device, self.num_items = seed, device, num_items

    def fit(self, log: Log, weights: Array | None = None) -> Self:
        """Train until `finished`.

        Args:
            log: what was clicked.
            weights: see `weigh`.
        """
        self.begin(log)
        self.weigh(weights)
        while not self.finished:
            self.train_epoch()
        return self

    def begin(self, log: Log) -> None:
        """Take the log apart and make an untrained network; what an earlier `fit` learned is forgotten."""
        self.check()
        _, _, self.num_items_ = clicked_items(log, self.num_items)
        self._device = find_device(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        self.network_ = self.encoder(self.num_items_, generator)
        self.check_encoder(self.network_)
        self._held_out = leave_one_out(log)
        self._num_users, self._weights = len(np.unique(log.user)), None
        more = 0 if self.network_.reads == "around" else 1  # the last target is not read
        self._sequences = Sequences.of_log(
            self._held_out.train,
            self.num_items_,
            self.network_.max_length + more,
            whole=self.history == "whole",
        )
        self.auxiliaries_ = nn.ModuleList(self.auxiliaries())
        for auxiliary in self._added:
            auxiliary.begin(self.network_, self._sequences, generator)
        self.network_.to(self._device)
        self.auxiliaries_.to(self._device)
        self._forward = torch.compile(self.network_, dynamic=True) if self.compiled else self.network_
        self.averaged_ = deepcopy(self.network_) if self.averaging else None
        self.best_ = deepcopy(self.network_)
        trained = [*self.network_.parameters(), *self.auxiliaries_.parameters()]
        self.optimiser_ = torch.optim.Adam(
            [one for one in trained if one.requires_grad],
            self.learning_rate,
            weight_decay=self.weight_decay,
            fused=True,
        )
        self.validation_ = np.zeros(0)

    def weigh(self, weights: Array | None) -> None:
        """Say how much users count from now on, after `begin` and between epochs.

        A user counts as much beside light users as beside heavy ones: means are not divided by the weights.

        Args:
            weights: (U,) of the log's users in the order of their ids, 0 or more; None = 1, and weights of 1
                are the same bit for bit.

        Raises:
            InputError: not one such weight for every user.
        """
        given = None if weights is None else check_weights(weights, self._num_users)
        self._weights = None if given is None else given[self._sequences.user]

    def check_encoder(self, network: SequenceEncoder) -> None:
        """Refuse an encoder that does not go with the objective."""
        if (self.objective == "cloze") != (network.reads == "around"):
            raise InputError(
                f"objective = {self.objective!r}, but {type(network).__name__} reads {network.reads}: cloze "
                "is for encoders that read around, and no other is"
            )

    def train_epoch(self) -> float:
        """Learn from every user once, and validate; returns NDCG@10 of validation.

        Raises:
            InputError: a loss that is no number.
        """
        epoch = len(self.validation_)
        rng, generator, seed = self.luck_of_epoch()
        with repeatable(self._device, seed):
            for auxiliary in self._added:
                auxiliary.begin_epoch(self.network_, self._sequences, generator)
            self.network_.train()
            self.auxiliaries_.train()
            batches = list(self._sequences.batches(self.batch_size, rng))
            for step, users in enumerate(batches):
                self._set_rate(epoch * len(batches) + step, self.epochs * len(batches))
                with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                    value = self._loss(users, rng, generator)
                self.learn(value, step)
                self._average(epoch * len(batches) + step)
        found = float(self._validation_ranks().ndcg(RANKED).mean())
        self.rate(self._rated, found)
        return found

    def scores(self, history: Array, gaps: Array | None = None) -> Array:
        """See `Recommender`; float32. Only the last `max_length` items are read.

        Args:
            history: (B, H).
            gaps: (B, H) seconds from each item to the next, from the last to the moment that is scored;
                encoders that read time need them, the others do not look at them.

        Raises:
            InputError: not fitted, a history that `check_history` refuses, gaps missing or of another shape.
        """
        return np.concatenate(list(self.score_blocks(history, gaps)))

    def score_blocks(self, history: Array, gaps: Array | None = None) -> Iterator[Array]:
        """See `BlockRecommender`; arguments and errors as of `scores`."""
        history = check_history(self, history)
        if gaps is not None and np.shape(gaps) != history.shape:
            raise InputError(f"gaps must have the shape of history {history.shape}, got {np.shape(gaps)}")
        time = None if gaps is None else np.asarray(gaps, np.float64)
        for block in score_blocks(self.best_, history, time, self._device):
            yield block.float().cpu().numpy()

    @property
    def _added(self) -> Iterator[Auxiliary]:
        """The auxiliaries, as what they are."""
        return (one for one in self.auxiliaries_ if isinstance(one, Auxiliary))

    @property
    def _rated(self) -> SequenceEncoder:
        """The average, or the network itself where there is none."""
        return self.network_ if self.averaged_ is None else self.averaged_

    def _validation_ranks(self) -> TargetRank:
        """Where the item that every user had last stands."""
        held = self._held_out
        return ranks(
            self._rated, held.history, held.target, held.gaps, self._device, mask_history=self.mask_history
        )

    def _rows(self, users: Ints, rng: np.random.Generator) -> Rows:
        """What the encoder reads of these users, and should say."""
        if self.network_.reads == "around":
            return self._sequences.hidden_items(users, self.hidden_share, self.last_share, rng)
        if self.network_.reads == "whole":
            return self._sequences.beginnings(users, rng)
        return self._sequences.next_items(users)

    def _loss(self, users: Ints, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """The mean of the objective over all steps of these users, of every width, and the auxiliaries."""
        rows = self._rows(users, rng)
        items, targets = (torch.from_numpy(part).to(self._device) for part in (rows.items, rows.targets))
        states = self._forward(items, torch.from_numpy(rows.gaps).float().to(self._device))
        known = targets >= 0
        value = torch.zeros((), device=self._device)
        for width in self.network_.widths or (None,):
            value = value + loss(
                self.objective,
                states[known][:, :width],
                targets[known],
                partial(_candidates, self.network_, width),
                self.num_items_,
                generator,
                negatives=self.negatives,
                calibration=self.calibration,
                importance=self._importance(rows.users, known),
            )
        return value + self._further(rows, states, generator)

    def _importance(self, users: Ints, known: Tensor) -> Tensor | None:
        """The weights (M,) of the users whose states these are: flags (B, L)."""
        if self._weights is None:
            return None
        of_rows = torch.from_numpy(self._weights[users]).float().to(self._device)
        return of_rows[:, None].expand(known.shape)[known]

    def _further(self, rows: Rows, states: Tensor, generator: torch.Generator) -> Tensor:
        """What the auxiliaries add."""
        value = torch.zeros((), device=self._device)
        for auxiliary in self._added:
            added = auxiliary.loss(self.network_, self._sequences, rows, states, generator)
            value = value + auxiliary.weight * added
        return value

    def _average(self, step: int) -> None:
        """Move the average towards the weights after this gradient."""
        if self.averaged_ is not None:
            share = 1.0 - min(self.averaging, (1 + step) / (10 + step))
            average, weights = list(self.averaged_.parameters()), list(self.network_.parameters())
            with torch.no_grad():
                torch._foreach_lerp_(average, weights, share)

    def _set_rate(self, step: int, steps: int) -> None:
        """The learning rate of this gradient."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warm_up))
        if self.schedule == "cosine":
            rate *= 0.5 * (1.0 + math.cos(math.pi * step / steps))
        for group in self.optimiser_.param_groups:
            group["lr"] = rate

    def check(self) -> None:
        """Refuse settings that cannot be.

        Raises:
            InputError: the first of them.
        """
        whole = {"epochs": self.epochs, "patience": self.patience, "batch_size": self.batch_size}
        check_ranges(whole, {}, {"learning_rate": self.learning_rate})
        for name in ("weight_decay", "seed", "warm_up"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("hidden_share", "last_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.averaging < 1:
            raise InputError(f"averaging must be from 0 to below 1, got {self.averaging}")
        kinds = {"precision": PRECISIONS, "schedule": SCHEDULES, "history": HISTORIES}
        for name, choices in kinds.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}")
        check_objective(self.objective, self.negatives, self.calibration)


def _candidates(network: SequenceEncoder, width: int | None, items: Tensor | None) -> Tensor:
    """The first numbers of the candidate vectors, or all."""
    return network.candidates(items)[..., :width]
