"""What a user wants, as a function of what they clicked: linear, Markov and gated recurrent states.

A click on v moves the hidden state h, no click leaves it, and z is what the user is drawn to:

    linear    h' = gamma h + (1 - gamma) v                                                     z = h
    markov    h' = v                                                                           z = h
    gru       r = sigmoid(W_ir x + W_hr h),    u = sigmoid(W_iu x + W_hu h),    x = v / UNIT
              n = tanh(W_in x + r (W_hn h)),   h' = (1 - u) n + u h                            z = UNIT W_z h

The first state of a user is not a parameter of its own but read off their clicks v_1, v_2, ..., v_n, the
first of which say most:

    h_0 ~ N(m, s^2 (S + FLOOR)),   m = sum_j w_j v_j,   S = sum_j w_j (v_j - m)^2,   w_j proportional to j^-4

coordinate by coordinate (over UNIT, for gru); of a user without clicks it is the prior, N(0, first_scale^2).

Each law stands here twice: for tensors with gradients (`first_state`, `preferences`) and compiled, one row
after the other, for acting (`preference_of`), where PyTorch is not needed. The tests hold both against a
third.

Source: Eide, Leslie, Frigessi, "Dynamic slate recommendation with gated recurrent units and Thompson
sampling", Data Mining and Knowledge Discovery 36, 2022. UNIT and FLOOR are ours: with theirs (1 and 0) the
gates saturate at distances of several units, and one click leaves no doubt about the first state. Not
implemented: `lingru`, the mean of linear and gru.
"""

from typing import Any

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats, Ints

USER_STATES = ("linear", "markov", "gru")
LINEAR, MARKOV, GRU = range(3)  # their places, for the compiled loop
UNIT = 10.0  # length that gates take for 1, above those of items, so that tanh begins nearly straight
FLOOR = 1.0  # added to the spread of clicks: at this distance the odds of a click fall by e


def click_weights(item: Ints) -> Floats:
    """(E, H) w, which sum to 1 in rows with a click.

    Args:
        item: (E, H) the item clicked at each step, -1 = none.
    """
    there = item >= 0
    order = np.maximum(np.cumsum(there, axis=1), 1)
    weight = np.where(there, order.astype(np.float64) ** -4, 0.0)
    return np.asarray(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300))


def first_state(vectors: Any, weight: Any, spread_scale: Any, first_scale: float) -> tuple[Any, Any]:
    """Mean and standard deviation of h_0 (E, D), not divided by UNIT.

    Args:
        vectors: (E, H, D) of the items clicked, anything where none was.
        weight: (E, H) `click_weights`.
        spread_scale: (1,) s.
        first_scale: of the prior.
    """
    import torch

    w = weight[..., None]
    mean = (w * vectors).sum(dim=1)
    spread = (w * (vectors - mean[:, None]) ** 2).sum(dim=1)
    some = weight.sum(dim=1, keepdim=True) > 0
    return mean, torch.where(some, spread_scale * torch.sqrt(spread + FLOOR), first_scale)


def preferences(user_state: str, hidden: Any, vectors: Any, clicked: Any, keep: Any, gates: Any) -> Any:
    """(E, H, D) z before each step.

    Args:
        user_state: of USER_STATES.
        hidden: (E, D) h_0, not divided by UNIT.
        vectors: (E, H, D) of the items clicked, anything where none was.
        clicked: (E, H) bool.
        keep: (1,) gamma.
        gates: (7, D, D) W_ir, W_hr, W_iu, W_hu, W_in, W_hn, W_z.
    """
    import torch

    before = clicked.cumsum(dim=1) - clicked.long()  # (E, H) clicks before each step
    earlier = torch.ones(clicked.shape[1], clicked.shape[1], dtype=torch.bool).tril(-1)
    counts = earlier & clicked[:, None, :]  # (E, H, H) of step t, whether the click at t' < t moved the user
    if user_state == "linear":  # h after n clicks: gamma^n h_0 + (1 - gamma) sum_j gamma^(n - j) v_j
        since = (before[:, :, None] - before[:, None, :] - 1).clamp(min=0)
        weight = torch.where(counts, (1.0 - keep) * keep**since, 0.0)
        return keep ** before[..., None] * hidden[:, None] + weight @ vectors
    if user_state == "markov":
        last = counts & (before[:, None, :] == before[:, :, None] - 1)
        return torch.where(before[..., None] > 0, last.to(vectors.dtype) @ vectors, hidden[:, None])
    found, hidden = [], hidden / UNIT
    inputs = torch.einsum("bhd,ged->ghbe", vectors / UNIT, gates[[0, 2, 4]])  # (3, H, E, D)
    recurrent = gates[[1, 3, 5]].reshape(-1, gates.shape[2]).T  # (D, 3 D)
    for t in range(vectors.shape[1]):
        found.append(hidden)
        hr, hu, hn = (hidden @ recurrent).chunk(3, dim=1)
        reset, update = torch.sigmoid(inputs[0, t] + hr), torch.sigmoid(inputs[1, t] + hu)
        moved = (1.0 - update) * torch.tanh(inputs[2, t] + reset * hn) + update * hidden
        hidden = torch.where(clicked[:, t, None], moved, hidden)
    return UNIT * torch.einsum("hbd,ed->bhe", torch.stack(found), gates[6])


@njit(cache=True)
def preference_of(
    kind: int,
    history: Ints,
    items: Array,
    keep: float,
    gates: Array,
    spread_scale: float,
    first_scale: float,
    noise: Floats,
) -> Floats:
    """(D,) z of one user now.

    Args:
        kind: LINEAR, MARKOV or GRU.
        history: (n,) items clicked so far, in order.
        items: (D, N) v.
        keep: gamma.
        gates: (7, D, D), see `preferences`.
        spread_scale: s.
        first_scale: of the prior of h_0.
        noise: (D,) standard normal, of h_0; zeros for its mean.
    """
    D, n = len(noise), len(history)
    h = np.empty(D)
    total = 0.0
    for j in range(n):
        total += 1.0 / (j + 1.0) ** 4
    for d in range(D):
        mean = spread = 0.0
        for j in range(n):
            mean += items[d, history[j]] / (j + 1.0) ** 4 / total
        for j in range(n):
            spread += (items[d, history[j]] - mean) ** 2 / (j + 1.0) ** 4 / total
        h[d] = mean + noise[d] * (spread_scale * np.sqrt(spread + FLOOR) if n else first_scale)
    if kind == MARKOV and n:
        for d in range(D):
            h[d] = items[d, history[n - 1]]
    elif kind == LINEAR:
        for j in range(n):
            for d in range(D):
                h[d] = keep * h[d] + (1.0 - keep) * items[d, history[j]]
    elif kind == GRU:
        return _gated(h / UNIT, history, items, gates)
    return h


@njit(cache=True)
def _gated(h: Floats, history: Ints, items: Array, gates: Array) -> Floats:
    D = len(h)
    after = np.empty(D)
    for item in history:
        for e in range(D):
            r = u = x = past = 0.0
            for d in range(D):
                v = items[d, item] / UNIT
                r += gates[0, e, d] * v + gates[1, e, d] * h[d]
                u += gates[2, e, d] * v + gates[3, e, d] * h[d]
                x += gates[4, e, d] * v
                past += gates[5, e, d] * h[d]
            u = 1.0 / (1.0 + np.exp(-u))
            after[e] = (1.0 - u) * np.tanh(x + past / (1.0 + np.exp(-r))) + u * h[e]
        h[:] = after
    for e in range(D):
        after[e] = 0.0
        for d in range(D):
            after[e] += UNIT * gates[6, e, d] * h[d]
    return after
