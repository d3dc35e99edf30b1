"""The compiled loops of neural-linear Thompson sampling (`neural_linear_ts.py`), where the equations stand.

The weights of a row are those of three matrices (inputs + 1, outputs), one after the other; the last row of
each matrix is the constant. In training a network reads S rounds at a time, (S, numbers); its products are
those of BLAS. Sums are taken in the precision of the weights, several terms at a time, in an order that is
the same for every row.
"""

import numpy as np
from numba import njit

from recsim_env.agents.bandits.ridge_regressions import add_rewards
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.simulators.normal_draws import fill_normal

LARGEST = 1e9  # of a reward: squares of errors, and of their gradients, are numbers in single precision
SUMS = {"contract", "reassoc", "nsz"}  # what a compiler may do to sums: their terms in lanes, and fused


@njit(cache=True)
def draw_best_item(
    seed: Array,
    episode: Ints,
    step: Ints,
    stream: int,
    context: Array,
    weights: Array,
    sizes: tuple[int, int, int, int],
    estimate: Floats,
    inverse: Floats,
    inflation: float,
) -> Ints:
    """The item of largest drawn reward of every row, (B, 1).

    Every item has a regression of its own, and of its drawn vector nothing but theta_a . (z, 1) is looked at.
    That is normal, of mean theta_hat_a . (z, 1) and variance v^2 (z, 1)' V_a^-1 (z, 1), and drawn as such.
    """
    B, N, _ = estimate.shape
    normal = np.empty((N + N % 2, B))
    fill_normal(seed, episode, step, stream, normal)
    slates = np.empty((B, 1), np.int64)
    features = hidden_layers(context, weights, sizes)
    for b in range(B):
        seen = features[b, 0]
        highest, slates[b, 0] = -np.inf, 0
        for a in range(N):
            mean, variance = moments(seen, estimate[b, a], inverse[b, a])
            drawn = mean + inflation * np.sqrt(max(variance, 0.0)) * normal[a, b]
            if drawn > highest:
                slates[b, 0], highest = a, drawn
    return slates


@njit(cache=True, fastmath=SUMS)
def moments(seen: Floats, estimate: Floats, inverse: Floats) -> tuple[float, float]:
    """Of a reward: x . theta_hat and x' V^-1 x."""
    mean, variance = 0.0, 0.0
    for i in range(len(seen)):
        mean += seen[i] * estimate[i]
        total = 0.0
        for j in range(len(seen)):
            total += inverse[i, j] * seen[j]
        variance += seen[i] * total
    return mean, variance


@njit(cache=True)
def learn_round(
    context: Array,
    slates: Ints,
    reward: Floats,
    weights: Array,
    sizes: tuple[int, int, int, int],
    inverse: Floats,
    estimate: Floats,
    log_growth: Floats,
    contexts: Array,
    items: Ints,
    rewards: Floats,
    rounds: Ints,
) -> int:
    """Bring regressions and memory up to date; returns the first row whose reward is too large, or -1."""
    for b in range(len(rounds)):
        if not abs(reward[b]) < LARGEST:
            return b
    features = hidden_layers(context, weights, sizes)
    add_rewards(features, slates, reward, inverse, estimate, log_growth)
    for b in range(len(rounds)):
        place = rounds[b] % items.shape[1]
        for d in range(context.shape[1]):
            contexts[b, place, d] = context[b, d]
        items[b, place], rewards[b, place] = slates[b, 0], reward[b]
        rounds[b] += 1
    return -1


@njit(cache=True)
def matrices(row: Array, sizes: tuple[int, int, int, int]) -> tuple[Array, Array, Array]:
    """The matrices (D + 1, U), (U + 1, F) and (F + 1, N) of one row's weights (W,), as views."""
    D, U, F, N = sizes
    first, second = (D + 1) * U, (D + 1) * U + (U + 1) * F
    return (
        row[:first].reshape(D + 1, U),
        row[first:second].reshape(U + 1, F),
        row[second:].reshape(F + 1, N),
    )


@njit(cache=True, fastmath=SUMS)
def hidden_layers(context: Array, weights: Array, sizes: tuple[int, int, int, int]) -> Floats:
    """(z, 1) (B, 1, F + 1) of contexts (B, D), by weights (B, W)."""
    B, D = context.shape
    _, U, F, _ = sizes
    of = weights.dtype
    features = np.ones((B, 1, F + 1))
    h, z = np.empty(U, of), np.empty(F, of)
    for b in range(B):
        first, second, _ = matrices(weights[b], sizes)
        h[:] = first[D]
        for d in range(D):
            x = of.type(context[b, d])
            for u in range(U):
                h[u] += x * first[d, u]
        z[:] = second[U]
        for u in range(U):
            x = max(h[u], of.type(0.0))
            for f in range(F):
                z[f] += x * second[u, f]
        for f in range(F):
            features[b, 0, f] = max(z[f], of.type(0.0))
    return features


@njit(cache=True)
def layer(x: Array, weights: Array, out: Array) -> None:
    """Put relu((x, 1) W) into out (S, columns), of x (S, rows - 1) and W (rows, columns)."""
    rows, columns = weights.shape
    np.dot(x, weights[: rows - 1], out)
    nothing = out.dtype.type(0.0)
    for s in range(len(x)):
        for c in range(columns):
            out[s, c] = max(out[s, c] + weights[rows - 1, c], nothing)


@njit(cache=True)
def layer_gradient(x: Array, error: Array, gradient: Array) -> None:
    """Put the gradient of W (rows, columns) into `gradient`, of x (S, rows - 1) and errors (S, columns)."""
    rows, columns = gradient.shape
    np.dot(x.T, error, gradient[: rows - 1])
    gradient[rows - 1] = gradient.dtype.type(0.0)
    for s in range(len(x)):
        for c in range(columns):
            gradient[rows - 1, c] += error[s, c]


