"""How many items stand above a target, and how many level with it, in one pass over the scores."""

from numba import njit

from recsim_env.arrays import Array, Ints


@njit(cache=True)
def count_above(scores: Array, of_target: Array, better: Ints, level: Ints) -> None:
    """Count, in every row, the scores above that of the target, and those that equal it, its own among them.

    Args:
        scores: (B, N) floats.
        of_target: (B,) of the same type.
        better: (B,) takes the first count.
        level: (B,) takes the second.
    """
    for row in range(scores.shape[0]):
        above, equal, goal = 0, 0, of_target[row]
        for item in range(scores.shape[1]):
            above += scores[row, item] > goal
            equal += scores[row, item] == goal
        better[row], level[row] = above, equal
