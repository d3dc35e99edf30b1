"""A step to draw."""

from dataclasses import dataclass
from typing import Any

from recsim_env.arrays import Ints
from recsim_env.simulators.worlds.world import Outcome


@dataclass(frozen=True)
class Scene:
    """A step to draw: where the users are, and how they came there (None after a reset)."""

    state: Any
    before: Any = None
    slates: Ints | None = None  # (B, K)
    outcome: Outcome | None = None
