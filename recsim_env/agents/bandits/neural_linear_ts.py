"""Neural-linear Thompson sampling: a network learns features of contexts, a linear model on them draws.

A network of two hidden layers predicts the reward of every item from the context x,

    z = relu(W_2 relu(W_1 (x, 1), 1)),      f_a(x) = w_a . (z, 1),

and learns only that: every `retrain` rounds its weights move on from where they are by `steps` steps of Adam
on squared errors of random rounds of the memory (the last `memory` rounds). What is uncertain is the last
layer alone: every item has a Bayesian linear regression on (z, 1), and

    theta_a ~ N(theta_hat_a, v^2 V_a^-1),      A_t = argmax_a theta_a . (z, 1)

as in `lin_ts.py`. A trained network has other features, so the regressions are fitted anew to the memory.

Each row has a network of its own. Everything is compiled loops over rows, the gradients written out, so that
row i is bit-identical to the learner alone: networks in single precision, regressions in double.

Feedback: the reward of the item pulled.
Bound: none is known for networks that are trained as they go.
Source: Riquelme, Tucker, Snoek, "Deep Bayesian bandits showdown", ICLR 2018, section 4 (NeuralLinear). There
    the noise has an inverse-gamma posterior and networks are wider; here v is given, as in LinTS.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.lin_ts import check_inflation
from recsim_env.agents.bandits.neural_linear_kernels import (
    draw_best_item,
    fit_rows,
    hidden_layers,
    learn_round,
    matrices,
    train_rows,
)
from recsim_env.agents.bandits.ridge_regressions import (
    RidgeRegressions,
    check_ridge,
    seen_context,
)
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import stream_number

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("neural_linear_ts")


class NeuralLinearTS:
    """One learner per row, with a network of its own.

    Args:
        num_replicates: B.
        num_items: N.
        dimension: D of contexts.
        units: U of the first hidden layer.
        num_features: F, units of the second: what the linear models see.
        retrain: rounds between two trainings.
        memory: rounds that are remembered.
        steps: of Adam in one training.
        batch_size: rounds of a step.
        learning_rate: of Adam.
        penalty: lambda of the linear models, above 0.
        inflation: v, above 0.

    Attributes:
        weights: (B, W) float32 of W_1, W_2 and w, one after the other, each with its constants last.
        contexts: (B, memory, D) float32.
        items: (B, memory).
        rewards: (B, memory).
        rounds: (B,).

    Raises:
        InputError: a size below 1, a setting out of range.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        dimension: int,
        *,
        units: int = 32,
        num_features: int = 16,
        retrain: int = 100,
        memory: int = 2000,
        steps: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        penalty: float = 1.0,
        inflation: float = 0.25,
    ) -> None:
        check_ridge(num_replicates, num_items, dimension, penalty)
        check_inflation(inflation)
        sizes = {"units": units, "num_features": num_features, "retrain": retrain, "memory": memory}
        for name, size in (sizes | {"steps": steps, "batch_size": batch_size}).items():
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        if not 0.0 < learning_rate < np.inf:
            raise InputError(f"learning_rate must be above 0 and finite, got {learning_rate}")
        B, N, D, F = num_replicates, num_items, dimension, num_features
        self.shape = B, N, D
        self.sizes = D, units, F, N
        self.retrain, self.steps, self.batch_size = retrain, steps, batch_size
        self.learning_rate, self.penalty, self.inflation = learning_rate, penalty, inflation
        weights = (D + 1) * units + (units + 1) * F + (F + 1) * N
        self.weights = np.zeros((B, weights), np.float32)
        self.regressions = RidgeRegressions(B, N, F + 1, penalty)
        self.contexts = np.zeros((B, memory, D), np.float32)
        self.items = np.zeros((B, memory), np.int64)
        self.rewards = np.zeros((B, memory))
        self.rounds = np.zeros(B, np.int64)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The item of largest drawn reward, (B, 1); the network is trained first when its round has come.

        Raises:
            InputError: no contexts, or of another shape.
        """
        context = seen_context(observation, self.shape)
        played = int(self.rounds[0])
        if played % self.retrain == 0:
            if played:
                self._train(luck)
            else:
                self._begin(luck)
        at, known = (luck.seed, luck.episode, luck.step), self.regressions
        slates: Ints = draw_best_item(
            *at, STREAM, context, self.weights, self.sizes, known.estimate, known.inverse, self.inflation
        )
        return slates

    def represent(self, observation: dict[str, Array]) -> Floats:
        """(B, 1, F + 1) what the network makes of the contexts of an observation: (z, 1)."""
        z: Floats = hidden_layers(seen_context(observation, self.shape), self.weights, self.sizes)
        return z

    def update(self, transition: Transition) -> None:
        """Remember the round, and learn from the reward in the last layer.

        Raises:
            InputError: a reward that is not finite, or not between -1e9 and 1e9.
        """
        context = seen_context(transition.observation, self.shape)
        reward, known = transition.reward, self.regressions
        learned = known.inverse, known.estimate, known.log_growth
        network = context, transition.slates, reward, self.weights, self.sizes, *learned
        bad = learn_round(*network, self.contexts, self.items, self.rewards, self.rounds)
        if bad >= 0:
            raise InputError(f"reward[{bad}] = {reward[bad]}: a network needs finite rewards, below 1e9")

    def _begin(self, luck: "Luck") -> None:
        """Normal weights of variance 2 / inputs (He et al. 2015), constants of variance 1."""
        self.weights[:] = luck.normal("neural_linear_ts/weights", self.weights.shape[1:])
        for row in self.weights:
            for matrix in matrices(row, self.sizes):
                matrix[:-1] *= np.sqrt(2.0 / (len(matrix) - 1))

    def _train(self, luck: "Luck") -> None:
        """Steps of Adam on random rounds of the memory; then the regressions anew."""
        known = int(min(self.rounds[0], self.items.shape[1]))
        drawn = luck.uniform("neural_linear_ts/batches", (self.steps * self.batch_size,))
        contexts, items, rewards, size = self.contexts, self.items, self.rewards, self.batch_size
        train_rows(self.weights, self.sizes, contexts, items, rewards, known, drawn, size, self.learning_rate)
        to = self.regressions.inverse, self.regressions.estimate, self.regressions.log_growth
        fit_rows(self.weights, self.sizes, contexts, items, rewards, known, self.penalty, *to)