@njit(cache=True)
def train_rows(
    weights: Array,
    sizes: tuple[int, int, int, int],
    contexts: Array,
    items: Ints,
    rewards: Floats,
    known: int,
    drawn: Floats,
    batch_size: int,
    learning_rate: float,
) -> None:
    """Adam on mean squared errors of the item that was pulled; the weights are changed.

    Args:
        weights: (B, W).
        sizes: D, U, F and N.
        contexts: (B, memory, D).
        items: (B, memory).
        rewards: (B, memory).
        known: how many rounds the memory holds.
        drawn: (B, steps x batch_size) uniforms, which rounds are learned from.
        batch_size: S, of one step.
        learning_rate: of Adam; its other constants are .9, .999 and 1e-8.
    """
    D, U, F, _ = sizes
    S, of = batch_size, weights.dtype
    x, h, z = np.empty((S, D), of), np.empty((S, U), of), np.empty((S, F), of)
    h_error, z_error = np.empty((S, U), of), np.empty((S, F), of)
    item, earned = np.empty(S, np.int64), np.empty(S, of)
    slope = np.empty(weights.shape[1], of)
    slope_1, slope_2, slope_3 = matrices(slope, sizes)
    for b in range(len(weights)):
        row, mean, square = weights[b], np.zeros_like(slope), np.zeros_like(slope)
        first, second, third = matrices(row, sizes)
        for step in range(drawn.shape[1] // S):
            for s in range(S):
                place = int(drawn[b, step * S + s] * known)
                for d in range(D):
                    x[s, d] = contexts[b, place, d]
                item[s], earned[s] = items[b, place], rewards[b, place]
            layer(x, first, h)
            layer(h, second, z)
            predicted_errors(z, third, item, earned, z_error, slope_3)
            layer_gradient(h, z_error, slope_2)
            np.dot(z_error, second[:U].T, h_error)
            for s in range(S):
                for u in range(U):
                    h_error[s, u] = h_error[s, u] if h[s, u] > 0.0 else of.type(0.0)
            layer_gradient(x, h_error, slope_1)
            adam(row, slope, mean, square, step + 1, learning_rate)


@njit(cache=True, fastmath=SUMS)
def predicted_errors(
    z: Array, weights: Array, item: Ints, earned: Array, z_error: Array, gradient: Array
) -> None:
    """Of predictions (z, 1) W of the items: put errors of z (S, F), and the gradient of W (F + 1, N)."""
    S, F = z.shape
    nothing, share = gradient.dtype.type(0.0), gradient.dtype.type(2.0 / S)
    by_item, slope = weights.T.copy(), np.zeros((weights.shape[1], F + 1), gradient.dtype)
    for s in range(S):
        w, g = by_item[item[s]], slope[item[s]]
        predicted = w[F]
        for f in range(F):
            predicted += z[s, f] * w[f]
        e = (predicted - earned[s]) * share
        for f in range(F):
            g[f] += e * z[s, f]
            z_error[s, f] = e * w[f] if z[s, f] > nothing else nothing
        g[F] += e
    gradient[:] = slope.T


@njit(cache=True, fastmath=SUMS, error_model="numpy")
def adam(
    weights: Array, gradient: Array, mean: Array, square: Array, step: int, learning_rate: float
) -> None:
    """One step of W weights; Kingma, Ba, "Adam", ICLR 2015, algorithm 1."""
    of = weights.dtype.type
    rate = of(learning_rate / (1.0 - 0.9**step))
    growth, least = of(1.0 / (1.0 - 0.999**step)), of(1e-8)
    keep_mean, new_mean, keep_square, new_square = of(0.9), of(0.1), of(0.999), of(0.001)
    for i in range(len(weights)):
        g = gradient[i]
        mean[i] = keep_mean * mean[i] + new_mean * g
        square[i] = keep_square * square[i] + new_square * g * g
        weights[i] -= rate * mean[i] / (np.sqrt(square[i] * growth) + least)


@njit(cache=True)
def fit_rows(
    weights: Array,
    sizes: tuple[int, int, int, int],
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
        weights: (B, W).
        sizes: D, U, F and N.
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
    D, U, _, _ = sizes
    of = weights.dtype
    for b in range(B):
        first, second, _ = matrices(weights[b], sizes)
        places, start = places_by_item(items[b, :known], N)
        for a in range(N):
            mine = places[start[a] : start[a + 1]]
            x = np.empty((len(mine), D), of)
            h, z = np.empty((len(mine), U), of), np.empty((len(mine), M - 1), of)
            for s in range(len(mine)):
                for d in range(D):
                    x[s, d] = contexts[b, mine[s], d]
            layer(x, first, h)
            layer(h, second, z)
            seen, earned = np.ones((len(mine), M)), rewards[b][mine]
            seen[:, : M - 1] = z
            V = np.dot(seen.T, seen)
            for i in range(M):
                V[i, i] += penalty
            log_growth[b, a] = invert(V, inverse[b, a]) - M * np.log(penalty)
            estimate[b, a] = np.dot(inverse[b, a], np.dot(seen.T, earned))


@njit(cache=True)
def places_by_item(items: Ints, num_items: int) -> tuple[Ints, Ints]:
    """Where every item stands in `items`: item a in places[start[a] : start[a + 1]]."""
    start, places = np.zeros(num_items + 1, np.int64), np.empty(len(items), np.int64)
    for item in items:
        start[item + 1] += 1
    for a in range(num_items):
        start[a + 1] += start[a]
    filled = start.copy()
    for place in range(len(items)):
        places[filled[items[place]]] = place
        filled[items[place]] += 1
    return places, start


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
