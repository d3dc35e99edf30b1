"""RLlib's algorithms with the settings that our environments need, each one call that gives its config.

    ppo, impala, appo   slates as they are: a softmax for every slot, given the observation
    dqn                 one slot at a time, as action values need a list of actions; whole slates with
                        `DiscreteSlates` among `changes`
    bc, marwil          from a log, without playing (`offline.py`)

What all of them share: the native vector environment (but for slots one at a time, where rows that reset
would fall out of step with the others), users of their own for every runner and NEXT_STEP (`users.py`), Dict
observations made rows by a connector, masks where the observation has one (`masks.py`), two layers of tanh
units. A batch of PPO, IMPALA and APPO is made of whole episodes. CQL is left out: RLlib has it for continuous
actions alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.bc import BCConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.marwil import MARWILConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from recsim_env.envs.describe import world_source
from recsim_env.envs.wrappers.change import Change, wrap
from recsim_env.envs.wrappers.discrete_slates import DiscreteSlates
from recsim_env.envs.wrappers.one_slot import OneSlot
from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments.env_args import world_of
from recsim_env.experiments.rllib.connectors import flat_observations
from recsim_env.experiments.rllib.flat import Flat
from recsim_env.experiments.rllib.masks import MaskedAPPO, MaskedBC, MaskedDQN, MaskedPPO
from recsim_env.experiments.rllib.users import OwnUsers, own_users, world_behind

CONFIGS: dict[str, type[AlgorithmConfig]] = {
    "ppo": PPOConfig,
    "dqn": DQNConfig,
    "impala": IMPALAConfig,
    "appo": APPOConfig,
    "bc": BCConfig,
    "marwil": MARWILConfig,
}
MASKED = {
    "ppo": MaskedPPO,
    "dqn": MaskedDQN,
    "impala": MaskedPPO,
    "appo": MaskedAPPO,
    "bc": MaskedBC,
    "marwil": MaskedPPO,
}
OFFLINE = ("bc", "marwil")
PLAYED = 16  # users whose first masks are looked at before work starts


@dataclass(frozen=True)
class Sizes:
    """Of the work: what is played by how many, and how much is learned from at once."""

    runners: int = 0  # processes that play; 0 plays in this one
    users: int = 32  # of each runner, stepped together
    batch: int = (
        1280  # environment steps of an iteration, at least; rounded up to whole episodes of all users
    )
    minibatch: int = 320
    epochs: int = 4  # of PPO, over a batch


PLAIN = Sizes()


def algorithm_config(
    algorithm: str,
    env_id: str,
    env_config: Mapping[str, Any] | None = None,
    *,
    changes: tuple[Callable[[], Change], ...] = (),
    sizes: Sizes = PLAIN,
    learning_rate: float = 1e-3,
    gamma: float = 1.0,
    entropy: float = 0.003,
    hidden: int = 64,
    seed: int = 0,
) -> AlgorithmConfig:
    """A config to `build_algo()`, or to change further.

    Args:
        algorithm: one of `CONFIGS`.
        env_id: `CascadeRec-v0` or `recsim_env:CascadeRec-v0`; of another package
            `their_package:TheirWorld-v0`, registered with `SingleUserEnv` and `BatchedEnv`.
        env_config: parameters of the environment.
        changes: make the wrappers around it (`envs/wrappers`), innermost first, such as
            `(partial(Candidates, 20),)`; each runner makes its own.
        sizes: of the work.
        learning_rate: of Adam.
        gamma: discount; 1 is what regret is measured by.
        entropy: bonus for unpredictable slates; of DQN the share of random choices in the end is 10 times
            this.
        hidden: units of both layers.
        seed: of the first user, the first weights and all that is drawn.

    Raises:
        InputError: no such algorithm, environment or parameter; a number out of range; another autoreset
            mode; a mask without a legal action in the first observation of a user.
    """
    if algorithm not in CONFIGS:
        raise unknown_name("algorithm", algorithm, CONFIGS)
    env_config = dict(env_config or {})
    _check_numbers(sizes, learning_rate, gamma, entropy, hidden, seed)
    name = full_id(env_id)
    slots = algorithm == "dqn" and not any(isinstance(make(), DiscreteSlates) for make in changes)
    probe = check_environment(name, env_config, slots, changes)
    flat = Flat(probe.single_observation_space, probe.single_action_space)
    world = world_behind(probe)
    horizon = world.horizon * (world.slate_size if slots else 1)
    runners = max(sizes.runners, 1)
    length = -(-sizes.batch // (runners * sizes.users * horizon)) * horizon  # steps of a user in an iteration
    batch = length * runners * sizes.users

    config = CONFIGS[algorithm]()
    config.framework("torch")
    config.debugging(seed=seed, log_level="ERROR")
    config.learners(num_learners=0)
    config.training(lr=learning_rate, gamma=gamma)
    model = {"fcnet_hiddens": [hidden, hidden], "fcnet_activation": "tanh", "vf_share_layers": False}
    if algorithm == "dqn":
        # DQN puts the second layer into its head
        model |= {"fcnet_hiddens": [hidden], "head_fcnet_hiddens": [hidden]}
    if flat.mask is None:
        config.rl_module(model_config=model)
    else:
        whole = vars(DefaultModelConfig(**model)) | {"mask": list(flat.mask), "choices": flat.choices}
        config.rl_module(
            rl_module_spec=RLModuleSpec(module_class=MASKED[algorithm], model_config=whole),
            model_config=whole,
        )
    if algorithm in OFFLINE:
        config.environment(observation_space=flat.space, action_space=probe.single_action_space)
        config.training(train_batch_size_per_learner=sizes.minibatch)
        config.reporting(min_time_s_per_iteration=0, min_train_timesteps_per_iteration=None)
    else:
        made = {"id": name, "changes": changes, **env_config}
        if slots:
            config.environment(env=OneSlotAtATime, env_config=made)
        elif changes:
            config.environment(env=ChangedUsers, env_config=made)
        else:
            config.environment(env=name, env_config=env_config)
        config.env_runners(
            num_env_runners=sizes.runners,
            num_envs_per_env_runner=sizes.users,
            gym_env_vectorize_mode="sync" if slots else "vector_entry_point",
            env_to_module_connector=flat_observations,
            rollout_fragment_length=length,
        )
        config.callbacks(on_environment_created=own_users)
        config.fault_tolerance(restart_failed_env_runners=True)
    if algorithm == "ppo":
        config.training(
            train_batch_size_per_learner=batch,
            minibatch_size=min(sizes.minibatch, batch),
            num_epochs=sizes.epochs,
            entropy_coeff=entropy,
            lambda_=0.95,
            clip_param=0.2,
            use_kl_loss=False,  # its weight adapts, and RLlib does not save it
            vf_loss_coeff=0.5,
            vf_clip_param=float("inf"),
            grad_clip=0.5,
            grad_clip_by="global_norm",
        )
    elif algorithm in ("impala", "appo"):
        config.env_runners(rollout_fragment_length=horizon)
        config.training(
            train_batch_size_per_learner=max(sizes.minibatch, horizon),
            entropy_coeff=entropy,
            vf_loss_coeff=0.5,
        )
        config.reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=sizes.batch)
    elif algorithm == "dqn":
        config.env_runners(rollout_fragment_length=1)
        config.training(
            train_batch_size_per_learner=sizes.minibatch,
            num_steps_sampled_before_learning_starts=sizes.batch,
            target_network_update_freq=10 * runners * sizes.users,
            epsilon=[[0, 1.0], [5 * sizes.batch, 10 * entropy]],
            dueling=False,
            double_q=True,
            num_atoms=1,
            n_step=1,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 100_000},
        )
        config.reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=batch)
    return config


def full_id(env_id: str) -> str:
    """`CascadeRec-v0` -> `recsim_env:CascadeRec-v0`, an id that the processes of runners know as well.

    Raises:
        InputError: there is no such id, or it is not of a world.
    """
    module, _, name = env_id.rpartition(":")
    world_source(env_id)
    if name not in gym.registry:
        raise InputError(f"env must be an id of Gymnasium, such as recsim_env:CascadeRec-v0, got {env_id!r}")
    return f"{module or 'recsim_env'}:{name}"


def check_environment(
    name: str,
    env_config: Mapping[str, Any],
    slots: bool = False,
    changes: tuple[Callable[[], Change], ...] = (),
) -> VectorEnv:
    """The environment of `PLAYED` users, after all that can be refused before work starts was looked at."""
    if "num_envs" in env_config:
        raise InputError("num_envs must be left out of env_config: sizes.users says how many a runner has")
    known = ("autoreset_mode", "max_episode_steps", "render_mode")
    world_of(name, {key: value for key, value in env_config.items() if key not in known})
    made = {"id": name, "changes": changes, **env_config}
    if slots:
        env = OwnUsers(SyncVectorEnv([partial(OneSlotAtATime, made) for _ in range(PLAYED)]), 0)
    else:
        env = OwnUsers(ChangedUsers({**made, "num_envs": PLAYED}), 0)
    env.reset()
    return env


class ChangedUsers(VectorWrapper):
    """Many users behind wrappers: a class, as `config.environment` wants one.

    Args:
        config: the parameters of the environment, its `id`, `num_envs`, and `changes` that make the wrappers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        rest = {key: value for key, value in config.items() if key not in ("id", "changes", "num_envs")}
        env = gym.make_vec(config["id"], config["num_envs"], vectorization_mode="vector_entry_point", **rest)
        super().__init__(wrap(env, *(make() for make in config["changes"])))


