"""How the scripts here time: CPU seconds of one thread, the best of several rounds, compiled beforehand.

The machines are shared, so seconds mean little: every figure stands beside a limit that was measured in
the same run, and their ratio is what to compare.
"""

import time
from collections.abc import Callable


def seconds(call: Callable[[], object], budget: float = 0.4, rounds: int = 5) -> float:
    """CPU seconds of one call: the best of `rounds` rounds of about `budget` seconds each."""
    call()
    best = float("inf")
    for _ in range(rounds):
        calls, start = 0, time.process_time()
        while (spent := time.process_time() - start) < budget:
            call()
            calls += 1
        best = min(best, spent / calls)
    return best


def row(what: str, measured: str, at_least: str, limit: str = "") -> None:
    """One line of a table."""
    print(f"{what:48}{measured:>16}{at_least:>14}   {limit}")


def header() -> None:
    """The head of the table."""
    row("", "measured", "at least", "beside it, in the same run")
