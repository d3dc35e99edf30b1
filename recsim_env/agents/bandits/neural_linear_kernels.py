"""The compiled loops of neural-linear Thompson sampling (`neural_linear_ts.py`), where the equations stand.

Layers of B rows are (B, inputs + 1, outputs); the last row of each matrix is the constant. A network reads S
rounds at a time, (numbers, S), so that the inner loops run over rounds that lie together.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints


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