class OneSlotAtATime(gym.Wrapper):
    """One user, to whom an action shows an item in the next slot: likewise."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        rest = {key: value for key, value in config.items() if key not in ("id", "changes")}
        if "autoreset_mode" in rest:
            raise InputError("autoreset_mode must be left out: a single user has none, and RLlib resets it")
        changes = (make() for make in config["changes"])
        super().__init__(wrap(gym.make(config["id"], **rest), *changes, OneSlot()))

    @property
    def spec(self) -> Any:  # type: ignore[override]  # Env has an attribute
        """That of the environment inside, where `gym.make`, by which RLlib makes this one, puts its own."""
        return self.unwrapped.spec


def _check_numbers(
    sizes: Sizes, learning_rate: float, gamma: float, entropy: float, hidden: int, seed: int
) -> None:
    least = {"runners": 0, "users": 1, "batch": 1, "minibatch": 1, "epochs": 1}
    for name, low in least.items():
        if getattr(sizes, name) < low:
            raise InputError(f"{name} must be at least {low}, got {getattr(sizes, name)}")
    if hidden < 1:
        raise InputError(f"hidden must be at least 1, got {hidden}")
    if not learning_rate > 0:
        raise InputError(f"learning_rate must be positive, got {learning_rate}")
    if not 0 <= gamma <= 1:
        raise InputError(f"gamma must be from 0 to 1, got {gamma}")
    if not entropy >= 0:
        raise InputError(f"entropy must be 0 or more, got {entropy}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
