"""Whether something draws from the generators that a whole program shares."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from recsim_env.testing.contracts import Broken


@contextmanager
def left_alone(who: str, instead: str) -> Iterator[None]:
    """Break the contract if what runs inside moves NumPy's or Python's global generator, and put them back.

    Args:
        who: draws.
        instead: what to draw from.
    """
    ours, python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 - it is what we watch
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before, before_python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    try:
        yield
        after, after_python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    finally:
        np.random.set_state(ours)  # noqa: NPY002
        random.setstate(python)
    moved = []
    if str(before) != str(after) or not np.array_equal(before["state"]["key"], after["state"]["key"]):
        moved.append("np.random")
    if before_python != after_python:
        moved.append("random")
    if moved:
        raise Broken(
            f"{who} moved the global generator of {' and of '.join(moved)}",
            f"draw from {instead} instead: what other code draws must not change what happens here",
        )
