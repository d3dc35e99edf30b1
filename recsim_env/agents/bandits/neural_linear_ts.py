"""Neural-linear Thompson sampling: a network learns features of contexts, a linear model on them draws.

A network of two hidden layers predicts the reward of every item from the context x,

    z = relu(W_2 relu(W_1 (x, 1), 1)),      f_a(x) = w_a . (z, 1),

and learns only that: every `retrain` rounds its weights move on from where they are by `steps` steps of Adam
on squared errors of random rounds of the memory (the last `memory` rounds). What is uncertain is the last
layer alone: every item has a Bayesian linear regression on (z, 1), and

    theta_a ~ N(theta_hat_a, v^2 V_a^-1),      A_t = argmax_a theta_a . (z, 1)

as in `lin_ts.py`. A trained network has other features, so the regressions are fitted anew to the memory.

Each row has a network of its own. Everything is compiled loops over rows, the gradients written out, in
double precision, so that row i is bit-identical to the learner alone.

Feedback: the reward of the item pulled.
Bound: none is known for networks that are trained as they go.
Source: Riquelme, Tucker, Snoek, "Deep Bayesian bandits showdown", ICLR 2018, section 4 (NeuralLinear). There
    the noise has an inverse-gamma posterior and networks are wider; here v is given, as in LinTS.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.lin_ts import check_inflation, draw_best
from recsim_env.agents.bandits.ridge_regressions import RidgeRegressions, check_ridge, seen_features
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


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
        weights: (B, W) of all layers, one after the other.
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
        self.layers = (D + 1, units), (units + 1, F), (F + 1, N)  # the last row of each is the constant
        self.retrain, self.steps, self.batch_size = retrain, steps, batch_size
        self.learning_rate, self.penalty, self.inflation = learning_rate, penalty, inflation
        self.weights = np.zeros((B, sum(rows * columns for rows, columns in self.layers)))
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
        features = self.represent(observation)
        if self.rounds[0] and self.rounds[0] % self.retrain == 0:
            self._train(luck)
            features = self.represent(observation)
        elif self.weights[0, 0] == 0.0:
            self._begin(luck)
            features = self.represent(observation)
        z = luck.normal("neural_linear_ts", self.regressions.estimate.shape[1:])
        known = self.regressions.estimate, self.regressions.inverse
        slates: Ints = draw_best(features, *known, self.inflation, z)
        return slates

    def represent(self, observation: dict[str, Array]) -> Floats:
        """(B, 1, F + 1) what the network makes of the contexts of an observation: (z, 1)."""
        extended = seen_features(observation, self.shape, shared=False)  # (B, 1, D + 1)
        z: Floats = hidden_layers(extended, *self._matrices()[:2])
        return z

    def update(self, transition: Transition) -> None:
        """Remember the round, and learn from the reward in the last layer.

        Raises:
            InputError: a reward that is not finite.
        """
        features = self.represent(transition.observation)
        self.regressions.add(features, transition.slates, transition.reward)
        place = self.rounds[0] % self.items.shape[1]
        self.contexts[:, place] = transition.observation["context"]
        self.items[:, place] = transition.slates[:, 0]
        self.rewards[:, place] = transition.reward
        self.rounds = self.rounds + 1

    def _matrices(self) -> tuple[Floats, Floats, Floats]:
        """The layers (B, rows, columns), as views of the weights."""
        views, start = [], 0
        for rows, columns in self.layers:
            end = start + rows * columns
            views.append(self.weights[:, start:end].reshape(-1, rows, columns))
            start = end
        return views[0], views[1], views[2]

    def _begin(self, luck: "Luck") -> None:
        """Normal weights of variance 2 / inputs (He et al. 2015), constants of variance 1."""
        self.weights = np.ascontiguousarray(luck.normal("neural_linear_ts/weights", self.weights.shape[1:]))
        for matrix in self._matrices():
            matrix[:, :-1] *= np.sqrt(2.0 / (matrix.shape[1] - 1))

    def _train(self, luck: "Luck") -> None:
        """Steps of Adam on random rounds of the memory; then the regressions anew."""
        known = int(min(self.rounds[0], self.items.shape[1]))
        drawn = luck.uniform("neural_linear_ts/batches", (self.steps * self.batch_size,))
        first, second, third = self._matrices()
        contexts, items, rewards = self.contexts, self.items, self.rewards
        size, rate = self.batch_size, self.learning_rate
        train_rows(first, second, third, contexts, items, rewards, known, drawn, size, rate)
        to, penalty = self.regressions, self.penalty
        fitted = to.inverse, to.estimate, to.log_growth
        fit_rows(first, second, contexts, items, rewards, known, penalty, *fitted)


@njit(cache=True)
def hidden_layers(extended: Array, first: Floats, second: Floats) -> Floats:
    """(z, 1) (B, 1, F + 1) of (x, 1) (B, 1, D + 1), by layers (B, D + 1, U) and (B, U + 1, F)."""
    B, _, U = first.shape
    F = second.shape[2]
    z = np.ones((B, 1, F + 1))
    h = np.ones(U + 1)
    for b in range(B):
        h[:U] = 0.0
        for d in range(extended.shape[2]):
            x = np.float64(extended[b, 0, d])
            for u in range(U):
                h[u] += x * first[b, d, u]
        z[b, 0, :F] = 0.0
        for u in range(U + 1):
            x = max(h[u], 0.0)
            for f in range(F):
                z[b, 0, f] += x * second[b, u, f]
        for f in range(F):
            z[b, 0, f] = max(z[b, 0, f], 0.0)
    return z


@njit(cache=True)
def layer(x: Floats, weights: Floats, out: Floats) -> None:
    """Put relu(W (x, 1)) into out (columns, S), of x (rows - 1, S) and W (rows, columns)."""
    rows, columns = weights.shape
    S = x.shape[1]
    for c in range(columns):
        for s in range(S):
            out[c, s] = weights[rows - 1, c]
        for r in range(rows - 1):
            w = weights[r, c]
            for s in range(S):
                out[c, s] += w * x[r, s]
        for s in range(S):
            out[c, s] = max(out[c, s], 0.0)


@njit(cache=True, fastmath={"reassoc", "nsz"})  # sums over S in lanes, which are the same for every row
def layer_gradient(x: Floats, error: Floats, gradient: Floats) -> None:
    """Put the gradient of W (rows, columns) into `gradient`, of x (rows - 1, S) and errors (columns, S)."""
    rows, columns = gradient.shape
    for c in range(columns):
        total = 0.0
        for s in range(error.shape[1]):
            total += error[c, s]
        gradient[rows - 1, c] = total
        for r in range(rows - 1):
            total = 0.0
            for s in range(error.shape[1]):
                total += x[r, s] * error[c, s]
            gradient[r, c] = total


@njit(cache=True)
def train_rows(
    first: Floats,
    second: Floats,
    third: Floats,
    contexts: Array,
    items: Ints,
    rewards: Floats,
    known: int,
    drawn: Floats,
    batch_size: int,
    learning_rate: float,
) -> None:
    """Adam on mean squared errors of the item that was pulled; the layers (B, rows, columns) are changed.

    Args:
        first: of the hidden layers.
        second: of the hidden layers.
        third: of the predictions.
        contexts: (B, memory, D).
        items: (B, memory).
        rewards: (B, memory).
        known: how many rounds the memory holds.
        drawn: (B, steps x batch_size) uniforms, which rounds are learned from.
        batch_size: S, of one step.
        learning_rate: of Adam; its other constants are .9, .999 and 1e-8.
    """
    B, D, S = len(first), contexts.shape[2], batch_size
    U, F = first.shape[2], second.shape[2]
    x, h, z = np.empty((D, S)), np.empty((U, S)), np.empty((F, S))
    h_error, z_error = np.empty((U, S)), np.empty((F, S))
    item, earned = np.empty(S, np.int64), np.empty(S)
    gradients = np.empty(first[0].shape), np.empty(second[0].shape), np.empty(third[0].shape)
    for b in range(B):
        one, two, three = first[b].copy(), second[b].copy(), third[b].copy()  # lie together, unlike the views
        mean_1, square_1 = np.zeros(first[0].shape), np.zeros(first[0].shape)
        mean_2, square_2 = np.zeros(second[0].shape), np.zeros(second[0].shape)
        mean_3, square_3 = np.zeros(third[0].shape), np.zeros(third[0].shape)
        for step in range(drawn.shape[1] // S):
            for s in range(S):
                place = int(drawn[b, step * S + s] * known)
                for d in range(D):
                    x[d, s] = contexts[b, place, d]
                item[s], earned[s] = items[b, place], rewards[b, place]
            layer(x, one, h)
            layer(h, two, z)
            gradients[2][:] = 0.0
            for s in range(S):
                a = item[s]
                error = three[F, a] - earned[s]
                for f in range(F):
                    error += z[f, s] * three[f, a]
                error *= 2.0 / S
                gradients[2][F, a] += error
                for f in range(F):
                    gradients[2][f, a] += error * z[f, s]
                    z_error[f, s] = error * three[f, a] if z[f, s] > 0.0 else 0.0
            layer_gradient(h, z_error, gradients[1])
            for u in range(U):
                h_error[u] = 0.0
                for f in range(F):
                    w = two[u, f]
                    for s in range(S):
                        h_error[u, s] += w * z_error[f, s]
                for s in range(S):
                    h_error[u, s] = h_error[u, s] if h[u, s] > 0.0 else 0.0
            layer_gradient(x, h_error, gradients[0])
            adam(one, gradients[0], mean_1, square_1, step + 1, learning_rate)
            adam(two, gradients[1], mean_2, square_2, step + 1, learning_rate)
            adam(three, gradients[2], mean_3, square_3, step + 1, learning_rate)
        first[b], second[b], third[b] = one, two, three


@njit(cache=True)
def adam(
    weights: Floats, gradient: Floats, mean: Floats, square: Floats, step: int, learning_rate: float
) -> None:
    """One step of a matrix; Kingma, Ba, "Adam", ICLR 2015, algorithm 1."""
    first, second = 1.0 - 0.9**step, 1.0 - 0.999**step
    for r in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            g = gradient[r, c]
            mean[r, c] = 0.9 * mean[r, c] + 0.1 * g
            square[r, c] = 0.999 * square[r, c] + 0.001 * g * g
            weights[r, c] -= learning_rate * (mean[r, c] / first) / (np.sqrt(square[r, c] / second) + 1e-8)


@njit(cache=True)
def fit_rows(
    first: Floats,
    second: Floats,
    contexts: Array,
    items: Ints,
    rewards: Floats,
    known: int,
    penalty: float,
    inverse: Floats,
    estimate: Floats,
    log_growth: Floats,
) -> None:
    """Ridge regressions of the memory's rewards on what the hidden layers make of its contexts, anew.

    Args:
        first: of the hidden layers, (B, D + 1, U).
        second: (B, U + 1, F).
        contexts: (B, memory, D).
        items: (B, memory).
        rewards: (B, memory).
        known: how many rounds the memory holds.
        penalty: lambda.
        inverse: (B, N, F + 1, F + 1), written.
        estimate: (B, N, F + 1), written.
        log_growth: (B, N), written.
    """
    B, N, M = estimate.shape
    x = np.empty((contexts.shape[2], known))
    h, z = np.empty((first.shape[2], known)), np.empty((M - 1, known))
    V, moment, seen = np.empty((N, M, M)), np.empty((N, M)), np.ones(M)
    for b in range(B):
        for place in range(known):
            for d in range(len(x)):
                x[d, place] = contexts[b, place, d]
        layer(x, first[b].copy(), h)
        layer(h, second[b].copy(), z)
        V[:], moment[:] = 0.0, 0.0
        for place in range(known):
            a = items[b, place]
            for f in range(M - 1):
                seen[f] = z[f, place]
            for i in range(M):
                moment[a, i] += seen[i] * rewards[b, place]
                for j in range(M):
                    V[a, i, j] += seen[i] * seen[j]
        for a in range(N):
            for i in range(M):
                V[a, i, i] += penalty
            log_growth[b, a] = invert(V[a], inverse[b, a]) - M * np.log(penalty)
            for i in range(M):
                total = 0.0
                for j in range(M):
                    total += inverse[b, a, i, j] * moment[a, j]
                estimate[b, a, i] = total


@njit(cache=True)
def invert(V: Floats, inverse: Floats) -> float:
    """Put the inverse of a positive matrix (M, M) into `inverse`, and return log det V; V is lost."""
    M = len(V)
    log_det = 0.0
    for i in range(M):  # Cholesky: the lower half of V becomes L, V = L L'
        for j in range(i + 1):
            total = V[i, j]
            for k in range(j):
                total -= V[i, k] * V[j, k]
            V[i, j] = np.sqrt(total) if i == j else total / V[j, j]
        log_det += 2.0 * np.log(V[i, i])
    root = np.zeros((M, M))  # L^-1
    for j in range(M):
        root[j, j] = 1.0 / V[j, j]
        for i in range(j + 1, M):
            total = 0.0
            for k in range(j, i):
                total -= V[i, k] * root[k, j]
            root[i, j] = total / V[i, i]
    for i in range(M):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, M):
                total += root[k, i] * root[k, j]
            inverse[i, j] = inverse[j, i] = total
    return log_det
