"""The compiled loops of the cascade world.

A step is three of them in a row: `present` (what the user sees), `look_down` (the click model) and
`move` (reward and next state). Each has a plain NumPy twin in `tests/twins.py`, to which it is equal.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.user_models.clicks.cascade import look_down


@njit(inline="always")
def is_new(slate: Ints, k: int, N: int) -> bool:
    """Slot k holds an item, and for the first time on this slate.

    The environments have checked the slate; a world called directly must not read past its tables.
    """
    if slate[k] >= N:
        raise IndexError("a slate holds an item outside the catalogue")
    if slate[k] < 0:
        return False
    for j in range(k):
        if slate[j] == slate[k]:
            return False
    return True


@njit(cache=True)
def present(attraction: Floats, user_state: Ints, slates: Ints) -> tuple[Floats, Bools]:
    """What the users see: q(s, A_k), 0 in empty slots (B, K), and which slots hold an item (B, K)."""
    B, K = slates.shape
    shown, listed = np.empty((K, B)), np.empty((K, B), np.bool_)
    for b in range(B):
        q, slate = attraction[user_state[b]], slates[b]
        for k in range(K):
            new = is_new(slate, k, len(q))
            listed[k, b] = new
            shown[k, b] = q[slate[k]] if new else 0.0
    return shown.T, listed.T


@njit(cache=True)
def move(
    cumulative: Floats, reward: Floats, user_state: Ints, slates: Ints, clicked: Bools, u: Floats
) -> tuple[Ints, Floats]:
    """The next state (B,), by inversion of the distribution function, and the reward of the click (B,)."""
    B, K = slates.shape
    N = reward.shape[1]
    moved, earned = np.empty(B, np.int64), np.empty(B)
    for b in range(B):
        s, item = user_state[b], N
        earned[b] = 0.0
        for k in range(K):
            if clicked[b, k]:
                item = slates[b, k]
                earned[b] = reward[s, item]
        steps = cumulative[s, item]
        below = 0
        for j in range(len(steps)):
            below += u[b] >= steps[j]
        moved[b] = below
    return moved, earned

@njit(cache=True)
def respond_rows(
    attraction: Floats, cumulative: Floats, reward: Floats, user_state: Ints, slates: Ints, u: Floats
) -> tuple[Ints, Floats, Bools, Bools]:
    """A whole step in one compiled call: next state, reward, clicked (B, K), examined (B, K); u is (B, K+1)."""
    shown, listed = present(attraction, user_state, slates)
    clicked, examined = look_down(shown, u)
    moved, earned = move(cumulative, reward, user_state, slates, clicked, u[:, slates.shape[1]])
    return moved, earned, clicked, examined & listed


@njit(cache=True)
def values_of_slates(
    attraction: Floats, worth: Floats, optimal: Floats, user_state: Ints, step: Ints, slates: Ints
) -> tuple[Floats, Floats]:
    """V_h(s) and f(A; q(s,.), w_h(s,.)) of every row, (B,) both, with worth (H+1, S, N+1)."""
    B, K = slates.shape
    best, shown = np.empty(B), np.empty(B)
    for b in range(B):
        h, s, slate = min(step[b], len(optimal) - 1), user_state[b], slates[b]
        value, reach = 0.0, 1.0
        for k in range(K):
            if is_new(slate, k, attraction.shape[1]):
                q = attraction[s, slate[k]]
                value += reach * q * worth[h, s, slate[k]]
                reach *= 1.0 - q
        shown[b] = value + reach * worth[h, s, -1]
        best[b] = optimal[h, s]
    return best, shown


@njit(cache=True)
def policy_backup(attraction: Floats, transition: Floats, reward: Floats, policy: Ints) -> Floats:
    """Values (H+1, S) of a policy (H, S, K), by backward induction."""
    H, S, K = policy.shape
    values = np.zeros((H + 1, S))
    for h in range(H - 1, -1, -1):
        for s in range(S):
            value, reach = 0.0, 1.0
            for k in range(K + 1):
                last = k == K
                if not last and not is_new(policy[h, s], k, reward.shape[1]):
                    continue
                a = -1 if last else policy[h, s, k]
                worth = 0.0 if last else reward[s, a]
                for t in range(S):
                    worth += transition[s, a, t] * values[h + 1, t]
                q = 1.0 if last else attraction[s, a]
                value += reach * q * worth
                reach *= 1.0 - q
            values[h, s] = value
    return values
