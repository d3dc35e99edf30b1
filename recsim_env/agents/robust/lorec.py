"""LoRec: a detector that knows some attacks learns on and on, and users it suspects again and again fade out.

    every epoch:  [the recommender learns, users weighed]   the detector learns, `passes` times
                  weights of users by `UserReweighting` from what the detector says now

`weights` does it for any recommender, which is trained afterwards with the last weights. `train` does it
while a `NeuralRecommender` learns; then the detector can read the states of its network, too, and what was
best before the weights applied is forgotten.

`suspicion_` is the mean of what the detector said over all epochs: like the counters it goes by how often a
user looked suspicious, not by the last epoch.

Flagged, at an update, is who is above the detector's threshold, between the users and the fakes that it
makes itself, or, by the published rule, who is above the mean. Above the mean are always some of the honest,
a fifth of them where the detector is sure of itself.

Source: Zhang and others, "LoRec: combating poisons with large language model for robust sequential
recommendation", SIGIR 2024, and its public code. Ours: features of sequences in place of a language model,
see `FraudDetector`; the state after a user's last item, where it reads all; one pass an epoch, where it has
two, for features stand still and are learned sooner; the rule between; `weights`.
"""

import numpy as np

from recsim_env.agents.robust.fraud_detector import FraudDetector
from recsim_env.agents.robust.reweighting import UserReweighting
from recsim_env.agents.robust.user_histories import user_histories
from recsim_env.agents.sequential.neural.full_ranking import last_states
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender
from recsim_env.arrays import Floats
from recsim_env.errors import InputError, check_ranges, require, unknown_name
from recsim_env.simulators.log import Log

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it

RULES = ("between", "mean")


class LoRec:
    """See the module; a `Defence`.

    Args:
        detector: untrained; its own epochs do not count.
        epochs: of `weights`, as many as the published code has at least; `train` has those of the
            recommender. After 30, who was flagged each time weighs .05 still, which is enough for a matrix
            factorisation of a small log to show targets; after 150 nothing.
        every: epochs from update to update of the weights until epoch 30, twice as many after it.
        warm_up: the epoch from which weights apply, at most `epochs`.
        passes: of the detector over all users, an epoch.
        rule: between, or mean: who is flagged.
        states: whether the detector of `train` reads the states of the network that is being trained.

    After `weights` or `train`: `suspicion_` (U,); `reweighting_`, with the counters.

    Raises:
        InputError: a number out of range, an unknown rule; `train`: fewer epochs of the recommender than the
            warm-up takes.
    """

    suspicion_: Floats
    reweighting_: UserReweighting

    def __init__(
        self,
        detector: FraudDetector,
        *,
        epochs: int = 150,
        every: int = 5,
        warm_up: int = 30,
        passes: int = 1,
        rule: str = "between",
        states: bool = False,
    ) -> None:
        check_ranges({"epochs": epochs, "every": every, "warm_up": warm_up, "passes": passes}, {}, {})
        self.detector, self.epochs, self.every = detector, epochs, every
        if rule not in RULES:
            raise unknown_name("rule", rule, RULES)
        self.warm_up, self.passes, self.rule, self.states = warm_up, passes, rule, states
        self._check_epochs(epochs)

    def weights(self, log: Log) -> Floats:
        """See `Defence`."""
        self.detector.begin(log)
        self._start(log)
        for _ in range(self.epochs):
            self._detect(None)
        return self.reweighting_.weights

    def train(self, recommender: NeuralRecommender, log: Log) -> NeuralRecommender:
        """Train a recommender from the beginning, users weighed anew after every epoch; returns it.

        In its `validation_` the epochs before the weights applied are -inf: they do not count.
        """
        self._check_epochs(recommender.epochs)
        recommender.begin(log)
        network = recommender.network_
        D = network.items.dimension if self.states else 0
        self.detector.begin(log, D)
        self._start(log)
        history = user_histories(self.detector.poisoned_, network.max_length)
        device = next(network.parameters()).device
        for epoch in range(1, recommender.epochs + 1):
            if epoch > self.warm_up and recommender.finished:
                break
            if epoch == self.warm_up:
                recommender.validation_[:] = -np.inf
            recommender.weigh(self.reweighting_.weights)
            recommender.train_epoch()
            states = None
            if self.states:
                with torch.inference_mode():
                    states = last_states(network.eval(), history, None, device).double().cpu().numpy()
            self._detect(states)
        return recommender

    def _start(self, log: Log) -> None:
        users = len(np.unique(log.user))
        self.reweighting_ = UserReweighting(users, every=self.every, warm_up=self.warm_up)
        self.suspicion_ = np.zeros(users)

    def _detect(self, states: Floats | None) -> None:
        """One epoch of the detector, and what follows from it."""
        for _ in range(self.passes):
            self.detector.train_epoch(states)
        score = self.detector.scores(states)
        threshold = self.detector.threshold(states) if self.rule == "between" else None
        self.reweighting_.end_epoch(score, threshold)
        self.suspicion_ += (score - self.suspicion_) / self.reweighting_.epoch

    def _check_epochs(self, epochs: int) -> None:
        if epochs < self.warm_up:
            raise InputError(
                f"weights apply from epoch warm_up = {self.warm_up}, and there are {epochs} epochs: lower it"
            )
