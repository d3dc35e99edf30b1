"""A generative policy trained on a log to say the next item: cross-entropy over the catalogue.

    fit:     minimise the mean over all steps t < n of all users of -log pi(i_{t+1} | i_1 .. i_t), and what
             the auxiliaries add
    scores:  log pi of all items

log pi is normalised over the codes that may follow, as it is when items are found, so nothing is learned
about identifiers that no item has. The rest of the training is that of `NeuralRecommender`: Adam, validation
by the second-last item of every user, patience, what is kept. Validation ranks by the lists of a beam search,
where a target that is not on the list is a miss.

Source: Rajput and others, "Recommender systems with generative retrieval" (TIGER), NeurIPS 2023; constrained
training as in MSCGRec and MSL.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, cast

import numpy as np

from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.recommender import check_history
from recsim_env.agents.sequential.neural.device import repeatable
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.neural_recommender import RANKED, NeuralRecommender
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.agents.sequential.neural.trained_network import LONGEST_GRADIENT, luck_of_epoch
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.evaluation.ranking import TargetRank

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

SCORED = 2**15  # cells, of users and items, whose log pi is computed at a time


class PolicyEncoder(SequenceEncoder):
    """A policy where `NeuralRecommender` expects an encoder: its states are those of the policy's encoder.

    Args:
        policy: see `GenerativePolicy`.
    """

    def __init__(self, policy: GenerativePolicy) -> None:
        super().__init__(policy.encoder.items, policy.encoder.max_length)
        self.policy = policy
        self.reads, self.reads_gaps = policy.encoder.reads, policy.encoder.reads_gaps

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """States (U, L, D)."""
        states: Tensor = self.policy.encoder(items, gaps)
        return states


class OfEncoder(Auxiliary):
    """A further loss of a sequence encoder, as one of the policy that it is part of.

    Args:
        auxiliary: that looks at an encoder.
    """

    def __init__(self, auxiliary: Auxiliary) -> None:
        super().__init__(auxiliary.weight)
        self.auxiliary = auxiliary

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """See `Auxiliary`."""
        self.auxiliary.begin(_policy(network).encoder, sequences, generator)

    def begin_epoch(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """See `Auxiliary`."""
        self.auxiliary.begin_epoch(_policy(network).encoder, sequences, generator)

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        return self.auxiliary.loss(_policy(network).encoder, sequences, rows, states, generator)


class GenerativeRecommender(NeuralRecommender):
    """See the module.

    Args:
        policy: (N, generator of the first weights) -> an untrained one.
        settings: of `NeuralRecommender`, but for its objective and what it needs.

    Raises:
        InputError: such a setting. `fit`: as `NeuralRecommender`; an encoder that reads the time between
            items.
    """

    def __init__(self, policy: Callable[[int, torch.Generator], GenerativePolicy], **settings: Any) -> None:
        refused = sorted({"objective", "negatives", "calibration"} & settings.keys())
        if refused:
            raise InputError(
                f"{refused[0]} must be left out: a policy learns by cross-entropy over its catalogue"
            )
        super().__init__(lambda N, generator: PolicyEncoder(policy(N, generator)), **settings)

    @property
    def policy_(self) -> GenerativePolicy:
        """The best one of the training, without dropout."""
        return _policy(self.best_).eval()

    def continued(self, gradients: int, learning_rate: float) -> GenerativePolicy:
        """A copy of the best policy after so many gradients more on the same log, of an Adam of its own.

        Raises:
            InputError: a loss that is no number; a recommender with further losses, which would be left out.
        """
        if len(self.auxiliaries_):
            raise InputError(
                "continued is for trainings by cross-entropy alone, and this one has further losses"
            )
        network = deepcopy(self.best_).train()
        optimiser = torch.optim.Adam(network.parameters(), learning_rate)
        done = epoch = 0
        while done < gradients:
            rng, _, seed = luck_of_epoch(self.seed, self.epochs + epoch)
            with repeatable(self._device, seed):
                for users in list(self._sequences.batches(self.batch_size, rng))[: gradients - done]:
                    rows = self._rows(users, rng)
                    loss = self._mean_loss(network, network(self._tensor(rows.items)), rows)
                    if not torch.isfinite(loss):
                        raise InputError(f"the loss is {loss.item()}: lower learning_rate ({learning_rate})")
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
                    optimiser.step()
                    done += 1
            epoch += 1
        return _policy(network).eval()

    def check_encoder(self, network: SequenceEncoder) -> None:
        """Refuse encoders of which a policy has no state."""
        if network.reads_gaps:
            name = type(_policy(network).encoder).__name__
            raise InputError(f"{name} reads the time between items, which a policy is not told")

    def score_blocks(self, history: Array, gaps: Array | None = None) -> Iterator[Array]:
        """Log pi of all items, exact: every identifier is read, which takes as long as many beam searches."""
        history = check_history(self, history)
        step = max(1, SCORED // self.num_items_)
        policy = self.policy_.eval()
        every = torch.arange(self.num_items_, device=self._device)
        for start in range(0, max(1, len(history)), step):
            rows = self._tensor(history[start : start + step])
            with torch.inference_mode():
                yield policy.log_prob(rows, every.expand(len(rows), -1)).cpu().numpy()

    def lists(self, history: Array, k: int, *, mask_history: bool, width: int | None = None) -> Ints:
        """The k items that a beam search finds, best first, (U, k), -1 where there are no more.

        Args:
            history: (U, H), as in `scores`.
            k: 1 or more.
            mask_history: whether items of the history are left out.
            width: of the beam; None = 2 k.

        Raises:
            InputError: not fitted, a history that `check_history` refuses, a number out of range.
        """
        check_ranges({"k": k}, {}, {})
        history = check_history(self, history)
        return self._lists(self.policy_, history, k, mask_history=mask_history, width=width)

    def _lists(
        self, policy: GenerativePolicy, history: Ints, k: int, *, mask_history: bool, width: int | None = None
    ) -> Ints:
        policy.eval()
        found = [np.empty((0, k), np.int64)]
        step = max(1, SCORED // (20 * k))
        for start in range(0, len(history), step):
            rows = self._tensor(history[start : start + step])
            allow = nothing = None
            if mask_history:
                allow = torch.ones(len(rows), self.num_items_ + 1, dtype=torch.bool, device=self._device)
                allow = allow.scatter(1, torch.where(rows < 0, self.num_items_, rows), value=False)[:, :-1]
                nothing = ~allow.any(dim=1)  # they had all there is
                allow = allow | nothing[:, None]
            items = policy.generate(rows, k, width=width, allow=allow)[0]
            if nothing is not None:
                items = items.masked_fill(nothing[:, None], -1)
            found.append(items.cpu().numpy())
        return np.concatenate(found)

    def _tensor(self, history: Ints) -> Tensor:
        return torch.from_numpy(history if history.shape[1] else np.full((len(history), 1), -1)).to(
            self._device
        )

    def _loss(self, users: Ints, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """The mean of -log pi over all steps of these users, and the auxiliaries."""
        rows = self._rows(users, rng)
        states = self._forward(self._tensor(rows.items), None)
        return self._mean_loss(self.network_, states, rows) + self._further(rows, states, generator)

    def _mean_loss(self, network: SequenceEncoder, states: Tensor, rows: Rows) -> Tensor:
        policy, items, targets = _policy(network), self._tensor(rows.items), self._tensor(rows.targets)
        preference = None if policy.preferences is None else policy.preferences.learned(items, targets)
        past = policy.steps(states, items, preference)
        if network.reads == "whole":
            past, targets = past.last, targets[:, -1:]
        log_pi = policy.log_prob_of(past, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        importance = self._importance(rows.users, targets >= 0)
        said = log_pi[targets >= 0]
        return -(said if importance is None else importance * said).mean()

    def _validation_ranks(self) -> TargetRank:
        """Where the item that every user had last stands in the lists."""
        held, k = self._held_out, min(RANKED, self.num_items_)
        lists = self._lists(_policy(self._rated), held.history, k, mask_history=self.mask_history)
        hit = lists == held.target[:, None]
        better = np.where(hit.any(axis=1), hit.argmax(axis=1), self.num_items_)
        return TargetRank(better, np.zeros_like(better), np.ones(len(better), np.bool_))


def _policy(network: SequenceEncoder) -> GenerativePolicy:
    return cast(GenerativePolicy, network.policy)
