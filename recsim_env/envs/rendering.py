"""stub to be replaced."""
from dataclasses import dataclass
from typing import Any
from recsim_env.arrays import Array, Ints
from recsim_env.simulators.worlds.world import Outcome, World
RENDER_FPS = 2
@dataclass(frozen=True)
class Scene:
    """A step to draw: where the users are, and how they came there (None after a reset)."""
    state: Any
    before: Any = None
    slates: Ints | None = None  # (B, K)
    outcome: Outcome | None = None
def text(world: World, scene: Scene, row: int = 0) -> str:
    return ""
def picture(world: World, scene: Scene, row: int = 0) -> Array:
    raise RuntimeError
