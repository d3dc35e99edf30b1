"""The compiled loops of the cascade world once more, in plain Python, one user at a time."""

import numpy as np


def new_items(slate):
    """Which slots hold an item for the first time."""
    return [a >= 0 and a not in list(slate[:k]) for k, a in enumerate(slate)]


def present(attraction, user_state, slates):
    listed = np.array([new_items(slate) for slate in slates])
    shown = np.array(
        [
            [attraction[s, a] if new else 0.0 for a, new in zip(slate, row, strict=True)]
            for s, slate, row in zip(user_state, slates, listed, strict=True)
        ]
    )
    return shown, listed


def look_down(attraction, u):
    clicked, examined = np.zeros(attraction.shape, bool), np.zeros(attraction.shape, bool)
    for b in range(len(attraction)):
        for k in range(attraction.shape[1]):
            examined[b, k] = True
            if u[b, k] < attraction[b, k]:
                clicked[b, k] = True
                break
    return clicked, examined


def respond(world, user_state, slates, u):
    """Next state, reward, clicked, examined; u (B, K+1)."""
    shown, listed = present(world.attraction, user_state, slates)
    clicked, examined = look_down(shown, u[:, :-1])
    moved, earned = [], []
    for b, s in enumerate(user_state):
        hits = np.flatnonzero(clicked[b])
        item = slates[b, hits[0]] if len(hits) else world.num_items
        earned.append(world.reward[s, item] if len(hits) else 0.0)
        cumulative = np.cumsum(world.transition[s, item])[:-1]
        moved.append(int(np.searchsorted(cumulative, u[b, -1], side="right")))
    return np.array(moved), np.array(earned), clicked, examined & listed


def list_value(world, s, slate, next_values):
    """Q(s, slate) with these values (S,) of the next state."""
    value, reach = 0.0, 1.0
    for a, new in zip(slate, new_items(slate), strict=True):
        if new:
            q = world.attraction[s, a]
            value += reach * q * (world.reward[s, a] + world.transition[s, a] @ next_values)
            reach *= 1.0 - q
    return value + reach * (world.transition[s, -1] @ next_values)
