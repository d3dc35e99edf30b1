"""Sequence encoders once more, for one user, item by item, in NumPy: what the equations of each say.

Each takes weights (name -> array), the items of one user, the seconds from each to the next, and the settings
of the encoder, and gives the states (n, D).
"""

import cmath
import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return np.array([0.5 * z * (1 + math.erf(z / math.sqrt(2))) for z in x])


def moved(x, epsilon=1e-5):
    """Mean 0, variance 1."""
    return (x - x.mean()) / math.sqrt(x.var() + epsilon)


def norm(weights, x, name):
    return moved(x) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def line(weights, x, name):
    return weights[f"{name}.weight"] @ x + weights.get(f"{name}.bias", 0.0)


def attention_block(weights, x, block, heads, around, activation):
    """A pre-LN block of attention and feed-forward units."""
    D, n = len(x[0]), len(x)
    normed = [norm(weights, row, f"{block}.before_attention") for row in x]
    parts = [line(weights, row, f"{block}.queries_keys_values") for row in normed]
    after = []
    for t in range(n):
        mixed = np.zeros(D)
        for head in range(heads):
            cells = np.arange(head * D // heads, (head + 1) * D // heads)
            seen = range(n if around else t + 1)
            weight = [math.exp(parts[t][cells] @ parts[s][D + cells] / math.sqrt(D / heads)) for s in seen]
            for s in seen:
                mixed[cells] += weight[s] / sum(weight) * parts[s][2 * D + cells]
        y = x[t] + line(weights, mixed, f"{block}.mixed")
        units = activation(line(weights, norm(weights, y, f"{block}.before_units"), f"{block}.units"))
        after.append(y + line(weights, units, f"{block}.out"))
    return after


def sasrec(weights, items, gaps, *, blocks=2, heads=2):
    table, positions = weights["items.learned.weight"], weights["positions.weight"][: len(items)][::-1]
    x = [math.sqrt(table.shape[1]) * table[item] + p for item, p in zip(items, positions, strict=True)]
    for block in range(blocks):
        x = attention_block(weights, x, f"blocks.{block}", heads, False, lambda z: np.maximum(z, 0.0))
    return np.stack([norm(weights, row, "norm") for row in x])


def bert4rec(weights, items, gaps, *, blocks=2, heads=2):
    table = np.vstack([weights["items.learned.weight"], weights["hidden_item"]])  # N is empty, N + 1 hidden
    positions = weights["positions.weight"][: len(items)][::-1]
    x = [norm(weights, table[i] + p, "norm_of_items") for i, p in zip(items, positions, strict=True)]
    for block in range(blocks):
        x = attention_block(weights, x, f"blocks.{block}", heads, True, gelu)
    made = [gelu(line(weights, norm(weights, row, "norm"), "line")) for row in x]
    return np.stack([norm(weights, row, "norm_of_line") for row in made])


def gru4rec(weights, items, gaps, *, layers=1):
    D = weights["items.learned.weight"].shape[1]
    x = [math.sqrt(D) * weights["items.learned.weight"][item] for item in items]
    for layer in range(layers):
        name, h, after = f"layers.{layer}", np.zeros(D), []
        for row in x:
            of_x = weights[f"{name}.weight_ih_l0"] @ row + weights[f"{name}.bias_ih_l0"]
            of_h = weights[f"{name}.weight_hh_l0"] @ h + weights[f"{name}.bias_hh_l0"]
            read, kept = sigmoid(of_x + of_h)[:D], sigmoid(of_x + of_h)[D : 2 * D]
            new = np.tanh(of_x[2 * D :] + read * of_h[2 * D :])
            h = (1 - kept) * new + kept * h
            after.append(h)
        x = after
    return np.stack([norm(weights, row, "norm") for row in x])


def hstu(weights, items, gaps, *, blocks=2, heads=2, times=False):
    D = weights["items.learned.weight"].shape[1]
    x = [math.sqrt(D) * weights["items.learned.weight"][item] for item in items]
    for block in (f"blocks.{block}" for block in range(blocks)):
        parts = [silu(line(weights, moved(row, 1e-6), f"{block}.parts")) for row in x]
        after = []
        for t, row in enumerate(x):
            mixed = np.zeros(D)
            for head in range(heads):
                cells = np.arange(head * D // heads, (head + 1) * D // heads)
                for s in range(t + 1):
                    logit = parts[t][2 * D + cells] @ parts[s][3 * D + cells]
                    logit += weights[f"{block}.of_distance.weight"][t - s, 0]
                    if times:
                        seconds = sum(gaps[s : t + 1])
                        bucket = min(128, math.floor(math.log(max(seconds, 1.0)) / 0.301))
                        logit += weights[f"{block}.of_time.weight"][bucket, 0]
                    mixed[cells] += silu(logit) / (t + 1) * parts[s][D + cells]
            after.append(row + line(weights, moved(mixed, 1e-6) * parts[t][:D], f"{block}.out"))
        x = after
    return np.stack([norm(weights, row, "norm") for row in x])


def lru(weights, items, gaps, *, blocks=2, widths=None):
    D = weights["items.learned.weight"].shape[1]
    stops = [D] if widths is None else list(widths)
    groups = [range(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]

    def grouped_norm(x, name):
        made = np.concatenate([moved(x[group.start : group.stop]) for group in groups])
        return made * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def nested_line(x, name):
        """Number by number: of a group, only the numbers of it and of groups before it are read."""
        made = np.zeros(D, x.dtype)
        for group in groups:
            for i in group:
                made[i] = sum(weights[f"{name}.weight"][i, j] * x[j] for j in range(group.stop))
        return made + weights.get(f"{name}.bias", 0.0)

    x = [grouped_norm(weights["items.learned.weight"][item], "norm_of_items") for item in items]
    for block in (f"blocks.{block}" for block in range(blocks)):
        nu, theta = weights[f"{block}.nu"], weights[f"{block}.theta"]
        decay = np.array(
            [cmath.exp(complex(-math.exp(a), math.exp(b))) for a, b in zip(nu, theta, strict=True)]
        )
        h, after = np.zeros(D, complex), []
        for row in x:
            normed = grouped_norm(row, f"{block}.before_recurrence")
            real, imaginary = (nested_line(normed, f"{block}.in_{part}") for part in ("real", "imaginary"))
            h = decay * h + np.sqrt(1 - abs(decay) ** 2) * (real + 1j * imaginary)
            left = nested_line(h.real, f"{block}.out_real") - nested_line(h.imag, f"{block}.out_imaginary")
            y = row + left
            normed = grouped_norm(y, f"{block}.before_units")
            units = silu(nested_line(normed, f"{block}.gate")) * nested_line(normed, f"{block}.units")
            after.append(y + nested_line(units, f"{block}.out"))
        x = after
    return np.stack([grouped_norm(row, "norm") for row in x])
