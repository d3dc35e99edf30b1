"""What `render()` shows: the last step as text (`ansi`) or as a picture (`rgb_array`).

`text` and `picture` dispatch on the type of the world, so a new kind of world brings its own drawing:

    @picture.register
    def _(world: MyWorld, scene: Scene, row: int = 0) -> Array: ...

Bandit worlds (`HasArms`) share one.
The drawings are imported when the first frame is asked for: who does not render does not load matplotlib.
"""

from functools import singledispatch

from recsim_env.arrays import Array
from recsim_env.envs.scene import Scene
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.attack import AttackWorld
from recsim_env.simulators.worlds.bored import BoredWorld
from recsim_env.simulators.worlds.candidates import CandidateWorld
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.drifting import DriftWorld
from recsim_env.simulators.worlds.grouped import GroupWorld
from recsim_env.simulators.worlds.listening import ListeningWorld
from recsim_env.simulators.worlds.poisoned import PoisonedWorld
from recsim_env.simulators.worlds.position_bandit import PositionBandit
from recsim_env.simulators.worlds.semi_bandit import SemiBanditWorld
from recsim_env.simulators.worlds.shortcut_bench import SuccessionWorld
from recsim_env.simulators.worlds.slate import SlateWorld
from recsim_env.simulators.worlds.world import HasArms, World

RENDER_FPS = 2  # slow enough to read a slate


@singledispatch
def text(world: World, scene: Scene, row: int = 0) -> str:
    """The step of one row as a few lines of plain text.

    Raises:
        InputError: nobody has said how to draw this kind of world.
    """
    if isinstance(world, HasArms):
        return _user_text(world, scene, row)
    raise _no_drawing(world, "text")


@singledispatch
def picture(world: World, scene: Scene, row: int = 0) -> Array:
    """The step of one row as an (height, width, 3) uint8 picture.

    Raises:
        InputError: nobody has said how to draw this kind of world.
    """
    if isinstance(world, HasArms):
        return _user_picture(world, scene, row)
    raise _no_drawing(world, "picture")


@text.register
def _(world: CascadeWorld, scene: Scene, row: int = 0) -> str:
    from recsim_env.envs.cascade_scene import cascade_scene, cascade_text

    return cascade_text(cascade_scene(world, scene, row))


@picture.register
def _(world: CascadeWorld, scene: Scene, row: int = 0) -> Array:
    from recsim_env.envs.cascade_drawing import cascade_picture
    from recsim_env.envs.cascade_scene import cascade_scene

    return cascade_picture(cascade_scene(world, scene, row))


@text.register(AttackWorld)
@text.register(SlateWorld)
@text.register(DriftWorld)
@text.register(BoredWorld)
@text.register(GroupWorld)
@text.register(CandidateWorld)
@text.register(ListeningWorld)
@text.register(SuccessionWorld)
@text.register(PositionBandit)
@text.register(SemiBanditWorld)
def _user_text(world: World, scene: Scene, row: int = 0) -> str:
    from recsim_env.envs.user_scene import user_text
    from recsim_env.envs.user_scenes import user_scene

    return user_text(user_scene(world, scene, row))


@picture.register(AttackWorld)
@picture.register(SlateWorld)
@picture.register(DriftWorld)
@picture.register(BoredWorld)
@picture.register(GroupWorld)
@picture.register(CandidateWorld)
@picture.register(ListeningWorld)
@picture.register(SuccessionWorld)
@picture.register(PositionBandit)
@picture.register(SemiBanditWorld)
def _user_picture(world: World, scene: Scene, row: int = 0) -> Array:
    from recsim_env.envs.user_drawing import user_picture
    from recsim_env.envs.user_scenes import user_scene

    return user_picture(user_scene(world, scene, row))


@text.register
def _(world: PoisonedWorld, scene: Scene, row: int = 0) -> str:  # type: ignore[misc]  # see `plans_ahead`
    return text(world.inner, _of_account(world, scene), row)


@picture.register
def _(world: PoisonedWorld, scene: Scene, row: int = 0) -> Array:  # type: ignore[misc]  # the same
    return picture(world.inner, _of_account(world, scene), row)


def _of_account(world: PoisonedWorld, scene: Scene) -> Scene:
    """The scene as the world behind has it: its states, and what the slates are worth to honest users."""
    if scene.before is None or scene.slates is None or scene.outcome is None:
        return Scene(scene.state.inner)
    before = scene.before.inner
    best, value = world.inner.values(before, scene.slates)
    outcome = scene.outcome._replace(best_value=best, slate_value=value)
    return Scene(scene.state.inner, before, scene.slates, outcome)


def _no_drawing(world: World, function: str) -> InputError:
    return InputError(
        f"there is no {function} of a {type(world).__name__}: use render_mode=None, "
        f"or add one with recsim_env.envs.rendering.{function}.register"
    )
