"""The command `recsim-env film`: some steps of an environment as an animated picture."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.envs.single_user import SingleUserEnv
from recsim_env.errors import InputError
from recsim_env.experiments.env_args import add_env_arg, parameters, world_of
from recsim_env.experiments.files import check_new, write_atomically

SECONDS = 1.5  # a frame: long enough to read a slate


def add_film_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "film",
        help="draw some steps of an environment as an animated GIF",
        description="Draw some steps of one user as an animated GIF: what was shown, what was clicked, and "
        "what drives the user.",
        epilog="example: recsim-env film BoredUser-v0 --steps 10 --env-arg slate_size=5 --out bored.gif",
    )
    verb.add_argument("env", metavar="ENV", help="id of an environment; `recsim-env list` names them")
    verb.add_argument("--out", required=True, type=Path, metavar="FILE", help="a new file, such as film.gif")
    verb.add_argument("--steps", type=int, default=10, metavar="N", help="slates shown (default: 10)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="of the user (default: 0)")
    verb.add_argument(
        "--slates",
        choices=("best", "random", "mixed"),
        default="mixed",
        help="best: the slate regret is measured against; random: any items; mixed: the best with every "
        "second slot random (default)",
    )
    add_env_arg(verb)
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Write the film."""
    if options.steps < 1:
        raise InputError(f"--steps must be at least 1, got {options.steps}")
    if options.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {options.seed}")
    if options.out.suffix != ".gif":
        raise InputError(f"--out must end in .gif, got {options.out}")
    check_new(options.out)
    frames = film(options.env, options.steps, options.seed, options.slates, parameters(options.env_arg))
    write_gif(frames, options.out)
    size = options.out.stat().st_size / 1e3
    sys.stdout.write(f"wrote {options.out}: {len(frames)} frames, {size:.0f} kB\n")


def film(
    env_id: str, steps: int, seed: int = 0, slates: str = "mixed", env_args: Mapping[str, Any] | None = None
) -> list[Array]:
    """The frames (480, 720, 3) of the first user's first steps, one before each episode and one a step.

    Args:
        env_id: such as `BoredUser-v0`.
        steps: slates shown.
        seed: of the user, and of random slots.
        slates: best, random or mixed.
        env_args: parameters of the environment.

    Raises:
        InputError: there is no such environment, or it needs a file, or a parameter does not fit it.
    """
    env = SingleUserEnv(world_of(env_id, env_args or {}), render_mode="rgb_array")
    return list(played(env, steps, seed, slates))


def played(env: SingleUserEnv, steps: int, seed: int = 0, slates: str = "mixed") -> Iterator[Any]:
    """What `env.render()` gives before each episode and after each step: see `film`."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    yield env.render()
    for _ in range(steps):
        best = env.best_slate()
        random = rng.permutation(env.world.num_items)[: len(best)]
        if slates == "random" or (slates == "mixed" and len(best) == 1 and rng.random() < 0.5):
            best = random
        elif slates == "mixed":
            best = np.where((np.arange(len(best)) % 2 == 1) & ~np.isin(random, best), random, best)
        _, _, terminated, truncated, _ = env.step(best)
        yield env.render()
        if terminated or truncated:
            env.reset()
            yield env.render()


def write_gif(frames: list[Array], path: Path) -> None:
    """An endless animated GIF of 64 colours, written atomically."""
    from PIL import Image

    images = [Image.fromarray(frame).quantize(64) for frame in frames]
    milliseconds = int(1000 * SECONDS)
    write_atomically(
        path,
        lambda file: images[0].save(
            file, save_all=True, append_images=images[1:], duration=milliseconds, loop=0, optimize=True
        ),
    )
