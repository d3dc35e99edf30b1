"""The policy that a training left, to play, measure or log with.

    act, world = load_policy("runs/ppo")
    found = measure(act, world, episodes=1000, seed=7)  # of `policy_metrics`

No Ray is started, and nothing is unpickled.
"""

from collections.abc import Callable
from pathlib import Path

from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require
from recsim_env.experiments.env_args import parameters, world_of
from recsim_env.experiments.rllib.training import NAME, Settings, config_of, flat_of, task
from recsim_env.experiments.run_directory import read_run
from recsim_env.experiments.settings import parts
from recsim_env.simulators.worlds.world import World


def load_policy(directory: Path | str) -> tuple[Callable[[dict[str, Array]], Ints], World]:
    """A trained policy, not exploring, and the world that it was trained in.

    Args:
        directory: of a finished run of `recsim-env train --library rllib`.

    Returns:
        `act`, observations (B, ...) -> slates (B, K); of DQN items (B,) for an environment behind `OneSlot`,
        or the numbers of slates for one behind `DiscreteSlates`. And the world.

    Raises:
        InputError: RLlib is missing; no such run, one of another library, or not finished; a checkpoint of
            another version, or of another network.
    """
    require("ray.rllib", "rllib")
    require("torch", "rllib")
    directory = Path(directory)
    run = read_run(directory)
    if run["experiment"] != NAME:
        raise InputError(f"{directory} holds a run of {run['experiment']}, not of train --library rllib")
    if not (directory / "policy.npz").is_file():
        raise InputError(f"{directory} holds no policy.npz yet: recsim-env train --resume {directory}")
    settings = Settings(**run["settings"])
    import torch
    from ray.rllib.core import DEFAULT_MODULE_ID

    from recsim_env.experiments.rllib.checkpoints import read
    from recsim_env.experiments.rllib.policy import greedy

    _, arrays = read(directory / "policy.npz", task(settings))
    flat = flat_of(settings)
    spec = config_of(settings).get_rl_module_spec(
        spaces={DEFAULT_MODULE_ID: (flat.space, flat.actions)}, inference_only=False
    )
    module = spec.build()
    prefix = f"weights|{DEFAULT_MODULE_ID}|"
    weights = {name: arrays.get(prefix + name) for name in module.state_dict()}  # not those of targets
    try:
        module.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{directory / 'policy.npz'} is of another network: {reason}") from None
    world = world_of(settings.env, parameters(parts(settings.env_args)))
    return greedy(module, flat), world
