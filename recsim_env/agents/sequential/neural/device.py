"""Where a network is trained, and so that the same training gives the same numbers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch.utils import deterministic  # noqa: E402


@contextmanager
def repeatable(device: torch.device, seed: int) -> Iterator[None]:
    """Draws and sums that are the same every time; what others draw meanwhile is left alone."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # dropout draws from the global generator
        before = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
        torch.use_deterministic_algorithms(True)
        deterministic.fill_uninitialized_memory = False  # nothing here reads what nobody wrote
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            deterministic.fill_uninitialized_memory = before[1]


def find_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: cpu, cuda, or auto: cuda where there is one.

    Raises:
        InputError: another name, or cuda where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but PyTorch finds none here: take auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may not repeat its sums
    return torch.device("cuda")
