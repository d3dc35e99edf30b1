"""What every law of boredom refuses: a click on a topic that does not exist."""

from numba import njit

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError


def check_topics(topics: Ints, clicked: Bools, num_topics: int) -> None:
    """Refuse clicks (B, K) on topics (B, K) other than 0 to num_topics - 1, and other shapes.

    The loops that follow are compiled, and would write outside their arrays.
    """
    if topics.ndim != 2 or topics.shape != clicked.shape:
        raise InputError(
            f"topics and clicked must have one shape (B, K), got {topics.shape}, {clicked.shape}"
        )
    bad = first_unknown(topics, clicked, num_topics)
    if bad >= 0:
        row, slot = divmod(bad, topics.shape[1])
        raise InputError(
            f"topics[{row}, {slot}] = {topics[row, slot]} was clicked and is not a topic: there are "
            f"{num_topics} (0-{num_topics - 1})"
        )


@njit(cache=True)
def first_unknown(topics: Ints, clicked: Bools, num_topics: int) -> int:
    """The flat index of the first clicked slot of (B, K) whose topic does not exist, or -1."""
    B, K = topics.shape
    for b in range(B):
        for k in range(K):
            if clicked[b, k] and not 0 <= topics[b, k] < num_topics:
                return b * K + k
    return -1
