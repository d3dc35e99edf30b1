"""The compiled loops of the cascade world.

A step, `respond_rows`, is a few of them in a row: the luck, `present` (what the user sees), `look_down` (the
click model), `move` (reward and next state) and `values_of_slates` (what regret is made of). Each has a
plain Python twin in `tests/twins.py`, to which it is equal.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.simulators.philox import fill_uniform
from recsim_env.user_models.affinity import present
from recsim_env.user_models.clicks.cascade import look_down


@njit(cache=True)
def move(
    cumulative: Floats,
    reward: Floats,
    user_state: Ints,
    slates: Ints,
    clicked: Bools,
    u: Floats,
    moved: Ints,
    earned: Floats,
) -> None:
    """Write the next state, by inversion of the distribution function, and the reward of the click, (B,)."""
    B, K = slates.shape
    N = reward.shape[1]
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


@njit(cache=True)
def respond_rows(
    # the world
    attraction: Floats,
    cumulative: Floats,
    reward: Floats,
    worth: Floats,
    optimal: Floats,
    # the users, what they are shown and their luck
    user_state: Ints,
    step: Ints,
    slates: Ints,
    seed: Array,
    episode: Ints,
    luck_step: Ints,
    stream: int,
    # what is written
    next_state: Ints,
    next_step: Ints,
    earned: Floats,
    clicked: Bools,
    examined: Bools,
    best_value: Floats,
    slate_value: Floats,
) -> None:
    """A whole step in one compiled call.

    The results are written into arrays of the caller because an array returned by compiled code costs
    half a microsecond, which is felt in the batch of one.
    """
    B, K = slates.shape
    u = np.empty((K + 1 + (K + 1) % 2, B))
    fill_uniform(
        seed, episode, luck_step, stream, u
    )  # all luck first: K draws for the clicks, one for the move
    shown, listed = present(attraction, user_state, slates)
    look_down(shown, u.T, clicked, examined)
    for k in range(K):
        for b in range(B):
            examined[b, k] &= listed[b, k]
    move(cumulative, reward, user_state, slates, clicked, u[K], next_state, earned)
    next_step[:] = step + 1
    values_of_slates(worth, optimal, shown, user_state, step, slates, best_value, slate_value)


@njit(cache=True)
def values_of_slates(
    worth: Floats,
    optimal: Floats,
    shown: Floats,
    user_state: Ints,
    step: Ints,
    slates: Ints,
    best_value: Floats,
    slate_value: Floats,
) -> None:
    """Write V_h(s) and f(A; q(s,.), w_h(s,.)) of every row, (B,) both.

    Args: worth (H+1, S, N+1) w_h(s, a), optimal (H+1, S), shown (B, K) the attractions of `present`.
    """
    B, K = slates.shape
    for b in range(B):
        h, s = min(step[b], len(optimal) - 1), user_state[b]
        w = worth[h, s]
        value, reach = 0.0, 1.0
        for k in range(K):
            value += (
                reach * shown[b, k] * w[max(slates[b, k], 0)]
            )  # an empty slot is never clicked: shown = 0
            reach *= 1.0 - shown[b, k]
        slate_value[b] = value + reach * w[len(w) - 1]
        best_value[b] = optimal[h, s]


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
                a = -1 if last else policy[h, s, k]
                if not last and (a < 0 or (policy[h, s, :k] == a).any()):
                    continue
                worth = 0.0 if last else reward[s, a]
                for t in range(S):
                    worth += transition[s, a, t] * values[h + 1, t]
                q = 1.0 if last else attraction[s, a]
                value += reach * q * worth
                reach *= 1.0 - q
            values[h, s] = value
    return values
